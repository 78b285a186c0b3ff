//! Probability laws: log density as graph, exact sampler, support; one file per family.

pub mod law;

pub use law::{Domain, Law, Limit, Param, Support, Value};
