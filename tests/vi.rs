//! Variational inference from the outside: estimators against exact gradients, training that is interrupted, that meets
//! numbers that are not finite, that runs on any number of threads; refinement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use thalweg::base::rng::Stream;
use thalweg::base::stats::{mean, variance};
use thalweg::density::{Gradient, LogDensity};
use thalweg::guide::{Base, Batch, Drawn, Draws, Family, Guide, Scale, Start};
use thalweg::testing::targets::{Banana, DenseNormal, DiagNormal, Exact};
use thalweg::vi::{
    Control, Engine, Estimator, Objective, Refine, RefineError, Settings, State, TrainError, refine, train,
};

fn family(dim: usize, nonlinear: Option<&str>, scale: Scale) -> Arc<Family> {
    Arc::new(Family::new(dim, Base::Normal, nonlinear, scale).unwrap())
}

fn off_centre() -> Start {
    Start { location: vec![0.7, -0.4], factor: vec![1.5, 0.0, 0.4, 0.6] }
}

fn bits(theta: &[f64]) -> Vec<u64> {
    theta.iter().map(|x| x.to_bits()).collect()
}

fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// Gradient of the ELBO of N(m, L Lᵀ) against N(0, I): E log p = −(|m|² + |L|²) / 2, entropy Σ log L_ii.
fn exact_gradient(family: &Family, theta: &[f64]) -> Vec<f64> {
    let (mut out, start) = (vec![0.0; theta.len()], family.affine(theta));
    for s in family.flow.segments() {
        let at = s.start..s.start + s.count();
        match s.name.rsplit('/').next() {
            Some("shift") => at.clone().for_each(|k| out[k] = -theta[k]),
            Some("log_scale") => at.clone().enumerate().for_each(|(i, k)| out[k] = 1.0 - start.factor[3 * i].powi(2)),
            _ => at.clone().for_each(|k| out[k] = -theta[k]),
        }
    }
    out
}

/// Largest |t| of replicates against `truth` over all parameters. With 255 degrees of freedom and 5 parameters
/// |t| > 5.4 has probability below 1e-6; all asserts of this file together stay below 1e-5.
fn worst_t(replicates: &[Vec<f64>], truth: &[f64]) -> f64 {
    let t = |(k, truth): (usize, &f64)| {
        let column: Vec<f64> = replicates.iter().map(|r| r[k]).collect();
        (mean(&column) - truth).abs() / (variance(&column) / column.len() as f64).sqrt().max(1e-12)
    };
    truth.iter().enumerate().map(t).fold(0.0, f64::max)
}

const LIMIT: f64 = 5.4;
const REPLICATES: usize = 256;

#[test]
fn elbo_estimators_have_the_exact_gradient_as_their_mean() {
    let (target, family) = (DiagNormal::standard(2), family(2, None, Scale::Full));
    let theta = family.initial(&off_centre(), 1);
    let truth = exact_gradient(&family, &theta);
    for estimator in [Estimator::Full, Estimator::Path] {
        let mut engine = Engine::new(&target, family.clone(), Objective::Elbo(estimator), 64);
        let each: Vec<Vec<f64>> = (0..REPLICATES).map(|r| engine.gradient(&theta, 11, r).unwrap().1.to_vec()).collect();
        let t = worst_t(&each, &truth);
        assert!(t < LIMIT, "{estimator:?}: |t| = {t}, limit {LIMIT}, seed 11, {REPLICATES} replicates");
    }
}

/// Draws with log q and its score by way of the inverse, and gradients in full for given cotangents.
struct Ways {
    batch: Batch,
    draws: Draws<f64>,
    x: Vec<f64>,
    log_q: Vec<f64>,
    score: Vec<f64>,
    kept: Vec<f64>,
    ws: Vec<f64>,
}

impl Ways {
    fn new(family: &Arc<Family>, n: usize) -> Ways {
        let (batch, draws) = (Batch::new(family.clone(), n), Draws::new(family, n, false));
        let zeros = vec![0.0; n * family.dim()];
        Ways { batch, draws, x: zeros.clone(), log_q: vec![0.0; n], score: zeros, kept: vec![], ws: vec![] }
    }

