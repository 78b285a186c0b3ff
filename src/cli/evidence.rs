//! `thalweg evidence` and `thalweg compare`: the marginal likelihood as an interval, and Bayes factors.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::common::{CliError, ModelArgs, positive};
use super::sample::SampleArgs;
use crate::evidence::run::{Evidence, Settings};
use crate::model::compiled::Compiled;
use crate::report::number::{decimals, fixed, significant};
use crate::report::table::Table;
use crate::workflow::evidence::{Spread, json, spread, text};
use crate::workflow::ladder::{Choice, Options};

/// How many particles.
#[derive(Args, Clone, Copy, Debug)]
pub struct Particles {
    /// Draws from the proposal for the evidence, in 4 independent runs
    #[arg(long, default_value_t = 1 << 14, value_parser = positive)]
    pub particles: usize,
}

impl Particles {
    /// The settings of the estimators.
    pub fn settings(self) -> Settings {
        let settings = Settings::default();
        Settings { particles: self.particles.div_ceil(settings.replicates), ..settings }
    }
}

/// Settings of `evidence`.
#[derive(Args, Clone, Debug)]
pub struct EvidenceArgs {
    #[command(flatten)]
    pub sample: SampleArgs,
    #[command(flatten)]
    pub particles: Particles,
    /// Retrain the guide and estimate so many times; print spread, coverage and rms z
    #[arg(long, value_name = "R", value_parser = positive)]
    pub replicates: Option<usize>,
    /// The known value that coverage is counted against; else the mean of the replicates
    #[arg(long, value_name = "LOG_Z", allow_negative_numbers = true)]
    pub known: Option<f64>,
}

impl EvidenceArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), CliError> {
        if let Some(count) = self.replicates {
            return self.spread(count);
        }
        let found = estimate(&self.sample, self.particles)?;
        if self.sample.json {
            super::out(&format!("{:#}\n", json(&found.0)));
        } else {
            super::out(&format!("{}{}", found.1, text(&found.0)));
        }
        Ok(())
    }

    fn spread(&self, count: usize) -> Result<(), CliError> {
        let compiled = Compiled::new(self.sample.model.bind()?);
        normalised(&self.sample.model, &compiled)?;
        let choice = Choice::read(&self.sample.guide);
        let options = Options { choice, seed: self.sample.seed, ..Options::default() };
        let show = |r: &crate::workflow::evidence::Replicate| {
            if !self.sample.json && !self.sample.quiet {
                super::out(&format!(
                    "seed {}: {} (MCSE {}, k-hat {})\n",
                    r.seed,
                    fixed(r.log_z, decimals(r.log_z, r.mcse)),
                    significant(r.mcse, 2),
                    fixed(r.khat, 2)
                ));
            }
        };
        let found = spread(&compiled, &options, &self.particles.settings(), count, self.known, &show)?;
        if self.sample.json {
            super::out(&format!("{:#}\n", serde_json::to_value(&found).unwrap_or_default()));
        } else {
            super::out(&sentence(&found));
        }
        Ok(())
    }
}

fn sentence(s: &Spread) -> String {
    format!(
        "{} of {} stated 95 % intervals cover {}; rms z {}, mean z {}, spread {}\n",
        s.covered,
        s.replicates.len(),
        fixed(s.reference, 4),
        fixed(s.rms_z, 2),
        fixed(s.mean_z, 2),
        significant(s.sd, 2)
    )
}

/// Refuses a density that is known up to a constant, with the first line at fault.
fn normalised(model: &ModelArgs, compiled: &Compiled) -> Result<(), CliError> {
    let d = crate::workflow::describe::Description::new(&model.load()?, &compiled.posterior, std::iter::empty());
    match d.up_to_constant.first() {
        None => Ok(()),
        Some(r) => Err(CliError::NoEvidence {
            model: model.model.display().to_string(),
            why: format!("its density is known up to a constant only: {}", r.placed()),
        }),
    }
}

/// The evidence of one model, and the words before it.
fn estimate(sample: &SampleArgs, particles: Particles) -> Result<(Evidence, String), CliError> {
    normalised(&sample.model, &Compiled::new(sample.model.bind()?))?;
    let done = sample.sample(false, Some(particles.settings()), &|_| ())?;
    let ladder = done.guided.as_ref().map_or(String::new(), |g| g.fitted().text());
    let notes = done.notes.join("; ");
    let doubts = done.findings.iter().map(|f| format!("warning: {}\n  next: {}\n", f.text, f.next)).collect::<String>();
    match done.evidence {
        Some(e) => Ok((e, ladder + &doubts)),
        None => Err(CliError::NoEvidence { model: sample.model.model.display().to_string(), why: notes }),
    }
}

/// Settings of `compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    #[command(flatten)]
    pub a: SampleArgs,
    /// The other model
    pub other: PathBuf,
    /// Data of the other model; by default those of the first, or of its folder
    #[arg(long, value_name = "FILE")]
    pub other_data: Option<PathBuf>,
    #[command(flatten)]
    pub particles: Particles,
}

impl CompareArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), CliError> {
        let mut other = self.a.clone();
        other.model.model = self.other.clone();
        let beside = self.other.join("data.json").exists();
        other.model.data = self.other_data.clone().or(if beside { None } else { self.a.model.data.clone() });
        let (a, b) = (estimate(&self.a, self.particles)?.0, estimate(&other, self.particles)?.0);
        let (x, y) = (&a.sandwich, &b.sandwich);
        let (log_bf, mcse) = (x.log_z - y.log_z, x.mcse.hypot(y.mcse));
        let (lower, upper) = (x.lower - y.upper, x.upper - y.lower);
        if self.a.json {
            let v = json!({
                "log_bayes_factor": log_bf, "mcse": mcse, "lower": lower, "upper": upper,
                "a": json(&a), "b": json(&b),
            });
            super::out(&format!("{v:#}\n"));
            return Ok(());
        }
        let mut t = Table::new(&["model", "log p(x)", "MCSE", "from", "to", "verdict"]);
        for (path, s) in [(&self.a.model.model, x), (&self.other, y)] {
            let d = decimals(s.log_z, s.mcse);
            let cells = [fixed(s.log_z, d), significant(s.mcse, 2), fixed(s.lower, d), fixed(s.upper, d)];
            let mut row = vec![path.display().to_string()];
            row.extend(cells);
            row.push(s.verdict.word().into());
            t.row(row);
        }
        let d = decimals(log_bf, mcse);
        super::out(&format!(
            "{t}\nlog Bayes factor of the first over the second: {} (MCSE {}) in [{}, {}]: {}\n",
            fixed(log_bf, d),
            significant(mcse, 2),
            fixed(lower, d),
            fixed(upper, d),
            strength(log_bf)
        ));
        Ok(())
    }
}

/// Kass & Raftery's (1995, section 3.2) words for twice the log Bayes factor.
fn strength(log_bf: f64) -> String {
    let favoured = if log_bf > 0.0 { "the first" } else { "the second" };
    let word = match 2.0 * log_bf.abs() {
        x if x < 2.0 => "hardly any",
        x if x < 6.0 => "positive",
        x if x < 10.0 => "strong",
        _ => "very strong",
    };
    format!("{word} evidence for {favoured}")
}
