//! Targets whose draws and moments are known exactly, with gradients by hand.

use crate::base::rng::Stream;
use crate::density::{Gradient, LogDensity};
use nalgebra::{Cholesky, DMatrix};

/// A target that can be sampled exactly.
pub trait Exact: Gradient {
    /// Writes an exact draw to `x`.
    fn draw(&self, rng: &mut Stream, x: &mut [f64]);
}

/// Independent normals with means 0 and given standard deviations.
#[derive(Clone, Debug)]
pub struct DiagNormal {
    sd: Vec<f64>,
    precision: Vec<f64>,
}

impl DiagNormal {
    /// From the standard deviations.
    pub fn new(sd: Vec<f64>) -> DiagNormal {
        let precision = sd.iter().map(|s| 1.0 / (s * s)).collect();
        DiagNormal { sd, precision }
    }

    /// The standard normal.
    pub fn standard(dim: usize) -> DiagNormal {
        DiagNormal::new(vec![1.0; dim])
    }

    /// Standard deviations spaced evenly in logarithm from `low` to `high`.
    pub fn log_spaced(dim: usize, low: f64, high: f64) -> DiagNormal {
        let step = (high / low).ln() / (dim.max(2) - 1) as f64;
        DiagNormal::new((0..dim).map(|j| low * (step * j as f64).exp()).collect())
    }

    /// Standard deviations.
    pub fn sd(&self) -> &[f64] {
        &self.sd
    }
}

impl LogDensity for DiagNormal {
    fn dim(&self) -> usize {
        self.sd.len()
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        -0.5 * x.iter().zip(&self.precision).map(|(x, w)| w * x * x).sum::<f64>()
    }
}

impl Gradient for DiagNormal {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], _: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for ((g, x), w) in grad.iter_mut().zip(x).zip(&self.precision) {
            *g = -w * x;
            sum += *g * x;
        }
        0.5 * sum
    }
}

impl Exact for DiagNormal {
    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        for (x, s) in x.iter_mut().zip(&self.sd) {
            *x = s * rng.normal();
        }
    }
}

/// A normal with mean 0 and a full covariance.
#[derive(Clone, Debug)]
pub struct DenseNormal {
    dim: usize,
    chol: DMatrix<f64>,
    precision: Vec<f64>,
}

impl DenseNormal {
    /// From the covariance, or `None` when it is not positive definite.
    pub fn new(covariance: &DMatrix<f64>) -> Option<DenseNormal> {
        let factor = Cholesky::new(covariance.clone())?;
        let precision = factor.inverse();
        Some(DenseNormal { dim: covariance.nrows(), chol: factor.l(), precision: precision.as_slice().to_vec() })
    }

    /// Equal correlation `rho` between unit-variance coordinates.
    pub fn equicorrelated(dim: usize, rho: f64) -> Option<DenseNormal> {
        DenseNormal::new(&DMatrix::from_fn(dim, dim, |i, j| if i == j { 1.0 } else { rho }))
    }
}

impl LogDensity for DenseNormal {
    fn dim(&self) -> usize {
        self.dim
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        let rows = self.precision.chunks_exact(self.dim);
        -0.5 * rows.zip(x).map(|(r, xi)| xi * r.iter().zip(x).map(|(a, b)| a * b).sum::<f64>()).sum::<f64>()
    }
}

impl Gradient for DenseNormal {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], _: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for ((g, row), xi) in grad.iter_mut().zip(self.precision.chunks_exact(self.dim)).zip(x) {
            *g = -row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
            sum += *g * xi;
        }
        0.5 * sum
    }
}

impl Exact for DenseNormal {
    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        let z: Vec<f64> = (0..self.dim).map(|_| rng.normal()).collect();
        for i in 0..self.dim {
            x[i] = (0..=i).map(|j| self.chol[(i, j)] * z[j]).sum();
        }
    }
}

/// Independent x_j = log E_j with E_j standard exponential: density exp(x - e^x), strongly skewed to the left.
///
/// Mean -0.5772 (minus Euler's constant), variance pi^2 / 6, distribution function 1 - exp(-e^x).
#[derive(Clone, Copy, Debug)]
pub struct LogExponential {
    /// Number of coordinates.
    pub dim: usize,
}

impl LogExponential {
    /// Distribution function of one coordinate.
    pub fn cdf(x: f64) -> f64 {
        -(-x.exp()).exp_m1()
    }
}

