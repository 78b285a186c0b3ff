//! Exact identities of proposals and estimators, counts and refusals.

use crate::base::rng::Stream;
use crate::density::{LogDensity, Proposal};
use crate::evidence::bounds::{ladder, lower, upper};
use crate::evidence::bridge::{Draws, bridge};
use crate::evidence::error::EvidenceError;
use crate::evidence::estimate::Standing;
use crate::evidence::importance::importance;
use crate::evidence::mixture::Mixture;
use crate::evidence::run::{Evidence, Posterior, Settings, evidence};
use crate::evidence::sandwich::{Kind, Row, Verdict, bonferroni, sandwich};
use crate::evidence::student::StudentT;
use crate::evidence::weights::{PosteriorWeights, Weights, at, drawn};
use crate::testing::invariance::kolmogorov;
use crate::testing::targets::{DiagNormal, Exact, Funnel};
use crate::testing::transport::{Affine, FunnelMap, Pushed};
use std::f64::consts::PI;

const SD: [f64; 3] = [0.1, 1.0, 7.0];

fn normal() -> (DiagNormal, f64) {
    let log_z = SD.iter().map(|s| s.ln() + 0.5 * (2.0 * PI).ln()).sum();
    (DiagNormal::new(SD.to_vec()), log_z)
}

fn student() -> StudentT {
    StudentT::new(vec![0.3, -1.0, 2.0], vec![0.5, 0.2, 1.5, -0.3, 0.7, 2.0]).expect("a scale")
}

/// Exact draws, `chains` x `draws`.
fn posterior<T: Exact>(target: &T, chains: usize, draws: usize) -> Vec<Vec<f64>> {
    let chain = |c: usize| {
        let mut rng = Stream::new(5, "posterior", c as u64);
        let mut x = vec![0.0; draws * target.dim()];
        x.chunks_exact_mut(target.dim()).for_each(|x| target.draw(&mut rng, x));
        x
    };
    (0..chains).map(chain).collect()
}

/// With the exact posterior as proposal nothing is random any more.
fn check_exact<T: Exact>(target: &T, proposal: &dyn Proposal, log_z: f64) {
    let weights = drawn(target, proposal, 4096, 1, "exact").expect("dimensions agree");
    assert!(weights.log().iter().all(|w| (w - log_z).abs() < 1e-10));
    let chains = posterior(target, 4, 200);
    let settings = Settings { particles: 2048, replicates: 2, seed: 3 };
    let result =
        evidence(target, proposal, Some(Posterior { chains: &chains, draws: Draws::All, fault: None }), &settings);
    let Evidence { sandwich: s, importance: i, lower_bounds, upper_bounds, bridge } = result.expect("enough draws");
    let bridge = bridge.expect("posterior draws were given");
    let bounds = lower_bounds.iter().chain(&upper_bounds).map(|b| b.estimate);
    for e in bounds.chain([i.estimate, bridge.estimate]) {
        assert!((e.value - log_z).abs() < 1e-10 && e.mcse < 1e-10, "{e:?} against {log_z}");
    }
    assert!((i.estimate.ess - 4096.0).abs() < 1e-6 && i.estimate.khat == 0.0 && i.standing == Standing::Sound, "{i:?}");
    assert!(i.doubling.iter().all(|e| (e.ess / e.n as f64 - 1.0).abs() < 1e-9));
    assert!(lower_bounds.len() > 4 && upper_bounds.len() > 4);
    assert_eq!(s.verdict, Verdict::Agree, "{s:?}");
    assert!((s.log_z - log_z).abs() < 1e-10 && (s.upper - s.lower).abs() < 1e-8);
}

#[test]
fn the_exact_posterior_as_proposal_leaves_nothing_random() {
    let (target, log_z) = normal();
    check_exact(&target, &Pushed(Affine::diagonal(vec![0.0; 3], &SD)), log_z);
    // The funnel's density lacks (2 pi)^(5/2) 3.
    check_exact(&Funnel { dim: 5 }, &Pushed(FunnelMap { dim: 5 }), 2.5 * (2.0 * PI).ln() + 3f64.ln());
}

#[test]
fn a_mixture_of_exact_proposals_is_exact() {
    let (target, log_z) = normal();
    let q = Pushed(Affine::diagonal(vec![0.0; 3], &SD));
    check_exact(&target, &Mixture::new(vec![(0.5, &q), (0.25, &q), (0.25, &q)]).expect("weights"), log_z);
}

