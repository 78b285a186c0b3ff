//! The sandwich: every estimator's limits side by side, the tightest of each side, and a verdict in words.

use crate::base::special::inv_phi;
use crate::evidence::bounds::Bound;
use crate::evidence::bridge::{Bridge, Draws};
use crate::evidence::estimate::{Estimate, Standing};
use crate::evidence::importance::Importance;
use serde::Serialize;

/// Probability, under correct estimators, that any of the limits is on the wrong side.
pub const ALPHA: f64 = 0.01;

/// An interval longer than this is called wide: one nat, a factor of 2.7 in a Bayes factor.
pub const WIDE: f64 = 1.0;

/// On which side an estimator can be a limit of log Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its expectation is at most log Z.
    Lower,
    /// Its expectation is at least log Z.
    Upper,
    /// It aims at log Z itself.
    Both,
}

/// One estimator in the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub method: String,
    /// Its side.
    pub kind: Kind,
    /// The estimate.
    pub estimate: Estimate,
    /// Whether it counts.
    #[serde(flatten)]
    pub standing: Standing,
    /// Independent runs behind it.
    pub replicates: usize,
}

impl Row {
    /// Importance sampling from so many runs.
    pub fn importance(i: &Importance, replicates: usize) -> Row {
        let method = if matches!(i.standing, Standing::Caution(_)) { "psis" } else { "importance" };
        Row { method: method.into(), kind: Kind::Both, estimate: i.estimate, standing: i.standing.clone(), replicates }
    }

    /// Bridge sampling.
    pub fn bridge(b: &Bridge) -> Row {
        let method = match b.draws {
            Draws::All => "bridge",
            Draws::SecondHalf => "bridge (second half of the posterior draws)",
        };
        let standing = b.standing.clone();
        Row { method: method.into(), kind: Kind::Both, estimate: b.estimate, standing, replicates: 1 }
    }

    /// L_K, unless its weights have a fault.
    pub fn lower(b: &Bound, fault: Option<String>) -> Row {
        Row::bound(format!("L_{}", b.k), Kind::Lower, b, fault)
    }

    /// U_K, unless its weights have a fault.
    pub fn upper(b: &Bound, fault: Option<String>) -> Row {
        Row::bound(format!("U_{}", b.k), Kind::Upper, b, fault)
    }

    fn bound(method: String, kind: Kind, b: &Bound, fault: Option<String>) -> Row {
        let standing = match fault {
            Some(fault) => Standing::Untrusted(fault),
            None if b.estimate.value.is_nan() => Standing::Untrusted("not a number".into()),
            None => Standing::Sound,
        };
        Row { method, kind, estimate: b.estimate, standing, replicates: 1 }
    }

    /// Limits at `z` standard errors on the sides that this estimator has; infinite where it has none.
    pub fn limits(&self, z: f64) -> (f64, f64) {
        let e = &self.estimate;
        let margin = if e.mcse == 0.0 { 0.0 } else { z * e.mcse };
        let low = if self.kind == Kind::Upper { f64::NEG_INFINITY } else { e.value - margin };
        let high = if self.kind == Kind::Lower { f64::INFINITY } else { e.value + margin };
        (low, high)
    }
}

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// The limits are in order and close.
    #[serde(rename = "agree")]
    Agree,
    /// The limits are in order, but far apart.
    #[serde(rename = "wide")]
    Wide,
    /// A lower limit is above an upper one: an estimator or the posterior draws are wrong.
    #[serde(rename = "contradiction")]
    Contradiction,
    /// No usable estimator bounds log Z on each side.
    #[serde(rename = "not trusted")]
    NotTrusted,
}

impl Verdict {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Agree => "agree",
            Verdict::Wide => "wide",
            Verdict::Contradiction => "contradiction",
            Verdict::NotTrusted => "not trusted",
        }
    }
}

/// log Z with limits from both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sandwich {
    /// log Z by the usable estimator of smallest error; the middle of the limits where there are only bounds.
    pub log_z: f64,
    /// Its standard error; for the middle, half the interval over z.
    pub mcse: f64,
    /// The largest of the lower limits.
    pub lower: f64,
    /// The smallest of the upper limits.
    pub upper: f64,
    /// k-hat of its weights; where it has none (bridge sampling, bounds), the largest in the table.
    pub khat: f64,
    /// Its effective sample size.
    pub ess: f64,
    /// Its name.
    pub method: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// Independent runs behind it.
    pub replicates: usize,
    /// Standard errors between an estimate and its limit.
    pub z: f64,
    /// Every estimator.
    pub table: Vec<Row>,
}

