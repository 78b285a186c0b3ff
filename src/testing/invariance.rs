//! The exact invariance test of Gandy & Scott (2020, arXiv:2001.06465).
//!
//! Independent exact draws from the target take a few steps of the kernel. If the kernel leaves the target invariant
//! they are independent exact draws still: no burn-in, no effective sample size, honest p-values.

use crate::base::rng::Stream;
use crate::mcmc::kernel::Kernel;
use crate::mcmc::metric::Metric;
use crate::mcmc::state::State;
use crate::testing::targets::{Exact, LogExponential};

/// Largest depth of the trees under test.
pub const DEPTH: usize = 8;

/// How a kernel is tested: `chains` exact draws take `steps` steps of size `eps`.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Number of coordinates.
    pub dim: usize,
    /// Number of draws.
    pub chains: usize,
    /// Steps each takes.
    pub steps: usize,
    /// Step size.
    pub eps: f64,
    /// Seed.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { dim: 5, chains: 20_000, steps: 3, eps: 0.9, seed: 1 }
    }
}

/// One statistic, standard normal (or Kolmogorov's, for `ks`) when the kernel is right.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Name of the statistic farthest beyond its threshold, or closest to it.
    pub statistic: &'static str,
    /// Its size.
    pub value: f64,
    /// Its threshold at the false-alarm rate asked for.
    pub threshold: f64,
    /// Mean acceptance statistic over all steps.
    pub accept: f64,
}

impl Verdict {
    /// Whether the kernel is rejected.
    pub fn rejected(&self) -> bool {
        self.value > self.threshold
    }
}

/// Draws after the steps, and the mean acceptance statistic.
pub fn evolve<K: Kernel, T: Exact>(kernel: &K, target: &T, metric: &Metric, setup: Setup) -> (Vec<f64>, f64) {
    let d = target.dim();
    let mut state = State::new(target, DEPTH);
    let mut rng = Stream::new(setup.seed, "invariance", 0);
    let mut out = vec![0.0; setup.chains * d];
    let mut accept = 0.0;
    for x in out.chunks_exact_mut(d) {
        target.draw(&mut rng, x);
        state.set_position(target, x);
        for _ in 0..setup.steps {
            accept += kernel.step(target, metric, setup.eps, &mut state, &mut rng).accept;
        }
        x.copy_from_slice(state.position());
    }
    (out, accept / (setup.chains * setup.steps) as f64)
}

/// Tests a kernel on the skewed log-exponential target with false-alarm rate `alpha`, split evenly over five
/// statistics: Kolmogorov-Smirnov on all coordinates, and the means of x, e^x, e^2x and of products of neighbours,
/// each standardised with the target's own moments.
pub fn invariance<K: Kernel>(kernel: &K, metric: &Metric, setup: Setup, alpha: f64) -> Verdict {
    let target = LogExponential { dim: setup.dim };
    let (mut x, accept) = evolve(kernel, &target, metric, setup);
    let products = neighbours(&x, setup.dim);
    x.sort_unstable_by(f64::total_cmp);
    let share = alpha / 5.0;
    let normal = normal_threshold(share);
    let statistics = [
        ("ks", kolmogorov(&x, LogExponential::cdf), (0.5 * (2.0 / share).ln()).sqrt()),
        ("mean of x", standardised(&x, |x| x, -EULER, VARIANCE), normal),
        // E e^x = 1 and var e^x = 1; E e^2x = 2 and var e^2x = 24 - 4.
        ("mean of e^x", standardised(&x, f64::exp, 1.0, 1.0), normal),
        ("mean of e^2x", standardised(&x, |x| (2.0 * x).exp(), 2.0, 20.0), normal),
        ("product", standardised(&products, |p| p, 0.0, VARIANCE * VARIANCE), normal),
    ];
    let excess = |s: &(&str, f64, f64)| {
        if s.1.is_nan() { f64::INFINITY } else { s.1 / s.2 }
    };
    let worst = statistics.iter().max_by(|a, b| excess(a).total_cmp(&excess(b)));
    let (statistic, value, threshold) = worst.copied().unwrap_or(("none", f64::INFINITY, normal));
    let value = if value.is_nan() { f64::INFINITY } else { value };
    Verdict { statistic, value, threshold, accept }
}

/// Euler's constant: minus the mean of one coordinate.
const EULER: f64 = 0.577_215_664_901_532_9;
/// Variance of one coordinate, pi^2 / 6.
const VARIANCE: f64 = std::f64::consts::PI * std::f64::consts::PI / 6.0;

/// Products of centred coordinates 0 and 1, 2 and 3, ... of each draw: independent of one another.
fn neighbours(x: &[f64], dim: usize) -> Vec<f64> {
    let pairs = |d: &[f64]| d.chunks_exact(2).map(|p| (p[0] + EULER) * (p[1] + EULER)).collect::<Vec<_>>();
    x.chunks_exact(dim).flat_map(pairs).collect()
}

/// |mean of f(x) - expected| in standard errors, the variance being known.
fn standardised(x: &[f64], f: impl Fn(f64) -> f64, expected: f64, variance: f64) -> f64 {
    let n = x.len() as f64;
    let mean = x.iter().map(|&x| f(x)).sum::<f64>() / n;
    (mean - expected).abs() / (variance / n).sqrt()
}

/// sqrt(n) sup |F_n - F| of sorted numbers; beyond c with probability at most 2 exp(-2 c^2).
pub fn kolmogorov(sorted: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    let n = sorted.len() as f64;
    let gap = |(i, &x): (usize, &f64)| {
        let f = cdf(x);
        (f - i as f64 / n).max((i + 1) as f64 / n - f)
    };
    n.sqrt() * sorted.iter().enumerate().map(gap).fold(0.0, f64::max)
}

/// Two-sided threshold of a standard normal statistic.
pub fn normal_threshold(alpha: f64) -> f64 {
    use statrs::distribution::{ContinuousCDF, Normal};
    -Normal::standard().inverse_cdf(0.5 * alpha)
}