/// Draws of a proposal with `n` particles at once, against its density at the same points.
fn check_draws(q: &dyn Proposal, n: usize) {
    let d = q.dim();
    let mut noise = vec![0.0; n * q.noise()];
    Stream::new(2, "draws", 0).fill_normal(&mut noise);
    let mut ws = vec![f64::NAN; q.lanes_scratch().max(q.scratch())];
    let (mut x, mut log_q, mut lanes) = (vec![0.0; n * d], vec![0.0; n], vec![0.0; n]);
    q.draw(&noise, &mut x, &mut log_q, &mut ws);
    q.logp_lanes(&x, &mut lanes, &mut ws);
    for p in 0..n {
        let point: Vec<f64> = (0..d).map(|j| x[j * n + p]).collect();
        let one = q.logp(&point, &mut ws);
        assert!((log_q[p] - one).abs() < 1e-11 * (1.0 + one.abs()), "{} {one}", log_q[p]);
        assert!((lanes[p] - one).abs() < 1e-12 * (1.0 + one.abs()), "{} {one}", lanes[p]);
        // A draw depends on its own noise alone.
        let (mut alone, mut q_alone) = (vec![0.0; d], [0.0]);
        q.draw(&noise[p * q.noise()..(p + 1) * q.noise()], &mut alone, &mut q_alone, &mut ws);
        assert_eq!((alone, q_alone[0].to_bits()), (point, log_q[p].to_bits()));
    }
}

#[test]
fn draws_carry_their_density() {
    let (t, normal) = (student(), Pushed(Affine::diagonal(vec![1.0; 3], &SD)));
    let mixture = Mixture::defensive(&normal, &t).expect("one space");
    assert_eq!((t.noise(), mixture.noise()), (7, 8));
    for n in [1, 63, 64, 65, 300] {
        check_draws(&t, n);
        check_draws(&mixture, n);
    }
    // The mixture's density is the weighted sum.
    let x = [0.5, -0.2, 3.0];
    let mut ws = vec![0.0; mixture.scratch()];
    let sum = 0.9 * normal.logp(&x, &mut ws).exp() + 0.1 * t.logp(&x, &mut ws).exp();
    assert!((mixture.logp(&x, &mut ws) - sum.ln()).abs() < 1e-12);
}

#[test]
fn student_draws_follow_their_law() {
    // Kolmogorov-Smirnov of (x - m) / l, false alarms 1e-6; with 3 or 5 degrees of freedom it must fail.
    let q = StudentT::new(vec![2.0], vec![3.0]).expect("a scale");
    let n = 250_000;
    let mut noise = vec![0.0; n * q.noise()];
    Stream::new(7, "student", 0).fill_normal(&mut noise);
    let (mut x, mut log_q) = (vec![0.0; n], vec![0.0; n]);
    q.draw(&noise, &mut x, &mut log_q, &mut []);
    x.iter_mut().for_each(|x| *x = (*x - 2.0) / 3.0);
    x.sort_unstable_by(f64::total_cmp);
    // Closed forms of the distribution functions.
    let four = |t: f64| {
        let s = t / (t * t + 4.0).sqrt();
        0.5 + 0.75 * s * (1.0 - s * s / 3.0)
    };
    let three = |t: f64| {
        let s = t / 3f64.sqrt();
        0.5 + (s / (1.0 + s * s) + s.atan()) / PI
    };
    let five = |t: f64| {
        let s = t / 5f64.sqrt();
        0.5 + (s / (1.0 + s * s) * (1.0 + 2.0 / 3.0 / (1.0 + s * s)) + s.atan()) / PI
    };
    let threshold = (0.5 * (2.0f64 / 1e-6).ln()).sqrt();
    let ks = [kolmogorov(&x, three), kolmogorov(&x, four), kolmogorov(&x, five)];
    assert!(ks[1] < threshold && ks[0] > threshold && ks[2] > threshold, "{ks:?}");
    // One dimension: density 3/8 (1 + t^2/4)^(-5/2), at t = 0 and 2.
    let at = |x: f64| q.logp(&[x], &mut [0.0; 2]).exp() * 3.0;
    assert!((at(2.0) - 0.375).abs() < 1e-14 && (at(8.0) - 0.375 * 2f64.powf(-2.5)).abs() < 1e-14);
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let (target, _) = normal();
    let q = student();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let weights = pool.install(|| drawn(&target, &q, 3000, 1, "threads")).expect("dimensions agree");
        weights.log().iter().map(|w| w.to_bits()).collect::<Vec<u64>>()
    };
    assert_eq!(run(1), run(3));
    // Fewer particles are the first of more.
    assert_eq!(drawn(&target, &q, 700, 1, "threads").expect("dimensions agree").log().len(), 700);
    assert_eq!(
        run(1)[..512],
        drawn(&target, &q, 512, 1, "threads")
            .expect("dimensions agree")
            .log()
            .iter()
            .map(|w| w.to_bits())
            .collect::<Vec<_>>()[..]
    );
}

