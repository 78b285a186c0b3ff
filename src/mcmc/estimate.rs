//! Estimates of the inverse mass matrix from draws and their gradients.

use crate::mcmc::metric::{Dense, Diag, LowRank};
use nalgebra::{DMatrix, SymmetricEigen};

/// Running mean and sum of squared deviations per coordinate (Welford 1962).
#[derive(Clone, Debug)]
struct Welford {
    mean: Vec<f64>,
    m2: Vec<f64>,
}

impl Welford {
    fn new(dim: usize) -> Welford {
        Welford { mean: vec![0.0; dim], m2: vec![0.0; dim] }
    }

    fn push(&mut self, count: f64, x: &[f64]) {
        let r = 1.0 / count;
        for ((x, mean), m2) in x.iter().zip(&mut self.mean).zip(&mut self.m2) {
            let d = x - *mean;
            *mean += d * r;
            *m2 += d * (x - *mean);
        }
    }

    fn clear(&mut self) {
        self.mean.fill(0.0);
        self.m2.fill(0.0);
    }
}

/// Diagonal estimate s_j^2 = sqrt(var(x_j) / var(g_j)), g the gradient of the log density.
///
/// It minimises the Fisher divergence between the target and a normal law with covariance diag(s^2)
/// (Seyboldt, Carlson & Carpenter 2026, arXiv:2603.18845); for a normal target with independent coordinates it is exact from
/// two draws on, since then var(g_j) = var(x_j) / s_j^4.
#[derive(Clone, Debug)]
pub struct DiagEstimate {
    count: u64,
    draws: Welford,
    gradients: Welford,
}

/// Variances are kept within these bounds.
const BOUNDS: (f64, f64) = (1e-20, 1e20);

impl DiagEstimate {
    /// An estimate without data.
    pub fn new(dim: usize) -> DiagEstimate {
        DiagEstimate { count: 0, draws: Welford::new(dim), gradients: Welford::new(dim) }
    }

    /// Number of draws seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds a draw and its gradient.
    pub fn push(&mut self, x: &[f64], g: &[f64]) {
        self.count += 1;
        self.draws.push(self.count as f64, x);
        self.gradients.push(self.count as f64, g);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.count = 0;
        self.draws.clear();
        self.gradients.clear();
    }

    /// s_j^2, or `None` when the data do not give a positive number.
    pub fn variance(&self, j: usize) -> Option<f64> {
        let ratio = (self.draws.m2[j] / self.gradients.m2[j]).sqrt();
        (ratio.is_finite() && ratio > 0.0).then(|| ratio.clamp(BOUNDS.0, BOUNDS.1))
    }

    /// Writes the estimate over `metric`; coordinates without one keep their value.
    pub fn write(&self, metric: &mut Diag) {
        for j in 0..self.draws.mean.len() {
            if let Some(v) = self.variance(j) {
                metric.set_one(j, v);
            }
        }
    }
}

/// Draws and gradients of one window, kept for the matrix estimates.
#[derive(Clone, Debug)]
pub struct Window {
    dim: usize,
    draws: Vec<f64>,
    gradients: Vec<f64>,
}

impl Window {
    /// An empty window.
    pub fn new(dim: usize) -> Window {
        Window { dim, draws: Vec::new(), gradients: Vec::new() }
    }

    /// Adds a draw and its gradient.
    pub fn push(&mut self, x: &[f64], g: &[f64]) {
        self.draws.extend_from_slice(x);
        self.gradients.extend_from_slice(g);
    }

    /// Number of draws held.
    pub fn len(&self) -> usize {
        self.draws.len() / self.dim.max(1)
    }

    /// Whether no draw is held.
    pub fn is_empty(&self) -> bool {
        self.draws.is_empty()
    }

    /// Forgets all but the newest `keep` draws.
    pub fn keep_last(&mut self, keep: usize) {
        let drop = self.draws.len() - (keep * self.dim).min(self.draws.len());
        self.draws.drain(..drop);
        self.gradients.drain(..drop);
    }

    /// Scales s_j of the diagonal estimate.
    fn scales(&self) -> Vec<f64> {
        let mut diag = DiagEstimate::new(self.dim);
        for (x, g) in self.draws.chunks_exact(self.dim).zip(self.gradients.chunks_exact(self.dim)) {
            diag.push(x, g);
        }
        (0..self.dim).map(|j| diag.variance(j).unwrap_or(1.0).sqrt()).collect()
    }

