//! Variational inference on targets with known answers.

use std::f64::consts::PI;
use std::sync::Arc;

use super::*;
use crate::base::stats::{mean, variance};
use crate::density::{Gradient, LogDensity};
use crate::guide::{Base, Family, Guide, Scale, Start};

/// log p = LOG_Z + log N(x; m, L Lᵀ) in two dimensions.
struct Normal;

const LOG_Z: f64 = -3.25;
const M: [f64; 2] = [1.0, -2.0];
const L: [f64; 4] = [2.0, 0.0, 0.6, 0.5];

impl LogDensity for Normal {
    fn dim(&self) -> usize {
        2
    }
    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        let u = (x[0] - M[0]) / L[0];
        let v = (x[1] - M[1] - L[2] * u) / L[3];
        LOG_Z - 0.5 * (u * u + v * v) - (2.0 * PI * L[0] * L[3]).ln()
    }
}

impl Gradient for Normal {
    fn logp_grad(&self, x: &[f64], g: &mut [f64], ws: &mut [f64]) -> f64 {
        let u = (x[0] - M[0]) / L[0];
        let v = (x[1] - M[1] - L[2] * u) / L[3];
        (g[0], g[1]) = (-(u - v * L[2] / L[3]) / L[0], -v / L[3]);
        self.logp(x, ws)
    }
}

/// Skewed: x0 standard normal, x1 | x0 normal(x0², e^(x0 / 2)); normalised.
struct Bent;

impl LogDensity for Bent {
    fn dim(&self) -> usize {
        2
    }
    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        let r = (x[1] - x[0] * x[0]) * (-0.5 * x[0]).exp();
        -0.5 * (x[0] * x[0] + r * r + x[0]) - (2.0 * PI).ln()
    }
}

impl Gradient for Bent {
    fn logp_grad(&self, x: &[f64], g: &mut [f64], ws: &mut [f64]) -> f64 {
        let e = (-0.5 * x[0]).exp();
        let r = (x[1] - x[0] * x[0]) * e;
        g[0] = -x[0] + r * (2.0 * x[0] * e + 0.5 * r) - 0.5;
        g[1] = -r * e;
        self.logp(x, ws)
    }
}

fn family(nonlinear: Option<&str>, scale: Scale) -> Arc<Family> {
    Arc::new(Family::new(2, Base::Normal, nonlinear, scale).unwrap())
}

fn exact() -> Start {
    Start { location: M.to_vec(), factor: L.to_vec() }
}

const ALL: [Objective; 4] = [
    Objective::Elbo(Estimator::Full),
    Objective::Elbo(Estimator::Path),
    Objective::Iwae { k: 5, estimator: Estimator::Full },
    Objective::Iwae { k: 5, estimator: Estimator::Path },
];

#[test]
fn the_exact_posterior_has_equal_weights_and_no_path_gradient() {
    let family = family(None, Scale::Full);
    let theta = family.initial(&exact(), 1);
    for objective in ALL {
        let mut engine: Engine<'_, _> = Engine::new(&Normal, family.clone(), objective, 64);
        for w in engine.log_weights(&theta, 2, "test", 0, 2) {
            assert!((w - LOG_Z).abs() < 1e-10, "{objective:?} {w}");
        }
        if objective.estimator() == Estimator::Path {
            let (_, gradient) = engine.gradient(&theta, 2, 0).unwrap();
            assert!(gradient.iter().all(|g| g.abs() < 1e-10), "{objective:?} {gradient:?}");
        }
    }
}

/// Means of the gradients of `reps` steps, and their standard errors, away from the posterior and with a flow.
fn gradients(objective: Objective, reps: usize, seed: u64, spoil: impl Fn(&mut [f64])) -> Vec<(f64, f64)> {
    let family = family(Some("realnvp(2, hidden=[3])"), Scale::Full);
    let mut theta = family.initial(&Start::isotropic(vec![0.3, 0.2], 0.8), 1);
    theta.iter_mut().enumerate().for_each(|(k, t)| *t += 0.1 * (k as f64).sin());
    let mut engine: Engine<'_, _> = Engine::new(&Bent, family, objective, 320);
    let mut each = vec![vec![]; theta.len()];
    for r in 0..reps {
        let (_, g) = engine.gradient(&theta, seed, r).unwrap();
        let mut g = g.to_vec();
        spoil(&mut g);
        each.iter_mut().zip(g).for_each(|(e, g)| e.push(g));
    }
    each.iter().map(|e| (mean(e), (variance(e) / reps as f64).sqrt())).collect()
}

/// Largest |z| of the difference of two means, over all parameters.
fn worst(a: &[(f64, f64)], b: &[(f64, f64)]) -> f64 {
    let z = |(a, b): (&(f64, f64), &(f64, f64))| (a.0 - b.0).abs() / (a.1.powi(2) + b.1.powi(2)).sqrt().max(1e-12);
    a.iter().zip(b).map(z).fold(0.0, f64::max)
}

