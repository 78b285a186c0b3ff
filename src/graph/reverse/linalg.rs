//! Cotangents of matrix operations, in terms of the same operations.

use super::partial::mul_zero;
use crate::graph::Graph;
use crate::graph::op::{Binary, Fold, Node, Op, Unary, Var};
use crate::graph::shape::Shape;

/// Cotangents of the active arguments of `y`, with their positions.
pub(super) fn cotangents(g: &mut Graph, y: Var, node: &Node, ct: Var, on: &[bool], guarded: bool) -> Vec<(usize, Var)> {
    let ct = g.fill_to(ct, node.shape);
    let a = &node.args;
    let mut parts = match node.op {
        Op::MatMul { ta, tb } => matmul(g, (a[0], a[1]), (ta, tb), ct, on),
        Op::Cholesky => vec![(0, cholesky(g, y, ct))],
        Op::TriSolve { transposed } => {
            let b = g.tri_solve(a[0], ct, !transposed);
            let mut parts = vec![(1, b)];
            if on[0] {
                let full = outer(g, b, y, transposed);
                let mask = triangle(g, g.shape(full), 1.0);
                parts.push((0, g.mul(mask, full)));
            }
            parts
        }
        Op::Solve { transposed } => {
            let b = g.solve(a[0], ct, !transposed);
            let mut parts = vec![(1, b)];
            if on[0] {
                parts.push((0, outer(g, b, y, transposed)));
            }
            parts
        }
        Op::LogAbsDet => {
            let inverse = inverse_transposed(g, a[0]);
            let shape = g.shape(inverse);
            let each = spread_over_matrices(g, ct, shape);
            vec![(0, g.mul(each, inverse))]
        }
        _ => unreachable!("matrix operations only"),
    };
    parts.retain(|(k, _)| on[*k]);
    if guarded {
        let alive = alive(g, ct);
        for (_, value) in &mut parts {
            let shape = g.shape(*value);
            let mask = spread_over_matrices(g, alive, shape);
            *value = mul_zero(g, mask, *value);
        }
    }
    parts
}

/// 1 for each matrix of the batch whose cotangent is not all 0, else 0.
fn alive(g: &mut Graph, ct: Var) -> Var {
    let size = g.unary(Unary::Abs, ct);
    let s = g.shape(ct);
    let (batch, rest) = match s.dims() {
        [b, rest @ ..] if rest.len() != 1 => (*b, rest.iter().product()),
        _ => (1, s.count()),
    };
    let shape = if batch == 1 { Shape::SCALAR } else { Shape::new(&[batch]) };
    let largest = g.fold_counts(Fold::Max, size, (batch, rest, 1), shape);
    let zero = g.scalar(0.0);
    g.binary(Binary::Ne, largest, zero)
}

/// A value per matrix, repeated over the elements of the matrices of `shape`; a single value stays a
/// scalar.
pub(in crate::graph) fn spread_over_matrices(g: &mut Graph, v: Var, shape: Shape) -> Var {
    if g.shape(v).count() == 1 {
        return g.reshape(v, Shape::SCALAR);
    }
    g.broadcast_trailing(v, shape)
}

/// `C = op(A) op(B)`: cotangents `C' op(B)ᵀ` and `op(A)ᵀ C'`, transposed where the argument was read so.
fn matmul(g: &mut Graph, (a, b): (Var, Var), (ta, tb): (bool, bool), ct: Var, on: &[bool]) -> Vec<(usize, Var)> {
    let mut parts = vec![];
    if on[0] {
        let v = if ta { g.matmul(b, ct, tb, true) } else { g.matmul(ct, b, false, !tb) };
        parts.push((0, v));
    }
    if on[1] {
        let v = if tb { g.matmul(ct, a, true, ta) } else { g.matmul(a, ct, !ta, false) };
        parts.push((1, v));
    }
    parts
}

/// Cotangent of the matrix of `A X = B` (or `Aᵀ X = B`): `-B' Xᵀ` (or `-X B'ᵀ`), with B' that of B.
fn outer(g: &mut Graph, b: Var, x: Var, transposed: bool) -> Var {
    let (l, r) = if transposed { (x, b) } else { (b, x) };
    let p = g.matmul(l, r, false, true);
    g.neg(p)
}

/// Cotangent of A = L Lᵀ as a function of its lower triangle (Murray 2016, arXiv:1602.07527, eq. 10):
/// `S = L⁻ᵀ Phi(Lᵀ L') L⁻¹`, then `Phi(S + Sᵀ)`; Phi keeps the lower triangle and halves the diagonal.
fn cholesky(g: &mut Graph, l: Var, ct: Var) -> Var {
    let half = triangle(g, g.shape(l), 0.5);
    let p = g.matmul(l, ct, true, false);
    let p = g.mul(half, p);
    let s = g.tri_solve(l, p, true);
    let s = g.transpose(s);
    let s = g.tri_solve(l, s, true);
    let st = g.transpose(s);
    let both = g.add(s, st);
    g.mul(half, both)
}

/// Constant with 1 below the diagonals of `[b?, n, n]`, `diagonal` on them and 0 above.
pub(in crate::graph) fn triangle(g: &mut Graph, shape: Shape, diagonal: f64) -> Var {
    let n = shape.dims()[shape.rank() - 1];
    let data: Vec<f64> = (0..shape.count())
        .map(|k| (k / n % n, k % n))
        .map(|(i, j)| match i.cmp(&j) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => diagonal,
            std::cmp::Ordering::Less => 0.0,
        })
        .collect();
    g.constant(data, shape)
}

/// A⁻ᵀ for each matrix.
pub(in crate::graph) fn inverse_transposed(g: &mut Graph, a: Var) -> Var {
    let shape = g.shape(a);
    let n = shape.dims()[shape.rank() - 1];
    let data: Vec<f64> = (0..shape.count()).map(|k| if k / n % n == k % n { 1.0 } else { 0.0 }).collect();
    let eye = g.constant(data, shape);
    g.solve(a, eye, true)
}
