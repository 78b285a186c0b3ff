//! Targets seen through maps, and global moves from proposals: exact identities, invariance, runs.

use nalgebra::DMatrix;
use thalweg::base::rng::Stream;
use thalweg::density::{Gradient, LogDensity, Proposal, Target, Transport};
use thalweg::diagnostics::{ess, rhat};
use thalweg::evidence::mixture::Mixture;
use thalweg::mcmc::config::{Control, Nuts};
use thalweg::mcmc::flow_mh::FlowMh;
use thalweg::mcmc::hmc::Hmc;
use thalweg::mcmc::init::Init;
use thalweg::mcmc::kernel::{Info, Kernel};
use thalweg::mcmc::metric::Metric;
use thalweg::mcmc::pullback::{Pullback, Pushing};
use thalweg::mcmc::run::Samples;
use thalweg::mcmc::sink::Memory;
use thalweg::mcmc::state::State;
use thalweg::testing::broken_jumps::{BrokenJump, JUMP_FAULTS};
use thalweg::testing::invariance::{Setup, invariance, normal_threshold};
use thalweg::testing::targets::{Banana, DenseNormal, Funnel, LogExponential};
use thalweg::testing::transport::{Affine, FunnelMap, Pushed};

/// False-alarm rate of each statistical assertion.
const ALPHA: f64 = 1e-6;

fn points(dim: usize) -> Vec<Vec<f64>> {
    let point = |i: usize| (0..dim).map(|j| 1.5 * ((i * dim + j) as f64 * 1.7).sin()).collect();
    (0..20).map(point).collect()
}

/// Value (up to the one at 0) and gradient of a pullback that ought to be standard normal, to 1e-12 of their sizes.
fn check_standard(target: &dyn Gradient, map: &dyn Transport) {
    let pullback = Pullback { target, map };
    let d = pullback.dim();
    // Whatever is left in the scratch space does not matter.
    let mut ws = vec![f64::NAN; pullback.scratch()];
    let at_zero = pullback.logp(&vec![0.0; d], &mut ws);
    for u in points(d) {
        let mut g = vec![0.0; d];
        let value = pullback.logp_grad(&u, &mut g, &mut ws);
        let half: f64 = 0.5 * u.iter().map(|u| u * u).sum::<f64>();
        assert!((value - at_zero + half).abs() < 1e-12 * (1.0 + half), "{value} {at_zero} {half}");
        assert!((value - pullback.logp(&u, &mut ws)).abs() < 1e-12 * (1.0 + half));
        for (g, u) in g.iter().zip(&u) {
            assert!((g + u).abs() < 1e-11, "{g} {u}");
        }
    }
}

#[test]
fn exact_maps_leave_a_standard_normal() {
    let scale = vec![0.5, 0.0, 0.0, -1.2, 2.0, 0.0, 0.7, 0.3, 0.1];
    let l = DMatrix::from_row_slice(3, 3, &scale);
    let target = DenseNormal::new(&(&l * l.transpose())).unwrap();
    check_standard(&target, &Affine::new(vec![0.0; 3], scale));
    check_standard(&Funnel { dim: 6 }, &FunnelMap { dim: 6 });
}

/// Fourth-order differences of the value against the gradient, relative to 1 + |g|.
fn difference_error(target: &dyn Gradient, u: &[f64]) -> f64 {
    let mut ws = vec![f64::NAN; target.scratch()];
    let mut g = vec![0.0; u.len()];
    target.logp_grad(u, &mut g, &mut ws);
    let mut at = |j: usize, h: f64| {
        let mut v = u.to_vec();
        v[j] += h;
        target.logp(&v, &mut ws)
    };
    let h = 1e-3;
    let mut slope = |j| (8.0 * (at(j, h) - at(j, -h)) - (at(j, 2.0 * h) - at(j, -2.0 * h))) / (12.0 * h);
    (0..u.len()).map(|j| (slope(j) - g[j]).abs() / (1.0 + g[j].abs())).fold(0.0, f64::max)
}

/// A map that forgets the gradient of its log-determinant.
struct NoLogDet(FunnelMap);

impl Transport for NoLogDet {
    fn dim(&self) -> usize {
        self.0.dim
    }

    fn scratch(&self) -> usize {
        0
    }

    fn forward(&self, u: &[f64], x: &mut [f64], ws: &mut [f64]) -> f64 {
        self.0.forward(u, x, ws)
    }

    fn inverse(&self, x: &[f64], u: &mut [f64], ws: &mut [f64]) -> f64 {
        self.0.inverse(x, u, ws)
    }

    fn pull(&self, u: &[f64], f: Target<'_>, gu: &mut [f64], ws: &mut [f64]) -> f64 {
        let value = self.0.pull(u, f, gu, ws);
        gu[0] -= 1.5 * (self.0.dim - 1) as f64;
        value
    }
}

