//! Runs: equality, end to end against known answers, sinks, cancellation, errors.

use std::f64::consts::{PI, SQRT_2};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use thalweg::base::rng::Stream;
use thalweg::density::{Gradient, LogDensity};
use thalweg::diagnostics::summary::mean as average;
use thalweg::diagnostics::{ess, rhat};
use thalweg::mcmc::config::{Control, Nuts, Phase};
use thalweg::mcmc::error::McmcError;
use thalweg::mcmc::init::Init;
use thalweg::mcmc::metric::MetricKind;
use thalweg::mcmc::run::Samples;
use thalweg::mcmc::sink::{Discard, Draw, Memory, Sink};
use thalweg::testing::invariance::normal_threshold;
use thalweg::testing::targets::{Banana, DiagNormal, EightSchools, LogExponential};

/// False-alarm rate of each statistical assertion.
const ALPHA: f64 = 1e-6;

fn run<T: Gradient>(target: &T, config: &Nuts) -> Samples {
    config.sample(target, &Init::default(), &Control::default()).unwrap()
}

fn bits(s: &Samples) -> Vec<u64> {
    let draw = |m: &Memory| m.positions().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let chains = s.chains.iter().flat_map(|c| [c.step_size.to_bits(), c.gradients, c.ebfmi.to_bits()]);
    s.draws.iter().flat_map(draw).chain(chains).collect()
}

#[test]
fn same_bits_for_any_number_of_threads_and_chains() {
    for metric in [MetricKind::Diag, MetricKind::Dense, MetricKind::low_rank(), MetricKind::Unit] {
        let config =
            |chains, threads, seed| Nuts { chains, threads, seed, metric, warmup: 150, draws: 50, ..Nuts::default() };
        let one = run(&EightSchools, &config(3, Some(1), 7));
        assert_eq!(bits(&one), bits(&run(&EightSchools, &config(3, Some(1), 7))), "same seed twice");
        assert_eq!(bits(&one), bits(&run(&EightSchools, &config(3, Some(2), 7))), "two threads");
        assert_eq!(bits(&one), bits(&run(&EightSchools, &config(3, None, 7))), "global pool");
        let fewer = run(&EightSchools, &config(2, None, 7));
        assert_eq!(one.draws[..2], fewer.draws[..], "chains do not depend on one another");
        assert_ne!(bits(&one), bits(&run(&EightSchools, &config(3, Some(1), 8))), "another seed");
    }
}

#[test]
fn a_trait_object_is_a_target() {
    let target: &dyn Gradient = &DiagNormal::standard(2);
    let config = Nuts { warmup: 50, draws: 20, ..Nuts::default() };
    let s = config.sample(target, &Init::default(), &Control::default()).unwrap();
    assert_eq!(bits(&s), bits(&run(&DiagNormal::standard(2), &config)));
}

/// |estimate - mean| sqrt(ESS) / sd for the mean of f(x_j), whose true mean and sd are given. The true sd makes it nearly
/// normal: with the draws' own sd, z of a skewed f has a long tail (beyond 4.5 a hundred times too often).
fn z_of_mean(s: &Samples, j: usize, f: impl Fn(f64) -> f64, mean: f64, sd: f64) -> f64 {
    let column = |d: &Memory| d.coordinate(j).into_iter().map(&f).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = s.draws.iter().map(column).collect();
    let chains: Vec<&[f64]> = columns.iter().map(|c| &c[..]).collect();
    let rhat = rhat::rhat(&chains);
    assert!(rhat < 1.02, "coordinate {j} has not mixed: R-hat {rhat}");
    (average(&chains.concat()) - mean).abs() * ess::mean(&chains).sqrt() / sd
}

#[test]
fn end_to_end_on_a_normal() {
    // 60 z-values below 4.7: false alarms 60 * 2.6e-6 = 1.6e-4 per change of the streams.
    for metric in [MetricKind::Diag, MetricKind::Dense, MetricKind::low_rank()] {
        let target = DiagNormal::log_spaced(10, 0.1, 10.0);
        let s = run(&target, &Nuts { metric, seed: 11, ..Nuts::default() });
        for (j, sd) in target.sd().iter().enumerate() {
            let z = [z_of_mean(&s, j, |x| x, 0.0, *sd), z_of_mean(&s, j, |x| x * x, sd * sd, SQRT_2 * sd * sd)];
            assert!(z.iter().all(|z| *z < 4.7), "coordinate {j}: {z:?}");
        }
        for c in &s.chains {
            assert_eq!((c.divergent, c.max_depth_hits, c.iterations, c.cancelled), (0, 0, 1000, false));
            assert!((0.7..0.9).contains(&c.accept) && c.ebfmi > 0.6, "{c:?}");
            // The metric has learned the scales (dense and low rank up to the shrinkage and noise of the last window).
            for (v, sd) in c.metric.variances().iter().zip(target.sd()) {
                assert!((v / (sd * sd)).ln().abs() < 0.3, "{v} {sd}");
            }
        }
    }
}

