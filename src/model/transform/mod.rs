//! Constraining transforms of Stan 2.35 as graph builders, with log Jacobians and inverses.
//!
//! A constrained value `x` is a smooth image of free coordinates `u` in R^d. The log Jacobian is
//! log |det dx/du|, where for a simplex, a correlation matrix or a covariance matrix x is described
//! by as many of its entries as it has free coordinates (the reference manual of Stan 2.35, chapter
//! "Constraint transforms", states each).

mod check;
mod invert;
mod matrix;
mod rows;
mod scalar;
mod vector;

#[cfg(test)]
mod tests;

use crate::graph::{Graph, Var};

pub use scalar::{interval, interval_inverse};

/// A constraint that concerns several numbers at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Structure {
    /// Non-negative, sums to 1.
    Simplex,
    /// Strictly increasing.
    Ordered,
    /// Strictly increasing, positive.
    PositiveOrdered,
    /// Euclidean length 1.
    UnitVector,
    /// Lower Cholesky factor of a correlation matrix: rows of length 1, positive diagonal.
    CholeskyFactorCorr,
    /// Symmetric positive definite with unit diagonal.
    CorrMatrix,
    /// Symmetric positive definite.
    CovMatrix,
    /// Lower trapezoidal `[m, n]`, m >= n, with positive diagonal.
    CholeskyFactorCov,
}

impl Structure {
    /// The structure a type name stands for.
    pub fn from_type(name: &str) -> Option<Structure> {
        Some(match name {
            "simplex" => Structure::Simplex,
            "ordered" => Structure::Ordered,
            "positive_ordered" => Structure::PositiveOrdered,
            "unit_vector" => Structure::UnitVector,
            "cholesky_factor_corr" => Structure::CholeskyFactorCorr,
            "corr_matrix" => Structure::CorrMatrix,
            "cov_matrix" => Structure::CovMatrix,
            "cholesky_factor_cov" => Structure::CholeskyFactorCov,
            _ => return None,
        })
    }

    /// The name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Structure::Simplex => "simplex",
            Structure::Ordered => "ordered",
            Structure::PositiveOrdered => "positive_ordered",
            Structure::UnitVector => "unit_vector",
            Structure::CholeskyFactorCorr => "cholesky_factor_corr",
            Structure::CorrMatrix => "corr_matrix",
            Structure::CovMatrix => "cov_matrix",
            Structure::CholeskyFactorCov => "cholesky_factor_cov",
        }
    }

    /// Number of trailing axes that one value takes.
    pub fn event_rank(self) -> usize {
        match self {
            Structure::Simplex | Structure::Ordered | Structure::PositiveOrdered | Structure::UnitVector => 1,
            _ => 2,
        }
    }

    /// Shape of one value from the sizes in its type: `simplex[k]` is `[k]`, `corr_matrix[k]` is
    /// `[k, k]`, `cholesky_factor_cov[m, n]` is `[m, n]` and `cholesky_factor_cov[m]` is `[m, m]`.
    pub fn event_dims(self, declared: &[usize]) -> Result<Vec<usize>, String> {
        let name = self.name();
        match (self, declared) {
            (Structure::Simplex | Structure::UnitVector, [0]) => {
                Err(format!("{name}[0] has no value; give it a size of at least 1"))
            }
            (Structure::CholeskyFactorCov, [m, n]) if m < n => {
                Err(format!("{name}[{m}, {n}] has fewer rows than columns; write {name}[{n}, {m}] or a square one"))
            }
            (Structure::CholeskyFactorCov, [m, n]) => Ok(vec![*m, *n]),
            (_, [k]) if self.event_rank() == 1 => Ok(vec![*k]),
            (_, [k]) => Ok(vec![*k, *k]),
            (Structure::CholeskyFactorCov, _) => {
                Err(format!("{name} takes one or two sizes, as in {name}[m, n], not {}", declared.len()))
            }
            _ => Err(format!("{name} takes one size, as in {name}[k], not {}", declared.len())),
        }
    }

    /// Number of free coordinates of one value of shape `event`.
    pub fn free_dim(self, event: &[usize]) -> usize {
        let k = event[0];
        match self {
            Structure::Simplex => k.saturating_sub(1),
            Structure::Ordered | Structure::PositiveOrdered | Structure::UnitVector => k,
            Structure::CholeskyFactorCorr | Structure::CorrMatrix => k * k.saturating_sub(1) / 2,
            Structure::CovMatrix => k * (k + 1) / 2,
            Structure::CholeskyFactorCov => {
                let n = event[1];
                n * (n + 1) / 2 + (k - n) * n
            }
        }
    }

    /// The constrained value and its log Jacobian.
    ///
    /// `u` is `[n, free]` where `batch` is `Some(n)`, else `[free]`. Returns `x`, `[n, event…]` or
    /// `[event…]` (row-major), and log |J|, `[n]` or a scalar. Formulas: see the builder of each.
    pub fn constrain(self, g: &mut Graph, u: Var, batch: Option<usize>, event: &[usize]) -> (Var, Var) {
        let rows = rows::Rows::new(batch, event);
        match self {
            Structure::Simplex => vector::simplex(g, u, rows),
            Structure::Ordered => vector::ordered(g, u, rows, false),
            Structure::PositiveOrdered => vector::ordered(g, u, rows, true),
            Structure::UnitVector => vector::unit_vector(g, u, rows),
            Structure::CholeskyFactorCorr => matrix::cholesky_factor_corr(g, u, rows),
            Structure::CorrMatrix => matrix::corr_matrix(g, u, rows),
            Structure::CovMatrix => matrix::cov_matrix(g, u, rows),
            Structure::CholeskyFactorCov => matrix::cholesky_factor_cov(g, u, rows),
        }
    }

    /// Free coordinates of one value `x` (row-major, shape `event`), or what is violated.
    ///
    /// A value on the edge of the constraint (a simplex with a zero) has no finite coordinates and
    /// is refused too. A unit vector is its own coordinate vector.
    pub fn unconstrain(self, x: &[f64], event: &[usize]) -> Result<Vec<f64>, String> {
        self.check(x, event)?;
        invert::unconstrain(self, x, event)
    }

    /// Does `x` (row-major, shape `event`) satisfy the constraint, within Stan's tolerance of 1e-8
    /// for equalities? The error names the constraint and the offending entries, counted from 1.
    pub fn check(self, x: &[f64], event: &[usize]) -> Result<(), String> {
        check::check(self, x, event)
    }
}
