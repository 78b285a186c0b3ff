//! The functions themselves: branch-free code for one number, generic over fused multiply-add.
//!
//! `f::<false>` uses nothing but the arithmetic of IEEE 754 and gives the same bits on every platform;
//! `f::<true>` is fast only inside a function compiled for processors with the instruction.

mod bits;
mod erf;
mod exp;
mod gamma;
mod log;
mod pow;
mod quantile;
mod trig;

pub use erf::{erf, erfc, erfcx, normal_cdf};
pub use exp::{exp, expm1, sigmoid, softplus, softplus_sigmoid, tanh};
pub use gamma::{cos_pi, sin_pi};
pub use gamma::{digamma, digamma_reflected, lgamma, lgamma_reflected, lgamma1p, stirling_error};
pub use log::{log, log1p};
pub use pow::pow;
pub use quantile::inv_phi;
pub use trig::{atan, cos, sin};

pub(super) use gamma::far as not_positive;
pub(super) use pow::far as not_plain;
pub(super) use quantile::{central, is_central, is_middle, middle, root, tail_of};
pub(super) use trig::far as beyond_reduction;
