//! One computation graph for models, flows, guides and objectives. Knows no statistics.

mod array;
pub mod batch;
pub mod build;
pub mod check;
mod elementwise;
pub mod eval;
pub mod hoist;
mod inline;
pub mod jvp;
mod logadd;
pub mod op;
mod print;
pub mod program;
pub mod prune;
pub mod reverse;
pub mod shape;
pub mod split;
mod vmap;

pub use batch::{batch, batch_scan};
pub use build::Graph;
pub use op::{Binary, Fold, Node, Op, Scan, Spread, Ternary, Unary, Var};
pub use shape::{Index, Shape};

#[cfg(test)]
mod tests;
