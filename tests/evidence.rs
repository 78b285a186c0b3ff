//! Evidence estimators against known answers, over replicates: means, stated errors, verdicts, and mutants.

use std::f64::consts::PI;
use std::sync::Arc;
use thalweg::base::rng::Stream;
use thalweg::density::{Gradient, LogDensity, Proposal, Target, Transport};
use thalweg::evidence::bounds::{lower, upper};
use thalweg::evidence::bridge::{Draws, bridge};
use thalweg::evidence::estimate::{Estimate, Standing};
use thalweg::evidence::importance::{importance, replicated};
use thalweg::evidence::mixture::Mixture;
use thalweg::evidence::run::{Evidence, Posterior, Settings, evidence};
use thalweg::evidence::sandwich::{Sandwich, Verdict};
use thalweg::evidence::student::StudentT;
use thalweg::evidence::weights::{PosteriorWeights, drawn};
use thalweg::guide::{Base, Family, Guide, Scale, Start};
use thalweg::mcmc::config::{Control, Nuts};
use thalweg::mcmc::init::Init;
use thalweg::mcmc::pullback::Pullback;
use thalweg::testing::broken_evidence::{BrokenProposal, ProposalFault, forgot_k, shuffled, unit_weights};
use thalweg::testing::targets::EightSchools;
use thalweg::testing::transport::{Affine, Pushed};

#[path = "evidence/replicates.rs"]
mod replicates;

use replicates::{COVERED, MEAN_SQUARE, Normals, REPLICATES, Record, moments};

fn importance_of(target: &dyn LogDensity, q: &dyn Proposal, n: usize, seed: u64) -> Estimate {
    importance(&drawn(target, q, n, seed, "replicate").unwrap()).unwrap().estimate
}

#[test]
fn importance_sampling_is_unbiased_and_its_errors_are_right() {
    let n = Normals::new();
    let q = n.mixture();
    Record::new(n.log_z, |seed| importance_of(&n.target, &q, 1024, seed)).check("importance");
    let several = |seed: u64| {
        let run = |r: u64| importance(&drawn(&n.target, &q, 512, 4 * seed + r, "several").unwrap()).unwrap();
        replicated(&(0..4).map(run).collect::<Vec<_>>()).unwrap().estimate
    };
    // The larger of two errors is stated, so this one may be too careful.
    let several = Record::new(n.log_z, several);
    assert!(
        several.mean_is_right() && several.rms_z < MEAN_SQUARE.1.sqrt() && several.covered >= COVERED,
        "{several:?}"
    );
    for fault in [ProposalFault::DroppedLogQ, ProposalFault::WrongSign, ProposalFault::ReusedNoise] {
        let broken = BrokenProposal { inner: &q, fault };
        let r = Record::new(n.log_z, |seed| importance_of(&n.target, &broken, 1024, seed));
        println!("{fault:?}: {r:?}");
        let survives = if fault == ProposalFault::ReusedNoise { r.errors_are_right() } else { r.mean_is_right() };
        assert!(!survives, "{fault:?} survives: {r:?}");
    }
    let r = Record::new(n.log_z, |seed| {
        let (value, mcse) = unit_weights(drawn(&n.target, &q, 1024, seed, "replicate").unwrap().log());
        Estimate { value, mcse, ess: 1024.0, n: 1024, khat: 0.0 }
    });
    assert!(!r.mean_is_right(), "unit weights survive: {r:?}");
}

