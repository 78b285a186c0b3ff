//! `thalweg run`: check the model, fit a guide, sample, estimate the evidence, then say what can be trusted.

use clap::Args;

use super::common::CliError;
use super::evidence::Particles;
use super::sample::SampleArgs;
use crate::workflow::run::Check;

/// Settings of `run`: those of `sample`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    pub sample: SampleArgs,
    #[command(flatten)]
    pub evidence: Particles,
}

impl RunArgs {
    /// Runs the command; a bad verdict is a result, not an error.
    pub fn run(&self) -> Result<(), CliError> {
        let checked = |check: &Check| {
            if !self.sample.json {
                super::out(&format!("{}\n", check.text()));
            }
        };
        let done = self.sample.sample(true, Some(self.evidence.settings()), &checked)?;
        if self.sample.json {
            super::out(&format!("{:#}\n", done.json()));
            return Ok(());
        }
        let (text, written) = (done.text(self.sample.all), self.sample.written());
        super::out(&format!("{text}{written}verdict: {}\n", done.verdict.text()));
        Ok(())
    }
}
