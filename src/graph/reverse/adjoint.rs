//! Accumulated cotangents. A cotangent of an array may be a scalar that stands for every element.

use std::collections::HashMap;

use crate::graph::Graph;
use crate::graph::op::{Fold, Var};
use crate::graph::shape::{Index, Shape};

/// Cotangents of the nodes visited so far.
pub(super) struct Adjoints {
    sums: Vec<Option<Var>>,
    /// Cotangents of parts of a node, put together once when the node is visited.
    pieces: HashMap<Var, Vec<Piece>>,
    /// Cotangents of the outputs of loops, in the order of `Proj`.
    loops: HashMap<Var, Vec<Option<Var>>>,
}

struct Piece {
    value: Var,
    index: Index,
}

impl Adjoints {
    pub fn new(nodes: usize) -> Self {
        Adjoints { sums: vec![None; nodes], pieces: HashMap::new(), loops: HashMap::new() }
    }

    /// Adds a cotangent of `of`, of its shape or a scalar for every element.
    pub fn add(&mut self, g: &mut Graph, of: Var, value: Var) {
        if g.constant_scalar(value) == Some(0.0) {
            return;
        }
        let slot = &mut self.sums[of.index()];
        *slot = Some(match *slot {
            Some(sum) => g.add(sum, value),
            None => value,
        });
    }

    /// Adds a cotangent of the elements `index` of `of`.
    pub fn add_piece(&mut self, of: Var, value: Var, index: Index) {
        self.pieces.entry(of).or_default().push(Piece { value, index });
    }

    /// Adds a cotangent of the k-th of the `count` outputs of a loop.
    pub fn add_output(&mut self, g: &mut Graph, of: Var, k: usize, count: usize, value: Var) {
        let slots = self.loops.entry(of).or_insert_with(|| vec![None; count]);
        slots[k] = Some(match slots[k] {
            Some(sum) => g.add(sum, value),
            None => value,
        });
    }

    /// Cotangents of the outputs of a loop.
    pub fn take_outputs(&mut self, of: Var) -> Option<Vec<Option<Var>>> {
        self.loops.remove(&of)
    }

    /// The whole cotangent of `of`; all its uses have been visited.
    pub fn total(&mut self, g: &mut Graph, of: Var) -> Option<Var> {
        if let Some(pieces) = self.pieces.remove(&of) {
            for value in assemble(g, pieces, g.shape(of)) {
                self.add(g, of, value);
            }
        }
        self.sums[of.index()]
    }
}

/// Puts pieces together: those that do not overlap in one array, the others by scattered addition.
fn assemble(g: &mut Graph, mut pieces: Vec<Piece>, shape: Shape) -> Vec<Var> {
    pieces.sort_by_key(|p| (0..p.index.len()).map(|j| p.index.at(j)).min());
    let mut groups: Vec<(Vec<bool>, Vec<Piece>)> = vec![];
    let mut single = vec![];
    for p in pieces {
        let Some(taken) = marks(&p.index, shape.count()) else {
            single.push(vec![p]);
            continue;
        };
        let overlap = |marked: &[bool]| (0..p.index.len()).any(|j| marked[p.index.at(j)]);
        match groups.iter_mut().find(|(marked, _)| !overlap(marked)) {
            Some((marked, group)) => {
                (0..p.index.len()).for_each(|j| marked[p.index.at(j)] = true);
                group.push(p);
            }
            None => groups.push((taken, vec![p])),
        }
    }
    let groups = groups.into_iter().map(|(_, group)| group);
    groups.chain(single).map(|group| place(g, &group, shape)).collect()
}

/// Which elements an index touches; `None` where it touches one twice.
fn marks(index: &Index, count: usize) -> Option<Vec<bool>> {
    let mut marked = vec![false; count];
    (0..index.len()).all(|j| !std::mem::replace(&mut marked[index.at(j)], true)).then_some(marked)
}

