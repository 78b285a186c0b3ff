//! What the diagnostics of a run mean, in words, with the next step.

use crate::diagnostics::summary::quantile;
use crate::model::compiled::Compiled;
use crate::model::posterior::Model;
use crate::report::number::{fixed, significant};
use crate::workflow::fit::{Fit, Weighting};

/// R-hat above which chains disagree (Vehtari et al. 2021).
const RHAT: f64 = 1.01;
/// Effective draws below which R-hat and the Monte Carlo errors are unreliable (Vehtari et al. 2021).
const ESS: f64 = 400.0;
/// E-BFMI below which energies are explored too slowly (Betancourt 2016).
const EBFMI: f64 = 0.3;

/// Share of divergent transitions up to which the draws are usable with care.
const FEW: f64 = 0.002;

/// A remark on a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The draws must not be used as they are.
    pub serious: bool,
    /// What was found.
    pub text: String,
    /// What to do.
    pub next: String,
}

/// Whether the draws of a run can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All diagnostics are good.
    Trust,
    /// Usable with the reservations of the findings.
    Care,
    /// Not usable.
    Distrust,
}

impl Verdict {
    /// The verdict that findings call for.
    pub fn of(findings: &[Finding]) -> Verdict {
        match findings {
            [] => Verdict::Trust,
            f if f.iter().any(|f| f.serious) => Verdict::Distrust,
            _ => Verdict::Care,
        }
    }

    /// The verdict in a word.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Trust => "trust",
            Verdict::Care => "care",
            Verdict::Distrust => "distrust",
        }
    }

    /// The verdict in words.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Trust => "the draws can be trusted: the chains agree and are long enough, and no diagnostic warns",
            Verdict::Care => "the draws can be used with care: see the warnings",
            Verdict::Distrust => "do not use these draws yet: see the warnings",
        }
    }
}

/// All remarks on a run, the serious ones first.
pub fn findings(model: &Model, compiled: &Compiled, fit: &Fit) -> Vec<Finding> {
    let mut out = vec![];
    if fit.draws < 4 {
        let text = format!("only {} draws per chain: nothing can be said about convergence", fit.draws);
        out.push(Finding { serious: true, text, next: "draw more (--draws)".into() });
        return out;
    }
    out.extend(not_finite(fit));
    out.extend(disagreement(fit));
    out.extend(behind(fit));
    out.extend(fit.weighting.as_ref().and_then(weighted));
    out.extend(divergent(model, compiled, fit));
    out.extend(energy(fit));
    out.extend(too_few(fit));
    out.extend(depth(fit));
    if fit.interrupted() {
        let (used, all) = (fit.used.len(), fit.runs.len());
        let text = format!("the run was interrupted: the summary covers {} draws of {used} of {all} chains", fit.draws);
        out.push(Finding { serious: false, text, next: "run it to its end".into() });
    }
    out.sort_by_key(|f| !f.serious);
    out
}

/// The names of the worst few of the values that `bad` picks, with how many there are.
fn worst(fit: &Fit, score: impl Fn(usize) -> Option<f64>) -> Option<(usize, String)> {
    const SHOWN: usize = 3;
    let mut bad: Vec<(f64, usize)> = (0..fit.summaries.len()).filter_map(|j| Some((score(j)?, j))).collect();
    bad.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names: Vec<&str> = bad.iter().take(SHOWN).map(|b| fit.layout.names[b.1].as_str()).collect();
    let more = if bad.len() > SHOWN { format!(" and {} more", bad.len() - SHOWN) } else { String::new() };
    (!bad.is_empty()).then(|| (bad[0].1, names.join(", ") + &more))
}

fn not_finite(fit: &Fit) -> Option<Finding> {
    let score = |j: usize| (!fit.summaries[j].mean.is_finite()).then_some(0.0);
    let (_, names) = worst(fit, score)?;
    Some(Finding {
        serious: true,
        text: format!("some draws of {names} are not finite"),
        next: "check their expressions for overflow, division by zero or a logarithm of a negative number".into(),
    })
}

