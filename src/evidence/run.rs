//! All estimators from one set of particles, and one of posterior draws where there is one.

use crate::density::{LogDensity, Proposal};
use crate::evidence::bounds::{Bound, lower, upper};
use crate::evidence::bridge::{Bridge, Draws, bridge};
use crate::evidence::error::EvidenceError;
use crate::evidence::estimate::{ROUNDING, Standing};
use crate::evidence::importance::{Importance, importance, replicated};
use crate::evidence::sandwich::{Row, Sandwich, Verdict, sandwich};
use crate::evidence::weights::{PosteriorWeights, Weights, at, drawn};
use serde::Serialize;

/// How many particles, in how many independent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Particles per run.
    pub particles: usize,
    /// Independent runs.
    pub replicates: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { particles: 1 << 12, replicates: 4, seed: 0 }
    }
}

/// Draws from the posterior, in the target's coordinates.
#[derive(Clone, Copy, Debug)]
pub struct Posterior<'a> {
    /// One slice per chain, row-major (draws x dim). Chains started at draws from the prior make U_K able to see modes
    /// that the proposal misses.
    pub chains: &'a [Vec<f64>],
    /// Which of them the proposal has not seen.
    pub draws: Draws,
    /// Why they are no draws of one distribution, where their R-hat says so.
    pub fault: Option<&'a str>,
}

/// The sandwich and everything in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The verdict with its table.
    #[serde(flatten)]
    pub sandwich: Sandwich,
    /// Importance sampling over all runs.
    pub importance: Importance,
    /// L_K by K.
    pub lower_bounds: Vec<Bound>,
    /// U_K by K; empty without posterior draws.
    pub upper_bounds: Vec<Bound>,
    /// Bridge sampling; absent without posterior draws.
    pub bridge: Option<Bridge>,
}

/// log Z of `target` from all estimators. Run `r` names its random streams (seed, "evidence r", block).
pub fn evidence<T, P>(
    target: &T,
    proposal: &P,
    posterior: Option<Posterior<'_>>,
    settings: &Settings,
) -> Result<Evidence, EvidenceError>
where
    T: LogDensity + ?Sized,
    P: Proposal + ?Sized,
{
    let replicates = settings.replicates.max(1);
    let run = |r: usize| drawn(target, proposal, settings.particles, settings.seed, &format!("evidence {r}"));
    let runs: Vec<Weights> = (0..replicates).map(run).collect::<Result<_, _>>()?;
    let weights = Weights::join(&runs);
    let importance = replicated(&runs.iter().map(importance).collect::<Result<Vec<_>, _>>()?)
        .ok_or(EvidenceError::TooFew { what: "runs", found: 0, needed: 1 })?;
    let lower_bounds = lower(&weights)?;
    let mut table = vec![Row::importance(&importance, replicates)];
    table.extend(lower_bounds.iter().map(|b| Row::lower(b, weights.fault())));
    let own = table.len();
    let (mut upper_bounds, mut bridged, mut doubt) = (vec![], None, None);
    if let Some(posterior) = posterior {
        let log: Vec<Vec<f64>> = posterior.chains.iter().map(|c| at(target, proposal, c)).collect::<Result<_, _>>()?;
        let all = PosteriorWeights::new(log)?;
        let fresh = if posterior.draws == Draws::All { all.clone() } else { all.second_half()? };
        let b = bridge(&all, &weights, posterior.draws)?;
        table.push(Row::bridge(&b));
        bridged = Some(b);
        upper_bounds = upper(&fresh, &weights)?;
        let fault = fresh.fault().or(weights.fault());
        table.extend(upper_bounds.iter().map(|b| Row::upper(b, fault.clone())));
        doubt = unreached(&fresh, &weights);
    }
    let mut joined = sandwich(table, doubt);
    // Chains that have not mixed may still show that the proposal misses a mode; they give no limits.
    if let Some(fault) = posterior.and_then(|p| p.fault)
        && matches!(joined.verdict, Verdict::Agree | Verdict::Wide)
    {
        let mut table = joined.table;
        table[own..].iter_mut().for_each(|row| row.standing = Standing::Untrusted(fault.into()));
        joined = sandwich(table, None);
    }
    Ok(Evidence { sandwich: joined, importance, lower_bounds, upper_bounds, bridge: bridged })
}

/// Largest share of posterior draws that may weigh more than every particle. Under a proposal whose weights have a
/// finite variance the expected share is about that of the largest weight in their sum.
const UNREACHED: f64 = 0.05;

/// Why the estimates cannot be trusted although their limits agree: posterior draws where the proposal never drew.
fn unreached(posterior: &PosteriorWeights, weights: &Weights) -> Option<String> {
    let largest = weights.log().iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let all = posterior.chains().iter().flatten();
    let share = all.clone().filter(|w| **w > largest + ROUNDING).count() as f64 / all.count() as f64;
    (share > UNREACHED).then(|| {
        format!(
            "{:.0} % of the posterior draws weigh more than any of {} particles: the proposal misses a mode, or chains are \
             stuck in one of no mass",
            100.0 * share,
            weights.log().len()
        )
    })
}
