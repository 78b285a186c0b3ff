//! Log weights log p(x) - log q(x), at draws from the proposal and at points given.

use crate::base::rng::Stream;
use crate::density::{LogDensity, Proposal};
use crate::diagnostics::engine::MIN_DRAWS;
use crate::evidence::error::EvidenceError;
use rayon::prelude::*;

/// Particles per random stream: the unit of work that threads share out.
pub const BLOCK: usize = 256;

/// Log weights, with the count of those that are zero or no number.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// log w, -inf for a weight of zero or no number.
    log: Vec<f64>,
    /// Weights of zero: draws where the target's density is zero.
    pub zero: usize,
    /// Weights that are no number: NaN, or infinite where the proposal claims to have drawn from density zero.
    pub bad: usize,
}

impl Weights {
    /// Counts what is zero and what is no number; the latter then counts as zero in every sum, and whatever is
    /// computed from these weights is not trusted.
    pub fn new(mut log: Vec<f64>) -> Weights {
        let (mut zero, mut bad) = (0, 0);
        for w in &mut log {
            if w.is_nan() || *w == f64::INFINITY {
                bad += 1;
                *w = f64::NEG_INFINITY;
            } else if *w == f64::NEG_INFINITY {
                zero += 1;
            }
        }
        Weights { log, zero, bad }
    }

    /// Several sets as one.
    pub fn join(sets: &[Weights]) -> Weights {
        let log = sets.iter().flat_map(|w| w.log.iter().copied()).collect();
        let (zero, bad) = sets.iter().fold((0, 0), |(z, b), w| (z + w.zero, b + w.bad));
        Weights { log, zero, bad }
    }

    /// The log weights in the order of drawing.
    pub fn log(&self) -> &[f64] {
        &self.log
    }

    /// Why nothing computed from these weights may be trusted, if that is so.
    pub fn fault(&self) -> Option<String> {
        let n = self.log.len();
        if self.bad > 0 {
            return Some(format!("{} of {n} weights are not numbers: target or proposal failed there", self.bad));
        }
        (self.zero + self.bad == n).then(|| format!("all {n} weights are zero: proposal and target do not overlap"))
    }
}

/// Log weights at posterior draws, chain by chain.
#[derive(Clone, Debug, PartialEq)]
pub struct PosteriorWeights {
    chains: Vec<Vec<f64>>,
    /// Draws whose weight is NaN, or zero, which no draw from the posterior has.
    pub bad: usize,
}

impl PosteriorWeights {
    /// From log w at the draws of each chain; all chains have one length.
    pub fn new(chains: Vec<Vec<f64>>) -> Result<PosteriorWeights, EvidenceError> {
        let first = chains.first().map_or(0, Vec::len);
        if let Some(c) = chains.iter().find(|c| c.len() != first) {
            return Err(EvidenceError::Ragged { first, other: c.len() });
        }
        if first < MIN_DRAWS {
            return Err(EvidenceError::TooFew { what: "posterior draws per chain", found: first, needed: MIN_DRAWS });
        }
        let bad = chains.iter().flatten().filter(|w| w.is_nan() || **w == f64::NEG_INFINITY).count();
        Ok(PosteriorWeights { chains, bad })
    }

    /// The log weights of each chain.
    pub fn chains(&self) -> &[Vec<f64>] {
        &self.chains
    }

    /// Draws per chain.
    pub fn draws(&self) -> usize {
        self.chains[0].len()
    }

    /// The second half of each chain: what remains when a proposal was fitted to the first.
    pub fn second_half(&self) -> Result<PosteriorWeights, EvidenceError> {
        PosteriorWeights::new(self.chains.iter().map(|c| c[c.len() / 2..].to_vec()).collect())
    }

    /// Why nothing computed from these weights may be trusted, if that is so.
    pub fn fault(&self) -> Option<String> {
        (self.bad > 0).then(|| format!("{} posterior draws have weights that are zero or not numbers", self.bad))
    }
}