    /// Centred columns, one per draw: x_j / s_j of the draws or g_j s_j of the gradients.
    fn whitened(&self, data: &[f64], factor: impl Fn(usize) -> f64) -> DMatrix<f64> {
        let n = self.len();
        let mut m = DMatrix::from_fn(self.dim, n, |j, i| data[i * self.dim + j] * factor(j));
        for mut row in m.row_iter_mut() {
            let mean = row.mean();
            row.add_scalar_mut(-mean);
        }
        m
    }

    /// Full estimate: the geometric mean of cov(x) and cov(g)^-1 (exact for a normal target with more draws than
    /// coordinates), both first scaled by the diagonal estimate and shrunk towards it.
    pub fn dense(&self) -> Option<Dense> {
        let (n, d) = (self.len() as f64, self.dim);
        if self.len() < 3 {
            return None;
        }
        let s = self.scales();
        let x = self.whitened(&self.draws, |j| 1.0 / s[j]);
        let g = self.whitened(&self.gradients, |j| s[j]);
        let shrink = |m: DMatrix<f64>| (m + DMatrix::identity(d, d) * SHRINK) / (n - 1.0 + SHRINK);
        let mean = geometric_mean(&shrink(&x * x.transpose()), &shrink(&g * g.transpose()))?;
        Dense::new(&DMatrix::from_fn(d, d, |i, j| s[i] * mean[(i, j)] * s[j]))
    }

    /// Diagonal times (identity + low rank): the same geometric mean within the span of the leading
    /// principal directions of draws and of gradients; directions with eigenvalue in [1/cutoff, cutoff] are dropped.
    pub fn low_rank(&self, cutoff: f64, max_rank: usize) -> Option<LowRank> {
        let n = self.len() as f64;
        if self.len() < 3 {
            return None;
        }
        let s = self.scales();
        let x = self.whitened(&self.draws, |j| 1.0 / s[j]);
        let g = self.whitened(&self.gradients, |j| s[j]);
        let basis = span(&[leading(&x, max_rank)?, leading(&g, max_rank)?])?;
        let k = basis.ncols();
        let shrink = |m: DMatrix<f64>| (m + DMatrix::identity(k, k) * SHRINK) / (n - 1.0 + SHRINK);
        let (bx, bg) = (basis.tr_mul(&x), basis.tr_mul(&g));
        let mean = geometric_mean(&shrink(&bx * bx.transpose()), &shrink(&bg * bg.transpose()))?;
        let eigen = SymmetricEigen::try_new(mean, f64::EPSILON, EIGEN_ITERATIONS)?;
        let mut order: Vec<usize> = (0..k).filter(|&i| far_from_one(eigen.eigenvalues[i], cutoff)).collect();
        order.sort_by(|&a, &b| distance(eigen.eigenvalues[b]).total_cmp(&distance(eigen.eigenvalues[a])));
        order.truncate(max_rank);
        let directions = &basis * &eigen.eigenvectors;
        let rows: Vec<Vec<f64>> = order.iter().map(|&i| directions.column(i).iter().copied().collect()).collect();
        let lambda: Vec<f64> = order.iter().map(|&i| eigen.eigenvalues[i]).collect();
        Some(LowRank::new(&s, &rows, &lambda))
    }
}

/// Weight of the identity in both covariances, in draws.
const SHRINK: f64 = 2.0;

/// Sweeps after which an eigenvalue problem is given up (0 would mean never).
const EIGEN_ITERATIONS: usize = 10_000;

fn distance(lambda: f64) -> f64 {
    lambda.ln().abs()
}

fn far_from_one(lambda: f64, cutoff: f64) -> bool {
    lambda > 0.0 && lambda.is_finite() && distance(lambda) > cutoff.ln()
}

/// A # B^-1, the M with M B M = A: M = B^-1/2 (B^1/2 A B^1/2)^1/2 B^-1/2.
fn geometric_mean(a: &DMatrix<f64>, b: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    let (root, inverse_root) = roots(b)?;
    let middle = &root * a * &root;
    let (middle_root, _) = roots(&middle)?;
    Some(&inverse_root * middle_root * &inverse_root)
}

/// B^1/2 and B^-1/2 of a positive definite matrix.
fn roots(b: &DMatrix<f64>) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    if b.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let eigen = SymmetricEigen::try_new(b.clone(), f64::EPSILON, EIGEN_ITERATIONS)?;
    let floor = eigen.eigenvalues.max() * f64::EPSILON;
    let power = |e: f64| {
        let mut scaled = eigen.eigenvectors.clone();
        for (mut column, l) in scaled.column_iter_mut().zip(eigen.eigenvalues.iter()) {
            column *= l.max(floor).powf(e);
        }
        scaled * eigen.eigenvectors.transpose()
    };
    Some((power(0.5), power(-0.5)))
}