#[test]
fn the_first_bounds_are_divergences() {
    // KL between the target's and the flow's normals: per coordinate, with s = 0.9 and shift 0.3 in units of the target's sd.
    let n = Normals::new();
    let kl = |from: f64, to: f64, shift: f64| (to / from).ln() + (from * from + shift * shift) / (2.0 * to * to) - 0.5;
    let (down, up) = (n.log_z - 5.0 * kl(0.9, 1.0, 0.3), n.log_z + 5.0 * kl(1.0, 0.9, 0.3));
    let first = |seed: u64| lower(&drawn(&n.target, &n.flow, 1024, seed, "elbo").unwrap()).unwrap()[0].estimate;
    // For means of log weights the t-test is on the bound itself, whose errors are small.
    Record::new(down, first).check("L_1");
    let first = |rho: f64, order: fn(&[f64], &mut Stream) -> Vec<f64>| {
        let n = &n;
        move |seed: u64| {
            let mut rng = Stream::new(seed, "order", 0);
            let log = n.posterior_weights(&n.flow, seed, 500, rho);
            let log = PosteriorWeights::new(log.iter().map(|c| order(c, &mut rng)).collect()).unwrap();
            upper(&log, &drawn(&n.target, &n.flow, 256, seed, "eubo").unwrap()).unwrap()[0].estimate
        }
    };
    Record::new(up, first(0.0, |c, _| c.to_vec())).check("U_1, independent draws");
    Record::new(up, first(0.9, |c, _| c.to_vec())).check("U_1, autocorrelated draws");
    let broken = Record::new(up, first(0.9, shuffled));
    assert!(!broken.errors_are_right(), "unseen autocorrelation survives: {broken:?}");
}

#[test]
fn bounds_close_in_on_the_truth() {
    let n = Normals::new();
    let q = n.mixture();
    let weights = drawn(&n.target, &q, 1 << 15, 1, "bounds").unwrap();
    let posterior = PosteriorWeights::new(n.posterior_weights(&q, 1, 2000, 0.5)).unwrap();
    let (low, high) = (lower(&weights).unwrap(), upper(&posterior, &weights).unwrap());
    // One-sided at 5.2 errors: false alarms 1e-7 each, 34 comparisons.
    for (bounds, sign) in [(&low, 1.0), (&high, -1.0)] {
        for b in bounds.iter() {
            assert!(sign * (n.log_z - b.estimate.value) > -5.2 * b.estimate.mcse, "{b:?}");
        }
        for pair in bounds.windows(2) {
            let se = pair[0].estimate.mcse.hypot(pair[1].estimate.mcse);
            assert!(sign * (pair[1].estimate.value - pair[0].estimate.value) > -5.2 * se, "{pair:?}");
        }
    }
    let gap = |k: usize| {
        let of = |b: &[thalweg::evidence::bounds::Bound]| b.iter().find(|b| b.k == k).unwrap().estimate.value;
        of(&high) - of(&low)
    };
    println!("gaps {} {} {}", gap(1), gap(10), gap(100));
    // To first order the gap is the relative variance of the weights over K.
    assert!(gap(1) > 0.3 && gap(10) < 0.2 * gap(1) && gap(100) < 0.2 * gap(10), "{} {} {}", gap(1), gap(10), gap(100));
    // Without the 1 / K the bound is above the truth by log K.
    assert!(forgot_k(weights.log(), 10) > n.log_z + 1.0);
}

#[test]
fn bridge_errors_count_autocorrelation() {
    let n = Normals::new();
    let q = n.mixture();
    let run = |rho: f64, particles: usize, order: fn(&[f64], &mut Stream) -> Vec<f64>, draws: Draws| {
        let (n, q) = (&n, &q);
        move |seed: u64| {
            let mut rng = Stream::new(seed, "order", 0);
            let log = n.posterior_weights(q, seed, 500, rho);
            let log = PosteriorWeights::new(log.iter().map(|c| order(c, &mut rng)).collect()).unwrap();
            bridge(&log, &drawn(&n.target, q, particles, seed, "bridge").unwrap(), draws).unwrap().estimate
        }
    };
    // With fewer particles than posterior draws the latter's errors are most of the error.
    let keep: fn(&[f64], &mut Stream) -> Vec<f64> = |c, _| c.to_vec();
    Record::new(n.log_z, run(0.0, 2048, keep, Draws::All)).check("bridge, independent draws");
    Record::new(n.log_z, run(0.95, 512, keep, Draws::All)).check("bridge, autocorrelated draws");
    Record::new(n.log_z, run(0.5, 2048, keep, Draws::SecondHalf)).check("bridge, second half");
    assert_eq!(run(0.5, 2048, keep, Draws::SecondHalf)(0).n, 1000);
    let broken = Record::new(n.log_z, run(0.95, 512, shuffled, Draws::All));
    println!("shuffled: {broken:?}");
    assert!(!broken.errors_are_right(), "unseen autocorrelation survives: {broken:?}");
}