/// The pieces at their places in zeros of `shape`.
fn place(g: &mut Graph, group: &[Piece], shape: Shape) -> Var {
    let mut table = vec![];
    let mut values = vec![];
    for p in group {
        let flat = Shape::new(&[p.index.len()]);
        let full = if g.shape(p.value).count() == flat.count() { p.value } else { g.fill_to(p.value, flat) };
        values.push(full);
        table.extend((0..p.index.len()).map(|j| p.index.at(j) as u32));
    }
    let joined = g.concat(&values, Shape::new(&[table.len()]));
    if table.len() == shape.count() && marks(&Index::Table(table[..].into()), table.len()).is_some() {
        let mut inverse = vec![0; table.len()];
        for (j, &t) in table.iter().enumerate() {
            inverse[t as usize] = j as u32;
        }
        return g.gather(joined, Index::from_table(inverse), shape);
    }
    g.scatter_add(joined, Index::from_table(table), shape)
}

/// Sum of a cotangent over all `shape.count()` elements.
pub(super) fn sum_all(g: &mut Graph, value: Var, shape: Shape) -> Var {
    if g.shape(value).is_scalar() { g.scale(shape.count() as f64, value) } else { g.sum(value) }
}

/// A cotangent of an elementwise result of shape `from` as one of an argument of shape `to`.
pub(super) fn reduce(g: &mut Graph, value: Var, from: Shape, to: Shape) -> Var {
    if from == to { value } else { sum_all(g, value, from) }
}

/// Repeats `[outer, inner]` along a new middle axis; a single element stays a scalar.
pub(in crate::graph) fn expand(g: &mut Graph, v: Var, (outer, n, inner): (usize, usize, usize), shape: Shape) -> Var {
    let len = outer * n * inner;
    if g.shape(v).is_scalar() {
        return v;
    }
    let index = match (outer, inner) {
        (1, 1) => return g.reshape(v, Shape::SCALAR),
        (1, period) => Index::Tile { period, len },
        (_, 1) => Index::Repeat { each: n, len },
        _ => {
            let at = |j: usize| (j / (n * inner) * inner + j % inner) as u32;
            Index::from_table((0..len).map(at).collect())
        }
    };
    g.gather(v, index, shape)
}

/// Adds the cotangent of `gather(of, index)`, reducing repeated elements by sums where they are
/// neighbours or periods.
pub(super) fn add_gathered(g: &mut Graph, adjoints: &mut Adjoints, of: Var, index: &Index, (ct, from): (Var, Shape)) {
    let (source, len) = (g.shape(of), index.len());
    let uniform = g.shape(ct).is_scalar() && !from.is_scalar();
    let folded = match *index {
        Index::Stride { start, stride: 0, .. } => {
            let s = sum_all(g, ct, from);
            Some((s, start, 1))
        }
        Index::Repeat { each, .. } if len > 0 && len % each == 0 => {
            let m = len / each;
            Some((fold_sum(g, ct, uniform, (m, each, 1)), 0, m))
        }
        Index::Tile { period, .. } if len > 0 && len % period == 0 => {
            let m = len / period;
            Some((fold_sum(g, ct, uniform, (1, m, period)), 0, period))
        }
        _ => None,
    };
    match folded {
        Some((s, 0, n)) if n == source.count() => {
            let s = if g.shape(s).is_scalar() { s } else { g.reshape(s, source) };
            adjoints.add(g, of, s);
        }
        Some((s, start, len)) => {
            let index = Index::Stride { start, stride: 1, len };
            adjoints.add_piece(of, s, index);
        }
        None if uniform && marks(index, source.count()).is_none() => {
            let mut counts = vec![0.0; source.count()];
            (0..len).for_each(|j| counts[index.at(j)] += 1.0);
            let counts = g.constant(counts, source);
            let value = g.mul(ct, counts);
            adjoints.add(g, of, value);
        }
        None => adjoints.add_piece(of, ct, index.clone()),
    }
}

fn fold_sum(g: &mut Graph, ct: Var, uniform: bool, counts: (usize, usize, usize)) -> Var {
    if uniform {
        return g.scale(counts.1 as f64, ct);
    }
    g.fold_counts(Fold::Sum, ct, counts, Shape::new(&[counts.0 * counts.2]))
}
