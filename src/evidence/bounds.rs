//! Bounds on log Z for K particles: L_K from below and U_K from above, both tighter as K grows.

use crate::base::special::log_sum_exp as log_add;
use crate::base::stats::log_sum_exp;
use crate::diagnostics::engine::MIN_DRAWS;
use crate::evidence::error::EvidenceError;
use crate::evidence::estimate::Estimate;
use crate::evidence::weights::{PosteriorWeights, Weights};
use serde::Serialize;

/// Fewest groups that a mean and its error are formed from.
pub const MIN_GROUPS: usize = 64;

/// A bound at one K.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// Particles per group.
    pub k: usize,
    /// Mean over groups with its error.
    pub estimate: Estimate,
}

/// 1, 2, 5, 10, 20, 50, ... up to `largest`.
pub fn ladder(largest: usize) -> Vec<usize> {
    let steps = (0..).flat_map(|e| [1, 2, 5].map(|s: usize| s.saturating_mul(10usize.saturating_pow(e))));
    steps.take_while(|k| *k <= largest && *k < usize::MAX).collect()
}

/// L_K = E log (1/K) sum_k w(z_k) with z_k ~ q independent (Burda, Grosse & Salakhutdinov 2016, eq 8), unbiased, as the
/// mean over disjoint groups of K weights. Non-decreasing in K towards log Z; K = 1 is the ELBO.
///
/// One bound for each K of [`ladder`] with at least [`MIN_GROUPS`] groups. A group of zero weights makes its bound -inf.
pub fn lower(weights: &Weights) -> Result<Vec<Bound>, EvidenceError> {
    let log = weights.log();
    enough("particles", log.len())?;
    let bound = |k: usize| {
        let terms: Vec<f64> = log.chunks_exact(k).map(|g| log_sum_exp(g) - (k as f64).ln()).collect();
        Bound { k, estimate: Estimate::of_terms(&terms) }
    };
    Ok(ladder(log.len() / MIN_GROUPS).into_iter().map(bound).collect())
}

/// U_K = E log (1/K) (w(z_1) + sum_{k >= 2} w(z_k)) with z_1 from the posterior and the others from q (the mirror of
/// L_K: Sobolev & Vetrov 2019). Non-increasing in K towards log Z; K = 1 is the EUBO (Ji & Shen 2019).
///
/// `posterior` holds log w at the draws of each chain, `weights` those at draws from q. A group is one posterior draw with
/// K - 1 weights of its own; where these do not suffice for all draws, draws at equal distances in each chain are
/// taken. Errors count the autocorrelation of the chains.
pub fn upper(posterior: &PosteriorWeights, weights: &Weights) -> Result<Vec<Bound>, EvidenceError> {
    let (chains, draws, log) = (posterior.chains(), posterior.draws(), weights.log());
    enough("posterior draws", chains.len() * draws)?;
    let per_chain = |k: usize| if k == 1 { draws } else { draws.min(log.len() / (k - 1) / chains.len()) };
    let term = |k: usize, c: usize, i: usize, own: usize| {
        let others = log_sum_exp(&log[own * (k - 1)..(own + 1) * (k - 1)]);
        log_add(chains[c][i], others) - (k as f64).ln()
    };
    let bound = |k: usize| {
        let per = per_chain(k);
        let chain = |c: usize| (0..per).map(|i| term(k, c, i * draws / per, c * per + i)).collect();
        let terms: Vec<Vec<f64>> = (0..chains.len()).map(chain).collect();
        Bound { k, estimate: Estimate::of_chains(&terms) }
    };
    let enough = |k: &usize| per_chain(*k) >= MIN_DRAWS && per_chain(*k) * chains.len() >= MIN_GROUPS;
    Ok(ladder(log.len() + 1).into_iter().take_while(enough).map(bound).collect())
}

fn enough(what: &'static str, found: usize) -> Result<(), EvidenceError> {
    if found < MIN_GROUPS { Err(EvidenceError::TooFew { what, found, needed: MIN_GROUPS }) } else { Ok(()) }
}
