//! The step size: a first guess by doubling and halving, then dual averaging (Hoffman & Gelman 2014, section 3.2).

use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::mcmc::integrator::leapfrog;
use crate::mcmc::metric::Metric;
use crate::mcmc::state::State;

/// Nesterov's dual averaging of log step size, driving the mean acceptance statistic to `target`.
#[derive(Clone, Copy, Debug)]
pub struct DualAveraging {
    target: f64,
    mu: f64,
    count: f64,
    h_bar: f64,
    log_step: f64,
    log_step_bar: f64,
}

/// Shrinkage towards mu (gamma), damping of early steps (t0) and decay of the average (kappa): Stan's values.
const GAMMA: f64 = 0.05;
const T0: f64 = 10.0;
const KAPPA: f64 = 0.75;

impl DualAveraging {
    /// Starts at `step`; mu = log(10 step) makes early trials favour larger steps.
    pub fn new(step: f64, target: f64) -> DualAveraging {
        let log_step = step.ln();
        DualAveraging { target, mu: log_step + 10f64.ln(), count: 0.0, h_bar: 0.0, log_step, log_step_bar: log_step }
    }

    /// One acceptance statistic in [0, 1] (equations 6 and the update of x-bar below it).
    pub fn update(&mut self, accept: f64) {
        let accept = if accept.is_finite() { accept.clamp(0.0, 1.0) } else { 0.0 };
        self.count += 1.0;
        let eta = 1.0 / (self.count + T0);
        self.h_bar += eta * (self.target - accept - self.h_bar);
        self.log_step = self.mu - self.h_bar * self.count.sqrt() / GAMMA;
        let weight = self.count.powf(-KAPPA);
        self.log_step_bar += weight * (self.log_step - self.log_step_bar);
    }

    /// Step size to use while adapting.
    pub fn current(&self) -> f64 {
        self.log_step.exp()
    }

    /// Averaged step size, for sampling.
    pub fn averaged(&self) -> f64 {
        self.log_step_bar.exp()
    }
}

/// Steps outside this range end the search: the density is improper or discontinuous.
const RANGE: (f64, f64) = (1e-12, 1e7);

/// The first power of two times `eps` at which one leapfrog step from the current point crosses an
/// acceptance probability of 0.8 (Hoffman & Gelman 2014, algorithm 4, with Stan's threshold); `Err` holds the
/// step size at which the search ran away.
pub fn first_guess<T: Gradient + ?Sized>(
    target: &T,
    metric: &Metric,
    eps: f64,
    state: &mut State,
    rng: &mut Stream,
) -> Result<f64, f64> {
    let mut trial = |eps: f64| {
        state.refresh(metric, rng);
        let from = state.current();
        let to = state.take();
        let h0 = state.energy_of(from);
        let error = leapfrog(target, metric, state, from, to, eps) - h0;
        state.settle(from);
        // False for NaN.
        error <= -(0.8f64.ln())
    };
    let mut eps = eps;
    let grows = trial(eps);
    loop {
        let next = if grows { 2.0 * eps } else { 0.5 * eps };
        if !(RANGE.0..=RANGE.1).contains(&next) {
            return Err(next);
        }
        if trial(next) != grows {
            return Ok(next);
        }
        eps = next;
    }
}
