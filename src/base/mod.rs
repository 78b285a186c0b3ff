//! Ground floor: random streams, special functions, kernels, small statistics. Imports nothing.

pub mod rng;
