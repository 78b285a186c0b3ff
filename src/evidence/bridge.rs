//! Bridge sampling (Meng & Wong 1996) with the optimal bridge function and its error for autocorrelated draws.

use crate::base::stats;
use crate::evidence::error::EvidenceError;
use crate::evidence::estimate::{Estimate, Standing, effective, finite_or_inf};
use crate::evidence::weights::{PosteriorWeights, Weights};
use serde::Serialize;

/// Which posterior draws the estimate is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Draws {
    /// All of them: the proposal has not seen them.
    All,
    /// The second half of each chain, since the proposal was fitted to draws of the first half. With draws used for
    /// both, the estimate is biased (Overstall & Forster 2010).
    SecondHalf,
}

/// What bridge sampling says about log Z.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bridge {
    /// log Z; its effective sample size is that of the posterior draws.
    pub estimate: Estimate,
    /// Whether it may be used.
    pub standing: Standing,
    /// The posterior draws used.
    pub draws: Draws,
}

/// Largest error of the root in log Z.
const TOLERANCE: f64 = 1e-12;

/// The search for the root ends where it is not within this distance.
const LARGEST_STEP: f64 = 1e6;

/// Largest error that the first-order formula is believed at.
const LARGEST_ERROR: f64 = 0.5;

/// log Z from log weights at posterior draws and at independent draws from the proposal.
///
/// The optimal bridge solves r = [mean_q w / (s1 w + s2 r)] / [mean_p 1 / (s1 w + s2 r)] (Meng & Wong 1996, eq 4.1), with
/// s1 = N1 / (N1 + N2), s2 = 1 - s1 and N1 the effective number of posterior draws (Gronau et al. 2017, section 3). The logarithm of
/// right side over left side decreases in r, so the root is found by Newton's method inside a shrinking interval. Error: the
/// relative mean squared error of Frühwirth-Schnatter (2004, eq 16), the posterior's part with the
/// effective sample size of its own terms.
pub fn bridge(posterior: &PosteriorWeights, proposal: &Weights, draws: Draws) -> Result<Bridge, EvidenceError> {
    let half;
    let used = match draws {
        Draws::All => posterior,
        Draws::SecondHalf => {
            half = posterior.second_half()?;
            &half
        }
    };
    if proposal.log().len() < 2 {
        return Err(EvidenceError::TooFew { what: "draws from the proposal", found: proposal.log().len(), needed: 2 });
    }
    let fault = proposal.fault().or(used.fault());
    let problem = Problem::new(used, proposal);
    let (value, error) = match problem.root() {
        Some(r) if fault.is_none() => (r, problem.error(r)),
        _ => (f64::NAN, f64::INFINITY),
    };
    let standing = match fault {
        Some(fault) => Standing::Untrusted(fault),
        None if !value.is_finite() => Standing::Untrusted("proposal and posterior draws do not overlap".into()),
        None if !(error < LARGEST_ERROR) => {
            Standing::Untrusted(format!("relative error {error:.1}: proposal and posterior hardly overlap"))
        }
        None => Standing::Sound,
    };
    let n = used.draws() * used.chains().len();
    let estimate = Estimate { value, mcse: finite_or_inf(error), ess: problem.effective, n, khat: f64::NAN };
    Ok(Bridge { estimate, standing, draws })
}

/// The equation for log r.
struct Problem<'a> {
    chains: &'a [Vec<f64>],
    proposal: &'a [f64],
    /// Effective number of posterior draws, of their log weights.
    effective: f64,
    s1: f64,
    s2: f64,
}

impl<'a> Problem<'a> {
    fn new(posterior: &'a PosteriorWeights, proposal: &'a Weights) -> Problem<'a> {
        let all = (posterior.draws() * posterior.chains().len()) as f64;
        let found = effective(posterior.chains());
        let effective = if found.is_finite() { found.min(all) } else { all };
        let s1 = effective / (effective + proposal.log().len() as f64);
        Problem { chains: posterior.chains(), proposal: proposal.log(), effective, s1, s2: 1.0 - s1 }
    }

    /// Terms w / (s1 w + s2 r) of the proposal's draws.
    fn above(&self, r: f64) -> Vec<f64> {
        self.proposal.iter().map(|w| 1.0 / (self.s1 + self.s2 * (r - w).exp())).collect()
    }

    /// Terms r / (s1 w + s2 r) of the posterior's draws, by chain.
    fn below(&self, r: f64) -> Vec<Vec<f64>> {
        let term = |w: &f64| 1.0 / (self.s2 + self.s1 * (w - r).exp());
        self.chains.iter().map(|c| c.iter().map(term).collect()).collect()
    }

    /// log of the right side over the left side, and its derivative in log r (always negative).
    fn gap(&self, r: f64) -> (f64, f64) {
        let (above, below) = (self.above(r), self.below(r).concat());
        let slope = |x: &[f64], s: f64| stats::sum_by(x.len(), |i| x[i] * (1.0 - s * x[i])) / stats::sum(x);
        let gap = stats::mean(&above).ln() - stats::mean(&below).ln();
        (gap, -slope(&above, self.s1) - slope(&below, self.s2))
    }

    /// Newton's method, by bisection where it would leave the interval that holds the root.
    fn root(&self) -> Option<f64> {
        let middle = self.middle()?;
        let (mut low, mut high) = (middle - 1.0, middle + 1.0);
        let mut step = 1.0;
        while !(self.gap(low).0 >= 0.0 && self.gap(high).0 <= 0.0) {
            if step > LARGEST_STEP {
                return None;
            }
            (low, high) = (low - step, high + step);
            step *= 2.0;
        }
        let tolerance = TOLERANCE * (1.0 + middle.abs());
        let mut r = middle;
        while high - low > tolerance {
            let (gap, slope) = self.gap(r);
            if gap > 0.0 {
                low = r
            } else {
                high = r
            }
            let newton = r - gap / slope;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - r).abs() < tolerance {
                return Some(next);
            }
            r = next;
        }
        Some(r)
    }

    /// Median of the finite log weights at posterior draws, or of those at the proposal's: extreme weights say nothing
    /// about where the root is.
    fn middle(&self) -> Option<f64> {
        let median = |all: &mut dyn Iterator<Item = f64>| {
            let mut finite: Vec<f64> = all.filter(|w| w.is_finite()).collect();
            let half = finite.len() / 2;
            (!finite.is_empty()).then(|| *finite.select_nth_unstable_by(half, f64::total_cmp).1)
        };
        let posterior = median(&mut self.chains.iter().flatten().copied());
        posterior.or_else(|| median(&mut self.proposal.iter().copied()))
    }

    /// Root of the relative mean squared error.
    fn error(&self, r: f64) -> f64 {
        let relative = |x: &[f64]| stats::variance(x) / stats::mean(x).powi(2);
        let (above, below) = (self.above(r), self.below(r));
        let by_posterior = relative(&below.concat()) / effective(&below);
        (relative(&above) / above.len() as f64 + by_posterior).sqrt()
    }
}
