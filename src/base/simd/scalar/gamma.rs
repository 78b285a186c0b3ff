//! Log gamma and digamma of positive numbers, branch-free so that a loop over them vectorises.

use super::bits::{clamp, fma, poly, round, select};
use super::log::log;

/// `lgamma(2 + t)/t` in powers of `t`, `|t| <= 1/2`, relative error `2^-56.4`.
const LGAMMA: [f64; 18] = [
    0.42278433509846713,
    0.3224670334241133,
    -0.06735230105319576,
    0.020580808427765912,
    -0.007385551028925214,
    0.0028905103318433182,
    -0.0011927539013291014,
    0.0005096694950846501,
    -0.0002231549722649691,
    9.945794446011283e-05,
    -4.492377189916722e-05,
    2.050354240581732e-05,
    -9.456079077745651e-06,
    4.3935259232815636e-06,
    -1.9748258124918735e-06,
    8.998932618754793e-07,
    -5.806130915364658e-07,
    2.9771137296295797e-07,
];

/// `x (lgamma(x) - (x - 1/2) log x + x - log(2 pi)/2)` in powers of `1/x²`, `x >= 6.5`, relative error `2^-47.6` of a
/// term that is at most 0.0023 of the sum.
const STIRLING: [f64; 6] = [
    0.08333333333333294,
    -0.002777777776572423,
    0.0007936501890350341,
    -0.0005951266266294614,
    0.0008323499374652061,
    -0.0015403672236975335,
];

/// `digamma(z)/(z - root)` as a ratio in powers of `z - 3/2`, `1 <= z <= 2`, relative error `2^-57.7`.
const DIGAMMA_NUM: [f64; 6] = [
    0.9510558760318328,
    1.1081309317902872,
    0.45063782810808406,
    0.07704961854855738,
    0.005137061772318643,
    8.885474045639627e-05,
];
const DIGAMMA_DEN: [f64; 7] = [
    1.0,
    1.610587129184067,
    0.938308924472472,
    0.24765453685506994,
    0.02983787824819011,
    0.0014107905243022098,
    1.568122537910356e-05,
];

/// `x² (log x - 1/(2x) - digamma(x))` in powers of `1/x²`, `x >= 7`, relative error `2^-45` of a term that is at
/// most 0.001 of the sum.
const DIGAMMA_FAR: [f64; 6] = [
    0.08333333333333125,
    -0.008333333325860353,
    0.0039682496213238215,
    -0.004165737281276437,
    0.0074848580707879645,
    -0.01686361151400592,
];

/// Positive root of digamma in two parts.
const ROOT: (f64, f64) = (1.4616321449683622, 9.549995429965697e-17);

/// Whether [`lgamma`] and [`digamma`] here do not apply.
#[inline(always)]
pub(in crate::base::simd) fn far(x: f64) -> bool {
    x <= 0.0
}

/// `log Gamma(x)` for `x > 0` (`inf` at zero). Error below 6 ulp, also next to the roots 1 and 2.
#[inline(always)]
pub fn lgamma<const FMA: bool>(x: f64) -> f64 {
    const THRESHOLD: f64 = 6.5;
    let near = x < THRESHOLD;
    // x = 2 + k + t with |t| <= 1/2: Gamma(x) = Gamma(2 + t) p if k >= 0, Gamma(2 + t)/p otherwise.
    let k = round(clamp(x - 2.0, -2.0, 4.0));
    let t = x - (k + 2.0);
    let first = select(k >= 1.0, x - 1.0, select(k <= -1.0, x, 1.0));
    let second = select(k >= 2.0, x - 2.0, select(k <= -2.0, x + 1.0, 1.0));
    let third = select(k >= 3.0, x - 3.0, 1.0);
    let fourth = select(k >= 4.0, x - 4.0, 1.0);
    let l = log::<FMA>(select(near, (first * second) * (third * fourth), x));
    let small = fma::<FMA>(t, poly::<FMA, 18>(t, &LGAMMA), select(k < 0.0, -l, l));
    // Stirling, arranged so that infinity needs no exception; 0.4189... = log(2 pi)/2 - 1/2.
    let w = 1.0 / x;
    let tail = fma::<FMA>(w, poly::<FMA, 6>(w * w, &STIRLING), 0.4189385332046727);
    let large = fma::<FMA>(x - 0.5, l - 1.0, tail);
    select(near, small, large)
}

