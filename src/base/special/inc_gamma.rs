//! Regularised incomplete gamma functions and their derivative with respect to the shape.

use std::f64::consts::PI;

use super::dual::{Dual, Probability, continued_fraction, enough_terms};
use super::gamma::{digamma, lgamma};
use super::logs::excess;
use crate::base::simd::scalar::{lgamma1p, stirling_error};

/// `P(a, x) = 1/Gamma(a) ∫_0^x t^(a-1) e^-t dt` for `a >= 0`, `x >= 0`; NaN below. Relative error
/// `1e-14 + 5e-16 |log P|`.
///
/// The series for `x < a + 1`, else the continued fraction (Abramowitz & Stegun 6.5.29, 6.5.31); both take up to about
/// `12 sqrt(a)` terms next to `x = a`.
pub fn gamma_p(a: f64, x: f64) -> f64 {
    lower(a, x).value()
}

/// `Q(a, x) = 1 - P(a, x)` without cancellation; see [`gamma_p`].
pub fn gamma_q(a: f64, x: f64) -> f64 {
    lower(a, x).complement().value()
}

/// `log P(a, x)`, finite where `P` underflows. Absolute error `1e-14 + 5e-16 |log P|`.
pub fn log_gamma_p(a: f64, x: f64) -> f64 {
    lower(a, x).log()
}

/// `log Q(a, x)`, finite where `Q` underflows. Absolute error `1e-14 + 5e-16 |log Q|`.
pub fn log_gamma_q(a: f64, x: f64) -> f64 {
    lower(a, x).complement().log()
}

/// `dP(a, x)/da`, for `a > 0`: the series or continued fraction differentiated term by term. Relative error
/// `1e-12`, and absolute 1e-15.
pub fn gamma_p_da(a: f64, x: f64) -> f64 {
    if !(a > 0.0 && x >= 0.0) {
        return f64::NAN;
    }
    if x == 0.0 || x == f64::INFINITY {
        return 0.0;
    }
    let front = log_front(a, x).exp();
    if x < a + 1.0 {
        let sum = series(a, x);
        return front * ((x.ln() - digamma(a + 1.0)) * sum.value + sum.grad[0]);
    }
    let shape = Dual { value: a, grad: [1.0] };
    let h = fraction(shape, x);
    -front * a * ((x.ln() - digamma(a)) * h.value + h.grad[0])
}

/// `P(a, x)`.
fn lower(a: f64, x: f64) -> Probability {
    if !(a >= 0.0 && x >= 0.0) {
        return Probability::Log(f64::NAN);
    }
    if x == 0.0 {
        return Probability::Log(f64::NEG_INFINITY);
    }
    if a == 0.0 || x == f64::INFINITY {
        return Probability::LogComplement(f64::NEG_INFINITY);
    }
    if a < 1.0 && x < 1.5 {
        return small(a, x);
    }
    let front = log_front(a, x);
    if x < a + 1.0 {
        return Probability::Log(front + series(a, x).value.ln());
    }
    let h = fraction(Dual::<0>::constant(a), x).value;
    Probability::LogComplement(front + (a * h).ln())
}

/// `log(x^a e^-x / Gamma(a + 1))`.
fn log_front(a: f64, x: f64) -> f64 {
    if a >= 6.5 {
        return excess(a, x - a, x / a) - stirling_error(a) - 0.5 * (2.0 * PI * a).ln();
    }
    let log_gamma = if a < 0.5 { lgamma1p(a) } else { lgamma(a + 1.0) };
    a * x.ln() - x - log_gamma
}

/// `sum_n x^n / ((a+1) ... (a+n))` with its derivative in `a`.
fn series(a: f64, x: f64) -> Dual<1> {
    let (mut term, mut slope) = (1.0, 0.0);
    let mut sum = Dual { value: 1.0, grad: [0.0] };
    for n in 1..=enough_terms(a) {
        let next = a + n as f64;
        // The logarithmic derivative of a term is minus the sum of 1/(a + j).
        slope -= 1.0 / next;
        term *= x / next;
        sum.value += term;
        sum.grad[0] += term * slope;
        if term < 1e-17 * sum.value && (term * slope).abs() < 1e-17 * sum.grad[0].abs() {
            break;
        }
    }
    sum
}

/// `Q(a, x) Gamma(a) / (x^a e^-x)`.
fn fraction<const N: usize>(a: Dual<N>, x: f64) -> Dual<N> {
    let one = Dual::constant(1.0);
    let minus_a = a * Dual::constant(-1.0);
    let start = minus_a + Dual::constant(x + 1.0);
    let limit = enough_terms(a.value);
    one / continued_fraction(start, limit, |k| {
        let numerator = (a + Dual::constant(-k)) * Dual::constant(k);
        (numerator, minus_a + Dual::constant(x + 1.0 + 2.0 * k))
    })
}

/// `P(a, x)` for `a < 1`, `x < 1.5`, where it may be close to 1 with `x < a + 1`: `1 - P = u - (1 - u) v` with
/// `1 - u = x^a / Gamma(a + 1)` and `v = a sum_{n >= 1} (-x)^n / ((a + n) n!)` (Gautschi 1979, section 4).
fn small(a: f64, x: f64) -> Probability {
    let log_power = a * x.ln() - if a < 0.5 { lgamma1p(a) } else { lgamma(a + 1.0) };
    let (mut power, mut sum) = (1.0, 0.0);
    for n in 1..40 {
        let n = f64::from(n);
        power *= -x / n;
        sum += power / (a + n);
    }
    let v = a * sum;
    let upper = -log_power.exp_m1() - log_power.exp() * v;
    if upper < 0.5 { Probability::LogComplement(upper.ln()) } else { Probability::Log(log_power + v.ln_1p()) }
}
