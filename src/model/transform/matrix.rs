//! Cholesky factors, correlation and covariance matrices.

use std::f64::consts::LN_2;

use crate::graph::{Graph, Unary, Var};

use super::rows::Rows;

/// (row, column) of the free coordinates below the diagonal, row by row.
pub(super) fn below_by_row(k: usize) -> Vec<(usize, usize)> {
    (0..k).flat_map(|i| (0..i).map(move |j| (i, j))).collect()
}

/// (row, column) of the free coordinates below the diagonal, column by column.
pub(super) fn below_by_column(k: usize) -> Vec<(usize, usize)> {
    (0..k).flat_map(|j| (j + 1..k).map(move |i| (i, j))).collect()
}

/// (row, column) of the free coordinates of a lower trapezoidal `[m, n]`, row by row, each row up to
/// and with its diagonal.
pub(super) fn lower_by_row(m: usize, n: usize) -> Vec<(usize, usize)> {
    (0..m).flat_map(|i| (0..n.min(i + 1)).map(move |j| (i, j))).collect()
}

/// Row by row, z = tanh(u), L_11 = 1,
///
/// L_ij = z_ij prod_{l<j} sqrt(1 - z_il^2) for j < i, L_ii = prod_{l<i} sqrt(1 - z_il^2);
///
/// log J = sum log(1 - z_ij^2) + sum_{j<i} sum_{l<j} log sqrt(1 - z_il^2)
///       = sum_{j<i} (i - j + 1) log sech(u_ij).
pub(super) fn cholesky_factor_corr(g: &mut Graph, u: Var, rows: Rows) -> (Var, Var) {
    let at = below_by_row(rows.event[0]);
    let (l, log_sech) = partial_correlations(g, u, rows, &at);
    let weights: Vec<f64> = at.iter().map(|&(i, j)| (i - j + 1) as f64).collect();
    (l, rows.weighted_sum(g, log_sech, &weights))
}

/// R = L L' with L as for `cholesky_factor_corr`, but with coordinates taken column by column.
///
/// log J = sum log(1 - z_ij^2) + sum_{j<i} (K - j - 1) log sqrt(1 - z_ij^2)
///       = sum_{j<i} (K - j + 1) log sech(u_ij), i and j from 1
/// (Lewandowski, Kurowicka & Joe 2009, eq. 11, with the derivative of tanh).
pub(super) fn corr_matrix(g: &mut Graph, u: Var, rows: Rows) -> (Var, Var) {
    let k = rows.event[0];
    let at = below_by_column(k);
    let (l, log_sech) = partial_correlations(g, u, rows, &at);
    let weights: Vec<f64> = at.iter().map(|&(_, j)| (k - j) as f64).collect();
    let x = g.matmul(l, l, false, true);
    (x, rows.weighted_sum(g, log_sech, &weights))
}

/// The Cholesky factor of a correlation matrix from its canonical partial correlations tanh(u), the
/// coordinates being at the given places; and log sech(u) = log sqrt(1 - z^2).
///
/// The products are sums of logs along a row, so that entries underflow late and never become NaN.
fn partial_correlations(g: &mut Graph, u: Var, rows: Rows, at: &[(usize, usize)]) -> (Var, Var) {
    let k = rows.event[0];
    let place = |shift: usize| -> Vec<usize> { at.iter().map(|&(i, j)| i * k + j + shift).collect() };
    let log_sech = log_sech(g, u);
    // One place to the right: the running sum at column j then covers the columns before j.
    let left = rows.place(g, log_sech, &place(1));
    let left = g.cumsum(left, false);
    let left = g.exp(left);
    let z = g.unary(Unary::Tanh, u);
    let z = rows.place(g, z, &place(0));
    let identity: Vec<f64> = (0..k * k).map(|p| (p / k == p % k) as u8 as f64).collect();
    let identity = rows.constant(g, &identity, &[k, k]);
    let z = g.add(z, identity);
    (g.mul(z, left), log_sech)
}

/// log sech(u) = log 2 + u - log(1 + exp(2 u)).
fn log_sech(g: &mut Graph, u: Var) -> Var {
    let twice = g.scale(2.0, u);
    let s = g.unary(Unary::Softplus, twice);
    let d = g.sub(u, s);
    g.shift(d, LN_2)
}

/// X = L L', L lower with exp(u) on the diagonal, coordinates row by row;
/// log J = K log 2 + sum_k (K - k + 2) u_kk, k from 1.
pub(super) fn cov_matrix(g: &mut Graph, u: Var, rows: Rows) -> (Var, Var) {
    let k = rows.event[0];
    let (l, logs) = lower_factor(g, u, rows, k, k);
    let weights: Vec<f64> = (0..k).map(|i| (k - i + 1) as f64).collect();
    let j = rows.weighted_sum(g, logs, &weights);
    (g.matmul(l, l, false, true), g.shift(j, k as f64 * LN_2))
}

/// L lower trapezoidal with exp(u) on the diagonal, coordinates row by row; log J = sum_k u_kk.
pub(super) fn cholesky_factor_cov(g: &mut Graph, u: Var, rows: Rows) -> (Var, Var) {
    let (m, n) = (rows.event[0], rows.event[1]);
    let (l, logs) = lower_factor(g, u, rows, m, n);
    (l, rows.sum(g, logs, n))
}

fn lower_factor(g: &mut Graph, u: Var, rows: Rows, m: usize, n: usize) -> (Var, Var) {
    let at = lower_by_row(m, n);
    let pairs = |diagonal: bool| -> Vec<(usize, usize)> {
        let all = at.iter().enumerate();
        all.filter(|(_, (i, j))| (i == j) == diagonal).map(|(c, (i, j))| (c, i * n + j)).collect()
    };
    rows.place_exp(g, u, at.len(), &pairs(false), &pairs(true))
}
