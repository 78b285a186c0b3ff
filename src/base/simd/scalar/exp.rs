//! Exponentials and the logistic family, branch-free so that a loop over them vectorises.

use super::bits::{clamp, fma, poly, pow2, round, select};
use super::log::{LN2_HI, LN2_LO};

/// `(e^r - 1 - r) / r²` for `|r| <= ln(2)/2`, relative error `2^-58`.
const TAIL: [f64; 11] = [
    0.5,
    0.1666666666666667,
    0.041666666666666616,
    0.008333333333326153,
    0.001388888888891799,
    0.00019841269874765153,
    2.4801587245716903e-05,
    2.7557255461782194e-06,
    2.755734960392068e-07,
    2.510519422227151e-08,
    2.0889390886249168e-09,
];

/// `2 atanh(s)/s - 2` over `s²`, in powers of `s²` for `|s| <= 1/3`, relative error `2^-58`.
const ATANH: [f64; 11] = [
    0.6666666666666666,
    0.39999999999999514,
    0.28571428571602453,
    0.22222222197963998,
    0.18181819913987624,
    0.15384543424461963,
    0.13335189720034604,
    0.11734138297724586,
    0.10846257876196311,
    0.0748756189799817,
    0.1563884133862516,
];

/// No correction: negative zero, the addition of which the compiler leaves out.
const NONE: f64 = -0.0;

/// Cody and Waite: `(n, r)` with `x + low = n ln 2 + r`, `n` integral, `|r|` at most about `ln(2)/2`.
#[inline(always)]
fn reduce<const FMA: bool>(x: f64, low: f64) -> (f64, f64) {
    let n = round((x + low) * std::f64::consts::LOG2_E);
    let r = fma::<FMA>(n, -LN2_HI, x);
    (n, fma::<FMA>(n, -LN2_LO, r) + low)
}

/// `e^r - 1` for `|r| <= ln(2)/2`.
#[inline(always)]
fn expm1_reduced<const FMA: bool>(r: f64) -> f64 {
    fma::<FMA>(r * r, poly::<FMA, 11>(r, &TAIL), r)
}

/// `2^n y` for integral `|n| <= 2044`, in two steps because `2^n` may overflow where the product does not.
#[inline(always)]
fn scale(y: f64, n: f64) -> f64 {
    let half = round(0.5 * n);
    y * pow2(half) * pow2(n - half)
}

/// `factor exp(x + low)` for a correction `|low| < 0.01`. Error below 1 ulp and that of the factor.
#[inline(always)]
pub(super) fn times_exp<const FMA: bool>(factor: f64, x: f64, low: f64) -> f64 {
    let (n, r) = reduce::<FMA>(clamp(x, -760.0, 720.0), low);
    // One rounding less than the product with the exponential.
    scale(fma::<FMA>(factor, expm1_reduced::<FMA>(r), factor), n)
}

/// `e^x`. Error below 1 ulp.
#[inline(always)]
pub fn exp<const FMA: bool>(x: f64) -> f64 {
    let (n, r) = reduce::<FMA>(clamp(x, -760.0, 720.0), NONE);
    scale(1.0 + expm1_reduced::<FMA>(r), n)
}

/// `e^x - 1`. Error below 2 ulp.
#[inline(always)]
pub fn expm1<const FMA: bool>(x: f64) -> f64 {
    let (n, r) = reduce::<FMA>(clamp(x, -50.0, 720.0), NONE);
    // 2^n ((1 - 2^-n) + (e^r - 1)); from n = 1000 on the second power no longer matters.
    let unit = pow2(-clamp(n, -100.0, 1000.0));
    let y = scale((1.0 - unit) + expm1_reduced::<FMA>(r), n);
    // The sum turns -0 into 0.
    select(x == 0.0, x, y)
}

/// `tanh x`. Error below 3 ulp.
#[inline(always)]
pub fn tanh<const FMA: bool>(x: f64) -> f64 {
    let t = expm1::<FMA>(clamp(2.0 * x.abs(), 0.0, 50.0));
    (t / (t + 2.0)).copysign(x)
}

/// Logistic function `1 / (1 + e^-x)`. Error below 3 ulp.
#[inline(always)]
pub fn sigmoid<const FMA: bool>(x: f64) -> f64 {
    sigmoid_from(x, exp::<FMA>(-x.abs()))
}

/// `log(1 + e^x)`. Error below 3 ulp.
#[inline(always)]
pub fn softplus<const FMA: bool>(x: f64) -> f64 {
    softplus_from::<FMA>(x, exp::<FMA>(-x.abs()))
}

/// `softplus` and its derivative `sigmoid` for the price of one exponential; the same bits as
/// the two functions apart.
#[inline(always)]
pub fn softplus_sigmoid<const FMA: bool>(x: f64) -> (f64, f64) {
    let e = exp::<FMA>(-x.abs());
    (softplus_from::<FMA>(x, e), sigmoid_from(x, e))
}

/// `sigmoid x` given `e = exp(-|x|)`.
#[inline(always)]
fn sigmoid_from(x: f64, e: f64) -> f64 {
    select(x < 0.0, e, 1.0) / (1.0 + e)
}

/// `softplus x` given `e = exp(-|x|)`: `max(x, 0) + 2 atanh(e / (2 + e))`.
#[inline(always)]
fn softplus_from<const FMA: bool>(x: f64, e: f64) -> f64 {
    let s = e / (2.0 + e);
    let z = s * s;
    let log1p = fma::<FMA>(s * z, poly::<FMA, 11>(z, &ATANH), 2.0 * s);
    select(x > 0.0, x, 0.0) + log1p
}
