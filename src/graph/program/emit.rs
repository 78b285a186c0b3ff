//! Emission of the straight parts of a program: one or a few kernel calls for each node.

use std::collections::HashMap;

use super::code::{self, Base, Code, Cycle, Loc, Micro, Name, Step};
use super::dataset;
use super::kernels::arith::extent;
use super::kernels::{Kernel, Target, arith, fold, moves};
use super::lir::{Lir, Map, Op, V};
use super::reading::{Kind, map_kernel, name};
use super::schedule::{Group, Place};
use crate::graph::op::{Binary, Fold};
use crate::graph::shape::Index;

/// State of the emission of one list of nodes.
pub(super) struct Emitter<'a> {
    pub lir: &'a Lir,
    pub lanes: usize,
    pub target: Target,
    pub code: &'a mut Code,
    /// Where operations go instead of the program's steps: the body of a loop.
    pub sink: Option<Cycle>,
    /// Whether data matrices fill the caches.
    pub crowded: bool,
    /// Where each value is, once it has a place.
    pub loc: Vec<Option<Loc>>,
    pub readers: Vec<Vec<V>>,
    /// Whether each output of the program has lanes.
    expected: Vec<bool>,
    /// What is being emitted, for people.
    pub name: Name,
    /// Nodes that need nothing more: computed with another, or in place.
    pub done: Vec<bool>,
    /// Whether whole vectors may be written behind the end of a value.
    pub own: Vec<bool>,
    started: Vec<bool>,
    spread_out: HashMap<(V, usize), Loc>,
}

/// Inputs up to this many numbers are copied to the workspace at the start.
const IMPORTED: usize = 256;
/// Outputs above this many numbers are computed where the caller wants them.
const DIRECT: usize = 256;

impl<'a> Emitter<'a> {
    pub fn new(lir: &'a Lir, lanes: usize, target: Target, code: &'a mut Code) -> Self {
        let n = lir.nodes.len();
        let mut readers: Vec<Vec<V>> = vec![vec![]; n];
        for (i, node) in lir.nodes.iter().enumerate() {
            for a in &node.args {
                readers[a.at()].push(V(i as u32));
            }
        }
        Emitter {
            lir,
            lanes,
            target,
            code,
            sink: None,
            crowded: dataset::crowded(lir),
            expected: vec![],
            name: Name::Other("copy"),
            loc: vec![None; n],
            readers,
            done: vec![false; n],
            own: vec![false; n],
            started: vec![false; n],
            spread_out: HashMap::new(),
        }
    }

    /// The whole program; `wide` says which outputs the caller expects with lanes.
    pub fn program(&mut self, groups: &[Group], wide: &[bool]) {
        self.expected = wide.to_vec();
        for i in 0..self.lir.nodes.len() {
            if let Op::Input(k) = self.lir.nodes[i].op {
                let v = V(i as u32);
                let count = self.count(v);
                let mut at = code::input(k);
                if count <= IMPORTED {
                    at = self.code.buffer(count);
                    self.code.imports.push((k as usize, at, count));
                }
                self.loc[i] = Some(at);
            }
        }
        for group in groups {
            match group.place {
                Place::Leaf => {}
                Place::Sequence => group.nodes.iter().for_each(|v| self.node(*v)),
                Place::Loop(domain) => self.fused(domain, &group.nodes),
            }
        }
        for (k, &v) in self.lir.outputs.iter().enumerate() {
            let (from, to) = (self.value(v), code::output(k as u32));
            let wide_count = self.lir.node(v).n * self.lanes;
            match from.base {
                _ if wide[k] && !self.lir.node(v).wide => {
                    self.push(moves::expand_kernel(self.lanes), to, [from; 3], wide_count);
                }
                _ if from == to => {}
                Base::Buffer(_) | Base::Pool => {
                    self.code.exports.push((k, from, self.count(v)));
                }
                _ => self.copy(to, from, self.count(v)),
            }
        }
    }

    /// Lanes of a value.
    pub fn width(&self, v: V) -> usize {
        if self.lir.node(v).wide { self.lanes } else { 1 }
    }

    /// Numbers of a value.
    pub fn count(&self, v: V) -> usize {
        self.lir.node(v).n * self.width(v)
    }

    pub fn push(&mut self, kernel: Kernel, d: Loc, [a, b, c]: [Loc; 3], n: usize) {
        let op = Micro { name: self.name, kernel, last: (kernel, n), d, a, b, c, n };
        match &mut self.sink {
            Some(cycle) => cycle.ops.push(op),
            None => self.code.steps.push(Step::Op(op)),
        }
    }

