//! Error functions and the normal distribution function, branch-free so that a loop over them vectorises.

use super::bits::{clamp, fma, poly, select, upper_half};
use super::exp::exp_with;

/// `erf(x)/x` in powers of `x²`, `|x| <= 1`, relative error `2^-56.9`.
const ERF_SMALL: [f64; 12] = [
    1.1283791670955126,
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

/// `(1 + 2x) exp(x²) erfc(x)` in powers of `(x - 4)/(x + 4)`, `0 <= x <= 28`, relative error `2^-54.4`.
const ERFCX: [f64; 22] = [
    1.2329951186255526,
    -0.13962111684056316,
    0.015379652102605893,
    0.06809705425476302,
    -0.10103906603555113,
    0.0937328349962251,
    -0.06633036582837698,
    0.03716751556550302,
    -0.01619773387847351,
    0.005031969788976109,
    -0.0007577744542539668,
    -0.000199256024773289,
    0.0001506263909807,
    -2.4400233773212766e-05,
    -1.1234163010774038e-05,
    5.709000505074259e-06,
    3.1346148541544816e-07,
    -8.199774273776538e-07,
    5.5605532823271395e-08,
    1.0151945854521961e-07,
    -8.218819635704346e-09,
    -8.44122247713223e-09,
];

/// `exp(-c x²)` for `c` a power of two, `|x| <= 40`: the square is split so that nothing is rounded before the
/// exponential.
#[inline(always)]
fn gaussian<const FMA: bool>(x: f64, c: f64) -> f64 {
    let z = upper_half(x);
    exp_with::<FMA>(-c * z * z, -c * (x - z) * (x + z))
}

/// Scaled complementary error function `exp(x²) erfc(x)` for `0 <= x <= 28`. Error below 2 ulp.
#[inline(always)]
pub fn erfcx<const FMA: bool>(x: f64) -> f64 {
    poly::<FMA, 22>((x - 4.0) / (x + 4.0), &ERFCX) / fma::<FMA>(2.0, x, 1.0)
}

/// `erf x`. Error below 2 ulp.
#[inline(always)]
pub fn erf<const FMA: bool>(x: f64) -> f64 {
    let a = clamp(x.abs(), 0.0, 6.1);
    let small = a * poly::<FMA, 12>(a * a, &ERF_SMALL);
    let g = poly::<FMA, 11>((a - 3.0) / (a + 3.0), &ERF_LARGE) / fma::<FMA>(2.0, a, 1.0);
    let large = 1.0 - gaussian::<FMA>(a, 1.0) * g;
    select(a < 1.0, small, large).copysign(x)
}

/// `erfc x = 1 - erf x`. Error below 4 ulp.
#[inline(always)]
pub fn erfc<const FMA: bool>(x: f64) -> f64 {
    let a = clamp(x.abs(), 0.0, 28.0);
    let y = gaussian::<FMA>(a, 1.0) * erfcx::<FMA>(a);
    select(x < 0.0, 2.0 - y, y)
}

/// Standard normal distribution function `Phi(x) = erfc(-x/sqrt 2)/2`. Error below 4 ulp.
#[inline(always)]
pub fn normal_cdf<const FMA: bool>(x: f64) -> f64 {
    let a = clamp(x.abs(), 0.0, 39.0);
    // exp(-x²/2) from x itself: the tail would magnify the rounding of x/sqrt 2 by x².
    let y = gaussian::<FMA>(a, 0.5) * (0.5 * erfcx::<FMA>(a * std::f64::consts::FRAC_1_SQRT_2));
    select(x > 0.0, 1.0 - y, y)
}
