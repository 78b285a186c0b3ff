//! An estimate with its error: what every estimator of this module returns.

use crate::base::stats;
use crate::diagnostics::{ess, summary};
use serde::Serialize;

/// An estimate with what it needs to be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its Monte Carlo standard error; infinite where none can be stated.
    pub mcse: f64,
    /// Effective number of draws behind it.
    pub ess: f64,
    /// Number of draws behind it.
    pub n: usize,
    /// Pareto k-hat of the weights behind it; NaN where it is not an average of weights.
    pub khat: f64,
}

/// Whether an estimate may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "standing", content = "reason")]
pub enum Standing {
    /// Nothing speaks against it.
    Sound,
    /// It is used with the error that it states, which something has made wider.
    Caution(String),
    /// It is shown, not used.
    Untrusted(String),
}

impl Standing {
    /// Whether the estimate may be used.
    pub fn usable(&self) -> bool {
        !matches!(self, Standing::Untrusted(_))
    }
}

impl Estimate {
    /// Mean of independent terms with the standard error sd / sqrt(n). Terms of -inf give the value -inf, which is what
    /// their mean is.
    pub(crate) fn of_terms(terms: &[f64]) -> Estimate {
        let n = terms.len();
        let value = stats::mean(terms);
        let mcse = (stats::variance(terms) / n as f64).sqrt();
        Estimate { value, mcse: finite_or_inf(mcse), ess: n as f64, n, khat: f64::NAN }
    }

    /// Mean of the terms of chains, with the effective sample size by autocorrelation (Vehtari et al. 2021).
    pub(crate) fn of_chains(chains: &[Vec<f64>]) -> Estimate {
        let all = chains.concat();
        let mut e = Estimate::of_terms(&all);
        e.ess = effective(chains);
        e.mcse = finite_or_inf(summary::sd(&all) / e.ess.sqrt());
        e
    }
}

/// Effective sample size of the mean over chains; the number of draws where all are the same up to rounding.
pub(crate) fn effective(chains: &[Vec<f64>]) -> f64 {
    let all = chains.concat();
    if equal(&all) {
        return all.len() as f64;
    }
    let views: Vec<&[f64]> = chains.iter().map(|c| &c[..]).collect();
    ess::mean(&views)
}

/// Relative size below which differences between weights are rounding of the two log densities.
pub(crate) const ROUNDING: f64 = 1e-9;

/// Whether numbers are the same up to rounding.
pub(crate) fn equal(x: &[f64]) -> bool {
    let (low, high) = x.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    high - low < ROUNDING && x.iter().all(|v| v.is_finite())
}

pub(crate) fn finite_or_inf(x: f64) -> f64 {
    if x.is_finite() { x } else { f64::INFINITY }
}