#[test]
fn heavy_tails_are_seen_and_the_mixture_holds() {
    // Target: Student-t, normalised. A narrow normal as proposal has weights of infinite variance.
    let target = StudentT::new(vec![0.0; 3], vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0]).unwrap();
    let narrow = Pushed(Affine::diagonal(vec![0.0; 3], &[1.0; 3]));
    let alone = importance(&drawn(&target, &narrow, 1 << 13, 1, "narrow").unwrap()).unwrap();
    assert!(alone.standing != Standing::Sound && alone.estimate.khat > 0.5, "{alone:?}");
    let safe = StudentT::around(&Start::isotropic(vec![0.0; 3], 1.0)).unwrap();
    let q = Mixture::defensive(&narrow, &safe).unwrap();
    let held = importance(&drawn(&target, &q, 1 << 13, 1, "mixture").unwrap()).unwrap();
    assert!(held.standing == Standing::Sound, "{held:?}");
    Record::new(0.0, |seed| importance_of(&target, &q, 2048, seed)).check("Student-t by the mixture");
}

/// A density with a box: -inf outside (-half, half)^2, and the uniform prior's constant.
struct Boxed<F>(f64, F);

impl<F: Fn(&[f64]) -> f64 + Sync> LogDensity for Boxed<F> {
    fn dim(&self) -> usize {
        2
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        let inside = x.iter().all(|x| x.abs() < self.0);
        if inside { self.1(x) - 2.0 * (2.0 * self.0).ln() } else { f64::NEG_INFINITY }
    }
}

/// x = 1 + s u_0, y = x^2 + t u_1: the valley of the Rosenbrock function, a little wider.
struct Valley;

impl Transport for Valley {
    fn dim(&self) -> usize {
        2
    }

    fn scratch(&self) -> usize {
        0
    }

    fn forward(&self, u: &[f64], x: &mut [f64], _: &mut [f64]) -> f64 {
        x[0] = 1.0 + 0.75 * u[0];
        x[1] = x[0] * x[0] + 0.08 * u[1];
        (0.75f64 * 0.08).ln()
    }

    fn inverse(&self, x: &[f64], u: &mut [f64], _: &mut [f64]) -> f64 {
        u[0] = (x[0] - 1.0) / 0.75;
        u[1] = (x[1] - x[0] * x[0]) / 0.08;
        (0.75f64 * 0.08).ln()
    }

    fn pull(&self, _: &[f64], _: Target<'_>, _: &mut [f64], _: &mut [f64]) -> f64 {
        unreachable!("nothing here moves through the valley")
    }
}

#[test]
fn a_guide_is_a_proposal_and_a_map() {
    // A full-rank guide at the exact posterior: one value for all weights, a standard normal through its map.
    let n = Normals::new();
    let sd = n.target.sd();
    let factor = (0..25).map(|k| if k % 6 == 0 { sd[k / 6] } else { 0.0 }).collect();
    let start = Start { location: vec![0.0; 5], factor };
    let guide = |nonlinear: Option<&str>| {
        let family = Arc::new(Family::new(5, Base::Normal, nonlinear, Scale::Full).unwrap());
        let theta = family.initial(&start, 1);
        Guide::new(family, theta)
    };
    let exact = guide(None);
    let weights = drawn(&n.target, &exact, 777, 1, "guide").unwrap();
    assert!(weights.log().iter().all(|w| (w - n.log_z).abs() < 1e-10));
    let pullback = Pullback { target: &n.target, map: &exact };
    let mut ws = vec![f64::NAN; pullback.scratch()];
    let u = [0.3, -1.2, 0.7, 2.0, -0.4];
    let mut g = [0.0; 5];
    pullback.logp_grad(&u, &mut g, &mut ws);
    assert!(u.iter().zip(&g).all(|(u, g)| (u + g).abs() < 1e-11), "{g:?}");
    // A flow near it, in a mixture whose groups of draws are of any size.
    let near = guide(Some("realnvp(layers=4, hidden=[16])"));
    let safe = StudentT::around(&start).unwrap();
    let q = Mixture::defensive(&near, &safe).unwrap();
    Record::new(n.log_z, |seed| importance_of(&n.target, &q, 512, seed)).check("flow in a mixture");
}

