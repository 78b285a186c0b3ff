//! Multivariate Student-t proposal with 4 degrees of freedom: the safe component of defensive mixtures.

use crate::base::special::lgamma;
use crate::density::{LogDensity, Proposal};
use crate::evidence::error::EvidenceError;
use crate::guide::Start;
use std::f64::consts::PI;

/// Degrees of freedom: variances are finite, tails polynomial.
pub const DOF: usize = 4;

/// Factor on the affine start's scale.
pub const INFLATION: f64 = 1.5;

/// Points worked on at a time.
const TILE: usize = 64;

/// x = m + L z sqrt(nu / chi2) with z standard normal in d dimensions and chi2 the sum of nu = 4 more squared
/// normals: draws consume d + 4 normals and are exact. Its density is
/// Gamma((nu + d) / 2) / (Gamma(nu / 2) (nu pi)^(d/2) |L|) (1 + |L^-1 (x - m)|^2 / nu)^(-(nu + d) / 2).
#[derive(Clone, Debug)]
pub struct StudentT {
    location: Vec<f64>,
    /// Rows of L up to the diagonal, one after another.
    scale: Vec<f64>,
    log_norm: f64,
}

impl StudentT {
    /// From the location m (length d) and the rows of the lower triangle L, diagonal included (d (d + 1) / 2 numbers).
    pub fn new(location: Vec<f64>, scale: Vec<f64>) -> Result<StudentT, EvidenceError> {
        let d = location.len();
        let expected = d * (d + 1) / 2;
        let wrong = |problem: String| Err(EvidenceError::Scale { expected, problem });
        if scale.len() != expected {
            return wrong(format!("{} given", scale.len()));
        }
        if location.iter().chain(&scale).any(|v| !v.is_finite()) {
            return wrong("location or scale not finite".into());
        }
        let mut log_det = 0.0;
        for j in 0..d {
            let diagonal = scale[row(j) + j];
            if diagonal <= 0.0 {
                return wrong(format!("entry ({j}, {j}) is {diagonal}"));
            }
            log_det += diagonal.ln();
        }
        let (nu, d) = (DOF as f64, d as f64);
        let log_norm = lgamma(0.5 * (nu + d)) - lgamma(0.5 * nu) - 0.5 * d * (nu * PI).ln() - log_det;
        Ok(StudentT { location, scale, log_norm })
    }

    /// Around an affine start m + L u: the same location, the scale [`INFLATION`] times larger.
    pub fn around(start: &Start) -> Result<StudentT, EvidenceError> {
        let Start { location, factor } = start.stretched(INFLATION);
        let d = location.len();
        let scale = (0..d).flat_map(|i| &factor[i * d..=i * d + i]).copied().collect();
        StudentT::new(location, scale)
    }

    /// Log density where |L^-1 (x - m)|^2 is `squares`.
    fn at(&self, squares: f64) -> f64 {
        let nu = DOF as f64;
        self.log_norm - 0.5 * (nu + self.location.len() as f64) * (squares / nu).ln_1p()
    }
}

/// Start of row `j` of a packed lower triangle.
fn row(j: usize) -> usize {
    j * (j + 1) / 2
}

impl LogDensity for StudentT {
    fn dim(&self) -> usize {
        self.location.len()
    }

    fn scratch(&self) -> usize {
        self.location.len() + 1
    }

    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64 {
        let mut out = [0.0];
        self.tile(x, 1, 0, &mut out, ws);
        out[0]
    }

    fn lanes_scratch(&self) -> usize {
        TILE * self.scratch()
    }

    fn logp_lanes(&self, x: &[f64], out: &mut [f64], ws: &mut [f64]) {
        let n = out.len();
        for (t, out) in out.chunks_mut(TILE).enumerate() {
            self.tile(x, n, t * TILE, out, ws);
        }
    }
}

impl StudentT {
    /// Points `start..start + out.len()` of `n`: forward substitution y = L^-1 (x - m), all points side by side.
    fn tile(&self, x: &[f64], n: usize, start: usize, out: &mut [f64], ws: &mut [f64]) {
        let (d, m) = (self.location.len(), out.len());
        let (y, squares) = ws.split_at_mut(d * m);
        let squares = &mut squares[..m];
        squares.fill(0.0);
        for j in 0..d {
            let (done, now) = y.split_at_mut(j * m);
            let now = &mut now[..m];
            let l = &self.scale[row(j)..=row(j) + j];
            for (y, x) in now.iter_mut().zip(&x[j * n + start..]) {
                *y = x - self.location[j];
            }
            for (k, l) in l[..j].iter().enumerate() {
                for (y, z) in now.iter_mut().zip(&done[k * m..]) {
                    *y -= l * z;
                }
            }
            for (y, s) in now.iter_mut().zip(&mut *squares) {
                *y /= l[j];
                *s += *y * *y;
            }
        }
        for (out, s) in out.iter_mut().zip(&*squares) {
            *out = self.at(*s);
        }
    }
}

impl Proposal for StudentT {
    fn noise(&self) -> usize {
        self.location.len() + DOF
    }

    fn draw(&self, noise: &[f64], x: &mut [f64], log_q: &mut [f64], _: &mut [f64]) {
        let (d, n) = (self.location.len(), log_q.len());
        for (p, z) in noise.chunks_exact(self.noise()).take(n).enumerate() {
            let chi2: f64 = z[d..].iter().map(|z| z * z).sum();
            let stretch = (DOF as f64 / chi2).sqrt();
            let mut squares = 0.0;
            for j in 0..d {
                let t = z[j] * stretch;
                x[j * n + p] = t;
                squares += t * t;
            }
            log_q[p] = self.at(squares);
        }
        // Row j needs the standardised coordinates up to j only, so the last row may be overwritten first.
        for j in (0..d).rev() {
            let (before, now) = x.split_at_mut(j * n);
            let l = &self.scale[row(j)..=row(j) + j];
            let now = &mut now[..n];
            now.iter_mut().for_each(|x| *x = self.location[j] + l[j] * *x);
            for (k, l) in l[..j].iter().enumerate() {
                for (x, z) in now.iter_mut().zip(&before[k * n..]) {
                    *x += l * z;
                }
            }
        }
    }
}
