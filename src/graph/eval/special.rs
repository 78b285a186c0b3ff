//! Special functions of the reference evaluator: slow, by convergent series.

use statrs::function::{erf as series, gamma};

pub(super) fn lgamma(x: f64) -> f64 {
    if x == f64::INFINITY {
        return x;
    }
    gamma::ln_gamma(x)
}

/// Shifts the argument up to 20 by `f(x) = f(x + 1) - step(x)`, then adds the asymptotic series.
fn shifted(x: f64, step: impl Fn(f64) -> f64, asymptotic: impl Fn(f64) -> f64) -> f64 {
    let (mut z, mut sum) = (x, 0.0);
    while z < 20.0 {
        sum += step(z);
        z += 1.0;
    }
    asymptotic(z) - sum
}

/// True at the poles and where nothing is defined.
fn at_pole(x: f64) -> bool {
    x.is_nan() || x == f64::NEG_INFINITY || (x <= 0.0 && x == x.floor())
}

/// Derivative of log Gamma (Abramowitz & Stegun 6.3.5, 6.3.7, 6.3.18).
pub(super) fn digamma(x: f64) -> f64 {
    if at_pole(x) || x == f64::INFINITY {
        return if x > 0.0 { x } else { f64::NAN };
    }
    if x < 0.0 {
        return digamma(1.0 - x) - std::f64::consts::PI / (std::f64::consts::PI * x).tan();
    }
    shifted(
        x,
        |z| 1.0 / z,
        |z| {
            let w = 1.0 / (z * z);
            let tail = w * (1.0 / 120.0 - w * (1.0 / 252.0 - w * (1.0 / 240.0 - w / 132.0)));
            z.ln() - 0.5 / z - w * (1.0 / 12.0) + w * tail
        },
    )
}

/// Derivative of digamma (Abramowitz & Stegun 6.4.6, 6.4.7, 6.4.12).
pub(super) fn trigamma(x: f64) -> f64 {
    if at_pole(x) {
        return f64::NAN;
    }
    if x < 0.0 {
        let s = std::f64::consts::PI / (std::f64::consts::PI * x).sin();
        return s * s - trigamma(1.0 - x);
    }
    shifted(
        x,
        |z| -1.0 / (z * z),
        |z| {
            let w = 1.0 / (z * z);
            let odd = 1.0 / 6.0 - w * (1.0 / 30.0 - w * (1.0 / 42.0 - w * (1.0 / 30.0 - w * (5.0 / 66.0))));
            1.0 / z + 0.5 * w + odd * w / z
        },
    )
}

/// Derivative of trigamma (Abramowitz & Stegun 6.4.6, 6.4.7, 6.4.13).
pub(super) fn tetragamma(x: f64) -> f64 {
    if at_pole(x) {
        return f64::NAN;
    }
    if x < 0.0 {
        let pi = std::f64::consts::PI;
        let (s, c) = (pi * x).sin_cos();
        return tetragamma(1.0 - x) - 2.0 * pi.powi(3) * c / s.powi(3);
    }
    shifted(
        x,
        |z| 2.0 / (z * z * z),
        |z| {
            let w = 1.0 / (z * z);
            let even = 0.5 - w * (1.0 / 6.0 - w * (1.0 / 6.0 - w * (3.0 / 10.0 - w * (5.0 / 6.0))));
            -w - w / z - even * w * w
        },
    )
}

pub(super) fn erf(x: f64) -> f64 {
    series::erf(x)
}

pub(super) fn erfc(x: f64) -> f64 {
    series::erfc(x)
}