#[test]
fn weights_of_zero_and_no_numbers_are_counted() {
    let mut log = vec![0.0; 1000];
    log[..250].fill(f64::NEG_INFINITY);
    let zeros = importance(&Weights::new(log.clone())).expect("enough");
    // A quarter of the weights is zero, the others are 1: Z = 3/4, relative variance 1/3.
    assert!((zeros.estimate.value - 0.75f64.ln()).abs() < 1e-12 && zeros.zero == 250 && zeros.bad == 0);
    assert!((zeros.estimate.mcse - (1.0 / 3.0 / 999.0f64).sqrt()).abs() < 1e-12 && zeros.standing == Standing::Sound);
    assert!((zeros.estimate.ess - 750.0).abs() < 1e-9);
    log[999] = f64::NAN;
    log[998] = f64::INFINITY;
    let weights = Weights::new(log);
    assert_eq!((weights.zero, weights.bad), (250, 2));
    let bad = importance(&weights).expect("enough");
    assert!(matches!(&bad.standing, Standing::Untrusted(why) if why.contains("2 of 1000")), "{bad:?}");
    let table = vec![Row::importance(&bad, 1), Row::lower(&lower(&weights).expect("enough")[0], weights.fault())];
    assert_eq!(sandwich(table, None).verdict, Verdict::NotTrusted);
    let nothing = importance(&Weights::new(vec![f64::NEG_INFINITY; 500])).expect("enough");
    assert!(!nothing.standing.usable() && nothing.estimate.mcse == f64::INFINITY, "{nothing:?}");
}

#[test]
fn the_bridge_sees_posterior_draws_without_a_density() {
    let proposal = Weights::new(vec![0.0; 100]);
    let with = |w: f64| PosteriorWeights::new(vec![vec![0.0, 0.0, 0.0, w]; 20]).expect("enough");
    assert!(bridge(&with(0.0), &proposal, Draws::All).expect("enough").standing == Standing::Sound);
    for w in [f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(with(w).bad, 20);
        assert!(!bridge(&with(w), &proposal, Draws::All).expect("enough").standing.usable());
    }
    // The proposal's density may vanish at posterior draws: a quarter of the mass is out of its reach, Z = 4/3.
    let b = bridge(&with(f64::INFINITY), &proposal, Draws::All).expect("enough");
    assert!((b.estimate.value - (4f64 / 3.0).ln()).abs() < 1e-9, "{b:?}");
    let bounds = upper(&with(f64::INFINITY), &Weights::new(vec![0.0; 1000])).expect("enough");
    assert!(bounds.iter().all(|b| b.estimate.value == f64::INFINITY));
}

#[test]
fn extreme_weights_do_not_move_the_bridge() {
    // A draw far out in the proposal's tail can weigh e^-1e12; it counts like one of weight zero.
    let posterior = PosteriorWeights::new(vec![(0..50).map(|i| f64::from(i % 7) * 0.1).collect(); 2]).expect("enough");
    let with = |w: f64| {
        let log = (0..200).map(|i| f64::from(i % 5) * 0.1 - 0.2).chain([w]).collect();
        bridge(&posterior, &Weights::new(log), Draws::All).expect("enough").estimate
    };
    let (zero, tiny) = (with(f64::NEG_INFINITY), with(-2.5e12));
    assert!((zero.value - tiny.value).abs() < 1e-10 && (zero.mcse - tiny.mcse).abs() < 1e-12, "{zero:?} {tiny:?}");
    assert!(zero.mcse > 0.0 && zero.mcse < 0.1);
}

