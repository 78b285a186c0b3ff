//! Laws of covariance matrices: Wishart and its inverse.

use super::array::{ArrayLaw, matrix};
use super::batch::{aligned, batch_of, log_diagonal, row_sums, square_sums};
use super::draw;
use super::expr::{Expr, write};
use super::law::{Domain, Support};
use super::matrix as dense;
use super::scalar::positive;
use crate::base::rng::Stream;
use crate::graph::{Graph, Var};

use std::f64::consts::{LN_2, PI};

/// wishart(nu, S)
pub(super) static WISHART: ArrayLaw = ArrayLaw {
    name: "wishart",
    formula: "det(y)^((nu - K - 1) / 2) exp(-tr(S^-1 y) / 2) / (2^(nu K / 2) det(S)^(nu / 2) \
              Gamma_K(nu / 2)), nu > K - 1",
    params: &[positive("nu"), matrix("S", Domain::Covariance)],
    event_rank: 2,
    discrete: false,
    support: Support::CovMatrix,
    shaped_like: Some(1),
    lpdf: wishart,
    draw: |rng, a, out| {
        let l = dense::cholesky(a[1].data)?;
        let b = bartlett(rng, a[0].number(), dense::side(out))?;
        out.copy_from_slice(&dense::gram(&dense::product(&l, &b)));
        Some(())
    },
};

/// inv_wishart(nu, S)
pub(super) static INV_WISHART: ArrayLaw = ArrayLaw {
    name: "inv_wishart",
    formula: "det(S)^(nu / 2) det(y)^(-(nu + K + 1) / 2) exp(-tr(S y^-1) / 2) / (2^(nu K / 2) \
              Gamma_K(nu / 2)), nu > K - 1",
    lpdf: inv_wishart,
    draw: |rng, a, out| {
        // y^-1 = L'^-1 B B' L^-1 is Wishart of scale S^-1, so y = M M' with M' = B^-1 L'.
        let l = dense::cholesky(a[1].data)?;
        let b = bartlett(rng, a[0].number(), dense::side(out))?;
        let m = dense::transpose(&dense::solve_lower(&b, &dense::transpose(&l)));
        out.copy_from_slice(&dense::gram(&m));
        Some(())
    },
    ..WISHART
};

/// Lower factor of a Wishart matrix of scale identity: normals below, square roots of chi-square
/// variables on the diagonal (Bartlett 1933). `None` unless nu > K - 1.
fn bartlett(rng: &mut Stream, nu: f64, k: usize) -> Option<Vec<f64>> {
    if nu <= k as f64 - 1.0 {
        return None;
    }
    let mut b = vec![0.0; k * k];
    for i in 0..k {
        for j in 0..i {
            b[i * k + j] = rng.normal();
        }
        b[i * k + i] = (2.0 * draw::gamma(rng, 0.5 * (nu - i as f64))).sqrt();
    }
    Some(b)
}

/// Log of 2^(nu K / 2) Gamma_K(nu / 2), with the multivariate gamma function.
fn log_normaliser<'s>(nu: Expr<'s>, k: usize) -> Expr<'s> {
    let size = k as f64;
    let start = 0.5 * size * LN_2 * nu + 0.25 * size * (size - 1.0) * PI.ln();
    (0..k).fold(start, |sum, j| sum + (0.5 * (nu - j as f64)).lgamma())
}

/// Half the log determinant of L L', per matrix.
fn half_log_det(g: &mut Graph, l: Var) -> Var {
    let logs = log_diagonal(g, l, 0);
    row_sums(g, logs)
}

/// tr((A A')^-1 B B') for lower factors A, B.
fn trace(g: &mut Graph, a: Var, b: Var) -> Var {
    let (a, b) = aligned(g, (a, 2), (b, 2));
    let z = g.tri_solve(a, b, false);
    square_sums(g, z)
}

/// Side of the matrices and the factors of the value and the scale.
fn factors(g: &mut Graph, y: Var, s: Var) -> (usize, Var, Var) {
    let k = g.shape(y).dims()[usize::from(batch_of(g, y, 2).is_some())];
    let (ly, ls) = (g.cholesky(y), g.cholesky(s));
    (k, ly, ls)
}

fn wishart(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let (k, ly, ls) = factors(g, y, args[1]);
    let tr = trace(g, ls, ly);
    let (dy, ds) = (half_log_det(g, ly), half_log_det(g, ls));
    write(g, args[0], &[tr, dy, ds], |nu, a| {
        (nu - (k as f64 + 1.0)) * a[1] - nu * a[2] - 0.5 * a[0] - log_normaliser(nu, k)
    })
}

fn inv_wishart(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let (k, ly, ls) = factors(g, y, args[1]);
    let tr = trace(g, ly, ls);
    let (dy, ds) = (half_log_det(g, ly), half_log_det(g, ls));
    write(g, args[0], &[tr, dy, ds], |nu, a| {
        nu * a[2] - (nu + (k as f64 + 1.0)) * a[1] - 0.5 * a[0] - log_normaliser(nu, k)
    })
}
