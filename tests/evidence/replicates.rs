//! What the tests of evidence share: records over replicates, and a target with its proposals.

use std::f64::consts::PI;
use thalweg::base::rng::Stream;
use thalweg::density::Proposal;
use thalweg::evidence::estimate::Estimate;
use thalweg::evidence::mixture::Mixture;
use thalweg::evidence::student::StudentT;
use thalweg::evidence::weights::at;
use thalweg::guide::Start;
use thalweg::testing::targets::DiagNormal;
use thalweg::testing::transport::{Affine, Pushed};

pub const REPLICATES: usize = 64;

/// Two-sided 1e-6 threshold of Student's t with 63 degrees of freedom.
pub const T_THRESHOLD: f64 = 5.4;

/// Quantiles 5e-7 and 1 - 5e-7 of the mean of 64 squared standard normals (chi-squared, 64 degrees of freedom, over 64).
pub const MEAN_SQUARE: (f64, f64) = (0.356, 2.12);

/// P(fewer than 49 of 64 intervals of 95 % hold the truth) < 1e-6.
pub const COVERED: usize = 49;

/// What an estimator does over independent replicates.
#[derive(Debug)]
pub struct Record {
    /// t statistic of its mean.
    pub t: f64,
    /// Root mean square of its errors in units of those it states.
    pub rms_z: f64,
    /// Intervals of +- 1.96 stated errors that hold the truth.
    pub covered: usize,
}

impl Record {
    pub fn new(truth: f64, estimator: impl Fn(u64) -> Estimate) -> Record {
        let all: Vec<Estimate> = (0..REPLICATES as u64).map(estimator).collect();
        let n = REPLICATES as f64;
        // On the scale of Z / truth, where importance sampling has no bias.
        let ratio: Vec<f64> = all.iter().map(|e| (e.value - truth).exp_m1()).collect();
        let mean = ratio.iter().sum::<f64>() / n;
        let var = ratio.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let z: Vec<f64> = all.iter().map(|e| (e.value - truth) / e.mcse).collect();
        Record {
            t: mean / (var / n).sqrt(),
            rms_z: (z.iter().map(|z| z * z).sum::<f64>() / n).sqrt(),
            covered: z.iter().filter(|z| z.abs() < 1.96).count(),
        }
    }

    pub fn mean_is_right(&self) -> bool {
        self.t.abs() < T_THRESHOLD
    }

    pub fn errors_are_right(&self) -> bool {
        let square = self.rms_z * self.rms_z;
        (MEAN_SQUARE.0..MEAN_SQUARE.1).contains(&square) && self.covered >= COVERED
    }

    pub fn check(&self, name: &str) {
        println!("{name}: {self:?}");
        assert!(self.mean_is_right() && self.errors_are_right(), "{name}: {self:?}");
    }
}

/// Five normals of different scales, and proposals that are not quite right.
pub struct Normals {
    pub target: DiagNormal,
    pub log_z: f64,
    pub flow: Pushed<Affine>,
    pub safe: StudentT,
}

impl Normals {
    pub fn new() -> Normals {
        let sd = [0.1, 0.3, 1.0, 3.0, 10.0];
        let log_z = sd.iter().map(|s| f64::ln(*s) + 0.5 * (2.0 * PI).ln()).sum();
        let shift: Vec<f64> = sd.iter().map(|s| 0.3 * s).collect();
        let factor = (0..25).map(|k| if k % 6 == 0 { 0.9 * sd[k / 6] } else { 0.0 }).collect();
        let start = Start { location: shift.clone(), factor };
        Normals {
            target: DiagNormal::new(sd.to_vec()),
            log_z,
            flow: Pushed(Affine::diagonal(shift.clone(), &sd.map(|s| 0.9 * s))),
            safe: StudentT::around(&start).unwrap(),
        }
    }

    pub fn mixture(&self) -> Mixture<'_> {
        Mixture::defensive(&self.flow, &self.safe).unwrap()
    }

    /// Chains of exact law and autocorrelation `rho` per draw: x' = rho x + sqrt(1 - rho^2) sd z.
    pub fn chains(&self, seed: u64, chains: usize, draws: usize, rho: f64) -> Vec<Vec<f64>> {
        let chain = |c: usize| {
            let mut rng = Stream::new(seed, "autoregression", c as u64);
            let mut x: Vec<f64> = self.target.sd().iter().map(|s| s * rng.normal()).collect();
            let mut out = Vec::with_capacity(5 * draws);
            for _ in 0..draws {
                for (x, s) in x.iter_mut().zip(self.target.sd()) {
                    *x = rho * *x + (1.0 - rho * rho).sqrt() * s * rng.normal();
                }
                out.extend_from_slice(&x);
            }
            out
        };
        (0..chains).map(chain).collect()
    }

    pub fn posterior_weights(&self, q: &dyn Proposal, seed: u64, draws: usize, rho: f64) -> Vec<Vec<f64>> {
        self.chains(seed, 4, draws, rho).iter().map(|c| at(&self.target, q, c).unwrap()).collect()
    }
}

/// Mean and Cholesky factor of the covariance of draws in ten coordinates.
pub fn moments(draws: &[f64]) -> Start {
    let n = (draws.len() / 10) as f64;
    let mean: Vec<f64> = (0..10).map(|j| draws.iter().skip(j).step_by(10).sum::<f64>() / n).collect();
    let product = |i: usize, j: usize| draws.chunks_exact(10).map(|x| (x[i] - mean[i]) * (x[j] - mean[j])).sum::<f64>();
    let covariance: Vec<f64> = (0..100).map(|k| product(k / 10, k % 10) / (n - 1.0)).collect();
    Start::from_covariance(mean, &covariance).unwrap()
}
