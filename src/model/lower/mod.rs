//! Lowering: a model with its data becomes a graph (density), or draws (simulation).
//!
//! One walk over the tree serves every purpose. Values known at binding are computed at once; values
//! that depend on latents become nodes. A plate does not repeat its body: the body is walked once,
//! on values that hold all rows (see [`super::level`]).

mod algebra;
mod call;
mod cond;
mod conjoin;
mod coordinates;
mod declare;
mod density;
pub mod dist;
mod draw;
mod eliminate;
mod encode;
mod enumerate;
mod env;
mod expr;
mod fill;
pub mod follow;
mod forward;
mod functions;
mod hidden;
mod index;
pub mod latent;
mod mass;
mod matrix;
mod observe;
mod param;
mod plate;
mod reduce;
mod rows;
mod scan;
mod sequence;
mod standard;
mod step;
mod stmt;
mod structured;
mod target;
mod touch;
mod track;
mod types;

use std::collections::HashMap;

use super::level::{LevelId, Levels, ROOT};
use super::posterior::Settings;
use super::site::{Factor, Note, Report, Site};
use super::value::Val;
use crate::base::rng::Stream;
use crate::dsl::ast::{self, Ident};
use crate::dsl::diagnostic::{Diagnostic, did_you_mean};
use crate::dsl::span::Span;
use crate::graph::Graph;
use crate::model::data::DataFile;

pub use coordinates::FillPlan;
pub use env::{Binding, DataVar, Env};
use fill::Filled;
pub use observe::element;
use step::StepBody;

/// What a step of the lowering returns.
pub type Res<T> = Result<T, Diagnostic>;

/// What the walk is for.
pub enum Mode<'m> {
    /// The density: latents are coordinates.
    Density,
    /// Draws from the model: latents, and observed data where `observed` is false, are drawn.
    Simulate {
        /// Randomness.
        rng: &'m mut Stream,
        /// Values for latents instead of draws, by name.
        given: Option<&'m HashMap<String, Vec<f64>>>,
    },
}

/// The state of one walk.
pub struct Lower<'m> {
    /// The graph of the density.
    pub g: Graph,
    /// Batch levels.
    pub levels: Levels,
    /// Names in scope.
    pub env: Env<'m>,
    /// Purpose.
    pub mode: Mode<'m>,
    /// The level of the statement being lowered.
    pub here: LevelId,
    /// The loop body being built, inside a recurrence.
    pub step: Option<StepBody>,
    /// Latents with coordinates, in order of declaration.
    pub sites: Vec<Site>,
    /// Enumerated latents.
    pub discrete: Vec<super::site::Discrete>,
    /// Arrays that statements fill.
    pub filled: Vec<Filled>,
    /// Plates outside loops, with their bases.
    pub plates: Vec<(Ident, LevelId)>,
    /// What encoders of rows read, by plate.
    pub encodes: Vec<(LevelId, super::row::encode::Encode)>,
    /// Terms of the log density.
    pub factors: Vec<Factor>,
    /// Kept values.
    pub reports: Vec<Report>,
    /// Remarks for `check`.
    pub notes: Vec<Note>,
    /// Bound data variables.
    pub data: Vec<DataVar>,
    /// The data file.
    pub file: &'m DataFile,
    /// `--set` values for consts.
    pub set: &'m HashMap<String, f64>,
    /// Values for params instead of their initial ones.
    pub params: &'m HashMap<String, Vec<f64>>,
    /// Seed of the initial weights of networks.
    pub seed: u64,
    /// Params become inputs of the graph.
    pub trainable: bool,
    /// Params in order of declaration.
    pub held: Vec<super::site::Param>,
    /// Indices of the enclosing plates and loops.
    pub indices: Vec<&'m ast::Ident>,
    /// Their values for each row of a statement, by its label in the graph.
    pub rows: HashMap<u32, Vec<super::posterior::RowIndex>>,
    /// What each filled latent receives, from the first walk; empty in it.
    pub plan: HashMap<String, FillPlan>,
    /// What the fills of the first walk have shown.
    pub planned: HashMap<String, FillPlan>,
    /// Arrays that a recurrence has filled before the loop is vectorised.
    pub prefilled: Vec<usize>,
    /// Keys of the data file that data statements have asked for.
    pub asked: Vec<String>,
    /// Only the statements that fill arrays count.
    pub lets: bool,
    /// Data that expressions in plates and loops have read, and where.
    pub reads: Vec<(usize, index::Positions, Span)>,
    /// Data that observes in plates and loops have as their targets.
    pub targets: Vec<(usize, index::Positions)>,
    /// Data that statements read, not as an index, or observe: data, elements, and the term that observes them.
    pub data_uses: Vec<(usize, index::Positions, Option<usize>)>,
    /// Indices, ranges and reports around the expression being read: what they read informs no factor.
    pub aside: usize,
    /// What the lets of data stand for, with the level of their declaration.
    pub definitions: HashMap<&'m str, (&'m ast::Expr, LevelId)>,
    /// What values known at binding are computed from, where an encoder's reads are to be checked.
    pub followed: Option<follow::Followed>,
    /// Latents drawn or given, with plate axes in front (simulation only).
    pub latents: Vec<Report>,
    /// Observed data keep the values of the file (simulation only).
    pub keep_data: bool,
    /// Latents enter the graph as their constrained values, without transforms.
    pub constrained: bool,
    /// Reports that read a summed-out latent (density only).
    pub hidden_reports: Vec<String>,
}

