//! Exponentials and logarithms with fused multiply-add, on AVX2 and on AVX-512: what most densities spend their time on.
//!
//! The series are those of `base::simd::scalar`, with fewer steps for ordinary arguments; elements outside
//! their range take the functions there. An element's result does not depend on its place or company, nor on the level.
//! Errors are below 3 units in the last place.

mod constants;
mod function;
mod group;
mod logsum;

use constants::Constants;
use function::*;
use group::{Eight, Four, Group, MOST};

use super::{Extent, Kernel};
use crate::base::simd::{Isa, scalar};
use crate::graph::op::Unary;

pub(super) use logsum::log_sum_exp_short;

/// Groups of which it is known beforehand that all are ordinary.
const RUN: usize = 8;

/// Results of a group with those where `bad` is true computed one by one.
///
/// # Safety
/// The processor has the instruction set of the group.
#[inline(always)]
unsafe fn repaired<G: Group>(y: G, x: G, bad: u32, by: unsafe fn(&mut [f64; MOST], &[f64; MOST], u32)) -> G {
    if bad == 0 {
        return y;
    }
    let (mut out, mut from) = ([0.0; MOST], [0.0; MOST]);
    // SAFETY: the arrays hold a group; the caller has its instruction set.
    unsafe {
        y.store(out.as_mut_ptr());
        x.store(from.as_mut_ptr());
        by(&mut out, &from, bad);
        G::load(out.as_ptr())
    }
}

/// The instances of a kernel's body for the two levels.
macro_rules! levels {
    ($body:ident) => {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn four(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, n: usize) {
            // SAFETY: the caller's contract is the same.
            unsafe { $body::<Four>(d, a, c.cast_mut(), n) }
        }

        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
        unsafe fn eight(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, n: usize) {
            // SAFETY: the caller's contract is the same.
            unsafe { $body::<Eight>(d, a, c.cast_mut(), n) }
        }
    };
}

