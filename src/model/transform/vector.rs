//! Simplex, ordered vectors, unit vectors.

use std::f64::consts::{LN_2, PI};

use crate::graph::{Graph, Unary, Var};

use super::rows::Rows;

/// Stick breaking: with a_k = u_k - log(K - k) and z_k = inv_logit(a_k), k = 1..K-1,
///
/// x_k = z_k prod_{j<k} (1 - z_j), x_K = prod_j (1 - z_j), so that u = 0 is the uniform simplex.
///
/// In logs, log x_k = a_k - sum_{j<=k} log(1 + exp(a_j)), and log J = sum_{k=1}^{K} log x_k.
pub(super) fn simplex(g: &mut Graph, u: Var, rows: Rows) -> (Var, Var) {
    let k = rows.event[0];
    let free = k - 1;
    let offset: Vec<f64> = (0..free).map(|j| ((free - j) as f64).ln()).collect();
    let offset = rows.constant(g, &offset, &[free]);
    let a = g.sub(u, offset);
    let at: Vec<usize> = (0..free).collect();
    let spent = g.unary(Unary::Softplus, a);
    let spent = rows.place(g, spent, &at);
    let spent = g.cumsum(spent, false);
    let a = rows.place(g, a, &at);
    let log_x = g.sub(a, spent);
    (g.exp(log_x), rows.sum(g, log_x, k))
}

/// x_1 = u_1 (positive: exp(u_1)), x_k = x_{k-1} + exp(u_k);
/// log J = sum of the u_k under an exponential.
pub(super) fn ordered(g: &mut Graph, u: Var, rows: Rows, positive: bool) -> (Var, Var) {
    let k = rows.event[0];
    let plain = if positive { 0 } else { k.min(1) };
    let same = |from, to| (from..to).map(|j| (j, j)).collect::<Vec<_>>();
    let (steps, logs) = rows.place_exp(g, u, k, &same(0, plain), &same(plain, k));
    let x = g.cumsum(steps, false);
    (x, rows.sum(g, logs, k - plain))
}

/// x = u / |u|, with a density for the lost length r = |u|.
///
/// log J = -u'u / 2 - (k/2 - 1) log 2 - log Gamma(k/2): since
/// int_0^inf r^{k-1} exp(-r^2/2) dr = 2^{k/2-1} Gamma(k/2), the radial coordinate integrates to 1.
/// A density p(x) with respect to the surface measure of the sphere (total mass
/// 2 pi^{k/2} / Gamma(k/2)) thus keeps its integral over R^k. Stan drops the last two terms.
pub(super) fn unit_vector(g: &mut Graph, u: Var, rows: Rows) -> (Var, Var) {
    let k = rows.event[0];
    let square = g.square(u);
    let norm2 = rows.sum(g, square, k);
    let norm = g.unary(Unary::Sqrt, norm2);
    let norm = g.broadcast_trailing(norm, rows.shape(rows.event));
    let x = g.div(u, norm);
    let half = g.scale(-0.5, norm2);
    let constant = -(k as f64 / 2.0 - 1.0) * LN_2 - log_gamma_half(k);
    (x, g.shift(half, constant))
}

/// log Gamma(k / 2) by the recurrence from Gamma(1/2) = sqrt(pi) and Gamma(1) = 1.
fn log_gamma_half(k: usize) -> f64 {
    let start = if k % 2 == 1 { 0.5 * PI.ln() } else { 0.0 };
    let below = (1..k).rev().skip(1).step_by(2);
    start + below.map(|twice| (twice as f64 / 2.0).ln()).sum::<f64>()
}
