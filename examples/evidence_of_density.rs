//! The marginal likelihood of a density written in Rust: Rosenbrock's function in a box, integrated by flow importance sampling.
//!
//! `cargo run --release --example evidence_of_density [DIMENSION] [SEED]`

use std::error::Error;

use thalweg::density::{Gradient, LogDensity};
use thalweg::evidence::bridge::Draws;
use thalweg::evidence::run::{Posterior, Settings};
use thalweg::mcmc::config::{Control, Nuts};
use thalweg::mcmc::init::Init;
use thalweg::workflow::evidence::{estimate, refined, text};
use thalweg::workflow::ladder::{Options, fit};

/// log L = -sum_{i<d} (100 (x_{i+1} - x_i²)² + (1 - x_i)²) with x uniform on [-5, 5]^d, in coordinates y of R^d: x = 10 / (1 +
/// e^-y) - 5, so that the prior becomes the product of e^-y / (1 + e^-y)².
struct Rosenbrock(usize);

impl LogDensity for Rosenbrock {
    fn dim(&self) -> usize {
        self.0
    }
    fn logp(&self, y: &[f64], ws: &mut [f64]) -> f64 {
        self.logp_grad(y, &mut vec![0.0; self.0], ws)
    }
}

impl Gradient for Rosenbrock {
    fn logp_grad(&self, y: &[f64], g: &mut [f64], _: &mut [f64]) -> f64 {
        let share: Vec<f64> = y.iter().map(|y| 1.0 / (1.0 + (-y).exp())).collect();
        let x: Vec<f64> = share.iter().map(|s| 10.0 * s - 5.0).collect();
        g.fill(0.0);
        let mut logp = 0.0;
        for i in 0..self.0 - 1 {
            let (bend, off) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
            logp -= 100.0 * bend * bend + off * off;
            g[i] += 400.0 * bend * x[i] + 2.0 * off;
            g[i + 1] -= 200.0 * bend;
        }
        for ((g, s), y) in g.iter_mut().zip(&share).zip(y) {
            *g = *g * 10.0 * s * (1.0 - s) + 1.0 - 2.0 * s;
            // log s (1 - s), also where s rounds to 0 or 1.
            logp -= y.abs() + 2.0 * (-y.abs()).exp().ln_1p();
        }
        logp
    }
}

/// Fits a guide, draws, refines the guide on half of the draws, and integrates.
pub fn main() -> Result<(), Box<dyn Error>> {
    let number = |k: usize, default: u64| std::env::args().nth(k).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (dim, seed) = (number(1, 2) as usize, number(2, 1));
    let target = Rosenbrock(dim.max(2));
    let fitted = fit(&target, &Options { seed, ..Options::default() }, None)?;
    println!("{}", fitted.text());

    let nuts = Nuts { seed, draws: 10_000, target_accept: 0.95, ..Nuts::default() };
    let samples = nuts.sample(&target, &Init::default(), &Control::default())?;
    let chains: Vec<Vec<f64>> = samples.draws.iter().map(|d| d.positions().to_vec()).collect();
    let refined = refined(&fitted, &chains, seed);
    let (guide, draws) = match &refined {
        Some((guide, remark)) => {
            println!("{remark}");
            (guide, Draws::SecondHalf)
        }
        None => (&fitted.guide, Draws::All),
    };
    let settings = Settings { seed, particles: 1 << 14, ..Settings::default() };
    let found = estimate(&target, guide, Some(Posterior { chains: &chains, draws, fault: None }), &settings)?;
    let e = found.importance.estimate;
    println!(
        "importance sampling: log Z = {:.4} (MCSE {:.4}), ESS {:.0} of {}, k-hat {:.2}",
        e.value, e.mcse, e.ess, e.n, e.khat
    );
    println!("{}", text(&found));
    Ok(())
}