/// Why the chains are no draws of one distribution.
pub fn unmixed(fit: &Fit) -> Option<String> {
    let all = fit.summaries.iter().map(|s| s.rhat).chain(fit.base_rhat);
    let worst = all.filter(|r| *r > RHAT).reduce(f64::max)?;
    Some(format!("R-hat {}: the chains have not mixed", fixed(worst, 3)))
}

fn disagreement(fit: &Fit) -> Option<Finding> {
    let score = |j: usize| Some(fit.summaries[j].rhat).filter(|r| *r > RHAT);
    let (at, names) = worst(fit, score)?;
    Some(Finding {
        serious: true,
        text: format!("R-hat is above {RHAT} for {names} (at worst {}): the chains have not converged to one distribution", fixed(fit.summaries[at].rhat, 3)),
        next: "run longer (--warmup 2000 --draws 2000); if it stays, the posterior may have several modes or be unidentified: give an order or stronger priors".into(),
    })
}

/// Chains that agree on the model's values, but not on the map's coordinates.
fn behind(fit: &Fit) -> Option<Finding> {
    let rhat = fit.base_rhat.filter(|r| *r > RHAT)?;
    Some(Finding {
        serious: true,
        text: format!(
            "R-hat is above {RHAT} in the coordinates behind the map (at worst {}): the chains disagree there",
            fixed(rhat, 3)
        ),
        next: "run longer (--draws 2000), or let chains jump between modes: --method flow-mh".into(),
    })
}

/// Weights with a heavy tail.
fn weighted(w: &Weighting) -> Option<Finding> {
    let text = w.caution.clone()?;
    let next = "fit a freer guide (--guide 'realnvp(8)'), or let chains correct it: --method transport".into();
    Some(Finding { serious: false, text, next })
}

fn too_few(fit: &Fit) -> Option<Finding> {
    let low = |j: usize| {
        let s = &fit.summaries[j];
        let e = s.ess_bulk.min(s.ess_tail);
        (e < ESS).then_some(-e)
    };
    let (at, names) = worst(fit, low)?;
    let s = &fit.summaries[at];
    let least = s.ess_bulk.min(s.ess_tail);
    let total = (fit.draws * fit.used.len()) as f64;
    let factor = (ESS / least * 1.2).max(1.2);
    let next = match least < 0.02 * total {
        true if fit.weighting.is_some() => {
            "fit a freer guide (--guide 'realnvp(8)'), or --method transport".to_string()
        }
        true => "the chains mix badly: reparameterise (`noncentred`), or try --metric dense".to_string(),
        false => format!("draw more: --draws {}", ((fit.draws as f64 * factor / 100.0).ceil() * 100.0) as usize),
    };
    Some(Finding {
        serious: false,
        text: format!(
            "fewer than {ESS} effective draws for {names} (at worst {}): errors and quantiles are rough",
            fixed(least, 0)
        ),
        next,
    })
}

fn energy(fit: &Fit) -> Option<Finding> {
    let low: Vec<String> = fit.runs.iter().map(|r| r.ebfmi).filter(|e| *e < EBFMI).map(|e| fixed(e, 2)).collect();
    (!low.is_empty()).then(|| Finding {
        serious: false,
        text: format!(
            "E-BFMI is below {EBFMI} in {} of {} chains ({}): the tails are explored slowly",
            low.len(),
            fit.runs.len(),
            low.join(", ")
        ),
        next: "write hierarchical latents `noncentred`, or use lighter tails".into(),
    })
}

fn depth(fit: &Fit) -> Option<Finding> {
    let hits = fit.max_depth_hits();
    let all: usize = fit.runs.iter().map(|r| r.iterations).sum();
    (hits > 0).then(|| Finding {
        serious: false,
        text: format!(
            "{} % of the trajectories were cut at the tree-depth limit: slow, though not wrong",
            significant(100.0 * hits as f64 / all as f64, 2)
        ),
        next: "rescale the data or the latents, try --metric dense, or raise --max-depth".into(),
    })
}

