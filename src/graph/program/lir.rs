//! The executor's own form of a graph: fewer kinds of nodes, constants evaluated, copies made explicit.

use std::sync::Arc;

use super::kernels::arith::Joined;
use crate::graph::op::{Binary, Fold, Scan, Ternary, Unary};
use crate::graph::shape::Index;

/// A node, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct V(pub u32);

impl V {
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// An elementwise formula; every argument has the node's count or is a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Map {
    Unary(Unary),
    Binary(Binary),
    Ternary(Ternary),
    Joined(Joined),
}

/// Sizes of a matrix product `[batch, m, k] x [batch, k, n]`, and which factor is stored transposed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Product {
    pub batch: usize,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub ta: bool,
    pub tb: bool,
}

/// Operations on square matrices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Square {
    Cholesky,
    /// Lower triangular solve, with the transpose where set.
    TriSolve(bool),
    /// General solve, with the transpose where set.
    Solve(bool),
    LogAbsDet,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Input(u32),
    Const(Arc<[f64]>),
    Map(Map),
    /// A scalar repeated.
    Fill,
    /// A contiguous piece of the argument, without a copy.
    Slice(usize),
    Gather(Index),
    /// An array put together by the deposits among its arguments; where `base`, the first argument is
    /// what it starts from.
    Assemble {
        base: bool,
    },
    /// Writes or adds its first argument into the `Assemble` that uses it, at the positions of `index`.
    /// A second argument is that array's base, which must be there first.
    Deposit {
        index: Index,
        add: bool,
    },
    /// Sum over everything, to a scalar.
    Sum,
    /// Sum of products of two arrays, to a scalar.
    Dot,
    Fold {
        fold: Fold,
        outer: usize,
        n: usize,
        inner: usize,
    },
    CumSum {
        rows: usize,
        len: usize,
        reverse: bool,
    },
    MatMul(Product),
    /// Rows of data (row-major, `columns` wide) times the argument: an element for each row.
    DataRows {
        data: Arc<[f64]>,
        columns: usize,
    },
    /// Columns of such data times the argument, which has an element for each row.
    DataColumns {
        data: Arc<[f64]>,
        columns: usize,
    },
    /// On `batch` matrices of order `n`, with `m` right-hand sides where it has some.
    Square {
        kind: Square,
        batch: usize,
        n: usize,
        m: usize,
    },
    Scan(Arc<Scan>),
    Proj(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Op,
    pub args: Vec<V>,
    /// Elements per lane.
    pub n: usize,
    /// One value per lane (else one for all).
    pub wide: bool,
}

/// A graph in this form: arguments come first.
#[derive(Clone, Debug, Default)]
pub(super) struct Lir {
    pub nodes: Vec<Node>,
    /// What to compute, in full (never a repeated scalar).
    pub outputs: Vec<V>,
}

impl Lir {
    pub fn node(&self, v: V) -> &Node {
        &self.nodes[v.at()]
    }

    pub fn push(&mut self, op: Op, args: Vec<V>, n: usize) -> V {
        let wide = args.iter().any(|a| self.node(*a).wide);
        self.nodes.push(Node { op, args, n, wide });
        V(self.nodes.len() as u32 - 1)
    }

    /// How often each node is read.
    pub fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0; self.nodes.len()];
        for v in self.nodes.iter().flat_map(|n| &n.args).chain(&self.outputs) {
            uses[v.at()] += 1;
        }
        uses
    }

    /// Drops what no output needs.
    pub fn prune(self) -> Lir {
        let mut needed = vec![false; self.nodes.len()];
        for v in &self.outputs {
            needed[v.at()] = true;
        }
        for i in (0..self.nodes.len()).rev() {
            if needed[i] {
                for a in &self.nodes[i].args {
                    needed[a.at()] = true;
                }
            }
        }
        let mut place = vec![V(0); self.nodes.len()];
        let mut out = Lir::default();
        for (i, mut node) in self.nodes.into_iter().enumerate() {
            if needed[i] {
                for a in &mut node.args {
                    *a = place[a.at()];
                }
                place[i] = V(out.nodes.len() as u32);
                out.nodes.push(node);
            }
        }
        out.outputs = self.outputs.iter().map(|v| place[v.at()]).collect();
        out
    }
}
