//! Bounds and their gradients from a number of draws, shared out to threads in chunks of a fixed size.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::objective::Objective;
use super::steps::{Step, Steps};
use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::graph::program::Real;
use crate::guide::{Batch, Family};

/// Draws that one task treats, a multiple of a group; more where networks are large, whose weights each task reads.
const CHUNK: usize = 32;
const WIDE: usize = 64;
const WIDEST: usize = 256;
/// Parameters from which networks are large: products of matrices then take the time.
const LARGE: usize = 20_000;

/// Where a step met a number that is not finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// Step of the training.
    pub step: usize,
    /// Draw of that step.
    pub draw: usize,
    /// `log p`, `log q`, or the gradient of either.
    pub quantity: String,
    /// Its value.
    pub value: String,
    /// The draw, in unconstrained coordinates.
    pub point: Vec<f64>,
}

impl Trouble {
    /// A gradient whose length is not finite.
    pub fn of_length(step: usize, length: f64) -> Trouble {
        let quantity = "the length of the gradient".into();
        Trouble { step, draw: 0, quantity, value: length.to_string(), point: vec![] }
    }
}

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Mean.
    pub value: f64,
    /// Standard error.
    pub se: f64,
}

/// Everything that gradients of one family and one target need. Parameters and gradients are numbers of type `R`; bounds are
/// computed in double precision.
pub struct Engine<'a, T: ?Sized, R: Real = f64> {
    target: &'a T,
    batch: Batch,
    objective: Objective,
    chunks: Vec<Chunk>,
    steps: Option<Steps<R>>,
    gradient: Vec<R>,
}

/// Buffers of a task. Points lie point after point, but for what the target sees (coordinate after coordinate).
pub(super) struct Chunk {
    pub(super) u: Vec<f64>,
    pub(super) x: Vec<f64>,
    pub(super) log_q: Vec<f64>,
    pub(super) log_p: Vec<f64>,
    pub(super) log_p_grad: Vec<f64>,
    pub(super) score: Vec<f64>,
    pub(super) x_bar: Vec<f64>,
    pub(super) q_bar: Vec<f64>,
    columns: Vec<f64>,
    column_grad: Vec<f64>,
    pub(super) total: f64,
    pub(super) noise: Vec<f64>,
    ws: Vec<f64>,
    target_ws: Vec<f64>,
    pub(super) trouble: Option<(usize, &'static str, f64)>,
}

/// Whether steps of a family serve in single precision: where its networks are large, their products take the time.
pub fn serves_single(family: &Family) -> bool {
    family.flow.len() >= LARGE
}

impl<'a, T: Gradient + ?Sized, R: Real> Engine<'a, T, R> {
    /// At least `draws` draws a step.
    pub fn new(target: &'a T, family: Arc<Family>, objective: Objective, draws: usize) -> Engine<'a, T, R> {
        let k = objective.particles();
        let (dim, len) = (family.dim(), family.flow.len());
        let large = len >= LARGE || R::SINGLE;
        let n = k * if large { (draws / 2).clamp(WIDE, WIDEST) } else { CHUNK }.div_ceil(k);
        let tasks = draws.div_ceil(n).max(1);
        let chunk = |_| Chunk {
            u: vec![0.0; n * dim],
            x: vec![0.0; n * dim],
            log_q: vec![0.0; n],
            log_p: vec![0.0; n],
            log_p_grad: vec![0.0; n * dim],
            score: vec![0.0; n * dim],
            x_bar: vec![0.0; n * dim],
            q_bar: vec![0.0; n],
            columns: vec![0.0; n * dim],
            column_grad: vec![0.0; n * dim],
            total: 0.0,
            noise: vec![0.0; n * family.base.noise(dim)],
            ws: vec![],
            target_ws: vec![0.0; target.lanes_scratch()],
            trouble: None,
        };
        let chunks = (0..tasks).map(chunk).collect();
        let (batch, gradient) = (Batch::new(family, n), vec![R::default(); len]);
        Engine { target, batch, objective, chunks, steps: None, gradient }
    }

    /// What it raises.
    pub(super) fn objective(&self) -> Objective {
        self.objective
    }

    /// The family.
    pub fn family(&self) -> &Family {
        self.batch.family()
    }

    /// Draws of a step.
    pub fn draws(&self) -> usize {
        self.chunks.len() * self.batch.len()
    }

    /// The mean bound at `theta` and its gradient, with the noise of the stream (seed, "vi/step", step).
    pub fn gradient(&mut self, theta: &[R], seed: u64, step: usize) -> Result<(f64, &[R]), Trouble> {
        let (target, batch, objective) = (self.target, &self.batch, self.objective);
        let noise = |c: usize, len: usize| noise_stream(seed, "vi/step", step, c, len);
        let new = || Steps::new(batch.family(), objective, batch.len(), self.chunks.len());
        let s = Step { target, theta, objective, noise: &noise };
        let steps = self.steps.get_or_insert_with(new);
        steps.step(&mut self.chunks, &s);
        if let Some(trouble) = self.trouble(step) {
            return Err(trouble);
        }
        let groups = (self.draws() / self.objective.particles()) as f64;
        let mut total = 0.0;
        self.chunks.iter().for_each(|c| total += c.total);
        if let Some(steps) = &self.steps {
            steps.mean(&mut self.gradient, groups);
        }
        Ok((total / groups, &self.gradient))
    }

    /// The bound on fresh draws: `rounds` steps' worth from the stream (seed, stage, index), gradients not needed.
    /// A draw of zero density makes it `-inf`, a failed one NaN.
    pub fn bound(&mut self, theta: &[f64], seed: u64, stage: &str, index: usize, rounds: usize) -> Bound {
        let k = self.objective.particles();
        let mut groups: Vec<f64> = vec![];
        for log_w in self.log_weights(theta, seed, stage, index, rounds).chunks_exact(k) {
            groups.push(crate::base::stats::log_mean_exp(log_w));
        }
        let n = groups.len() as f64;
        Bound { value: crate::base::stats::mean(&groups), se: (crate::base::stats::variance(&groups) / n).sqrt() }
    }

    /// log p - log q at fresh draws, as for [`Engine::bound`].
    pub fn log_weights(&mut self, theta: &[f64], seed: u64, stage: &str, index: usize, rounds: usize) -> Vec<f64> {
        let (target, batch) = (self.target, &self.batch);
        let mut out = vec![];
        for round in 0..rounds {
            self.chunks.par_iter_mut().enumerate().for_each(|(c, chunk)| {
                let step = index * rounds + round;
                chunk.draw(batch, theta, &mut noise_stream(seed, stage, step, c, chunk.noise.len()));
                chunk.transpose(batch.family().dim());
                target.logp_lanes(&chunk.columns, &mut chunk.log_p, &mut chunk.target_ws);
            });
            for chunk in &self.chunks {
                out.extend(chunk.log_p.iter().zip(&chunk.log_q).map(|(p, q)| p - q));
            }
        }
        out
    }

    fn trouble(&self, step: usize) -> Option<Trouble> {
        let (n, dim) = (self.batch.len(), self.batch.family().dim());
        let (c, (i, quantity, value)) =
            self.chunks.iter().enumerate().find_map(|(c, chunk)| Some((c, chunk.trouble?)))?;
        let point = self.chunks[c].x[i * dim..(i + 1) * dim].to_vec();
        Some(Trouble { step, draw: c * n + i, quantity: quantity.into(), value: value.to_string(), point })
    }
}

/// The noise of a chunk: a stretch of the step's stream that depends on nothing but its number.
fn noise_stream(seed: u64, stage: &str, step: usize, chunk: usize, len: usize) -> Stream {
    Stream::at(seed, stage, step as u64, (chunk * len) as u64)
}

impl Chunk {
    /// Points of the base.
    pub(super) fn start(&mut self, family: &Family, rng: &mut Stream) {
        let dim = family.dim();
        rng.fill_normal(&mut self.noise);
        let per = family.base.noise(dim);
        for (u, noise) in self.u.chunks_exact_mut(dim).zip(self.noise.chunks_exact(per)) {
            family.base.draw(noise, u);
        }
    }

