//! Helpers for tests: targets with exact answers, exact maps and proposals, the exact invariance test, and kernels, flows and
//! estimators that are wrong on purpose.

pub mod broken;
pub mod broken_evidence;
pub mod broken_flow;
pub mod broken_jumps;
pub mod invariance;
pub mod targets;
pub mod transport;
