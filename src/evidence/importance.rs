//! Importance sampling: log Z with its error, k-hat, effective sample size and doubling curve.

use crate::base::stats;
use crate::diagnostics::psis::{Psis, khat_threshold, psis, required_size, tail_length};
use crate::evidence::error::EvidenceError;
use crate::evidence::estimate::{Estimate, ROUNDING, Standing, finite_or_inf};
use crate::evidence::weights::Weights;
use serde::Serialize;

/// Below this k-hat the plain mean and its error are used.
pub const PLAIN_KHAT: f64 = 0.5;

/// Blocks whose spread is the error between [`PLAIN_KHAT`] and the largest k-hat that is trusted.
pub const BLOCKS: usize = 8;

/// Fewest particles for an estimate: eight blocks with a tail of five weights each.
pub const MIN_PARTICLES: usize = 25 * BLOCKS;

/// What importance sampling says about log Z.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    /// log Z.
    pub estimate: Estimate,
    /// Whether it may be used, and what its error is made of.
    pub standing: Standing,
    /// The same from the first n / 2^k particles, fewest first and all of them last: an effective sample size that does
    /// not double along it was too high in the smaller samples.
    pub doubling: Vec<Estimate>,
    /// Sample size that k-hat asks for; infinite from k-hat = 1 on.
    pub required: f64,
    /// Weights of zero.
    pub zero: usize,
    /// Weights that are no number.
    pub bad: usize,
}

/// log Z from weights at independent draws.
///
/// k-hat below [`PLAIN_KHAT`]: the mean weight, with the delta method's error sd(w) / (mean(w) sqrt(n)). Up to
/// the largest k-hat that n particles can be trusted with (at most 0.7): the mean of the Pareto-smoothed weights, and as error the
/// standard deviation of the same estimate over [`BLOCKS`] blocks, not divided by their root, since errors of such weights fall
/// more slowly than 1 / sqrt(n). Above: shown, not used.
pub fn importance(weights: &Weights) -> Result<Importance, EvidenceError> {
    let log = weights.log();
    if log.len() < MIN_PARTICLES {
        let (found, needed) = (log.len(), MIN_PARTICLES);
        return Err(EvidenceError::TooFew { what: "particles", found, needed });
    }
    let mut estimate = one_sample(log);
    let khat = estimate.khat;
    let largest = khat_threshold(log.len());
    let standing = if let Some(fault) = weights.fault() {
        Standing::Untrusted(fault)
    } else if khat < PLAIN_KHAT {
        Standing::Sound
    } else if khat < largest {
        let spread = block_spread(log);
        estimate.mcse = estimate.mcse.max(finite_or_inf(spread));
        Standing::Caution(format!("k-hat {khat:.2}: error from the spread of {BLOCKS} blocks"))
    } else {
        Standing::Untrusted(format!("k-hat {khat:.2} is above {largest:.2}: a few particles carry the estimate"))
    };
    let doubling = halvings(log.len()).into_iter().map(|n| one_sample(&log[..n])).collect();
    let required = required_size(khat);
    Ok(Importance { estimate, standing, doubling, required, zero: weights.zero, bad: weights.bad })
}

/// Several independent runs as one: log of the mean of their Z, with the larger of the error that they state and the
/// one that their spread shows, and the largest of their k-hats.
pub fn replicated(runs: &[Importance]) -> Option<Importance> {
    let first = runs.first()?;
    let r = runs.len() as f64;
    let values: Vec<f64> = runs.iter().map(|i| i.estimate.value).collect();
    let stated = (stats::sum_by(runs.len(), |i| runs[i].estimate.mcse.powi(2)) / r).sqrt();
    let spread = if runs.len() > 1 { stats::variance(&values).sqrt() } else { 0.0 };
    let worst = runs.iter().max_by(|a, b| a.estimate.khat.total_cmp(&b.estimate.khat)).unwrap_or(first);
    let rank = |i: &&Importance| match i.standing {
        Standing::Sound => 0,
        Standing::Caution(_) => 1,
        Standing::Untrusted(_) => 2,
    };
    let standing = runs.iter().max_by_key(rank).map_or(Standing::Sound, |i| i.standing.clone());
    let estimate = Estimate {
        value: stats::log_mean_exp(&values),
        mcse: finite_or_inf(stated.max(spread) / r.sqrt()),
        ess: runs.iter().map(|i| i.estimate.ess).sum(),
        n: runs.iter().map(|i| i.estimate.n).sum(),
        khat: worst.estimate.khat,
    };
    let (zero, bad) = runs.iter().fold((0, 0), |(z, b), i| (z + i.zero, b + i.bad));
    Some(Importance { estimate, standing, doubling: first.doubling.clone(), required: worst.required, zero, bad })
}

/// Fewest particles on the doubling curve.
const CURVE_START: usize = 64;

/// n, n / 2, n / 4, ... ascending.
fn halvings(n: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> = (0..).map(|k| n >> k).take_while(|m| *m >= CURVE_START).collect();
    sizes.reverse();
    sizes
}

/// The estimate from one sample as its k-hat would have it, with the delta method's error.
fn one_sample(log: &[f64]) -> Estimate {
    let smooth = psis(log);
    let khat = shape(log, &smooth);
    let n = log.len() as f64;
    let plain = khat < PLAIN_KHAT || khat.is_nan();
    // Weights over their mean; of a mean of -inf nothing more is known.
    let (value, relative): (f64, Vec<f64>) = if plain {
        let value = stats::log_mean_exp(log);
        (value, log.iter().map(|w| (w - value).exp()).collect())
    } else {
        (smooth.log_total - n.ln(), smooth.log_weights.iter().map(|w| n * w.exp()).collect())
    };
    let mcse = (stats::sum_by(log.len(), |i| (relative[i] - 1.0).powi(2)) / (n * (n - 1.0))).sqrt();
    let ess = n * n / stats::dot(&relative, &relative);
    Estimate { value, mcse: finite_or_inf(mcse), ess, n: log.len(), khat }
}

/// k-hat; 0 where the largest weights are equal up to rounding, so that there is no tail to fit (exact proposals,
/// and targets cut out of the proposal).
fn shape(log: &[f64], smooth: &Psis) -> f64 {
    let length = tail_length(log.len(), 1.0);
    if smooth.log_total.is_nan() || log.len() <= length {
        return smooth.khat;
    }
    let mut sorted = log.to_vec();
    let (_, at_cutoff, top) = sorted.select_nth_unstable_by(log.len() - length - 1, f64::total_cmp);
    let max = top.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max - *at_cutoff < ROUNDING { 0.0 } else { smooth.khat }
}

/// Standard deviation of log Z over blocks.
fn block_spread(log: &[f64]) -> f64 {
    let length = log.len() / BLOCKS;
    let values: Vec<f64> = log.chunks_exact(length).take(BLOCKS).map(|b| one_sample(b).value).collect();
    stats::variance(&values).sqrt()
}
