//! Bounds on log p(x_n) of a row from importance weights: L_K from below, U_K from above, and a proposal that is safe.

use crate::base::rng::Stream;
use crate::base::special::log_sum_exp as log_add;
use crate::base::stats::{log_mean_exp, log_sum_exp, mean, variance};
use crate::density::{Gradient, LogDensity};
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::init::Init;
use crate::mcmc::sink::Memory;
use crate::vi::plate::Evaluator;
use crate::vi::plate::evaluate::Weighted;
use crate::workflow::gap::{CURVE, Value};

/// Posterior draws of a row that enter its upper bound, and the chains they come from: enough for an error from their means.
const POSTERIOR: usize = 64;
const CHAINS: usize = 8;

/// Mean with its standard error.
pub fn of_terms(x: &[f64]) -> Value {
    Value { value: mean(x), se: (variance(x) / x.len() as f64).sqrt() }
}

/// log mean w and the delta method's standard error, sd(w) / (mean w √n).
pub fn log_mean(log_w: &[f64]) -> Value {
    let value = log_mean_exp(log_w);
    let relative: Vec<f64> = log_w.iter().map(|w| (w - value).exp()).collect();
    Value { value, se: (variance(&relative) / relative.len() as f64).sqrt() }
}

/// L_K = E log (1/K) Σ w(z_k) along the curve, from disjoint groups of one set of draws.
pub fn lower(log_w: &[f64]) -> Vec<Value> {
    let at = |k: usize| {
        let groups: Vec<f64> = log_w.chunks_exact(k).map(log_mean_exp).collect();
        if groups.len() > 1 { of_terms(&groups) } else { log_mean(&log_w[..k.min(log_w.len())]) }
    };
    CURVE.iter().map(|k| at(*k)).collect()
}

/// A defensive mixture 0.9 q*_n + 0.1 p(z) as proposal (Hesterberg 1995): p(x, z) / q is at most ten times the likelihood.
pub struct Safe<'a> {
    pub ev: &'a Evaluator<'a>,
    pub row: usize,
    pub encoded: &'a [f64],
    pub prior: &'a [(f64, f64)],
}

/// Share of the prior in the mixture.
const SHARE: f64 = 0.1;

impl Safe<'_> {
    /// log p(z)
    fn log_prior(&self, z: &[f64]) -> f64 {
        let term = |(z, (m, s)): (&f64, &(f64, f64))| {
            -0.5 * ((z - m) / s).powi(2) - s.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
        };
        z.iter().zip(self.prior).map(term).sum()
    }

    /// log weight under the mixture, from that under q*_n and log q*_n(z).
    pub fn weight(&self, log_w: f64, log_q: f64, z: &[f64]) -> f64 {
        let parts = [(1.0 - SHARE).ln() + log_q, SHARE.ln() + self.log_prior(z)];
        log_w + log_q - log_sum_exp(&parts)
    }

    /// Weights of independent draws from the mixture: those of q*_n, of which each is replaced by a draw from the prior
    /// with probability 0.1.
    pub fn mixed(&self, star: &Weighted, noise: &[f64], seed: u64) -> Vec<f64> {
        let d = self.prior.len();
        let mut rng = Stream::new(seed, "gap/component", self.row as u64);
        let mut one = |k: usize| {
            let at = k * d..(k + 1) * d;
            if rng.uniform() >= SHARE {
                let z = &star.z[at];
                return self.weight(star.log_w[k], self.ev.score(self.row, self.encoded, z), z);
            }
            let z: Vec<f64> = noise[at].iter().zip(self.prior).map(|(e, (m, s))| m + s * e).collect();
            self.weight(self.ev.weight_at(self.row, self.encoded, &z), self.ev.score(self.row, self.encoded, &z), &z)
        };
        (0..star.log_w.len()).map(&mut one).collect()
    }
}

/// Fewest groups of weights whose spread is an error.
const GROUPS: usize = 30;

