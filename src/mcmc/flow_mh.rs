//! Independence Metropolis moves with draws from a proposal such as a flow (Gabrié, Rotskoff & Vanden-Eijnden 2022),
//! interleaved with local moves: the former jump between modes, the latter explore them.

use crate::base::rng::Stream;
use crate::density::{Gradient, Proposal};
use crate::mcmc::kernel::{Info, Kernel};
use crate::mcmc::metric::Metric;
use crate::mcmc::state::State;
use std::cell::RefCell;

/// Global moves of one chain: y ~ q whatever the current x, accepted with probability
/// min(1, p(y) q(x) / (p(x) q(y))) (Hastings 1970; Tierney 1994, section 2.3.3).
///
/// q(x) is computed anew at each move, since a local move may have changed x. Nothing allocates after the start.
pub struct FlowMh<'a> {
    proposal: &'a dyn Proposal,
    /// Moves per transition.
    moves: usize,
    work: RefCell<Work>,
}

/// Count of global moves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jumps {
    /// Moves tried.
    pub tried: u64,
    /// Moves accepted.
    pub moved: u64,
    /// Sum of the acceptance probabilities.
    pub accept: f64,
}

impl Jumps {
    /// Adds another count.
    pub fn add(&mut self, other: Jumps) {
        self.tried += other.tried;
        self.moved += other.moved;
        self.accept += other.accept;
    }

    /// Mean acceptance probability: how good the proposal is. NaN when no move was tried.
    pub fn rate(&self) -> f64 {
        self.accept / self.tried as f64
    }
}

/// Buffers of one chain.
struct Work {
    noise: Vec<f64>,
    y: Vec<f64>,
    ws: Vec<f64>,
}

impl<'a> FlowMh<'a> {
    /// `moves` tries per transition with draws from `proposal`.
    pub fn new(proposal: &'a dyn Proposal, moves: usize) -> FlowMh<'a> {
        let work = Work {
            noise: vec![0.0; proposal.noise()],
            y: vec![0.0; proposal.dim()],
            ws: vec![0.0; proposal.lanes_scratch().max(proposal.scratch())],
        };
        FlowMh { proposal, moves, work: RefCell::new(work) }
    }

    /// Makes the moves; the state ends at the last one accepted.
    ///
    /// A draw whose density under the target or the proposal is not finite is refused. So is every draw where q(x)
    /// is zero or NaN: the chain then moves by its local moves alone.
    pub fn jump<T: Gradient + ?Sized>(&self, target: &T, state: &mut State, rng: &mut Stream) -> Jumps {
        let Work { noise, y, ws } = &mut *self.work.borrow_mut();
        let mut jumps = Jumps::default();
        for _ in 0..self.moves {
            rng.fill_normal(noise);
            let mut log_q = [0.0];
            self.proposal.draw(noise, y, &mut log_q, ws);
            let here = state.logp() - self.proposal.logp(state.position(), ws);
            let from = state.current();
            let to = state.visit(target, y);
            let there = state.logp_of(to) - log_q[0];
            let accept = if there.is_finite() && !here.is_nan() { (there - here).exp().min(1.0) } else { 0.0 };
            let moved = rng.uniform() < accept;
            state.settle(if moved { to } else { from });
            jumps.tried += 1;
            jumps.moved += u64::from(moved);
            jumps.accept += accept;
        }
        jumps
    }
}

/// Global moves alone; metric and step size do not matter.
impl Kernel for FlowMh<'_> {
    fn step<T: Gradient + ?Sized>(&self, target: &T, _: &Metric, _: f64, state: &mut State, rng: &mut Stream) -> Info {
        let jumps = self.jump(target, state, rng);
        Info { accept: jumps.rate(), energy: -state.logp(), ..Info::default() }
    }
}
