//! Elementary functions on slices, vectorised, with the instruction set chosen at run time.
//!
//! Each function is written once as branch-free scalar code, generic over the use of fused multiply-add, and
//! compiled for each [`Isa`] in a loop that the compiler vectorises. On one level an element's result does
//! not depend on its position, the length of the slice or the other elements.

mod kernels;
mod quantile;
pub mod scalar;

pub use kernels::{Binary, Kernels, Twofold, Unary, kernels};
pub use kernels::{atan, cos, digamma, erf, erfc, exp, expm1, lgamma, log, log1p, normal_cdf};
pub use kernels::{pow, recip, sigmoid, sin, softplus, softplus_sigmoid, sqrt, tanh};
pub use quantile::inv_phi_in_place;

use std::sync::OnceLock;

/// Instruction set a kernel is compiled for. The first two levels differ in the last bits of results; the third has the
/// bits of the second, so that it need not be given up where results of several machines are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What every processor of the target has (SSE2 on x86-64).
    Baseline,
    /// AVX2 with fused multiply-add.
    Avx2Fma,
    /// AVX-512 (F, BW, DQ, VL) where its registers save time, AVX2 elsewhere: the same operations in the same order.
    Avx512,
}

/// The level of this process.
static LEVEL: OnceLock<Isa> = OnceLock::new();

impl Isa {
    /// The level of this process: the one that [`Isa::fix`] has set, else the best of this machine.
    pub fn detect() -> Self {
        *LEVEL.get_or_init(|| {
            let best = [Self::Avx512, Self::Avx2Fma].into_iter().find(|isa| isa.is_supported());
            best.unwrap_or(Self::Baseline)
        })
    }

    /// Sets the level of this process; false where the machine lacks it, or another one is in use already.
    pub fn fix(self) -> bool {
        self.is_supported() && *LEVEL.get_or_init(|| self) == self
    }

    /// Whether this machine can run the level.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Fma => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2Fma.is_supported()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2Fma | Self::Avx512 => false,
        }
    }

    /// The level itself, or the lowest one where this machine lacks it.
    pub fn supported(self) -> Self {
        if self.is_supported() { self } else { Self::Baseline }
    }
}

/// A loop over slices that no kernel here has, for [`wide`].
///
/// (Not a closure: one that the compiler does not inline is compiled without the instruction set.)
pub trait Loop {
    /// What it gives.
    type Output;
    /// Runs it. Implementations are marked `#[inline(always)]`.
    fn run(self) -> Self::Output;
}

/// Runs a loop compiled for this process's level. The compiler joins no multiplications and additions by itself, so the
/// bits are the same on every level.
pub fn wide<L: Loop>(l: L) -> L::Output {
    match Isa::detect() {
        // SAFETY: the level is one that this machine has.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512(l) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma => unsafe { avx2(l) },
        _ => l.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<L: Loop>(l: L) -> L::Output {
    l.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<L: Loop>(l: L) -> L::Output {
    l.run()
}

#[cfg(test)]
mod tests;
