//! Rank-normalised split R-hat (Vehtari et al. 2021, section 4.1).

use crate::diagnostics::split::{chunks, folded, halves, normal_scores, usable};
use crate::diagnostics::summary::{mean, variance};

/// Potential scale reduction: the larger of the bulk value (ranks) and the tail value (ranks of the folded draws).
/// Values above 1.01 say that the chains do not agree. NaN where undefined, see the module.
pub fn rhat(chains: &[&[f64]]) -> f64 {
    if !usable(chains) {
        return f64::NAN;
    }
    let halves = halves(chains);
    let draws = halves[0].len();
    let bulk = plain(&chunks(&normal_scores(&halves), draws));
    let folded = folded(&halves);
    let tail = plain(&chunks(&normal_scores(&chunks(&folded, draws)), draws));
    // The folded draws can be constant (draws on two symmetric points); then the bulk value stands.
    if tail.is_nan() { bulk } else { bulk.max(tail) }
}

/// R-hat of the chains as they are: sqrt(var+ / W) (eqs 1-4).
pub fn plain(chains: &[&[f64]]) -> f64 {
    let n = chains[0].len() as f64;
    let means: Vec<f64> = chains.iter().map(|c| mean(c)).collect();
    let within = chains.iter().map(|c| variance(c)).sum::<f64>() / chains.len() as f64;
    let between = variance(&means);
    ((between + within * (n - 1.0) / n) / within).sqrt()
}
