//! Steps in single or double precision, the way back reading what the way there has computed.

use rayon::prelude::*;
use std::sync::Arc;

use super::convert::{round, scale, widen};
use super::objective::{Draws, Estimator, Objective};
use super::step::Chunk;
use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::graph::program::Real;
use crate::guide::{self, Drawn, Family};

/// Programs of a family, and what each task computes.
pub(super) struct Steps<R: Real> {
    draws: guide::Draws<R>,
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
pub(super) struct Step<'a, T: ?Sized, R> {
    pub target: &'a T,
    pub theta: &'a [R],
    pub objective: Objective,
    /// The noise of a task, by its number and the count of its normals.
    pub noise: &'a (dyn Fn(usize, usize) -> Stream + Sync),
}

impl<R: Real> Steps<R> {
    /// For `tasks` tasks of `n` draws.
    pub fn new(family: &Arc<Family>, objective: Objective, n: usize, tasks: usize) -> Steps<R> {
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
        let draws = guide::Draws::new(family, n, objective.estimator() == Estimator::Path);
        Steps { draws, parts: (0..tasks).map(part).collect() }
    }

    /// Draws, evaluates and goes back in every task.
    pub fn step<T: Gradient + ?Sized>(&mut self, chunks: &mut [Chunk], s: &Step<'_, T, R>) {
        let (draws, theta, objective) = (&self.draws, s.theta, s.objective);
        chunks.par_iter_mut().zip(&mut self.parts).enumerate().for_each(|(c, (chunk, p))| {
            chunk.start(draws.family(), &mut (s.noise)(c, chunk.noise.len()));
            round(&chunk.u, &mut p.u);
            let to = Drawn { x: &mut p.x, log_q: &mut p.log_q, score: &mut p.score, kept: &mut p.kept };
            draws.draw(theta, &p.u, to, &mut p.ws);
            widen(&p.x, &mut chunk.x);
            widen(&p.log_q, &mut chunk.log_q);
            widen(&p.score, &mut chunk.score);
            chunk.evaluate(s.target, draws.family().dim());
            if chunk.trouble.is_some() {
                return;
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
    /// Writes the mean of the tasks' gradients over `groups` to `to`.
    pub fn mean(&self, to: &mut [R], groups: f64) {
        let share = R::from_f64(1.0 / groups);
        for (k, p) in self.parts.iter().enumerate() {
            scale(&p.gradient, share, to, k == 0);
        }
    }
}
