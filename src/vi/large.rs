//! Steps of large networks: in single or double precision, the way back reading what the way there has computed.

use rayon::prelude::*;
use std::sync::Arc;

use super::convert::{add, round, widen};
use super::objective::{Draws, Estimator, Objective};
use super::step::Chunk;
use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::graph::program::Real;
use crate::guide::{self, Batch, Family};

/// Steps in one of two precisions.
pub(super) enum Large {
    Single(Steps<f32>),
    Double(Steps<f64>),
}

/// Programs of a family, its parameters, and what each task computes.
pub(super) struct Steps<R: Real> {
    draws: guide::Draws<R>,
    score: Batch<R>,
    theta: Vec<R>,
    parts: Vec<Part<R>>,
}

/// What a task computes.
struct Part<R> {
    u: Vec<R>,
    x: Vec<R>,
    log_q: Vec<R>,
    score: Vec<R>,
    x_bar: Vec<R>,
    q_bar: Vec<R>,
    gradient: Vec<R>,
    kept: Vec<R>,
    ws: Vec<R>,
}

/// What a step is about.
pub(super) struct Step<'a, T: ?Sized> {
    pub target: &'a T,
    pub family: &'a Family,
    pub theta: &'a [f64],
    pub objective: Objective,
    /// The noise of a task, by its number and the count of its normals.
    pub noise: &'a (dyn Fn(usize, usize) -> Stream + Sync),
}

impl Large {
    /// For `tasks` tasks of `n` draws.
    pub fn new(family: &Arc<Family>, n: usize, tasks: usize, single: bool) -> Large {
        if single { Large::Single(Steps::new(family, n, tasks)) } else { Large::Double(Steps::new(family, n, tasks)) }
    }

    /// Draws, evaluates and goes back in every task.
    pub fn step<T: Gradient + ?Sized>(&mut self, chunks: &mut [Chunk], step: &Step<'_, T>) {
        match self {
            Large::Single(s) => s.step(chunks, step),
            Large::Double(s) => s.step(chunks, step),
        }
    }

    /// Adds the tasks' gradients to `to`, which is then the mean over `groups`.
    pub fn add(&self, to: &mut [f64], groups: f64) {
        match self {
            Large::Single(s) => s.parts.iter().for_each(|p| add(&p.gradient, to)),
            Large::Double(s) => s.parts.iter().for_each(|p| add(&p.gradient, to)),
        }
        to.iter_mut().for_each(|g| *g *= 1.0 / groups);
    }
}

impl<R: Real> Steps<R> {
    fn new(family: &Arc<Family>, n: usize, tasks: usize) -> Steps<R> {
        let (dim, len) = (family.dim(), family.flow.len());
        let zeros = |n: usize| vec![R::default(); n];
        let part = |_| Part {
            u: zeros(n * dim),
            x: zeros(n * dim),
            log_q: zeros(n),
            score: zeros(n * dim),
            x_bar: zeros(n * dim),
            q_bar: zeros(n),
            gradient: zeros(len),
            kept: vec![],
            ws: vec![],
        };
        Steps {
            draws: guide::Draws::new(family, n),
            score: Batch::new(family.clone(), n),
            theta: zeros(len),
            parts: (0..tasks).map(part).collect(),
        }
    }

    fn step<T: Gradient + ?Sized>(&mut self, chunks: &mut [Chunk], s: &Step<'_, T>) {
        round(s.theta, &mut self.theta);
        let (draws, score, theta, objective) = (&self.draws, &self.score, &self.theta, s.objective);
        chunks.par_iter_mut().zip(&mut self.parts).enumerate().for_each(|(c, (chunk, p))| {
            chunk.start(s.family, &mut (s.noise)(c, chunk.noise.len()));
            round(&chunk.u, &mut p.u);
            draws.draw(theta, &p.u, &mut p.x, &mut p.log_q, &mut p.kept, &mut p.ws);
            widen(&p.x, &mut chunk.x);
            widen(&p.log_q, &mut chunk.log_q);
            chunk.evaluate(s.target, s.family.dim());
            if chunk.trouble.is_some() {
                return;
            }
            if objective.estimator() == Estimator::Path {
                score.score(theta, &p.x, &mut p.log_q, &mut p.score, &mut p.ws);
                widen(&p.log_q, &mut chunk.log_q);
                widen(&p.score, &mut chunk.score);
            }
            let (log_p, log_p_grad) = (&chunk.log_p[..], &chunk.log_p_grad[..]);
            let all = Draws { log_p, log_p_grad, log_q: &chunk.log_q, log_q_grad: &chunk.score };
            chunk.total = objective.cotangents(&all, &mut chunk.x_bar, &mut chunk.q_bar);
            round(&chunk.x_bar, &mut p.x_bar);
            round(&chunk.q_bar, &mut p.q_bar);
            // Whether the gradient is finite, its length shows when the step is taken.
            draws.back(theta, &p.u, [&p.x_bar, &p.q_bar], &p.kept, &mut p.gradient, &mut p.ws);
        });
    }
}
