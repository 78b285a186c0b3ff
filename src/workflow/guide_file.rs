//! Guide files: the values of a fitted guide with all that says which posterior it is for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::FlowError;
use crate::guide::{Base, Family, Guide, Scale, Start};
use crate::model::compiled::Compiled;
use crate::model::data::DataFile;
use crate::workflow::ladder::{Fitted, Rung};

/// Version of the format.
const VERSION: u32 = 1;

/// What a file holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// Sites with their shapes, supports and numbers of coordinates.
    layout: Vec<String>,
    /// Hash of the data.
    data: String,
    base: Base,
    /// The nonlinear layers, if any, in the grammar of flows.
    nonlinear: Option<String>,
    /// Whether the affine layer is a full triangle.
    full: bool,
    dtype: String,
    seed: u64,
    theta: Vec<f64>,
    start: Start,
    rung: Rung,
}

/// Why a guide cannot be stored or used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum GuideFileError {
    /// The file.
    #[error("{path}: {source}; choose another path", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// Its text.
    #[error("{path} is no guide file: {source}; make one with `thalweg fit MODEL --out FILE`", path = path.display())]
    Syntax { path: PathBuf, source: serde_json::Error },
    /// Its version.
    #[error("{path} has the format {found}, this program reads {VERSION}; fit the guide again", path = path.display())]
    Version { path: PathBuf, found: u32 },
    /// Another model.
    #[error("{path} is a guide for another model: {difference}; fit one to this model", path = path.display())]
    Layout { path: PathBuf, difference: String },
    /// Other data.
    #[error("{path} was fitted to other data of this model; fit one to these data", path = path.display())]
    Data { path: PathBuf },
    /// Its flow.
    #[error("{path}: {source}", path = path.display())]
    Flow { path: PathBuf, source: FlowError },
    /// Its numbers.
    #[error("{path} has {found} parameters where its flow has {expected}; the file is damaged", path = path.display())]
    Length { path: PathBuf, found: usize, expected: usize },
}

fn layout(compiled: &Compiled) -> Vec<String> {
    let p = &compiled.posterior;
    let line = |s: &crate::model::site::Site| {
        let shape = p.graph.shape(s.value);
        format!("{} {:?} on {} with {} coordinates", s.name, shape.dims(), s.constraint, s.free)
    };
    p.sites.iter().map(line).collect()
}

/// FNV-1a over the text of the data, keys in order.
fn hash(data: &DataFile) -> String {
    let mut keys: Vec<&str> = data.keys().collect();
    keys.sort_unstable();
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |bytes: &[u8]| bytes.iter().for_each(|b| h = (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    for key in keys {
        eat(key.as_bytes());
        for v in data.get(key).iter().flat_map(|r| &r.values) {
            eat(&v.to_bits().to_le_bytes());
        }
    }
    format!("{h:016x}")
}

/// Writes the guide of `fitted`.
///
/// # Errors
/// Where the file cannot be written.
pub fn save(
    path: &Path,
    compiled: &Compiled,
    data: &DataFile,
    fitted: &Fitted,
    seed: u64,
) -> Result<(), GuideFileError> {
    let family = &fitted.guide.family;
    let stored = Stored {
        version: VERSION,
        layout: layout(compiled),
        data: hash(data),
        base: family.base,
        nonlinear: family.nonlinear.clone(),
        full: family.scale() == Scale::Full,
        dtype: "f64".into(),
        seed,
        theta: fitted.guide.theta.clone(),
        start: fitted.start.clone(),
        rung: fitted.rungs[fitted.best].clone(),
    };
    let io = |source| GuideFileError::Io { path: path.into(), source };
    let text = serde_json::to_string(&stored).map_err(|e| io(e.into()))?;
    std::fs::write(path, text).map_err(io)
}

/// Reads a guide for this posterior.
///
/// # Errors
/// Where the file is none, or is for another model or other data.
pub fn load(path: &Path, compiled: &Compiled, data: &DataFile) -> Result<Fitted, GuideFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| GuideFileError::Io { path: path.into(), source })?;
    let stored: Stored =
        serde_json::from_str(&text).map_err(|source| GuideFileError::Syntax { path: path.into(), source })?;
    if stored.version != VERSION {
        return Err(GuideFileError::Version { path: path.into(), found: stored.version });
    }
    let here = layout(compiled);
    if let Some(difference) = difference(&stored.layout, &here) {
        return Err(GuideFileError::Layout { path: path.into(), difference });
    }
    if stored.data != hash(data) {
        return Err(GuideFileError::Data { path: path.into() });
    }
    let scale = if stored.full { Scale::Full } else { Scale::Diagonal };
    let dim = compiled.posterior.dim;
    let family = Family::new(dim, stored.base, stored.nonlinear.as_deref(), scale)
        .map_err(|source| GuideFileError::Flow { path: path.into(), source })?;
    let (found, expected) = (stored.theta.len(), family.flow.len());
    if found != expected || stored.start.location.len() != dim || stored.start.factor.len() != dim * dim {
        return Err(GuideFileError::Length { path: path.into(), found, expected });
    }
    let guide = Guide::new(Arc::new(family), stored.theta);
    let reason = format!("read from {}", path.display());
    Ok(Fitted { guide, start: stored.start, rungs: vec![stored.rung], best: 0, reason })
}

/// The first site at which two layouts part.
fn difference(stored: &[String], here: &[String]) -> Option<String> {
    let pair = (0..stored.len().max(here.len())).find(|&k| stored.get(k) != here.get(k))?;
    let name = |l: &[String]| l.get(pair).map_or("nothing".to_string(), |s| format!("`{s}`"));
    Some(format!("it has {}, this model {}", name(stored), name(here)))
}