    fn draw(&mut self, theta: &[f64], u: &[f64]) {
        let to = Drawn { x: &mut self.x, log_q: &mut self.log_q, score: &mut self.score, kept: &mut self.kept };
        self.draws.draw(theta, u, to, &mut self.ws);
        self.batch.score(theta, &self.x, &mut self.log_q, &mut self.score, &mut self.ws);
    }

    fn back(&mut self, theta: &[f64], u: &[f64], x_bar: &[f64], log_q_bar: f64) -> Vec<f64> {
        let mut out = vec![0.0; theta.len()];
        let bars = [x_bar, &vec![log_q_bar; self.log_q.len()]];
        self.draws.back(theta, u, bars, &self.kept, &mut out, &mut self.ws);
        out
    }
}

/// Gradients of the path estimator with its cotangents spoiled: what the test above would see of real faults.
fn spoiled(p_factor: f64, q_factor: f64, log_q_bar: f64) -> Vec<Vec<f64>> {
    let (target, family, n) = (DiagNormal::standard(2), family(2, None, Scale::Full), 64);
    let theta = family.initial(&off_centre(), 1);
    let mut ways = Ways::new(&family, n);
    let replicate = |r: usize| {
        let (mut u, mut x_bar) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
        Stream::new(11, "spoiled", r as u64).fill_normal(&mut u);
        ways.draw(&theta, &u);
        for (i, point) in ways.x.chunks_exact(2).enumerate() {
            let at = 2 * i..2 * i + 2;
            target.logp_grad(point, &mut x_bar[at.clone()], &mut []);
            x_bar[at.clone()].iter_mut().zip(&ways.score[at]).for_each(|(p, q)| *p = p_factor * *p - q_factor * q);
        }
        let out = ways.back(&theta, &u, &x_bar, log_q_bar);
        out.iter().map(|g| g / n as f64).collect()
    };
    (0..REPLICATES).map(replicate).collect()
}

#[test]
fn wrong_estimators_are_seen() {
    let family = family(2, None, Scale::Full);
    let truth = exact_gradient(&family, &family.initial(&off_centre(), 1));
    assert!(worst_t(&spoiled(1.0, 1.0, 0.0), &truth) < LIMIT, "the second way to the same number");
    assert!(worst_t(&spoiled(1.0, 0.0, -1.0), &truth) < LIMIT, "the full gradient in this form");
    for (what, p, q, bar) in [
        ("parameters inside log q not stopped", 1.0, 1.0, -1.0),
        ("log q left out", 1.0, 0.0, 0.0),
        ("sign of log q", 1.0, -1.0, 0.0),
        ("a factor of log p", 1.1, 1.0, 0.0),
        ("sign of the entropy", 1.0, 0.0, 1.0),
    ] {
        let t = worst_t(&spoiled(p, q, bar), &truth);
        assert!(t > LIMIT, "{what}: |t| = {t}");
    }
}

