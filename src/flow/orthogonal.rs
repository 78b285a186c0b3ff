//! Layers that keep volumes: frozen permutations and Householder reflections.

use super::layer::{Layer, Parameters};
use crate::base::rng::Stream;
use crate::graph::{Binary, Graph, Index, Shape, Var};

/// `0..dim` in the random order that `seed` names (Fisher-Yates).
pub(super) fn shuffled(dim: usize, seed: u64) -> Vec<usize> {
    let mut rng = Stream::new(seed, "flow permutation", dim as u64);
    let mut order: Vec<usize> = (0..dim).collect();
    for k in (1..dim).rev() {
        let other = (rng.uniform() * (k + 1) as f64) as usize;
        order.swap(k, other);
    }
    order
}

/// The inverse of a permutation.
pub(super) fn inverse_order(order: &[usize]) -> Vec<usize> {
    let mut back = vec![0; order.len()];
    for (k, &o) in order.iter().enumerate() {
        back[o] = k;
    }
    back
}

/// `y[k] = x[order[k]]`
pub(super) fn permute(g: &mut Graph, x: Var, order: &[usize]) -> Var {
    let index = Index::from_table(order.iter().map(|&k| k as u32).collect());
    g.gather(x, index, Shape::new(&[order.len()]))
}

/// A frozen permutation, `y[k] = x[order[k]]`, log-determinant 0.
#[derive(Clone, Debug)]
pub struct Permutation {
    order: Vec<usize>,
    seed: u64,
}

impl Permutation {
    /// The random permutation of R^dim that `seed` names.
    pub fn new(dim: usize, seed: u64) -> Permutation {
        Permutation { order: shuffled(dim, seed), seed }
    }
}

impl Layer for Permutation {
    fn dim(&self) -> usize {
        self.order.len()
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        vec![]
    }

    fn initial(&self, _: &mut Stream, _: &mut [f64]) {}

    fn forward(&self, g: &mut Graph, _: &Parameters, x: Var, _: Option<Var>) -> (Var, Var) {
        (permute(g, x, &self.order), g.scalar(0.0))
    }

    fn forward_scored(&self, g: &mut Graph, _: &Parameters, x: Var, score: Var, _: Option<Var>) -> Option<[Var; 3]> {
        Some([permute(g, x, &self.order), g.scalar(0.0), permute(g, score, &self.order)])
    }

    fn inverse(&self, g: &mut Graph, _: &Parameters, y: Var, _: Option<Var>) -> (Var, Var) {
        (permute(g, y, &inverse_order(&self.order)), g.scalar(0.0))
    }

    fn describe(&self) -> String {
        format!("permutation(seed={})", self.seed)
    }
}

/// A product of reflections x − 2 v (vᵀx) / (vᵀv) (Tomczak & Welling 2016, eq. 9): orthogonal, log |det| 0.
/// Parameter `v [reflections, d]`. At the start neighbours are equal in pairs, so that an even number of
/// reflections is the identity; where their number is odd, the last one stays a random reflection, which keeps
/// a standard normal. A v of 0 gives NaN.
#[derive(Clone, Debug)]
pub struct Householder {
    dim: usize,
    reflections: usize,
}

impl Householder {
    /// The layer on R^dim.
    pub fn new(dim: usize, reflections: usize) -> Householder {
        Householder { dim, reflections }
    }

    /// The reflections in the given order.
    fn reflect(&self, g: &mut Graph, p: &Parameters, x: Var, order: impl Iterator<Item = usize>) -> Var {
        let (all, shape) = (p.get("v"), Shape::new(&[self.dim]));
        order.fold(x, |x, k| {
            let v = g.gather(all, Index::Stride { start: k * self.dim, stride: 1, len: self.dim }, shape);
            let (along, length) = (g.dot(v, x), g.dot(v, v));
            let by = g.binary(Binary::Div, along, length);
            let by = g.scale(2.0, by);
            let step = g.mul(by, v);
            g.sub(x, step)
        })
    }
}

impl Layer for Householder {
    fn dim(&self) -> usize {
        self.dim
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        vec![("v".to_string(), vec![self.reflections, self.dim])]
    }

    fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        for pair in out.chunks_mut(2 * self.dim) {
            let (first, second) = pair.split_at_mut(self.dim);
            rng.fill_normal(first);
            second.copy_from_slice(&first[..second.len()]);
        }
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, _: Option<Var>) -> (Var, Var) {
        (self.reflect(g, p, x, 0..self.reflections), g.scalar(0.0))
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, _: Option<Var>) -> (Var, Var) {
        (self.reflect(g, p, y, (0..self.reflections).rev()), g.scalar(0.0))
    }

    fn describe(&self) -> String {
        format!("householder({})", self.reflections)
    }
}