    pub fn copy(&mut self, d: Loc, a: Loc, n: usize) {
        self.push(arith::copy(self.target, extent(n), 0), d, [a; 3], n);
    }

    pub fn zero(&mut self, d: Loc, n: usize) {
        let zero = self.code.data(&[0.0].into());
        self.push(arith::copy(self.target, extent(n), 1), d, [zero; 3], n);
    }

    /// Where the value of `v` is.
    pub fn value(&mut self, v: V) -> Loc {
        if let Some(at) = self.loc[v.at()] {
            return at;
        }
        let at = match &self.lir.node(v).op {
            Op::Const(c) => self.code.data(c),
            Op::Slice(start) => {
                let a = self.lir.node(v).args[0];
                self.value(a).plus(start * self.width(a))
            }
            _ => unreachable!("values are computed before they are read"),
        };
        self.loc[v.at()] = Some(at);
        at
    }

    /// A place for the value of `v`: inside an array that it becomes a part of, at an output, or a
    /// buffer of its own.
    pub fn dest(&mut self, v: V) -> Loc {
        if let Some(at) = self.loc[v.at()] {
            return at;
        }
        let at = match self.part_of(v) {
            Some((deposit, whole, start)) => {
                self.done[deposit.at()] = true;
                self.target(whole).plus(start * self.width(v))
            }
            None => {
                let output = self.lir.outputs.iter().position(|o| *o == v);
                match output {
                    Some(k) if self.expected.get(k) == Some(&self.lir.node(v).wide) && self.count(v) > DIRECT => {
                        code::output(k as u32)
                    }
                    _ => {
                        self.own[v.at()] = true;
                        let count = self.count(v);
                        self.code.buffer(count)
                    }
                }
            }
        };
        self.loc[v.at()] = Some(at);
        at
    }

    /// A deposit that stores `v` whole: it, its array, and the position.
    pub fn part_of(&self, v: V) -> Option<(V, V, usize)> {
        self.readers[v.at()].iter().find_map(|&r| {
            let node = self.lir.node(r);
            match &node.op {
                Op::Deposit { index, add: false } if node.wide == self.lir.node(v).wide => {
                    Some((r, self.readers[r.at()][0], index.at(0)))
                }
                _ => None,
            }
        })
    }

    /// The place of an array that deposits put together, with what it starts from.
    pub fn target(&mut self, v: V) -> Loc {
        let at = self.dest(v);
        if std::mem::replace(&mut self.started[v.at()], true) {
            return at;
        }
        let (node, width) = (self.lir.node(v), self.width(v));
        if let Op::Assemble { base: true } = node.op {
            let (base, n) = (node.args[0], node.n);
            let from = self.full(base, n, node.wide);
            self.copy(at, from, n * width);
            return at;
        }
        let mut stored: Vec<(usize, usize)> = node
            .args
            .iter()
            .filter_map(|d| match &self.lir.node(*d).op {
                Op::Deposit { index, add: false } => Some((index.at(0), index.len())),
                _ => None,
            })
            .collect();
        stored.push((node.n, 0));
        stored.sort_unstable();
        let mut from = 0;
        for (start, len) in stored {
            if start > from {
                self.zero(at.plus(from * width), (start - from) * width);
            }
            from = start + len;
        }
        at
    }

    /// How an elementwise operation on `n` elements reads `a`.
    pub fn kind(&self, a: V, n: usize, wide: bool) -> Kind {
        let node = self.lir.node(a);
        match (node.n == n, node.wide == wide) {
            (true, true) => Kind::Vector,
            (true, false) if n != 1 => Kind::Moving,
            (false, true) if wide => Kind::Row,
            _ => Kind::Fixed,
        }
    }

    /// The place of `a` with all numbers of an operation on `n` elements.
    pub fn full(&mut self, a: V, n: usize, wide: bool) -> Loc {
        let at = self.value(a);
        let lanes = if wide { self.lanes } else { 1 };
        let kernel = match self.kind(a, n, wide) {
            Kind::Vector => return at,
            Kind::Row => moves::repeat_kernel(lanes),
            Kind::Moving => moves::expand_kernel(lanes),
            Kind::Fixed => arith::copy(self.target, extent(n * lanes), 1),
        };
        self.spread(a, kernel, n * lanes)
    }