#[test]
fn gradients_agree_with_differences() {
    let banana = Banana { curvature: 0.4, width: 0.8 };
    let funnel = FunnelMap { dim: 2 };
    let affine = Affine::new(vec![0.3, -0.2], vec![0.7, 0.0, 0.4, 0.9]);
    for u in points(2) {
        let small: Vec<f64> = u.iter().map(|u| 0.4 * u).collect();
        assert!(difference_error(&Pullback { target: &banana, map: &affine }, &u) < 1e-7);
        assert!(difference_error(&Pullback { target: &banana, map: &funnel }, &small) < 1e-7);
        let skewed = LogExponential { dim: 2 };
        assert!(difference_error(&Pullback { target: &skewed, map: &affine }, &u) < 1e-7);
        assert!(difference_error(&Pullback { target: &banana, map: &NoLogDet(funnel) }, &small) > 1e-3);
    }
}

#[test]
fn a_funnel_through_its_map_is_sampled_as_a_normal() {
    let (target, map) = (Funnel { dim: 6 }, FunnelMap { dim: 6 });
    let pullback = Pullback { target: &target, map: &map };
    // Prior draws to pull back: points of x space far from the neck and in it.
    let start: Vec<f64> = [-4.0, 4.0].iter().flat_map(|v| [*v, 0.1, -0.1, 0.2, 0.0, 0.1]).collect();
    let starts = pullback.starts(&start);
    let init = Init::Draw { draw: &starts, tries: 10 };
    let config = Nuts { seed: 5, ..Nuts::default() };
    let mut sinks: Vec<_> = (0..4).map(|_| Pushing::new(&map, Memory::default())).collect();
    let chains = config.run(&pullback, &init, &mut sinks, &Control::default()).unwrap();
    let s = Samples { draws: sinks.into_iter().map(Pushing::into_inner).collect(), chains };
    let last = s.draws[0].len() - 1;
    let logp = target.logp(s.draws[0].position(last), &mut []);
    assert!((s.draws[0].stats()[last].logp - logp).abs() < 1e-11 * (1.0 + logp.abs()));
    let leapfrogs: u64 = s.chains.iter().map(|c| c.gradients).sum();
    // On a standard normal trajectories have 3 to 7 steps; on the funnel itself hundreds.
    assert!(leapfrogs < 4 * 1000 * 8 && s.chains.iter().all(|c| c.divergent == 0), "{leapfrogs}");
    let chains: Vec<Vec<f64>> = s.draws.iter().map(|d| d.coordinate(0)).collect();
    let squares: Vec<Vec<f64>> = chains.iter().map(|c| c.iter().map(|v| v * v).collect()).collect();
    // E v = 0 with sd 3, E v^2 = 9 with sd 9 sqrt 2.
    for (terms, mean, sd) in [(&chains, 0.0, 3.0), (&squares, 9.0, 9.0 * 2f64.sqrt())] {
        let (z, r) = z_of_mean(terms, mean, sd);
        assert!(r < 1.01 && z < normal_threshold(ALPHA), "{z} {r}");
    }
}

/// |mean - expected| in standard errors, and R-hat.
fn z_of_mean(chains: &[Vec<f64>], expected: f64, sd: f64) -> (f64, f64) {
    let views: Vec<&[f64]> = chains.iter().map(|c| &c[..]).collect();
    let all = chains.concat();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    ((mean - expected).abs() * ess::mean(&views).sqrt() / sd, rhat::rhat(&views))
}

#[test]
fn chains_start_in_both_ways() {
    let (target, map) = (Funnel { dim: 3 }, FunnelMap { dim: 3 });
    let pullback = Pullback { target: &target, map: &map };
    let given = [2.0, 1.0, -1.0, -2.0, 0.5, 0.0];
    let starts = pullback.starts(&given);
    let mut u = [0.0; 3];
    let mut x = [0.0; 3];
    let mut squares = 0.0;
    for i in 0..1000 {
        let mut rng = Stream::new(1, "starts", i);
        starts(1, &mut rng, &mut u);
        map.forward(&u, &mut x, &mut []);
        assert!(given.chunks(3).any(|g| g.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-12)), "{x:?}");
        starts(2, &mut rng, &mut u);
        squares += u.iter().map(|u| u * u).sum::<f64>();
    }
    // Mean square 1.5^2 from 3000 squares, each with sd 1.5^2 sqrt 2.
    let z = (squares / 3000.0 - 2.25).abs() / (2.25 * (2.0 / 3000f64).sqrt());
    assert!(z < normal_threshold(ALPHA), "{z}");
    pullback.starts(&[])(1, &mut Stream::new(1, "starts", 0), &mut u);
    assert!(u.iter().all(|u| u.is_finite()));
}

/// A local move, then a global one.
struct Interleaved<'a>(Hmc, FlowMh<'a>);

impl Kernel for Interleaved<'_> {
    fn step<T: Gradient + ?Sized>(&self, t: &T, m: &Metric, eps: f64, state: &mut State, rng: &mut Stream) -> Info {
        self.0.step(t, m, eps, state, rng);
        self.1.step(t, m, eps, state, rng)
    }
}

