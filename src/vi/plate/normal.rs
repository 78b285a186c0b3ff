//! Rows whose posterior is normal: log p(x, z) of degree 2 in z, everything in closed form.

use nalgebra::{DMatrix, DVector};

use super::evaluate::Evaluator;

/// The posterior of a row, N(mean, precision⁻¹), with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalRow {
    /// Posterior mean.
    pub mean: Vec<f64>,
    /// Posterior precision, row-major.
    pub precision: Vec<f64>,
    /// log p(x | globals).
    pub log_evidence: f64,
}

impl NormalRow {
    /// The posterior where log p(x, z) is quadratic and has a maximum; none else. A quadratic's gradient is affine, so
    /// its differences are the Hessian; log p(x) = log p(x, m) + d/2 log 2π - 1/2 log |Λ|.
    pub fn of(ev: &Evaluator<'_>, row: usize) -> Option<NormalRow> {
        if !ev.is_quadratic(row) {
            return None;
        }
        let d = ev.dim(row);
        let gradient = |z: &[f64]| {
            let mut g = vec![0.0; d];
            ev.density(row, z, &mut g);
            g
        };
        let origin = gradient(&vec![0.0; d]);
        let mut precision = DMatrix::zeros(d, d);
        for j in 0..d {
            let mut e = vec![0.0; d];
            e[j] = 1.0;
            gradient(&e).iter().zip(&origin).enumerate().for_each(|(i, (a, b))| precision[(i, j)] = b - a);
        }
        let precision = 0.5 * (&precision + precision.transpose());
        let factor = precision.clone().cholesky()?;
        let mean = factor.solve(&DVector::from_vec(origin));
        let mean: Vec<f64> = mean.iter().copied().collect();
        let half_log_det: f64 = (0..d).map(|i| factor.l()[(i, i)].ln()).sum();
        let at_mean = ev.density(row, &mean, &mut vec![0.0; d]);
        let log_evidence = at_mean + 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln() - half_log_det;
        Some(NormalRow { mean, precision: precision.transpose().as_slice().to_vec(), log_evidence })
    }

    /// Location and log scale of the normal law with independent coordinates that is nearest in KL(q || p): the mean, and
    /// the inverse of the precision's diagonal as variance.
    pub fn mean_field(&self) -> Vec<f64> {
        let d = self.mean.len();
        let scale = (0..d).map(|i| -0.5 * self.precision[i * d + i].ln());
        self.mean.iter().copied().chain(scale).collect()
    }
}
