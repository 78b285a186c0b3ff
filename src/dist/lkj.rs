//! The law of correlation matrices of Lewandowski, Kurowicka & Joe (2009), and of their factors.

use std::f64::consts::PI;

use super::array::ArrayLaw;
use super::batch::{log_diagonal, row_dots, row_sums};
use super::draw;
use super::expr::{Expr, write};
use super::law::Support;
use super::matrix;
use super::scalar::positive;
use crate::base::rng::Stream;
use crate::graph::{Graph, Shape, Var};

/// lkj_corr_cholesky(eta)
pub(super) static LKJ_CORR_CHOLESKY: ArrayLaw = ArrayLaw {
    name: "lkj_corr_cholesky",
    formula: "c(K, eta) prod_(k = 2..K) y[k,k]^(K - k + 2 eta - 2), density of the elements below \
              the diagonal",
    params: &[positive("eta")],
    event_rank: 2,
    discrete: false,
    support: Support::CorrCholesky,
    shaped_like: None,
    lpdf: corr_cholesky,
    draw: |rng, a, out| {
        onion(rng, a[0].number(), out);
        Some(())
    },
};

/// lkj_corr(eta)
pub(super) static LKJ_CORR: ArrayLaw = ArrayLaw {
    name: "lkj_corr",
    formula: "c(K, eta) det(y)^(eta - 1), density of the elements below the diagonal",
    support: Support::CorrMatrix,
    lpdf: corr,
    draw: |rng, a, out| {
        onion(rng, a[0].number(), out);
        out.copy_from_slice(&matrix::gram(out));
        Some(())
    },
    ..LKJ_CORR_CHOLESKY
};

/// log c(K, eta) (Lewandowski, Kurowicka & Joe 2009, eq. 17, in gamma functions).
fn log_normaliser<'s>(eta: Expr<'s>, k: usize) -> Expr<'s> {
    let shifted = |i: usize| (eta + 0.5 * i as f64).lgamma();
    if k < 2 {
        return eta.number(0.0);
    }
    let steps = k as f64 - 1.0;
    let powers_of_pi = 0.25 * k as f64 * steps * PI.ln();
    let whole = steps * shifted(k - 1) - powers_of_pi;
    (0..k - 1).fold(whole, |sum, i| sum - shifted(i))
}

fn corr_cholesky(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let k = g.shape(y).dims()[g.shape(y).rank() - 1];
    let logs = log_diagonal(g, y, 1);
    let powers: Vec<f64> = (2..=k).map(|i| (k - i) as f64).collect();
    let powers = g.constant(powers, Shape::new(&[k.saturating_sub(1)]));
    let (jacobian, log_det) = (row_dots(g, logs, powers), row_sums(g, logs));
    write(g, args[0], &[jacobian, log_det], |eta, a| a[0] + 2.0 * (eta - 1.0) * a[1] + log_normaliser(eta, k))
}

fn corr(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let k = g.shape(y).dims()[g.shape(y).rank() - 1];
    let l = g.cholesky(y);
    let logs = log_diagonal(g, l, 1);
    let log_det = row_sums(g, logs);
    write(g, args[0], &[log_det], |eta, a| 2.0 * (eta - 1.0) * a[0] + log_normaliser(eta, k))
}

/// Rows one after another (the onion method, section 3.2): row i is a point in the unit ball of i
/// dimensions with squared radius Beta(i / 2, eta + (K - 1 - i) / 2), the rest its diagonal element.
fn onion(rng: &mut Stream, eta: f64, out: &mut [f64]) {
    let k = matrix::side(out);
    out.fill(0.0);
    for i in 0..k {
        if i == 0 {
            out[0] = 1.0;
            continue;
        }
        let (inside, rest) = draw::beta(rng, 0.5 * i as f64, eta + 0.5 * (k - 1 - i) as f64);
        let row = &mut out[i * k..i * k + i + 1];
        row[..i].iter_mut().for_each(|x| *x = rng.normal());
        let length = row[..i].iter().map(|x| x * x).sum::<f64>().sqrt();
        row[..i].iter_mut().for_each(|x| *x *= inside.sqrt() / length);
        row[i] = rest.sqrt();
    }
}
