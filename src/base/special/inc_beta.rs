//! Regularised incomplete beta function with its derivatives, and what follows from it for Student's t.

use std::f64::consts::{LN_2, PI};

use super::dual::{Dual, Probability, continued_fraction, enough_terms};
use super::gamma::{digamma, lbeta};
use super::logs::excess;
use super::normal::{normal_cdf, normal_lcdf};
use crate::base::simd::scalar::stirling_error;

/// `I_x(a, b) = 1/B(a, b) ∫_0^x t^(a-1) (1-t)^(b-1) dt` for `a, b > 0`, `0 <= x <= 1`; NaN outside. Relative error
/// `1e-13 + 4e-16 |log I|` where `x < (a+1)/(a+b+2)`, absolute error 1e-13 beyond. The complement is
/// `I_{1-x}(b, a)`.
///
/// Continued fraction of Didonato & Morris (1992), equation 9; up to about `12 sqrt(max(a, b))` terms.
pub fn inc_beta(a: f64, b: f64, x: f64) -> f64 {
    lower(a, b, x, 1.0 - x).value()
}

/// `log I_x(a, b)`, finite where `I` underflows; see [`inc_beta`].
pub fn log_inc_beta(a: f64, b: f64, x: f64) -> f64 {
    lower(a, b, x, 1.0 - x).log()
}

/// Value and derivatives of [`inc_beta`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IncBetaGrad {
    /// `I_x(a, b)`.
    pub value: f64,
    /// `dI/da`.
    pub da: f64,
    /// `dI/db`.
    pub db: f64,
    /// `dI/dx`, the beta density.
    pub dx: f64,
}

/// `I_x(a, b)` with its derivatives: the continued fraction is differentiated term by term. Relative error of
/// `da`, `db` about 1e-11, and absolute 1e-14.
pub fn inc_beta_grad(a: f64, b: f64, x: f64) -> IncBetaGrad {
    let value = inc_beta(a, b, x);
    if value.is_nan() || x == 0.0 || x == 1.0 {
        let flat = if value.is_nan() { f64::NAN } else { 0.0 };
        let dx = if value.is_nan() { f64::NAN } else { edge_density(if x == 0.0 { a } else { b }, a, b) };
        return IncBetaGrad { value, da: flat, db: flat, dx };
    }
    let y = 1.0 - x;
    let dx = log_front(a, b, x, y).exp() / (x * y);
    if is_lower(a, b, x) {
        let [da, db] = direct_grad(a, b, x, y);
        return IncBetaGrad { value, da, db, dx };
    }
    let [db, da] = direct_grad(b, a, y, x);
    IncBetaGrad { value, da: -da, db: -db, dx }
}

/// The beta density at an end, where the exponent there is `shape - 1`.
fn edge_density(shape: f64, a: f64, b: f64) -> f64 {
    match shape.partial_cmp(&1.0) {
        Some(std::cmp::Ordering::Less) => f64::INFINITY,
        Some(std::cmp::Ordering::Equal) => (-lbeta(a, b)).exp(),
        _ => 0.0,
    }
}

/// Student's t distribution function with `nu > 0` degrees of freedom. Relative error 1e-13 in the lower tail.
pub fn student_t_cdf(nu: f64, t: f64) -> f64 {
    if nu == f64::INFINITY {
        return normal_cdf(t);
    }
    let half = 0.5 * two_tails(nu, t).value();
    if t > 0.0 { 1.0 - half } else { half }
}

/// Logarithm of [`student_t_cdf`], finite where that underflows. For the upper tail pass `-t`.
pub fn student_t_lcdf(nu: f64, t: f64) -> f64 {
    if nu == f64::INFINITY {
        return normal_lcdf(t);
    }
    let tails = two_tails(nu, t);
    if t > 0.0 { (-0.5 * tails.value()).ln_1p() } else { tails.log() - LN_2 }
}

/// Probability that a Student's t variable is farther from zero than `t`.
fn two_tails(nu: f64, t: f64) -> Probability {
    // nu/(nu + t²) and its complement, without overflow of the square.
    let ratio = t / nu.sqrt();
    let square = ratio * ratio;
    let x = 1.0 / (1.0 + square);
    let y = if square > 1.0 { 1.0 / (1.0 + 1.0 / square) } else { square * x };
    if x == 0.0 && t.is_finite() && nu > 0.0 {
        // The leading term of the fraction; the next is smaller by t^-2.
        let log_x = -2.0 * ratio.abs().ln();
        return Probability::Log(0.5 * nu * log_x - (0.5 * nu).ln() - lbeta(0.5 * nu, 0.5));
    }
    lower(0.5 * nu, 0.5, x, y)
}

