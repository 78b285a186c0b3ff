//! Files of amortized guides: params of the model and weights of the guide, with a header that says what they belong to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::amortize::{Bound, Options, Trained, plan};
use crate::base::file::replace;
use crate::flow::{Flow, FlowError};
use crate::guide::amortized::{Amortized, Plan};
use crate::guide::encoder::Encoder;
use crate::guide::{Base, Family, Scale};
use crate::vi::plate::{Inner, State};

/// First field of every file.
const FORMAT: &str = "thalweg amortized guide";
/// Version that is written, and the only one that is read.
const VERSION: u32 = 3;

/// Why a file cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AmortizedFileError {
    /// Reading.
    #[error("cannot read the guide {path}: {source}; check the path", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Writing.
    #[error("cannot write the guide {path}: {source}; check that its folder exists and has space", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not such a file.
    #[error("{path} is no amortized guide: {message}; write one with `thalweg fit --amortize --out FILE`", path = .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// A training to go on with has other settings.
    #[error("--resume: the training of {path} differs in {what}: it has {stored}, here is {asked}; go on with its own settings (only --steps may differ), or train anew", path = .path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// Stored.
        stored: String,
        /// Asked for.
        asked: String,
    },
    /// Trained for another model.
    #[error("the guide was trained for another model: {difference}; train it again for this one")]
    Model {
        /// What differs.
        difference: String,
    },
}

/// Read before the rest, so that another version is named as such.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    plate: String,
    /// What has to agree with the model, line by line.
    layout: Vec<String>,
    options: Options,
    plan: Plan,
    standard: Vec<(f64, f64)>,
    global: Option<Scale>,
    params: BTreeMap<String, Vec<f64>>,
    constant: Vec<usize>,
    /// Hash of what it was trained on.
    data: String,
    state: State,
}

/// Lines that say what a guide was trained for.
fn layout(b: &Bound) -> Vec<String> {
    let t = &b.target;
    let mut out = vec![format!("plate `{}` with {} latent coordinates a row", t.plate, t.dim)];
    out.push(format!("{} numbers a row for the encoder", t.own_inputs()));
    out.extend(t.sets.iter().map(|n| format!("a set of members of {n} numbers for the encoder")));
    let inner = |i: &Inner| {
        format!("plate `{}` inside with {} latent coordinates and {} numbers for the encoder", i.plate, i.dim, i.inputs)
    };
    out.extend(t.inner.iter().map(inner));
    out.push(format!("{} coordinates of globals", t.coordinates));
    let param = |p: &crate::model::site::Param| format!("param `{}` of shape {:?} on {}", p.name, p.dims, p.constraint);
    out.extend(b.posterior.params.iter().map(param));
    out
}

/// Writes a trained guide.
///
/// # Errors
/// Where the disk refuses.
pub fn save(path: &Path, b: &Bound, trained: &Trained) -> Result<(), AmortizedFileError> {
    let document = Document {
        format: FORMAT.into(),
        version: VERSION,
        plate: b.target.plate.clone(),
        layout: layout(b),
        options: trained.options.clone(),
        plan: trained.guide.plan().clone(),
        standard: trained.guide.standard(),
        global: trained.global.as_ref().map(|f| f.scale()),
        params: trained.params(b).into_iter().collect(),
        constant: trained.constant.clone(),
        data: trained.data.clone(),
        state: trained.state.clone(),
    };
    let text = serde_json::to_string(&document).unwrap_or_default() + "\n";
    replace(path, &text).map_err(|source| AmortizedFileError::Write { path: path.into(), source })
}

fn read(path: &Path) -> Result<Document, AmortizedFileError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| AmortizedFileError::Read { path: path.into(), source })?;
    let form = |message: String| AmortizedFileError::Form { path: path.into(), message };
    let head: Head = serde_json::from_str(&text).map_err(|e| form(e.to_string()))?;
    match (head.format.as_str(), head.version) {
        (FORMAT, VERSION) => serde_json::from_str(&text).map_err(|e| form(e.to_string())),
        (FORMAT, v) => Err(form(format!("its format has version {v}, this program reads {VERSION}"))),
        (other, _) => Err(form(format!("its format is `{other}`"))),
    }
}

/// Parameters that such a guide has at least, with a flow of the globals.
fn least_len(plan: &Plan, globals: Option<&str>) -> Result<usize, FlowError> {
    let own = plan.flow.as_ref().map_or(Ok(0), |text| Flow::least_len(text, plan.dim))?;
    let flow = own.saturating_add(globals.map_or(Ok(0), |text| Flow::least_len(text, plan.globals))?);
    let encoder = Encoder::least_weights(plan.reads(), &plan.hidden, plan.dim.saturating_mul(2));
    plan.inner.iter().try_fold(encoder.saturating_add(flow), |n, p| Ok(n.saturating_add(least_len(p, None)?)))
}

/// Reads a guide for a plate.
///
/// # Errors
/// Where the file is none, or is for another model.
pub fn load(path: &Path, b: &Bound) -> Result<Trained, AmortizedFileError> {
    let d = read(path)?;
    let here = layout(b);
    let line = |l: &[String], k: usize| l.get(k).cloned().unwrap_or_else(|| "nothing".into());
    if let Some(k) = (0..d.layout.len().max(here.len())).find(|k| d.layout.get(*k) != here.get(*k)) {
        let difference = format!("it has {}, here is {}", line(&d.layout, k), line(&here, k));
        return Err(AmortizedFileError::Model { difference });
    }
    let form = |message: String| AmortizedFileError::Form { path: path.into(), message };
    // Everything but hidden layers and flow follows from the model.
    let columns = d.plan.columns() + d.plan.inner.iter().map(Plan::columns).sum::<usize>();
    if d.plan != plan(&b.target, &d.plan.hidden, d.plan.flow.as_ref()) || d.standard.len() != columns {
        return Err(form("its sizes contradict each other".into()));
    }
    // Sizes that the weights belie are refused before anything of such sizes is built.
    let flow = d.options.globals.as_deref().filter(|g| !["mean-field", "full-rank"].contains(g));
    let least = least_len(&d.plan, flow).map_err(|e| form(e.to_string()))?;
    if least > d.state.theta.len() {
        return Err(form(format!("its networks have at least {least} weights, the file {}", d.state.theta.len())));
    }
    let guide = Amortized::new(d.plan, d.standard).map_err(|e| form(e.to_string()))?;
    let global = match (d.global, b.target.coordinates) {
        (Some(scale), n) if n > 0 => {
            Some(Arc::new(Family::new(n, Base::Normal, flow, scale).map_err(|e| form(e.to_string()))?))
        }
        _ => None,
    };
    let wanted = b.target.params.len() + guide.len() + global.as_ref().map_or(0, |f| f.flow.len());
    if d.state.theta.len() != wanted || d.state.theta.iter().any(|x| !x.is_finite()) {
        return Err(form(format!("it has {} weights, {wanted} finite ones are needed", d.state.theta.len())));
    }
    let guide = Arc::new(guide);
    Ok(Trained { options: d.options, guide, global, state: d.state, constant: d.constant, data: d.data })
}

/// Values of the params that a guide was trained with, by name: for programs that need no guide.
///
/// # Errors
/// Where the file is none.
pub fn params(path: &Path) -> Result<BTreeMap<String, Vec<f64>>, AmortizedFileError> {
    Ok(read(path)?.params)
}
