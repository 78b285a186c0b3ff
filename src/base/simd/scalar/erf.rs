//! Error functions and the normal distribution function, branch-free so that a loop over them vectorises.

use super::bits::{clamp, fma, poly, select, upper_half};
use super::exp::times_exp;

/// `erf(x)/x` in powers of `x²`, `|x| <= 1`, relative error `2^-56.9`.
const ERF_SMALL: [f64; 12] = [
    std::f64::consts::FRAC_2_SQRT_PI,
    -0.3761263890318352,
    0.112837916709442,
    -0.026866170643113415,
    0.005223977606130842,
    -0.0008548325929766244,
    0.0001205529358693695,
    -1.4924712439534814e-05,
    1.6447132699786621e-06,
    -1.6206318752969208e-07,
    1.3710988704190523e-08,
    -7.779462971761597e-10,
];

/// `(1 + 2x) exp(x²) erfc(x)` in powers of `(x - 3)/(x + 3)`, `1 <= x <= 6.1`, error `2^-55` of erf.
const ERF_LARGE: [f64; 11] = [
    1.2530080582708922,
    -0.13562110608672195,
    -0.047562294564731114,
    0.1296451373009852,
    -0.1192740245042351,
    0.06830483867202788,
    -0.023787999432549323,
    0.0024661423279053888,
    0.001735142199049199,
    -0.0010260810470317343,
    -0.0003502476290024883,
];

/// `(1 + 9x/8) exp(x²) erfc(x)` in powers of `(x - 4)/(x + 4)`, `0 <= x <= 28`, relative error `2^-55.1`. The factor
/// makes the slope at zero vanish, and with it the effect of rounding the argument.
const ERFCX: [f64; 22] = [
    0.7534970169378377,
    -0.19187914955539176,
    0.10434091383445909,
    -0.03355820178678051,
    -0.009163084533103731,
    0.025115050343318845,
    -0.02361749354886326,
    0.015287501113115167,
    -0.007334860000123711,
    0.0024808650454764625,
    -0.00043576870161701276,
    -7.752641027310892e-05,
    7.485837865784586e-05,
    -1.4557886883077979e-05,
    -5.029304800264e-06,
    3.033195208580427e-06,
    4.9634353487432054e-08,
    -4.207324430357922e-07,
    4.421117915925015e-08,
    5.212998086275238e-08,
    -6.148676259641487e-09,
    -4.696025447152119e-09,
];

/// `factor exp(-c x²)` for `c` a power of two, `|x| <= 40`: the square is split so that nothing is rounded
/// before the exponential.
#[inline(always)]
fn times_gaussian<const FMA: bool>(factor: f64, x: f64, c: f64) -> f64 {
    let z = upper_half(x);
    times_exp::<FMA>(factor, -c * z * z, -c * (x - z) * (x + z))
}

/// Scaled complementary error function `exp(x²) erfc(x)` for `0 <= x <= 28`. Error below 2 ulp.
#[inline(always)]
pub fn erfcx<const FMA: bool>(x: f64) -> f64 {
    poly::<FMA, 22>((x - 4.0) / (x + 4.0), &ERFCX) / fma::<FMA>(1.125, x, 1.0)
}

/// `erf x`. Error below 2.5 ulp.
#[inline(always)]
pub fn erf<const FMA: bool>(x: f64) -> f64 {
    let a = clamp(x.abs(), 0.0, 6.1);
    let small = a * poly::<FMA, 12>(a * a, &ERF_SMALL);
    let g = poly::<FMA, 11>((a - 3.0) / (a + 3.0), &ERF_LARGE) / fma::<FMA>(2.0, a, 1.0);
    let large = 1.0 - times_gaussian::<FMA>(g, a, 1.0);
    select(a < 1.0, small, large).copysign(x)
}

/// `erfc x = 1 - erf x`. Error below 4 ulp.
#[inline(always)]
pub fn erfc<const FMA: bool>(x: f64) -> f64 {
    let a = clamp(x.abs(), 0.0, 28.0);
    let y = times_gaussian::<FMA>(erfcx::<FMA>(a), a, 1.0);
    select(x < 0.0, 2.0 - y, y)
}

/// Standard normal distribution function `Phi(x) = erfc(-x/sqrt 2)/2`. Error below 4 ulp.
#[inline(always)]
pub fn normal_cdf<const FMA: bool>(x: f64) -> f64 {
    let a = clamp(x.abs(), 0.0, 39.0);
    let g = erfcx::<FMA>(a * std::f64::consts::FRAC_1_SQRT_2);
    // exp(-x²/2) from x itself: the tail would magnify the rounding of x/sqrt 2 by x².
    let y = times_gaussian::<FMA>(0.5 * g, a, 0.5);
    select(x > 0.0, 1.0 - y, y)
}
