//! Guide files: weights with a header that says what they are and what they were fitted to.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::base::Base;
use super::family::{Family, Scale};
use super::member::Guide;
use crate::base::file::replace;
use crate::flow::{Airworthiness, Flow, FlowError, airworthiness};

/// First field of every guide file.
const FORMAT: &str = "thalweg guide";
/// Version that is written, and the only one that is read.
const VERSION: u32 = 2;
/// Type of the weights.
const DTYPE: &str = "f64";

/// What a guide was fitted to. The caller computes the hashes; here they are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Hash of the layout: sites, shapes, transforms, constants.
    pub layout: String,
    /// One readable line per site, so that a refusal can name the first one that differs.
    pub sites: Vec<String>,
    /// Hash of the data; none for an amortized guide, which serves any data.
    pub data: Option<String>,
    /// Seed of the fit.
    pub seed: u64,
}

/// A guide as it is stored.
pub struct Stored {
    /// The guide.
    pub guide: Guide,
    /// What it was fitted to.
    pub origin: Origin,
    /// The check of its flow at these weights.
    pub airworthiness: Airworthiness,
}

/// Why a guide cannot be stored, read or used.
#[derive(Debug, Error)]
pub enum GuideFileError {
    /// The file cannot be read.
    #[error("cannot read the guide {path}: {source}; check the path", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the guide {path}: {source}; check that its folder exists and has space", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no guide.
    #[error("this is not a guide file: {message}; write one with a fit")]
    Form {
        /// What was found.
        message: String,
    },
    /// Another version of the format.
    #[error("the guide file has format version {found}, this program reads version {VERSION}; fit the guide again")]
    Version {
        /// Version of the file.
        found: u32,
    },
    /// The architecture cannot be built.
    #[error("the guide file's architecture `{text}` cannot be built: {message}; fit the guide again")]
    Architecture {
        /// The architecture.
        text: String,
        /// Why.
        message: String,
    },
    /// As many weights as the architecture has parameters are needed.
    #[error(
        "the guide file has {found} weights, its architecture `{text}` needs {expected}; the file is damaged, fit again"
    )]
    Weights {
        /// The architecture.
        text: String,
        /// Weights of the file.
        found: usize,
        /// Parameters of the architecture.
        expected: usize,
    },
    /// A weight that is no number.
    #[error(
        "weight {index} of the guide is {value}; a guide that failed is not stored, fit it again from another seed"
    )]
    NotFinite {
        /// Which weight, from 0.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// Fitted to another model.
    #[error("the guide was fitted to another model: {difference}; fit it again for this one")]
    Layout {
        /// What differs.
        difference: String,
    },
    /// Fitted to other data.
    #[error(
        "the guide was fitted to other data (hash {found}, here {expected}), and a global guide is a posterior of its \
         own data only; fit it again for these data"
    )]
    Data {
        /// Hash in the file.
        found: String,
        /// Hash of the data at hand.
        expected: String,
    },
}

/// The file, field by field.
#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    layout: String,
    sites: Vec<String>,
    data: Option<String>,
    dim: usize,
    base: Base,
    architecture: String,
    dtype: String,
    seed: u64,
    airworthiness: Airworthiness,
    theta: Vec<f64>,
}

/// Read before the rest, so that a later version is named as such.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

impl Stored {
    /// A guide ready to be stored; its flow is checked here.
    ///
    /// # Errors
    /// Where a weight is not finite.
    pub fn new(guide: Guide, origin: Origin) -> Result<Stored, GuideFileError> {
        finite(&guide.theta)?;
        let airworthiness = airworthiness(&guide.family.flow, &guide.theta);
        Ok(Stored { guide, origin, airworthiness })
    }