/// DReG weighs draws by the squares of their shares; with the shares alone (the mutant) the mean differs.
#[test]
fn squared_weights_of_dreg_matter() {
    let (target, family) = (DiagNormal::standard(2), family(2, None, Scale::Full));
    let theta = family.initial(&off_centre(), 1);
    let gradients = |k, estimator, seed| {
        let mut engine = Engine::new(&target, family.clone(), Objective::Iwae { k, estimator }, 512);
        let one = |r| engine.gradient(&theta, seed, r).unwrap().1.to_vec();
        (0..REPLICATES).map(one).collect::<Vec<_>>()
    };
    let (plain, dreg) = (gradients(8, Estimator::Full, 21), gradients(8, Estimator::Path, 22));
    let difference: Vec<Vec<f64>> =
        plain.iter().zip(&dreg).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a - b).collect()).collect();
    let zero = vec![0.0; theta.len()];
    assert!(worst_t(&difference, &zero) < LIMIT, "plain and doubly reparametrised: {}", worst_t(&difference, &zero));
    // One draw: the bound is the ELBO, whose gradient is known.
    let truth = exact_gradient(&family, &theta);
    assert!(worst_t(&gradients(1, Estimator::Path, 23), &truth) < LIMIT);
    assert!(worst_t(&dreg, &truth) > LIMIT, "eight draws are not one");
    // The mutant: shares in place of their squares, which is what stopping the parameters alone would give.
    let against = |power| {
        let mut ways = Ways::new(&family, 512);
        let pair = |(r, a): (usize, &Vec<f64>)| {
            let b = dreg_with_power(&mut ways, &theta, r, power);
            a.iter().zip(b).map(|(a, b)| a - b).collect()
        };
        worst_t(&plain.iter().enumerate().map(pair).collect::<Vec<_>>(), &zero)
    };
    assert!(against(2) < LIMIT, "the second way to the same number");
    assert!(against(1) > LIMIT, "the factor of each draw");
}

/// The doubly reparametrised gradient of the bound of 8 draws, written once more, with a power of the shares to choose.
fn dreg_with_power(ways: &mut Ways, theta: &[f64], r: usize, power: i32) -> Vec<f64> {
    let (n, k, target) = (ways.log_q.len(), 8, DiagNormal::standard(2));
    let (mut u, mut x_bar) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
    Stream::new(31, "dreg", r as u64).fill_normal(&mut u);
    ways.draw(theta, &u);
    let (x, log_q, score) = (&ways.x, &ways.log_q, &ways.score);
    for group in 0..n / k {
        let weight = |i: usize| (target.logp(&x[2 * i..2 * i + 2], &mut []) - log_q[i]).exp();
        let total: f64 = (group * k..(group + 1) * k).map(weight).sum();
        for i in group * k..(group + 1) * k {
            let share = (weight(i) / total).powi(power);
            // ∇log p = −x for the standard normal.
            (2 * i..2 * i + 2).for_each(|j| x_bar[j] = share * (-x[j] - score[j]));
        }
    }
    let out = ways.back(theta, &u, &x_bar, 0.0);
    out.iter().map(|g| g * k as f64 / n as f64).collect()
}

/// Where log p is constant, the gradient of the ELBO is that of the entropy: 1 for every log-scale, 0 elsewhere, without
/// any noise. So the full gradient of affine families has the entropy in closed form.
struct Flat;

impl LogDensity for Flat {
    fn dim(&self) -> usize {
        3
    }
    fn logp(&self, _: &[f64], _: &mut [f64]) -> f64 {
        0.0
    }
}

impl Gradient for Flat {
    fn logp_grad(&self, _: &[f64], g: &mut [f64], _: &mut [f64]) -> f64 {
        g.fill(0.0);
        0.0
    }
}

#[test]
fn the_entropy_of_affine_families_has_no_noise() {
    for scale in [Scale::Diagonal, Scale::Full] {
        let family = family(3, None, scale);
        let theta = family.initial(&Start::isotropic(vec![0.3; 3], 2.0), 1);
        let mut engine = Engine::new(&Flat, family.clone(), Objective::Elbo(Estimator::Full), 64);
        let (_, gradient) = engine.gradient(&theta, 1, 0).unwrap();
        for s in family.flow.segments() {
            let expected = if s.name.ends_with("log_scale") { 1.0 } else { 0.0 };
            assert!(gradient[s.start..s.start + s.count()].iter().all(|g| (g - expected).abs() < 1e-12), "{}", s.name);
        }
    }
}

