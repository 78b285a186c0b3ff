//! Affine layers: diagonal, triangular, and full by an LU factorisation.

use super::head::Head;
use super::layer::{Layer, Parameters};
use super::orthogonal::{inverse_order, permute, shuffled};
use crate::base::rng::Stream;
use crate::graph::{Graph, Index, Shape, Var};

/// y = shift + exp(log_scale) ⊙ x. Parameters `shift [d]`, `log_scale [d]`, 0 at the start; with a context `c`,
/// `context [2d, c]` adds W₁c to the shift and 6 tanh(W₂c / 6) to the log-scale.
#[derive(Clone, Debug)]
pub struct Diagonal {
    head: Head,
}

impl Diagonal {
    /// The layer on R^dim with a context of the given length (0: none).
    pub fn new(dim: usize, context: usize) -> Diagonal {
        Diagonal { head: Head { dim, context } }
    }
}

impl Layer for Diagonal {
    fn dim(&self) -> usize {
        self.head.dim
    }

    fn context(&self) -> usize {
        self.head.context
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.head.parameters()
    }

    fn initial(&self, _: &mut Stream, out: &mut [f64]) {
        out.fill(0.0);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var) {
        let (shift, log_scale) = self.head.write(g, p, ctx);
        let scale = g.exp(log_scale);
        let y = g.mul(scale, x);
        (g.add(y, shift), g.sum(log_scale))
    }

    fn forward_scored(&self, g: &mut Graph, p: &Parameters, x: Var, score: Var, ctx: Option<Var>) -> Option<[Var; 3]> {
        let (y, log_det) = self.forward(g, p, x, ctx);
        let (_, log_scale) = self.head.write(g, p, ctx);
        let narrow = g.neg(log_scale);
        let scale = g.exp(narrow);
        Some([y, log_det, g.mul(scale, score)])
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        let (shift, log_scale) = self.head.write(g, p, ctx);
        let narrow = g.neg(log_scale);
        let (scale, centred) = (g.exp(narrow), g.sub(y, shift));
        (g.mul(scale, centred), g.sum(narrow))
    }

    fn describe(&self) -> String {
        "affine(diagonal)".to_string()
    }
}

/// y = shift + L x, L lower triangular with the diagonal exp(log_scale). Parameters `shift [d]`, `log_scale [d]`,
/// `context` as for [`Diagonal`], `lower [d(d-1)/2]`: the rows of L below the diagonal, one after another.
#[derive(Clone, Debug)]
pub struct Triangular {
    head: Head,
}

impl Triangular {
    /// The layer on R^dim with a context of the given length (0: none).
    pub fn new(dim: usize, context: usize) -> Triangular {
        Triangular { head: Head { dim, context } }
    }
}

impl Layer for Triangular {
    fn dim(&self) -> usize {
        self.head.dim
    }

    fn context(&self) -> usize {
        self.head.context
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = self.head.parameters();
        list.push(("lower".to_string(), vec![below(self.dim())]));
        list
    }

    fn initial(&self, _: &mut Stream, out: &mut [f64]) {
        out.fill(0.0);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var) {
        let (shift, log_scale) = self.head.write(g, p, ctx);
        let scale = g.exp(log_scale);
        let l = triangle(g, p.get("lower"), scale);
        let y = g.matvec(l, x, false);
        (g.add(y, shift), g.sum(log_scale))
    }

    fn forward_scored(&self, g: &mut Graph, p: &Parameters, x: Var, score: Var, ctx: Option<Var>) -> Option<[Var; 3]> {
        let (y, log_det) = self.forward(g, p, x, ctx);
        let (_, log_scale) = self.head.write(g, p, ctx);
        let scale = g.exp(log_scale);
        let l = triangle(g, p.get("lower"), scale);
        Some([y, log_det, solve(g, l, score, true)])
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        let (shift, log_scale) = self.head.write(g, p, ctx);
        let scale = g.exp(log_scale);
        let l = triangle(g, p.get("lower"), scale);
        let centred = g.sub(y, shift);
        let x = solve(g, l, centred, false);
        let log_det = g.sum(log_scale);
        (x, g.neg(log_det))
    }