    /// Refuses a guide of another model, and a global guide of other data.
    ///
    /// # Errors
    /// With what differs.
    pub fn check(&self, here: &Origin) -> Result<(), GuideFileError> {
        if self.origin.layout != here.layout {
            return Err(GuideFileError::Layout { difference: difference(&self.origin, here) });
        }
        match (&self.origin.data, &here.data) {
            (Some(found), Some(expected)) if found != expected => {
                Err(GuideFileError::Data { found: found.clone(), expected: expected.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The text of the file: JSON, numbers with as many digits as their bits need.
    pub fn to_text(&self) -> String {
        let (family, origin) = (&self.guide.family, &self.origin);
        let document = Document {
            format: FORMAT.to_string(),
            version: VERSION,
            layout: origin.layout.clone(),
            sites: origin.sites.clone(),
            data: origin.data.clone(),
            dim: family.dim(),
            base: family.base,
            architecture: family.flow.to_string(),
            dtype: DTYPE.to_string(),
            seed: origin.seed,
            airworthiness: self.airworthiness.clone(),
            theta: self.guide.theta.clone(),
        };
        let text = serde_json::to_string(&document);
        text.expect("a document of strings and finite numbers has a text") + "\n"
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Where it is no guide of this version, or its weights do not fit its architecture.
    pub fn from_text(text: &str) -> Result<Stored, GuideFileError> {
        let form = |e: serde_json::Error| GuideFileError::Form { message: e.to_string() };
        let head: Head = serde_json::from_str(text).map_err(form)?;
        if head.format != FORMAT {
            return Err(GuideFileError::Form { message: format!("its format is `{}`, not `{FORMAT}`", head.format) });
        }
        if head.version != VERSION {
            return Err(GuideFileError::Version { found: head.version });
        }
        let d: Document = serde_json::from_str(text).map_err(form)?;
        if d.dtype != DTYPE {
            return Err(GuideFileError::Form { message: format!("its weights are `{}`, not `{DTYPE}`", d.dtype) });
        }
        finite(&d.theta)?;
        let family = d.family()?;
        let (found, expected) = (d.theta.len(), family.flow.len());
        if found != expected {
            return Err(GuideFileError::Weights { text: d.architecture, found, expected });
        }
        let origin = Origin { layout: d.layout, sites: d.sites, data: d.data, seed: d.seed };
        Ok(Stored { guide: Guide::new(Arc::new(family), d.theta), origin, airworthiness: d.airworthiness })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn save(&self, path: &Path) -> Result<(), GuideFileError> {
        replace(path, &self.to_text()).map_err(|source| GuideFileError::Write { path: path.into(), source })
    }

    /// Reads the file and checks it against the model and data at hand.
    ///
    /// # Errors
    /// As [`Stored::from_text`] and [`Stored::check`].
    pub fn load(path: &Path, here: &Origin) -> Result<Stored, GuideFileError> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|source| GuideFileError::Read { path: path.into(), source })?;
        let stored = Stored::from_text(&text)?;
        stored.check(here)?;
        Ok(stored)
    }
}

impl Document {
    fn family(&self) -> Result<Family, GuideFileError> {
        let text = &self.architecture;
        let refuse = |message: String| GuideFileError::Architecture { text: text.clone(), message };
        let ends = [(Scale::Diagonal, "affine(diagonal)"), (Scale::Full, "affine(full)")];
        let found = ends.iter().find_map(|(scale, end)| Some((*scale, text.strip_suffix(end)?)));
        let (scale, before) = found.ok_or_else(|| refuse("its last layer is not affine".into()))?;
        let nonlinear = match before.strip_suffix(" -> ") {
            None if before.is_empty() => None,
            None => return Err(refuse("its layers are not joined by ` -> `".into())),
            Some(layers) => Some(layers),
        };
        // Every affine layer has at least one weight per coordinate, so a damaged dimension builds nothing large.
        if self.dim == 0 || self.dim > self.theta.len() {
            return Err(refuse(format!("{} coordinates with {} weights", self.dim, self.theta.len())));
        }
        if let Some(layers) = nonlinear {
            let least = Flow::least_len(layers, self.dim).map_err(|e| refuse(e.to_string()))?;
            if least > self.theta.len() {
                return Err(refuse(format!("it has at least {least} weights, the file {}", self.theta.len())));
            }
        }
        if self.base == (Base::StudentT { dof: 0 }) {
            return Err(refuse("Student's t with 0 degrees of freedom".into()));
        }
        Family::new(self.dim, self.base, nonlinear, scale).map_err(|e: FlowError| refuse(e.to_string()))
    }
}

fn finite(theta: &[f64]) -> Result<(), GuideFileError> {
    match theta.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(GuideFileError::NotFinite { index, value: theta[index] }),
        None => Ok(()),
    }
}

/// The first site that differs, or that the sites agree and something behind them does not.
fn difference(file: &Origin, here: &Origin) -> String {
    let count = file.sites.len().max(here.sites.len());
    let line = |o: &Origin, k: usize| o.sites.get(k).map_or("nothing".to_string(), |s| format!("`{s}`"));
    match (0..count).find(|&k| file.sites.get(k) != here.sites.get(k)) {
        Some(k) => format!("its site {} is {}, here it is {}", k + 1, line(file, k), line(here, k)),
        None => format!("its sites are the same, but the layout's hash is {}, here {}", file.layout, here.layout),
    }
}
