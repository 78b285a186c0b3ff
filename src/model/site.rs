//! What a lowered model is made of: sites, factors, reports, notes.

use std::sync::Arc;

use super::level::{BaseId, LevelId};
use super::value::Val;
use crate::dsl::span::Span;
use crate::graph::Var;

/// A latent with coordinates.
#[derive(Clone, Debug)]
pub struct Site {
    /// Name.
    pub name: String,
    /// Place of its declaration.
    pub span: Span,
    /// Input of the graph that holds its unconstrained coordinates.
    pub input: Var,
    /// Number of unconstrained coordinates.
    pub free: usize,
    /// Shape of the constrained value, plate axes in front.
    pub dims: Vec<usize>,
    /// The constrained value: a node of that shape (ragged plates: flat), or the elements that exist one after another.
    pub value: Var,
    /// Positions of the constrained value that exist, where not all do.
    pub filled: Option<Vec<u32>>,
    /// How one coordinate is called: the element of the constrained value it belongs to, where the
    /// transform is elementwise; numbered otherwise.
    pub elementwise: bool,
    /// Laws that the value follows, for messages.
    pub law: String,
    /// Where the value lies, for people: an interval, or a type.
    pub constraint: String,
    /// Base of its declaration: the plate whose rows have it.
    pub base: BaseId,
}

/// What a term of the log density is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FactorKind {
    /// Density of a latent.
    Prior,
    /// Density of observed data.
    Likelihood,
    /// Log Jacobian of a transform.
    Jacobian,
    /// `factor`.
    Factor,
}

/// A term of the log density: summed over all its rows and elements.
#[derive(Clone, Debug)]
pub struct Factor {
    /// The term.
    pub value: Val,
    /// What it is.
    pub kind: FactorKind,
    /// The statement.
    pub span: Span,
    /// What the statement is about: a name.
    pub about: String,
}

/// A term of the log density in the finished graph.
#[derive(Clone, Debug)]
pub struct Term {
    /// What it is.
    pub kind: FactorKind,
    /// The statement.
    pub span: Span,
    /// What the statement is about: a name.
    pub about: String,
    /// Its elements, before they are summed.
    pub node: Var,
    /// Number of elements, joint states of discrete latents apart.
    pub count: usize,
    /// Joint states of the discrete latents it depends on; 1 without any.
    pub states: usize,
    /// Base of its rows.
    pub base: BaseId,
    /// The discrete latents it reads: site, and element for each row of its base ([`super::level::NONE`]: none). A
    /// term with any enters the density through sums over their states.
    pub discrete: Vec<(usize, Vec<u32>)>,
}

/// Addends of the log density that are left of terms with discrete latents, once these are summed out.
#[derive(Clone, Debug)]
pub struct Summed {
    /// The addends.
    pub node: Var,
    /// An element of a discrete site for each addend: the last one of its group that was summed out; none where the
    /// addends are rows of a term that read no element.
    pub elements: Vec<(usize, u32)>,
    /// The addends in parts, `[layers, addends]`: an addend is the sum of its layers, each of which is what its elements add
    /// to the log mass of those before. Without layers the addends themselves.
    pub layers: Var,
    /// The elements summed out, each with its place in `layers`. Those that were held fixed meanwhile are not among them.
    pub members: Vec<((usize, u32), u32)>,
}

/// A data variable with its values.
#[derive(Clone, Debug)]
pub struct BoundData {
    /// Name in the model.
    pub name: String,
    /// Shape.
    pub dims: Vec<usize>,
    /// Values, row-major.
    pub values: Arc<[f64]>,
}

/// Elements of data that a statement reads other than as an index, or observes.
#[derive(Clone, Debug)]
pub struct DataUse {
    /// Place in [`super::posterior::Posterior::data`].
    pub data: usize,
    /// Base of the rows that read them.
    pub base: BaseId,
    /// The elements, rows of the base first.
    pub elements: Vec<u32>,
    /// The term that observes them; none where they are read.
    pub term: Option<usize>,
}

/// A param: maximised by a trainer, held at a value by everything else.
#[derive(Clone, Debug)]
pub struct Param {
    /// Name; the layers of a network `f` are `f.W1`, `f.b1`, `f.W2`, …
    pub name: String,
    /// Place of its declaration.
    pub span: Span,
    /// Shape.
    pub dims: Vec<usize>,
    /// Where the value lies, for people: an interval, or a type.
    pub constraint: String,
    /// The value, row-major: initial, or from the parameter file.
    pub value: Vec<f64>,
    /// The input of the graph, where a trainer has asked for it; otherwise the value is folded into the graph.
    pub input: Option<ParamInput>,
}

/// A param as an input of the graph.
#[derive(Clone, Debug)]
pub struct ParamInput {
    /// Input with its free coordinates (the transforms of section 13 of the manual), the same for all particles. The
    /// inputs of latents and params are in order of declaration.
    pub node: Var,
    /// Free coordinates of the value.
    pub start: Vec<f64>,
    /// The value inside its constraint, computed from them.
    pub value: Var,
}

/// A kept value.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name.
    pub name: String,
    /// The value at the root, plate axes in front.
    pub value: Val,
    /// Drawn rather than computed.
    pub drawn: bool,
}

/// An enumerated latent.
#[derive(Clone, Debug)]
pub struct Discrete {
    /// Name.
    pub name: String,
    /// Place of its declaration.
    pub span: Span,
    /// Level of its declaration; after its plate, of what the plate lies in.
    pub level: LevelId,
    /// Base of its declaration.
    pub base: BaseId,
    /// Shape under that level.
    pub dims: Vec<usize>,
    /// Smallest state.
    pub lower: i64,
    /// Number of states.
    pub states: usize,
    /// Bounds of the declared type.
    pub bounds: [Option<Val>; 2],
    /// Elements that have a law.
    pub filled: Vec<bool>,
}

/// How serious a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// Good to know.
    Info,
    /// Probably not what was meant.
    Warning,
    /// The density is known only up to a constant: no evidence, no simulation.
    UpToConstant,
    /// The model cannot be simulated from.
    NoSimulator,
}

/// A remark about a line.
#[derive(Clone, Debug)]
pub struct Note {
    /// How serious.
    pub kind: NoteKind,
    /// The place.
    pub span: Span,
    /// What to know.
    pub text: String,
}
