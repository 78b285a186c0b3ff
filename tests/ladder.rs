//! The ladder: where a climb ends, which guide it keeps, and what it says when nothing holds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg::density::{Gradient, LogDensity};
use thalweg::diagnostics::psis::psis;
use thalweg::guide::{Base, Family, Start};
use thalweg::testing::targets::{Banana, DenseNormal, DiagNormal};
use thalweg::vi::{Climb, Engine, Estimator, Ladder, Objective, Report, Rung, climb, rungs};

/// A density that fails everywhere.
struct Failing {
    dim: usize,
}

impl LogDensity for Failing {
    fn dim(&self) -> usize {
        self.dim
    }
    fn logp(&self, _: &[f64], _: &mut [f64]) -> f64 {
        f64::NAN
    }
}

impl Gradient for Failing {
    fn logp_grad(&self, _: &[f64], g: &mut [f64], _: &mut [f64]) -> f64 {
        g.fill(0.0);
        f64::NAN
    }
}

fn ladder<'a>(khat: &'a (dyn Fn(&[f64]) -> f64 + Sync), start: Start, rungs: Vec<Rung>) -> Ladder<'a> {
    Ladder { asked: false, rungs, base: Base::Normal, particles: 1, start, khat, seed: 7, progress: None, cancel: None }
}

fn small() -> Vec<Rung> {
    let mut all = rungs(2, false);
    all[2].nonlinear = Some("realnvp(4, hidden=[8])".into());
    all.truncate(3);
    all
}

fn khat(w: &[f64]) -> f64 {
    psis(w).khat
}

#[test]
fn the_ladder_ends_where_the_guide_is_good() {
    // A correlation of 0.95: mean field misses half the variance, full rank is exact.
    let target = DenseNormal::equicorrelated(2, 0.95).unwrap();
    let seen = Mutex::new(vec![]);
    let progress = |r: &Report| seen.lock().unwrap().push(r.name.clone());
    let l = Ladder { progress: Some(&progress), ..ladder(&khat, Start::isotropic(vec![0.1; 2], 1.0), small()) };
    let c = climb(&target, &l).unwrap();
    let names: Vec<&str> = c.reports.iter().map(|r| r.name.as_str()).collect();
    assert!(names == ["mean field", "full rank"] && c.best == 1, "{:?}", c.reports);
    assert_eq!(*seen.lock().unwrap(), names);
    // log Z of exp(-x'P x / 2) is log 2π + log(1 − 0.95²) / 2; at the exact posterior every weight is near it.
    let log_z = (2.0 * std::f64::consts::PI).ln() + 0.5 * (1.0f64 - 0.95 * 0.95).ln();
    assert!((c.trained.bound.value - log_z).abs() < 1e-3, "{} {log_z}", c.trained.bound.value);
    assert!(c.reports[1].bound.value > c.reports[0].bound.value + 0.5);
    assert_eq!(c.log_weights.len(), 8192);
}

/// Independent normals for a correlation of 0.95: the best ELBO is log Z + log(1 − 0.95²) / 2, and the best bound of 32 draws is
/// that of wider normals. Each training has to win by its own bound. All differences are above 10 standard errors, so a false
/// alarm is out of the question; a ladder that forgets its particles fails both.
#[test]
fn the_ladder_raises_the_bound_it_is_given() {
    let target = DenseNormal::equicorrelated(2, 0.95).unwrap();
    let climbed = |particles| {
        let start = Start::isotropic(vec![0.1; 2], 1.0);
        climb(&target, &Ladder { particles, ..ladder(&khat, start, rungs(2, false)[..1].to_vec()) }).unwrap()
    };
    let (one, many) = (climbed(1), climbed(32));
    let half = 0.5 * (1.0f64 - 0.95 * 0.95).ln();
    let best = (2.0 * std::f64::consts::PI).ln() + 2.0 * half;
    let [a, b] = [&one, &many].map(|c| c.reports[0].bound);
    assert!((a.value - best).abs() < 5.0 * a.se && b.value < best - 10.0 * b.se, "{a:?} {b:?} {best}");
    let objective = Objective::Iwae { k: 32, estimator: Estimator::Path };
    let of = |c: &Climb| {
        let guide = &c.trained.guide;
        Engine::<_>::new(&target, guide.family.clone(), objective, 128).bound(&guide.theta, 1, "test", 0, 512)
    };
    let [a, b] = [&one, &many].map(of);
    assert!(b.value > a.value + 10.0 * a.se.hypot(b.se), "{a:?} {b:?}");
    // What is reported of it is the ELBO; what it was trained for is kept with it.
    assert!((many.trained.bound.value - b.value).abs() < 5.0 * many.trained.bound.se.hypot(b.se));
}

#[test]
fn the_ladder_climbs_to_a_flow_where_normals_fail() {
    let target = Banana { curvature: 1.0, width: 0.5 };
    let c = climb(&target, &ladder(&khat, Start::isotropic(vec![0.0; 2], 0.5), small())).unwrap();
    assert_eq!((c.reports.len(), c.best), (3, 2), "{:?}", c.reports);
    let b = |k: usize| c.reports[k].bound;
    assert!(b(2).value > b(1).value + 3.0 * (b(1).se.powi(2) + b(2).se.powi(2)).sqrt(), "{:?}", c.reports);
    // The bound is below log Z = log(2π · 0.5), up to noise (5 standard errors: 3e-7).
    assert!(b(2).value < (2.0 * std::f64::consts::PI * 0.5).ln() + 5.0 * b(2).se);
}

