//! The inverse mass matrix Sigma: kinetic energy K(p) = p' Sigma p / 2, velocity v = Sigma p, momentum p ~ N(0, Sigma^-1).
//!
//! The best Sigma is the posterior covariance (Neal 2011, section 4.1). Vectors handed to these methods are
//! padded with zeros (see `vector`); the numbers stored here are padded alike.

use crate::mcmc::vector::{axpy, dot, padded};
use nalgebra::{Cholesky, DMatrix};
use serde::Serialize;

/// Which form of inverse mass matrix warm-up estimates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum MetricKind {
    /// The identity, never changed.
    Unit,
    /// A diagonal.
    Diag,
    /// A full matrix: one product of d^2 operations per leapfrog step.
    Dense,
    /// A diagonal times (identity + low rank), Sigma = D (I + U (Lambda - I) U') D.
    LowRank {
        /// Directions whose eigenvalue lies within [1/cutoff, cutoff] are left out; above 1.
        cutoff: f64,
        /// Largest number of directions kept.
        max_rank: usize,
    },
}

impl MetricKind {
    /// Low rank with the usual cut-off 2 and at most 32 directions.
    pub const fn low_rank() -> MetricKind {
        MetricKind::LowRank { cutoff: 2.0, max_rank: 32 }
    }
}

/// An inverse mass matrix.
#[derive(Clone, Debug, Serialize)]
pub enum Metric {
    /// See [`Diag`].
    Diag(Diag),
    /// See [`Dense`].
    Dense(Dense),
    /// See [`LowRank`].
    LowRank(LowRank),
}

/// Sigma = diag(s^2).
#[derive(Clone, Debug, Serialize)]
pub struct Diag {
    dim: usize,
    /// s, padded with zeros.
    scale: Vec<f64>,
    /// s^2, padded with zeros.
    pub(crate) inv: Vec<f64>,
}

/// Sigma = L L'.
#[derive(Clone, Debug, Serialize)]
pub struct Dense {
    dim: usize,
    /// Sigma, rows padded with zeros.
    inv: Vec<f64>,
    /// L, rows padded with zeros.
    chol: Vec<f64>,
}

/// Sigma = S (I + U (Lambda - I) U') S with S = diag(s), orthonormal columns of U (stored as rows).
#[derive(Clone, Debug, Serialize)]
pub struct LowRank {
    dim: usize,
    scale: Vec<f64>,
    directions: Vec<f64>,
    lambda: Vec<f64>,
}

impl Diag {
    /// From the diagonal of Sigma (variances, positive).
    pub fn new(variances: &[f64]) -> Diag {
        let dim = variances.len();
        let mut diag = Diag { dim, scale: vec![0.0; padded(dim)], inv: vec![0.0; padded(dim)] };
        for (j, &v) in variances.iter().enumerate() {
            diag.set_one(j, v);
        }
        diag
    }

    /// Overwrites entry `j` of the diagonal of Sigma.
    pub fn set_one(&mut self, j: usize, variance: f64) {
        self.inv[j] = variance;
        self.scale[j] = variance.sqrt();
    }
}

impl Dense {
    /// From Sigma, or `None` when it is not positive definite.
    pub fn new(sigma: &DMatrix<f64>) -> Option<Dense> {
        let dim = sigma.nrows();
        let n = padded(dim);
        let factor = Cholesky::new(sigma.clone())?.unpack();
        let (mut inv, mut chol) = (vec![0.0; dim * n], vec![0.0; dim * n]);
        for i in 0..dim {
            for j in 0..dim {
                inv[i * n + j] = 0.5 * (sigma[(i, j)] + sigma[(j, i)]);
            }
            for j in 0..=i {
                chol[i * n + j] = factor[(i, j)];
            }
        }
        let finite = inv.iter().chain(&chol).all(|x| x.is_finite());
        finite.then_some(Dense { dim, inv, chol })
    }
}

