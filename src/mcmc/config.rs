//! Settings of a run.

use crate::mcmc::error::McmcError;
use crate::mcmc::metric::MetricKind;
use crate::mcmc::state::MAX_DEPTH;
use serde::Serialize;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Settings of the no-U-turn sampler.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nuts {
    /// Number of chains.
    pub chains: usize,
    /// Warm-up iterations per chain.
    pub warmup: usize,
    /// Iterations per chain after warm-up.
    pub draws: usize,
    /// Every `thin`-th iteration is handed to the sink.
    pub thin: usize,
    /// Mean acceptance statistic that warm-up aims at, in (0, 1).
    pub target_accept: f64,
    /// Largest number of trajectory doublings.
    pub max_depth: usize,
    /// Energy error above which a trajectory counts as divergent.
    pub max_energy_error: f64,
    /// Form of the inverse mass matrix.
    pub metric: MetricKind,
    /// Relative jitter of the step size after warm-up, uniform in 1 +- jitter; in [0, 1).
    pub step_jitter: f64,
    /// Global moves per iteration, where a proposal is given for them
    /// ([`run_with_jumps`](Nuts::run_with_jumps)).
    pub jumps: usize,
    /// Step size for a run without warm-up, first trial of the search otherwise.
    pub step_size: f64,
    /// Whether warm-up iterations are handed to the sink too.
    pub save_warmup: bool,
    /// Seed of all random streams.
    pub seed: u64,
    /// Worker threads; `None` uses the global pool. The draws do not depend on it.
    #[serde(skip)]
    pub threads: Option<usize>,
}

impl Default for Nuts {
    fn default() -> Self {
        Nuts {
            chains: 4,
            warmup: 1000,
            draws: 1000,
            thin: 1,
            target_accept: 0.8,
            max_depth: 10,
            max_energy_error: 1000.0,
            metric: MetricKind::Diag,
            step_jitter: 0.0,
            jumps: 1,
            step_size: 1.0,
            save_warmup: false,
            seed: 0,
            threads: None,
        }
    }
}

impl Nuts {
    /// Checks every setting against its range.
    pub fn check(&self) -> Result<(), McmcError> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let tests = [
            (self.chains > 0, "chains", self.chains.to_string(), "at least 1"),
            (self.thin > 0, "thin", self.thin.to_string(), "at least 1"),
            (
                self.target_accept > 0.0 && self.target_accept < 1.0,
                "target_accept",
                self.target_accept.to_string(),
                "a number strictly between 0 and 1",
            ),
            ((1..=MAX_DEPTH).contains(&self.max_depth), "max_depth", self.max_depth.to_string(), "1 to 18"),
            (
                positive(self.max_energy_error),
                "max_energy_error",
                self.max_energy_error.to_string(),
                "a positive number",
            ),
            ((0.0..1.0).contains(&self.step_jitter), "step_jitter", self.step_jitter.to_string(), "0 to 1, 1 excluded"),
            (positive(self.step_size), "step_size", self.step_size.to_string(), "a positive number"),
            (self.threads != Some(0), "threads", "0".into(), "at least 1"),
        ];
        for (ok, field, value, expected) in tests {
            if !ok {
                return Err(McmcError::Config { field, value, expected });
            }
        }
        match self.metric {
            MetricKind::LowRank { cutoff, max_rank } if !(cutoff > 1.0 && cutoff.is_finite() && max_rank > 0) => {
                Err(McmcError::Config {
                    field: "metric",
                    value: format!("{:?}", self.metric),
                    expected: "a finite cutoff above 1 and a rank of at least 1",
                })
            }
            _ => Ok(()),
        }
    }
}

/// Where a chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Adapting step size and metric.
    Warmup,
    /// Drawing.
    Sampling,
}

/// A report from a running chain.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Chain number, from 0.
    pub chain: usize,
    /// Iterations done, warm-up included.
    pub iteration: usize,
    /// Iterations in all.
    pub total: usize,
    /// Where the chain is.
    pub phase: Phase,
    /// Divergent transitions since the end of warm-up.
    pub divergences: usize,
    /// Step size now.
    pub step_size: f64,
    /// Gradient evaluations so far.
    pub gradients: u64,
}

/// A callback that receives [`Progress`] from any chain's thread.
pub type ProgressFn<'a> = dyn Fn(&Progress) + Sync + 'a;

/// How a caller watches and stops a run.
pub struct Control<'a> {
    /// Called by each chain at most once per `every`, and at the end of each of its phases.
    pub progress: Option<&'a ProgressFn<'a>>,
    /// Time between two calls.
    pub every: Duration,
    /// Set it to end all chains early; what was drawn is kept.
    pub cancel: Option<&'a AtomicBool>,
}

impl Default for Control<'_> {
    fn default() -> Self {
        Control { progress: None, every: Duration::from_millis(100), cancel: None }
    }
}
