//! Which row alone needs each element of each node: tags carried backward through the graph.
//!
//! What only one row needs is computed with that row; what several need is computed once, with the globals.

use super::labels::{Product, Tags, folded, join, last_two, running, square};
use crate::graph::{Graph, Node, Op, Var};
use crate::model::separable::{GLOBAL, SEVERAL};

/// Rows that need each element: [`GLOBAL`] for none, [`SEVERAL`] for more than one row or the globals.
pub(super) struct Owners {
    tags: Vec<Option<Vec<u32>>>,
}

impl Owners {
    /// Carries the tags of the addends (node, tag per element) back to what they need.
    pub fn new(g: &Graph, addends: &[(Var, Tags)]) -> Owners {
        let mut o = Owners { tags: vec![None; g.nodes().len()] };
        for (v, tags) in addends {
            for j in 0..g.shape(*v).count() {
                // The globals need it: as good as several rows.
                let tag = if tags.at(j) == GLOBAL { SEVERAL } else { tags.at(j) };
                o.add(g, *v, j, tag);
            }
        }
        for (i, node) in g.nodes().iter().enumerate().rev() {
            if let Some(tags) = o.tags[i].take() {
                o.back(g, node, &tags);
                o.tags[i] = Some(tags);
            }
        }
        o
    }

    /// Tag of an element.
    pub fn at(&self, v: usize, j: usize) -> u32 {
        self.tags[v].as_ref().map_or(GLOBAL, |t| t[j])
    }

    fn add(&mut self, g: &Graph, v: Var, j: usize, tag: u32) {
        let tags = self.tags[v.index()].get_or_insert_with(|| vec![GLOBAL; g.shape(v).count()]);
        tags[j] = join(tags[j], tag);
    }

    fn back(&mut self, g: &Graph, node: &Node, tags: &[u32]) {
        let needed = || tags.iter().copied().enumerate().filter(|t| t.1 != GLOBAL);
        let a = node.args.first().copied();
        match &node.op {
            Op::Input(_) | Op::Const(_) => {}
            Op::Unary(_) | Op::Reshape | Op::StopGradient | Op::Binary(_) | Op::Ternary(_) | Op::ScaleGrad => {
                for &arg in &node.args {
                    let scalar = g.shape(arg).count() == 1;
                    needed().for_each(|(j, t)| self.add(g, arg, if scalar { 0 } else { j }, t));
                }
            }
            Op::Gather(index) => needed().for_each(|(j, t)| self.add(g, node.args[0], index.at(j), t)),
            Op::ScatterAdd(index) => {
                (0..index.len()).for_each(|j| self.add(g, node.args[0], j, tags[index.at(j)]));
            }
            Op::Concat => {
                let mut start = 0;
                for &arg in &node.args {
                    let n = g.shape(arg).count();
                    (0..n).for_each(|j| self.add(g, arg, j, tags[start + j]));
                    start += n;
                }
            }
            Op::Fold { n, inner, .. } => {
                for (j, t) in needed() {
                    (0..*n).for_each(|k| self.add(g, node.args[0], folded(j, k, *n, *inner), t));
                }
            }
            Op::CumSum { reverse } => {
                let width = node.shape.dims().last().copied().unwrap_or(1).max(1);
                for (j, t) in needed() {
                    running(j, width, *reverse).for_each(|k| self.add(g, node.args[0], k, t));
                }
            }
            Op::MatMul { ta, tb } => {
                let p = Product::new(g, node, *ta, *tb);
                self.product(g, node, &p, tags);
            }
            Op::Cholesky | Op::LogAbsDet => {
                let block = square(g, node);
                let per = (tags.len() * block / g.shape(node.args[0]).count().max(1)).max(1);
                for (j, t) in needed() {
                    (0..block).for_each(|k| self.add(g, node.args[0], j / per * block + k, t));
                }
            }
            Op::TriSolve { .. } | Op::Solve { .. } => {
                let (block, (size, m)) = (square(g, node), last_two(node));
                for (j, t) in needed() {
                    let b = j / (size * m);
                    (0..block).for_each(|k| self.add(g, node.args[0], b * block + k, t));
                    (0..size).for_each(|i| self.add(g, node.args[1], (b * size + i) * m + j % m, t));
                }
            }
            // A loop is computed whole, with the globals, but for what depends on a row.
            Op::Proj(_) => self.add(g, a.expect("Proj reads a loop"), 0, SEVERAL),
            Op::Scan(_) => {
                for &arg in &node.args {
                    (0..g.shape(arg).count()).for_each(|j| self.add(g, arg, j, SEVERAL));
                }
            }
        }
    }

    /// Rows of the left and columns of the right factor are needed by the rows and columns of the product.
    fn product(&mut self, g: &Graph, node: &Node, p: &Product, tags: &[u32]) {
        for b in 0..p.batch {
            let at = |i: usize, j: usize| tags[(b * p.m + i) * p.n + j];
            for i in 0..p.m {
                let t = (0..p.n).fold(GLOBAL, |t, j| join(t, at(i, j)));
                (0..p.k).for_each(|l| self.add(g, node.args[0], p.left(b, i, l), t));
            }
            for j in 0..p.n {
                let t = (0..p.m).fold(GLOBAL, |t, i| join(t, at(i, j)));
                (0..p.k).for_each(|l| self.add(g, node.args[1], p.right(b, l, j), t));
            }
        }
    }
}
