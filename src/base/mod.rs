//! Shared foundations: random streams.

pub mod rng;
