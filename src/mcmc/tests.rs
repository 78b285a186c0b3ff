//! Exact identities of integrator, metrics, trees and step size search.

use crate::base::rng::Stream;
use crate::density::{Gradient, LogDensity};
use crate::mcmc::integrator::leapfrog;
use crate::mcmc::kernel::Kernel;
use crate::mcmc::metric::{Dense, Diag, LowRank, Metric};
use crate::mcmc::nuts::NutsKernel;
use crate::mcmc::state::State;
use crate::mcmc::step_size::{DualAveraging, first_guess};
use crate::mcmc::vector::{dot, padded};
use crate::testing::broken::{HmcFault, Phase, leapfrog_map};
use crate::testing::targets::{Banana, DenseNormal, DiagNormal, EightSchools, Exact, Funnel, LogExponential};
use nalgebra::DMatrix;

/// One metric of each form in `d` dimensions.
fn metrics(d: usize) -> Vec<Metric> {
    let variances: Vec<f64> = (0..d).map(|j| 0.5 + j as f64).collect();
    let sigma = DMatrix::from_fn(d, d, |i, j| if i == j { 1.0 + i as f64 } else { 0.4 });
    let raw: Vec<f64> = (0..d).map(|j| (j as f64 + 1.0).sin()).collect();
    let norm = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
    let direction: Vec<f64> = raw.iter().map(|x| x / norm).collect();
    vec![
        Metric::Diag(Diag::new(&variances)),
        Metric::Dense(Dense::new(&sigma).expect("positive definite")),
        Metric::LowRank(LowRank::new(&variances, &[direction], &[7.0])),
    ]
}

fn gradient_error<T: Exact>(target: &T, seed: u64) -> f64 {
    let d = target.dim();
    let mut rng = Stream::new(seed, "gradient", 0);
    let (mut x, mut g) = (vec![0.0; d], vec![0.0; d]);
    target.draw(&mut rng, &mut x);
    let value = target.logp_grad(&x, &mut g, &mut []);
    assert!((value - target.logp(&x, &mut [])).abs() < 1e-12 * (1.0 + value.abs()));
    difference_error(target, &x, &g)
}

/// Largest error of `g` against central differences of fourth order, relative to 1 + |g|.
fn difference_error<T: Gradient>(target: &T, x: &[f64], g: &[f64]) -> f64 {
    let at = |j: usize, h: f64| {
        let mut y = x.to_vec();
        y[j] += h;
        target.logp(&y, &mut [])
    };
    let h = 1e-3;
    let slope = |j| (8.0 * (at(j, h) - at(j, -h)) - (at(j, 2.0 * h) - at(j, -2.0 * h))) / (12.0 * h);
    (0..x.len()).map(|j| (slope(j) - g[j]).abs() / (1.0 + g[j].abs())).fold(0.0, f64::max)
}

#[test]
fn gradients_of_the_targets() {
    for seed in 0..5 {
        let errors = [
            gradient_error(&DiagNormal::log_spaced(4, 0.5, 2.0), seed),
            gradient_error(&DenseNormal::equicorrelated(4, 0.5).expect("positive definite"), seed),
            gradient_error(&LogExponential { dim: 3 }, seed),
            gradient_error(&Banana { curvature: 0.7, width: 0.5 }, seed),
        ];
        assert!(errors.iter().all(|e| *e < 1e-8), "{errors:?}");
        let x: Vec<f64> = (0..10).map(|j| (f64::from(j) + seed as f64).cos()).collect();
        let mut g = vec![0.0; 10];
        Funnel { dim: 10 }.logp_grad(&x, &mut g, &mut []);
        assert!(difference_error(&Funnel { dim: 10 }, &x, &g) < 1e-8);
        EightSchools.logp_grad(&x, &mut g, &mut []);
        assert!(difference_error(&EightSchools, &x, &g) < 1e-8);
    }
}