#[test]
fn end_to_end_on_skewed_and_curved_targets() {
    let s = run(&LogExponential { dim: 4 }, &Nuts { seed: 3, ..Nuts::default() });
    for j in 0..4 {
        let z = [z_of_mean(&s, j, |x| x, -0.577_215_664_9, PI / 6f64.sqrt()), z_of_mean(&s, j, f64::exp, 1.0, 1.0)];
        assert!(z.iter().all(|z| *z < normal_threshold(ALPHA)), "coordinate {j}: {z:?}");
    }
    let target = Banana { curvature: 0.3, width: 1.0 };
    let s = run(&target, &Nuts { seed: 4, target_accept: 0.95, draws: 3000, ..Nuts::default() });
    let z = [
        z_of_mean(&s, 0, |x| x, 0.0, 1.0),
        z_of_mean(&s, 0, |x| x * x, 1.0, SQRT_2),
        z_of_mean(&s, 1, |x| x, 0.0, 1.18f64.sqrt()),
    ];
    assert!(z.iter().all(|z| *z < normal_threshold(ALPHA)), "{z:?}");
}

#[test]
fn eight_schools_cost_is_bounded() {
    // Stan 2.35 needs 33,000 leapfrog steps for 4 x 1000 draws with a smallest bulk ESS of 2377: 13.9 per draw.
    let s = run(&EightSchools, &Nuts { seed: 1, ..Nuts::default() });
    let gradients: u64 = s.chains.iter().map(|c| c.gradients).sum();
    let bulk = |j: usize| {
        let columns: Vec<Vec<f64>> = s.draws.iter().map(|d| d.coordinate(j)).collect();
        ess::bulk(&columns.iter().map(|c| &c[..]).collect::<Vec<_>>())
    };
    let least = (0..10).map(bulk).fold(f64::INFINITY, f64::min);
    // Over 150 seeds the ratio was 12.1 in the median, 14.6 in the 90th percentile and 17.3 at most.
    assert!(gradients < 30_000 && gradients as f64 / least < 19.0, "{gradients} for {least}");
}

#[test]
fn divergences_are_kept_with_their_places() {
    // The support ends at x_0 = 0, so trajectories that cross it diverge with an infinite energy error.
    let config = Nuts { chains: 2, warmup: 300, draws: 500, seed: 2, ..Nuts::default() };
    let s = run(&Half { nan: false }, &config);
    let total: usize = s.chains.iter().map(|c| c.divergent).sum();
    let flagged = s.draws.iter().flat_map(|d| d.stats()).filter(|s| s.divergent).count();
    assert!(total > 0 && total == flagged, "{total} {flagged}");
    for (c, d) in s.chains.iter().zip(&s.draws) {
        for v in &c.divergences {
            assert!(v.energy_error == f64::INFINITY && v.end[0] <= 0.0, "{v:?}");
            if v.iteration > 0 {
                assert_eq!(v.start, d.position(v.iteration - 1));
            }
        }
    }
}

/// A sink that counts and may refuse.
#[derive(Default)]
struct Counting {
    warmup: usize,
    kept: Vec<usize>,
    refuse_at: Option<usize>,
}

impl Sink for Counting {
    fn draw(&mut self, d: &Draw<'_>) -> std::io::Result<()> {
        if self.refuse_at == Some(d.iteration) {
            return Err(std::io::Error::other("disk full"));
        }
        // The target is N(0, I), so position, gradient and log density tell of one another.
        assert!(d.x.iter().zip(d.gradient).all(|(x, g)| x == &-g));
        assert!((d.logp + 0.5 * d.x.iter().map(|x| x * x).sum::<f64>()).abs() < 1e-12 && d.energy >= -d.logp);
        if d.warmup {
            self.warmup += 1
        } else {
            self.kept.push(d.iteration)
        }
        Ok(())
    }
}

#[test]
fn sinks_receive_the_kept_draws() {
    let target = DiagNormal::standard(3);
    let config = Nuts { chains: 2, warmup: 30, draws: 25, thin: 10, save_warmup: true, ..Nuts::default() };
    let mut sinks = [Counting::default(), Counting::default()];
    config.run(&target, &Init::default(), &mut sinks, &Control::default()).unwrap();
    assert!(sinks.iter().all(|s| s.warmup == 3 && s.kept == [0, 10, 20]));
    sinks[1].refuse_at = Some(20);
    let e = config.run(&target, &Init::default(), &mut sinks, &Control::default()).unwrap_err();
    assert_eq!(e.to_string(), "chain 2: could not store draw 21: disk full");
}