/// Standard normal cdf.
pub(super) fn phi(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Log of the standard normal cdf; below -20 by the asymptotic series of the Mills ratio
/// (Abramowitz & Stegun 26.2.12).
pub(super) fn log_phi(x: f64) -> f64 {
    if x > 0.0 {
        return (-phi(-x)).ln_1p();
    }
    if x >= -20.0 || x.is_nan() {
        return phi(x).ln();
    }
    if x == f64::NEG_INFINITY {
        return x;
    }
    let w = 1.0 / (x * x);
    let tail = (1..9).rev().fold(1.0, |t, k| 1.0 - (2 * k - 1) as f64 * w * t);
    -0.5 * x * x - (-x).ln() - 0.5 * (2.0 * std::f64::consts::PI).ln() + tail.ln()
}

/// Inverse of the standard normal cdf.
pub(super) fn inv_phi(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let x = -std::f64::consts::SQRT_2 * series::erfc_inv(2.0 * p);
    if x.is_infinite() || p > 0.5 {
        return x;
    }
    // One Newton step on the log scale.
    let slope = (-0.5 * x * x - 0.5 * (2.0 * std::f64::consts::PI).ln() - log_phi(x)).exp();
    x - (log_phi(x) - p.ln()) / slope
}

/// Sum of `(x/2)^(2k) / (k! (k + order)!)` relative to its first term's power.
fn bessel_series(x: f64, order: u32) -> f64 {
    let q = 0.25 * x * x;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..2000 {
        term *= q / (k as f64 * (k + order) as f64);
        sum += term;
        if term <= sum * 1e-18 {
            break;
        }
    }
    sum
}

/// Asymptotic `I_order(x) sqrt(2 pi x) exp(-x)` (Abramowitz & Stegun 9.7.1).
fn bessel_asymptotic(x: f64, order: f64) -> f64 {
    let mu = 4.0 * order * order;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..30 {
        let odd = (2 * k - 1) as f64;
        term *= -(mu - odd * odd) / (8.0 * x * k as f64);
        sum += term;
    }
    sum
}

const BESSEL_SWITCH: f64 = 60.0;

/// log I_0(x)
pub(super) fn log_bessel_i0(x: f64) -> f64 {
    let x = x.abs();
    if x > BESSEL_SWITCH {
        let scale = x - 0.5 * (2.0 * std::f64::consts::PI * x).ln();
        return scale + bessel_asymptotic(x, 0.0).ln();
    }
    bessel_series(x, 0).ln()
}

/// I_1(x) / I_0(x)
pub(super) fn bessel_ratio(x: f64) -> f64 {
    if x.is_infinite() {
        return x.signum();
    }
    if x.abs() > BESSEL_SWITCH {
        let a = x.abs();
        return x.signum() * bessel_asymptotic(a, 1.0) / bessel_asymptotic(a, 0.0);
    }
    0.5 * x * bessel_series(x, 1) / bessel_series(x, 0)
}

const MAX_TERMS: usize = 100_000;

/// P(a, x) and its derivative in a, from `P = x^a e^-x / Gamma(a + 1) sum x^n / (a + 1)_n`
/// (Abramowitz & Stegun 6.5.29), whose terms are all positive.
fn gamma_p_both(a: f64, x: f64) -> (f64, f64) {
    if a.is_nan() || x.is_nan() || a <= 0.0 || x < 0.0 {
        return (f64::NAN, f64::NAN);
    }
    if x == 0.0 {
        return (0.0, 0.0);
    }
    // Nothing is left of the upper tail: x is 40 standard deviations away.
    if x > a + 100.0 + 40.0 * a.sqrt() {
        return (1.0, 0.0);
    }
    let scale = (a * x.ln() - x - lgamma(a + 1.0)).exp();
    let (mut term, mut sum, mut harmonic, mut slope) = (1.0, 1.0, 0.0, 0.0);
    for n in 1..MAX_TERMS {
        let d = a + n as f64;
        term *= x / d;
        harmonic += 1.0 / d;
        sum += term;
        slope += term * harmonic;
        if term * harmonic.max(1.0) <= sum * 1e-18 {
            break;
        }
    }
    let p = scale * sum;
    (p.min(1.0), p * (x.ln() - digamma(a + 1.0)) - scale * slope)
}

/// Regularised lower incomplete gamma P(a, x).
pub(super) fn gamma_p(a: f64, x: f64) -> f64 {
    gamma_p_both(a, x).0
}

/// d P(a, x) / d a
pub(super) fn gamma_p_da(a: f64, x: f64) -> f64 {
    gamma_p_both(a, x).1
}

/// I_x(a, b) with its derivatives in a and b, from
/// `x^a (1-x)^b / (a B(a, b)) sum (a + b)_n / (a + 1)_n x^n` (Abramowitz & Stegun 26.5.4).
fn inc_beta_all(a: f64, b: f64, x: f64) -> (f64, f64, f64) {
    if a.is_nan() || b.is_nan() || a <= 0.0 || b <= 0.0 || !(0.0..=1.0).contains(&x) {
        return (f64::NAN, f64::NAN, f64::NAN);
    }
    if x == 0.0 || x == 1.0 {
        return (x, 0.0, 0.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        let (p, da, db) = inc_beta_series(b, a, 1.0 - x);
        return (1.0 - p, -db, -da);
    }
    inc_beta_series(a, b, x)
}

fn inc_beta_series(a: f64, b: f64, x: f64) -> (f64, f64, f64) {
    let log_beta = lgamma(a) + lgamma(b) - lgamma(a + b);
    let scale = (a * x.ln() + b * (-x).ln_1p() - a.ln() - log_beta).exp();
    let (mut term, mut sum) = (1.0, 1.0);
    let (mut ha, mut hb, mut sa, mut sb) = (0.0, 0.0, 0.0, 0.0);
    for n in 0..MAX_TERMS {
        let k = n as f64;
        term *= (a + b + k) / (a + 1.0 + k) * x;
        ha += 1.0 / (a + b + k) - 1.0 / (a + 1.0 + k);
        hb += 1.0 / (a + b + k);
        sum += term;
        sa += term * ha;
        sb += term * hb;
        if term * hb.max(1.0) <= sum * 1e-18 {
            break;
        }
    }
    let psi = digamma(a + b);
    let da = x.ln() - 1.0 / a - digamma(a) + psi;
    let db = (-x).ln_1p() - digamma(b) + psi;
    let p = scale * sum;
    (p, p * da + scale * sa, p * db + scale * sb)
}

/// Regularised incomplete beta I_x(a, b).
pub(super) fn inc_beta(a: f64, b: f64, x: f64) -> f64 {
    inc_beta_all(a, b, x).0
}

/// d I_x(a, b) / d a
pub(super) fn inc_beta_da(a: f64, b: f64, x: f64) -> f64 {
    inc_beta_all(a, b, x).1
}

/// d I_x(a, b) / d b
pub(super) fn inc_beta_db(a: f64, b: f64, x: f64) -> f64 {
    inc_beta_all(a, b, x).2
}
