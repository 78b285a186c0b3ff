//! A separable plate as the density of one row.

pub mod labels;
