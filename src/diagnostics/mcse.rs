//! Monte Carlo standard errors; NaN where undefined (see the module).

use crate::diagnostics::engine::Engine;
use crate::diagnostics::summary;
use statrs::distribution::{Beta, ContinuousCDF};

/// Standard error of the mean: sd / sqrt(ESS of the mean).
pub fn mean(chains: &[&[f64]]) -> f64 {
    let mut engine = Engine::default();
    engine.load(chains);
    mean_with(&mut engine, chains, summary::sd(&chains.concat()))
}

/// Standard error of the standard deviation.
pub fn sd(chains: &[&[f64]]) -> f64 {
    let mut engine = Engine::default();
    engine.load(chains);
    sd_with(&mut engine, chains, summary::mean(&chains.concat()))
}

/// Standard error of the quantile `prob` in [0, 1]: half the distance between the sample quantiles at the 16 % and
/// 84 % points of Beta(n prob + 1, n (1 - prob) + 1), n its effective sample size (Vehtari et al. 2021, section 4.4).
pub fn quantile(chains: &[&[f64]], prob: f64) -> f64 {
    let mut engine = Engine::default();
    if !engine.load(chains) {
        return f64::NAN;
    }
    let n = engine.ess_quantile(chains, prob);
    let Ok(beta) = Beta::new(n * prob + 1.0, n * (1.0 - prob) + 1.0) else {
        return f64::NAN;
    };
    let sorted = engine.sorted();
    let place = |p: f64| beta.inverse_cdf(p) * sorted.len() as f64;
    let low = (place(LOW).floor() as usize).max(1);
    let high = (place(1.0 - LOW).ceil() as usize).clamp(1, sorted.len());
    (sorted[high - 1] - sorted[low - 1]) / 2.0
}

/// Phi(-1).
const LOW: f64 = 0.158_655_253_931_457_05;

pub(crate) fn mean_with(engine: &mut Engine, chains: &[&[f64]], sd: f64) -> f64 {
    sd / engine.ess_of(chains, |x| x).sqrt()
}

/// Delta method on v = (x - mean)^2: sqrt((E v^2 - (E v)^2) / (4 ESS(v) E v)).
pub(crate) fn sd_with(engine: &mut Engine, chains: &[&[f64]], mean: f64) -> f64 {
    let (mut v1, mut v2, mut count) = (0.0, 0.0, 0.0);
    for x in chains.iter().copied().flatten() {
        let v = (x - mean) * (x - mean);
        v1 += v;
        v2 += v * v;
        count += 1.0;
    }
    let (v1, v2) = (v1 / count, v2 / count);
    let ess = engine.ess_of(chains, |x| (x - mean) * (x - mean));
    ((v2 - v1 * v1) / (4.0 * ess * v1)).sqrt()
}
