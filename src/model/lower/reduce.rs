//! Reductions of events (sums, products, moments, extremes), and binomial coefficients.

use crate::graph::{Fold, Graph, Index, Shape, Unary, Var};

/// Sum of each row: `[rows, n]` (flat) to `shape` of `rows` elements.
pub fn sum_rows(g: &mut Graph, x: Var, (rows, n, shape): (usize, usize, Shape)) -> Var {
    if n == 0 {
        return g.filled(0.0, shape);
    }
    if shape.is_scalar() { g.sum(x) } else { g.fold_counts(Fold::Sum, x, (rows, n, 1), shape) }
}

pub fn reduce(g: &mut Graph, name: &str, x: Var, dims: (usize, usize, Shape)) -> Var {
    let (rows, n, shape) = dims;
    match name {
        "sum" => sum_rows(g, x, dims),
        "mean" => {
            let s = sum_rows(g, x, dims);
            g.scale(1.0 / n as f64, s)
        }
        "dot_self" => {
            let s = g.square(x);
            sum_rows(g, s, dims)
        }
        "variance" | "sd" => {
            let s = sum_rows(g, x, dims);
            let m = g.scale(1.0 / n as f64, s);
            let full = g.shape(x);
            let m = if shape.is_scalar() { m } else { g.broadcast_trailing(m, full) };
            let d = g.sub(x, m);
            let q = g.square(d);
            let ss = sum_rows(g, q, dims);
            let v = g.scale(1.0 / (n as f64 - 1.0), ss);
            if name == "sd" { g.unary(Unary::Sqrt, v) } else { v }
        }
        "max" => g.fold_counts(Fold::Max, x, (rows, n, 1), shape),
        "min" => {
            let m = g.neg(x);
            let m = g.fold_counts(Fold::Max, m, (rows, n, 1), shape);
            g.neg(m)
        }
        "log_sum_exp" => g.fold_counts(Fold::LogSumExp, x, (rows, n, 1), shape),
        // prod: |x| through logs would lose signs and zeros, so columns multiply one by one.
        _ => {
            let mut p = g.filled(1.0, shape);
            for k in 0..n {
                let index = Index::Stride { start: k, stride: n as isize, len: rows };
                let col = g.gather(x, index, shape);
                p = g.mul(p, col);
            }
            p
        }
    }
}

/// log of n over k
pub fn lchoose(g: &mut Graph, n: Var, k: Var) -> Var {
    let d = g.sub(n, k);
    let mut log_factorial = |x| {
        let s = g.shift(x, 1.0);
        g.unary(Unary::Lgamma, s)
    };
    let (a, b, c) = (log_factorial(n), log_factorial(k), log_factorial(d));
    let r = g.sub(a, b);
    g.sub(r, c)
}