#[test]
fn eight_schools_with_the_guide_fitted_anew_each_time() {
    // log Z = -31.311347352292785 by quadrature, with every constant; the target lacks those of mu, tau, z and y.
    let sigma = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0];
    let scales: f64 = sigma.iter().map(|s: &f64| s.ln()).sum();
    let constants = (2.0 / (5.0 * PI)).ln() - 5f64.ln() - 8.5 * (2.0 * PI).ln() - scales;
    let truth = -31.311347352292785 - constants;
    // A normal with the moments of the first half of short runs; the second half is fresh.
    let run = |seed: u64| {
        let config = Nuts { seed, warmup: 300, draws: 600, ..Nuts::default() };
        let samples = config.sample(&EightSchools, &Init::default(), &Control::default()).unwrap();
        let chains: Vec<Vec<f64>> = samples.draws.iter().map(|d| d.positions().to_vec()).collect();
        let start = moments(&chains.iter().flat_map(|c| c[..300 * 10].to_vec()).collect::<Vec<f64>>());
        let family = Arc::new(Family::new(10, Base::Normal, None, Scale::Full).unwrap());
        let theta = family.initial(&start, 0);
        let (guide, safe) = (Guide::new(family, theta), StudentT::around(&start).unwrap());
        let q = Mixture::defensive(&guide, &safe).unwrap();
        let settings = Settings { particles: 2048, replicates: 1, seed };
        evidence(
            &EightSchools,
            &q,
            Some(Posterior { chains: &chains, draws: Draws::SecondHalf, fault: None }),
            &settings,
        )
        .unwrap()
    };
    let all: Vec<Evidence> = (0..REPLICATES as u64).map(run).collect();
    let bridged = |seed: u64| all[seed as usize].bridge.as_ref().unwrap().estimate;
    Record::new(truth, |seed| all[seed as usize].importance.estimate).check("eight schools, mixture");
    Record::new(truth, bridged).check("eight schools, bridge");
    // At most 1 % each: P(more than 6 of 64) < 1e-6.
    let outside = all.iter().filter(|e| !(e.sandwich.lower..e.sandwich.upper).contains(&truth)).count();
    let usable = all.iter().filter(|e| e.bridge.as_ref().unwrap().standing.usable()).count();
    assert!(outside <= 6 && usable == REPLICATES, "{outside} {usable}");
}

#[test]
fn boxed_targets_of_the_literature() {
    // Rosenbrock in (-5, 5)^2: -5.804132363794471, by quadrature.
    let rosenbrock = Boxed(5.0, |x: &[f64]| -100.0 * (x[1] - x[0] * x[0]).powi(2) - (1.0 - x[0]).powi(2));
    let q = Pushed(Valley);
    Record::new(-5.804132363794471, |seed| importance_of(&rosenbrock, &q, 2048, seed)).check("rosenbrock");
    let weights = drawn(&rosenbrock, &q, 4096, 1, "zeros").unwrap();
    // Draws beyond the box: x > sqrt 5 or so, P = Phi(-1.65) = 0.05.
    assert!((100..400).contains(&weights.zero) && weights.bad == 0, "{}", weights.zero);
    // Gaussian shells in (-6, 6)^2: -1.7456418720467588, by quadrature.
    let shell = |x: &[f64], c: f64| {
        let r = (x[0] - c).hypot(x[1]);
        -0.5 * ((r - 2.0) / 0.1).powi(2) - 0.5 * (2.0 * PI * 0.01).ln()
    };
    let shells = Boxed(6.0, move |x: &[f64]| thalweg::base::special::log_sum_exp(shell(x, 3.5), shell(x, -3.5)));
    let wide = StudentT::new(vec![0.0; 2], vec![4.0, 0.0, 2.5]).unwrap();
    Record::new(-1.7456418720467588, |seed| importance_of(&shells, &wide, 1 << 13, seed)).check("shells");
}