impl LowRank {
    /// From the scales s (length d), orthonormal directions (each of length d) and their eigenvalues.
    pub fn new(scale: &[f64], directions: &[Vec<f64>], lambda: &[f64]) -> LowRank {
        let (dim, n) = (scale.len(), padded(scale.len()));
        let mut rows = vec![0.0; directions.len() * n];
        for (row, u) in rows.chunks_exact_mut(n).zip(directions) {
            row[..dim].copy_from_slice(u);
        }
        let mut s = vec![0.0; n];
        s[..dim].copy_from_slice(scale);
        LowRank { dim, scale: s, directions: rows, lambda: lambda.to_vec() }
    }

    /// Number of directions kept.
    pub fn rank(&self) -> usize {
        self.lambda.len()
    }

    /// `y += U (f(Lambda) - I) U' y`. The directions are orthonormal, so one may follow the other.
    fn stretch(&self, y: &mut [f64], f: impl Fn(f64) -> f64) {
        let n = y.len();
        for (u, &l) in self.directions.chunks_exact(n).zip(&self.lambda) {
            let c = (f(l) - 1.0) * dot(u, y);
            axpy(c, u, y);
        }
    }
}

impl Metric {
    /// The identity in `dim` dimensions.
    pub fn unit(dim: usize) -> Metric {
        Metric::Diag(Diag::new(&vec![1.0; dim]))
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        match self {
            Metric::Diag(m) => m.dim,
            Metric::Dense(m) => m.dim,
            Metric::LowRank(m) => m.dim,
        }
    }

    /// The diagonal of Sigma.
    pub fn variances(&self) -> Vec<f64> {
        match self {
            Metric::Diag(m) => m.inv[..m.dim].to_vec(),
            Metric::Dense(m) => (0..m.dim).map(|i| m.inv[i * padded(m.dim) + i]).collect(),
            Metric::LowRank(m) => {
                let n = padded(m.dim);
                let spread = |j: usize| -> f64 {
                    (0..m.rank()).map(|k| (m.lambda[k] - 1.0) * m.directions[k * n + j].powi(2)).sum()
                };
                (0..m.dim).map(|j| m.scale[j].powi(2) * (1.0 + spread(j))).collect()
            }
        }
    }

    /// `out = Sigma x`, padded vectors.
    pub fn apply(&self, x: &[f64], out: &mut [f64]) {
        match self {
            Metric::Diag(m) => {
                for j in 0..out.len() {
                    out[j] = m.inv[j] * x[j];
                }
            }
            Metric::Dense(m) => {
                for (row, out) in m.inv.chunks_exact(x.len()).zip(&mut *out) {
                    *out = dot(row, x);
                }
            }
            Metric::LowRank(m) => {
                for j in 0..out.len() {
                    out[j] = m.scale[j] * x[j];
                }
                m.stretch(out, |l| l);
                for j in 0..out.len() {
                    out[j] *= m.scale[j];
                }
            }
        }
    }

    /// From standard normal numbers `z`: momentum p ~ N(0, Sigma^-1) and velocity v = Sigma p, so that p'v = z'z.
    pub fn momentum(&self, z: &[f64], p: &mut [f64], v: &mut [f64]) {
        match self {
            Metric::Diag(m) => {
                for j in 0..m.dim {
                    p[j] = z[j] / m.scale[j];
                    v[j] = z[j] * m.scale[j];
                }
            }
            Metric::Dense(m) => m.momentum(z, p, v),
            Metric::LowRank(m) => {
                p.copy_from_slice(z);
                m.stretch(p, |l| 1.0 / l.sqrt());
                v.copy_from_slice(z);
                m.stretch(v, f64::sqrt);
                for j in 0..m.dim {
                    p[j] /= m.scale[j];
                    v[j] *= m.scale[j];
                }
            }
        }
    }
}

impl Dense {
    /// v = L z and L' p = z.
    fn momentum(&self, z: &[f64], p: &mut [f64], v: &mut [f64]) {
        let n = z.len();
        p.copy_from_slice(z);
        for i in (0..self.dim).rev() {
            let row = &self.chol[i * n..(i + 1) * n];
            v[i] = dot(row, z);
            p[i] /= row[i];
            let pi = p[i];
            axpy(-pi, &row[..i], &mut p[..i]);
        }
    }
}
