//! The gamma function's logarithm, its derivatives, and the beta function.

use std::f64::consts::PI;

use crate::base::simd::scalar::{self, cos_pi, sin_pi, stirling_error};

/// `log |Gamma(x)|`: `inf` at the poles `0, -1, ...`. Error below 6 ulp for `x > 0`; relative 1e-13 below, except next to
/// the roots there.
pub fn lgamma(x: f64) -> f64 {
    if x <= 0.0 { scalar::lgamma_reflected(x) } else { scalar::lgamma::<false>(x) }
}

/// `digamma(x) = d lgamma(x) / dx`: NaN at the negative poles. Error below 6 ulp for `x > 0`.
pub fn digamma(x: f64) -> f64 {
    if x <= 0.0 { scalar::digamma_reflected(x) } else { scalar::digamma::<false>(x) }
}

/// Where the asymptotic series of the polygamma functions begin.
const FAR: f64 = 12.0;

/// `sum_k c_k v^k`.
fn series(v: f64, c: &[f64]) -> f64 {
    c.iter().rev().fold(0.0, |y, c| y * v + c)
}

/// `d digamma(x) / dx`: `inf` at the poles. Relative error 1e-15 for `x > 0`. Abramowitz & Stegun 6.4.12 after the
/// recurrence 6.4.6; reflection 6.4.7 below zero.
pub fn trigamma(x: f64) -> f64 {
    // Bernoulli numbers B_2, B_4, ...
    const B: [f64; 9] = [
        1.0 / 6.0,
        -1.0 / 30.0,
        1.0 / 42.0,
        -1.0 / 30.0,
        5.0 / 66.0,
        -691.0 / 2730.0,
        7.0 / 6.0,
        -3617.0 / 510.0,
        43867.0 / 798.0,
    ];
    if x <= 0.0 {
        let ratio = PI / sin_pi(x);
        return if ratio.is_finite() { ratio * ratio - trigamma(1.0 - x) } else { f64::INFINITY };
    }
    let (mut z, mut sum) = (x, 0.0);
    while z < FAR {
        sum += 1.0 / (z * z);
        z += 1.0;
    }
    let w = 1.0 / z;
    let v = w * w;
    sum + (w + v * (0.5 + w * series(v, &B)))
}

/// `d² digamma(x) / dx²`, negative for `x > 0`: NaN at the poles below zero. Relative error 1e-15 for `x > 0`.
/// Abramowitz & Stegun 6.4.11.
pub fn tetragamma(x: f64) -> f64 {
    // (2k + 1) B_2k
    const C: [f64; 9] =
        [0.5, -1.0 / 6.0, 1.0 / 6.0, -0.3, 5.0 / 6.0, -691.0 / 210.0, 17.5, -3617.0 / 30.0, 43867.0 / 42.0];
    if x == 0.0 {
        return f64::NEG_INFINITY.copysign(-x);
    }
    if x < 0.0 {
        let sine = sin_pi(x) / PI;
        return tetragamma(1.0 - x) - 2.0 * cos_pi(x) / (sine * sine * sine);
    }
    let (mut z, mut sum) = (x, 0.0);
    while z < FAR {
        sum += 2.0 / (z * z * z);
        z += 1.0;
    }
    let w = 1.0 / z;
    let v = w * w;
    -(sum + v * (1.0 + w + v * series(v, &C)))
}

/// `log B(a, b) = lgamma(a) + lgamma(b) - lgamma(a + b)` for `a, b > 0`, NaN below zero. Absolute error 1e-15 and
/// relative 1e-14: for large arguments the terms of Stirling's formula are combined before they cancel (Didonato &
/// Morris 1992, section 8).
pub fn lbeta(a: f64, b: f64) -> f64 {
    const HALF_LOG_TWO_PI: f64 = 0.918_938_533_204_672_7;
    let (p, q) = if a < b { (a, b) } else { (b, a) };
    if p.is_nan() || q.is_nan() || p < 0.0 {
        return f64::NAN;
    }
    if p == 0.0 || q == f64::INFINITY {
        return if p == 0.0 { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    if q < 10.0 {
        return lgamma(p) + lgamma(q) - lgamma(p + q);
    }
    let rest = (-p / (p + q)).ln_1p();
    if p < 10.0 {
        let correction = stirling_error(q) - stirling_error(p + q);
        return lgamma(p) + correction + p - p * (p + q).ln() + (q - 0.5) * rest;
    }
    let correction = stirling_error(p) + stirling_error(q) - stirling_error(p + q);
    HALF_LOG_TWO_PI - 0.5 * q.ln() + correction + (p - 0.5) * (p / (p + q)).ln() + q * rest
}

/// `log` of the binomial coefficient `n` over `k` for real `n >= k >= 0`: `-log(1 + n) - lbeta(n - k + 1, k + 1)`.
pub fn lchoose(n: f64, k: f64) -> f64 {
    if k == 0.0 || k == n {
        return 0.0;
    }
    -n.ln_1p() - lbeta(n - k + 1.0, k + 1.0)
}
