//! Thalweg: probabilistic programming from a text model to posterior draws with honest diagnostics.

pub mod base;
pub mod cli;
pub mod density;
pub mod diagnostics;
pub mod dist;
pub mod dsl;
pub mod evidence;
pub mod flow;
pub mod graph;
pub mod guide;
pub mod io;
pub mod mcmc;
pub mod model;
pub mod optimize;
pub mod report;
pub mod testing;
pub mod vi;
pub mod workflow;

/// The example of the README, so that it is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