impl<'m> Lower<'m> {
    /// A walk that has not begun.
    pub fn new(mode: Mode<'m>, file: &'m DataFile, settings: &'m Settings) -> Self {
        Lower {
            g: Graph::new(),
            levels: Levels::default(),
            env: Env::default(),
            mode,
            here: ROOT,
            step: None,
            sites: vec![],
            discrete: vec![],
            filled: vec![],
            plates: vec![],
            encodes: vec![],
            factors: vec![],
            reports: vec![],
            notes: vec![],
            data: vec![],
            file,
            set: &settings.set,
            params: &settings.params,
            seed: settings.seed,
            trainable: settings.trainable,
            held: vec![],
            indices: vec![],
            rows: HashMap::new(),
            plan: HashMap::new(),
            planned: HashMap::new(),
            prefilled: vec![],
            asked: vec![],
            lets: false,
            reads: vec![],
            targets: vec![],
            data_uses: vec![],
            aside: 0,
            definitions: HashMap::new(),
            followed: None,
            latents: vec![],
            keep_data: false,
            constrained: false,
            hidden_reports: vec![],
        }
    }

    /// Walks the whole model.
    pub fn run(&mut self, file: &'m ast::Block) -> Res<()> {
        self.check_set(file)?;
        if matches!(self.mode, Mode::Density) {
            self.followed = follow::Followed::of_model(file);
        }
        self.block(file)?;
        let params: Vec<&str> = self.held.iter().map(|p| p.name.as_str()).collect();
        named("--params", "param", "declare it: `param NAME: TYPE`", self.params.keys(), &params)
    }

    /// Every `--set` names a const of the model.
    fn check_set(&self, file: &ast::Block) -> Res<()> {
        let mut consts = vec![];
        for s in &file.stmts {
            if let ast::StmtKind::Const { name, .. } = &s.kind {
                consts.push(name.name.as_str());
            }
        }
        named("--set", "const", "declare it: `const NAME = VALUE`", self.set.keys(), &consts)
    }

    /// Keys of the data file that no data statement has asked for.
    pub fn unused_keys(&self) -> Vec<String> {
        let used = |k: &str| self.asked.iter().any(|a| a == k);
        self.file.keys().filter(|k| !used(k)).map(|k| k.to_string()).collect()
    }

    /// Nodes of the reports.
    pub fn report_nodes(&mut self) -> Vec<super::posterior::Kept> {
        let values: Vec<Val> = self.reports.iter().map(|r| r.value.clone()).collect();
        let kept = |l: &mut Self, v: &Val| super::posterior::Kept { dims: v.dims.clone(), node: l.node(v) };
        values.iter().map(|v| kept(self, v)).collect()
    }

    /// The value of an expression that must be a scalar.
    pub fn scalar_expr(&mut self, e: &ast::Expr, what: &str) -> Res<Val> {
        let v = self.expr(e)?;
        if !v.is_scalar() {
            return Err(Diagnostic::new(e.span, format!("{what} must be a scalar, found {}", v.type_name())));
        }
        Ok(v)
    }
}

/// Refuses keys of an option that the model does not declare.
fn named<'k>(
    option: &str,
    kind: &str,
    help: &str,
    keys: impl Iterator<Item = &'k String>,
    declared: &[&str],
) -> Res<()> {
    let Some(name) = keys.filter(|k| !declared.contains(&k.as_str())).min() else { return Ok(()) };
    let start = Span { start: 0, end: 0 };
    let d = Diagnostic::new(start, format!("`{option} {name}`: the model has no {kind} of this name"));
    Err(match did_you_mean(name, declared.iter().copied()) {
        Some(n) => d.help(format!("did you mean `{n}`?")),
        None => d.help(help),
    })
}
