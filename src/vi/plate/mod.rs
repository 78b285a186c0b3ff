//! Amortized inference for the rows of a plate: bounds per row, their gradients from minibatches, training.

mod chunk;
pub mod degree;
mod direct;
pub mod engine;
pub mod epochs;
pub mod evaluate;
pub mod globals;
pub mod graph;
mod innermost;
mod nested;
pub mod normal;
mod numbers;
pub mod refine;
mod separable;
mod survivors;
pub mod target;
pub mod train;
mod walk;

pub use direct::name_params;
pub use engine::Engine;
pub use evaluate::Evaluator;
pub use normal::NormalRow;
pub use refine::refine;
pub use survivors::survivors;
pub use target::{Feed, Group, Inner, Inside, Part, Row, Target};
pub use train::{Control, Settings, State, TrainError, is_lost, train};