/// log w at `n` draws from the proposal. Block `b` of [`BLOCK`] particles uses the random stream (seed, stage, b) alone,
/// so the bits do not depend on the number of threads (those of the current pool are used).
pub fn drawn<T, P>(target: &T, proposal: &P, n: usize, seed: u64, stage: &str) -> Result<Weights, EvidenceError>
where
    T: LogDensity + ?Sized,
    P: Proposal + ?Sized,
{
    check(target, proposal)?;
    let mut log = vec![0.0; n];
    log.par_chunks_mut(BLOCK).enumerate().for_each_init(
        || Work::new(target, proposal),
        |work, (b, out)| _ = work.draw(target, proposal, &mut Stream::new(seed, stage, b as u64), out),
    );
    Ok(Weights::new(log))
}

/// [`drawn`] with the draws, draw after draw (n x dim): the same bits.
pub fn drawn_with_points<T, P>(
    target: &T,
    proposal: &P,
    n: usize,
    seed: u64,
    stage: &str,
) -> Result<(Weights, Vec<f64>), EvidenceError>
where
    T: LogDensity + ?Sized,
    P: Proposal + ?Sized,
{
    check(target, proposal)?;
    let d = target.dim();
    let (mut log, mut points) = (vec![0.0; n], vec![0.0; n * d]);
    log.par_chunks_mut(BLOCK).zip(points.par_chunks_mut(BLOCK * d.max(1))).enumerate().for_each_init(
        || Work::new(target, proposal),
        |work, (b, (out, rows))| {
            let m = out.len();
            let x = work.draw(target, proposal, &mut Stream::new(seed, stage, b as u64), out);
            for (p, row) in rows.chunks_exact_mut(d).enumerate() {
                row.iter_mut().enumerate().for_each(|(j, v)| *v = x[j * m + p]);
            }
        },
    );
    Ok((Weights::new(log), points))
}

/// log w at given points, `points` being row-major (n x dim).
pub fn at<T, P>(target: &T, proposal: &P, points: &[f64]) -> Result<Vec<f64>, EvidenceError>
where
    T: LogDensity + ?Sized,
    P: Proposal + ?Sized,
{
    check(target, proposal)?;
    let d = target.dim();
    let mut log = vec![0.0; points.len() / d.max(1)];
    log.par_chunks_mut(BLOCK).zip(points.par_chunks(BLOCK * d.max(1))).for_each_init(
        || Work::new(target, proposal),
        |work, (out, rows)| {
            let m = out.len();
            let x = &mut work.x[..m * d];
            for (p, row) in rows.chunks_exact(d).enumerate() {
                row.iter().enumerate().for_each(|(j, v)| x[j * m + p] = *v);
            }
            proposal.logp_lanes(x, &mut work.log_q[..m], &mut work.ws);
            target.logp_lanes(x, out, &mut work.ws);
            subtract(out, &work.log_q);
        },
    );
    Ok(log)
}

/// Buffers of one thread.
struct Work {
    noise: Vec<f64>,
    x: Vec<f64>,
    log_q: Vec<f64>,
    ws: Vec<f64>,
}

impl Work {
    fn new<T: LogDensity + ?Sized, P: Proposal + ?Sized>(target: &T, proposal: &P) -> Work {
        Work {
            noise: vec![0.0; BLOCK * proposal.noise()],
            x: vec![0.0; BLOCK * target.dim()],
            log_q: vec![0.0; BLOCK],
            ws: vec![0.0; target.lanes_scratch().max(proposal.lanes_scratch())],
        }
    }

    /// Log weights of fresh draws into `out`; the draws, coordinate-major.
    fn draw<T, P>(&mut self, target: &T, proposal: &P, rng: &mut Stream, out: &mut [f64]) -> &[f64]
    where
        T: LogDensity + ?Sized,
        P: Proposal + ?Sized,
    {
        let m = out.len();
        let noise = &mut self.noise[..m * proposal.noise()];
        rng.fill_normal(noise);
        let x = &mut self.x[..m * target.dim()];
        proposal.draw(noise, x, &mut self.log_q[..m], &mut self.ws);
        target.logp_lanes(x, out, &mut self.ws);
        subtract(out, &self.log_q);
        x
    }
}

fn check<T: LogDensity + ?Sized, P: Proposal + ?Sized>(target: &T, proposal: &P) -> Result<(), EvidenceError> {
    let (found, expected) = (proposal.dim(), target.dim());
    if found == expected { Ok(()) } else { Err(EvidenceError::Dimension { what: "the proposal", found, expected }) }
}

fn subtract(log_p: &mut [f64], log_q: &[f64]) {
    log_p.iter_mut().zip(log_q).for_each(|(p, q)| *p -= q);
}