/// A kernel from a function of a group, a test for those it is not for, and the function for these.
macro_rules! elementary {
    ($(#[$doc:meta])* $name:ident, $fast:ident, $far:ident, $slow:expr) => {
        $(#[$doc])*
        mod $name {
            use super::*;

            /// Those of which the bit is set, one by one.
            #[cold]
            #[inline(never)]
            #[target_feature(enable = "avx2,fma")]
            pub(super) unsafe fn patch(y: &mut [f64; MOST], x: &[f64; MOST], bad: u32) {
                for i in 0..MOST {
                    if bad >> i & 1 == 1 {
                        y[i] = $slow(x[i]);
                    }
                }
            }

            #[inline(always)]
            unsafe fn patched<G: Group>(c: Constants, x: G) -> G {
                // SAFETY: the caller has the instruction set.
                unsafe { repaired($fast(c, x), x, G::bits($far(x)), patch) }
            }

            #[inline(always)]
            unsafe fn body<G: Group>(d: *mut f64, a: *const f64, _: *mut f64, n: usize) {
                let c = Constants::hidden();
                let whole = n / G::N * G::N;
                // SAFETY: groups below `whole` and then the rest, which the caller vouches for at both.
                unsafe {
                    for start in (0..whole).step_by(RUN * G::N) {
                        let end = whole.min(start + RUN * G::N);
                        let mut any = $far(G::load(a.add(start)));
                        for i in (start + G::N..end).step_by(G::N) {
                            any = G::either(any, $far(G::load(a.add(i))));
                        }
                        if G::bits(any) == 0 {
                            for i in (start..end).step_by(G::N) {
                                $fast(c, G::load(a.add(i))).store(d.add(i));
                            }
                        } else {
                            for i in (start..end).step_by(G::N) {
                                patched(c, G::load(a.add(i))).store(d.add(i));
                            }
                        }
                    }
                    if whole < n {
                        let y = patched(c, G::first(a.add(whole), n - whole));
                        y.store_first(d.add(whole), n - whole);
                    }
                }
            }

            levels!(body);

            /// For one double.
            #[target_feature(enable = "avx2,fma")]
            unsafe fn one(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, _: usize) {
                // SAFETY: the caller vouches for one double at both.
                unsafe { patched(Constants::plain(), Four::all(*a)).store_first(d, 1) }
            }

            pub(super) fn kernel(level: Isa, n: Extent) -> Kernel {
                match (n, level) {
                    (Extent::One, _) => one,
                    (_, Isa::Avx512) => eight,
                    _ => four,
                }
            }
        }
    };
}

elementary!(
    /// `d = e^a`, 0 where that is subnormal
    exp, exp_or_zero, steep, scalar::exp::<true>
);
elementary!(
    /// `d = e^a - 1`
    expm1, expm1_of, steep, scalar::expm1::<true>
);
elementary!(
    /// `d = tanh a`
    tanh, tanh_of, is_nan, scalar::tanh::<true>
);
elementary!(
    /// `d = log a`
    log, log_of, not_normal, scalar::log::<true>
);
elementary!(
    /// `d = log(1 + a)`
    log1p, log1p_of, not_between, scalar::log1p::<true>
);
elementary!(
    /// `d = log(1 + e^a)`
    softplus, softplus_of, is_nan, scalar::softplus::<true>
);
elementary!(
    /// `d = 1 / (1 + e^-a)`
    sigmoid, sigmoid_of, is_nan, scalar::sigmoid::<true>
);

/// `d` = softplus, `c` = sigmoid of `a`
mod both {
    use super::*;

    #[inline(always)]
    unsafe fn pair<G: Group>(c: Constants, x: G) -> (G, G) {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let e = falling(c, x);
            (softplus_from(c, x, e), sigmoid_from(c, x, e))
        }
    }

    #[inline(always)]
    unsafe fn patched<G: Group>(c: Constants, x: G) -> (G, G) {
        // SAFETY: as above.
        unsafe {
            let ((y, z), bad) = (pair(c, x), G::bits(is_nan(x)));
            (repaired(y, x, bad, softplus::patch), repaired(z, x, bad, sigmoid::patch))
        }
    }

    #[inline(always)]
    unsafe fn body<G: Group>(d: *mut f64, a: *const f64, c: *mut f64, n: usize) {
        let t = Constants::hidden();
        let whole = n / G::N * G::N;
        // SAFETY: the caller vouches for n doubles at all three.
        unsafe {
            for start in (0..whole).step_by(RUN * G::N) {
                let end = whole.min(start + RUN * G::N);
                let mut any = is_nan(G::load(a.add(start)));
                for i in (start + G::N..end).step_by(G::N) {
                    any = G::either(any, is_nan(G::load(a.add(i))));
                }
                let far = G::bits(any) != 0;
                for i in (start..end).step_by(G::N) {
                    let x = G::load(a.add(i));
                    let (y, z) = if far { patched(t, x) } else { pair(t, x) };
                    y.store(d.add(i));
                    z.store(c.add(i));
                }
            }
            if whole < n {
                let (y, z) = patched(t, G::first(a.add(whole), n - whole));
                y.store_first(d.add(whole), n - whole);
                z.store_first(c.add(whole), n - whole);
            }
        }
    }

    levels!(body);

    pub(super) fn kernel(level: Isa) -> Kernel {
        if level == Isa::Avx512 { eight } else { four }
    }
}

/// Softplus to the result, its derivative to the third operand.
pub(super) fn softplus_sigmoid(level: Isa) -> Kernel {
    both::kernel(level)
}

/// The kernel of a function of one number, where there is one here.
pub(super) fn unary(op: Unary, level: Isa, n: Extent) -> Option<Kernel> {
    Some(match op {
        Unary::Exp => exp::kernel(level, n),
        Unary::Expm1 => expm1::kernel(level, n),
        Unary::Log => log::kernel(level, n),
        Unary::Log1p => log1p::kernel(level, n),
        Unary::Tanh => tanh::kernel(level, n),
        Unary::Sigmoid => sigmoid::kernel(level, n),
        Unary::Softplus => softplus::kernel(level, n),
        _ => return None,
    })
}
