//! An affine start: a location and a scale from which a family sets out.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

/// Location m and lower triangular factor L of the covariance L Lᵀ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Location, `[dim]`.
    pub location: Vec<f64>,
    /// Factor, row-major `[dim, dim]`, zero above the diagonal.
    pub factor: Vec<f64>,
}

impl Start {
    /// Location 0, one scale for all coordinates.
    pub fn isotropic(location: Vec<f64>, scale: f64) -> Start {
        let dim = location.len();
        let factor = (0..dim * dim).map(|k| if k / dim == k % dim { scale } else { 0.0 }).collect();
        Start { location, factor }
    }

    /// From a covariance (row-major); `None` where it is not positive definite.
    pub fn from_covariance(location: Vec<f64>, covariance: &[f64]) -> Option<Start> {
        let dim = location.len();
        let factor = DMatrix::from_row_slice(dim, dim, covariance).cholesky()?.l();
        let factor: Vec<f64> = (0..dim * dim).map(|k| factor[(k / dim, k % dim)]).collect();
        factor.iter().all(|x| x.is_finite()).then_some(Start { location, factor })
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.location.len()
    }

    /// The same location with the factor stretched.
    pub fn stretched(&self, by: f64) -> Start {
        Start { location: self.location.clone(), factor: self.factor.iter().map(|x| by * x).collect() }
    }
}