#[test]
fn bounds_on_the_same_particles_are_ordered() {
    // Jensen: means over groups of 10 are never above the log of their mean.
    let (target, log_z) = normal();
    let weights = drawn(&target, &student(), 6400, 4, "order").expect("dimensions agree");
    let bounds = lower(&weights).expect("enough");
    assert_eq!(bounds.iter().map(|b| b.k).collect::<Vec<_>>(), [1, 2, 5, 10, 20, 50, 100]);
    let value = |k: usize| bounds.iter().find(|b| b.k == k).map(|b| b.estimate.value).expect("on the ladder");
    assert!(value(1) <= value(2) && value(2) <= value(10) && value(10) <= value(100) && value(1) < log_z);
    assert_eq!(ladder(0), Vec::<usize>::new());
    assert_eq!(ladder(4), [1, 2]);
}

#[test]
fn verdicts() {
    let estimate = |value, mcse| crate::evidence::estimate::Estimate { value, mcse, ess: 100.0, n: 100, khat: 0.1 };
    let row = |kind, value, mcse| Row {
        method: format!("{kind:?}"),
        kind,
        estimate: estimate(value, mcse),
        standing: Standing::Sound,
        replicates: 4,
    };
    let verdict = |table: Vec<Row>| sandwich(table, None).verdict;
    assert_eq!(verdict(vec![row(Kind::Lower, -1.0, 0.01), row(Kind::Upper, -0.9, 0.01)]), Verdict::Agree);
    assert_eq!(verdict(vec![row(Kind::Lower, -3.0, 0.01), row(Kind::Upper, -0.9, 0.01)]), Verdict::Wide);
    assert_eq!(verdict(vec![row(Kind::Lower, -1.0, 0.01), row(Kind::Upper, -1.5, 0.01)]), Verdict::Contradiction);
    assert_eq!(verdict(vec![row(Kind::Lower, -1.0, 0.01)]), Verdict::NotTrusted);
    assert_eq!(verdict(vec![]), Verdict::NotTrusted);
    let both = || vec![row(Kind::Both, -1.0, 0.1), row(Kind::Lower, -1.2, 0.01)];
    let doubted = sandwich(both(), Some("out of reach".into()));
    assert!(doubted.verdict == Verdict::NotTrusted && doubted.reason == "out of reach");
    let s = sandwich(both(), None);
    // Three limits: z = Phi^-1(1 - 0.01 / 3).
    assert!((s.z - 2.713).abs() < 1e-3 && (s.upper - (-1.0 + 0.1 * s.z)).abs() < 1e-12, "{s:?}");
    assert!((s.lower - (-1.2 - 0.01 * s.z)).abs() < 1e-12 && s.method == "Both" && s.replicates == 4);
    assert!(s.reason.contains("given that no mode was missed") && bonferroni(0).is_finite());
    let json = serde_json::to_value(&s).expect("JSON");
    for key in ["log_z", "mcse", "lower", "upper", "khat", "ess", "method", "verdict", "replicates"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(json["verdict"], "agree");
    assert_eq!(json["table"][0]["standing"], "sound");
}

#[test]
fn what_does_not_fit_is_refused() {
    let (target, _) = normal();
    let short = Pushed(Affine::diagonal(vec![0.0], &[1.0]));
    let e = drawn(&target, &short, 10, 0, "refused").expect_err("one coordinate against three");
    assert_eq!(e, EvidenceError::Dimension { what: "the proposal", found: 1, expected: 3 });
    assert!(at(&target, &short, &[0.0; 3]).is_err());
    assert!(importance(&Weights::new(vec![0.0; 10])).is_err() && lower(&Weights::new(vec![])).is_err());
    assert!(PosteriorWeights::new(vec![vec![0.0; 5], vec![0.0; 6]]).is_err());
    assert!(PosteriorWeights::new(vec![]).is_err());
    for scale in [vec![1.0, 2.0], vec![1.0, 0.0, 0.0], vec![f64::NAN, 0.0, 1.0]] {
        assert!(StudentT::new(vec![0.0; 2], scale).is_err());
    }
    let t = student();
    for weights in [[0.5, 0.6], [1.0, 0.0], [f64::NAN, 0.5]] {
        assert!(Mixture::new(vec![(weights[0], &t), (weights[1], &t)]).is_err());
    }
    assert!(Mixture::new(vec![]).is_err() && Mixture::new(vec![(0.5, &t), (0.5, &short)]).is_err());
}
