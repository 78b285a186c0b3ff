//! Helpers for tests: targets with exact answers, the exact invariance test, and kernels and flows that are wrong on purpose.

pub mod broken;
pub mod broken_flow;
pub mod invariance;
pub mod targets;
