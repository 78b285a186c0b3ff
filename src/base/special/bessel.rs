//! Modified Bessel functions of the first kind, on the log scale.

use std::f64::consts::PI;

use super::dual::{Dual, continued_fraction};
use super::gamma::lgamma;

/// `log I_0(x)`; even in `x`. Relative error 1e-14.
pub fn log_bessel_i0(x: f64) -> f64 {
    log_bessel_i(0.0, x.abs())
}

/// `log I_nu(x)` for real `nu >= 0`, `x >= 0`; NaN below. Absolute error about `4e-16 ((x + nu) log(x + nu) + 1)`,
/// relative 1e-14 for `nu = 0`.
///
/// The power series summed from its largest term outwards (Abramowitz & Stegun 9.6.10), about `12 sqrt(x)` terms; for `x`
/// above 30 and `4 nu²` the asymptotic series (9.7.1).
pub fn log_bessel_i(nu: f64, x: f64) -> f64 {
    if !(nu >= 0.0 && x >= 0.0) {
        return f64::NAN;
    }
    if x == 0.0 {
        return if nu == 0.0 { 0.0 } else { f64::NEG_INFINITY };
    }
    if x == f64::INFINITY {
        return f64::INFINITY;
    }
    if is_far(nu, x) {
        return x - 0.5 * (2.0 * PI * x).ln() + asymptotic(nu, x).ln();
    }
    let quarter = 0.25 * x * x;
    let peak = (quarter / (0.5 * nu + (0.25 * nu * nu + quarter).sqrt())).floor();
    let log_term = (2.0 * peak + nu) * (0.5 * x).ln() - lgamma(peak + 1.0) - lgamma(peak + nu + 1.0);
    // All other terms relative to the largest one.
    let (mut others, mut term, mut k) = (0.0, 1.0, peak);
    while term > 1e-17 {
        k += 1.0;
        term *= quarter / (k * (k + nu));
        others += term;
    }
    (term, k) = (1.0, peak);
    while k > 0.0 && term > 1e-17 {
        term *= k * (k + nu) / quarter;
        k -= 1.0;
        others += term;
    }
    log_term + others.ln_1p()
}

/// `I_{nu+1}(x) / I_nu(x)` for `nu >= 0`, `x >= 0`: the mean resultant length of the von Mises distribution for `nu = 0`,
/// and `d log I_nu / dx = ratio + nu/x`. Relative error 1e-15.
///
/// Continued fraction of DLMF 10.33.1, with up to about `x` terms; the asymptotic series where it applies.
pub fn bessel_i_ratio(nu: f64, x: f64) -> f64 {
    if !(nu >= 0.0 && x >= 0.0) {
        return f64::NAN;
    }
    if x == 0.0 {
        return 0.0;
    }
    if x == f64::INFINITY {
        return 1.0;
    }
    if is_far(nu + 1.0, x) {
        return asymptotic(nu + 1.0, x) / asymptotic(nu, x);
    }
    let limit = 500 + (2.0 * x).min(1e7) as usize;
    let step = |k: f64| Dual::<0>::constant(2.0 * (nu + 1.0 + k) / x);
    1.0 / continued_fraction(step(0.0), limit, |k| (Dual::constant(1.0), step(k))).value
}

/// Whether [`asymptotic`] holds to full precision.
fn is_far(nu: f64, x: f64) -> bool {
    x > 30.0 && x > 4.0 * nu * nu
}

/// `I_nu(x) sqrt(2 pi x) e^-x` by the asymptotic series.
fn asymptotic(nu: f64, x: f64) -> f64 {
    let square = 4.0 * nu * nu;
    let (mut term, mut sum) = (1.0f64, 1.0);
    let mut k = 1.0;
    while term.abs() > 1e-17 && k < 60.0 {
        let odd = 2.0 * k - 1.0;
        term *= (odd * odd - square) / (8.0 * x * k);
        sum += term;
        k += 1.0;
    }
    sum
}
