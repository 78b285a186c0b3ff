//! Monte Carlo standard errors.

use crate::diagnostics::ess;
use crate::diagnostics::split::usable;
use crate::diagnostics::summary;
use statrs::distribution::{Beta, ContinuousCDF};

/// Standard error of the mean: sd / sqrt(ESS of the mean).
pub fn mean(chains: &[&[f64]]) -> f64 {
    summary::sd(&chains.concat()) / ess::mean(chains).sqrt()
}

/// Standard error of the standard deviation, by the delta method on E|x - mean|^2: for v = (x - mean)^2,
/// sqrt((E v^2 / (E v)^2 - 1) / ESS) sd / 2 (posterior's `mcse_sd`; Kenney & Keeping 1951 for independent draws).
pub fn sd(chains: &[&[f64]]) -> f64 {
    let all = chains.concat();
    let centre = summary::mean(&all);
    let v: Vec<f64> = all.iter().map(|x| (x - centre).powi(2)).collect();
    let ev = summary::mean(&v);
    let ev2 = v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64;
    ((ev2 - ev * ev) / ess::sd(chains) / ev / 4.0).sqrt()
}

/// Standard error of the quantile `prob`: half the distance between the sample quantiles at the 16 % and 84 % points
/// of Beta(n prob + 1, n (1 - prob) + 1), n its effective sample size (Vehtari et al. 2021, section 4.4).
pub fn quantile(chains: &[&[f64]], prob: f64) -> f64 {
    if !usable(chains) {
        return f64::NAN;
    }
    let n = ess::quantile(chains, prob);
    let Ok(beta) = Beta::new(n * prob + 1.0, n * (1.0 - prob) + 1.0) else { return f64::NAN };
    let mut sorted = chains.concat();
    sorted.sort_unstable_by(f64::total_cmp);
    let size = sorted.len();
    let place = |p: f64| beta.inverse_cdf(p) * size as f64;
    let low = (place(LOW).floor() as usize).max(1);
    let high = (place(1.0 - LOW).ceil() as usize).min(size);
    (sorted[high - 1] - sorted[low - 1]) / 2.0
}

/// Phi(-1).
const LOW: f64 = 0.158_655_253_931_457_05;
