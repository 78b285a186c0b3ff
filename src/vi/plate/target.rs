//! What training sees of a model with a separable plate: graphs and numbers, nothing of the model.
//!
//! log p(x, z, g; theta) = globals(g, theta) + Σ_n row(z_n, shared(g, theta), data_n)

use std::ops::Range;

use crate::graph::{Graph, Var};
use crate::guide::nested::Nest;

/// Where an input of the graph of the globals comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Free coordinates of params (theta).
    Params(Range<usize>),
    /// Unconstrained coordinates of the globals (g).
    Coordinates(Range<usize>),
    /// Coordinates of rows, of which the globals read none: so many zeros.
    Unused(usize),
}

/// What an addend of a row's log density is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The density of the row's latents, Jacobians included.
    Prior,
    /// What the data say of them.
    Likelihood,
}

/// The plate.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its index variable.
    pub plate: String,
    /// Graph of the globals.
    pub globals: Graph,
    /// Log density of the globals.
    pub globals_lp: Var,
    /// Values that rows share, flat, those aside that are params. Places of rows count the free coordinates of the params first
    /// and then these.
    pub shared: Var,
    /// Inputs of that graph.
    pub feeds: Vec<Feed>,
    /// Start of the params.
    pub params: Vec<f64>,
    /// Coordinates of the globals.
    pub coordinates: usize,
    /// Latent coordinates of a row, those of rows inside aside where these have a guide of their own (`inner`).
    pub dim: usize,
    /// Plates with latents inside the rows, each with a guide of its own that depends on the latents around.
    pub inner: Vec<Inner>,
    /// Names of the numbers that an encoder sees, as the first row has them, then of those of a member of each set.
    pub inputs: Vec<String>,
    /// Numbers of a member, for each set of members that an encoder sees.
    pub sets: Vec<usize>,
    /// Rows of equal structure.
    pub groups: Vec<Group>,
}

/// A plate with latents inside the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Inner {
    /// Its index variable.
    pub plate: String,
    /// The level in which it lies, 0 being the outer plate.
    pub parent: usize,
    /// Latent coordinates of a row, those of rows inside aside.
    pub dim: usize,
    /// Numbers that its encoder reads of a row.
    pub inputs: usize,
}

/// How the rows of a group hold rows inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Where their latents are.
    pub nest: Nest,
    /// For each part and each of its elements 0, or 1 + the number of the innermost row whose latents it reads.
    pub owners: Vec<Vec<u32>>,
}

/// The graph of a row. Its inputs, flat: coordinates, common, reads, data.
#[derive(Clone, Debug)]
pub struct Group {
    /// The graph.
    pub graph: Graph,
    /// Addends of log p(x_n, z_n | g), each a scalar.
    pub parts: Vec<(Part, Var)>,
    /// The elements of which each of them is the sum.
    pub elements: Vec<Var>,
    /// How its rows hold rows inside, where [`Target::inner`] has any.
    pub inside: Option<Inside>,
    /// Places of what all rows read.
    pub common: Vec<u32>,
    /// How many members each set has in its rows.
    pub members: Vec<usize>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number in the plate, from 0.
    pub row: usize,
    /// Places of what it reads itself.
    pub reads: Vec<u32>,
    /// Its data.
    pub data: Vec<f64>,
    /// What an encoder sees of it: its numbers, then the members of each set, one after another.
    pub seen: Vec<f64>,
    /// What the encoders of the rows inside see, level after level.
    pub inner: Vec<f64>,
}

impl Group {
    /// Latent coordinates of its rows, those of rows inside included.
    pub fn dim(&self) -> usize {
        self.graph.shape(self.graph.inputs()[0].var).count()
    }

    /// Where the latents of rows inside are.
    pub fn nest(&self) -> Option<&Nest> {
        self.inside.as_ref().map(|i| &i.nest)
    }
}

impl Target {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.groups.iter().map(|g| g.rows.len()).sum()
    }

    /// How many numbers an encoder sees of a row as a whole.
    pub fn own_inputs(&self) -> usize {
        self.inputs.len() - self.sets.iter().sum::<usize>()
    }

    /// What the encoder of a level inside (from 0) sees of each of its rows in the given rows.
    pub fn inner_seen(&self, level: usize, rows: &[usize]) -> Vec<&[f64]> {
        let places = self.places();
        let mut out = vec![];
        for (group, at) in rows.iter().map(|r| places[*r]) {
            let Some(nest) = self.groups[group].nest() else { continue };
            let before: usize = (0..level).map(|l| nest.rows(l + 1) * self.inner[l].inputs).sum();
            let (n, width) = (nest.rows(level + 1), self.inner[level].inputs);
            let own = &self.groups[group].rows[at].inner[before..before + n * width];
            out.extend((0..n).map(|k| &own[k * width..(k + 1) * width]));
        }
        out
    }

    /// Group and place in it of every row.
    pub fn places(&self) -> Vec<(usize, usize)> {
        let mut out = vec![(0, 0); self.rows()];
        for (k, g) in self.groups.iter().enumerate() {
            for (at, row) in g.rows.iter().enumerate() {
                out[row.row] = (k, at);
            }
        }
        out
    }

    /// What the encoder sees of every row, and how many members each set has there.
    pub fn seen(&self) -> Vec<(&[f64], &[usize])> {
        let row = |&(g, at): &(usize, usize)| (&self.groups[g].rows[at].seen[..], &self.groups[g].members[..]);
        self.places().iter().map(row).collect()
    }
}
