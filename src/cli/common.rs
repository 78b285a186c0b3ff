//! What the commands share: the model and its data on the command line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::model::data::DataFile;
use crate::model::posterior::{Model, ModelError, Posterior, Settings};

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The model or its data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Anything else, in words that name the thing and the next step.
    #[error("error: {0}")]
    Other(String),
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