#[test]
fn the_sandwich_holds_the_truth() {
    let n = Normals::new();
    let q = n.mixture();
    let mut outside = 0;
    for seed in 0..REPLICATES as u64 {
        let chains = n.chains(seed, 4, 250, 0.5);
        let settings = Settings { particles: 1024, replicates: 2, seed };
        let posterior = Posterior { chains: &chains, draws: Draws::All, fault: None };
        let s = evidence(&n.target, &q, Some(posterior), &settings).unwrap().sandwich;
        outside += usize::from(!(s.lower..s.upper).contains(&n.log_z));
        assert!(s.verdict == Verdict::Agree || s.verdict == Verdict::Contradiction, "{s:?}");
        assert!(s.mcse < 0.1 && s.khat < 0.5, "{s:?}");
    }
    // At most 1 % each: P(more than 6 of 64) < 1e-6.
    assert!(outside <= 6, "{outside} of {REPLICATES}");
}

#[test]
fn chains_that_have_not_mixed_give_no_limits() {
    let n = Normals::new();
    let (q, chains) = (n.mixture(), n.chains(3, 4, 250, 0.5));
    let found = |posterior| evidence(&n.target, &q, posterior, &Settings::default()).unwrap().sandwich;
    let with = |fault| found(Some(Posterior { chains: &chains, draws: Draws::All, fault }));
    let (without, sound, unmixed) = (found(None), with(None), with(Some("R-hat 1.020")));
    let all = |s: &Sandwich| [s.log_z, s.mcse, s.lower, s.upper].map(f64::to_bits);
    assert_eq!(all(&unmixed), all(&without));
    assert_ne!(all(&unmixed), all(&sound));
    let unused = unmixed.table.iter().filter(|r| r.standing == Standing::Untrusted("R-hat 1.020".into()));
    assert_eq!(unused.count(), sound.table.len() - without.table.len());
}

#[test]
fn a_missed_mode_is_a_contradiction() {
    // Half of the mass is where the proposal never goes; the posterior draws know both halves.
    let target = Boxed(60.0, |x: &[f64]| {
        let part = |m: f64| -0.5 * ((x[0] - m).powi(2) + x[1] * x[1]);
        thalweg::base::special::log_sum_exp(part(-25.0), part(25.0))
    });
    let flow = Pushed(Affine::diagonal(vec![25.0, 0.0], &[1.1; 2]));
    let mut rng = Stream::new(1, "modes", 0);
    let mut draws = |side: &dyn Fn(usize, f64) -> bool| -> Vec<Vec<f64>> {
        let mut draw = |c: usize| {
            let m = if side(c, rng.uniform()) { 25.0 } else { -25.0 };
            [m + rng.normal(), rng.normal()]
        };
        (0..4).map(|c| (0..500).flat_map(|_| draw(c)).collect()).collect()
    };
    // Chains that go between the modes, and chains each of which stays in one.
    let (mixed, stuck) = (draws(&|_, u| u < 0.5), draws(&|c, _| c % 2 == 0));
    let settings = Settings::default();
    let blind = evidence(&target, &flow, None, &settings).unwrap();
    // Nothing shows without posterior draws: hence the words of the verdict.
    assert!(blind.sandwich.verdict == Verdict::Agree && blind.sandwich.reason.contains("no mode was missed"));
    let seen = |chains: &[Vec<f64>]| {
        evidence(&target, &flow, Some(Posterior { chains, draws: Draws::All, fault: None }), &settings)
            .unwrap()
            .sandwich
    };
    let (mixed, stuck) = (seen(&mixed), seen(&stuck));
    assert_eq!(mixed.verdict, Verdict::Contradiction, "{}", mixed.reason);
    assert!(stuck.verdict == Verdict::NotTrusted && stuck.reason.contains("50 %"), "{}", stuck.reason);
}
