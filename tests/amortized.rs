//! Amortized inference against models whose rows are known in closed form, and against itself.

#[path = "amortized/estimators.rs"]
mod estimators;
#[path = "amortized/globals.rs"]
mod globals;
#[path = "amortized/heavy.rs"]
mod heavy;
#[path = "amortized/linear.rs"]
mod linear;
#[path = "amortized/monotone.rs"]
mod monotone;
#[path = "amortized/nested.rs"]
mod nested;
#[path = "amortized/row_errors.rs"]
mod row_errors;
#[path = "amortized/sets.rs"]
mod sets;
#[path = "amortized/training.rs"]
mod training;

use std::path::PathBuf;

use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Settings};
use thalweg::workflow::amortize::{Bound, bind};

/// A model of the collection, bound for training.
fn bound(name: &str) -> Bound {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    let model = Model::load(&folder).unwrap_or_else(|e| panic!("{e}"));
    let data = DataFile::load(&folder.join("data.json")).unwrap_or_else(|e| panic!("{e}"));
    bind(&model, &data, &Settings::default(), None).unwrap_or_else(|e| panic!("{e}"))
}

/// A model from text.
fn from_text(source: &str, data: &str) -> Bound {
    let model = Model::from_text("model", source).unwrap_or_else(|e| panic!("{e}"));
    let data = DataFile::from_json(data).unwrap_or_else(|e| panic!("{e}"));
    bind(&model, &data, &Settings::default(), None).unwrap_or_else(|e| panic!("{e}"))
}