#[test]
fn global_moves_leave_the_target_invariant() {
    let setup = Setup::default();
    let metric = Metric::unit(setup.dim);
    let q = Pushed(Affine::diagonal(vec![-0.6; 5], &[1.4; 5]));
    for moves in [1, 2] {
        let v = invariance(&FlowMh::new(&q, moves), &metric, setup, ALPHA);
        assert!(!v.rejected() && (0.2..0.8).contains(&v.accept), "{v:?}");
    }
    let v = invariance(&Interleaved(Hmc { leapfrogs: 3 }, FlowMh::new(&q, 1)), &metric, setup, ALPHA);
    assert!(!v.rejected(), "{v:?}");
    for fault in JUMP_FAULTS {
        let v = invariance(&BrokenJump { proposal: &q, fault }, &metric, setup, ALPHA);
        assert!(v.rejected(), "{fault:?} survives: {v:?}");
    }
}

/// Two unit normals at (-8, 0) with weight 0.3 and at (8, 0) with weight 0.7.
struct TwoModes;

impl LogDensity for TwoModes {
    fn dim(&self) -> usize {
        2
    }

    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64 {
        self.logp_grad(x, &mut [0.0; 2], ws)
    }
}

impl Gradient for TwoModes {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], _: &mut [f64]) -> f64 {
        let part = |w: f64, m: f64| w.ln() - 0.5 * ((x[0] - m).powi(2) + x[1] * x[1]);
        let (a, b) = (part(0.3, -8.0), part(0.7, 8.0));
        let total = thalweg::base::special::log_sum_exp(a, b);
        let right = (b - total).exp();
        grad[0] = 8.0 * (2.0 * right - 1.0) - x[0];
        grad[1] = -x[1];
        total
    }
}

fn with_jumps(config: &Nuts, proposal: &dyn Proposal) -> Samples {
    let mut draws = vec![Memory::default(); config.chains];
    let chains = config.run_with_jumps(&TwoModes, proposal, &Init::default(), &mut draws, &Control::default());
    Samples { draws, chains: chains.unwrap() }
}

#[test]
fn global_moves_weigh_the_modes() {
    let (left, right) = (Affine::diagonal(vec![-8.0, 0.0], &[1.3; 2]), Affine::diagonal(vec![8.0, 0.0], &[1.3; 2]));
    let (left, right) = (Pushed(left), Pushed(right));
    let q = Mixture::new(vec![(0.5, &left), (0.5, &right)]).unwrap();
    let config = Nuts { seed: 2, warmup: 300, ..Nuts::default() };
    let s = with_jumps(&config, &q);
    let side: Vec<Vec<f64>> =
        s.draws.iter().map(|d| d.coordinate(0).iter().map(|x| f64::from(u8::from(*x > 0.0))).collect()).collect();
    let (z, r) = z_of_mean(&side, 0.7, (0.7f64 * 0.3).sqrt());
    assert!(r < 1.02 && z < normal_threshold(ALPHA), "{z} {r}");
    for c in &s.chains {
        assert_eq!(c.jumps.tried, 1000);
        assert!((0.4..0.9).contains(&c.jumps.rate()) && c.jumps.moved > 400, "{:?}", c.jumps);
    }
    // Local moves alone never cross.
    let local = config.sample(&TwoModes, &Init::default(), &Control::default()).unwrap();
    for d in &local.draws {
        let x = d.coordinate(0);
        assert!(x.iter().all(|v| v.signum() == x[0].signum()));
    }
    assert!(local.chains.iter().all(|c| c.jumps.tried == 0 && c.jumps.rate().is_nan()));
    // No moves, and the proposal is never looked at.
    let none = with_jumps(&Nuts { jumps: 0, ..config.clone() }, &q);
    assert_eq!(none.draws, local.draws);
    // The number of threads does not matter.
    let short = |threads| with_jumps(&Nuts { threads, warmup: 50, draws: 50, jumps: 2, ..config.clone() }, &q);
    assert_eq!(short(Some(1)).draws, short(Some(3)).draws);
    let three = Pushed(Affine::diagonal(vec![0.0; 3], &[1.0; 3]));
    let mut sinks = vec![Memory::default(); 4];
    let e = config.run_with_jumps(&TwoModes, &three, &Init::default(), &mut sinks, &Control::default()).unwrap_err();
    assert_eq!(e.to_string(), "a draw from the proposal has length 3; expected 2");
}

#[test]
fn impossible_draws_are_refused() {
    // Half of the proposal's draws are outside the support.
    struct Half;
    impl LogDensity for Half {
        fn dim(&self) -> usize {
            1
        }
        fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
            if x[0] > 0.0 { -x[0] } else { f64::NEG_INFINITY }
        }
    }
    impl Gradient for Half {
        fn logp_grad(&self, x: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64 {
            grad[0] = -1.0;
            self.logp(x, ws)
        }
    }
    let q = Pushed(Affine::diagonal(vec![0.0], &[2.0]));
    let jumps = FlowMh::new(&q, 1);
    let mut state = State::new(&Half, 0);
    let mut rng = Stream::new(3, "half", 0);
    state.set_position(&Half, &[1.0]);
    let mut moved = 0;
    for _ in 0..400 {
        moved += jumps.jump(&Half, &mut state, &mut rng).moved;
        assert!(state.position()[0] > 0.0 && state.logp().is_finite());
    }
    assert!((50..210).contains(&moved), "{moved}");
}
