//! What every kernel is: a Markov transition of a [`State`] at a given step size and metric.

use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::mcmc::metric::Metric;
use crate::mcmc::state::State;

/// A Markov kernel that leaves the target invariant. It holds its settings only; what moves is the [`State`].
pub trait Kernel {
    /// One transition of `state` with step size `eps`; the new position is the state's current one.
    fn step<T: Gradient + ?Sized>(
        &self,
        target: &T,
        metric: &Metric,
        eps: f64,
        state: &mut State,
        rng: &mut Stream,
    ) -> Info;
}

/// What a transition tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Info {
    /// Mean Metropolis acceptance probability over the trajectory (Stan's `accept_stat__`).
    pub accept: f64,
    /// Number of doublings (0 for static HMC).
    pub depth: u32,
    /// Number of leapfrog steps.
    pub leapfrogs: u32,
    /// The energy error passed the limit or was not finite.
    pub divergent: bool,
    /// The trajectory was cut by the limit on doublings.
    pub max_depth: bool,
    /// Energy of the new point.
    pub energy: f64,
    /// Largest energy error H - H0 where the trajectory diverged; 0 otherwise.
    pub energy_error: f64,
    /// Where the trajectory diverged; that slot's position is valid until the next transition.
    pub divergence: Option<u8>,
    /// The run was cancelled inside the trajectory; the state has not moved.
    pub cancelled: bool,
}
