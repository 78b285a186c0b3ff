//! Elementary functions on slices, vectorised, with the instruction set chosen at run time.

mod bits;
pub mod log;
