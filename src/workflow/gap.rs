//! How far an amortized posterior is from what was possible, row by row: approximation and amortization gap, collapse.
//!
//! log p(x_n) - ELBO_n(encoder) = [log p(x_n) - ELBO_n(q*_n)] + [ELBO_n(q*_n) - ELBO_n(encoder)]: the approximation gap and
//! the amortization gap (Cremer, Li & Duvenaud 2018, eq. 6). q*_n starts at the encoder's output and frees the row's base
//! location, scale and context, the flow's weights being shared ([`Freed::Base`]) or the row's own too ([`Freed::Full`]); it is kept where it is better on fresh draws. log p(x_n) enters as the interval [L_K, U_K] with draws from
//! a mixture of q*_n and the prior; it is exact where the row's posterior is normal.

use rayon::prelude::*;
use serde::Serialize;

use crate::base::rng::Stream;
use crate::base::stats::{log_mean_exp, mean, variance};
use crate::diagnostics::psis::psis;
use crate::guide::amortized::Amortized;
use crate::vi::plate::{Evaluator, NormalRow, refine};
use crate::workflow::row_bounds::{Safe, log_mean, lower, of_terms, posterior, upper};

/// Draws of the common noise under which q*_n is sought, and fresh ones on which it has to be better than the encoder.
const COMMON: usize = 512;
const JUDGED: usize = 1000;
/// Fresh draws for bounds, and particles of the tightest ones.
pub const FRESH: usize = 5000;
/// Particles at which the curve of bounds is shown.
pub const CURVE: [usize; 5] = [1, 10, 100, 1000, 5000];
/// Half-width of an interval in standard errors: 95 %.
const Z: f64 = 1.96;
/// Variance of a latent's posterior mean over rows above which it is active (Burda, Grosse & Salakhutdinov 2016, eq. 9).
pub const ACTIVE: f64 = 0.01;

/// What of its guide a row has for itself where the best one is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Freed {
    /// Location, scale and context.
    Base,
    /// The flow's weights too.
    Full,
}

impl Freed {
    /// The family of the best guides, in words.
    pub fn describe(self, guide: &Amortized) -> &'static str {
        match self {
            _ if guide.is_gaussian() => "each row's best guide: any location and scale",
            _ if !guide.inner().is_empty() => {
                "each row's best guide: any location, scale and context, of rows inside too; how these depend on it is shared"
            }
            Freed::Base => "each row's best guide: any location, scale and context, the flow's weights shared",
            Freed::Full => "each row's best guide: any location, scale, context and weights of the flow",
        }
    }
}

/// A value with its Monte Carlo standard error; 0 where it is exact.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Value {
    /// The value.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
}

/// What is known of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowGap {
    /// Row, from 1.
    pub row: usize,
    /// ELBO of the encoder's guide.
    pub elbo: Value,
    /// ELBO of the best guide of the same family.
    pub best: Value,
    /// Amortization gap, from paired draws.
    pub amortization: Value,
    /// L_K along [`CURVE`], of q*_n; log p(x_n) itself where that is known exactly.
    pub lower: Vec<Value>,
    /// U_K of the defensive mixture 0.9 q*_n + 0.1 p(z), whose weights are bounded where the likelihood is.
    pub upper: Vec<Value>,
    /// L_K of that mixture at the largest K: the lower limit of log p(x_n).
    pub tight: Value,
    /// Whether log p(x_n) is exact.
    pub exact: bool,
    /// Effective sample size of the weights of q*_n, as a share of the draws, and their k-hat.
    pub ess: f64,
    /// See `ess`.
    pub khat: f64,
    /// KL(q(z | x_n) || p(z)) of the encoder's guide.
    pub kl: f64,
    /// KL of each latent's marginal, both laws taken as normal with their moments; empty where the prior is not normal.
    pub kl_latents: Vec<f64>,
    /// Posterior mean under the encoder's guide of each latent coordinate that all rows have.
    pub mean: Vec<f64>,
}

/// The gaps of a set of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// Every row.
    pub rows: Vec<RowGap>,
    /// Variance over rows of each latent's posterior mean.
    pub activity: Vec<f64>,
    /// Mutual information of row and latents under the encoder, at most log of the number of rows (Hoffman & Johnson 2016).
    pub mutual_information: f64,
    /// [`Freed::describe`].
    pub family: &'static str,
}

