//! Exponentials and logarithms on AVX2 with fused multiply-add: what most densities spend their time on.
//!
//! The series are those of `base::simd::scalar`, with fewer steps for ordinary arguments; elements outside
//! their range take the functions there. An element's result does not depend on its place or company.
//! Errors are below 3 units in the last place.

mod constants;
mod function;
mod group;
mod logsum;

use constants::Constants;
use function::*;
use group::{ALL, Group, first, store_first};

use crate::base::simd::scalar;

pub(super) use logsum::log_sum_exp_short;

/// Groups of which it is known beforehand that all are ordinary.
const RUN: usize = 8;

/// Results of which those that are not ordinary are computed one by one.
macro_rules! patched {
    ($y:expr, $x:expr, $far:expr, $slow:expr) => {{
        #[cold]
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        fn patch(y: Group, x: Group, far: Group) -> Group {
            let (mut out, from, bad) = (y.array(), x.array(), far.array());
            for i in (0..ALL).filter(|&i| bad[i].is_sign_negative()) {
                out[i] = $slow(from[i]);
            }
            Group::of(out)
        }
        let (y, x) = ($y, $x);
        let far = $far(x);
        if far.any() { patch(y, x, far) } else { y }
    }};
}

/// A kernel from a function of a group, a test for those it is not for, and the function for these.
macro_rules! elementary {
    ($(#[$doc:meta])* $name:ident, $one:ident, $fast:expr, $far:expr, $slow:expr) => {
        $(#[$doc])*
        #[target_feature(enable = "avx2,fma")]
        pub(super) unsafe fn $name(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, n: usize) {
            let c = Constants::hidden();
            let whole = n / ALL * ALL;
            // SAFETY: groups below `whole` and then the rest, which the caller vouches for at both.
            unsafe {
                for start in (0..whole).step_by(RUN * ALL) {
                    let end = whole.min(start + RUN * ALL);
                    let mut any = Group::all(0.0);
                    for i in (start..end).step_by(ALL) {
                        any = any.or($far(Group::load(a.add(i))));
                    }
                    if !any.any() {
                        for i in (start..end).step_by(ALL) {
                            $fast(c, Group::load(a.add(i))).store(d.add(i));
                        }
                    } else {
                        for i in (start..end).step_by(ALL) {
                            let x = Group::load(a.add(i));
                            patched!($fast(c, x), x, $far, $slow).store(d.add(i));
                        }
                    }
                }
                if whole < n {
                    let x = first(a.add(whole), n - whole);
                    let y = patched!($fast(c, x), x, $far, $slow);
                    store_first(d.add(whole), y, n - whole);
                }
            }
        }

        $(#[$doc])*
        /// for one double.
        #[target_feature(enable = "avx2,fma")]
        pub(super) unsafe fn $one(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, _: usize) {
            let c = Constants::plain();
            // SAFETY: the caller vouches for one double at both.
            unsafe {
                let x = Group::all(*a);
                *d = patched!($fast(c, x), x, $far, $slow).lowest();
            }
        }
    };
}

elementary!(
    /// `d = e^a`, 0 where that is subnormal
    exp, exp_one, exp_or_zero, steep, scalar::exp::<true>
);
elementary!(
    /// `d = e^a - 1`
    expm1, expm1_one, expm1_of, steep, scalar::expm1::<true>
);
elementary!(
    /// `d = tanh a`
    tanh, tanh_one, tanh_of, is_nan, scalar::tanh::<true>
);
elementary!(
    /// `d = log a`
    log, log_one, log_of, |x| outside(x, f64::MIN_POSITIVE, f64::MAX), scalar::log::<true>
);
elementary!(
    /// `d = log(1 + a)`
    log1p, log1p_one, log1p_of, |x| outside(x, -1.0 + f64::EPSILON, 1e300), scalar::log1p::<true>
);
elementary!(
    /// `d = log(1 + e^a)`
    softplus, softplus_one, softplus_of, is_nan, scalar::softplus::<true>
);
elementary!(
    /// `d = 1 / (1 + e^-a)`
    sigmoid, sigmoid_one, sigmoid_of, is_nan, scalar::sigmoid::<true>
);

/// `d` = softplus, `c` = sigmoid of `a`
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn softplus_sigmoid(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, n: usize) {
    let (t, c) = (Constants::hidden(), c.cast_mut());
    let whole = n / ALL * ALL;
    // SAFETY: the caller vouches for n doubles at all three.
    unsafe {
        for start in (0..whole).step_by(RUN * ALL) {
            let end = whole.min(start + RUN * ALL);
            let mut any = Group::all(0.0);
            for i in (start..end).step_by(ALL) {
                any = any.or(is_nan(Group::load(a.add(i))));
            }
            let far = any.any();
            for i in (start..end).step_by(ALL) {
                let x = Group::load(a.add(i));
                let (y, z) = if far { patched_pair(t, x) } else { pair(t, x) };
                y.store(d.add(i));
                z.store(c.add(i));
            }
        }
        if whole < n {
            let (y, z) = patched_pair(t, first(a.add(whole), n - whole));
            store_first(d.add(whole), y, n - whole);
            store_first(c.add(whole), z, n - whole);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn pair(c: Constants, x: Group) -> (Group, Group) {
    let e = falling(c, x);
    (softplus_from(c, x, e), sigmoid_from(c, x, e))
}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn patched_pair(c: Constants, x: Group) -> (Group, Group) {
    let (y, z) = pair(c, x);
    (patched!(y, x, is_nan, scalar::softplus::<true>), patched!(z, x, is_nan, scalar::sigmoid::<true>))
}
