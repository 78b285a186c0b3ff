//! `thalweg run`: sample, then say whether the draws can be trusted and what to do next.

use clap::Args;

use super::common::CliError;
use super::sample::SampleArgs;
use crate::workflow::verdict::Verdict;

/// Settings of `run`: those of `sample`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    pub sample: SampleArgs,
}

impl RunArgs {
    /// Runs the command; a bad verdict is a result, not an error.
    pub fn run(&self) -> Result<(), CliError> {
        let done = self.sample.sample()?;
        let verdict = Verdict::of(&done.findings);
        if self.sample.json {
            let mut json = self.sample.summary(&done);
            json["verdict"] = verdict.name().into();
            super::out(&format!("{json:#}\n"));
            return Ok(());
        }
        let p = &done.compiled.posterior;
        let latents: Vec<&str> = p.sites.iter().map(|s| s.name.as_str()).collect();
        super::out(&format!("{}: {} coordinates of {}\n\n", done.model.file, p.dim, latents.join(", ")));
        self.sample.print(&done);
        super::out(&format!("verdict: {}\n", verdict.text()));
        Ok(())
    }
}
