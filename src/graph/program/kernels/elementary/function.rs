//! The functions of a group of doubles.
//!
//! Safety, of all: the processor has the instruction set of the group.

use super::constants::{Constants, at};
use super::group::Group;

/// `c[k + 1] x + c[k]`
#[inline(always)]
unsafe fn pair<G: Group>(c: Constants, k: usize, x: G) -> G {
    // SAFETY: the caller has the instruction set, here and below.
    unsafe { c.get::<G>(k + 1).fma(x, c.get(k)) }
}

/// Polynomial of degree 10, coefficients from `k` on, by Estrin's scheme: few steps wait for one another.
#[inline(always)]
unsafe fn estrin<G: Group>(c: Constants, k: usize, x: G) -> G {
    // SAFETY: as above.
    unsafe {
        let z = x.mul(x);
        let w = z.mul(z);
        let high = c.get::<G>(k + 10).fma(z, pair(c, k + 8, x));
        let middle = pair(c, k + 6, x).fma(z, pair(c, k + 4, x));
        let low = pair(c, k + 2, x).fma(z, pair(c, k, x));
        high.fma(w, middle).fma(w, low)
    }
}

/// `(t, q)` with `e^x = 2^n (1 + q)`, the lowest bits of `t` being `n`.
#[inline(always)]
unsafe fn reduced<G: Group>(c: Constants, x: G) -> (G, G) {
    // SAFETY: as above.
    unsafe {
        let magic = c.get::<G>(at::MAGIC);
        let t = x.fma(c.get(at::LOG2_E), magic);
        let n = t.sub(magic);
        let r = n.fnma(c.get(at::LN2_HIGH), x);
        let r = n.fnma(c.get(at::LN2_LOW), r);
        (t, r.mul(r).fma(estrin(c, at::EXP, r), r))
    }
}

#[inline(always)]
pub(super) unsafe fn exp_of<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe {
        let (t, q) = reduced(c, x);
        q.add(c.get(at::ONE)).add_bits(t.to_exponent())
    }
}

/// Exponents above this may overflow.
const STEEP: f64 = 709.0;
/// Below this `e^x` has no full precision any more.
const FLAT: f64 = -708.39;

/// `e^x`, 0 where it is subnormal.
#[inline(always)]
pub(super) unsafe fn exp_or_zero<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe { exp_of(c, x).unless(x.less(G::all(FLAT))) }
}

/// Where `e^x` may overflow or x is NaN.
#[inline(always)]
pub(super) unsafe fn steep<G: Group>(x: G) -> G::Mask {
    // SAFETY: as above.
    unsafe { x.not_at_most(G::all(STEEP)) }
}

/// Where x is NaN.
#[inline(always)]
pub(super) unsafe fn is_nan<G: Group>(x: G) -> G::Mask {
    // SAFETY: as above.
    unsafe { x.not_at_most(x) }
}

/// `e^x - 1`; -1 to the last bit from -100 down.
#[inline(always)]
pub(super) unsafe fn expm1_of<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe {
        let (t, q) = reduced(c, x.max(G::all(-100.0)));
        let unit = c.get::<G>(at::ONE).add_bits(t.to_exponent());
        unit.fma(q, unit.sub(c.get(at::ONE)))
    }
}

/// `tanh x = t / (t + 2)` with `t = e^2x - 1`, by the magnitude; 1 from 20 on.
#[inline(always)]
pub(super) unsafe fn tanh_of<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe {
        let sign = c.get::<G>(at::SIGN);
        let a = sign.mask_out(x).min(c.get(at::TWENTY));
        let t = expm1_of(c, a.add(a));
        t.div(t.add(c.get(at::TWO))).or(x.and(sign))
    }
}

/// `(k, f)` with `x = 2^k (1 + f)`, `1 + f` in `[sqrt(1/2), sqrt 2)`, for normal `x > 0`.
#[inline(always)]
unsafe fn split<G: Group>(c: Constants, x: G) -> (G, G) {
    // SAFETY: as above.
    unsafe {
        // The mantissa carries into the exponent exactly when it is at least sqrt 2.
        let carried = x.add_bits(c.get(at::CARRY));
        let k = carried.exponent_bits().or(c.get(at::EXPONENT)).sub(c.get(at::BIAS));
        let m = carried.and(c.get(at::MANTISSA)).add_bits(c.get(at::ROOT));
        (k, m.sub(c.get(at::ONE)))
    }
}

