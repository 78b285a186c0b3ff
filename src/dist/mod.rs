//! Probability laws: log density as graph, exact sampler, support; one file per family.

mod array;
mod batch;
mod bernoulli;
mod beta;
mod categorical;
mod cumulative;
mod domain;
mod draw;
mod expr;
mod gamma;
pub mod law;
mod lkj;
mod logistic;
mod matrix;
mod multi_normal;
mod normal;
mod point;
mod poisson;
mod registry;
mod scalar;
mod simplex;
mod student;
mod weibull;
mod wishart;

pub use law::{Domain, Law, Limit, Param, Support, Value};
pub use registry::{all, law};