    fn describe(&self) -> String {
        "affine(full)".to_string()
    }
}

/// y = shift + P L U x with a fixed random permutation P, L lower triangular with diagonal 1, U upper triangular
/// with diagonal exp(log_scale) (Kingma & Dhariwal 2018, eq. 10). Parameters `shift`, `log_scale`, `context` as
/// for [`Diagonal`], `lower [d(d-1)/2]` (rows of L) and `upper [d(d-1)/2]` (columns of U). At the start it permutes.
#[derive(Clone, Debug)]
pub struct Lu {
    head: Head,
    order: Vec<usize>,
    seed: u64,
}

impl Lu {
    /// The layer on R^dim with a context of the given length (0: none); `seed` names the permutation.
    pub fn new(dim: usize, context: usize, seed: u64) -> Lu {
        Lu { head: Head { dim, context }, order: shuffled(dim, seed), seed }
    }

    /// L, and Uᵀ (lower triangular).
    fn factors(&self, g: &mut Graph, p: &Parameters, log_scale: Var) -> (Var, Var) {
        let ones = g.filled(1.0, Shape::new(&[self.dim()]));
        let scale = g.exp(log_scale);
        (triangle(g, p.get("lower"), ones), triangle(g, p.get("upper"), scale))
    }
}

impl Layer for Lu {
    fn dim(&self) -> usize {
        self.head.dim
    }

    fn context(&self) -> usize {
        self.head.context
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = self.head.parameters();
        list.extend(["lower", "upper"].map(|n| (n.to_string(), vec![below(self.dim())])));
        list
    }

    fn initial(&self, _: &mut Stream, out: &mut [f64]) {
        out.fill(0.0);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var) {
        let (shift, log_scale) = self.head.write(g, p, ctx);
        let (l, ut) = self.factors(g, p, log_scale);
        let y = g.matvec(ut, x, true);
        let y = g.matvec(l, y, false);
        let y = permute(g, y, &self.order);
        (g.add(y, shift), g.sum(log_scale))
    }

    fn forward_scored(&self, g: &mut Graph, p: &Parameters, x: Var, score: Var, ctx: Option<Var>) -> Option<[Var; 3]> {
        let (y, log_det) = self.forward(g, p, x, ctx);
        let (_, log_scale) = self.head.write(g, p, ctx);
        let (l, ut) = self.factors(g, p, log_scale);
        let score = solve(g, ut, score, false);
        let score = solve(g, l, score, true);
        Some([y, log_det, permute(g, score, &self.order)])
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        let (shift, log_scale) = self.head.write(g, p, ctx);
        let (l, ut) = self.factors(g, p, log_scale);
        let centred = g.sub(y, shift);
        let x = permute(g, centred, &inverse_order(&self.order));
        let x = solve(g, l, x, false);
        let x = solve(g, ut, x, true);
        let log_det = g.sum(log_scale);
        (x, g.neg(log_det))
    }

    fn describe(&self) -> String {
        format!("affine(lu, seed={})", self.seed)
    }
}

/// Elements below the diagonal.
fn below(d: usize) -> usize {
    d * (d - 1) / 2
}

/// The lower triangular matrix of the given diagonal `[d]` and rows below it.
fn triangle(g: &mut Graph, strict: Var, diagonal: Var) -> Var {
    let d = g.shape(diagonal).count();
    let zero = g.filled(0.0, Shape::new(&[1]));
    let all = g.concat(&[strict, diagonal, zero], Shape::new(&[below(d) + d + 1]));
    let at = |j: usize| match (j / d, j % d) {
        (r, c) if c < r => below(r) + c,
        (r, c) if c == r => below(d) + r,
        _ => below(d) + d,
    };
    let table = (0..d * d).map(|j| at(j) as u32).collect();
    g.gather(all, Index::from_table(table), Shape::new(&[d, d]))
}

/// x with L x = y, or Lᵀ x = y.
fn solve(g: &mut Graph, l: Var, y: Var, transposed: bool) -> Var {
    let d = g.shape(y).count();
    let column = g.reshape(y, Shape::new(&[d, 1]));
    let x = g.tri_solve(l, column, transposed);
    g.reshape(x, Shape::new(&[d]))
}