impl LogDensity for LogExponential {
    fn dim(&self) -> usize {
        self.dim
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        x.iter().map(|x| x - x.exp()).sum()
    }
}

impl Gradient for LogExponential {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], _: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        for (g, &x) in grad.iter_mut().zip(x) {
            let e = x.exp();
            *g = 1.0 - e;
            sum += x - e;
        }
        sum
    }
}

impl Exact for LogExponential {
    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        x.fill_with(|| rng.exponential().ln());
    }
}

/// Neal's funnel (2003): v = x_0 ~ N(0, 3^2) and x_j ~ N(0, e^v), e^(v/2) being the standard deviation.
#[derive(Clone, Copy, Debug)]
pub struct Funnel {
    /// Number of coordinates, at least 2.
    pub dim: usize,
}

impl LogDensity for Funnel {
    fn dim(&self) -> usize {
        self.dim
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        let n = (self.dim - 1) as f64;
        let squares: f64 = x[1..].iter().map(|x| x * x).sum();
        -x[0] * x[0] / 18.0 - 0.5 * n * x[0] - 0.5 * (-x[0]).exp() * squares
    }
}

impl Gradient for Funnel {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64 {
        let n = (self.dim - 1) as f64;
        let w = (-x[0]).exp();
        let mut squares = 0.0;
        for (g, x) in grad[1..].iter_mut().zip(&x[1..]) {
            *g = -w * x;
            squares += x * x;
        }
        grad[0] = -x[0] / 9.0 - 0.5 * n + 0.5 * w * squares;
        self.logp(x, ws)
    }
}

impl Exact for Funnel {
    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        let v = 3.0 * rng.normal();
        x.fill_with(|| (0.5 * v).exp() * rng.normal());
        x[0] = v;
    }
}

/// A banana: x_0 ~ N(0, 1), x_1 ~ N(b (x_0^2 - 1), s^2) (a twisted normal as in Haario et al. 1999).
#[derive(Clone, Copy, Debug)]
pub struct Banana {
    /// Curvature b.
    pub curvature: f64,
    /// Standard deviation s across the banana.
    pub width: f64,
}

impl LogDensity for Banana {
    fn dim(&self) -> usize {
        2
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        let r = (x[1] - self.curvature * (x[0] * x[0] - 1.0)) / self.width;
        -0.5 * (x[0] * x[0] + r * r)
    }
}

impl Gradient for Banana {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64 {
        let r = (x[1] - self.curvature * (x[0] * x[0] - 1.0)) / (self.width * self.width);
        grad[0] = -x[0] + 2.0 * self.curvature * x[0] * r;
        grad[1] = -r;
        self.logp(x, ws)
    }
}

impl Exact for Banana {
    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        x[0] = rng.normal();
        x[1] = self.curvature * (x[0] * x[0] - 1.0) + self.width * rng.normal();
    }
}

/// Eight schools (Rubin 1981), noncentred: mu ~ N(0, 5^2), tau ~ half-Cauchy(0, 5), theta_j = mu + tau z_j,
/// y_j ~ N(theta_j, sigma_j^2). Coordinates: mu, log tau, z_1..z_8. No exact draws; long runs of Stan
/// give E mu = 4.4, E tau = 3.6.
#[derive(Clone, Copy, Debug, Default)]
pub struct EightSchools;

const Y: [f64; 8] = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0];
const SIGMA: [f64; 8] = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0];

impl LogDensity for EightSchools {
    fn dim(&self) -> usize {
        10
    }

    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64 {
        let mut grad = [0.0; 10];
        self.logp_grad(x, &mut grad, ws)
    }
}

impl Gradient for EightSchools {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], _: &mut [f64]) -> f64 {
        let (mu, tau) = (x[0], x[1].exp());
        let scaled = tau * tau / 25.0;
        let mut logp = -mu * mu / 50.0 - scaled.ln_1p() + x[1];
        grad[0] = -mu / 25.0;
        grad[1] = 1.0 - 2.0 * scaled / (1.0 + scaled);
        for j in 0..8 {
            let z = x[2 + j];
            let r = (Y[j] - mu - tau * z) / SIGMA[j];
            let d = r / SIGMA[j];
            logp -= 0.5 * (r * r + z * z);
            grad[0] += d;
            grad[1] += d * tau * z;
            grad[2 + j] = d * tau - z;
        }
        logp
    }
}