/// `k ln 2 + log(1 + f) + low` given `s = f / (2 + f)`:
/// `log(1 + f) = f - f²/2 + s (f²/2 + R)`.
#[inline(always)]
unsafe fn assemble<G: Group>(c: Constants, k: G, f: G, s: G, low: G) -> G {
    // SAFETY: as above.
    unsafe {
        let half = f.mul(c.get(at::HALF)).mul(f);
        let low = k.fma(c.get(at::LN2_LOW), low);
        let z = s.mul(s);
        let w = z.mul(z);
        let even = c.get::<G>(at::NEAR + 5).fma(w, c.get(at::NEAR + 3)).fma(w, c.get(at::NEAR + 1));
        let odd = c.get::<G>(at::NEAR + 6).fma(w, c.get(at::NEAR + 4));
        let odd = odd.fma(w, c.get(at::NEAR + 2)).fma(w, c.get(at::NEAR));
        let r = even.fma(w, odd.mul(z));
        let low = s.fma(half.add(r), low);
        k.fma(c.get(at::LN2_HIGH), f.sub(half.sub(low)))
    }
}

#[inline(always)]
pub(super) unsafe fn log_of<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe {
        let (k, f) = split(c, x);
        let s = f.div(f.add(c.get(at::TWO)));
        assemble(c, k, f, s, G::all(0.0))
    }
}

/// `log u` for `u = 1 + x` rounded, corrected by what the rounding lost, over `u`.
#[inline(always)]
pub(super) unsafe fn log1p_of<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe {
        let one = c.get::<G>(at::ONE);
        let u = x.add(one);
        let small = x.sub(u.sub(one));
        let large = one.sub(u.sub(x));
        let low = G::choose(x.less(one), small, large).div(u);
        let (k, scaled) = split(c, u);
        let exact = k.equal(G::all(0.0));
        let f = G::choose(exact, x, scaled);
        let s = f.div(f.add(c.get(at::TWO)));
        assemble(c, k, f, s, low.unless(exact))
    }
}

/// `2 atanh s` for `|s| <= 1/3`
#[inline(always)]
unsafe fn twice_atanh<G: Group>(c: Constants, s: G) -> G {
    // SAFETY: as above.
    unsafe {
        let z = s.mul(s);
        s.mul(z).fma(estrin(c, at::ATANH, z), s.add(s))
    }
}

/// `e^-|x|`
#[inline(always)]
pub(super) unsafe fn falling<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe { exp_or_zero(c, x.or(c.get(at::SIGN))) }
}

/// From `e = e^-|x|`: `max(x, 0) + 2 atanh(e / (2 + e))`.
#[inline(always)]
pub(super) unsafe fn softplus_from<G: Group>(c: Constants, x: G, e: G) -> G {
    // SAFETY: as above.
    unsafe {
        let s = e.div(e.add(c.get(at::TWO)));
        x.max(G::all(0.0)).add(twice_atanh(c, s))
    }
}

/// From `e = e^-|x|`: `1 / (1 + e)`, or `e / (1 + e)` below zero.
#[inline(always)]
pub(super) unsafe fn sigmoid_from<G: Group>(c: Constants, x: G, e: G) -> G {
    // SAFETY: as above.
    unsafe {
        let one = c.get::<G>(at::ONE);
        G::choose(x.negative(), e, one).div(e.add(one))
    }
}

#[inline(always)]
pub(super) unsafe fn softplus_of<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe { softplus_from(c, x, falling(c, x)) }
}

#[inline(always)]
pub(super) unsafe fn sigmoid_of<G: Group>(c: Constants, x: G) -> G {
    // SAFETY: as above.
    unsafe { sigmoid_from(c, x, falling(c, x)) }
}

/// Where `x` is not between the limits.
#[inline(always)]
unsafe fn outside<G: Group>(x: G, low: f64, high: f64) -> G::Mask {
    // SAFETY: as above.
    unsafe { G::either(x.not_at_least(G::all(low)), x.not_at_most(G::all(high))) }
}

/// Where the logarithm is not that of a normal number.
#[inline(always)]
pub(super) unsafe fn not_normal<G: Group>(x: G) -> G::Mask {
    // SAFETY: as above.
    unsafe { outside(x, f64::MIN_POSITIVE, f64::MAX) }
}

/// Where `1 + x` is not far enough from its ends.
#[inline(always)]
pub(super) unsafe fn not_between<G: Group>(x: G) -> G::Mask {
    // SAFETY: as above.
    unsafe { outside(x, -1.0 + f64::EPSILON, 1e300) }
}
