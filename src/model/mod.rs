//! Models: binding of data, transforms, plates, lowering.

pub mod compiled;
pub mod data;
pub mod hidden;
pub mod level;
pub mod lower;
pub mod posterior;
pub mod row;
pub mod separable;
pub mod simulate;
pub mod site;
pub mod transform;
pub mod value;
