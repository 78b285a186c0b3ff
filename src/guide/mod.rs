//! Guides: families of densities with parameters, that can be drawn from and fitted to a posterior.

pub mod amortized;
pub mod base;
mod batch;
pub mod encoder;
mod family;
mod file;
mod member;
pub mod nested;
pub mod pathfinder;
mod start;

pub use base::Base;
pub use batch::{Batch, Drawn, Draws};
pub use family::{Family, Scale};
pub use file::{GuideFileError, Origin, Stored};
pub use member::Guide;
pub use start::Start;

#[cfg(test)]
mod tests;
