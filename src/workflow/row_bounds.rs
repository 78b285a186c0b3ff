//! Bounds on log p(x_n) of a row from importance weights: L_K from below, U_K from above, and a proposal that is safe.

use crate::base::rng::Stream;
use crate::base::stats::{log_mean_exp, log_sum_exp, mean, variance};
use crate::density::{Gradient, LogDensity};
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::init::Init;
use crate::vi::plate::Evaluator;
use crate::vi::plate::evaluate::Weighted;
use crate::workflow::gap::{CURVE, Value};

/// Posterior draws of a row that enter its upper bound, and the chains they come from.
const POSTERIOR: usize = 64;
const CHAINS: usize = 4;

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

/// U_K = E log (1/K) (w(z_1) + Σ_{k≥2} w(z_k)) along the curve, z_1 from posterior chains that start at draws from the
/// prior, the others from the proposal: the mirror of L_K (Sobolev & Vetrov 2019).
pub fn upper(own: &[f64], log_w: &[f64]) -> Vec<Value> {
    if own.is_empty() {
        return vec![Value { value: f64::NAN, se: f64::NAN }; CURVE.len()];
    }
    let at = |k: usize| {
        let groups = if k == 1 { usize::MAX } else { (log_w.len() / (k - 1)).max(1) };
        let term = |(i, w): (usize, &f64)| {
            let start = if k == 1 { 0 } else { (i % groups) * (k - 1) };
            let others = &log_w[start..(start + k - 1).min(log_w.len())];
            log_sum_exp(&[&[*w][..], others].concat()) - ((others.len() + 1) as f64).ln()
        };
        let terms: Vec<f64> = own.iter().enumerate().map(term).collect();
        let mut value = of_terms(&terms);
        if groups < terms.len() {
            // The others are shared: their own error comes on top.
            value.se = value.se.hypot(log_mean(log_w).se);
        }
        value
    };
    CURVE.iter().map(|k| at(*k)).collect()
}

/// Draws of a row's posterior by NUTS from draws of the prior (of N(0, I) where that is not normal); none where it
/// cannot be started.
pub fn posterior(ev: &Evaluator<'_>, row: usize, prior: Option<&[(f64, f64)]>, seed: u64) -> Vec<Vec<f64>> {
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
    match nuts.sample(&target, &Init::Draw { draw: &start, tries: 100 }, &Control::default()) {
        Ok(s) => {
            s.draws.iter().flat_map(|m| (0..m.len()).map(|i| m.position(i).to_vec()).collect::<Vec<_>>()).collect()
        }
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
        self.ev.target.dim
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