/// `digamma(x) = d log Gamma(x) / dx` for `x > 0`. Error below 6 ulp, also next to the root.
#[inline(always)]
pub fn digamma<const FMA: bool>(x: f64) -> f64 {
    const THRESHOLD: f64 = 7.0;
    let near = x < THRESHOLD;
    // x = k + z with 1 <= z <= 2: digamma(x) = digamma(z) + n/d, n/d the sum of 1/(x - j) over j = 1..k, or -1/x
    // if k = -1.
    let k = round(clamp(x - 1.5, -1.0, 5.0));
    let z = x - k;
    let (mut n, mut d) = (select(k < 0.0, -1.0, 0.0), select(k < 0.0, x, 1.0));
    // A table, because the compiler does not vectorise around a loop that it cannot unroll early.
    for j in [1.0, 2.0, 3.0, 4.0, 5.0] {
        let (more, term) = (k >= j, x - j);
        n = select(more, fma::<FMA>(n, term, d), n);
        d = select(more, d * term, d);
    }
    let p = poly::<FMA, 6>(z - 1.5, &DIGAMMA_NUM) * ((z - ROOT.0) - ROOT.1);
    let q = poly::<FMA, 7>(z - 1.5, &DIGAMMA_DEN);
    // One division serves both ranges.
    let num = select(near, fma::<FMA>(p, d, n * q), 1.0);
    let ratio = num / select(near, d * q, x);
    let v = ratio * ratio;
    let tail = fma::<FMA>(v, poly::<FMA, 6>(v, &DIGAMMA_FAR), 0.5 * ratio);
    select(near, ratio, log::<FMA>(x) - tail)
}

/// `log Gamma(1 + t)` for `|t| <= 1/2`, relative error 1e-15 for however small `t`.
pub fn lgamma1p(t: f64) -> f64 {
    t * poly::<false, 18>(t, &LGAMMA) - t.ln_1p()
}

/// Error of Stirling's formula, `lgamma(x) - (x - 1/2) log x + x - log(2 pi)/2`, for `x >= 6.5`; absolute error 1e-16.
pub fn stirling_error(x: f64) -> f64 {
    let w = 1.0 / x;
    w * poly::<false, 6>(w * w, &STIRLING)
}

/// `log |Gamma(x)|` for `x <= 0` by reflection: `inf` at the poles. The error grows next to the roots.
pub fn lgamma_reflected(x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        return f64::INFINITY;
    }
    if x > -1e-20 {
        return -x.abs().ln();
    }
    // log(pi / |x sin(pi x)|) - lgamma(-x), which does not round 1 - x.
    (std::f64::consts::PI / (x * sin_pi(x)).abs()).ln() - lgamma::<false>(-x)
}

/// `digamma(x)` for `x <= 0` by reflection: NaN at the poles (`-inf` at 0, `inf` at -0).
pub fn digamma_reflected(x: f64) -> f64 {
    if x > -1e-20 {
        return -1.0 / x;
    }
    let sine = sin_pi(x);
    if x == f64::NEG_INFINITY || sine == 0.0 {
        return f64::NAN;
    }
    // digamma(1 - x) - pi cot(pi x), the first term by the recurrence so that 1 - x is not rounded.
    digamma::<false>(-x) - 1.0 / x - std::f64::consts::PI * cos_pi(x) / sine
}

/// `sin(pi x)`, exactly zero at integers.
pub fn sin_pi(x: f64) -> f64 {
    let r = x - 2.0 * (0.5 * x).round();
    // sin(pi r) = sin(pi (±1 - r)): brings the argument next to zero, where the sine is exact.
    let r = if r.abs() > 0.5 { r.signum() - r } else { r };
    (std::f64::consts::PI * r).sin()
}

/// `cos(pi x)`.
pub fn cos_pi(x: f64) -> f64 {
    let r = (x - 2.0 * (0.5 * x).round()).abs();
    sin_pi(0.5 - r)
}