#[test]
fn training_has_the_same_bits_for_any_number_of_threads() {
    let target = Banana { curvature: 0.5, width: 0.7 };
    let family = family(2, Some("realnvp(2, hidden=[4])"), Scale::Full);
    let settings = Settings { steps: 60, ..Settings::of(&family, 3) };
    let theta = family.initial(&off_centre(), 3);
    let run = |threads| {
        let t = on_threads(threads, || train(&target, &family, theta.clone(), &settings, &Control::default()).unwrap());
        (bits(&t.guide.theta), t.bound.value.to_bits(), t.state)
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_cancelled_training_goes_on_to_the_same_bits() {
    let target = Banana { curvature: 0.5, width: 0.7 };
    let family = family(2, None, Scale::Full);
    let settings = Settings { steps: 400, ..Settings::of(&family, 5) };
    let theta = family.initial(&off_centre(), 5);
    let straight = train(&target, &family, theta.clone(), &settings, &Control::default()).unwrap();
    let (cancel, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    let progress = |_: &State| {
        if looks.fetch_add(1, Ordering::Relaxed) == 1 {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let control = Control { progress: Some(&progress), cancel: Some(&cancel), resume: None };
    let stopped = train(&target, &family, theta.clone(), &settings, &control).unwrap();
    assert!(stopped.state.step < straight.state.step, "{} {}", stopped.state.step, straight.state.step);
    let text = serde_json::to_string(&stopped.state).unwrap();
    let resume = Some(serde_json::from_str(&text).unwrap());
    let resumed = train(&target, &family, theta, &settings, &Control { resume, ..Control::default() }).unwrap();
    assert_eq!(resumed.state, straight.state);
    assert_eq!(bits(&resumed.guide.theta), bits(&straight.guide.theta));
}

#[test]
fn a_state_of_another_family_is_refused() {
    let target = DiagNormal::standard(2);
    let (small, large) = (family(2, None, Scale::Diagonal), family(2, None, Scale::Full));
    let settings = Settings { steps: 5, rate: Some(0.01), ..Settings::of(&small, 1) };
    let start = |f: &Family| f.initial(&off_centre(), 1);
    let state = train(&target, &small, start(&small), &settings, &Control::default()).unwrap().state;
    let control = Control { resume: Some(state), ..Control::default() };
    let refused = train(&target, &large, start(&large), &settings, &control).err().unwrap().to_string();
    assert!(refused.contains("has 4 parameters, `affine(full)` has 5"), "{refused}");
}

/// Standard normal whose log density is NaN beyond a limit in the first coordinate.
struct Broken {
    limit: f64,
}

impl LogDensity for Broken {
    fn dim(&self) -> usize {
        2
    }
    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        if x[0] > self.limit { f64::NAN } else { -0.5 * (x[0] * x[0] + x[1] * x[1]) }
    }
}

impl Gradient for Broken {
    fn logp_grad(&self, x: &[f64], g: &mut [f64], ws: &mut [f64]) -> f64 {
        (g[0], g[1]) = (-x[0], -x[1]);
        self.logp(x, ws)
    }
}

#[test]
fn steps_that_are_not_finite_are_left_out_and_traced() {
    let family = family(2, None, Scale::Diagonal);
    let settings = Settings { steps: 300, rate: Some(0.01), ..Settings::of(&family, 6) };
    let theta = family.initial(&Start::isotropic(vec![0.0; 2], 1.0), 6);
    // P(x > 3.5) = 2.3e-4, 64 draws a step: about four steps in 300.
    let t = train(&Broken { limit: 3.5 }, &family, theta.clone(), &settings, &Control::default()).unwrap();
    assert!(t.state.skipped > 0 && t.state.skipped < 60, "{}", t.state.skipped);
    assert!(t.guide.theta.iter().all(|x| x.is_finite()));
    let trouble = &t.state.troubles[0];
    assert_eq!((trouble.quantity.as_str(), trouble.value.as_str()), ("log p", "NaN"));
    assert!(trouble.point[0] > 3.5 && trouble.draw < 64, "{trouble:?}");
    // Nothing but NaN: the error says which quantity, where, and what to do.
    let failed = train(&Broken { limit: f64::NEG_INFINITY }, &family, theta, &settings, &Control::default());
    let Err(TrainError::NotFinite(trouble, _)) = &failed else { panic!("no error") };
    assert_eq!(trouble.quantity, "log p");
    assert!(failed.err().unwrap().to_string().contains("log p is NaN"));
}

fn draws(target: &impl Exact, n: usize, seed: u64, shift: f64) -> Vec<f64> {
    let mut rng = Stream::new(seed, "draws", 0);
    let mut out = vec![0.0; n * target.dim()];
    out.chunks_exact_mut(target.dim()).for_each(|x| target.draw(&mut rng, x));
    out.iter_mut().for_each(|x| *x += shift);
    out
}

#[test]
fn refinement_closes_the_gap_to_the_draws() {
    let target = DenseNormal::equicorrelated(2, 0.9).unwrap();
    let family = family(2, None, Scale::Full);
    let guide = Guide::new(family.clone(), family.initial(&Start::isotropic(vec![0.5, 0.0], 1.5), 1));
    let (fit, fresh) = (draws(&target, 2000, 1, 0.0), draws(&target, 2000, 2, 0.0));
    let settings = Refine { rate: 0.02, ..Refine::default() };
    let refined = refine(&guide, &fit, &fresh, &settings).unwrap();
    // KL(p ‖ q) before: 2 log 1.5 − log(1 − 0.81) / 2 − 1 + (2 + 0.25) / (2 · 1.5²) = 1.1413, all of which is to be gained
    // up to the error of fitting 5 parameters to 1600 draws (5 / 3200) and of stopping (below 0.01).
    let gap = 2.0 * 1.5f64.ln() - 0.5 * 0.19f64.ln() - 1.0 + 2.25 / 4.5;
    assert!(refined.kept && refined.skipped == 0);
    // A normal statistic: two-sided false alarm 1e-6 at 4.9 standard errors.
    assert!((refined.gain.value - gap).abs() < 4.9 * refined.gain.se + 0.02, "{:?} {gap}", refined.gain);
    let again = on_threads(3, || refine(&guide, &fit, &fresh, &settings).unwrap());
    assert_eq!(bits(&again.guide.theta), bits(&refined.guide.theta));
}

#[test]
fn a_refinement_that_is_no_better_is_not_kept() {
    let target = DiagNormal::standard(2);
    let family = family(2, None, Scale::Diagonal);
    let guide = Guide::new(family.clone(), family.initial(&Start::isotropic(vec![0.0; 2], 1.0), 1));
    // Draws from elsewhere pull the guide away from the draws that judge it.
    let (elsewhere, fresh) = (draws(&target, 500, 3, 2.0), draws(&target, 500, 4, 0.0));
    let refined = refine(&guide, &elsewhere, &fresh, &Refine { rate: 0.05, ..Refine::default() }).unwrap();
    assert!(!refined.kept && refined.gain.value < -1.0, "{:?}", refined.gain);
    assert_eq!(bits(&refined.guide.theta), bits(&guide.theta));
    let still = refine(&guide, &fresh, &fresh, &Refine { steps: 0, ..Refine::default() }).unwrap();
    assert!(!still.kept && still.gain.value == 0.0);
}

#[test]
fn draws_that_cannot_refine_are_named() {
    let family = family(2, None, Scale::Diagonal);
    let guide = Guide::new(family.clone(), family.initial(&Start::isotropic(vec![0.0; 2], 1.0), 1));
    let (good, settings) = (vec![0.5; 40], Refine::default());
    let error = |fit: &[f64], fresh: &[f64]| refine(&guide, fit, fresh, &settings).err().unwrap();
    assert_eq!(error(&good[..39], &good), RefineError::Shape { found: 39, dim: 2 });
    assert_eq!(error(&good[..10], &good), RefineError::Few { what: "fitting", found: 5, least: 10 });
    assert!(matches!(error(&good, &good[..2]), RefineError::Few { what: "held-out", .. }));
    let mut bad = good.clone();
    bad[7] = f64::INFINITY;
    assert!(matches!(error(&good, &bad), RefineError::NotFinite { draw: 3, coordinate: 1, .. }));
}