/// The leading left singular vectors of `m`, at most `count` and half of the draws.
fn leading(m: &DMatrix<f64>, count: usize) -> Option<DMatrix<f64>> {
    let keep = count.min(m.ncols() / 2).min(m.nrows()).max(1);
    let small = if m.ncols() < m.nrows() { m.tr_mul(m) } else { m * m.transpose() };
    if small.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let eigen = SymmetricEigen::try_new(small, f64::EPSILON, EIGEN_ITERATIONS)?;
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    order.truncate(keep);
    let vectors = eigen.eigenvectors.select_columns(&order);
    Some(if m.ncols() < m.nrows() { m * vectors } else { vectors })
}

/// An orthonormal basis of the columns of all `parts` (modified Gram-Schmidt, twice).
fn span(parts: &[DMatrix<f64>]) -> Option<DMatrix<f64>> {
    let mut basis: Vec<nalgebra::DVector<f64>> = Vec::new();
    for part in parts {
        for column in part.column_iter() {
            let mut v = column.clone_owned();
            let before = v.norm();
            for _ in 0..2 {
                for b in &basis {
                    let c = b.dot(&v);
                    v.axpy(-c, b, 1.0);
                }
            }
            let after = v.norm();
            if after > 1e-8 * before && basis.len() < part.nrows() {
                basis.push(v / after);
            }
        }
    }
    (!basis.is_empty()).then(|| DMatrix::from_columns(&basis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Stream;
    use crate::mcmc::metric::Metric;
    use crate::testing::targets::{DenseNormal, DiagNormal, Exact};

    fn window(target: &impl Exact, draws: usize) -> (Window, DiagEstimate) {
        let d = target.dim();
        let mut rng = Stream::new(5, "window", 0);
        let (mut x, mut g) = (vec![0.0; d], vec![0.0; d]);
        let (mut window, mut diag) = (Window::new(d), DiagEstimate::new(d));
        for _ in 0..draws {
            target.draw(&mut rng, &mut x);
            target.logp_grad(&x, &mut g, &mut []);
            window.push(&x, &g);
            diag.push(&x, &g);
        }
        (window, diag)
    }

    #[test]
    fn estimates_are_exact_on_normals() {
        // With x ~ N(0, S) and g = -S^-1 x, both estimates hold for any draws, whatever their sample covariance.
        let target = DiagNormal::log_spaced(6, 1e-3, 1e3);
        let (_, diag) = window(&target, 4);
        for (j, sd) in target.sd().iter().enumerate() {
            let v = diag.variance(j).expect("four different draws");
            assert!((v / (sd * sd) - 1.0).abs() < 1e-10, "{v} {sd}");
        }
        let target = DenseNormal::equicorrelated(4, 0.8).expect("positive definite");
        let (window, _) = window(&target, 2000);
        let e0 = [1.0, 0.0, 0.0, 0.0];
        let mut out = [0.0; 4];
        for metric in [window.dense().map(Metric::Dense), window.low_rank(1.01, 4).map(Metric::LowRank)] {
            metric.expect("enough draws").apply(&e0, &mut out);
            // Shrinkage of 2 draws in 2000, on eigenvalues up to 3.4 and down to 0.2 relative to the diagonal's.
            for (found, expected) in out.iter().zip([1.0, 0.8, 0.8, 0.8]) {
                assert!((found - expected).abs() < 0.01, "{out:?}");
            }
        }
    }

    #[test]
    fn low_rank_keeps_what_lies_beyond_the_cut_off() {
        // Equal correlation: eigenvalue 1 + 9 * 0.8 = 8.2 once and 0.2 nine times.
        let target = DenseNormal::equicorrelated(10, 0.8).expect("positive definite");
        let (window, _) = window(&target, 400);
        // The diagonal estimate divides by sqrt(1 / 4.88) = 0.453, so relative eigenvalues are 18 and 0.44.
        let rank = |cutoff, max| window.low_rank(cutoff, max).expect("enough draws").rank();
        assert_eq!(rank(2.0, 32), 10);
        assert_eq!(rank(4.0, 32), 1);
        assert_eq!(rank(2.0, 3), 3);
    }
}
