//! Bases: the simple laws that flows push forward, drawn exactly from standard normals.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::base::special::lgamma;
use crate::graph::{Fold, Graph, Unary, Var};

/// The law of the coordinates u before the flow, independent of one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Base {
    /// Standard normal.
    Normal,
    /// Student's t with a whole number of degrees of freedom: tails that a flow with bounded slopes keeps.
    StudentT {
        /// Degrees of freedom, at least 1.
        dof: u32,
    },
}

impl Base {
    /// Standard normals that a draw of `dim` coordinates consumes.
    pub fn noise(self, dim: usize) -> usize {
        match self {
            Base::Normal => dim,
            Base::StudentT { dof } => dim * (1 + dof as usize),
        }
    }

    /// Writes a draw u to `u`, from `noise` normals. Student's t is z / sqrt(chi² / dof), the chi² a sum of squares.
    pub fn draw(self, noise: &[f64], u: &mut [f64]) {
        match self {
            Base::Normal => u.copy_from_slice(noise),
            Base::StudentT { dof } => {
                for (u, eps) in u.iter_mut().zip(noise.chunks_exact(1 + dof as usize)) {
                    let chi2: f64 = eps[1..].iter().map(|e| e * e).sum();
                    *u = eps[0] / (chi2 / f64::from(dof)).sqrt();
                }
            }
        }
    }

    /// Log density of `u` (`[dim]`), normalised.
    pub fn log_density(self, g: &mut Graph, u: Var) -> Var {
        let dim = g.shape(u).count() as f64;
        match self {
            Base::Normal => {
                let squares = g.square(u);
                let sum = g.fold_all(Fold::Sum, squares);
                let half = g.scale(-0.5, sum);
                g.shift(half, -0.5 * dim * (2.0 * PI).ln())
            }
            Base::StudentT { dof } => {
                let nu = f64::from(dof);
                let squares = g.square(u);
                let ratio = g.scale(1.0 / nu, squares);
                let logs = g.unary(Unary::Log1p, ratio);
                let sum = g.fold_all(Fold::Sum, logs);
                let tails = g.scale(-0.5 * (nu + 1.0), sum);
                let norm = lgamma(0.5 * (nu + 1.0)) - lgamma(0.5 * nu) - 0.5 * (nu * PI).ln();
                g.shift(tails, dim * norm)
            }
        }
    }
}