/// U_K = E log (1/K) (w(z_1) + Σ_{k≥2} w(z_k)) along the curve, z_1 from posterior chains that start at draws from the
/// prior, the others from the proposal: the mirror of L_K (Sobolev & Vetrov 2019). `own` has log w at the draws of each chain.
///
/// Every posterior draw i meets every disjoint group g of K - 1 weights, S_g their sum: U_K is the mean of
/// t_ig = log ((w_i + S_g) / K), and se² = s²(means of chains) / C + s²(means of groups) / G. The C chains are independent,
/// so the first part is unbiased whatever the correlation within a chain; an effective sample size would need
/// autocovariances, which chains of 8 draws do not give (for AR(1) with coefficient 0.9 its se² is about half of what it
/// should be even from 16 draws). The second part is the weights', which are independent; below 30 groups it is that of
/// log mean w, which U_K comes to for large K.
pub fn upper(own: &[Vec<f64>], log_w: &[f64]) -> Vec<Value> {
    if own.is_empty() {
        return vec![Value { value: f64::NAN, se: f64::NAN }; CURVE.len()];
    }
    CURVE.iter().map(|k| upper_at(*k, own, log_w)).collect()
}

fn upper_at(k: usize, own: &[Vec<f64>], log_w: &[f64]) -> Value {
    let others = (k - 1).min(log_w.len());
    if others == 0 {
        return of_terms(&own.iter().map(|chain| mean(chain)).collect::<Vec<_>>());
    }
    let sums: Vec<f64> = log_w.chunks_exact(others).map(log_sum_exp).collect();
    let mut of_groups = vec![0.0; sums.len()];
    let n = own.iter().map(|chain| chain.len()).sum::<usize>() as f64;
    let mut of_draw = |w: &f64| {
        let terms = sums.iter().zip(&mut of_groups).map(|(s, of_group)| {
            let term = log_add(*w, *s) - ((others + 1) as f64).ln();
            *of_group += term / n;
            term
        });
        terms.sum::<f64>() / sums.len() as f64
    };
    let chains: Vec<f64> = own.iter().map(|chain| mean(&chain.iter().map(&mut of_draw).collect::<Vec<_>>())).collect();
    let draws = of_terms(&chains);
    let weights = if sums.len() < GROUPS { log_mean(log_w).se } else { of_terms(&of_groups).se };
    Value { value: draws.value, se: draws.se.hypot(weights) }
}

/// Draws of a row's posterior, by chain, from NUTS that starts at draws of the prior (of N(0, I) where that is not normal); none
/// where it cannot be started.
pub fn posterior(ev: &Evaluator<'_>, row: usize, prior: Option<&[(f64, f64)]>, seed: u64) -> Vec<Vec<Vec<f64>>> {
    let target = RowDensity { ev, row };
    let per = POSTERIOR / CHAINS;
    let seed = seed ^ (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let nuts = Nuts { chains: CHAINS, warmup: 150, draws: 4 * per, thin: 4, seed, ..Nuts::default() };
    let start = |_: usize, rng: &mut Stream, x: &mut [f64]| {
        for (j, x) in x.iter_mut().enumerate() {
            let (mean, sd) = prior.map_or((0.0, 1.0), |p| p[j]);
            *x = mean + sd * rng.normal();
        }
    };
    let chain = |m: &Memory| (0..m.len()).map(|i| m.position(i).to_vec()).collect();
    match nuts.sample(&target, &Init::Draw { draw: &start, tries: 100 }, &Control::default()) {
        Ok(s) => s.draws.iter().map(chain).collect(),
        Err(_) => vec![],
    }
}

/// log p(x_n, z) as a target.
struct RowDensity<'a> {
    ev: &'a Evaluator<'a>,
    row: usize,
}

impl LogDensity for RowDensity<'_> {
    fn dim(&self) -> usize {
        self.ev.dim(self.row)
    }

    fn logp(&self, x: &[f64], _: &mut [f64]) -> f64 {
        self.ev.density(self.row, x, &mut vec![0.0; x.len()])
    }
}

impl Gradient for RowDensity<'_> {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], _: &mut [f64]) -> f64 {
        self.ev.density(self.row, x, grad)
    }
}