/// Replicates: 128 steps of each estimator, a t test per parameter. With about 250 degrees of freedom |z| > 5.4 has
/// probability below 2e-7; there are fewer than 50 parameters, so a false alarm below 1e-5 per pair.
#[test]
fn estimators_have_the_same_mean() {
    const LIMIT: f64 = 5.4;
    let same = |_: &mut [f64]| {};
    for pair in ALL.chunks_exact(2) {
        let full = gradients(pair[0], 128, 3, same);
        let path = gradients(pair[1], 128, 4, same);
        assert!(worst(&full, &path) < LIMIT, "{:?}: {}", pair[0], worst(&full, &path));
        // Mutants: a factor too much, a wrong sign, another objective's gradient.
        let doubled = gradients(pair[1], 128, 4, |g| g.iter_mut().for_each(|x| *x *= 1.5));
        let negative = gradients(pair[1], 128, 4, |g| g.iter_mut().for_each(|x| *x = -*x));
        assert!(worst(&full, &doubled) > LIMIT && worst(&full, &negative) > LIMIT);
    }
    let elbo = gradients(ALL[0], 128, 3, same);
    let iwae = gradients(ALL[3], 128, 4, same);
    assert!(worst(&elbo, &iwae) > LIMIT, "weights of IWAE left out");
}

/// Rounding: 24 bits through a few layers, against derivatives of the size of the largest.
#[test]
fn steps_in_single_precision_are_those_in_double_but_for_rounding() {
    let family = family(Some("realnvp(2, hidden=[6])"), Scale::Full);
    let mut theta = family.initial(&Start::isotropic(vec![0.3, 0.2], 0.8), 1);
    theta.iter_mut().enumerate().for_each(|(k, t)| *t += 0.1 * (k as f64).sin());
    for objective in ALL {
        // Whole tasks in both precisions.
        let draws = if objective.particles() == 1 { 320 } else { 350 };
        let mut engine: Engine<'_, _> = Engine::new(&Bent, family.clone(), objective, draws);
        let (bound, gradient) = engine.gradient(&theta, 2, 3).unwrap();
        let double = gradient.to_vec();
        let mut engine: Engine<'_, _, f32> = Engine::new(&Bent, family.clone(), objective, draws);
        let rounded: Vec<f32> = theta.iter().map(|t| *t as f32).collect();
        let (in_single, gradient) = engine.gradient(&rounded, 2, 3).unwrap();
        let single: Vec<f64> = gradient.iter().map(|g| f64::from(*g)).collect();
        let bounds = [bound, in_single];
        assert!((bounds[0] - bounds[1]).abs() < 1e-4 * bounds[0].abs(), "{objective:?} {bounds:?}");
        let largest = double.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        let off = double.iter().zip(&single).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-4 * largest && off > 0.0, "{objective:?}: {off:e} of {largest:e}");
    }
}

#[test]
fn training_finds_the_normal() {
    let family = family(None, Scale::Full);
    let settings = Settings::of(&family, 5);
    let start = family.initial(&Start::isotropic(vec![0.0, 0.0], 1.0), 5);
    let trained = train(&Normal, &family, start, &settings, &Control::default()).unwrap();
    // Path gradients vanish at the optimum, so training ends at it but for the last learning rate.
    assert!((trained.bound.value - LOG_Z).abs() < 1e-3, "{:?}", trained.bound);
}

#[test]
fn a_flow_bends_further_than_a_normal() {
    let bound = |nonlinear: Option<&str>| {
        let family = family(nonlinear, Scale::Full);
        let settings = Settings { steps: 1500, ..Settings::of(&family, 6) };
        let start = family.initial(&Start::isotropic(vec![0.0, 0.0], 1.0), 6);
        train(&Bent, &family, start, &settings, &Control::default()).unwrap().bound
    };
    let (normal, flow) = (bound(None), bound(Some("realnvp(4, hidden=[8])")));
    assert!(flow.value > normal.value + 0.3 && flow.value > -0.1 && flow.value < 5.0 * flow.se, "{normal:?} {flow:?}");
}

#[test]
fn resumed_training_has_the_same_bits() {
    let family = family(Some("realnvp(2, hidden=[4])"), Scale::Diagonal);
    let settings = Settings { steps: 160, ..Settings::of(&family, 7) };
    let start = family.initial(&Start::isotropic(vec![0.0, 0.0], 1.0), 7);
    let straight = train(&Bent, &family, start.clone(), &settings, &Control::default()).unwrap();
    let stored = std::sync::Mutex::new(None);
    let keep = |s: &State| {
        stored.lock().unwrap().get_or_insert_with(|| serde_json::to_string(s).unwrap());
    };
    train(&Bent, &family, start.clone(), &settings, &Control { progress: Some(&keep), ..Control::default() }).unwrap();
    let state: State = serde_json::from_str(stored.lock().unwrap().as_ref().unwrap()).unwrap();
    assert!(state.step < 160);
    let resumed =
        train(&Bent, &family, start, &settings, &Control { resume: Some(state), ..Control::default() }).unwrap();
    let bits = |g: &Guide| g.theta.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&straight.guide), bits(&resumed.guide));
}

#[test]
fn pathfinder_finds_the_normal() {
    let found = crate::guide::pathfinder::Pathfinder { seed: 8, ..Default::default() }.run(&Normal);
    let best = &found[0];
    // Curvature estimates of L-BFGS are exact on a quadratic only in the limit.
    assert!(best.elbo > LOG_Z - 0.3 && best.start.location.iter().zip(M).all(|(a, b)| (a - b).abs() < 0.3), "{best:?}");
}