#[test]
fn runs_are_watched_and_cancelled() {
    let target = DiagNormal::standard(2);
    let (calls, ends) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cancel = AtomicBool::new(false);
    let config = Nuts { chains: 1, warmup: 100, draws: 1_000_000_000, ..Nuts::default() };
    let progress = |p: &thalweg::mcmc::config::Progress| {
        calls.fetch_add(1, Ordering::Relaxed);
        if p.iteration == 100 {
            ends.lock().unwrap().push((p.phase, p.total));
        }
        if p.iteration > 1000 {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let control = Control { progress: Some(&progress), every: Duration::ZERO, cancel: Some(&cancel) };
    let mut sinks = [Discard];
    let run = config.run(&target, &Init::default(), &mut sinks, &control).unwrap();
    assert!(run[0].cancelled && (900..10_000).contains(&run[0].iterations), "{}", run[0].iterations);
    assert_eq!(*ends.lock().unwrap(), [(Phase::Warmup, 1_000_000_100)]);
    // Asked to report seldom, it reports the ends of both phases only.
    calls.store(0, Ordering::Relaxed);
    cancel.store(false, Ordering::Relaxed);
    let control = Control { every: Duration::from_secs(3600), ..control };
    Nuts { draws: 800, ..config }.run(&target, &Init::default(), &mut sinks, &control).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

/// Support x_0 > 0 only, and a gradient that is never finite in coordinate 1 when `nan` is set.
struct Half {
    nan: bool,
}

impl LogDensity for Half {
    fn dim(&self) -> usize {
        3
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        if x[0] > 0.0 { -x[0] - 0.5 * (x[1] * x[1] + x[2] * x[2]) } else { f64::NEG_INFINITY }
    }
}

impl Gradient for Half {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64 {
        grad.copy_from_slice(&[-1.0, if self.nan { f64::NAN } else { -x[1] }, -x[2]]);
        self.logp(x, ws)
    }
}

#[test]
fn starting_points() {
    let config = Nuts { chains: 2, warmup: 200, draws: 200, ..Nuts::default() };
    let sample = |target: &Half, init: &Init<'_>| config.sample(target, init, &Control::default());
    // Half of the uniform points are outside the support: tried again. Later points outside count as divergences.
    let s = sample(&Half { nan: false }, &Init::default()).unwrap();
    assert!(s.draws.iter().all(|d| d.coordinate(0).iter().all(|&x| x > 0.0)));
    let e = sample(&Half { nan: true }, &Init::default()).unwrap_err().to_string();
    assert!(e.contains("no usable starting point in 100 tries") && e.contains("coordinates 1;"), "{e}");
    let outside = Init::Given(vec![vec![1.0; 3], vec![-1.0, 0.0, 0.0]]);
    let e = sample(&Half { nan: false }, &outside).unwrap_err().to_string();
    assert!(e.contains("chain 2") && e.contains("log density -inf"), "{e}");
    let short = Init::Given(vec![vec![1.0; 3], vec![1.0; 2]]);
    let e = sample(&Half { nan: false }, &short).unwrap_err().to_string();
    assert_eq!(e, "the starting point of chain 1 has length 2; expected 3");
    let draw = |chain: usize, _: &mut Stream, x: &mut [f64]| x.fill(1.0 + chain as f64);
    sample(&Half { nan: false }, &Init::Draw { draw: &draw, tries: 1 }).unwrap();
}

#[test]
fn wrong_settings_are_named() {
    let target = DiagNormal::standard(1);
    let base = Nuts::default;
    let cases = [
        (Nuts { chains: 0, ..base() }, "`chains` is 0"),
        (Nuts { target_accept: 1.0, ..base() }, "`target_accept` is 1"),
        (Nuts { max_depth: 19, ..base() }, "`max_depth` is 19"),
        (Nuts { step_size: f64::NAN, ..base() }, "`step_size` is NaN"),
        (Nuts { metric: MetricKind::LowRank { cutoff: 0.5, max_rank: 3 }, ..base() }, "`metric` is"),
        (Nuts { threads: Some(0), ..base() }, "`threads` is 0"),
    ];
    for (config, message) in cases {
        let e = config.sample(&target, &Init::default(), &Control::default()).unwrap_err();
        assert!(matches!(e, McmcError::Config { .. }) && e.to_string().contains(message), "{e}");
    }
}

#[test]
fn a_target_without_coordinates_is_refused() {
    let target = DiagNormal::new(Vec::new());
    let e = Nuts::default().sample(&target, &Init::default(), &Control::default());
    assert!(matches!(e, Err(McmcError::NoCoordinates)));
}

#[test]
fn fixed_step_runs_without_warm_up() {
    let target = DiagNormal::standard(3);
    let config =
        Nuts { warmup: 0, draws: 2000, step_size: 0.5, step_jitter: 0.2, metric: MetricKind::Unit, ..Nuts::default() };
    let s = run(&target, &config);
    assert!(s.draws.iter().flat_map(|d| d.stats()).all(|s| (0.4..0.6).contains(&s.step_size)));
    for j in 0..3 {
        assert!(z_of_mean(&s, j, |x| x * x, 1.0, SQRT_2) < normal_threshold(ALPHA));
    }
    assert_eq!(s.draws[0].len(), 2000);
}
