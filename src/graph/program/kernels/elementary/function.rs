//! The functions of four doubles.

use super::constants::{Constants, at};
use super::group::Group;

/// Polynomial of degree 10, coefficients from `k` on, by Estrin's scheme: few steps wait for one another.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn estrin(c: Constants, k: usize, x: Group) -> Group {
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
pub(super) fn reduced(c: Constants, x: Group) -> (Group, Group) {
    let magic = c.get(at::MAGIC);
    let t = x.fma(c.get(at::LOG2_E), magic);
    let n = t.sub(magic);
    let r = n.fnma(c.get(at::LN2_HIGH), x);
    let r = n.fnma(c.get(at::LN2_LOW), r);
    (t, r.mul(r).fma(estrin(c, at::EXP, r), r))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn exp_of(c: Constants, x: Group) -> Group {
    let (t, q) = reduced(c, x);
    q.add(c.get(at::ONE)).add_bits(t.to_exponent())
}

/// Exponents above this may overflow.
const STEEP: f64 = 709.0;
/// Below this `e^x` has no full precision any more.
const FLAT: f64 = -708.39;

/// `e^x`, 0 where it is subnormal.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn exp_or_zero(c: Constants, x: Group) -> Group {
    x.less(Group::all(FLAT)).mask_out(exp_of(c, x))
}

/// Sign bits set where `e^x` may overflow or x is NaN.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn steep(x: Group) -> Group {
    x.not_at_most(Group::all(STEEP))
}

/// Sign bits set where x is NaN.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn is_nan(x: Group) -> Group {
    x.not_at_most(x)
}

/// `e^x - 1`; -1 to the last bit from -100 down.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn expm1_of(c: Constants, x: Group) -> Group {
    let (t, q) = reduced(c, x.max(Group::all(-100.0)));
    let unit = c.get(at::ONE).add_bits(t.to_exponent());
    unit.fma(q, unit.sub(c.get(at::ONE)))
}

/// `tanh x = t / (t + 2)` with `t = e^2x - 1`, by the magnitude; 1 from 20 on.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn tanh_of(c: Constants, x: Group) -> Group {
    let sign = c.get(at::SIGN);
    let a = sign.mask_out(x).min(c.get(at::TWENTY));
    let t = expm1_of(c, a.add(a));
    t.div(t.add(c.get(at::TWO))).or(x.and(sign))
}

/// `(k, f)` with `x = 2^k (1 + f)`, `1 + f` in `[sqrt(1/2), sqrt 2)`, for normal `x > 0`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn split(c: Constants, x: Group) -> (Group, Group) {
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
pub(super) fn assemble(c: Constants, k: Group, f: Group, s: Group, low: Group) -> Group {
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
pub(super) fn log_of(c: Constants, x: Group) -> Group {
    let (k, f) = split(c, x);
    let s = f.div(f.add(c.get(at::TWO)));
    assemble(c, k, f, s, Group::all(0.0))
}

/// `log u` for `u = 1 + x` rounded, corrected by what the rounding lost, over `u`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn log1p_of(c: Constants, x: Group) -> Group {
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
pub(super) fn twice_atanh(c: Constants, s: Group) -> Group {
    let z = s.mul(s);
    s.mul(z).fma(estrin(c, at::ATANH, z), s.add(s))
}

/// `e^-|x|`
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn falling(c: Constants, x: Group) -> Group {
    exp_or_zero(c, x.or(c.get(at::SIGN)))
}

/// From `e = e^-|x|`: `max(x, 0) + 2 atanh(e / (2 + e))`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn softplus_from(c: Constants, x: Group, e: Group) -> Group {
    let s = e.div(e.add(c.get(at::TWO)));
    x.max(Group::all(0.0)).add(twice_atanh(c, s))
}

/// From `e = e^-|x|`: `1 / (1 + e)`, or `e / (1 + e)` below zero.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn sigmoid_from(c: Constants, x: Group, e: Group) -> Group {
    let one = c.get(at::ONE);
    x.choose(e, one).div(e.add(one))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn softplus_of(c: Constants, x: Group) -> Group {
    softplus_from(c, x, falling(c, x))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn sigmoid_of(c: Constants, x: Group) -> Group {
    sigmoid_from(c, x, falling(c, x))
}

/// Sign bits set where `x` is not between the limits.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn outside(x: Group, low: f64, high: f64) -> Group {
    x.not_at_least(Group::all(low)).or(x.not_at_most(Group::all(high)))
}
