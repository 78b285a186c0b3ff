//! Effective sample sizes (Vehtari et al. 2021, sections 3.2 and 4.2-4.4).

use crate::diagnostics::autocov::Autocov;
use crate::diagnostics::split::{chunks, halves, normal_scores, usable};
use crate::diagnostics::summary::{mean as average, sorted_quantile, variance};

/// Bulk effective sample size: of the rank-normalised split chains.
pub fn bulk(chains: &[&[f64]]) -> f64 {
    if !usable(chains) {
        return f64::NAN;
    }
    let halves = halves(chains);
    raw(&chunks(&normal_scores(&halves), halves[0].len()))
}

/// Tail effective sample size: the smaller of those of the 5 % and the 95 % quantile.
pub fn tail(chains: &[&[f64]]) -> f64 {
    if !usable(chains) {
        return f64::NAN;
    }
    let sorted = pooled(chains);
    let (low, high) = (at_quantile(chains, &sorted, 0.05), at_quantile(chains, &sorted, 0.95));
    // One indicator may be constant (many ties at an end); the other then decides.
    if low.is_nan() { high } else { low.min(high) }
}

/// Effective sample size for the mean: of the split chains.
pub fn mean(chains: &[&[f64]]) -> f64 {
    if !usable(chains) {
        return f64::NAN;
    }
    raw(&halves(chains))
}

/// Effective sample size for the standard deviation: of |x - mean|, split.
pub fn sd(chains: &[&[f64]]) -> f64 {
    if !usable(chains) {
        return f64::NAN;
    }
    let centre = average(&chains.concat());
    let away: Vec<f64> = chains.iter().flat_map(|c| c.iter().map(|x| (x - centre).abs())).collect();
    split_of(&away, chains[0].len())
}

/// Effective sample size for the quantile `prob`: of the indicator x <= quantile, split.
pub fn quantile(chains: &[&[f64]], prob: f64) -> f64 {
    if !usable(chains) || !(0.0..=1.0).contains(&prob) {
        return f64::NAN;
    }
    at_quantile(chains, &pooled(chains), prob)
}

fn pooled(chains: &[&[f64]]) -> Vec<f64> {
    let mut sorted = chains.concat();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

fn at_quantile(chains: &[&[f64]], sorted: &[f64], prob: f64) -> f64 {
    let q = sorted_quantile(sorted, prob);
    let below: Vec<f64> = chains.iter().flat_map(|c| c.iter().map(|&x| f64::from(x <= q))).collect();
    split_of(&below, chains[0].len())
}

fn split_of(all: &[f64], draws: usize) -> f64 {
    let chains = chunks(all, draws);
    if usable(&chains) { raw(&halves(&chains)) } else { f64::NAN }
}

/// Effective sample size of the chains as they are: S / tau-hat (eqs 10-13), the autocorrelations summed by Geyer's
/// initial monotone sequence; at most S log10 S.
pub fn raw(chains: &[&[f64]]) -> f64 {
    let draws = chains[0].len();
    let total = (chains.len() * draws) as f64;
    let (acov, within) = mean_autocov(chains);
    let n = draws as f64;
    let means: Vec<f64> = chains.iter().map(|c| average(c)).collect();
    let between = if chains.len() > 1 { variance(&means) } else { 0.0 };
    let var_plus = within * (n - 1.0) / n + between;
    if !(var_plus > 0.0 && var_plus.is_finite()) {
        return f64::NAN;
    }
    let rho = |t: usize| 1.0 - (within - acov[t] * n / (n - 1.0)) / var_plus;
    let tau = geyer(rho, draws).max(1.0 / total.log10());
    total / tau
}

/// Mean over chains of the autocovariance at each lag, and of the unbiased variance W.
fn mean_autocov(chains: &[&[f64]]) -> (Vec<f64>, f64) {
    let draws = chains[0].len();
    let mut plan = Autocov::new(draws);
    let mut sum = vec![0.0; draws];
    let (mut a, mut b) = (vec![0.0; draws], vec![0.0; draws]);
    for pair in chains.chunks(2) {
        match pair {
            [x, y] => plan.pair(x, Some(y), &mut a, Some(&mut b)),
            [x] => {
                plan.pair(x, None, &mut a, None);
                b.fill(0.0);
            }
            _ => {}
        }
        for (s, (a, b)) in sum.iter_mut().zip(a.iter().zip(&b)) {
            *s += a + b;
        }
    }
    let m = chains.len() as f64;
    sum.iter_mut().for_each(|s| *s /= m);
    let n = draws as f64;
    let within = sum[0] * n / (n - 1.0);
    (sum, within)
}

/// Integrated autocorrelation time tau = -1 + 2 sum of the initial positive, monotone sequence of pairs
/// P_k = rho_2k + rho_2k+1 (Geyer 1992, section 3.3), plus the next even lag when positive.
fn geyer(rho: impl Fn(usize) -> f64, draws: usize) -> f64 {
    let mut sum = 0.0;
    let mut last = f64::INFINITY;
    let (mut even, mut odd) = (1.0, rho(1));
    let mut t = 1;
    while t + 4 < draws && even + odd > 0.0 {
        // A pair may not exceed the one before it.
        last = last.min(even + odd);
        sum += last;
        (even, odd) = (rho(t + 1), rho(t + 2));
        t += 2;
    }
    2.0 * sum - 1.0 + even.max(0.0)
}
