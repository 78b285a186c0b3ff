//! Normal and Student's t laws of vectors.

use super::array::{ArrayLaw, matrix, vector};
use super::batch::{aligned, batch_of, batched, log_diagonal, row_sums, square_sums};
use super::draw;
use super::expr::write;
use super::law::{Domain, Limit, Support};
use super::matrix as dense;
use super::normal::LOG_SQRT_TAU;
use super::scalar::positive;
use crate::base::rng::Stream;
use crate::graph::{Fold, Graph, Shape, Var};

const VECTORS: Support = Support::Interval(Limit::None, Limit::None);

/// multi_normal(mu, Sigma)
pub(super) static MULTI_NORMAL: ArrayLaw = ArrayLaw {
    name: "multi_normal",
    formula: "exp(-(y - mu)' Sigma^-1 (y - mu) / 2) / sqrt((2 pi)^K det Sigma)",
    params: &[vector("mu", Domain::Real), matrix("Sigma", Domain::Covariance)],
    event_rank: 1,
    discrete: false,
    support: VECTORS,
    shaped_like: Some(0),
    lpdf: |g, y, a| {
        let l = g.cholesky(a[1]);
        normal(g, y, a[0], l)
    },
    draw: |rng, a, out| {
        let l = dense::cholesky(a[1].data)?;
        shifted_normal(rng, a[0].data, &l, 1.0, out);
        Some(())
    },
};

/// multi_normal_cholesky(mu, L): Sigma = L L'
pub(super) static MULTI_NORMAL_CHOLESKY: ArrayLaw = ArrayLaw {
    name: "multi_normal_cholesky",
    formula: "multi_normal(y | mu, L L')",
    params: &[vector("mu", Domain::Real), matrix("L", Domain::CholeskyFactor)],
    lpdf: |g, y, a| normal(g, y, a[0], a[1]),
    draw: |rng, a, out| {
        shifted_normal(rng, a[0].data, a[1].data, 1.0, out);
        Some(())
    },
    ..MULTI_NORMAL
};

/// multi_normal_prec(mu, Omega): Omega = Sigma^-1
pub(super) static MULTI_NORMAL_PREC: ArrayLaw = ArrayLaw {
    name: "multi_normal_prec",
    formula: "multi_normal(y | mu, Omega^-1)",
    params: &[vector("mu", Domain::Real), matrix("Omega", Domain::Covariance)],
    lpdf: normal_prec,
    draw: |rng, a, out| {
        // Omega = L L' makes (L')^-1 z a draw of covariance Omega^-1.
        let l = dense::cholesky(a[1].data)?;
        let z: Vec<f64> = out.iter().map(|_| rng.normal()).collect();
        let x = dense::solve_lower_transposed(&l, &z);
        for ((y, m), x) in out.iter_mut().zip(a[0].data).zip(x) {
            *y = m + x;
        }
        Some(())
    },
    ..MULTI_NORMAL
};

/// multi_student_t(nu, mu, Sigma)
pub(super) static MULTI_STUDENT_T: ArrayLaw = ArrayLaw {
    name: "multi_student_t",
    formula: "Gamma((nu + K) / 2) / (Gamma(nu / 2) sqrt((nu pi)^K det Sigma)) \
              (1 + (y - mu)' Sigma^-1 (y - mu) / nu)^(-(nu + K) / 2)",
    params: &[positive("nu"), vector("mu", Domain::Real), matrix("Sigma", Domain::Covariance)],
    shaped_like: Some(1),
    lpdf: student,
    draw: |rng, a, out| {
        let l = dense::cholesky(a[2].data)?;
        let half = 0.5 * a[0].number();
        let scale = (draw::gamma(rng, half) / half).sqrt().recip();
        shifted_normal(rng, a[1].data, &l, scale, out);
        Some(())
    },
    ..MULTI_NORMAL
};