/// Measures the gaps of the given rows, among guides of which `freed` is a row's own; random streams are named by row.
pub fn gap(ev: &Evaluator<'_>, rows: &[usize], freed: Freed, seed: u64) -> Gap {
    let encoded: Vec<Vec<f64>> = rows.iter().map(|r| ev.encode(*r)).collect();
    let one = |(r, e): (&usize, &Vec<f64>)| row_gap(ev, *r, e, ev.normal_prior(*r).as_deref(), freed, seed);
    let measured: Vec<RowGap> = rows.par_iter().zip(&encoded).map(one).collect();
    let d = measured.first().map_or(0, |r| r.mean.len());
    let column = |j: usize| measured.iter().map(|r| r.mean[j]).collect::<Vec<f64>>();
    let activity = (0..d).map(|j| if rows.len() > 1 { variance(&column(j)) } else { f64::NAN }).collect();
    let mutual_information = information(ev, rows, &encoded, seed);
    Gap { rows: measured, activity, mutual_information, family: freed.describe(ev.guide) }
}

fn noise(seed: u64, stage: &str, row: usize, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n];
    Stream::new(seed, stage, row as u64).fill_normal(&mut out);
    out
}

fn row_gap(
    ev: &Evaluator<'_>,
    row: usize,
    encoded: &[f64],
    prior: Option<&[(f64, f64)]>,
    freed: Freed,
    seed: u64,
) -> RowGap {
    let d = ev.dim(row);
    let normal = NormalRow::of(ev, row);
    let closed = normal.as_ref().filter(|_| ev.guide.is_gaussian());
    let best = match closed {
        Some(n) => n.mean_field(),
        None => refined(ev, row, encoded, freed, seed),
    };
    let fresh = noise(seed, "gap/fresh", row, FRESH * d);
    let (own, star) = (ev.weights(row, encoded, &fresh), ev.weights(row, &best, &fresh));
    let safe = prior.filter(|_| normal.is_none()).map(|p| Safe { ev, row, encoded: &best, prior: p });
    let mixed = safe.as_ref().map(|s| s.mixed(&star, &noise(seed, "gap/safe", row, FRESH * d), seed));
    let (elbo, best_elbo, amortization) = match closed {
        Some(_) => {
            let one = &fresh[..d];
            let [a, b] = [encoded, &best].map(|e| Value { value: ev.elbo(row, e, one).value, se: 0.0 });
            (a, b, Value { value: b.value - a.value, se: 0.0 })
        }
        None => {
            let paired: Vec<f64> = star.log_w.iter().zip(&own.log_w).map(|(a, b)| a - b).collect();
            (of_terms(&own.log_w), of_terms(&star.log_w), of_terms(&paired))
        }
    };
    let (lower, upper) = match &normal {
        Some(n) => {
            let known = vec![Value { value: n.log_evidence, se: 0.0 }; CURVE.len()];
            (known.clone(), known)
        }
        None => {
            let draws = posterior(ev, row, prior, seed);
            let own = |z: &Vec<f64>| match &safe {
                Some(s) => s.weight(ev.weight_at(row, &best, z), ev.score(row, &best, z), z),
                None => ev.weight_at(row, &best, z),
            };
            let own: Vec<Vec<f64>> = draws.iter().map(|chain| chain.iter().map(own).collect()).collect();
            (lower(&star.log_w), upper(&own, mixed.as_ref().unwrap_or(&star.log_w)))
        }
    };
    let tight = match &normal {
        Some(n) => Value { value: n.log_evidence, se: 0.0 },
        None => log_mean(mixed.as_ref().unwrap_or(&star.log_w)),
    };
    let smoothed = psis(&star.log_w);
    let column = |j: usize| own.z.iter().skip(j).step_by(d).copied().collect::<Vec<f64>>();
    let moments: Vec<(f64, f64)> = match ev.guide.is_gaussian() {
        true => (0..d).map(|j| (encoded[j], encoded[d + j].exp())).collect(),
        false => (0..d).map(|j| (mean(&column(j)), variance(&column(j)).sqrt())).collect(),
    };
    let common = ev.common_latents(row);
    let kl_latents: Vec<f64> = prior.map_or(vec![], |p| common.iter().map(|j| kl_normal(moments[*j], p[*j])).collect());
    let kl = match ev.guide.is_gaussian() && prior.is_some() {
        true => kl_latents.iter().sum(),
        false => mean(&own.log_ratio),
    };
    RowGap {
        row: row + 1,
        elbo,
        best: best_elbo,
        amortization,
        lower,
        upper,
        tight,
        exact: normal.is_some(),
        ess: smoothed.ess / FRESH as f64,
        khat: smoothed.khat,
        kl,
        kl_latents,
        mean: common.iter().map(|j| moments[*j].0).collect(),
    }
}

