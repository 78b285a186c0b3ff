//! Sine, cosine and arc tangent, branch-free so that a loop over them vectorises.

use super::bits::{fma, poly, select};

/// Beyond this the reduction of [`sin`] and [`cos`] by three parts of pi/2 is not exact enough.
const LIMIT: f64 = 1e5;

/// pi/2 in three parts: 33 bits, 33 bits (products with a 17-bit integer are exact), 53 bits.
const HALF_PI: [f64; 3] = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21];

/// `(sin(r)/r - 1) / r²` in powers of `r²`, `|r| <= pi/4`, relative error `2^-52.8`.
const SIN: [f64; 6] = [
    -0.16666666666666666,
    0.008333333333330924,
    -0.00019841269836726037,
    2.7557316087676817e-06,
    -2.5051129068897963e-08,
    1.5917947957586513e-10,
];

/// `(cos(r) - 1 + r²/2) / r^4` in powers of `r²`, `|r| <= pi/4`, relative error `2^-54.8`.
const COS: [f64; 6] = [
    0.041666666666666664,
    -0.0013888888888887387,
    2.4801587298752106e-05,
    -2.755731726549524e-07,
    2.087614510029343e-09,
    -1.138255582903556e-11,
];

/// `(atan(t)/t - 1) / t²` in powers of `t²`, `|t| <= tan(pi/8)`, relative error `2^-53.3`.
const ATAN: [f64; 11] = [
    -0.3333333333333333,
    0.19999999999995607,
    -0.1428571428468294,
    0.11111111016465487,
    -0.09090904623452002,
    0.07692184167644138,
    -0.06664524270677488,
    0.05858253153851645,
    -0.05085962028787989,
    0.039245601777637265,
    -0.01919302115596745,
];

/// Whether [`sin`] and [`cos`] here do not apply: `|x| > 1e5`, infinite or NaN.
#[inline(always)]
pub(in crate::base::simd) fn far(x: f64) -> bool {
    x.abs() > LIMIT || x.is_nan()
}

/// Cody and Waite in three parts: `(q, r, low)` with `x = n pi/2 + r + low`, `n = q mod 4`, the remainder
/// exact to about `2^-100`.
#[inline(always)]
fn reduce<const FMA: bool>(x: f64) -> (u64, f64, f64) {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let shifted = fma::<FMA>(x, std::f64::consts::FRAC_2_PI, MAGIC);
    let n = shifted - MAGIC;
    let first = fma::<FMA>(-n, HALF_PI[0], x);
    let part = n * HALF_PI[1];
    // Two-sum: cancellation may leave either operand the larger.
    let second = first - part;
    let back = second - first;
    let error = (first - (second - back)) - (part + back);
    let low = fma::<FMA>(-n, HALF_PI[2], error);
    let r = second + low;
    (shifted.to_bits(), r, (second - r) + low)
}

/// Sine of `n pi/2 + r + low`, `n = q mod 4`.
#[inline(always)]
fn sin_quadrant<const FMA: bool>(q: u64, r: f64, low: f64) -> f64 {
    let z = r * r;
    let half = 0.5 * z;
    let sine = r + fma::<FMA>(z * r, poly::<FMA, 6>(z, &SIN), low * (1.0 - half));
    let one = 1.0 - half;
    let rest = fma::<FMA>(z * z, poly::<FMA, 6>(z, &COS), fma::<FMA>(-r, low, (1.0 - one) - half));
    let cosine = one + rest;
    // Bit 0 of the quadrant swaps the two, bit 1 flips the sign.
    let swap = (q & 1).wrapping_neg();
    let bits = (sine.to_bits() & !swap) | (cosine.to_bits() & swap);
    f64::from_bits(bits ^ ((q & 2) << 62))
}

/// `sin x` for `|x| <= 1e5`. Error below 1 ulp.
#[inline(always)]
pub fn sin<const FMA: bool>(x: f64) -> f64 {
    let (q, r, low) = reduce::<FMA>(x);
    // The sums in the reduction lose the sign of -0.
    select(x == 0.0, x, sin_quadrant::<FMA>(q, r, low))
}

/// `cos x` for `|x| <= 1e5`. Error below 1 ulp.
#[inline(always)]
pub fn cos<const FMA: bool>(x: f64) -> f64 {
    let (q, r, low) = reduce::<FMA>(x);
    sin_quadrant::<FMA>(q.wrapping_add(1), r, low)
}

/// `atan x`. Error below 2 ulp.
#[inline(always)]
pub fn atan<const FMA: bool>(x: f64) -> f64 {
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
    let a = x.abs();
    // atan a = base + atan t: t = a, (a - 1)/(a + 1) beyond tan(pi/8), -1/a beyond tan(3 pi/8).
    let (middle, large) = (a > 0.41421356237309503, a > 2.414213562373095);
    let num = select(large, -1.0, select(middle, a - 1.0, a));
    let den = select(large, a, select(middle, a + 1.0, 1.0));
    let base = select(large, FRAC_PI_2, select(middle, FRAC_PI_4, 0.0));
    let base_low = select(large, 6.123233995736766e-17, select(middle, 3.061616997868383e-17, 0.0));
    let t = num / den;
    let z = t * t;
    let tail = fma::<FMA>(z * t, poly::<FMA, 11>(z, &ATAN), base_low);
    (base + (t + tail)).copysign(x)
}