#[test]
fn leapfrog_is_reversible() {
    let target = LogExponential { dim: 5 };
    for metric in metrics(5) {
        let mut state = State::new(&target, 0);
        let mut rng = Stream::new(3, "reversible", 0);
        state.set_position(&target, &[0.3, -1.0, 0.5, -2.0, 0.1]);
        state.refresh(&metric, &mut rng);
        let start = (state.position().to_vec(), state.momentum_of(0).to_vec(), state.energy_of(0));
        let mut points = vec![0];
        for eps in [[0.1; 50], [-0.1; 50]].concat() {
            let (from, to) = (points[points.len() - 1], if points.len() % 2 == 1 { 1 } else { 2 });
            leapfrog(&target, &metric, &mut state, from, to, eps);
            points.push(to);
        }
        let end = points[points.len() - 1];
        let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(gap(state.position_of(end), &start.0) < 1e-10, "{metric:?}");
        assert!(gap(state.momentum_of(end), &start.1) < 1e-10, "{metric:?}");
        assert!((state.energy_of(end) - start.2).abs() < 1e-10, "{metric:?}");
    }
    // The same test kills integrators that are not reversible.
    for fault in [HmcFault::Euler, HmcFault::FullKick] {
        let start = Phase::new(&target, &[0.3, -1.0, 0.5, -2.0, 0.1], &[0.5; 5]);
        let mut now = start.clone();
        now.step(&target, 0.1, fault);
        now.step(&target, -0.1, fault);
        assert!((now.q[0] - start.q[0]).abs() + (now.p[0] - start.p[0]).abs() > 1e-4, "{fault:?}");
    }
}

/// Determinant of the Jacobian of a map of (q, p), by central differences.
fn volume(map: impl Fn(&[f64]) -> Vec<f64>, at: &[f64]) -> f64 {
    let (n, h) = (at.len(), 1e-5);
    let column = |j: usize, h: f64| {
        let mut x = at.to_vec();
        x[j] += h;
        map(&x)
    };
    DMatrix::from_fn(n, n, |i, j| (column(j, h)[i] - column(j, -h)[i]) / (2.0 * h)).determinant()
}

#[test]
fn leapfrog_preserves_volume() {
    let target = Banana { curvature: 1.0, width: 0.5 };
    let at = [0.4, -0.3, 0.8, -0.5];
    for metric in metrics(2) {
        let map = |x: &[f64]| {
            let mut now = Phase::new(&target, &x[..2], &x[2..]);
            for _ in 0..3 {
                now = leapfrog_map(&target, &metric, &now, 0.1);
            }
            [now.q, now.p].concat()
        };
        let det = volume(map, &at);
        // Differences of second order with h = 1e-5 leave errors of about 1e-9.
        assert!((det - 1.0).abs() < 1e-7, "{det} {metric:?}");
    }
    let euler = |x: &[f64]| {
        let mut now = Phase::new(&target, &x[..2], &x[2..]);
        now.step(&target, 0.1, HmcFault::Euler);
        [now.q, now.p].concat()
    };
    assert!((volume(euler, &at) - 1.0).abs() > 1e-3);
}

/// Largest energy error along a trajectory of length 1 in steps of `eps`.
fn energy_error(step: impl Fn(&mut Phase, f64), eps: f64) -> f64 {
    let target = LogExponential { dim: 3 };
    let mut now = Phase::new(&target, &[0.5, -0.5, 0.2], &[0.3, 1.0, -0.7]);
    let h0 = now.energy();
    let mut worst = 0.0f64;
    for _ in 0..(1.0 / eps).round() as usize {
        step(&mut now, eps);
        worst = worst.max((now.energy() - h0).abs());
    }
    worst
}

#[test]
fn energy_error_is_of_second_order() {
    let target = LogExponential { dim: 3 };
    let metric = Metric::unit(3);
    let ours = |now: &mut Phase, eps: f64| *now = leapfrog_map(&target, &metric, now, eps);
    let euler = |now: &mut Phase, eps: f64| now.step(&target, eps, HmcFault::Euler);
    let ratio = energy_error(ours, 0.02) / energy_error(ours, 0.01);
    assert!((ratio - 4.0).abs() < 0.1, "{ratio}");
    let ratio = energy_error(euler, 0.02) / energy_error(euler, 0.01);
    assert!(ratio < 2.5, "{ratio}");
}

