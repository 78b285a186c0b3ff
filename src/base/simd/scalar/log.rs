//! Natural logarithms, branch-free so that a loop over them vectorises.

use super::bits::{fma, select};

/// High part of ln 2: its last 20 bits are zero, so that a product with an exponent is exact.
pub(super) const LN2_HI: f64 = 6.931_471_803_691_238e-1;
/// `ln 2 - LN2_HI`.
pub(super) const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;

/// `2^54`: lifts a subnormal number into the normal range.
const TWO54: f64 = 18_014_398_509_481_984.0;

/// Splits a finite `x > 0` as `2^k (1 + f)` with `1 + f` in `[sqrt(1/2), sqrt 2)`; returns `(k, f)`.
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    let bits = select(tiny, x * TWO54, x).to_bits();
    // Adding 1 - sqrt(1/2) in the mantissa field carries into the exponent exactly when the
    // mantissa is at least sqrt 2.
    let carried = bits.wrapping_add(0x3ff0_0000_0000_0000 - 0x3fe6_a09e_667f_3bcd);
    // The biased exponent as a number, without an integer conversion: OR it into 2^52.
    let biased = f64::from_bits((carried >> 52) | 0x4330_0000_0000_0000) - 4_503_599_627_370_496.0;
    let k = biased - select(tiny, 1077.0, 1023.0);
    let mantissa = (carried & 0x000f_ffff_ffff_ffff).wrapping_add(0x3fe6_a09e_667f_3bcd);
    (k, f64::from_bits(mantissa) - 1.0)
}

/// `(s, R)` with `s = f / (2 + f)` and `log(1 + f) = f - f²/2 + s (f²/2 + R)`, `R = O(s²)`:
/// the rearranged series `log(1+f) = 2 atanh(s)`.
#[inline(always)]
fn tail<const FMA: bool>(f: f64) -> (f64, f64) {
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = fma::<FMA>(w, fma::<FMA>(w, ATANH[5], ATANH[3]), ATANH[1]) * w;
    let odd = fma::<FMA>(w, fma::<FMA>(w, fma::<FMA>(w, ATANH[6], ATANH[4]), ATANH[2]), ATANH[0]);
    (s, fma::<FMA>(odd, z, even))
}

/// Minimax coefficients of `2 atanh(s)/s - 2` in powers of `s²`, `|s| <= 0.1716`.
const ATANH: [f64; 7] = [
    0.666666666666667,
    0.39999999999899116,
    0.28571428626132106,
    0.22222211111592052,
    0.18182890677893374,
    0.15331673745263524,
    0.14617002504766258,
];

/// Values of a logarithm outside `(0, inf)`: NaN below zero, `-inf` at zero, `x` at `inf` and NaN.
#[inline(always)]
fn edges(x: f64, zero: bool, negative: bool, y: f64) -> f64 {
    let y = select(x < f64::INFINITY, y, x);
    let y = select(zero, f64::NEG_INFINITY, y);
    select(negative, f64::NAN, y)
}

/// `log x`. Error below 1 ulp; NaN for `x < 0`, `-inf` at zero.
#[inline(always)]
pub fn log<const FMA: bool>(x: f64) -> f64 {
    let (k, f) = split(x);
    let (s, r) = tail::<FMA>(f);
    let half = 0.5 * f * f;
    let low = fma::<FMA>(s, half + r, k * LN2_LO);
    let y = fma::<FMA>(k, LN2_HI, f - (half - low));
    edges(x, x == 0.0, x < 0.0, y)
}

/// `log(1 + x)`. Error below 1.5 ulp; NaN for `x < -1`, `-inf` at -1.
#[inline(always)]
pub fn log1p<const FMA: bool>(x: f64) -> f64 {
    let u = 1.0 + x;
    // What rounding `1 + x` lost, whichever of the two summands is the larger.
    let lost = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x));
    let (k, scaled) = split(u);
    let exact = k == 0.0;
    let f = select(exact, x, scaled);
    let correction = select(exact, 0.0, lost / u);
    let (s, r) = tail::<FMA>(f);
    let half = 0.5 * f * f;
    let low = fma::<FMA>(s, half + r, fma::<FMA>(k, LN2_LO, correction));
    let y = fma::<FMA>(k, LN2_HI, f - (half - low));
    // Below 2^-54 the sum above is `x` already, except that it loses the sign of -0.
    let y = select(x.abs() < 5e-17, x, y);
    edges(x, x == -1.0, x < -1.0, y)
}
