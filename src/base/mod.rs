//! Numbers: random streams, elementary and special functions, statistics of slices; and two things of the machine, processor time and whole files.

pub mod clock;
pub mod file;
pub mod rng;
pub mod simd;
pub mod special;
pub mod stats;
