//! Shift and log-scale of the affine layers, moved by the context where there is one.

use crate::graph::{Graph, Index, Shape, Unary, Var};

use super::layer::Parameters;

/// Bound of what a context adds to a log-scale.
const CONTEXT_BOUND: f64 = 6.0;

/// `bound · tanh(x / bound)`: smooth, slope 1 at 0, inside (-bound, bound).
pub(super) fn bounded(g: &mut Graph, x: Var, bound: f64) -> Var {
    let x = g.scale(1.0 / bound, x);
    let t = g.unary(Unary::Tanh, x);
    g.scale(bound, t)
}

/// The `k`-th block of `len` elements of a vector.
pub(super) fn block(g: &mut Graph, v: Var, k: usize, len: usize) -> Var {
    g.gather(v, Index::Stride { start: k * len, stride: 1, len }, Shape::new(&[len]))
}

/// `shift + W₁ c` and `log_scale + 6 tanh(W₂ c / 6)`; without context the bare parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub dim: usize,
    pub context: usize,
}

impl Head {
    /// `shift [d]`, `log_scale [d]`, and with a context `context [2d, c]`; all 0 at the start.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = vec![("shift".to_string(), vec![self.dim]), ("log_scale".to_string(), vec![self.dim])];
        if self.context > 0 {
            list.push(("context".to_string(), vec![2 * self.dim, self.context]));
        }
        list
    }

    /// Shift and log-scale, each `[d]`.
    pub fn write(&self, g: &mut Graph, p: &Parameters, ctx: Option<Var>) -> (Var, Var) {
        let (shift, log_scale) = (p.get("shift"), p.get("log_scale"));
        let Some(ctx) = ctx.filter(|_| self.context > 0) else { return (shift, log_scale) };
        let moved = g.matvec(p.get("context"), ctx, false);
        let (a, b) = (block(g, moved, 0, self.dim), block(g, moved, 1, self.dim));
        let b = bounded(g, b, CONTEXT_BOUND);
        (g.add(shift, a), g.add(log_scale, b))
    }
}
