//! Global moves that are wrong on purpose.
//!
//! | mutant | what is wrong | killed by |
//! |---|---|---|
//! | [`JumpFault::DroppedLogQ`] | accepted by p(y) / p(x) | invariance |
//! | [`JumpFault::AlwaysAccept`] | every proposal is taken | invariance |
//! | [`JumpFault::ReusedNoise`] | the same proposal at every step | invariance |

use crate::base::rng::Stream;
use crate::density::{Gradient, Proposal};
use crate::mcmc::kernel::{Info, Kernel};
use crate::mcmc::metric::Metric;
use crate::mcmc::state::State;

/// What is wrong with a [`BrokenJump`]; see the table of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table has them")]
pub enum JumpFault {
    DroppedLogQ,
    AlwaysAccept,
    ReusedNoise,
}

/// Every fault.
pub const JUMP_FAULTS: [JumpFault; 3] = [JumpFault::DroppedLogQ, JumpFault::AlwaysAccept, JumpFault::ReusedNoise];

/// An independence Metropolis move with a fault.
pub struct BrokenJump<'a> {
    /// Where proposals come from.
    pub proposal: &'a dyn Proposal,
    /// The fault.
    pub fault: JumpFault,
}

impl Kernel for BrokenJump<'_> {
    fn step<T: Gradient + ?Sized>(&self, target: &T, _: &Metric, _: f64, state: &mut State, rng: &mut Stream) -> Info {
        let q = self.proposal;
        let mut fixed = Stream::new(0, "reused", 0);
        let source = if self.fault == JumpFault::ReusedNoise { &mut fixed } else { &mut *rng };
        let noise: Vec<f64> = (0..q.noise()).map(|_| source.normal()).collect();
        let (mut y, mut log_q) = (vec![0.0; q.dim()], [0.0]);
        let mut ws = vec![0.0; q.lanes_scratch().max(q.scratch())];
        q.draw(&noise, &mut y, &mut log_q, &mut ws);
        let x = state.position().to_vec();
        let here = q.logp(&x, &mut ws);
        let old = state.logp();
        state.set_position(target, &y);
        let ratio = state.logp() - old;
        let accept = match self.fault {
            JumpFault::DroppedLogQ => ratio.exp(),
            JumpFault::AlwaysAccept => 1.0,
            JumpFault::ReusedNoise => (ratio + here - log_q[0]).exp(),
        };
        if rng.uniform() >= accept {
            state.set_position(target, &x);
        }
        Info { accept: accept.min(1.0), ..Info::default() }
    }
}
