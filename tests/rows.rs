//! A plate as rows: globals + Σ rows is the whole, value and gradient; plates that are not separable say why.

#[path = "rows/chains.rs"]
mod chains;
#[path = "rows/identity.rs"]
mod identity;
#[path = "rows/models.rs"]
mod models;
#[path = "rows/verdict.rs"]
mod verdict;

use std::path::PathBuf;

use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Posterior};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn bind(source: &str, data: &str) -> Posterior {
    let data = DataFile::from_json(data).unwrap_or_else(|e| panic!("{e}"));
    let model = Model::from_text("model", source).unwrap_or_else(|e| panic!("{e}"));
    model.bind(&data).unwrap_or_else(|e| panic!("{e}"))
}
