//! Logarithms and exponentials combined without overflow or cancellation.

use std::f64::consts::LN_2;

use crate::base::simd::scalar;

/// `log(1 + e^x)` (softplus). Error below 3 ulp.
pub fn log1p_exp(x: f64) -> f64 {
    scalar::softplus::<false>(x)
}

/// `log(1 - e^x)` for `x <= 0`, NaN above. Relative error 3e-16. Maechler (2012), equation 7.
pub fn log1m_exp(x: f64) -> f64 {
    if x > -LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// `log(e^a - e^b)`: `-inf` when equal (also both `-inf`), NaN when `a < b`.
pub fn log_diff_exp(a: f64, b: f64) -> f64 {
    if a == b {
        // Two infinite values of one sign: nothing is left at the bottom, anything at the top.
        return if a == f64::INFINITY { f64::NAN } else { f64::NEG_INFINITY };
    }
    if b == f64::NEG_INFINITY {
        return a;
    }
    a + log1m_exp(b - a)
}

/// `log(e^a + e^b)`. Absolute error 1 ulp of the larger argument, and 2e-16.
pub fn log_sum_exp(a: f64, b: f64) -> f64 {
    if a == b {
        return a + LN_2;
    }
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if high == f64::INFINITY {
        return if low.is_nan() { f64::NAN } else { high };
    }
    high + (low - high).exp().ln_1p()
}

/// Logistic function `1 / (1 + e^-x)`. Error below 3 ulp.
pub fn inv_logit(x: f64) -> f64 {
    scalar::sigmoid::<false>(x)
}

/// `log inv_logit(x) = -log(1 + e^-x)`. Error below 3 ulp.
pub fn log_inv_logit(x: f64) -> f64 {
    -log1p_exp(-x)
}

/// `log(p / (1 - p))`, NaN outside `[0, 1]`. Relative error 1e-15, also next to 1/2.
pub fn logit(p: f64) -> f64 {
    if (0.3..=0.65).contains(&p) {
        // p/(1 - p) = 1 + (2p - 1)/(1 - p), and 2p - 1 is exact here.
        return ((2.0 * p - 1.0) / (1.0 - p)).ln_1p();
    }
    (p / (1.0 - p)).ln()
}

/// `log(1 + x) - x` without cancellation. Relative error 1e-15.
pub fn log1pmx(x: f64) -> f64 {
    if !(-0.4..=0.7).contains(&x) {
        return x.ln_1p() - x;
    }
    // log(1 + x) = 2 atanh s, s = x/(2 + x), and 2s - x = -x s.
    let s = x / (2.0 + x);
    let z = s * s;
    let (mut power, mut sum) = (2.0 * s * z, 0.0);
    let mut k = 3.0;
    while power.abs() > 1e-18 * x.abs() * s.abs() {
        sum += power / k;
        power *= z;
        k += 2.0;
    }
    sum - x * s
}

/// `a (log(y/a) - (y - a)/a)` for positive `y` and `a`, given the difference and the ratio: without cancellation next to
/// `y = a`, and without loss where `y` is much smaller. Relative error 1e-15.
pub(super) fn excess(a: f64, difference: f64, ratio: f64) -> f64 {
    let relative = difference / a;
    if relative.abs() < 0.4 { a * log1pmx(relative) } else { a * ratio.ln() - difference }
}
