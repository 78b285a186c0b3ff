//! Kernels that are wrong on purpose: a test that none of them fails is no test.
//!
//! | mutant | what is wrong | killed by |
//! |---|---|---|
//! | [`HmcFault::NoReject`] | every proposal is accepted | invariance |
//! | [`HmcFault::RetryUntilAccepted`] | rejected proposals are tried again | invariance |
//! | [`HmcFault::PotentialOnly`] | the Metropolis ratio leaves out the kinetic energy | invariance |
//! | [`HmcFault::HotMomentum`] | momentum 1.2 times too large | invariance |
//! | [`HmcFault::Euler`] | explicit Euler steps | invariance, reversibility, volume, energy order |
//! | [`HmcFault::FullKick`] | the closing half step of the momentum left out | invariance, reversibility |
//! | [`HmcFault::BestOfTrajectory`] | the end is the point of lowest energy passed | invariance |
//! | [`EqualWeights`] | leaves weigh the same whatever their energy | invariance |
//! | [`LatestWithin`] | biased progressive sampling inside subtrees too | invariance |
//! | [`AlwaysNewest`] | each doubling's proposal is taken | invariance |
//! | [`NoSubtreeCheck`] | U-turns inside a doubling go unseen | invariance |
//! | [`KeepsInvalid`] | a doubling that turned inside may be sampled from | invariance |
//! | [`ForwardOnly`] | the trajectory grows in one direction | invariance |
//! | [`MomentumKept`] | momentum never refreshed: invariant, but each energy shell is a world of its own | spread of energies |
//! | [`HotMomentum`] | NUTS with momentum 1.2 times too large | invariance |

use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::mcmc::integrator::leapfrog;
use crate::mcmc::kernel::{Info, Kernel};
use crate::mcmc::metric::Metric;
use crate::mcmc::nuts::Rules;
use crate::mcmc::state::State;

/// What is wrong with a [`BrokenHmc`]; see the table of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table has them")]
pub enum HmcFault {
    NoReject,
    RetryUntilAccepted,
    PotentialOnly,
    HotMomentum,
    Euler,
    FullKick,
    BestOfTrajectory,
}

/// Every fault.
pub const HMC_FAULTS: [HmcFault; 7] = [
    HmcFault::NoReject,
    HmcFault::RetryUntilAccepted,
    HmcFault::PotentialOnly,
    HmcFault::HotMomentum,
    HmcFault::Euler,
    HmcFault::FullKick,
    HmcFault::BestOfTrajectory,
];

/// Static HMC with a fault, on the unit metric.
#[derive(Clone, Copy, Debug)]
pub struct BrokenHmc {
    /// Leapfrog steps.
    pub leapfrogs: u32,
    /// The fault.
    pub fault: HmcFault,
}

/// A point of the phase space with its log density and gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Position.
    pub q: Vec<f64>,
    /// Momentum.
    pub p: Vec<f64>,
    /// Gradient of the log density.
    pub g: Vec<f64>,
    /// Log density.
    pub logp: f64,
}

impl Phase {
    /// The point (q, p).
    pub fn new<T: Gradient + ?Sized>(target: &T, q: &[f64], p: &[f64]) -> Phase {
        let mut phase = Phase { q: q.to_vec(), p: p.to_vec(), g: vec![0.0; q.len()], logp: 0.0 };
        phase.evaluate(target);
        phase
    }

    fn evaluate<T: Gradient + ?Sized>(&mut self, target: &T) {
        self.logp = target.logp_grad(&self.q, &mut self.g, &mut vec![0.0; target.scratch()]);
    }

    /// Energy for the unit metric.
    pub fn energy(&self) -> f64 {
        0.5 * self.p.iter().map(|p| p * p).sum::<f64>() - self.logp
    }

    /// One integration step as the fault would have it.
    pub fn step<T: Gradient + ?Sized>(&mut self, target: &T, eps: f64, fault: HmcFault) {
        let first = if fault == HmcFault::Euler { eps } else { 0.5 * eps };
        let last = match fault {
            HmcFault::Euler | HmcFault::FullKick => 0.0,
            _ => 0.5 * eps,
        };
        for j in 0..self.q.len() {
            let p = self.p[j];
            self.p[j] += first * self.g[j];
            self.q[j] += eps * if fault == HmcFault::Euler { p } else { self.p[j] };
        }
        self.evaluate(target);
        for j in 0..self.q.len() {
            self.p[j] += last * self.g[j];
        }
    }
}

