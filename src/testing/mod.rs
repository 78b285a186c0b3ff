//! Helpers for tests: targets with exact answers, the exact invariance test, and kernels that are wrong on purpose.

pub mod broken;
pub mod invariance;
pub mod targets;
