//! Probability laws: log density as graph, exact sampler, support; one file per family.

mod beta;
mod cumulative;
mod domain;
mod draw;
mod expr;
mod gamma;
pub mod law;
mod logistic;
mod matrix;
mod normal;
mod registry;
mod scalar;
mod student;
mod weibull;

pub use law::{Domain, Law, Limit, Param, Support, Value};
pub use registry::{all, law};
