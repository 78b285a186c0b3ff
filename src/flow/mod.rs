//! Normalizing flows: invertible maps that write themselves into a graph, with their log-determinants.

pub mod affine;
pub mod chain;
mod head;
pub mod invert;
pub mod layer;
pub mod orthogonal;

pub use chain::Flow;
pub use layer::{Layer, Parameters, Segment};
