//! Static Hamiltonian Monte Carlo (Duane et al. 1987; Neal 2011, section 5.2.3).

use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::mcmc::integrator::leapfrog;
use crate::mcmc::kernel::{Info, Kernel};
use crate::mcmc::metric::Metric;
use crate::mcmc::state::State;

/// A fixed number of leapfrog steps, then a Metropolis test on the energy error.
#[derive(Clone, Copy, Debug)]
pub struct Hmc {
    /// Leapfrog steps per transition, at least 1.
    pub leapfrogs: u32,
}

impl Kernel for Hmc {
    fn step<T: Gradient + ?Sized>(
        &self,
        target: &T,
        metric: &Metric,
        eps: f64,
        state: &mut State,
        rng: &mut Stream,
    ) -> Info {
        state.refresh(metric, rng);
        let start = state.current();
        let h0 = state.energy_of(start);
        let (mut from, mut to) = (start, state.take());
        let mut spare = state.take();
        for _ in 0..self.leapfrogs {
            leapfrog(target, metric, state, from, to, eps);
            let next = if from == start { spare } else { from };
            (from, to, spare) = (to, next, spare);
        }
        let end = from;
        let error = state.energy_of(end) - h0;
        let accept = if error.is_nan() { 0.0 } else { (-error).exp().min(1.0) };
        let moved = rng.uniform() < accept;
        state.settle(if moved { end } else { start });
        Info { accept, leapfrogs: self.leapfrogs, energy: state.energy_of(state.current()), ..Info::default() }
    }
}
