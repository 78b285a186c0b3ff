//! Pareto-smoothed importance sampling (Vehtari, Simpson, Gelman, Yao & Gabry 2024).

/// Smoothed weights and what they say about themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Psis {
    /// Smoothed log weights, normalised: their exponentials sum to 1. Zero weights stay -inf.
    pub log_weights: Vec<f64>,
    /// Log of the sum of the smoothed weights before they were normalised, on the scale of the weights given.
    pub log_total: f64,
    /// Shape k-hat of the generalised Pareto law fitted to the largest weights; infinite when fewer than five
    /// weights lie above the cut-off, NaN when the weights are unusable (NaN, +inf, or all zero).
    pub khat: f64,
    /// Number of weights in the fitted tail.
    pub tail: usize,
    /// Effective sample size 1 / sum w^2 of the smoothed weights.
    pub ess: f64,
}

/// Smooths the log importance weights `log_weights` (up to a constant) of independent draws.
pub fn psis(log_weights: &[f64]) -> Psis {
    psis_with_efficiency(log_weights, 1.0)
}

/// [`psis`] for dependent draws with relative efficiency `r_eff` = ESS / S of the weights, which sets the tail length
/// M = min(S / 5, 3 sqrt(S / r_eff)), rounded up.
pub fn psis_with_efficiency(log_weights: &[f64], r_eff: f64) -> Psis {
    let size = log_weights.len();
    let max = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !max.is_finite() || log_weights.iter().any(|w| w.is_nan()) {
        let log_weights = vec![f64::NAN; size];
        return Psis { log_weights, log_total: f64::NAN, khat: f64::NAN, tail: 0, ess: f64::NAN };
    }
    let mut w: Vec<f64> = log_weights.iter().map(|x| x - max).collect();
    let (khat, tail) = smooth_tail(&mut w, tail_length(size, r_eff));
    let total = w.iter().map(|x| x.exp()).sum::<f64>().ln();
    w.iter_mut().for_each(|x| *x -= total);
    let ess = 1.0 / w.iter().map(|x| (2.0 * x).exp()).sum::<f64>();
    Psis { log_weights: w, log_total: max + total, khat, tail, ess }
}

/// Sample size that k-hat asks for, S > 10^(1 / (1 - max(0, k))) (section 3.2.3); infinite from k = 1 on.
pub fn required_size(khat: f64) -> f64 {
    if khat >= 1.0 { f64::INFINITY } else { 10f64.powf(1.0 / (1.0 - khat.max(0.0))) }
}

/// Largest k-hat that can be trusted with `size` draws: min(1 - 1 / log10 S, 0.7) (section 3.2.4).
pub fn khat_threshold(size: usize) -> f64 {
    (1.0 - 1.0 / (size as f64).log10()).min(0.7)
}

/// Number of weights taken for the tail, M = min(S / 5, 3 sqrt(S / r_eff)) rounded up.
pub fn tail_length(size: usize, r_eff: f64) -> usize {
    let s = size as f64;
    (0.2 * s).min(3.0 * (s / r_eff).sqrt()).ceil() as usize
}

/// Replaces the largest of the log weights (their maximum being 0) by expected order statistics of the fitted law.
fn smooth_tail(w: &mut [f64], length: usize) -> (f64, usize) {
    if w.len() <= length {
        return (f64::INFINITY, 0);
    }
    let mut order: Vec<usize> = (0..w.len()).collect();
    order.sort_by(|&a, &b| w[a].total_cmp(&w[b]));
    let cutoff = w[order[w.len() - length - 1]].max(f64::MIN_POSITIVE.ln());
    let tail: Vec<usize> = order.into_iter().filter(|&i| w[i] > cutoff).collect();
    if tail.len() < 5 {
        return (f64::INFINITY, tail.len());
    }
    let base = cutoff.exp();
    let excess: Vec<f64> = tail.iter().map(|&i| w[i].exp() - base).collect();
    let fit = fit_pareto(&excess);
    if fit.k.is_finite() {
        for (rank, &i) in tail.iter().enumerate() {
            let p = (rank as f64 + 0.5) / tail.len() as f64;
            // Truncated at the largest raw weight.
            w[i] = (fit.quantile(p) + base).ln().min(0.0);
        }
    }
    (fit.k, tail.len())
}

/// A generalised Pareto law on x > 0 with distribution function 1 - (1 + k x / sigma)^(-1/k).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pareto {
    /// Shape.
    pub k: f64,
    /// Scale.
    pub sigma: f64,
}

impl Pareto {
    /// Quantile function.
    pub fn quantile(self, p: f64) -> f64 {
        let log_q = (-p).ln_1p();
        if self.k.abs() < f64::EPSILON { -self.sigma * log_q } else { self.sigma * (-self.k * log_q).exp_m1() / self.k }
    }
}

/// Fits a generalised Pareto law to positive numbers in ascending order: the empirical Bayes estimate of
/// Zhang & Stephens (2009), k then drawn towards 1/2 with the weight of ten observations (Vehtari et al. 2024, appendix C).
/// NaN below one number.
pub fn fit_pareto(x: &[f64]) -> Pareto {
    const PRIOR_COUNT: f64 = 10.0;
    const PRIOR_K: f64 = 0.5;
    let Some(&largest) = x.last() else {
        return Pareto { k: f64::NAN, sigma: f64::NAN };
    };
    let n = x.len() as f64;
    let m = 30 + n.sqrt() as usize;
    let quartile = x[((n / 4.0 + 0.5) as usize).max(1) - 1];
    // Grid of theta = -k / sigma (their eq 8).
    let theta: Vec<f64> =
        (1..=m).map(|i| 1.0 / largest + (1.0 - (m as f64 / (i as f64 - 0.5)).sqrt()) / (3.0 * quartile)).collect();
    let mean_log = |t: f64| x.iter().map(|x| (-t * x).ln_1p()).sum::<f64>() / n;
    // Profile log likelihood (their eq 5).
    let loglik: Vec<f64> = theta
        .iter()
        .map(|&t| {
            let k = mean_log(t);
            n * ((-t / k).ln() - k - 1.0)
        })
        .collect();
    let mut weight: Vec<f64> = loglik.iter().map(|a| 1.0 / loglik.iter().map(|b| (b - a).exp()).sum::<f64>()).collect();
    weight.iter_mut().filter(|w| **w < 10.0 * f64::EPSILON).for_each(|w| *w = 0.0);
    let total: f64 = weight.iter().sum();
    let theta_hat = theta.iter().zip(&weight).map(|(t, w)| t * w).sum::<f64>() / total;
    let k = mean_log(theta_hat);
    Pareto { k: (n * k + PRIOR_COUNT * PRIOR_K) / (n + PRIOR_COUNT), sigma: -k / theta_hat }
}
