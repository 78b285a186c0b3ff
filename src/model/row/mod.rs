//! A separable plate as the density of one row: the lowering `row(plate)`.
//!
//! The log density of the whole model is cut into addends; each belongs to one row of the plate or to the globals
//! ([`Posterior::assign`]). What a row's addends need is cut out of the graph of the whole: a recipe on flat arrays
//! whose leaves are the row's coordinates, its data, and values that rows share. Rows with the same recipe form a
//! group with one graph; ragged rows fall into several groups, so nothing is padded.
//!
//! Shared values are whatever more than one row (or the globals) needs of what depends on the coordinates of the
//! globals: constrained parameters, but also a covariance or a recursion of them, computed once. The graph of the
//! globals gives them beside its own addends. Then
//!
//! log p(u) = globals(u) + Σ_n row(u_n, shared(u), data_n),
//!
//! Jacobians of the transforms included.

mod chain;
pub mod choose;
pub mod encode;
pub mod input;
pub mod labels;
mod layout;
pub mod likelihood;
mod loops;
pub mod members;
mod moved;
pub mod nested;
mod numbered;
mod owners;
mod recipe;
mod rule;
mod slice;

use std::collections::HashMap;

use rayon::prelude::*;

use self::labels::Tags;
use self::layout::Reads;
use self::moved::Template;
use self::numbered::{Numbered, Read};
use self::owners::Owners;
use self::recipe::{Instr, Leaves, write};
use self::rule::{RowRule, shared_nodes};
use self::slice::{Cut, Elements, LeafReads, cut};
use super::posterior::Posterior;
use super::separable::{Assignment, GLOBAL, Plate};
use super::site::FactorKind;
use crate::graph::prune::prune;
use crate::graph::{Graph, Index, Shape, Spread, Var};

/// Rows that are cut out side by side before their recipes are compared.
const BLOCK: usize = 256;

/// Recipes whose rows are kept as templates.
const TEMPLATES: usize = 8;

/// A model with one plate as rows.
#[derive(Clone, Debug)]
pub struct RowModel {
    /// Index variable of the plate.
    pub plate: String,
    /// The globals. Its inputs are those of the whole graph: one per site, of which it reads those outside the plate.
    pub globals: Graph,
    /// Log density of the globals: addends that read no row's block and are not in the plate.
    pub globals_lp: Var,
    /// Values that rows share, `[n]`.
    pub shared: Var,
    /// Rows of equal structure.
    pub groups: Vec<RowGroup>,
}

/// The graph of one row, and what to feed it for each row of the group.
///
/// Inputs, all flat: `coordinates` (unconstrained, of the row's latents), `common` (shared values that are the same
/// ones for every row), `reads` (shared values chosen by row), `data` (constants that differ between rows).
#[derive(Clone, Debug)]
pub struct RowGroup {
    /// The graph.
    pub graph: Graph,
    /// log p(x_n, z_n | globals) with the Jacobians of the row's transforms.
    pub lp: Var,
    /// Its addends by statement, each a scalar.
    pub parts: Vec<(FactorKind, Var)>,
    /// The elements of which each of `parts` is the sum.
    pub elements: Vec<Var>,
    /// Places among the shared values of the elements of `common`.
    pub common: Vec<u32>,
    /// The rows.
    pub rows: Vec<RowFeed>,
}

/// What a row feeds to the graph of its group.
#[derive(Clone, Debug)]
pub struct RowFeed {
    /// Row of the plate, from 0.
    pub row: usize,
    /// Places of its coordinates in the model's coordinates.
    pub coordinates: Vec<u32>,
    /// Places of what it reads among the shared values.
    pub reads: Vec<u32>,
    /// Its data.
    pub data: Vec<f64>,
}

/// A recipe with its rows, and the shared values that each of them reads.
struct Alike {
    recipe: Vec<Instr>,
    kinds: Vec<FactorKind>,
    rows: Vec<RowFeed>,
    /// For each row, what each of its leaves reads.
    reads: Vec<Vec<Read>>,
}

/// Elements of the log density that belong together, by row.
struct Addends {
    all: Vec<(Var, Tags)>,
    kinds: HashMap<usize, FactorKind>,
    rows: Vec<Vec<Elements>>,
    globals: Vec<Elements>,
}

/// What a row needs.
enum Needs {
    /// What an earlier row of this group needs, moved.
    Moved(LeafReads, usize),
    Cut(Box<(Cut, Option<Template>)>),
}

/// Rows as they have been cut so far.
#[derive(Default)]
struct Rows {
    shared: Numbered,
    found: HashMap<(Vec<Instr>, Vec<FactorKind>), usize>,
    groups: Vec<Alike>,
    /// Each with the number of its group.
    templates: Vec<(Template, usize)>,
}

