//! A density written in Rust: Rosenbrock's banana, sampled like any model.

use std::error::Error;

use thalweg::density::{Gradient, LogDensity};
use thalweg::diagnostics::summary::summarize;
use thalweg::mcmc::config::{Control, Nuts};
use thalweg::mcmc::init::Init;

/// x ~ normal(0, 1), y ~ normal(x^2, 0.5)
struct Banana;

impl LogDensity for Banana {
    fn dim(&self) -> usize {
        2
    }
    fn logp(&self, p: &[f64], _: &mut [f64]) -> f64 {
        -0.5 * p[0] * p[0] - 2.0 * (p[1] - p[0] * p[0]).powi(2)
    }
}

impl Gradient for Banana {
    fn logp_grad(&self, p: &[f64], g: &mut [f64], ws: &mut [f64]) -> f64 {
        let r = p[1] - p[0] * p[0];
        (g[0], g[1]) = (-p[0] + 8.0 * r * p[0], -4.0 * r);
        self.logp(p, ws)
    }
}

/// Samples and prints.
pub fn main() -> Result<(), Box<dyn Error>> {
    let nuts = Nuts { seed: 1, target_accept: 0.9, ..Nuts::default() };
    let samples = nuts.sample(&Banana, &Init::default(), &Control::default())?;
    for (j, name) in ["x", "y"].into_iter().enumerate() {
        let columns: Vec<Vec<f64>> = samples.draws.iter().map(|d| d.coordinate(j)).collect();
        let chains: Vec<&[f64]> = columns.iter().map(|c| &c[..]).collect();
        let s = summarize(&chains, &[0.05, 0.95]);
        println!("{name}: mean {:.2} (MCSE {:.2}), sd {:.2}, R-hat {:.3}", s.mean, s.mcse_mean, s.sd, s.rhat);
        assert!(s.rhat < 1.05, "the chains disagree");
    }
    Ok(())
}
