//! Tangents of matrix operations, in terms of the same operations.

use crate::graph::Graph;
use crate::graph::op::{Fold, Node, Op, Var};
use crate::graph::reverse::linalg::{inverse_transposed, triangle};

/// What the tangent `t` of the k-th argument adds to that of `y`.
pub(super) fn tangent(g: &mut Graph, y: Var, node: &Node, (k, t): (usize, Var)) -> Var {
    let a = &node.args;
    match node.op {
        Op::MatMul { ta, tb } if k == 0 => g.matmul(t, a[1], ta, tb),
        Op::MatMul { ta, tb } => g.matmul(a[0], t, ta, tb),
        Op::Cholesky => cholesky(g, y, t),
        Op::TriSolve { transposed } if k == 1 => g.tri_solve(a[0], t, transposed),
        Op::TriSolve { transposed } => {
            // L dX = -dL X, of whose factor only the lower triangle is read.
            let mask = triangle(g, g.shape(t), 1.0);
            let lower = g.mul(mask, t);
            let p = g.matmul(lower, y, transposed, false);
            let p = g.neg(p);
            g.tri_solve(a[0], p, transposed)
        }
        Op::Solve { transposed } if k == 1 => g.solve(a[0], t, transposed),
        Op::Solve { transposed } => {
            let p = g.matmul(t, y, transposed, false);
            let p = g.neg(p);
            g.solve(a[0], p, transposed)
        }
        Op::LogAbsDet => log_abs_det(g, a[0], node, t),
        _ => unreachable!("matrix operations only"),
    }
}

/// `L' = L Phi(L⁻¹ A' L⁻ᵀ)` with A' made symmetric from its lower triangle (Murray 2016,
/// arXiv:1602.07527, eq. 8); Phi keeps the lower triangle and halves the diagonal.
fn cholesky(g: &mut Graph, l: Var, t: Var) -> Var {
    let half = triangle(g, g.shape(l), 0.5);
    let lower = g.mul(half, t);
    let upper = g.transpose(lower);
    let symmetric = g.add(lower, upper);
    let s = g.tri_solve(l, symmetric, false);
    let s = g.transpose(s);
    let s = g.tri_solve(l, s, false);
    let p = g.mul(half, s);
    g.matmul(l, p, false, false)
}

/// tr(A⁻¹ A') for each matrix.
fn log_abs_det(g: &mut Graph, a: Var, node: &Node, t: Var) -> Var {
    let inverse = inverse_transposed(g, a);
    let p = g.mul(inverse, t);
    let batch = node.shape.count();
    let each = g.shape(a).count() / batch.max(1);
    g.fold_counts(Fold::Sum, p, (batch, each, 1), node.shape)
}
