//! `thalweg simulate`: draws from the priors and data from them, or predictions from posterior draws.

use std::path::{Path, PathBuf};

use clap::Args;

use super::common::{CliError, ModelArgs, positive};
use crate::io::{StanCsvWriter, dotted};
use crate::workflow::amortized_file;
use crate::workflow::sample::WorkflowError;
use crate::workflow::simulate::{Forward, Forwards, PosteriorDraws};

/// Settings of `simulate`.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Number of draws
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub draws: usize,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder of `thalweg sample --out` to predict from, instead of the priors
    #[arg(long, value_name = "DIR")]
    pub posterior: Option<PathBuf>,
    /// Guide file of `thalweg fit --amortize`: new rows from the trained params
    #[arg(long, value_name = "FILE")]
    pub guide: Option<PathBuf>,
    /// Folder for data_1.json, … (complete data files) and draws.csv (latents and reports)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Show every element of long arrays
    #[arg(long)]
    pub all: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

impl SimulateArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), CliError> {
        let (model, data) = (self.model.load()?, self.model.load_data()?);
        let mut settings = self.model.settings(self.seed)?;
        if let Some(path) = &self.guide {
            settings.params.extend(amortized_file::params(path)?);
        }
        let posterior = self.posterior.as_deref().map(PosteriorDraws::read).transpose()?;
        if let Some(folder) = &self.out {
            std::fs::create_dir_all(folder).map_err(|source| WorkflowError::Folder { path: folder.clone(), source })?;
        }
        let forwards = Forwards {
            model: &model,
            data: &data,
            settings: &settings,
            draws: self.draws,
            seed: self.seed,
            posterior: posterior.as_ref(),
            folder: self.out.as_deref(),
        };
        let done = forwards.run()?;
        if let Some(folder) = &self.out {
            self.write(folder, &done)?;
        }
        self.print(&done);
        Ok(())
    }

    fn write(&self, folder: &Path, done: &Forward) -> Result<(), CliError> {
        let header = [("method", "simulate".to_string()), ("seed", self.seed.to_string())];
        let names: Vec<String> = done.names()[..done.kept].iter().map(|n| dotted(n)).collect();
        let all = || -> Result<(), crate::io::IoError> {
            let mut w = StanCsvWriter::create(&folder.join("draws.csv"), &header, &[], &names)?;
            for row in &done.rows {
                w.row(&[], &row[..done.kept])?;
            }
            w.finish()
        };
        if names.is_empty() {
            return Ok(());
        }
        Ok(all().map_err(WorkflowError::from)?)
    }

    fn print(&self, done: &Forward) {
        if self.json {
            super::out(&format!("{:#}\n", done.json()));
            return;
        }
        let from = if self.posterior.is_some() { "posterior draws" } else { "the priors" };
        let mut text = format!("{}\n{} draws from {from}\n", done.table(self.all), done.rows.len());
        if let Some(folder) = &self.out {
            text.push_str(&format!("data: {}\n", folder.join("data_*.json").display()));
        }
        super::out(&text);
    }
}
