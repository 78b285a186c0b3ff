//! `thalweg fit`: a guide for the posterior, with the ladder that led to it.

use std::path::PathBuf;

use clap::{Arg, ArgGroup, Args};

use super::amortize::AmortizeArgs;
use super::common::{CliError, ModelArgs};
use crate::model::compiled::Compiled;
use crate::workflow::guide_file;
use crate::workflow::ladder::{Choice, Options, fit};

/// Fits a guide to the posterior
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("encoded").args(["amortize", "plate"]).multiple(true), mut_args = of_encoders)]
pub struct FitArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Guide: auto, mean-field, full-rank, or a flow such as 'realnvp(8)' or 'iaf(3)'
    #[arg(long, default_value = "auto", value_name = "GUIDE")]
    pub guide: String,
    #[command(flatten)]
    pub amortized: AmortizeArgs,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// File for the guide
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the ladder as JSON
    #[arg(long)]
    pub json: bool,
}

/// What only the training of an encoder reads is refused where there is none.
fn of_encoders(arg: Arg) -> Arg {
    const READ: [&str; 8] = ["encoder", "globals", "batch", "steps", "rate", "kl_warmup", "heldout", "resume"];
    if READ.iter().any(|name| arg.get_id() == name) { arg.requires("encoded") } else { arg }
}

impl FitArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), CliError> {
        if self.amortized.asked() {
            return self.amortized.run(&self.model, &self.guide, self.seed, self.out.as_ref(), self.json);
        }
        let data = self.model.load_data()?;
        let compiled = Compiled::new(self.model.bind()?);
        let choice = Choice::read(&self.guide);
        let options = Options { choice, particles: self.amortized.particles, seed: self.seed, ..Options::default() };
        let fitted = fit(&compiled, &options, None)?;
        let mut text = if self.json { format!("{:#}\n", fitted.json()) } else { fitted.text() };
        if options.particles > 1 && !self.json {
            text.push_str(&format!("objective: IWAE with K = {}\n", options.particles));
        }
        if let Some(path) = &self.out {
            guide_file::save(path, &compiled, &data, fitted, self.seed)?;
            if !self.json {
                text.push_str(&format!("guide: {}\n", path.display()));
            }
        }
        super::out(&text);
        Ok(())
    }
}
