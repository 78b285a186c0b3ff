//! Evidence estimation that is wrong on purpose: a test of estimators that none of these fails is no test.
//!
//! | mutant | what is wrong | killed by |
//! |---|---|---|
//! | [`ProposalFault::DroppedLogQ`] | draws report density 1 | replicate test of the mean |
//! | [`ProposalFault::WrongSign`] | the log density's sign is turned | replicate test of the mean |
//! | [`ProposalFault::ReusedNoise`] | every draw of a block has the noise of the first | replicate test of the errors |
//! | [`forgot_k`] | log sum instead of log mean over K | exact identity |
//! | [`unit_weights`] | log Z as the mean log weight | replicate test of the mean |
//! | [`shuffled`] | chains without their order: autocorrelation unseen | replicate test of the errors |

use crate::base::rng::Stream;
use crate::density::{LogDensity, Proposal};

/// What is wrong with a [`BrokenProposal`]; see the table of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table has them")]
pub enum ProposalFault {
    DroppedLogQ,
    WrongSign,
    ReusedNoise,
}

/// A proposal with a fault.
pub struct BrokenProposal<'a> {
    /// The sound one.
    pub inner: &'a dyn Proposal,
    /// The fault.
    pub fault: ProposalFault,
}

impl LogDensity for BrokenProposal<'_> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn scratch(&self) -> usize {
        self.inner.scratch()
    }

    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64 {
        let log_q = self.inner.logp(x, ws);
        match self.fault {
            ProposalFault::DroppedLogQ => 0.0,
            ProposalFault::WrongSign => -log_q,
            ProposalFault::ReusedNoise => log_q,
        }
    }

    fn lanes_scratch(&self) -> usize {
        self.inner.lanes_scratch()
    }
}

impl Proposal for BrokenProposal<'_> {
    fn noise(&self) -> usize {
        self.inner.noise()
    }

    fn draw(&self, noise: &[f64], x: &mut [f64], log_q: &mut [f64], ws: &mut [f64]) {
        match self.fault {
            ProposalFault::ReusedNoise => {
                let first = noise[..self.noise()].repeat(log_q.len());
                self.inner.draw(&first, x, log_q, ws);
            }
            ProposalFault::DroppedLogQ => {
                self.inner.draw(noise, x, log_q, ws);
                log_q.fill(0.0);
            }
            ProposalFault::WrongSign => {
                self.inner.draw(noise, x, log_q, ws);
                log_q.iter_mut().for_each(|q| *q = -*q);
            }
        }
    }
}

/// log sum w over K weights: the 1 / K forgotten.
pub fn forgot_k(log_weights: &[f64], k: usize) -> f64 {
    let group = |g: &[f64]| g.iter().map(|w| w.exp()).sum::<f64>().ln();
    log_weights.chunks_exact(k).map(group).sum::<f64>() / (log_weights.len() / k) as f64
}

/// The mean log weight and its standard error, as if all weights were the same.
pub fn unit_weights(log_weights: &[f64]) -> (f64, f64) {
    let n = log_weights.len() as f64;
    let mean = log_weights.iter().sum::<f64>() / n;
    let squares: f64 = log_weights.iter().map(|w| (w - mean).powi(2)).sum();
    (mean, (squares / (n * (n - 1.0))).sqrt())
}

/// The draws of a chain in random order (Fisher & Yates).
pub fn shuffled(chain: &[f64], rng: &mut Stream) -> Vec<f64> {
    let mut out = chain.to_vec();
    for i in (1..out.len()).rev() {
        out.swap(i, (rng.uniform() * (i + 1) as f64) as usize);
    }
    out
}
