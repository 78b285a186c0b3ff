//! Helpers for tests: targets with exact answers, and kernels that are wrong on purpose.

pub mod broken;
pub mod targets;
