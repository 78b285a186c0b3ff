//! Cotangents of moves, reductions and running sums.

use super::adjoint::{Adjoints, add_gathered, expand};
use super::partial::mul_zero;
use crate::graph::Graph;
use crate::graph::op::{Binary, Fold, Node, Op, Var};
use crate::graph::shape::{Index, Shape};

/// Hands the cotangent of `y` on to its arguments.
pub(super) fn add_cotangents(g: &mut Graph, adjoints: &mut Adjoints, y: Var, node: &Node, ct: Var, on: &[bool]) {
    let a = node.args[0];
    match &node.op {
        Op::Reshape => {
            let value = reshaped(g, ct, node.shape, g.shape(a));
            adjoints.add(g, a, value);
        }
        Op::Gather(index) => add_gathered(g, adjoints, a, index, (ct, node.shape)),
        Op::ScatterAdd(index) => {
            let shape = g.shape(a);
            let value = if is_uniform(g, ct, node.shape) { ct } else { g.gather(ct, index.clone(), shape) };
            adjoints.add(g, a, value);
        }
        Op::Concat => add_parts(g, adjoints, node, ct, on),
        Op::Fold { fold, outer, n, inner } => {
            let value = unfold(g, *fold, (*outer, *n, *inner), (a, y), ct);
            adjoints.add(g, a, value);
        }
        Op::CumSum { reverse } => {
            let full = g.fill_to(ct, node.shape);
            let value = g.cumsum(full, !reverse);
            adjoints.add(g, a, value);
        }
        _ => unreachable!("other operations have their own rules"),
    }
}

/// True where a scalar stands for all elements of an array.
fn is_uniform(g: &Graph, ct: Var, shape: Shape) -> bool {
    g.shape(ct).is_scalar() && !shape.is_scalar()
}

fn reshaped(g: &mut Graph, ct: Var, from: Shape, to: Shape) -> Var {
    if is_uniform(g, ct, from) { ct } else { g.reshape(ct, to) }
}

fn add_parts(g: &mut Graph, adjoints: &mut Adjoints, node: &Node, ct: Var, on: &[bool]) {
    let mut start = 0;
    for (k, &a) in node.args.iter().enumerate() {
        let shape = g.shape(a);
        let len = shape.count();
        if on[k] {
            let value = if is_uniform(g, ct, node.shape) {
                ct
            } else {
                let index = Index::Stride { start, stride: 1, len };
                g.gather(ct, index, shape)
            };
            adjoints.add(g, a, value);
        }
        start += len;
    }
}

fn unfold(g: &mut Graph, fold: Fold, counts: (usize, usize, usize), (x, y): (Var, Var), ct: Var) -> Var {
    let shape = g.shape(x);
    if fold == Fold::Sum {
        return expand(g, ct, counts, shape);
    }
    let weights = fold_weights(g, fold, counts, (x, y));
    let ct = expand(g, ct, counts, shape);
    match fold {
        // Weights are 0 on equal terms with the cotangent: states that cannot occur stay silent.
        Fold::LogSumExp => mul_zero(g, ct, weights),
        _ => g.mul(ct, weights),
    }
}

/// Derivatives of `Max` or `LogSumExp` in the folded elements, as an array of their shape.
pub(in crate::graph) fn fold_weights(
    g: &mut Graph,
    fold: Fold,
    counts: (usize, usize, usize),
    (x, y): (Var, Var),
) -> Var {
    let shape = g.shape(x);
    if fold == Fold::LogSumExp {
        // Where every term is -inf, the weights are 0 and not NaN.
        let least = g.scalar(f64::MIN);
        let floor = g.binary(Binary::Max, y, least);
        let floor = expand(g, floor, counts, shape);
        let d = g.sub(x, floor);
        return g.exp(d);
    }
    let top = expand(g, y, counts, shape);
    let hit = g.binary(Binary::Eq, x, top);
    let number = g.fold_counts(Fold::Sum, hit, counts, g.shape(y));
    let share = g.unary(crate::graph::Unary::Recip, number);
    let share = expand(g, share, counts, shape);
    g.mul(hit, share)
}
