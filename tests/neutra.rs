//! Neural transport: NUTS behind flows that were trained for the target, against closed forms.

use std::sync::Arc;

use thalweg::density::{Gradient, Target, Transport};
use thalweg::diagnostics::{ess, rhat};
use thalweg::guide::{Base, Family, Guide, Start};
use thalweg::mcmc::config::{Control, Nuts};
use thalweg::mcmc::init::Init;
use thalweg::mcmc::pullback::{Pullback, Pushing};
use thalweg::mcmc::sink::Memory;
use thalweg::testing::invariance::normal_threshold;
use thalweg::testing::targets::Funnel;
use thalweg::vi::{Settings, rungs, train};

/// False-alarm rate of each statistical assertion.
const ALPHA: f64 = 1e-6;
/// P(v > 3) and P(v > 6) of Neal's funnel, where v ~ N(0, 3²).
const ABOVE_ONE_SD: f64 = 0.158_655_253_931_457_05;
const ABOVE_TWO_SD: f64 = 0.022_750_131_948_179_21;

/// Chains of v from NUTS through `map`, and the share of divergent draws.
fn through<T: Gradient + ?Sized>(target: &T, map: &impl Transport, nuts: &Nuts) -> (Vec<Vec<f64>>, f64) {
    let pullback = Pullback { target, map };
    let starts = pullback.starts(&[]);
    let mut sinks: Vec<_> = (0..nuts.chains).map(|_| Pushing::new(map, Memory::default())).collect();
    let init = Init::Draw { draw: &starts, tries: 10 };
    let chains = nuts.run(&pullback, &init, &mut sinks, &Control::default()).unwrap();
    let divergent: f64 = chains.iter().map(|c| c.divergent as f64).sum();
    let v = sinks.into_iter().map(|s| s.into_inner().coordinate(0)).collect();
    (v, divergent / (nuts.chains * nuts.draws) as f64)
}

/// The distance of P(v > `bound`) from `expected` in standard errors of the known variance.
fn z_above(chains: &[Vec<f64>], bound: f64, expected: f64) -> f64 {
    let above: Vec<Vec<f64>> =
        chains.iter().map(|c| c.iter().map(|v| f64::from(u8::from(*v > bound))).collect()).collect();
    let n: usize = above.iter().map(Vec::len).sum();
    let share = above.iter().flatten().sum::<f64>() / n as f64;
    (share - expected).abs() * (ess::mean(&views(&above)) / (expected * (1.0 - expected))).sqrt()
}

fn views(chains: &[Vec<f64>]) -> Vec<&[f64]> {
    chains.iter().map(Vec::as_slice).collect()
}

/// Whether both tail probabilities and R-hat are right; a NaN (no draw beyond the bound) is not.
fn is_right(v: &[Vec<f64>]) -> bool {
    let limit = normal_threshold(ALPHA);
    z_above(v, 3.0, ABOVE_ONE_SD) < limit && z_above(v, 6.0, ABOVE_TWO_SD) < limit && rhat::rhat(&views(v)) < 1.01
}

/// The first flow that the ladder trains for `target`, from a standard normal.
fn trained(target: &Funnel, seed: u64) -> Guide {
    let rung = rungs(target.dim, true).into_iter().find(|r| r.nonlinear.is_some()).unwrap();
    let family = Arc::new(Family::new(target.dim, Base::Normal, rung.nonlinear.as_deref(), rung.scale).unwrap());
    let theta = family.initial(&Start::isotropic(vec![0.0; target.dim], 1.0), seed);
    train(target, &family, theta, &Settings::of(&family, seed), &Default::default()).unwrap().guide
}

/// A map whose pullback is p(T(u)) alone: it says that its log-determinant is 0, and pulls gradients back to match.
struct NoLogDet<'a>(&'a Guide);

impl Transport for NoLogDet<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn scratch(&self) -> usize {
        Transport::scratch(self.0)
    }

    fn forward(&self, u: &[f64], x: &mut [f64], ws: &mut [f64]) -> f64 {
        self.0.forward(u, x, ws);
        0.0
    }

    fn inverse(&self, x: &[f64], u: &mut [f64], ws: &mut [f64]) -> f64 {
        self.0.inverse(x, u, ws)
    }

    fn pull(&self, u: &[f64], f: Target<'_>, gu: &mut [f64], ws: &mut [f64]) -> f64 {
        // The pull of 0 is the log-determinant and its gradient.
        let mut of_log_det = vec![0.0; u.len()];
        let mut zero = |_: &[f64], gx: &mut [f64]| {
            gx.fill(0.0);
            0.0
        };
        let log_det = self.0.pull(u, &mut zero, &mut of_log_det, ws);
        let whole = self.0.pull(u, f, gu, ws);
        gu.iter_mut().zip(&of_log_det).for_each(|(g, d)| *g -= d);
        whole - log_det
    }
}

#[test]
fn nuts_behind_a_trained_flow_finds_both_ends_of_a_funnel() {
    let target = Funnel { dim: 3 };
    let guide = trained(&target, 3);
    let nuts = Nuts { seed: 4, ..Nuts::default() };
    let (v, divergent) = through(&target, &guide, &nuts);
    let z = [z_above(&v, 3.0, ABOVE_ONE_SD), z_above(&v, 6.0, ABOVE_TWO_SD)];
    let r = rhat::rhat(&views(&v));
    assert!(is_right(&v), "z {z:?}, R-hat {r}");
    let bulk = ess::bulk(&views(&v));
    assert!(divergent < 0.01 && bulk > 1000.0, "{divergent} {bulk}");
    // A pullback that forgets log |det dT/du| is another law.
    let (wrong, _) = through(&target, &NoLogDet(&guide), &nuts);
    assert!(!is_right(&wrong), "the mutant survives");
}