/// z such that all `limits` one-sided limits hold at once with probability 1 - [`ALPHA`] (Bonferroni).
pub fn bonferroni(limits: usize) -> f64 {
    -inv_phi(ALPHA / limits.max(1) as f64)
}

/// Joins the estimators. `doubt` is a reason outside the table for which limits in order are not enough.
pub fn sandwich(table: Vec<Row>, doubt: Option<String>) -> Sandwich {
    let usable = || table.iter().filter(|r| r.standing.usable() && !r.estimate.value.is_nan());
    let z = bonferroni(usable().map(|r| if r.kind == Kind::Both { 2 } else { 1 }).sum());
    let lowest = |best: Option<(f64, String)>, x: f64, name: &str| match best {
        Some(b) if b.0 <= x => Some(b),
        _ => Some((x, name.to_string())),
    };
    let upper = usable().filter(|r| r.kind != Kind::Lower).fold(None, |b, r| lowest(b, r.limits(z).1, &r.method));
    let lower = usable().filter(|r| r.kind != Kind::Upper).fold(None, |b, r| lowest(b, -r.limits(z).0, &r.method));
    let (above, upper_by) = upper.unwrap_or((f64::INFINITY, "none".into()));
    let (below, lower_by) = lower.map_or((f64::NEG_INFINITY, "none".into()), |(x, name)| (-x, name));
    let head = usable().filter(|r| r.kind == Kind::Both);
    let head = head.min_by(|a, b| a.estimate.mcse.total_cmp(&b.estimate.mcse)).cloned();
    let bounded = below.is_finite() && above.is_finite();
    let verdict = match above - below {
        _ if !bounded => Verdict::NotTrusted,
        gap if gap < -rounding(below) => Verdict::Contradiction,
        _ if doubt.is_some() => Verdict::NotTrusted,
        gap if gap > WIDE => Verdict::Wide,
        _ => Verdict::Agree,
    };
    let reason = match doubt.filter(|_| bounded && verdict == Verdict::NotTrusted) {
        Some(doubt) => doubt,
        None => reason(verdict, (below, &lower_by), (above, &upper_by), &table),
    };
    let middle = || Row {
        method: format!("{lower_by} to {upper_by}"),
        kind: Kind::Both,
        estimate: Estimate {
            value: if bounded { 0.5 * (below + above) } else { f64::NAN },
            mcse: if bounded { 0.5 * (above - below).abs() / z } else { f64::INFINITY },
            ess: f64::NAN,
            n: 0,
            khat: f64::NAN,
        },
        standing: Standing::Sound,
        replicates: 1,
    };
    let head = head.unwrap_or_else(middle);
    Sandwich {
        log_z: head.estimate.value,
        mcse: head.estimate.mcse,
        lower: below,
        upper: above,
        khat: if head.estimate.khat.is_nan() { worst_khat(&table) } else { head.estimate.khat },
        ess: head.estimate.ess,
        method: head.method,
        verdict,
        reason,
        replicates: head.replicates,
        z,
        table,
    }
}

fn worst_khat(table: &[Row]) -> f64 {
    table.iter().map(|r| r.estimate.khat).fold(f64::NAN, f64::max)
}

/// Limits of exact estimators, whose errors are zero, may cross by the rounding of log densities.
fn rounding(log_z: f64) -> f64 {
    crate::evidence::estimate::ROUNDING * (1.0 + log_z.abs())
}

fn reason(verdict: Verdict, lower: (f64, &str), upper: (f64, &str), table: &[Row]) -> String {
    let (below, above) = (format!("{} ({:.3})", lower.1, lower.0), format!("{} ({:.3})", upper.1, upper.0));
    match verdict {
        Verdict::Agree => format!("from {below} to {above}, given that no mode was missed"),
        Verdict::Wide => format!(
            "from {below} to {above} is more than {WIDE} nat, given that no mode was missed: more particles or a better \
             proposal"
        ),
        Verdict::Contradiction => format!(
            "the lower limit of {below} is above the upper limit of {above}: the posterior draws miss a mode or have not \
             mixed, or an error is stated too small"
        ),
        Verdict::NotTrusted => {
            let side = if lower.0.is_finite() { "above" } else { "below" };
            let excluded = table.iter().filter_map(|r| match &r.standing {
                Standing::Untrusted(why) => Some(format!("{}: {why}", r.method)),
                _ => None,
            });
            let list: Vec<String> = excluded.collect();
            let list = if list.is_empty() { "no estimator on that side".into() } else { list.join("; ") };
            format!("no finite limit from {side} ({list}); posterior draws give bridge sampling and U_K")
        }
    }
}
