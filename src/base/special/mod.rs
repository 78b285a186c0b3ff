//! Special functions of one or a few scalars.

mod normal;

pub use normal::inv_phi;
