//! Plain summary statistics on slices, and the rows of a summary table.

use crate::diagnostics::engine::Engine;
use crate::diagnostics::mcse;
use rayon::prelude::*;

/// Mean; NaN without numbers.
pub fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Sample variance with divisor n - 1 (two passes); NaN below two numbers.
pub fn variance(x: &[f64]) -> f64 {
    if x.len() < 2 {
        return f64::NAN;
    }
    let m = mean(x);
    x.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / (x.len() - 1) as f64
}

/// Sample standard deviation.
pub fn sd(x: &[f64]) -> f64 {
    variance(x).sqrt()
}

/// Quantile `prob` in [0, 1] by linear interpolation, type 7 of Hyndman & Fan (1996), R's and numpy's default.
/// NaN for no numbers, a NaN among them, or a probability outside [0, 1].
pub fn quantile(x: &[f64], prob: f64) -> f64 {
    let mut sorted = x.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted_quantile(&sorted, prob)
}

/// [`quantile`] of numbers already sorted by `total_cmp`.
pub fn sorted_quantile(sorted: &[f64], prob: f64) -> f64 {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return f64::NAN;
    };
    if !(0.0..=1.0).contains(&prob) || first.is_nan() || last.is_nan() {
        return f64::NAN;
    }
    let at = prob * (sorted.len() - 1) as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    let (a, b) = (sorted[low], sorted[high]);
    let fraction = at - low as f64;
    // Keeps infinities apart from interpolation.
    if fraction == 0.0 || a == b { a } else { a + fraction * (b - a) }
}

/// What a table shows of one quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// Monte Carlo standard error of the mean.
    pub mcse_mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// Monte Carlo standard error of the standard deviation.
    pub mcse_sd: f64,
    /// Quantiles at the probabilities asked for.
    pub quantiles: Vec<f64>,
    /// Bulk effective sample size.
    pub ess_bulk: f64,
    /// Tail effective sample size.
    pub ess_tail: f64,
    /// Rank-normalised split R-hat.
    pub rhat: f64,
}

/// Summary of one quantity with the quantiles at `probs`.
pub fn summarize(chains: &[&[f64]], probs: &[f64]) -> Summary {
    summarize_with(&mut Engine::default(), chains, probs)
}

/// Summaries of many quantities, in parallel.
pub fn summarize_all(quantities: &[Vec<&[f64]>], probs: &[f64]) -> Vec<Summary> {
    let each = |engine: &mut Engine, chains: &Vec<&[f64]>| summarize_with(engine, chains, probs);
    quantities.par_iter().map_init(Engine::default, each).collect()
}

/// [`summarize`] with buffers to reuse.
pub fn summarize_with(engine: &mut Engine, chains: &[&[f64]], probs: &[f64]) -> Summary {
    let (mean, sd) = moments(chains);
    let quantiles = if engine.load(chains) {
        probs.iter().map(|&p| sorted_quantile(engine.sorted(), p)).collect()
    } else {
        let mut all = chains.concat();
        all.sort_unstable_by(f64::total_cmp);
        probs.iter().map(|&p| sorted_quantile(&all, p)).collect()
    };
    let (rhat, ess_bulk) = engine.rhat_and_bulk();
    Summary {
        mean,
        mcse_mean: mcse::mean_with(engine, chains, sd),
        sd,
        mcse_sd: mcse::sd_with(engine, chains, mean),
        quantiles,
        ess_bulk,
        ess_tail: engine.ess_tail(chains),
        rhat,
    }
}

/// Mean and standard deviation of all draws.
fn moments(chains: &[&[f64]]) -> (f64, f64) {
    let n = chains.iter().map(|c| c.len()).sum::<usize>() as f64;
    let mean = chains.iter().map(|c| c.iter().sum::<f64>()).sum::<f64>() / n;
    let squares: f64 = chains.iter().map(|c| c.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>()).sum();
    (mean, if n < 2.0 { f64::NAN } else { (squares / (n - 1.0)).sqrt() })
}