    fn spread(&mut self, a: V, kernel: Kernel, count: usize) -> Loc {
        let from = self.value(a);
        if let Some(&at) = self.spread_out.get(&(a, count)) {
            return at;
        }
        let at = self.code.buffer(count);
        self.push(kernel, at, [from; 3], count);
        self.spread_out.insert((a, count), at);
        at
    }

    /// Emits one node of a straight part.
    pub fn node(&mut self, v: V) {
        if self.done[v.at()] {
            return;
        }
        let node = self.lir.node(v);
        let (n, wide, width) = (node.n, node.wide, self.width(v));
        self.name = name(&node.op);
        match &node.op {
            Op::Input(_) | Op::Const(_) | Op::Slice(_) | Op::Proj(_) => {}
            Op::Map(map) => self.map(v, *map),
            Op::Fill => {
                let (d, a) = (self.dest(v), node.args[0]);
                let from = self.value(a);
                let kernel =
                    if wide { moves::repeat_kernel(self.lanes) } else { arith::copy(self.target, extent(n), 1) };
                self.push(kernel, d, [from; 3], n * width);
            }
            Op::Gather(index) => {
                let table = self.code.table(index);
                let (d, a) = (self.dest(v), self.value(node.args[0]));
                self.push(moves::gather_kernel(self.target, width, index), d, [a, table, a], n * width);
            }
            Op::Assemble { .. } => {
                self.target(v);
            }
            Op::Deposit { index, add } => self.deposit(v, index, *add),
            Op::Sum => {
                let a = node.args[0];
                let (from, count) = (self.value(a), self.lir.node(a).n);
                self.sum(v, from, count);
            }
            Op::Dot => self.dot(v),
            Op::Fold { fold: kind, outer, n, inner } => {
                let (outer, n, inner) = (*outer, *n, *inner);
                let c = self.code.params(&[outer, n, inner * width]);
                let (d, a) = (self.dest(v), self.value(node.args[0]));
                self.push(fold::fold_kernel(*kind, self.target), d, [a, a, c], 0);
            }
            Op::CumSum { rows, len, reverse } => {
                let c = self.code.params(&[*rows, *len, width, *reverse as usize]);
                let (d, a) = (self.dest(v), self.value(node.args[0]));
                self.push(fold::running_sum(self.target), d, [a, a, c], 0);
            }
            Op::MatMul(product) => self.matmul(v, *product),
            Op::Square { kind, batch, n, m } => self.square(v, *kind, (*batch, *n, *m)),
            Op::Scan(scan) => self.scan(v, scan.clone()),
            Op::DataRows { data, columns } => self.data_rows_at_once(v, data, *columns),
            Op::DataColumns { data, columns } => self.data_columns_at_once(v, data, *columns),
        }
    }

    /// Sum over the `count` elements at `from` into `v`.
    pub fn sum(&mut self, v: V, from: Loc, count: usize) {
        let (d, width) = (self.dest(v), self.width(v));
        if width == 1 {
            self.push(fold::sum(self.target), d, [from; 3], count);
        } else {
            let c = self.code.params(&[1, count, width]);
            self.push(fold::fold_kernel(Fold::Sum, self.target), d, [from, from, c], 0);
        }
    }

    fn deposit(&mut self, v: V, index: &Index, add: bool) {
        let node = self.lir.node(v);
        let (source, whole) = (node.args[0], self.readers[v.at()][0]);
        let n = self.lir.node(source).n;
        let from = self.full(source, n, node.wide);
        let (to, width) = (self.target(whole), self.width(v));
        match index {
            Index::Stride { start, stride: 1, .. } => {
                let d = to.plus(start * width);
                self.add_or_copy(d, from, n * width, add);
            }
            _ if n == 1 => {
                let d = to.plus(index.at(0) * width);
                self.add_or_copy(d, from, width, add);
            }
            _ => {
                let table = self.code.table(index);
                let kernel = moves::scatter_kernel(self.target, width, index);
                self.push(kernel, to, [from, table, from], n * width);
            }
        }
    }

    pub fn add_or_copy(&mut self, d: Loc, from: Loc, count: usize, add: bool) {
        if add {
            let kernel = map_kernel(Map::Binary(Binary::Add), self.target, extent(count), 0);
            self.push(kernel, d, [d, from, d], count);
        } else {
            self.copy(d, from, count);
        }
    }
}
