//! The marginal likelihood of a target from a fitted guide and, where there are some, draws from its posterior.

use serde::Serialize;

use crate::density::{Gradient, LogDensity};
use crate::evidence::error::EvidenceError;
use crate::evidence::estimate::Standing;
use crate::evidence::mixture::Mixture;
use crate::evidence::run::{Evidence, Posterior, Settings, evidence};
use crate::evidence::student::StudentT;
use crate::guide::Guide;
use crate::report::number::{decimals, fixed, significant};
use crate::report::table::Table;
use crate::vi::{Refine, refine};
use crate::workflow::ladder::{Fitted, GuideError, Options, fit, moments};

/// Estimates log Z of `target` with the defensive mixture of the guide and a Student-t of its moments. `posterior` are
/// draws in the target's coordinates, with what the guide has seen of them.
///
/// # Errors
/// Where the guide has no scale, or there are too few particles.
pub fn estimate<T: LogDensity + ?Sized>(
    target: &T,
    guide: &Guide,
    posterior: Option<Posterior<'_>>,
    settings: &Settings,
) -> Result<Evidence, EvidenceError> {
    let safe = StudentT::around(&moments(guide, settings.seed))?;
    evidence(target, &Mixture::defensive(guide, &safe)?, posterior, settings)
}

/// Draws kept for a refinement; neighbours in a chain say little more than one of them.
const THINNED: usize = 2000;

/// The guide refined on the first halves of the chains, where the second halves show that it is better; with a remark.
/// Guides without a nonlinear layer are left as they are.
pub fn refined(fitted: &Fitted, chains: &[Vec<f64>], seed: u64) -> Option<(Guide, String)> {
    let guide = &fitted.guide;
    if guide.family.is_affine() {
        return None;
    }
    let dim = guide.family.dim();
    let half = |first: bool| -> Vec<f64> {
        let part = |c: &Vec<f64>| {
            let middle = c.len() / dim / 2 * dim;
            if first { c[..middle].to_vec() } else { c[middle..].to_vec() }
        };
        let all: Vec<f64> = chains.iter().flat_map(part).collect();
        let every = (all.len() / dim).div_ceil(THINNED).max(1);
        all.chunks_exact(dim).step_by(every).flatten().copied().collect()
    };
    let refined = refine(guide, &half(true), &half(false), &Refine { seed, ..Refine::default() }).ok()?;
    let gain = refined.gain;
    let remark = format!(
        "the guide was refined on the first half of the draws: log q of the second half rose by {} ± {}",
        significant(gain.value, 2),
        significant(gain.se, 2)
    );
    refined.kept.then_some((refined.guide, remark))
}

/// The table of the sandwich, then its verdict.
pub fn text(e: &Evidence) -> String {
    let s = &e.sandwich;
    let mut t = Table::new(&["log p(x) by", "estimate", "MCSE", "from", "to", "k-hat", "ESS", ""]);
    for row in &s.table {
        let d = decimals(row.estimate.value, row.estimate.mcse);
        let (low, high) = row.limits(s.z);
        let number = |x: f64, digits| if x.is_finite() { fixed(x, digits) } else { String::new() };
        let remark = match &row.standing {
            Standing::Sound => String::new(),
            Standing::Caution(why) => why.clone(),
            Standing::Untrusted(why) => format!("not used: {why}"),
        };
        let error = significant(row.estimate.mcse, 2);
        t.row(vec![
            row.method.clone(),
            fixed(row.estimate.value, d),
            error,
            number(low, d),
            number(high, d),
            number(row.estimate.khat, 2),
            number(row.estimate.ess, 0),
            remark,
        ]);
    }
    let d = decimals(s.log_z, s.mcse);
    format!(
        "\n{t}\nlog p(x) = {} (MCSE {}) in [{}, {}] by {}: {}; {}\n",
        fixed(s.log_z, d),
        significant(s.mcse, 2),
        fixed(s.lower, d),
        fixed(s.upper, d),
        s.method,
        s.verdict.word(),
        s.reason
    )
}

/// Everything as JSON; infinite limits are null.
pub fn json(e: &Evidence) -> serde_json::Value {
    serde_json::to_value(e).unwrap_or_default()
}

/// What one retrained replicate says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Replicate {
    /// Seed of guide and particles.
    pub seed: u64,
    /// Estimate by importance sampling.
    pub log_z: f64,
    /// Its stated error.
    pub mcse: f64,
    /// k-hat.
    pub khat: f64,
}

/// The spread of estimates whose guides were retrained.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// Each replicate.
    pub replicates: Vec<Replicate>,
    /// Against what coverage is counted: the known value, else the mean of the replicates.
    pub reference: f64,
    /// Standard deviation of the estimates.
    pub sd: f64,
    /// Stated 95 % intervals that cover the reference.
    pub covered: usize,
    /// Root of the mean of z².
    pub rms_z: f64,
    /// Mean of z.
    pub mean_z: f64,
}

/// Why a spread has no value.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum SpreadError {
    /// A guide.
    Guide(#[from] GuideError),
    /// An estimate.
    Evidence(#[from] EvidenceError),
}

/// Retrains and estimates `count` times with seeds from `options.seed` on.
///
/// # Errors
/// Where a guide cannot be fitted or an estimate not be made.
pub fn spread<T: Gradient + ?Sized>(
    target: &T,
    options: &Options,
    settings: &Settings,
    count: usize,
    known: Option<f64>,
    done: &dyn Fn(&Replicate),
) -> Result<Spread, SpreadError> {
    let mut replicates = vec![];
    for r in 0..count as u64 {
        let seed = options.seed.wrapping_add(r);
        let fitted = fit(target, &Options { seed, ..options.clone() }, None)?;
        let found = estimate(target, &fitted.guide, None, &Settings { seed, ..*settings })?.importance.estimate;
        let replicate = Replicate { seed, log_z: found.value, mcse: found.mcse, khat: found.khat };
        done(&replicate);
        replicates.push(replicate);
    }
    Ok(Spread::of(replicates, known))
}

/// Two-sided 95 % point of the normal law.
const Z95: f64 = 1.959_963_984_540_054;

impl Spread {
    fn of(replicates: Vec<Replicate>, known: Option<f64>) -> Spread {
        let values: Vec<f64> = replicates.iter().map(|r| r.log_z).collect();
        let reference = known.unwrap_or_else(|| crate::base::stats::mean(&values));
        let z: Vec<f64> = replicates.iter().map(|r| (r.log_z - reference) / r.mcse).collect();
        let n = z.len() as f64;
        Spread {
            reference,
            sd: crate::base::stats::variance(&values).sqrt(),
            covered: z.iter().filter(|z| z.abs() <= Z95).count(),
            rms_z: (z.iter().map(|z| z * z).sum::<f64>() / n).sqrt(),
            mean_z: z.iter().sum::<f64>() / n,
            replicates,
        }
    }
}
