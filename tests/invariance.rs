//! The exact invariance test of both kernels, and the broken kernels that it must kill.

use thalweg::base::rng::Stream;
use thalweg::mcmc::hmc::Hmc;
use thalweg::mcmc::kernel::Kernel;
use thalweg::mcmc::metric::{Dense, Diag, LowRank, Metric};
use thalweg::mcmc::nuts::{NutsKernel, Rules, Standard};
use thalweg::mcmc::state::State;
use thalweg::testing::broken::{
    AlwaysNewest, BrokenHmc, EqualWeights, ForwardOnly, HMC_FAULTS, HmcFault, HotMomentum, KeepsInvalid, LatestWithin,
    MomentumKept, NoSubtreeCheck,
};
use thalweg::testing::invariance::{DEPTH, Setup, invariance, kolmogorov};
use thalweg::testing::targets::{DiagNormal, Exact, LogExponential};

/// False-alarm rate of each statistical assertion.
const ALPHA: f64 = 1e-6;

fn nuts<R: Rules>(rules: R) -> NutsKernel<'static, R> {
    NutsKernel { max_depth: DEPTH, max_energy_error: 1000.0, cancel: None, rules }
}

fn metrics(d: usize) -> [Metric; 3] {
    let sigma = nalgebra::DMatrix::from_fn(d, d, |i, j| if i == j { 1.5 } else { 0.4 });
    let direction = vec![1.0 / (d as f64).sqrt(); d];
    [
        Metric::Diag(Diag::new(&(0..d).map(|j| 0.6 + 0.3 * j as f64).collect::<Vec<_>>())),
        Metric::Dense(Dense::new(&sigma).unwrap()),
        Metric::LowRank(LowRank::new(&vec![1.1; d], &[direction], &[2.5])),
    ]
}

#[test]
fn kernels_leave_the_target_invariant() {
    for metric in metrics(5) {
        for eps in [0.4, 0.9] {
            let setup = Setup { eps, ..Setup::default() };
            let v = invariance(&Hmc { leapfrogs: 3 }, &metric, setup, ALPHA);
            assert!(!v.rejected(), "hmc: {v:?} {metric:?}");
            let v = invariance(&nuts(Standard), &metric, setup, ALPHA);
            assert!(!v.rejected(), "nuts: {v:?} {metric:?}");
        }
    }
}

#[test]
fn invariance_kills_broken_hmc() {
    let setup = Setup::default();
    let metric = Metric::unit(setup.dim);
    let sound = invariance(&Hmc { leapfrogs: 3 }, &metric, setup, ALPHA);
    assert!(!sound.rejected() && (0.5..0.8).contains(&sound.accept), "{sound:?}");
    for fault in HMC_FAULTS {
        // Explicit Euler steps this long are all rejected, and a kernel that stays where it is is invariant.
        let setup = if fault == HmcFault::Euler { Setup { eps: 0.3, ..setup } } else { setup };
        let v = invariance(&BrokenHmc { leapfrogs: 3, fault }, &metric, setup, ALPHA);
        println!("{fault:?}: {v:?}");
        assert!(v.rejected(), "{fault:?} survives: {v:?}");
    }
}

#[test]
fn invariance_kills_broken_nuts() {
    fn check<R: Rules + std::fmt::Debug>(rules: R) {
        let setup = Setup { chains: 60_000, ..Setup::default() };
        let name = format!("{rules:?}");
        let v = invariance(&nuts(rules), &Metric::unit(setup.dim), setup, ALPHA);
        println!("{name}: {v:?}");
        assert!(v.rejected(), "{name} survives: {v:?}");
    }
    check(EqualWeights);
    check(LatestWithin);
    check(AlwaysNewest);
    check(NoSubtreeCheck);
    check(KeepsInvalid);
    check(ForwardOnly);
    check(HotMomentum);
}

#[test]
fn fresh_momentum_spreads_the_energy() {
    // For N(0, I) in 5 dimensions potential and kinetic energy are Gamma(5/2) each, so var H = 5. With 4000 nearly
    // independent draws its standard error is 5 sqrt(2/4000 (1 + 3/5)) = 0.14; 5 sigma, false alarms 6e-7.
    fn spread<R: Rules>(rules: R) -> f64 {
        let target = DiagNormal::standard(5);
        let mut state = State::new(&target, DEPTH);
        let mut rng = Stream::new(4, "energy", 0);
        state.set_position(&target, &[1.0, -1.0, 0.5, 0.2, -0.7]);
        let kernel = nuts(rules);
        let energies: Vec<f64> =
            (0..4000).map(|_| kernel.step(&target, &Metric::unit(5), 0.4, &mut state, &mut rng).energy).collect();
        thalweg::diagnostics::summary::variance(&energies)
    }
    let (sound, kept) = (spread(Standard), spread(MomentumKept));
    assert!((sound - 5.0).abs() < 0.7, "{sound}");
    assert!((kept - 5.0).abs() > 0.7, "{kept}");
}

#[test]
fn exact_draws_are_exact() {
    // Kolmogorov-Smirnov of the target's own sampler, false alarms 1e-6.
    let target = LogExponential { dim: 1 };
    let mut rng = Stream::new(1, "exact", 0);
    let mut x = vec![0.0; 20_000];
    x.iter_mut().for_each(|x| target.draw(&mut rng, std::slice::from_mut(x)));
    x.sort_unstable_by(f64::total_cmp);
    let ks = kolmogorov(&x, LogExponential::cdf);
    assert!(ks < (0.5 * (2.0 / ALPHA).ln()).sqrt(), "{ks}");
}
