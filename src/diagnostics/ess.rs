//! Effective sample sizes (Vehtari et al. 2021, sections 3.2 and 4.2-4.4); NaN where undefined (see the module).

use crate::diagnostics::engine::Engine;
use crate::diagnostics::summary::mean as average;

/// Bulk effective sample size: of the rank-normalised split chains.
pub fn bulk(chains: &[&[f64]]) -> f64 {
    with(chains, |e| e.rhat_and_bulk().1)
}

/// Tail effective sample size: the smaller of those of the 5 % and the 95 % quantile.
pub fn tail(chains: &[&[f64]]) -> f64 {
    with(chains, |e| e.ess_tail(chains))
}

/// Effective sample size for the mean.
pub fn mean(chains: &[&[f64]]) -> f64 {
    with(chains, |e| e.ess_of(chains, |x| x))
}

/// Effective sample size for the standard deviation: of (x - mean)^2.
pub fn sd(chains: &[&[f64]]) -> f64 {
    let centre = average(&chains.concat());
    with(chains, |e| e.ess_of(chains, |x| (x - centre).powi(2)))
}

/// Effective sample size for the quantile `prob` in [0, 1]: of the indicator x <= quantile.
pub fn quantile(chains: &[&[f64]], prob: f64) -> f64 {
    with(chains, |e| e.ess_quantile(chains, prob))
}

fn with(chains: &[&[f64]], f: impl FnOnce(&mut Engine) -> f64) -> f64 {
    let mut engine = Engine::default();
    if engine.load(chains) { f(&mut engine) } else { f64::NAN }
}
