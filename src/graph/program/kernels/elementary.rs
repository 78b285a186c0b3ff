//! Exponentials and logarithms on AVX2 with fused multiply-add: what most densities spend their time on.
//!
//! The series are those of `base::simd::scalar`, with fewer steps for ordinary arguments; elements outside
//! their range take the functions there. An element's result does not depend on its place or company.
//! Errors are below 3 units in the last place.

use std::arch::x86_64::*;

use super::group::{Group, W};
use super::table::{TABLE, Table, at};
use crate::base::simd::scalar;

/// The table, at an address that the compiler does not see through.
#[derive(Clone, Copy)]
struct Constants(&'static Table);

impl Constants {
    fn hidden() -> Constants {
        Constants(std::hint::black_box(&TABLE))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn get(self, k: usize) -> Group {
        // SAFETY: four doubles, aligned.
        Group([unsafe { _mm256_load_pd(self.0.0[k].as_ptr()) }; W])
    }
}

/// Polynomial of degree 10, coefficients from `k` on, by Estrin's scheme: few steps wait for one another.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn estrin(c: Constants, k: usize, x: Group) -> Group {
    let pair = |i: usize| c.get(k + i + 1).fma(x, c.get(k + i));
    let z = x.mul(x);
    let w = z.mul(z);
    let high = c.get(k + 10).fma(z, pair(8));
    let middle = pair(6).fma(z, pair(4));
    let low = pair(2).fma(z, pair(0));
    high.fma(w, middle).fma(w, low)
}

/// `(t, q)` with `e^x = 2^n (1 + q)`, the lowest bits of `t` being `n`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn reduced(c: Constants, x: Group) -> (Group, Group) {
    let magic = c.get(at::MAGIC);
    let t = x.fma(c.get(at::LOG2_E), magic);
    let n = t.sub(magic);
    let r = n.fnma(c.get(at::LN2_HIGH), x);
    let r = n.fnma(c.get(at::LN2_LOW), r);
    (t, r.mul(r).fma(estrin(c, at::EXP, r), r))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn exp_of(c: Constants, x: Group) -> Group {
    let (t, q) = reduced(c, x);
    q.add(c.get(at::ONE)).add_bits(t.to_exponent())
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn expm1_of(c: Constants, x: Group) -> Group {
    let (t, q) = reduced(c, x);
    let unit = c.get(at::ONE).add_bits(t.to_exponent());
    unit.fma(q, unit.sub(c.get(at::ONE)))
}

/// `tanh x = t / (t + 2)` with `t = e^2x - 1`, by the magnitude; 1 from 20 on.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn tanh_of(c: Constants, x: Group) -> Group {
    let sign = c.get(at::SIGN);
    let a = sign.mask_out(x).min(c.get(at::TWENTY));
    let t = expm1_of(c, a.add(a));
    t.div(t.add(c.get(at::TWO))).or(x.and(sign))
}

/// `(k, f)` with `x = 2^k (1 + f)`, `1 + f` in `[sqrt(1/2), sqrt 2)`, for normal `x > 0`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn split(c: Constants, x: Group) -> (Group, Group) {
    // The mantissa carries into the exponent exactly when it is at least sqrt 2.
    let carried = x.add_bits(c.get(at::CARRY));
    let k = carried.exponent_bits().or(c.get(at::EXPONENT)).sub(c.get(at::BIAS));
    let m = carried.and(c.get(at::MANTISSA)).add_bits(c.get(at::ROOT));
    (k, m.sub(c.get(at::ONE)))
}

/// `k ln 2 + log(1 + f) + low` given `s = f / (2 + f)`:
/// `log(1 + f) = f - f²/2 + s (f²/2 + R)`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn assemble(c: Constants, k: Group, f: Group, s: Group, low: Group) -> Group {
    let near = |i: usize| c.get(at::NEAR + i);
    let half = f.mul(c.get(at::HALF)).mul(f);
    let low = k.fma(c.get(at::LN2_LOW), low);
    let z = s.mul(s);
    let w = z.mul(z);
    let even = near(5).fma(w, near(3)).fma(w, near(1));
    let odd = near(6).fma(w, near(4)).fma(w, near(2)).fma(w, near(0));
    let r = even.fma(w, odd.mul(z));
    let low = s.fma(half.add(r), low);
    k.fma(c.get(at::LN2_HIGH), f.sub(half.sub(low)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn log_of(c: Constants, x: Group) -> Group {
    let (k, f) = split(c, x);
    let s = f.div(f.add(c.get(at::TWO)));
    assemble(c, k, f, s, Group::all(0.0))
}

/// `log u` for `u = 1 + x` rounded, corrected by what the rounding lost, over `u`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn log1p_of(c: Constants, x: Group) -> Group {
    let one = c.get(at::ONE);
    let u = x.add(one);
    let small = x.sub(u.sub(one));
    let large = one.sub(u.sub(x));
    let low = x.less(one).choose(small, large).div(u);
    let (k, scaled) = split(c, u);
    let exact = k.equal(Group::all(0.0));
    let f = exact.choose(x, scaled);
    let s = f.div(f.add(c.get(at::TWO)));
    assemble(c, k, f, s, exact.mask_out(low))
}

/// `2 atanh s` for `|s| <= 1/3`
#[inline]
#[target_feature(enable = "avx2,fma")]
fn twice_atanh(c: Constants, s: Group) -> Group {
    let z = s.mul(s);
    s.mul(z).fma(estrin(c, at::ATANH, z), s.add(s))
}

/// `e^-|x|`
#[inline]
#[target_feature(enable = "avx2,fma")]
fn falling(c: Constants, x: Group) -> Group {
    exp_of(c, x.or(c.get(at::SIGN)))
}

/// From `e = e^-|x|`: `max(x, 0) + 2 atanh(e / (2 + e))`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn softplus_from(c: Constants, x: Group, e: Group) -> Group {
    let s = e.div(e.add(c.get(at::TWO)));
    x.max(Group::all(0.0)).add(twice_atanh(c, s))
}

