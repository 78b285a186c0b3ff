//! Models: binding of data, transforms, plates, lowering.

pub mod data;
pub mod transform;