impl Kernel for BrokenHmc {
    fn step<T: Gradient + ?Sized>(
        &self,
        target: &T,
        _: &Metric,
        eps: f64,
        state: &mut State,
        rng: &mut Stream,
    ) -> Info {
        let scale = if self.fault == HmcFault::HotMomentum { 1.2 } else { 1.0 };
        loop {
            let momentum: Vec<f64> = (0..state.dim()).map(|_| scale * rng.normal()).collect();
            let start = Phase::new(target, state.position(), &momentum);
            let end = self.trajectory(target, &start, eps);
            let error = match self.fault {
                HmcFault::PotentialOnly => start.logp - end.logp,
                _ => end.energy() - start.energy(),
            };
            let accept = (-error).exp().min(1.0);
            let moved = rng.uniform() < accept || self.fault == HmcFault::NoReject;
            if moved {
                state.set_position(target, &end.q);
            }
            if moved || self.fault != HmcFault::RetryUntilAccepted {
                return Info { accept, leapfrogs: self.leapfrogs, ..Info::default() };
            }
        }
    }
}

impl BrokenHmc {
    fn trajectory<T: Gradient + ?Sized>(&self, target: &T, start: &Phase, eps: f64) -> Phase {
        let mut now = start.clone();
        let mut best = start.clone();
        for _ in 0..self.leapfrogs {
            now.step(target, eps, self.fault);
            if now.energy() < best.energy() {
                best = now.clone();
            }
        }
        if self.fault == HmcFault::BestOfTrajectory { best } else { now }
    }
}

macro_rules! rules {
    ($(#[$doc:meta])* $name:ident { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl Rules for $name {
            $($body)*
        }
    };
}

rules! {
    /// Leaves weigh the same.
    EqualWeights {
        fn weight(&self, _: f64) -> f64 {
            1.0
        }
    }
}
rules! {
    /// Biased progressive sampling inside subtrees.
    LatestWithin {
        fn pick_within(&self, u: f64, a: f64, b: f64) -> bool {
            u * a < b
        }
    }
}
rules! {
    /// Each doubling's proposal is taken.
    AlwaysNewest {
        fn pick_across(&self, _: f64, _: f64, _: f64) -> bool {
            true
        }
    }
}
rules! {
    /// U-turns inside a doubling go unseen.
    NoSubtreeCheck {
        const CHECK_SUBTREES: bool = false;
    }
}
rules! {
    /// A doubling that turned inside may be sampled from.
    KeepsInvalid {
        const DROP_INVALID: bool = false;
    }
}
rules! {
    /// The trajectory grows forwards in time alone.
    ForwardOnly {
        const BOTH_WAYS: bool = false;
    }
}
rules! {
    /// Momentum 1.2 times too large.
    HotMomentum {
        fn refresh(&self, metric: &Metric, state: &mut State, rng: &mut Stream) {
            let p: Vec<f64> = (0..state.dim()).map(|_| 1.2 * rng.normal()).collect();
            state.set_momentum(metric, &p);
        }
    }
}
rules! {
    /// Momentum drawn once, then never again.
    MomentumKept {
        fn refresh(&self, metric: &Metric, state: &mut State, rng: &mut Stream) {
            let p = state.momentum_of(state.current()).to_vec();
            if p.iter().all(|&p| p == 0.0) {
                state.refresh(metric, rng);
            } else {
                state.set_momentum(metric, &p);
            }
        }
    }
}

/// The kernel's own leapfrog as a map of phase points, on the unit metric: what the integrator tests compare with.
pub fn leapfrog_map<T: Gradient + ?Sized>(target: &T, metric: &Metric, start: &Phase, eps: f64) -> Phase {
    let mut state = State::new(target, 0);
    state.set_position(target, &start.q);
    state.set_momentum(metric, &start.p);
    let from = state.current();
    let to = state.take();
    leapfrog(target, metric, &mut state, from, to, eps);
    Phase::new(target, state.position_of(to), state.momentum_of(to))
}