/// From `e = e^-|x|`: `1 / (1 + e)`, or `e / (1 + e)` below zero.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn sigmoid_from(c: Constants, x: Group, e: Group) -> Group {
    let one = c.get(at::ONE);
    x.choose(e, one).div(e.add(one))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn softplus_of(c: Constants, x: Group) -> Group {
    softplus_from(c, x, falling(c, x))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn sigmoid_of(c: Constants, x: Group) -> Group {
    sigmoid_from(c, x, falling(c, x))
}

/// Sign bits set where a magnitude is above the limit, or is NaN.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn beyond(x: Group, limit: f64) -> Group {
    Group::all(-0.0).mask_out(x).not_at_most(Group::all(limit))
}

/// Sign bits set where `x` is not between the limits.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn outside(x: Group, low: f64, high: f64) -> Group {
    x.not_at_least(Group::all(low)).or(x.not_at_most(Group::all(high)))
}

/// Doubles of a group.
const ALL: usize = 4 * W;

/// Results of which some have to be computed one by one.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn patched(y: Group, x: Group, far: Group, slow: fn(f64) -> f64) -> Group {
    if far.any() { patch(y, x, far, slow) } else { y }
}

#[cold]
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn patch(y: Group, x: Group, far: Group, slow: fn(f64) -> f64) -> Group {
    let (mut out, mut from, mut bad) = ([0.0; ALL], [0.0; ALL], [0.0f64; ALL]);
    // SAFETY: the arrays hold a group.
    unsafe {
        y.store(out.as_mut_ptr());
        x.store(from.as_mut_ptr());
        far.store(bad.as_mut_ptr());
    }
    for i in (0..ALL).filter(|&i| bad[i].is_sign_negative()) {
        out[i] = slow(from[i]);
    }
    // SAFETY: as above.
    unsafe { Group::load(out.as_ptr()) }
}

/// The last doubles of a slice, ones behind them.
///
/// # Safety
/// `n < ALL` doubles are valid.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn first(a: *const f64, n: usize) -> Group {
    let mut x = [_mm256_set1_pd(1.0); W];
    for (w, x) in x.iter_mut().enumerate() {
        let m = mask(n, w);
        // SAFETY: doubles behind the mask are not read.
        let v = unsafe { _mm256_maskload_pd(a.add(4 * w), m) };
        *x = _mm256_blendv_pd(*x, v, _mm256_castsi256_pd(m));
    }
    Group(x)
}

/// Writes the first `n < ALL` doubles.
///
/// # Safety
/// They are valid.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_first(d: *mut f64, y: Group, n: usize) {
    for (w, y) in y.0.iter().enumerate() {
        // SAFETY: doubles behind the mask are not written.
        unsafe { _mm256_maskstore_pd(d.add(4 * w), mask(n, w), *y) };
    }
}

/// Bits set in those of the w-th four doubles that are among the first `n`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mask(n: usize, w: usize) -> __m256i {
    let place = _mm256_add_epi64(_mm256_set_epi64x(3, 2, 1, 0), _mm256_set1_epi64x(4 * w as i64));
    _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), place)
}

/// Groups of which it is known beforehand that all are ordinary.
const RUN: usize = 8;

/// A kernel from a function of a group, a test for those it is not for, and the function for these.
macro_rules! elementary {
    ($(#[$doc:meta])* $name:ident, $fast:expr, $far:expr, $slow:expr) => {
        $(#[$doc])*
        #[target_feature(enable = "avx2,fma")]
        pub(super) unsafe fn $name(
            d: *mut f64,
            a: *const f64,
            _: *const f64,
            _: *const f64,
            n: usize,
        ) {
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
                            patched($fast(c, x), x, $far(x), $slow).store(d.add(i));
                        }
                    }
                }
                if whole < n {
                    let x = first(a.add(whole), n - whole);
                    let y = patched($fast(c, x), x, $far(x), $slow);
                    store_first(d.add(whole), y, n - whole);
                }
            }
        }
    };
}

/// Exponents from here on need care with overflow and underflow.
const STEEP: f64 = 708.0;

elementary!(
    /// `d = e^a`
    exp, exp_of, |x| beyond(x, STEEP), scalar::exp::<true>
);
elementary!(
    /// `d = e^a - 1`
    expm1, expm1_of, |x| beyond(x, STEEP), scalar::expm1::<true>
);
elementary!(
    /// `d = tanh a`
    tanh, tanh_of, |x| beyond(x, f64::INFINITY), scalar::tanh::<true>
);
elementary!(
    /// `d = log a`
    log, log_of, |x| outside(x, f64::MIN_POSITIVE, f64::MAX), scalar::log::<true>
);
elementary!(
    /// `d = log(1 + a)`
    log1p, log1p_of, |x| outside(x, -1.0 + f64::EPSILON, 1e300), scalar::log1p::<true>
);
elementary!(
    /// `d = log(1 + e^a)`
    softplus, softplus_of, |x| beyond(x, STEEP), scalar::softplus::<true>
);
elementary!(
    /// `d = 1 / (1 + e^-a)`
    sigmoid, sigmoid_of, |x| beyond(x, STEEP), scalar::sigmoid::<true>
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
                any = any.or(beyond(Group::load(a.add(i)), STEEP));
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
    let far = beyond(x, STEEP);
    (patched(y, x, far, scalar::softplus::<true>), patched(z, x, far, scalar::sigmoid::<true>))
}
