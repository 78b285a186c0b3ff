//! The accounts of a chain: what its sampling phase adds up to, and when to report.

use crate::mcmc::flow_mh::Jumps;
use crate::mcmc::kernel::Info;
use crate::mcmc::metric::Metric;
use crate::mcmc::state::State;
use std::time::{Duration, Instant};

/// A divergent transition after warm-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// Iteration, from 0, counted from the end of warm-up.
    pub iteration: usize,
    /// Where the trajectory started.
    pub start: Vec<f64>,
    /// Where its energy error passed the limit.
    pub end: Vec<f64>,
    /// Energy error there (infinite or NaN for a numerical failure).
    pub energy_error: f64,
}

/// Positions are kept for at most this many divergences per chain.
pub const KEPT_DIVERGENCES: usize = 1000;

/// What one chain did.
#[derive(Clone, Debug)]
pub struct ChainRun {
    /// Step size of the sampling phase.
    pub step_size: f64,
    /// Metric of the sampling phase.
    pub metric: Metric,
    /// Gradient evaluations up to the end of warm-up.
    pub warmup_gradients: u64,
    /// Gradient evaluations of the sampling phase.
    pub gradients: u64,
    /// Iterations done after warm-up (fewer than asked for when cancelled).
    pub iterations: usize,
    /// Divergent transitions after warm-up.
    pub divergent: usize,
    /// The first [`KEPT_DIVERGENCES`] of them.
    pub divergences: Vec<Divergence>,
    /// Transitions after warm-up cut by the limit on doublings.
    pub max_depth_hits: usize,
    /// Energy Bayesian fraction of missing information: E (E_n - E_(n-1))^2 / var E (Betancourt 2016); below 0.3
    /// the momentum resampling explores the energies too slowly. NaN with fewer than three draws.
    pub ebfmi: f64,
    /// Mean acceptance statistic after warm-up.
    pub accept: f64,
    /// Global moves after warm-up; none without a proposal for them.
    pub jumps: Jumps,
    /// Whether the chain was stopped early.
    pub cancelled: bool,
}

/// Running sums over the sampling phase.
#[derive(Default)]
pub(crate) struct Totals {
    iterations: usize,
    pub divergent: usize,
    divergences: Vec<Divergence>,
    max_depth_hits: usize,
    accept: f64,
    energy: EnergySums,
    pub jumps: Jumps,
    pub cancelled: bool,
}

impl Totals {
    /// Adds a transition that began at `start`.
    pub fn push(&mut self, iteration: usize, info: &Info, start: &[f64], state: &State) {
        self.iterations += 1;
        self.accept += info.accept;
        self.max_depth_hits += usize::from(info.max_depth);
        self.energy.push(info.energy);
        let Some(slot) = info.divergence else { return };
        self.divergent += 1;
        if self.divergences.len() < KEPT_DIVERGENCES {
            self.divergences.push(Divergence {
                iteration,
                start: start.to_vec(),
                end: state.position_of(slot).to_vec(),
                energy_error: info.energy_error,
            });
        }
    }

    /// Closes the account.
    pub fn finish(self, step_size: f64, metric: Metric, warmup_gradients: u64, gradients: u64) -> ChainRun {
        ChainRun {
            step_size,
            metric,
            warmup_gradients,
            gradients,
            iterations: self.iterations,
            divergent: self.divergent,
            divergences: self.divergences,
            max_depth_hits: self.max_depth_hits,
            ebfmi: self.energy.ebfmi(),
            accept: self.accept / self.iterations as f64,
            jumps: self.jumps,
            cancelled: self.cancelled,
        }
    }
}

/// Sums for E-BFMI.
#[derive(Default)]
struct EnergySums {
    count: f64,
    mean: f64,
    m2: f64,
    last: f64,
    jumps: f64,
}

impl EnergySums {
    fn push(&mut self, energy: f64) {
        if self.count > 0.0 {
            self.jumps += (energy - self.last).powi(2);
        }
        self.last = energy;
        self.count += 1.0;
        let d = energy - self.mean;
        self.mean += d / self.count;
        self.m2 += d * (energy - self.mean);
    }

    fn ebfmi(&self) -> f64 {
        if self.count < 3.0 { f64::NAN } else { self.jumps / self.m2 }
    }
}

/// Decides when the next progress report is due. It looks at the clock only after a number of gradients that it
/// adapts, so that neither a model of 100 ns nor one of a second per gradient is served badly.
pub(crate) struct Reporter {
    every: Duration,
    reported: Instant,
    looked: Instant,
    next: u64,
    stride: u64,
}

/// Most gradient evaluations between two looks at the clock.
const MAX_STRIDE: u64 = 1 << 20;

impl Reporter {
    /// Reports at most once per `every`.
    pub fn new(every: Duration) -> Reporter {
        let now = Instant::now();
        Reporter { every, reported: now, looked: now, next: 1, stride: 1 }
    }

    /// Whether a report is due after so many gradient evaluations in all.
    pub fn due(&mut self, gradients: u64) -> bool {
        if gradients < self.next {
            return false;
        }
        let now = Instant::now();
        let since = now - self.looked;
        if 8 * since < self.every {
            self.stride = (2 * self.stride).min(MAX_STRIDE);
        } else if 2 * since > self.every {
            self.stride = (self.stride / 2).max(1);
        }
        self.looked = now;
        self.next = gradients + self.stride;
        let due = now - self.reported >= self.every;
        if due {
            self.reported = now;
        }
        due
    }
}
