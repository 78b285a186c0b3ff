//! Programs of a family with free parameters on a batch of points: draws, densities, and their derivatives.

use std::sync::{Arc, OnceLock};

use super::family::{Family, compile};
use crate::graph::batch::batch;
use crate::graph::program::Program;
use crate::graph::reverse::grad;
use crate::graph::{Graph, Shape, Spread, Var};

/// A family at batches of a fixed number of points, stored point after point (`[n][dim]`). Each program is compiled at
/// its first use; a workspace belongs to one thread.
pub struct Batch {
    family: Arc<Family>,
    n: usize,
    draw: OnceLock<Program>,
    draw_back: OnceLock<Program>,
    score: OnceLock<Program>,
    score_back: OnceLock<Program>,
}

impl Batch {
    /// Batches of `n` points.
    pub fn new(family: Arc<Family>, n: usize) -> Batch {
        let unset = OnceLock::new;
        Batch { family, n, draw: unset(), draw_back: unset(), score: unset(), score_back: unset() }
    }

    /// The family.
    pub fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// Points of a batch.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether a batch has no points.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// x = T(u; theta) and log q(x) from points u of the base.
    pub fn draw(&self, theta: &[f64], u: &[f64], x: &mut [f64], log_q: &mut [f64], ws: &mut Vec<f64>) {
        let program = self.draw.get_or_init(|| {
            let (g, outputs) = self.pushed();
            compile(&g, &outputs, 1)
        });
        run(program, &[theta, u], &mut [x, log_q], ws);
    }

    /// Gradient in theta of `sum <x_bar, T(u)> + log_q_bar · log q(T(u))` with u held fixed.
    pub fn draw_back(
        &self,
        theta: &[f64],
        u: &[f64],
        x_bar: &[f64],
        log_q_bar: &[f64],
        out: &mut [f64],
        ws: &mut Vec<f64>,
    ) {
        let program = self.draw_back.get_or_init(|| {
            let (mut g, outputs) = self.pushed();
            let x_bar = g.input("x_bar", g.shape(outputs[0]), Spread::Shared);
            let log_q_bar = g.input("log_q_bar", Shape::new(&[self.n]), Spread::Shared);
            let theta = g.inputs()[0].var;
            let out = grad(&mut g, &outputs, &[x_bar, log_q_bar], &[theta]);
            compile(&g, &out, 1)
        });
        run(program, &[theta, u, x_bar, log_q_bar], &mut [out], ws);
    }

    /// log q(x; theta) at given points, and its gradient in x.
    pub fn score(&self, theta: &[f64], x: &[f64], log_q: &mut [f64], gradient: &mut [f64], ws: &mut Vec<f64>) {
        let program = self.score.get_or_init(|| {
            let (mut g, mut outputs) = self.scored();
            let point = g.inputs()[1].var;
            let one = g.scalar(1.0);
            outputs.extend(grad(&mut g, &outputs.clone(), &[one], &[point]));
            compile(&g, &outputs, 1)
        });
        run(program, &[theta, x], &mut [log_q, gradient], ws);
    }

    /// log q(x; theta) at given points into `log_q`, and the gradient in theta of `sum log_q_bar · log q(x; theta)`.
    pub fn score_back(
        &self,
        theta: &[f64],
        x: &[f64],
        log_q_bar: &[f64],
        log_q: &mut [f64],
        out: &mut [f64],
        ws: &mut Vec<f64>,
    ) {
        let program = self.score_back.get_or_init(|| {
            let (mut g, mut outputs) = self.scored();
            let log_q_bar = g.input("log_q_bar", Shape::new(&[self.n]), Spread::Shared);
            let theta = g.inputs()[0].var;
            outputs.extend(grad(&mut g, &outputs.clone(), &[log_q_bar], &[theta]));
            compile(&g, &outputs, 1)
        });
        run(program, &[theta, x, log_q_bar], &mut [log_q, out], ws);
    }

    /// Inputs theta and u; outputs x and log q.
    fn pushed(&self) -> (Graph, Vec<Var>) {
        let (mut g, theta, u) = self.family.one_point(None, Spread::Shared);
        let (x, log_q) = self.family.push(&mut g, theta, u);
        batch(&g, &[x, log_q], &[false, true], self.n)
    }

    /// Inputs theta and x; output log q.
    fn scored(&self) -> (Graph, Vec<Var>) {
        let (mut g, theta, x) = self.family.one_point(None, Spread::Shared);
        let log_q = self.family.score(&mut g, theta, x);
        batch(&g, &[log_q], &[false, true], self.n)
    }
}

fn run(program: &Program, inputs: &[&[f64]], outputs: &mut [&mut [f64]], ws: &mut Vec<f64>) {
    if ws.len() < program.scratch() {
        ws.resize(program.scratch(), 0.0);
    }
    program.run(inputs, outputs, ws);
}