impl Rows {
    /// The group of a row that was cut.
    fn group_of(&mut self, recipe: Vec<Instr>, kinds: Vec<FactorKind>, template: Option<Template>) -> usize {
        let groups = &mut self.groups;
        let at = *self.found.entry((recipe, kinds)).or_insert_with_key(|(recipe, kinds)| {
            groups.push(Alike { recipe: recipe.clone(), kinds: kinds.clone(), rows: vec![], reads: vec![] });
            groups.len() - 1
        });
        if self.templates.len() < TEMPLATES && self.templates.iter().all(|t| t.1 != at) {
            self.templates.extend(template.map(|t| (t, at)));
        }
        at
    }
}

impl Posterior {
    /// The densities of the plate's rows, and of the globals, from the rows of the addends ([`Posterior::assign`]).
    pub fn rows(&self, plate: &Plate, assigned: &Assignment) -> RowModel {
        let addends = self.addends(plate, assigned);
        let Rows { shared, groups, .. } = self.cut_rows(plate, assigned, &addends);
        let (globals, globals_lp, shared) = self.globals(&addends, &shared.order);
        let groups = groups.into_iter().map(group).collect();
        RowModel { plate: plate.name.clone(), globals, globals_lp, shared, groups }
    }

    /// Every row's needs: those of an earlier row, moved, or cut out.
    fn cut_rows(&self, plate: &Plate, assigned: &Assignment, addends: &Addends) -> Rows {
        let g = &self.graph;
        let owners = Owners::new(g, &addends.all);
        let whole = shared_nodes(g, &assigned.labels, &owners);
        let starts = self.starts();
        let mut out = Rows::default();
        let mut start = 0;
        while start < plate.rows {
            // The first row is cut alone, so that the others have a template.
            let rows = start..if start == 0 { 1 } else { (start + BLOCK).min(plate.rows) };
            start = rows.end;
            let needs = |row: usize| {
                let (labels, tag) = (&assigned.labels, row as u32 + 1);
                let (rule, seeds) = (RowRule { g, labels, owners: &owners, whole: &whole, tag }, &addends.rows[row]);
                let like = |(t, at): &(Template, usize)| Some((t.moved(&rule, seeds)?, *at));
                match out.templates.iter().rev().find_map(like) {
                    Some((leaves, group)) => Needs::Moved(leaves, group),
                    None => Needs::Cut(Box::new(cut(g, &rule, seeds))),
                }
            };
            let all: Vec<_> = rows.clone().into_par_iter().map(needs).collect();
            for (row, needs) in rows.zip(all) {
                let (leaves, at) = match needs {
                    Needs::Moved(leaves, at) => (leaves, at),
                    Needs::Cut(made) => {
                        let (cut, template) = *made;
                        let kinds = addends.rows[row].iter().map(|(node, _)| addends.kinds[node]).collect();
                        (cut.leaves, out.group_of(cut.recipe, kinds, template))
                    }
                };
                let coordinates = leaves.coordinates.iter().map(|(v, e)| starts[v] + e).collect();
                let reads = leaves.shared.into_iter().map(|(node, r)| out.shared.number(g, node, r)).collect();
                out.groups[at].reads.push(reads);
                out.groups[at].rows.push(RowFeed { row, coordinates, reads: vec![], data: leaves.data });
            }
        }
        out
    }

    /// First coordinate of each site, by the node of its input.
    fn starts(&self) -> HashMap<u32, u32> {
        let mut start = 0;
        let mut out = HashMap::new();
        for s in &self.sites {
            out.insert(s.input.index() as u32, start);
            start += s.free as u32;
        }
        out
    }

    fn addends(&self, plate: &Plate, assigned: &Assignment) -> Addends {
        let terms = self.terms.iter().zip(&assigned.terms);
        let plain = terms.filter_map(|(t, tags)| Some((t.node, tags.clone()?)));
        let sums = self.sums.iter().zip(&assigned.sums).map(|(s, tags)| (s.node, tags.clone()));
        let all: Vec<(Var, Tags)> = plain.chain(sums).collect();
        let mut rows: Vec<Vec<Elements>> = vec![vec![]; plate.rows];
        let mut globals: Vec<Elements> = vec![];
        for (v, tags) in &all {
            for j in 0..self.graph.shape(*v).count() {
                let list = match tags.at(j) {
                    GLOBAL => &mut globals,
                    r => &mut rows[r as usize - 1],
                };
                match list.last_mut() {
                    Some((node, elements)) if *node == v.index() => elements.push(j as u32),
                    _ => list.push((v.index(), vec![j as u32])),
                }
            }
        }
        let kinds = self.terms.iter().map(|t| (t.node.index(), t.kind));
        // Sums over discrete latents join the density of these with what they explain.
        let sums = self.sums.iter().map(|s| (s.node.index(), FactorKind::Likelihood));
        Addends { all, kinds: sums.chain(kinds).collect(), rows, globals }
    }

