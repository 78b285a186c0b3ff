//! A model bound to its data: the density, its names, its constrained values.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data::{DataError, DataFile};
use super::hidden::{Hidden, HiddenError};
use super::level::Base;
use super::lower::{Lower, Mode};
use super::separable::Plate;
use super::site::{BoundData, DataUse, FactorKind, Note, Param, Site, Summed, Term};
use crate::dsl::ast::Block;
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::parser::parse;
use crate::dsl::span::Span;
use crate::graph::{Graph, Var};

/// A parsed model file.
#[derive(Clone, Debug)]
pub struct Model {
    /// Name for messages: the file's path.
    pub file: String,
    /// Text of the file.
    pub source: String,
    /// Its tree.
    pub tree: Block,
}

/// What can go wrong between a model file and a posterior.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model file could not be read.
    #[error("cannot read the model {path}: {source}; give a text file (UTF-8) that ends in .thal, or a folder with a model.thal", path = path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The model is wrong, or does not fit its data.
    #[error("{rendered}")]
    Model {
        /// The message with the source line.
        rendered: String,
        /// The message.
        diagnostic: Box<Diagnostic>,
    },
    /// The data file is wrong.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Summed-out latents cannot be drawn.
    #[error(transparent)]
    Hidden(#[from] HiddenError),
}

/// Settings of a binding beside the data.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// New values of consts.
    pub set: HashMap<String, f64>,
    /// Values of params instead of their initial ones.
    pub params: HashMap<String, Vec<f64>>,
    /// Seed of the initial weights of networks.
    pub seed: u64,
    /// Params become inputs of the graph, for a trainer, instead of constants. Programs then have more inputs than
    /// the latents, so [`super::compiled::Compiled`] is for bindings without it.
    pub trainable: bool,
}

impl Model {
    /// Reads a model: a `.thal` file, or a folder with a `model.thal`.
    pub fn load(path: impl AsRef<Path>) -> Result<Model, ModelError> {
        let path = path.as_ref();
        let file = if path.is_dir() { path.join("model.thal") } else { path.to_path_buf() };
        let source =
            std::fs::read_to_string(&file).map_err(|source| ModelError::Read { path: file.clone(), source })?;
        Model::from_text(&file.display().to_string(), &source)
    }

    /// Parses a model from text; `file` names it in messages.
    pub fn from_text(file: &str, source: &str) -> Result<Model, ModelError> {
        let wrap = |d| wrong(file, source, d);
        let tree = parse(source).map_err(wrap)?;
        Ok(Model { file: file.to_string(), source: source.to_string(), tree })
    }

    /// Binds data.
    pub fn bind(&self, data: &DataFile) -> Result<Posterior, ModelError> {
        self.bind_with(data, &Settings::default())
    }

    /// Binds data, with new values for consts and params.
    pub fn bind_with(&self, data: &DataFile, settings: &Settings) -> Result<Posterior, ModelError> {
        self.lower(data, settings).map_err(|d| wrong(&self.file, &self.source, d))
    }

    /// Exact draws of the summed-out latents given the others; `None` where the model has none.
    pub fn hidden(&self, data: &DataFile, settings: &Settings) -> Result<Option<Hidden>, ModelError> {
        let wrap = |d| wrong(&self.file, &self.source, d);
        let mut l = self.walked(data, settings, true).map_err(wrap)?;
        if l.discrete.is_empty() {
            return Ok(None);
        }
        let (tables, nodes) = l.hidden_tables().map_err(wrap)?;
        Ok(Some(Hidden::new(&l.g, &l.sites, l.hidden_sites(), &tables, &nodes)?))
    }

    /// Walks the model, twice where statements fill latents.
    fn walked<'m>(
        &'m self,
        data: &'m DataFile,
        settings: &'m Settings,
        constrained: bool,
    ) -> Result<Lower<'m>, Diagnostic> {
        let walk = || Lower { constrained, ..Lower::new(Mode::Density, data, settings) };
        let mut l = walk();
        l.run(&self.tree)?;
        if !l.planned.is_empty() {
            let mut plan = std::mem::take(&mut l.planned);
            plan.values_mut().for_each(|p| p.elements.sort_unstable());
            l = walk();
            l.plan = plan;
            l.run(&self.tree)?;
            l.close_sites()?;
        }
        Ok(l)
    }

    fn lower(&self, data: &DataFile, settings: &Settings) -> Result<Posterior, Diagnostic> {
        let mut l = self.walked(data, settings, false)?;
        let totals = l.totals()?;
        let unused = l.unused_keys();
        let nodes = l.report_nodes();
        let reports = l.reports.iter().map(|r| r.name.clone()).zip(nodes).collect();
        let plates = l.plate_list(&totals.terms);
        let posterior = Posterior {
            dim: l.sites.iter().map(|s| s.free).sum(),
            sites: std::mem::take(&mut l.sites),
            notes: std::mem::take(&mut l.notes),
            reports,
            rows: std::mem::take(&mut l.rows),
            params: std::mem::take(&mut l.held),
            hidden_reports: std::mem::take(&mut l.hidden_reports),
            unused,
            lp: totals.lp,
            lp_nojac: totals.lp_nojac,
            log_likelihood: totals.log_likelihood,
            plates,
            discrete: l.discrete.iter().map(|d| (d.name.clone(), d.span)).collect(),
            bases: l.levels.bases().to_vec(),
            uses: l.data_read(),
            data: l.bound_data(),
            terms: totals.terms,
            sums: totals.sums,
            graph: l.g,
        };
        posterior.check_encoders()?;
        Ok(posterior)
    }
}

