//! Power of a positive number, branch-free so that a loop over it vectorises.

use super::bits::{clamp, fma, poly, two_product};
use super::exp::times_exp;
use super::log::{LN2_HI, LN2_LO, split};

/// 2/3 as a sum of two numbers.
const TWO_THIRDS: (f64, f64) = (0.6666666666666666, 3.700743415417188e-17);

/// `((2 atanh(s)/s - 2)/s² - 2/3) / s²` in powers of `s²`, `|s| <= 0.1716`, relative error `2^-57.6`.
const ATANH: [f64; 8] = [
    0.4,
    0.2857142857142937,
    0.2222222222165491,
    0.18181818335591193,
    0.1538459494328934,
    0.13334805650345932,
    0.11706212751302199,
    0.11723407118655467,
];

/// Whether [`pow`] here does not apply: `x` not positive or not finite, `|y| > 1e17`, NaN.
#[inline(always)]
pub(in crate::base::simd) fn far((x, y): (f64, f64)) -> bool {
    // Written so that NaN counts as far.
    !(x > 0.0 && x < f64::INFINITY && y.abs() <= 1e17)
}

/// `log x` as a sum of two numbers, relative error about `2^-64`, for finite `x > 0`.
#[inline(always)]
fn log_in_two<const FMA: bool>(x: f64) -> (f64, f64) {
    let (k, f) = split(x);
    // s = f / (2 + f) with the rounding of the sum and of the quotient made up for.
    let den = 2.0 + f;
    let den_low = f - (den - 2.0);
    let s = f / den;
    let (back, back_low) = two_product::<FMA>(s, den);
    let s_low = (((f - back) - back_low) - s * den_low) / den;
    // log(1 + f) = s (2 + z (2/3 + z P(z))), z = s².
    let (z, z_low) = two_product::<FMA>(s, s);
    let z_low = fma::<FMA>(2.0 * s, s_low, z_low);
    let rest = z * poly::<FMA, 8>(z, &ATANH);
    let c = TWO_THIRDS.0 + rest;
    let c_low = ((TWO_THIRDS.0 - c) + rest) + TWO_THIRDS.1;
    let (u, u_low) = two_product::<FMA>(z, c);
    let u_low = fma::<FMA>(z, c_low, fma::<FMA>(z_low, c, u_low));
    let g = 2.0 + u;
    let g_low = ((2.0 - g) + u) + u_low;
    let (l, l_low) = two_product::<FMA>(s, g);
    let l_low = fma::<FMA>(s, g_low, fma::<FMA>(s_low, g, l_low));
    // Add k log 2: its first part is exact, and either zero or larger than log(1 + f).
    let shift = k * LN2_HI;
    let high = shift + l;
    (high, ((shift - high) + l) + fma::<FMA>(k, LN2_LO, l_low))
}

/// `x^y` for finite `x > 0`, `|y| <= 1e17`. Error below 1.5 ulp.
#[inline(always)]
pub fn pow<const FMA: bool>((x, y): (f64, f64)) -> f64 {
    let (l, l_low) = log_in_two::<FMA>(x);
    let (e, e_low) = two_product::<FMA>(y, l);
    let e_low = fma::<FMA>(y, l_low, e_low);
    // Where the first term is clamped the second may be large, but no longer matters.
    times_exp::<FMA>(1.0, clamp(e, -760.0, 720.0), clamp(e_low, -1e-3, 1e-3))
}