    /// The graph of the globals with the values that rows share.
    fn globals(&self, addends: &Addends, shared: &[(u32, Reads)]) -> (Graph, Var, Var) {
        let mut g = self.graph.clone();
        let mut lp = g.scalar(0.0);
        for (node, elements) in &addends.globals {
            let v = g.var(*node);
            let n = elements.len();
            let part = g.gather(v, Index::from_table(elements.clone()), Shape::new(&[n]));
            let sum = g.sum(part);
            lp = g.add(lp, sum);
        }
        let mut parts = vec![];
        for (node, elements) in shared {
            let v = g.var(*node as usize);
            let n = g.shape(v).count();
            parts.push(match elements {
                Reads::All => g.reshape(v, Shape::new(&[n])),
                Reads::These(list) => g.gather(v, Index::from_table(list.clone()), Shape::new(&[list.len()])),
            });
        }
        let count = parts.iter().map(|p| g.shape(*p).count()).sum();
        let all = g.concat(&parts, Shape::new(&[count]));
        let (globals, outputs) = prune(&g, &[lp, all]);
        (globals, outputs[0], outputs[1])
    }
}

/// What becomes of one leaf of a recipe.
enum Leaf {
    /// Equal for all rows of the group.
    Fixed,
    /// A part of an input, from here.
    Part(usize),
}

/// The inputs of a group's graph.
struct GroupInputs<'a> {
    leaves: &'a HashMap<usize, Leaf>,
    starts: HashMap<usize, usize>,
    first: &'a RowFeed,
    coordinates: Var,
    common: Var,
    reads: Var,
    data: Var,
}

impl Leaves for GroupInputs<'_> {
    fn leaf(&mut self, g: &mut Graph, at: usize, i: &Instr) -> Var {
        let start = self.starts[&at];
        let mut part = |v: Var, from: usize, n: usize| {
            g.gather(v, Index::Stride { start: from, stride: 1, len: n }, Shape::new(&[n]))
        };
        match (i, &self.leaves.get(&at)) {
            (Instr::Coordinates(n), _) => part(self.coordinates, start, *n),
            (Instr::Data(n), Some(Leaf::Part(from))) => part(self.data, *from, *n),
            (Instr::Data(n), _) => g.constant(self.first.data[start..start + n].to_vec(), Shape::new(&[*n])),
            (Instr::Shared(n), Some(Leaf::Part(from))) => part(self.reads, *from, *n),
            (Instr::Shared(n), _) => part(self.common, start, *n),
            _ => unreachable!("inputs belong to bodies"),
        }
    }
}

/// One graph for rows of one recipe.
fn group(alike: Alike) -> RowGroup {
    let Alike { recipe, kinds, mut rows, reads } = alike;
    let mut leaf = 0;
    let recipe = &recipe[..];
    let mut leaves = HashMap::new();
    let mut starts = HashMap::new();
    let (mut data_at, mut read_at, mut coordinate_at) = (0, 0, 0);
    let (mut kept_data, mut kept_reads, mut common): (Vec<usize>, Vec<usize>, Vec<u32>) = Default::default();
    for (k, i) in recipe.iter().enumerate() {
        match i {
            Instr::Coordinates(n) => {
                starts.insert(k, coordinate_at);
                coordinate_at += n;
            }
            Instr::Data(n) => {
                let part = data_at..data_at + n;
                starts.insert(k, data_at);
                let bits = |r: &RowFeed| r.data[part.clone()].iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                if rows.iter().any(|r| bits(r) != bits(&rows[0])) {
                    leaves.insert(k, Leaf::Part(kept_data.len()));
                    kept_data.extend(part);
                }
                data_at += n;
            }
            Instr::Shared(n) => {
                if reads.iter().any(|r| r[leaf] != reads[0][leaf]) {
                    leaves.insert(k, Leaf::Part(read_at));
                    starts.insert(k, read_at);
                    kept_reads.push(leaf);
                    read_at += n;
                } else {
                    leaves.insert(k, Leaf::Fixed);
                    starts.insert(k, common.len());
                    common.extend(reads[0][leaf].places());
                }
                leaf += 1;
            }
            _ => {}
        }
    }
    let mut graph = Graph::new();
    let mut input = |name: &str, n: usize| graph.input(name, Shape::new(&[n]), Spread::Particle);
    let coordinates = input("coordinates", coordinate_at);
    let common_input = input("common", common.len());
    let reads_input = input("reads", read_at);
    let data = input("data", kept_data.len());
    let first = rows[0].clone();
    let mut inputs = GroupInputs {
        leaves: &leaves,
        starts,
        first: &first,
        coordinates,
        common: common_input,
        reads: reads_input,
        data,
    };
    let made = write(&mut graph, recipe, &mut inputs);
    let Some(Instr::Join(joined)) = recipe.last() else { unreachable!("a recipe ends with its addends") };
    let elements: Vec<Var> = joined.iter().map(|at| made[*at]).collect();
    let parts: Vec<_> = kinds.iter().zip(&elements).map(|(kind, v)| (*kind, graph.sum(*v))).collect();
    let lp = parts.iter().map(|p| p.1).reduce(|a, b| graph.add(a, b)).unwrap_or_else(|| graph.scalar(0.0));
    for (r, all) in rows.iter_mut().zip(&reads) {
        r.data = kept_data.iter().map(|k| r.data[*k]).collect();
        r.reads = kept_reads.iter().flat_map(|k| all[*k].places()).collect();
    }
    RowGroup { graph, lp, parts, elements, common, rows }
}