/// A diagnostic with the model's text around it.
pub fn wrong(file: &str, source: &str, d: Diagnostic) -> ModelError {
    ModelError::Model { rendered: d.render(file, source), diagnostic: Box::new(d) }
}

/// A value kept with the draws: name, shape and node.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Shape.
    pub dims: Vec<usize>,
    /// Node of the graph.
    pub node: Var,
}

/// In the label of a node: its value is of another level than the statement, so its elements are not the statement's rows.
pub const ELSEWHERE: u32 = 1 << 31;

/// An index of a plate or loop and its value in each row of a statement.
pub type RowIndex = (String, Arc<[f64]>);

/// A model with its data.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Number of unconstrained coordinates.
    pub dim: usize,
    /// Latents with coordinates, in order of declaration.
    pub sites: Vec<Site>,
    /// Kept derived values.
    pub reports: Vec<(String, Kept)>,
    /// Params in order of declaration.
    pub params: Vec<Param>,
    /// Reports that read a summed-out latent: they need a draw of it, from [`Model::hidden`].
    pub hidden_reports: Vec<String>,
    /// Rows of the statements inside plates and loops, by the label that their nodes have in the graph: 1 + the place of the
    /// statement in the text.
    pub rows: HashMap<u32, Vec<RowIndex>>,
    /// Remarks about lines of the model.
    pub notes: Vec<Note>,
    /// Keys of the data file that the model does not use.
    pub unused: Vec<String>,
    /// The graph.
    pub graph: Graph,
    /// Log density on R^dim.
    pub lp: Var,
    /// The same without the Jacobians of the transforms.
    pub lp_nojac: Var,
    /// The part that the data inform: `observe`, `factor` and the sums over discrete latents.
    pub log_likelihood: Var,
    /// The terms of the log density, in order of the model.
    pub terms: Vec<Term>,
    /// What the terms with discrete latents have become: addends of the log density like the other terms.
    pub sums: Vec<Summed>,
    /// Names and places of the discrete latents, which are summed out.
    pub discrete: Vec<(String, Span)>,
    /// Plates outside loops.
    pub plates: Vec<Plate>,
    /// Index spaces of plates, loops and branches; see [`super::level`].
    pub bases: Vec<Base>,
    /// What of the data the statements read and observe.
    pub uses: Vec<DataUse>,
    /// The data that the model declares.
    pub data: Vec<BoundData>,
}

impl Posterior {
    /// Names of the unconstrained coordinates.
    pub fn coordinate_names(&self) -> Vec<String> {
        self.sites.iter().flat_map(|s| s.coordinate_names()).collect()
    }

    /// True where the model has an `observe` or a `factor`.
    pub fn has_likelihood(&self) -> bool {
        self.terms.iter().any(|t| matches!(t.kind, FactorKind::Likelihood | FactorKind::Factor))
    }

    /// Names of the constrained values, latents first, then reports.
    pub fn value_names(&self) -> Vec<String> {
        let latents = self.sites.iter().flat_map(|s| s.value_names());
        let reports = self.reports.iter().flat_map(|(n, k)| names(n, &k.dims));
        latents.chain(reports).collect()
    }
}

fn names(name: &str, dims: &[usize]) -> Vec<String> {
    let count = dims.iter().product();
    (0..count).map(|j| super::lower::element(name, dims, j)).collect()
}

impl Site {
    /// Names of the elements of the constrained value that exist.
    pub fn value_names(&self) -> Vec<String> {
        match &self.filled {
            None => names(&self.name, &self.dims),
            Some(e) => e.iter().map(|&j| super::lower::element(&self.name, &self.dims, j as usize)).collect(),
        }
    }

    /// Names of the coordinates: the element's where the transform is elementwise, else numbered.
    pub fn coordinate_names(&self) -> Vec<String> {
        if self.elementwise {
            return self.value_names();
        }
        names(&self.name, &[self.free])
    }
}
