//! Programs of a family with free parameters on a batch of points: draws, densities, and their derivatives.

use std::sync::{Arc, OnceLock};

use super::family::{Family, compile};
use crate::graph::batch::batch;
use crate::graph::program::{Program, Real};
use crate::graph::reverse::grad;
use crate::graph::split::split;
use crate::graph::{Graph, Shape, Spread, Var};

/// A family at batches of a fixed number of points, stored point after point (`[n][dim]`). Each program is compiled at
/// its first use; a workspace belongs to one thread.
pub struct Batch<T: Real = f64> {
    family: Arc<Family>,
    n: usize,
    draw: OnceLock<Program<T>>,
    draw_back: OnceLock<Program<T>>,
    score: OnceLock<Program<T>>,
    score_back: OnceLock<Program<T>>,
}

impl<T: Real> Batch<T> {
    /// Batches of `n` points.
    pub fn new(family: Arc<Family>, n: usize) -> Batch<T> {
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
    pub fn draw(&self, theta: &[T], u: &[T], x: &mut [T], log_q: &mut [T], ws: &mut Vec<T>) {
        let program = self.draw.get_or_init(|| {
            let (g, outputs) = self.pushed();
            compile(&g, &outputs, 1)
        });
        run(program, &[theta, u], &mut [x, log_q], ws);
    }

    /// Gradient in theta of `sum <x_bar, T(u)> + log_q_bar · log q(T(u))` with u held fixed.
    pub fn draw_back(&self, theta: &[T], u: &[T], x_bar: &[T], log_q_bar: &[T], out: &mut [T], ws: &mut Vec<T>) {
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
    pub fn score(&self, theta: &[T], x: &[T], log_q: &mut [T], gradient: &mut [T], ws: &mut Vec<T>) {
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
    pub fn score_back(&self, theta: &[T], x: &[T], log_q_bar: &[T], log_q: &mut [T], out: &mut [T], ws: &mut Vec<T>) {
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

fn run<T: Real>(program: &Program<T>, inputs: &[&[T]], outputs: &mut [&mut [T]], ws: &mut Vec<T>) {
    if ws.len() < program.scratch() {
        ws.resize(program.scratch(), T::default());
    }
    program.run(inputs, outputs, ws);
}

/// Draws of a family and their derivatives, where the way back reads what the way there has computed.
pub struct Draws<T: Real> {
    there: Program<T>,
    back: Program<T>,
    kept: Vec<usize>,
}

impl<T: Real> Draws<T> {
    /// Batches of `n` points.
    pub fn new(family: &Family, n: usize) -> Draws<T> {
        let (mut g, theta, u) = family.one_point(None, Spread::Shared);
        let (x, log_q) = family.push(&mut g, theta, u);
        let (mut g, outputs) = batch(&g, &[x, log_q], &[false, true], n);
        let x_bar = g.input("x_bar", g.shape(outputs[0]), Spread::Shared);
        let log_q_bar = g.input("log_q_bar", Shape::new(&[n]), Spread::Shared);
        let theta = g.inputs()[0].var;
        let out = grad(&mut g, &outputs, &[x_bar, log_q_bar], &[theta]);
        let s = split(&g, &outputs, &out, &[x_bar, log_q_bar]);
        let (there, back) = (compile(&s.first, &s.first_outputs, 1), compile(&s.second, &s.second_outputs, 1));
        Draws { there, back, kept: s.kept }
    }

    /// x = T(u; theta) and log q(x) from points u of the base; `kept` is for [`Draws::back`].
    pub fn draw(&self, theta: &[T], u: &[T], x: &mut [T], log_q: &mut [T], kept: &mut Vec<T>, ws: &mut Vec<T>) {
        kept.resize(self.kept.iter().sum(), T::default());
        let mut outputs: Vec<&mut [T]> = vec![x, log_q];
        let mut rest = &mut kept[..];
        for n in &self.kept {
            let (part, tail) = rest.split_at_mut(*n);
            outputs.push(part);
            rest = tail;
        }
        run(&self.there, &[theta, u], &mut outputs, ws);
    }

    /// Gradient in theta of `sum <x_bar, T(u)> + log_q_bar · log q(T(u))` with u held fixed, after [`Draws::draw`] at the same
    /// theta and u.
    pub fn back(&self, theta: &[T], u: &[T], bars: [&[T]; 2], kept: &[T], out: &mut [T], ws: &mut Vec<T>) {
        let mut inputs = vec![theta, u, bars[0], bars[1]];
        let mut rest = kept;
        for n in &self.kept {
            let (part, tail) = rest.split_at(*n);
            inputs.push(part);
            rest = tail;
        }
        run(&self.back, &inputs, &mut [out], ws);
    }
}