#[test]
fn momentum_and_velocity_belong_together() {
    let d = 5;
    let n = padded(d);
    for metric in metrics(d) {
        let z: Vec<f64> = (0..n).map(|j| if j < d { (j as f64 * 1.7).cos() } else { 0.0 }).collect();
        let (mut p, mut v, mut applied) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        metric.momentum(&z, &mut p, &mut v);
        metric.apply(&p, &mut applied);
        for j in 0..n {
            assert!((v[j] - applied[j]).abs() < 1e-12, "{metric:?}");
        }
        // p'Sigma p = z'z for every z says that the covariance of p is the inverse of Sigma.
        assert!((dot(&p, &v) - dot(&z, &z)).abs() < 1e-12, "{metric:?}");
        let unit = |j: usize| (0..n).map(|i| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
        for (j, variance) in metric.variances().iter().enumerate() {
            metric.apply(&unit(j), &mut applied);
            assert!((applied[j] - variance).abs() < 1e-12, "{metric:?}");
        }
    }
}

#[test]
fn dense_metric_refuses_what_is_not_positive_definite() {
    assert!(Dense::new(&DMatrix::from_fn(2, 2, |_, _| 1.0)).is_none());
    assert!(Dense::new(&DMatrix::from_element(2, 2, f64::NAN)).is_none());
}

#[test]
fn dual_averaging_finds_the_step_of_a_known_response() {
    // Acceptance exp(-eps) reaches 0.8 at eps = 0.2231.
    let mut averaging = DualAveraging::new(1.0, 0.8);
    for _ in 0..2000 {
        averaging.update((-averaging.current()).exp());
    }
    assert!((averaging.averaged() / 0.2231 - 1.0).abs() < 0.02, "{}", averaging.averaged());
}

/// Constant density: every step size is accepted.
struct Flat;

impl LogDensity for Flat {
    fn dim(&self) -> usize {
        2
    }

    fn logp(&self, _: &[f64], _: &mut [f64]) -> f64 {
        0.0
    }
}

impl Gradient for Flat {
    fn logp_grad(&self, _: &[f64], grad: &mut [f64], _: &mut [f64]) -> f64 {
        grad.fill(0.0);
        0.0
    }
}

#[test]
fn first_guess_depends_little_on_where_it_starts() {
    let target = DiagNormal::new(vec![0.01; 4]);
    let metric = Metric::unit(4);
    for eps in [1e-6, 1.0, 1e4] {
        let mut state = State::new(&target, 0);
        state.set_position(&target, &[0.01; 4]);
        let found = first_guess(&target, &metric, eps, &mut state, &mut Stream::new(1, "guess", 0)).expect("normal");
        // Stable steps of a normal with sd s are below 2 s.
        assert!((1e-3..0.04).contains(&found), "{found}");
    }
    let mut state = State::new(&Flat, 0);
    state.set_position(&Flat, &[0.0; 2]);
    let ran_away = first_guess(&Flat, &metric, 1.0, &mut state, &mut Stream::new(1, "guess", 0));
    assert!(ran_away.is_err_and(|eps| eps > 1e6));
}

/// A standard normal with a cliff: the log density is `cliff` higher at x > 0. The gradient does not see it, so
/// energy errors are far beyond the range of exp.
struct Cliff(f64);

impl LogDensity for Cliff {
    fn dim(&self) -> usize {
        1
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        -0.5 * x[0] * x[0] + if x[0] > 0.0 { self.0 } else { 0.0 }
    }
}

impl Gradient for Cliff {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64 {
        grad[0] = -x[0];
        self.logp(x, ws)
    }
}

#[test]
fn weights_beyond_the_range_of_exp() {
    for cliff in [250.0, 400.0, 900.0, 1e5] {
        let target = Cliff(cliff);
        let kernel = NutsKernel::default();
        let mut state = State::new(&target, 10);
        let mut rng = Stream::new(2, "cliff", 0);
        state.set_position(&target, &[-1.0]);
        let mut above = 0;
        for _ in 0..200 {
            let info = kernel.step(&target, &Metric::unit(1), 0.3, &mut state, &mut rng);
            assert!(info.accept.is_finite() && state.logp().is_finite());
            above += u32::from(state.position()[0] > 0.0);
            // Once above, never below: the odds are e^-250.
            assert!(above == 0 || state.position()[0] > 0.0);
        }
        assert!(above > 150, "{cliff}: {above}");
    }
}

#[test]
fn trees_stop_where_asked() {
    let target = DiagNormal::standard(3);
    let mut state = State::new(&target, 4);
    let mut rng = Stream::new(2, "depth", 0);
    state.set_position(&target, &[0.1, 0.2, 0.3]);
    let kernel = NutsKernel { max_depth: 4, ..NutsKernel::default() };
    let before = state.gradients();
    let info = kernel.step(&target, &Metric::unit(3), 1e-3, &mut state, &mut rng);
    assert_eq!((info.leapfrogs, info.depth, info.max_depth), (15, 4, true));
    assert_eq!(state.gradients() - before, 15);
    // A half turn of a standard normal takes pi / 0.01 = 314 steps; the tree is at least that long and at most
    // four times as long.
    let info = NutsKernel::default().step(&target, &Metric::unit(3), 0.01, &mut State::new_at(&target, 10), &mut rng);
    assert!((255..1300).contains(&info.leapfrogs) && !info.max_depth, "{info:?}");
}

impl State {
    fn new_at<T: Gradient>(target: &T, depth: usize) -> State {
        let mut state = State::new(target, depth);
        state.set_position(target, &vec![0.5; target.dim()]);
        state
    }
}
