//! Numbers and nothing else: random streams, elementary and special functions, statistics of slices.

pub mod clock;
pub mod rng;
pub mod simd;
pub mod special;
pub mod stats;
