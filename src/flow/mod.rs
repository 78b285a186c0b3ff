//! Normalizing flows: invertible maps that write themselves into a graph, with their log-determinants.

pub mod affine;
pub mod airworthiness;
pub mod architecture;
pub mod autoregressive;
pub mod chain;
pub mod coupling;
pub mod elementwise;
mod grammar;
mod head;
pub mod invert;
pub mod layer;
pub mod map;
mod masks;
pub mod mlp;
pub mod orthogonal;
pub mod registry;
mod sequential;
mod spline;

pub use airworthiness::{Airworthiness, airworthiness};
pub use chain::Flow;
pub use grammar::FlowError;
pub use layer::{Layer, Parameters, Segment};
pub use map::Map;
pub use registry::registry;
