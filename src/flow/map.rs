//! A flow with fixed parameters, compiled for one point.

use super::chain::Flow;
use crate::base::simd::Isa;
use crate::density::{Target, Transport};
use crate::graph::program::{Options, Program};
use crate::graph::reverse::grad;
use crate::graph::split::split;
use crate::graph::{Graph, Shape, Spread, Var};

/// The map x = T(u) of a flow without context, at fixed parameter values.
pub struct Map {
    dim: usize,
    forward: Program,
    inverse: Program,
    /// The forward direction once more, handing on what the way back reads.
    there: Program,
    back: Program,
    /// Numbers that are handed on.
    kept: usize,
}

impl Map {
    /// Compiles both directions and the derivative. Parameters are constants of the programs, so what depends on
    /// them alone (scales, masked weights) is computed here.
    ///
    /// # Panics
    /// Where the flow reads a context, or `theta` does not have its length.
    pub fn new(flow: &Flow, theta: &[f64]) -> Map {
        assert_eq!(flow.context(), 0, "a map of one point has no context");
        assert_eq!(flow.len(), theta.len(), "one value per parameter of the flow");
        let dim = flow.dim();
        let shape = Shape::new(&[dim]);
        let mut g = Graph::new();
        let u = g.input("u", shape, Spread::Particle);
        let fixed = g.constant(theta, Shape::new(&[theta.len()]));
        let (x, log_det) = flow.forward(&mut g, fixed, u, None);
        let forward = compile(&g, &[log_det, x]);
        let gx = g.input("gx", shape, Spread::Particle);
        let one = g.scalar(1.0);
        let gu = grad(&mut g, &[x, log_det], &[gx, one], &[u]);
        let s = split(&g, &[log_det, x], &gu, &[gx]);
        let (there, back) = (compile(&s.first, &s.first_outputs), compile(&s.second, &s.second_outputs));

        let mut g = Graph::new();
        let x = g.input("x", shape, Spread::Particle);
        let fixed = g.constant(theta, Shape::new(&[theta.len()]));
        let (u, log_det) = flow.inverse(&mut g, fixed, x, None);
        let log_det = g.neg(log_det);
        Map { dim, forward, inverse: compile(&g, &[log_det, u]), there, back, kept: s.kept.iter().sum() }
    }
}

fn compile(g: &Graph, outputs: &[Var]) -> Program {
    Program::compile(g, outputs, &Options { lanes: 1, isa: Isa::detect() })
}

impl Transport for Map {
    fn dim(&self) -> usize {
        self.dim
    }

    /// A gradient, what the way back reads, and what the programs need in turn.
    fn scratch(&self) -> usize {
        let programs = [&self.forward, &self.inverse, &self.there, &self.back].map(|p| p.scratch());
        3 * self.dim + self.kept + programs.into_iter().fold(0, usize::max)
    }

    fn forward(&self, u: &[f64], x: &mut [f64], ws: &mut [f64]) -> f64 {
        let mut log_det = [0.0];
        self.forward.run(&[u], &mut [&mut log_det, x], ws);
        log_det[0]
    }

    fn inverse(&self, x: &[f64], u: &mut [f64], ws: &mut [f64]) -> f64 {
        let mut log_det = [0.0];
        self.inverse.run(&[x], &mut [&mut log_det, u], ws);
        log_det[0]
    }

    fn pull(&self, u: &[f64], f: Target<'_>, gu: &mut [f64], ws: &mut [f64]) -> f64 {
        let d = self.dim;
        let (gx, ws) = ws.split_at_mut(d);
        let (read, ws) = ws.split_at_mut(2 * d + self.kept);
        let mut log_det = [0.0];
        self.there.run_flat(1, u, &mut log_det, &mut read[d..], ws);
        let value = f(&read[d..2 * d], gx);
        // The way back reads u, the gradient in the place of the point, and what was handed on.
        read[..d].copy_from_slice(u);
        read[d..2 * d].copy_from_slice(gx);
        self.back.run_flat(1, read, gu, &mut [], ws);
        value + log_det[0]
    }
}
