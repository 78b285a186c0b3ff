//! Reference values of array operations: moves, reductions, running sums.

use super::{elementwise, linalg};
use crate::graph::op::{Fold, Op};
use crate::graph::shape::{Index, Shape};

/// Data and shape of an argument.
pub(super) type Arg<'a> = (&'a [f64], Shape);

/// Value of every operation but inputs and loops.
pub(super) fn evaluate(op: &Op, args: &[Arg], shape: Shape) -> Vec<f64> {
    let n = shape.count();
    // A scalar serves every position.
    let at = |k: usize, j: usize| {
        let a = args[k].0;
        if args[k].1.is_scalar() { a[0] } else { a[j] }
    };
    match op {
        Op::Const(c) => c.to_vec(),
        Op::Unary(u) => (0..n).map(|j| elementwise::unary(*u, at(0, j))).collect(),
        Op::Binary(b) => (0..n).map(|j| elementwise::binary(*b, at(0, j), at(1, j))).collect(),
        Op::Ternary(t) => (0..n).map(|j| elementwise::ternary(*t, at(0, j), at(1, j), at(2, j))).collect(),
        Op::Reshape | Op::StopGradient => args[0].0.to_vec(),
        Op::ScaleGrad => (0..n).map(|j| at(0, j)).collect(),
        Op::Gather(index) => (0..n).map(|j| args[0].0[index.at(j)]).collect(),
        Op::ScatterAdd(index) => scatter_add(args[0].0, index, n),
        Op::Concat => args.iter().flat_map(|a| a.0).copied().collect(),
        Op::Fold { fold, outer, n, inner } => fold_middle(*fold, args[0].0, *outer, *n, *inner),
        Op::CumSum { reverse } => cumsum(args[0].0, shape, *reverse),
        Op::MatMul { ta, tb } => linalg::matmul(args[0], args[1], *ta, *tb),
        Op::Cholesky => linalg::cholesky(args[0]),
        Op::TriSolve { transposed } => linalg::tri_solve(args[0], args[1], *transposed),
        Op::Solve { transposed } => linalg::solve(args[0], args[1], *transposed),
        Op::LogAbsDet => linalg::log_abs_det(args[0]),
        Op::Input(_) | Op::Scan(_) | Op::Proj(_) => unreachable!("handled by the driver"),
    }
}

fn scatter_add(src: &[f64], index: &Index, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n];
    for (j, x) in src.iter().enumerate() {
        out[index.at(j)] += x;
    }
    out
}

fn fold_middle(fold: Fold, a: &[f64], outer: usize, n: usize, inner: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(outer * inner);
    for o in 0..outer {
        for i in 0..inner {
            let column: Vec<f64> = (0..n).map(|k| a[(o * n + k) * inner + i]).collect();
            out.push(match fold {
                Fold::Sum => column.iter().sum(),
                Fold::Max => largest(&column),
                Fold::LogSumExp => log_sum_exp(&column),
            });
        }
    }
    out
}

/// Largest element, NaN where one is NaN, -inf where there is none.
fn largest(x: &[f64]) -> f64 {
    x.iter().fold(f64::NEG_INFINITY, |m, &v| if v > m || v.is_nan() { v } else { m })
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let m = largest(x);
    if m.is_infinite() {
        return m;
    }
    m + x.iter().map(|v| (v - m).exp()).sum::<f64>().ln()
}

fn cumsum(a: &[f64], shape: Shape, reverse: bool) -> Vec<f64> {
    let n = shape.dims().last().copied().unwrap_or(1);
    let mut out = a.to_vec();
    for row in out.chunks_mut(n.max(1)) {
        if reverse {
            row.reverse();
        }
        for j in 1..row.len() {
            row[j] += row[j - 1];
        }
        if reverse {
            row.reverse();
        }
    }
    out
}
