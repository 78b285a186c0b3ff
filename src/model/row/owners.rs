//! Which row alone needs each element of each node: tags carried backward through the graph.
//!
//! What only one row needs is computed with that row; what several need is computed once, with the globals.

use std::sync::Arc;

use super::labels::{Product, Tags, folded, join, last_two, running, square};
use crate::graph::{Graph, Node, Op, Var};
use crate::model::separable::{GLOBAL, SEVERAL};

/// Rows that need each element: [`GLOBAL`] for none, [`SEVERAL`] for more than one row or the globals.
pub(super) struct Owners {
    /// Nodes with the same tags share them.
    tags: Vec<Option<Arc<Vec<u32>>>>,
}

impl Owners {
    /// Carries the tags of the addends (node, tag per element) back to what they need.
    pub fn new(g: &Graph, addends: &[(Var, Tags)]) -> Owners {
        let mut o = Owners { tags: vec![None; g.nodes().len()] };
        for (v, tags) in addends {
            // The globals need it: as good as several rows.
            let tag = |j: usize| if tags.at(j) == GLOBAL { SEVERAL } else { tags.at(j) };
            o.add(g, *v, (0..g.shape(*v).count()).map(|j| (j, tag(j))));
        }
        for (i, node) in g.nodes().iter().enumerate().rev() {
            if let Some(tags) = o.tags[i].clone() {
                o.back(g, node, &tags);
            }
        }
        o
    }

    /// Tags of a node, if anyone needs it.
    pub fn of(&self, v: usize) -> Option<&[u32]> {
        self.tags[v].as_ref().map(|t| &t[..])
    }

    /// Tag of an element.
    pub fn at(&self, v: usize, j: usize) -> u32 {
        self.of(v).map_or(GLOBAL, |t| t[j])
    }

    /// Joins tags to those of elements of `v`: places with tags.
    fn add(&mut self, g: &Graph, v: Var, needed: impl Iterator<Item = (usize, u32)>) {
        let tags = self.tags[v.index()].get_or_insert_with(|| Arc::new(vec![GLOBAL; g.shape(v).count()]));
        let tags = Arc::make_mut(tags);
        needed.for_each(|(j, tag)| tags[j] = join(tags[j], tag));
    }

    fn back(&mut self, g: &Graph, node: &Node, tags: &Arc<Vec<u32>>) {
        let needed = || tags.iter().copied().enumerate().filter(|t| t.1 != GLOBAL);
        let first = || node.args[0];
        match &node.op {
            Op::Input(_) | Op::Const(_) => {}
            Op::Unary(_) | Op::Reshape | Op::StopGradient | Op::Binary(_) | Op::Ternary(_) | Op::ScaleGrad => {
                for &arg in &node.args {
                    let scalar = g.shape(arg).count() == 1;
                    let known = &mut self.tags[arg.index()];
                    if !scalar && known.as_ref().is_none_or(|k| Arc::ptr_eq(k, tags)) {
                        *known = Some(tags.clone());
                        continue;
                    }
                    self.add(g, arg, needed().map(|(j, t)| (if scalar { 0 } else { j }, t)));
                }
            }
            Op::Gather(index) => self.add(g, first(), needed().map(|(j, t)| (index.at(j), t))),
            Op::ScatterAdd(index) => self.add(g, first(), (0..index.len()).map(|j| (j, tags[index.at(j)]))),
            Op::Concat => {
                let mut start = 0;
                for &arg in &node.args {
                    let part = start..start + g.shape(arg).count();
                    start = part.end;
                    self.add(g, arg, tags[part].iter().copied().enumerate());
                }
            }
            Op::Fold { n, inner, .. } => {
                let all = |(j, t): (usize, u32)| (0..*n).map(move |k| (folded(j, k, *n, *inner), t));
                self.add(g, first(), needed().flat_map(all));
            }
            Op::CumSum { reverse } => {
                let width = node.shape.dims().last().copied().unwrap_or(1).max(1);
                let all = |(j, t): (usize, u32)| running(j, width, *reverse).map(move |k| (k, t));
                self.add(g, first(), needed().flat_map(all));
            }
            Op::MatMul { ta, tb } => {
                let p = Product::new(g, node, *ta, *tb);
                self.product(g, node, &p, tags);
            }
            Op::Cholesky | Op::LogAbsDet => {
                let block = square(g, node);
                let per = (tags.len() * block / g.shape(first()).count().max(1)).max(1);
                let all = |(j, t): (usize, u32)| (0..block).map(move |k| (j / per * block + k, t));
                self.add(g, first(), needed().flat_map(all));
            }
            Op::TriSolve { .. } | Op::Solve { .. } => {
                let (block, (size, m)) = (square(g, node), last_two(node));
                let matrix = |(j, t): (usize, u32)| (0..block).map(move |k| (j / (size * m) * block + k, t));
                self.add(g, first(), needed().flat_map(matrix));
                let column =
                    |(j, t): (usize, u32)| (0..size).map(move |i| ((j / (size * m) * size + i) * m + j % m, t));
                self.add(g, node.args[1], needed().flat_map(column));
            }
            // A loop is computed whole, with the globals, but for what depends on a row.
            Op::Proj(_) => self.add(g, first(), std::iter::once((0, SEVERAL))),
            Op::Scan(_) => {
                for &arg in &node.args {
                    self.add(g, arg, (0..g.shape(arg).count()).map(|j| (j, SEVERAL)));
                }
            }
        }
    }

    /// Rows of the left and columns of the right factor are needed by the rows and columns of the product.
    fn product(&mut self, g: &Graph, node: &Node, p: &Product, tags: &[u32]) {
        let at = |b: usize, i: usize, j: usize| tags[(b * p.m + i) * p.n + j];
        let row = |b: usize, i: usize| (0..p.n).fold(GLOBAL, |t, j| join(t, at(b, i, j)));
        let rows = (0..p.batch * p.m).map(|r| (r / p.m, r % p.m)).map(|(b, i)| (b, i, row(b, i)));
        let left = rows.flat_map(|(b, i, t)| (0..p.k).map(move |l| (p.left(b, i, l), t)));
        self.add(g, node.args[0], left);
        // Row by row, as the tags lie in memory.
        let mut columns = vec![GLOBAL; p.batch * p.n];
        for (r, tags) in tags.chunks(p.n.max(1)).enumerate() {
            let columns = &mut columns[r / p.m.max(1) * p.n..][..p.n];
            columns.iter_mut().zip(tags).for_each(|(c, t)| *c = join(*c, *t));
        }
        let columns = columns.iter().enumerate().map(|(c, t)| (c / p.n, c % p.n, *t));
        let right = columns.flat_map(|(b, j, t)| (0..p.k).map(move |l| (p.right(b, l, j), t)));
        self.add(g, node.args[1], right);
    }
}
