//! Exact maps and proposals: targets that they turn into a standard normal are known without error.

use crate::density::{LogDensity, Proposal, Target, Transport};

/// x = m + L u with a lower triangle L of positive diagonal: a map, and as a proposal the normal law N(m, L L').
#[derive(Clone, Debug)]
pub struct Affine {
    shift: Vec<f64>,
    /// L, row-major, zeros above the diagonal.
    scale: Vec<f64>,
}

impl Affine {
    /// From m (length d) and L (d x d, row-major; entries above the diagonal are ignored).
    pub fn new(shift: Vec<f64>, scale: Vec<f64>) -> Affine {
        Affine { shift, scale }
    }

    /// Independent coordinates.
    pub fn diagonal(shift: Vec<f64>, sd: &[f64]) -> Affine {
        let d = shift.len();
        let scale = (0..d * d).map(|i| if i % (d + 1) == 0 { sd[i / d] } else { 0.0 }).collect();
        Affine { shift, scale }
    }

    /// log |L|.
    pub fn log_det(&self) -> f64 {
        let d = self.shift.len();
        (0..d).map(|j| self.scale[j * d + j].ln()).sum()
    }
}

impl Transport for Affine {
    fn dim(&self) -> usize {
        self.shift.len()
    }

    fn scratch(&self) -> usize {
        0
    }

    fn forward(&self, u: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        let d = self.shift.len();
        for j in 0..d {
            x[j] = self.shift[j] + (0..=j).map(|k| self.scale[j * d + k] * u[k]).sum::<f64>();
        }
        self.log_det()
    }

    fn inverse(&self, x: &[f64], u: &mut [f64], _: &mut [f64]) -> f64 {
        let d = self.shift.len();
        for j in 0..d {
            let rest: f64 = (0..j).map(|k| self.scale[j * d + k] * u[k]).sum();
            u[j] = (x[j] - self.shift[j] - rest) / self.scale[j * d + j];
        }
        self.log_det()
    }

    fn pull(&self, u: &[f64], f: Target<'_>, gu: &mut [f64], ws: &mut [f64]) -> f64 {
        let d = self.shift.len();
        let (mut x, mut gx) = (vec![0.0; d], vec![0.0; d]);
        let log_det = self.forward(u, &mut x, ws);
        let value = f(&x, &mut gx);
        for k in 0..d {
            gu[k] = (k..d).map(|j| self.scale[j * d + k] * gx[j]).sum();
        }
        value + log_det
    }
}

/// The funnel's map: v = 3 u_0, x_j = e^(v/2) u_j. [`Funnel`](crate::testing::targets::Funnel) seen through it is
/// standard normal.
#[derive(Clone, Copy, Debug)]
pub struct FunnelMap {
    /// Number of coordinates.
    pub dim: usize,
}

impl Transport for FunnelMap {
    fn dim(&self) -> usize {
        self.dim
    }

    fn scratch(&self) -> usize {
        0
    }

    fn forward(&self, u: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        let v = 3.0 * u[0];
        x[0] = v;
        (1..self.dim).for_each(|j| x[j] = (0.5 * v).exp() * u[j]);
        3f64.ln() + 0.5 * v * (self.dim - 1) as f64
    }

    fn inverse(&self, x: &[f64], u: &mut [f64], _: &mut [f64]) -> f64 {
        u[0] = x[0] / 3.0;
        (1..self.dim).for_each(|j| u[j] = (-0.5 * x[0]).exp() * x[j]);
        3f64.ln() + 0.5 * x[0] * (self.dim - 1) as f64
    }

    fn pull(&self, u: &[f64], f: Target<'_>, gu: &mut [f64], ws: &mut [f64]) -> f64 {
        let (mut x, mut gx) = (vec![0.0; self.dim], vec![0.0; self.dim]);
        let log_det = self.forward(u, &mut x, ws);
        let value = f(&x, &mut gx);
        let half = 1.5 * u[0];
        gu[0] = 3.0 * gx[0] + 1.5 * (self.dim - 1) as f64;
        for j in 1..self.dim {
            gu[j] = half.exp() * gx[j];
            gu[0] += 1.5 * gx[j] * half.exp() * u[j];
        }
        value + log_det
    }
}

/// The law of T(u), u standard normal, as a proposal: log q(x) = log N(T^-1(x)) - log |det dT/du|.
#[derive(Clone, Debug)]
pub struct Pushed<T>(pub T);

/// log (2 pi) / 2.
const HALF_LOG_TWO_PI: f64 = 0.918_938_533_204_672_7;

fn log_normal(u: &[f64]) -> f64 {
    -u.iter().map(|u| HALF_LOG_TWO_PI + 0.5 * u * u).sum::<f64>()
}

impl<T: Transport> LogDensity for Pushed<T> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64 {
        let mut u = vec![0.0; x.len()];
        let log_det = self.0.inverse(x, &mut u, ws);
        log_normal(&u) - log_det
    }
}

impl<T: Transport> Proposal for Pushed<T> {
    fn noise(&self) -> usize {
        self.0.dim()
    }

    fn draw(&self, noise: &[f64], x: &mut [f64], log_q: &mut [f64], ws: &mut [f64]) {
        let (d, n) = (self.0.dim(), log_q.len());
        let mut point = vec![0.0; d];
        for (p, u) in noise.chunks_exact(d).take(n).enumerate() {
            log_q[p] = log_normal(u) - self.0.forward(u, &mut point, ws);
            (0..d).for_each(|j| x[j * n + p] = point[j]);
        }
    }
}