/// mu + scale L z
fn shifted_normal(rng: &mut Stream, mu: &[f64], l: &[f64], scale: f64, out: &mut [f64]) {
    let z: Vec<f64> = mu.iter().map(|_| rng.normal()).collect();
    for ((y, m), x) in out.iter_mut().zip(mu).zip(dense::lower_times(l, &z)) {
        *y = m + scale * x;
    }
}

/// L^-1 (y - mu), squared and summed. One L serves a batch as one system with a right-hand side per
/// value.
fn quadratic(g: &mut Graph, y: Var, mu: Var, l: Var) -> Var {
    let batch = batch_of(g, l, 2).or(batch_of(g, y, 1)).or(batch_of(g, mu, 1));
    let k = g.shape(l).dims()[g.shape(l).rank() - 1];
    let Some(n) = batch else {
        let d = g.sub(y, mu);
        let d = g.reshape(d, Shape::new(&[k, 1]));
        let z = g.tri_solve(l, d, false);
        return square_sums(g, z);
    };
    if batch_of(g, l, 2).is_some() {
        let (y, mu) = aligned(g, (y, 1), (mu, 1));
        let d = g.sub(y, mu);
        let d = batched(g, d, 1, n);
        let d = g.reshape(d, Shape::new(&[n, k, 1]));
        let z = g.tri_solve(l, d, false);
        return square_sums(g, z);
    }
    let (y, mu) = (columns(g, y, n), columns(g, mu, n));
    let d = g.sub(y, mu);
    let z = g.tri_solve(l, d, false);
    let z = g.square(z);
    g.fold(Fold::Sum, z, 0)
}

/// `[n, k]` or `[k]` as columns `[k, n]`.
fn columns(g: &mut Graph, v: Var, n: usize) -> Var {
    if g.shape(v).rank() == 2 {
        return g.transpose(v);
    }
    let k = g.shape(v).count();
    g.broadcast_trailing(v, Shape::new(&[k, n]))
}

fn normal(g: &mut Graph, y: Var, mu: Var, l: Var) -> Var {
    let k = g.shape(l).dims()[g.shape(l).rank() - 1] as f64;
    let square = quadratic(g, y, mu, l);
    let log_det = log_diagonal(g, l, 0);
    let log_det = row_sums(g, log_det);
    write(g, square, &[log_det], |q, a| -0.5 * q - (a[0] + k * LOG_SQRT_TAU))
}

fn normal_prec(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let l = g.cholesky(args[1]);
    let log_det = log_diagonal(g, l, 0);
    let log_det = row_sums(g, log_det);
    let k = g.shape(l).dims()[g.shape(l).rank() - 1];
    let (y, mu) = aligned(g, (y, 1), (args[0], 1));
    let d = g.sub(y, mu);
    // The row (y - mu)' L has the length of the quadratic form.
    let z = match (batch_of(g, l, 2), batch_of(g, d, 1)) {
        (Some(n), _) => {
            let d = batched(g, d, 1, n);
            let d = g.reshape(d, Shape::new(&[n, 1, k]));
            let z = g.matmul(d, l, false, false);
            g.reshape(z, Shape::new(&[n, k]))
        }
        (None, Some(_)) => g.matmul(d, l, false, false),
        (None, None) => g.matvec(l, d, true),
    };
    let z = g.square(z);
    let square = row_sums(g, z);
    write(g, square, &[log_det], |q, a| -0.5 * q + (a[0] - k as f64 * LOG_SQRT_TAU))
}

fn student(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let l = g.cholesky(args[2]);
    let k = g.shape(l).dims()[g.shape(l).rank() - 1] as f64;
    let square = quadratic(g, y, args[1], l);
    let log_det = log_diagonal(g, l, 0);
    let log_det = row_sums(g, log_det);
    write(g, square, &[args[0], log_det], |q, a| {
        let (nu, log_det) = (a[0], a[1]);
        let half = 0.5 * (nu + k);
        let size = 0.5 * k * (nu.log() + std::f64::consts::PI.ln());
        half.lgamma() - (0.5 * nu).lgamma() - size - log_det - half * (q / nu).log1p()
    })
}
