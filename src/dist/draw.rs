//! Draws that several samplers share; NaN where a parameter is outside its domain.

use rand_distr::{Binomial, Distribution, Gamma, Poisson};

use crate::base::rng::Stream;

/// Gamma of rate 1.
pub(super) fn gamma(rng: &mut Stream, shape: f64) -> f64 {
    log_gamma(rng, shape).exp()
}

/// Logarithm of a gamma variable of rate 1, which does not underflow for small shapes: with G of
/// shape a + 1 and E exponential, log G - E / a (Marsaglia & Tsang 2000, section 6).
pub(super) fn log_gamma(rng: &mut Stream, shape: f64) -> f64 {
    if shape < 1.0 {
        let boost = rng.exponential() / shape;
        return log_gamma(rng, shape + 1.0) - boost;
    }
    Gamma::new(shape, 1.0).map_or(f64::NAN, |law| law.sample(rng).ln())
}

/// Beta(a, b), and its complement, each with its own digits.
pub(super) fn beta(rng: &mut Stream, a: f64, b: f64) -> (f64, f64) {
    let (x, y) = (log_gamma(rng, a), log_gamma(rng, b));
    (1.0 / (1.0 + (y - x).exp()), 1.0 / (1.0 + (x - y).exp()))
}

/// Poisson counts.
pub(super) fn poisson(rng: &mut Stream, rate: f64) -> f64 {
    if rate == 0.0 {
        return 0.0;
    }
    Poisson::new(rate).map_or(f64::NAN, |law| law.sample(rng))
}

/// Binomial counts.
pub(super) fn binomial(rng: &mut Stream, n: f64, p: f64) -> f64 {
    Binomial::new(n as u64, p).map_or(f64::NAN, |law| law.sample(rng) as f64)
}

/// Position drawn from probabilities that sum to 1; the last one where rounding leaves a rest.
pub(super) fn category(rng: &mut Stream, p: &[f64]) -> usize {
    let mut rest = rng.uniform();
    for (k, &mass) in p.iter().enumerate() {
        rest -= mass;
        if rest < 0.0 {
            return k;
        }
    }
    p.iter().rposition(|&mass| mass > 0.0).unwrap_or(0)
}

/// 1 / (1 + exp(-x))
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
