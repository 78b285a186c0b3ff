//! Tangents of moves, reductions and running sums.

use super::{filled, is_uniform};
use crate::graph::Graph;
use crate::graph::op::{Fold, Node, Op, Var};
use crate::graph::reverse::array::fold_weights;
use crate::graph::reverse::partial::mul_zero;

/// Tangent of `y` where its only argument moves by `t`.
pub(super) fn tangent(g: &mut Graph, y: Var, node: &Node, t: Var) -> Var {
    let a = node.args[0];
    match &node.op {
        Op::Reshape | Op::Gather(_) if is_uniform(g, t, g.shape(a)) => t,
        Op::Reshape => g.reshape(t, node.shape),
        Op::Gather(index) => g.gather(t, index.clone(), node.shape),
        Op::ScatterAdd(index) => {
            let t = filled(g, t, a);
            g.scatter_add(t, index.clone(), node.shape)
        }
        Op::Fold { fold, outer, n, inner } => {
            let counts = (*outer, *n, *inner);
            let moved = match fold {
                Fold::Sum if is_uniform(g, t, g.shape(a)) => return g.scale(*n as f64, t),
                Fold::Sum => t,
                Fold::Max => {
                    let w = fold_weights(g, *fold, counts, (a, y));
                    g.mul(w, t)
                }
                Fold::LogSumExp => {
                    let w = fold_weights(g, *fold, counts, (a, y));
                    mul_zero(g, w, t)
                }
            };
            let moved = filled(g, moved, a);
            if node.shape.is_scalar() {
                return g.sum(moved);
            }
            g.fold_counts(Fold::Sum, moved, counts, node.shape)
        }
        Op::CumSum { reverse } => {
            let t = filled(g, t, a);
            g.cumsum(t, *reverse)
        }
        _ => unreachable!("other operations have their own rules"),
    }
}

/// Tangent of a concatenation: its parts' tangents, zeros where there is none.
pub(super) fn concat(g: &mut Graph, node: &Node, given: &[Option<Var>]) -> Var {
    let parts: Vec<Var> = node
        .args
        .iter()
        .zip(given)
        .map(|(a, t)| {
            let shape = g.shape(*a);
            match t {
                Some(t) => g.fill_to(*t, shape),
                None => g.filled(0.0, shape),
            }
        })
        .collect();
    g.concat(&parts, node.shape)
}