#[test]
fn the_ladder_goes_by_the_k_hat_it_is_given() {
    let target = DiagNormal::standard(2);
    let start = || Start::isotropic(vec![1.0; 2], 0.5);
    let affine = || rungs(2, false)[..2].to_vec();
    // A good k-hat ends the climb at once, one that is no number does not; equal weights end it whatever k-hat says.
    let c = climb(&target, &ladder(&|_| 0.1, start(), affine())).unwrap();
    assert_eq!(c.reports.len(), 1);
    let c = climb(&Banana { curvature: 0.3, width: 1.0 }, &ladder(&|_| f64::NAN, start(), affine())).unwrap();
    assert_eq!(c.reports.len(), 2);
    let c = climb(&target, &ladder(&|_| f64::INFINITY, start(), small()[1..].to_vec())).unwrap();
    assert_eq!(c.reports.len(), 1, "{:?}", c.reports);
}

#[test]
fn a_ladder_without_a_rung_that_holds_says_why() {
    let start = Start::isotropic(vec![0.0; 2], 1.0);
    let target = Failing { dim: 2 };
    let reports = Mutex::new(vec![]);
    let progress = |r: &Report| reports.lock().unwrap().push(r.to_string());
    let l = Ladder { progress: Some(&progress), ..ladder(&khat, start, rungs(2, false)[..2].to_vec()) };
    let failed = climb(&target, &l).err().unwrap();
    assert!(failed.to_string().contains("log p is NaN"), "{failed}");
    assert!(reports.lock().unwrap().iter().all(|r| r.contains("training stopped")));
    let nothing =
        climb(&Failing { dim: 0 }, &ladder(&khat, Start::isotropic(vec![], 1.0), rungs(2, false))).err().unwrap();
    assert!(nothing.to_string().contains("nothing to transform"), "{nothing}");
}

#[test]
fn rungs_exist_for_every_dimension() {
    for (dim, map) in [1, 2, 14, 15, 201].into_iter().flat_map(|dim| [(dim, false), (dim, true)]) {
        let built = rungs(dim, map)
            .iter()
            .map(|r| Family::new(dim, Base::Normal, r.nonlinear.as_deref(), r.scale).unwrap().flow.len())
            .collect::<Vec<_>>();
        assert!(built.len() >= 2 && built.windows(2).all(|w| w[0] < w[1]), "{dim} {map}: {built:?}");
    }
}

/// A normal density that fails for its first `left` gradients.
struct Late {
    left: AtomicUsize,
}

impl LogDensity for Late {
    fn dim(&self) -> usize {
        2
    }
    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        -0.5 * (x[0] * x[0] + x[1] * x[1])
    }
}

impl Gradient for Late {
    fn logp_grad(&self, x: &[f64], g: &mut [f64], ws: &mut [f64]) -> f64 {
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
            return f64::NAN;
        }
        g.copy_from_slice(&[-x[0], -x[1]]);
        self.logp(x, ws)
    }
}

#[test]
fn a_training_that_fails_is_repeated_with_another_seed() {
    let trainings = |left: usize| {
        let target = Late { left: AtomicUsize::new(left) };
        let only = rungs(2, false)[1..2].to_vec();
        let c = climb(&target, &ladder(&khat, Start::isotropic(vec![0.1; 2], 1.0), only));
        c.map(|c| (c.reports[0].trainings, c.reports[0].failure.is_none()))
    };
    assert_eq!(trainings(0).unwrap(), (1, true));
    // A training asks for about 13,000 gradients before it gives up: in the 160 steps of its race, and in 41 of its own.
    assert_eq!(trainings(15_000).unwrap(), (2, true));
    assert!(trainings(usize::MAX).is_err());
}

/// x ~ N(0, 1), y ~ N(0.9 x + bend (x² - 1), 1/4): the best normal law loses log(1 + 8 bend²) / 2.
struct Bent {
    bend: f64,
}

impl LogDensity for Bent {
    fn dim(&self) -> usize {
        2
    }
    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        let off = x[1] - 0.9 * x[0] - self.bend * (x[0] * x[0] - 1.0);
        -0.5 * x[0] * x[0] - 2.0 * off * off
    }
}

impl Gradient for Bent {
    fn logp_grad(&self, x: &[f64], g: &mut [f64], ws: &mut [f64]) -> f64 {
        let off = x[1] - 0.9 * x[0] - self.bend * (x[0] * x[0] - 1.0);
        g[0] = -x[0] + 4.0 * off * (0.9 + 2.0 * self.bend * x[0]);
        g[1] = -4.0 * off;
        self.logp(x, ws)
    }
}

/// Full rank gains over mean field either way; with k-hat below 0.5 it is the last rung where it leaves 0.004 nats, not
/// where it leaves 0.08.
#[test]
fn a_rung_with_nothing_left_to_gain_is_the_last() {
    for (bend, tried) in [(0.03f64, 2), (0.15, 3)] {
        let left = 0.5 * (1.0 + 8.0 * bend * bend).ln();
        assert!((0.002..0.1).contains(&left) && (left < 0.01) == (tried == 2));
        let first = AtomicUsize::new(0);
        let asked = |_: &[f64]| if first.fetch_add(1, Ordering::Relaxed) == 0 { 0.9 } else { 0.1 };
        let c = climb(&Bent { bend }, &ladder(&asked, Start::isotropic(vec![0.1; 2], 1.0), small())).unwrap();
        assert_eq!(c.reports.len(), tried, "{bend}: {:?}", c.reports);
        assert!(c.reports[1].bound.value > c.reports[0].bound.value + 0.3);
    }
}
