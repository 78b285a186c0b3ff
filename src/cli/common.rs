//! What the commands share: the model and its data on the command line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::guide::GuideFileError;
use crate::model::data::DataFile;
use crate::model::posterior::{Model, ModelError, Posterior, Settings};
use crate::optimize::OptimizeError;
use crate::workflow::amortize::AmortizeError;
use crate::workflow::amortized_file::AmortizedFileError;
use crate::workflow::evidence::SpreadError;
use crate::workflow::gradient::NoPoint;
use crate::workflow::interpolate::WayError;
use crate::workflow::ladder::GuideError;
use crate::workflow::sample::WorkflowError;

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CliError {
    /// The model or its data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A run.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The search for a maximum.
    #[error("{0}")]
    Optimize(#[from] OptimizeError),
    /// The points of `check --at`.
    #[error("{path}: {problem}", path = path.display())]
    Points { path: PathBuf, problem: String },
    /// A gradient test without a point.
    #[error("{0}")]
    NoPoint(#[from] NoPoint),
    /// A gradient that is wrong.
    #[error("{0}; a density with steps or kinks cannot be sampled by gradients")]
    Gradient(String),
    /// A check that needs data.
    #[error("{model} needs data for this; give --data FILE")]
    NeedsData { model: String },
    /// An instruction set that the machine lacks.
    #[error("--isa {0}: this machine does not have it; leave the option out")]
    Isa(&'static str),
    /// A guide that cannot be fitted.
    #[error("{0}")]
    Guide(#[from] GuideError),
    /// A guide file.
    #[error("{0}")]
    GuideFile(#[from] GuideFileError),
    /// An amortized guide that cannot be trained.
    #[error("{0}")]
    Amortize(#[from] AmortizeError),
    /// Its file.
    #[error("{0}")]
    AmortizedFile(#[from] AmortizedFileError),
    /// Rows of a training that are not in the data.
    #[error(
        "--on: the guide was trained on other data, so none of these rows were in its training or held out; leave --on out for all rows, or give the data of the training (--data)"
    )]
    OtherRows,
    /// A way between two rows.
    #[error("{0}")]
    Way(#[from] WayError),
    /// Replicates of an estimate.
    #[error("{0}")]
    Spread(#[from] SpreadError),
    /// A model without evidence.
    #[error("no evidence for {model}: {why}")]
    NoEvidence { model: String, why: String },
    /// A configuration that cannot be run again.
    #[error("--config {path}: {problem}; give a config.json that `thalweg sample --out` has written", path = path.display())]
    Config { path: PathBuf, problem: String },
}

/// The model and what is bound to it.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// A `.thal` file, or a folder with a `model.thal` (and a `data.json`)
    pub model: PathBuf,
    /// Data file, JSON or CSV; by default the folder's `data.json`
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// New value of a const
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, f64)>,
    /// JSON file with values of params
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
}

/// A count from 1.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("give a whole number from 1".into()),
        Ok(n) => Ok(n),
    }
}

fn setting(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` is not a number"))?;
    Ok((name.trim().to_string(), value))
}

impl ModelArgs {
    /// Reads the model.
    pub fn load(&self) -> Result<Model, CliError> {
        Ok(Model::load(&self.model)?)
    }

    /// Reads the data: `--data`, else the model folder's `data.json`, else none.
    pub fn load_data(&self) -> Result<DataFile, CliError> {
        let beside = self.model.join("data.json");
        let path: Option<&Path> = match &self.data {
            Some(p) => Some(p),
            None if beside.exists() => Some(&beside),
            None => None,
        };
        Ok(path.map_or_else(|| Ok(DataFile::default()), DataFile::load).map_err(ModelError::from)?)
    }

    /// The settings of the binding; `seed` is that of the initial weights of networks.
    pub fn settings(&self, seed: u64) -> Result<Settings, CliError> {
        let mut params = HashMap::new();
        if let Some(path) = &self.params {
            let file = DataFile::load(path).map_err(ModelError::from)?;
            for key in file.keys() {
                if let Some(raw) = file.get(key) {
                    params.insert(key.to_string(), raw.values.clone());
                }
            }
        }
        Ok(Settings { set: self.set.iter().cloned().collect(), params, seed, ..Settings::default() })
    }

    /// Reads and binds.
    pub fn bind(&self) -> Result<Posterior, CliError> {
        Ok(self.load()?.bind_with(&self.load_data()?, &self.settings(0)?)?)
    }
}