/// The row's best guide: what L-BFGS finds under common noise, where it is better on fresh noise too. A flow of the row's own starts
/// from there, and ends with the best of its points on that fresh noise.
fn refined(ev: &Evaluator<'_>, row: usize, encoded: &[f64], freed: Freed, seed: u64) -> Vec<f64> {
    let d = ev.dim(row);
    let common = noise(seed, "gap/common", row, COMMON * d);
    let found = refine(ev, row, encoded, &common, None);
    let fresh = noise(seed, "gap/judge", row, JUDGED * d);
    let bound = |e: &[f64]| mean(&ev.weights(row, e, &fresh).log_w);
    let best = if bound(&found) > bound(encoded) { found } else { encoded.to_vec() };
    match freed {
        Freed::Full if !ev.guide.is_gaussian() => refine(ev, row, &ev.with_flow(&best), &common, Some(&fresh)),
        _ => best,
    }
}

/// KL(N(m, s²) || N(m0, s0²)).
fn kl_normal((m, s): (f64, f64), (m0, s0): (f64, f64)) -> f64 {
    (s0 / s).ln() + 0.5 * ((s / s0).powi(2) + ((m - m0) / s0).powi(2) - 1.0)
}

/// (1/N) Σ_n E_q(z | x_n) [log q(z | x_n) - log (1/N) Σ_m q(z | x_m)], one draw a row; of the row's own latents where there are rows
/// inside.
fn information(ev: &Evaluator<'_>, rows: &[usize], encoded: &[Vec<f64>], seed: u64) -> f64 {
    let one = |(k, row): (usize, &usize)| {
        let z = ev.weights(*row, &encoded[k], &noise(seed, "gap/information", *row, ev.dim(*row))).z;
        let all: Vec<f64> = encoded.iter().map(|e| ev.first_score(*row, e, &z)).collect();
        all[k] - log_mean_exp(&all)
    };
    let terms: Vec<f64> = rows.par_iter().enumerate().map(one).collect();
    mean(&terms)
}

impl Gap {
    fn mean_of(&self, f: impl Fn(&RowGap) -> Value) -> Value {
        let all: Vec<Value> = self.rows.iter().map(f).collect();
        let n = all.len().max(1) as f64;
        Value {
            value: all.iter().map(|v| v.value).sum::<f64>() / n,
            se: all.iter().map(|v| v.se * v.se).sum::<f64>().sqrt() / n,
        }
    }

    /// Mean ELBO of the encoder.
    pub fn elbo(&self) -> Value {
        self.mean_of(|r| r.elbo)
    }

    /// Mean ELBO of the rows' best guides.
    pub fn best(&self) -> Value {
        self.mean_of(|r| r.best)
    }

    /// Mean L_K at place `k` of the curve.
    pub fn lower(&self, k: usize) -> Value {
        self.mean_of(|r| r.lower[k])
    }

    /// Mean U_K at place `k` of the curve.
    pub fn upper(&self, k: usize) -> Value {
        self.mean_of(|r| r.upper[k])
    }

    /// Limits of mean log p(x_n): L_K and U_K of the mixtures at the largest K, widened by their 95 % errors.
    pub fn log_px(&self) -> (f64, f64) {
        let last = CURVE.len() - 1;
        let (l, u) = (self.mean_of(|r| r.tight), self.upper(last));
        (l.value - Z * l.se, u.value + Z * u.se)
    }

    /// Limits of the mean approximation gap.
    pub fn approximation(&self) -> (f64, f64) {
        let ((l, u), best) = (self.log_px(), self.best());
        (l - best.value - Z * best.se, u - best.value + Z * best.se)
    }

    /// Mean amortization gap.
    pub fn amortization(&self) -> Value {
        self.mean_of(|r| r.amortization)
    }

    /// Mean KL divergence to the prior.
    pub fn kl(&self) -> f64 {
        self.mean_of(|r| Value { value: r.kl, se: 0.0 }).value
    }

    /// Mean KL divergence of each latent; empty where the prior is not normal.
    pub fn kl_latents(&self) -> Vec<f64> {
        let d = self.rows.first().map_or(0, |r| r.kl_latents.len());
        (0..d).map(|j| self.mean_of(|r| Value { value: r.kl_latents[j], se: 0.0 }).value).collect()
    }

    /// Latents whose posterior mean varies over rows by more than [`ACTIVE`].
    pub fn active_units(&self) -> usize {
        self.activity.iter().filter(|a| **a > ACTIVE).count()
    }

    /// Rows whose weights cannot be trusted for L_K.
    pub fn untrusted(&self) -> usize {
        self.rows.iter().filter(|r| !r.exact && !(r.khat < 0.7)).count()
    }
}