    fn draw(&mut self, batch: &Batch, theta: &[f64], rng: &mut Stream) {
        self.start(batch.family(), rng);
        batch.draw(theta, &self.u, &mut self.x, &mut self.log_q, &mut self.ws);
    }

    /// Points coordinate after coordinate, as targets want them.
    fn transpose(&mut self, dim: usize) {
        transpose(&self.x, dim, &mut self.columns);
    }

    pub(super) fn evaluate<T: Gradient + ?Sized>(&mut self, target: &T, dim: usize) {
        self.transpose(dim);
        let n = self.log_q.len();
        target.logp_grad_lanes(&self.columns, &mut self.log_p, &mut self.column_grad, &mut self.target_ws);
        transpose(&self.column_grad, n, &mut self.log_p_grad);
        let bad = |x: &f64| !x.is_finite();
        let gradient = |g: &[f64]| g.iter().copied().find(|x| !x.is_finite());
        self.trouble = (0..n).find_map(|i| {
            let in_gradient = gradient(&self.log_p_grad[i * dim..(i + 1) * dim]);
            Some((self.log_q[i], "log q"))
                .filter(|(v, _)| bad(v))
                .or(Some((self.log_p[i], "log p")).filter(|(v, _)| bad(v)))
                .or(in_gradient.map(|v| (v, "the gradient of log p")))
                .map(|(v, what)| (i, what, v))
        });
    }
}

/// Rows and columns of a block that is moved at once: a cache line of doubles.
const BLOCK: usize = 8;

/// Rows of `columns` numbers each, written column after column. In blocks: numbers a power of two apart share few places of a cache.
fn transpose(from: &[f64], columns: usize, to: &mut [f64]) {
    let rows = from.len() / columns.max(1);
    for first in (0..rows).step_by(BLOCK) {
        let last = rows.min(first + BLOCK);
        for start in (0..columns).step_by(BLOCK) {
            for j in start..columns.min(start + BLOCK) {
                let to = &mut to[j * rows + first..j * rows + last];
                to.iter_mut().zip(first..last).for_each(|(to, i)| *to = from[i * columns + j]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::transpose;

    #[test]
    fn rows_become_columns() {
        for (rows, columns) in [(1, 1), (8, 8), (3, 20), (17, 9), (64, 100)] {
            let from: Vec<f64> = (0..rows * columns).map(|k| k as f64).collect();
            let (mut to, mut back) = (vec![0.0; from.len()], vec![0.0; from.len()]);
            transpose(&from, columns, &mut to);
            assert!((0..from.len()).all(|k| to[k % columns * rows + k / columns] == from[k]), "{rows} {columns}");
            transpose(&to, rows, &mut back);
            assert_eq!(back, from);
        }
    }
}