/// Whether the fraction converges quickly for `I_x(a, b)` itself and not for its complement.
fn is_lower(a: f64, b: f64, x: f64) -> bool {
    x * (a + b + 2.0) < a + 1.0
}

/// `I_x(a, b)` with `y = 1 - x`.
fn lower(a: f64, b: f64, x: f64, y: f64) -> Probability {
    let valid = a > 0.0 && b > 0.0 && a < f64::INFINITY && b < f64::INFINITY && x >= 0.0 && y >= 0.0;
    if !valid {
        return Probability::Log(f64::NAN);
    }
    if x == 0.0 {
        return Probability::Log(f64::NEG_INFINITY);
    }
    if y == 0.0 {
        return Probability::LogComplement(f64::NEG_INFINITY);
    }
    if is_lower(a, b, x) {
        Probability::Log(log_direct(a, b, x, y))
    } else {
        Probability::LogComplement(log_direct(b, a, y, x))
    }
}

/// `log I_x(a, b)` by the fraction.
fn log_direct(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let f = fraction(Dual::<0>::constant(a), Dual::constant(b), x, y);
    log_front(a, b, x, y) - f.value.ln()
}

/// Derivatives of `I_x(a, b)` in `a` and `b` by the fraction.
fn direct_grad(a: f64, b: f64, x: f64, y: f64) -> [f64; 2] {
    let f = fraction(Dual { value: a, grad: [1.0, 0.0] }, Dual { value: b, grad: [0.0, 1.0] }, x, y);
    let value = (log_front(a, b, x, y) - f.value.ln()).exp();
    let (log_x, log_y) = logs(x, y);
    let both = digamma(a + b);
    let da = (log_x - digamma(a)) + both - f.grad[0] / f.value;
    let db = (log_y - digamma(b)) + both - f.grad[1] / f.value;
    [value * da, value * db]
}

/// `(log x, log y)` for `x + y = 1`, from whichever is the smaller.
fn logs(x: f64, y: f64) -> (f64, f64) {
    if x < y { (x.ln(), (-x).ln_1p()) } else { ((-y).ln_1p(), y.ln()) }
}

/// `log(x^a y^b / B(a, b))`. For large `a` and `b` from the distance to the mode (Didonato & Morris 1992, equation 5 and
/// section 8).
fn log_front(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if a.min(b) < 8.0 {
        let (log_x, log_y) = logs(x, y);
        return a * log_x + b * log_y - lbeta(a, b);
    }
    let n = a + b;
    let shift = shift(a, b, x, y);
    let correction = stirling_error(a) + stirling_error(b) - stirling_error(n);
    let scale = 0.5 * (a * (b / n) / (2.0 * PI)).ln();
    scale - correction + excess(a, -shift, x / (a / n)) + excess(b, shift, y / (b / n))
}

/// `n y - b` or `a - n x`, `n = a + b`, whichever loses less: the distance of `x` from the mean times `n`.
fn shift(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if a > b { (a + b) * y - b } else { a - (a + b) * x }
}

/// `F` with `I_x(a, b) = x^a y^b / (B(a, b) F)`.
fn fraction<const N: usize>(a: Dual<N>, b: Dual<N>, x: f64, y: f64) -> Dual<N> {
    let c = Dual::constant;
    let limit = enough_terms(a.value.max(b.value));
    // The shift as a number with derivatives, its value as exact as may be.
    let slopes = a * c(y) + b * c(-x);
    let shifted = Dual { value: shift(a.value, b.value, x, y), ..slopes } + c(1.0);
    continued_fraction(a * shifted / (a + c(1.0)), limit, |n| {
        let odd = a + c(2.0 * n - 1.0);
        let rest = c(n * x) * (b + c(-n));
        let numerator = ((a + c(n - 1.0)) / odd) * ((a + b + c(n - 1.0)) / odd) * rest * c(x);
        let last = (a + c(n)) * (shifted + c(n * (1.0 + y))) / (a + c(2.0 * n + 1.0));
        (numerator, c(n) + rest / odd + last)
    })
}