fn divergent(model: &Model, compiled: &Compiled, fit: &Fit) -> Option<Finding> {
    let n = fit.divergences();
    if n == 0 {
        return None;
    }
    let all: usize = fit.runs.iter().map(|r| r.iterations).sum();
    let share = significant(100.0 * n as f64 / all as f64, 2);
    let plural = if n == 1 { "" } else { "s" };
    let mut text =
        format!("{n} divergent transition{plural} ({share} % of draws): the draws miss a region of strong curvature");
    let mut next = "reparameterise the model".to_string();
    if let Some(scale) = small_scale(compiled, fit) {
        text.push_str(&format!("; they gather at small values of {scale}"));
        let name = scale.split('[').next().unwrap_or(&scale);
        next = match centred_line(&model.source, name) {
            Some(line) => format!("write `{line} noncentred`"),
            None => format!("keep {name} away from 0 by its prior"),
        };
    }
    let next = or_raise(next, fit.target_accept);
    Some(Finding { serious: n as f64 > FEW * all as f64, text, next })
}

/// `step`, or a higher acceptance than `aim` where there is a higher one that serves.
fn or_raise(step: String, aim: f64) -> String {
    match [0.95, 0.99].into_iter().find(|higher| aim < *higher) {
        Some(higher) => format!("{step}, or raise --target-accept to {higher}"),
        None => step,
    }
}

/// A positive latent whose median at the divergences lies in the lowest fifth of its draws.
fn small_scale(compiled: &Compiled, fit: &Fit) -> Option<String> {
    let (mut values, mut scratch) = (vec![0.0; fit.layout.width], vec![]);
    let mut at: Vec<Vec<f64>> = vec![];
    for d in fit.runs.iter().flat_map(|r| &r.divergences) {
        compiled.values(&d.end, &mut values, &mut scratch);
        at.push(fit.layout.positions.iter().map(|&p| values[p]).collect());
    }
    let mut best: Option<(f64, usize)> = None;
    for j in 0..fit.layout.latents {
        let draws: Vec<f64> = fit.used.iter().flat_map(|&c| fit.chains[c].column(j)).copied().collect();
        if draws.iter().any(|x| *x <= 0.0) {
            continue;
        }
        let here: Vec<f64> = at.iter().map(|v| v[j]).filter(|v| !v.is_nan()).collect();
        let median = quantile(&here, 0.5);
        let rank = draws.iter().filter(|x| **x < median).count() as f64 / draws.len() as f64;
        if rank < 0.2 && best.is_none_or(|b| rank < b.0) {
            best = Some((rank, j));
        }
    }
    best.map(|(_, j)| fit.layout.names[j].clone())
}

/// The statement of a latent scaled by `name` that is not written `noncentred`.
fn centred_line(source: &str, name: &str) -> Option<String> {
    let uses = |law: &str| law.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == name);
    source.lines().map(|l| l.split('#').next().unwrap_or("").trim()).find_map(|l| {
        let (left, law) = l.split_once('~')?;
        let location_scale = ["normal(", "student_t(", "cauchy(", "logistic(", "laplace("];
        let fits = left.starts_with("latent") && location_scale.iter().any(|k| law.trim_start().starts_with(k));
        (fits && uses(law) && !law.contains("noncentred")).then(|| l.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_centred_statement() {
        let source =
            "latent tau ~ half_cauchy(0, 5)\nplate j in 1:J {\n  latent theta ~ normal(mu, tau) # effects\n}\n";
        assert_eq!(centred_line(source, "tau").as_deref(), Some("latent theta ~ normal(mu, tau)"));
        assert_eq!(centred_line(&source.replace("tau) #", "tau) noncentred #"), "tau"), None);
        assert_eq!(centred_line(source, "ta"), None);
    }

    #[test]
    fn nobody_is_told_to_raise_what_is_as_high() {
        let advice = |aim| or_raise("a".into(), aim);
        assert_eq!(advice(0.8), "a, or raise --target-accept to 0.95");
        assert_eq!(advice(0.95), "a, or raise --target-accept to 0.99");
        assert_eq!(advice(0.99), "a");
    }

    #[test]
    fn serious_findings_decide() {
        let f = |serious| Finding { serious, text: String::new(), next: String::new() };
        assert_eq!(Verdict::of(&[]), Verdict::Trust);
        assert_eq!(Verdict::of(&[f(false)]), Verdict::Care);
        assert_eq!(Verdict::of(&[f(false), f(true)]), Verdict::Distrust);
    }
}
