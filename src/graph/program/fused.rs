//! Emission of a fused loop: elementwise nodes over one domain, tile by tile, in a small file of tiles.

use std::collections::HashMap;

use super::code::{Base, Cycle, Loc, Micro, Name, Step};
use super::emit::{self, Emitter, map_kernel};
use super::kernels::arith::{self, Joined};
use super::kernels::{Kernel, fold, function, moves};
use super::lir::{Map, Op, V};
use super::schedule::{Domain, flows};
use crate::graph::op::{Binary, Fold};
use crate::graph::shape::Index;

/// Doubles in a tile: as many elements as fit, at least one.
const TILE: usize = 64;

/// State of one loop.
struct Fused {
    domain: Domain,
    /// Lanes of an element.
    lanes: usize,
    /// Elements in a tile.
    elements: usize,
    ops: Vec<Micro>,
    /// What is being emitted, for people.
    name: Name,
    /// What runs after the loop.
    after: Vec<After>,
    /// The file of tiles, its length, and the free ones.
    file: u32,
    tiles: usize,
    free: Vec<usize>,
    /// Where the tile of a node is inside the loop.
    here: HashMap<V, Loc>,
    /// Readers inside the loop that are still to come.
    pending: HashMap<V, usize>,
    /// Operands written out for the loop.
    ready: HashMap<V, Loc>,
}

enum After {
    /// The accumulator of a sum.
    Sum(V, Loc),
}

impl Fused {
    fn width(&self) -> usize {
        self.lanes * self.elements
    }

    fn tile(&mut self) -> Loc {
        let k = self.free.pop().unwrap_or_else(|| {
            self.tiles += 1;
            self.tiles - 1
        });
        Loc {
            base: Base::Buffer(self.file),
            off: k * self.width(),
            step: 0,
        }
    }

    fn release(&mut self, at: Loc) {
        if at.base == Base::Buffer(self.file) && at.step == 0 {
            self.free.push(at.off / self.width());
        }
    }

    /// One reader of `v` inside the loop is done.
    fn read(&mut self, v: V) {
        if let Some(n) = self.pending.get_mut(&v) {
            *n -= 1;
            if *n == 0
                && let Some(&at) = self.here.get(&v)
            {
                self.release(at);
            }
        }
    }

    /// Doubles of the last tile.
    fn tail(&self) -> usize {
        (self.domain.n % self.elements) * self.lanes
    }

    /// Adds an operation on tiles; `kernel` chooses by their length.
    fn op(&mut self, kernel: impl Fn(usize) -> Kernel, d: Loc, [a, b, c]: [Loc; 3]) {
        let (n, tail) = (self.width(), self.tail());
        self.ops.push(Micro {
            name: self.name,
            kernel: kernel(n),
            last: kernel(if tail > 0 { tail } else { n }),
            d,
            a,
            b,
            c,
            n,
        });
    }
}

impl Emitter<'_> {
    /// One loop over all `nodes`.
    pub(super) fn fused(&mut self, domain: Domain, nodes: &[V]) {
        let lanes = if domain.wide { self.lanes } else { 1 };
        let elements = (TILE / lanes).max(1);
        let Base::Buffer(file) = self.code.buffer(0).base else {
            unreachable!("buffers are buffers")
        };
        let mut f = Fused {
            domain,
            lanes,
            elements,
            ops: vec![],
            name: self.name,
            after: vec![],
            file,
            tiles: 0,
            free: vec![],
            here: HashMap::new(),
            pending: self.pending(nodes),
            ready: HashMap::new(),
        };
        for &v in nodes {
            if !self.done[v.at()] {
                self.fused_node(&mut f, v);
            }
        }
        self.code.buffers[file as usize] = f.tiles * f.width();
        let label = format!(
            "{} elements, {} nodes, {} tiles",
            domain.n,
            nodes.len(),
            f.tiles
        );
        self.code.steps.push(Step::Cycle(Cycle {
            trips: domain.n.div_ceil(elements),
            tail: f.tail(),
            ops: std::mem::take(&mut f.ops),
            label,
        }));
        for after in std::mem::take(&mut f.after) {
            let After::Sum(v, acc) = after;
            self.finish_sum(&f, v, acc);
        }
    }

    /// Readers of each node inside its loop.
    fn pending(&self, nodes: &[V]) -> HashMap<V, usize> {
        let mut pending: HashMap<V, usize> = nodes.iter().map(|v| (*v, 0)).collect();
        for &v in nodes {
            for a in &self.lir.node(v).args {
                if flows(self.lir, *a, v)
                    && let Some(n) = pending.get_mut(a)
                {
                    *n += 1;
                }
            }
        }
        pending
    }

    /// True where something outside the loop reads `v`.
    fn leaves(&self, f: &Fused, v: V) -> bool {
        self.lir.outputs.contains(&v)
            || self.readers[v.at()]
                .iter()
                .any(|r| !(f.pending.contains_key(r) && flows(self.lir, v, *r)))
    }

    fn fused_node(&mut self, f: &mut Fused, v: V) {
        let node = self.lir.node(v);
        f.name = emit::name(&node.op);
        self.name = f.name;
        match &node.op {
            Op::Map(map) => self.fused_map(f, v, *map),
            Op::Fill => {
                let (from, scalar) = self.fused_operand(f, node.args[0]);
                let d = self.fused_dest(f, v);
                let isa = self.isa;
                f.op(|n| arith::copy(isa, n, scalar as u8), d, [from; 3]);
            }
            Op::Gather(index) => {
                let table = self.code.table(index).stepping(f.elements as isize);
                let source = self.value(node.args[0]);
                let d = self.fused_dest(f, v);
                let kernel = moves::gather_kernel(f.lanes);
                f.op(|_| kernel, d, [source, table, source]);
            }
            Op::Sum => {
                let (x, _) = self.fused_operand(f, node.args[0]);
                let acc = self.accumulator(f, v);
                let (add, isa) = (Map::Binary(Binary::Add), self.isa);
                f.op(|n| map_kernel(add, isa, n, 0), acc, [acc, x, acc]);
                f.read(node.args[0]);
            }
            Op::Dot => {
                let (x, _) = self.fused_operand(f, node.args[0]);
                let (y, _) = self.fused_operand(f, node.args[1]);
                let acc = self.accumulator(f, v);
                let joined = if x == y {
                    Joined::SquareAdd
                } else {
                    Joined::MulAdd
                };
                let isa = self.isa;
                f.op(|n| arith::joined(joined, isa, n, 0), acc, [x, y, acc]);
                node.args.iter().for_each(|a| f.read(*a));
            }
            Op::Deposit { index, add } => self.fused_deposit(f, v, index, *add),
            _ => unreachable!("not the operation of a loop"),
        }
    }

    fn fused_map(&mut self, f: &mut Fused, v: V, map: Map) {
        let args = &self.lir.node(v).args;
        let (mut places, mut scalars) = ([None; 3], 0);
        for (k, &a) in args.iter().enumerate() {
            let (at, scalar) = self.fused_operand(f, a);
            places[k] = Some(at);
            scalars |= (scalar as u8) << k;
        }
        let a = places[0].expect("elementwise nodes have arguments");
        let mut operands = [a, places[1].unwrap_or(a), places[2].unwrap_or(a)];
        for (k, a) in args.iter().enumerate() {
            // An operand read twice by this node is released once, after the last.
            if !args[k + 1..].contains(a) {
                (0..args.iter().filter(|x| *x == a).count()).for_each(|_| f.read(*a));
            }
        }
        let d = self.fused_dest(f, v);
        let twin = self.sigmoid_twin(f, v, map);
        let isa = self.isa;
        match twin {
            Some(second) => {
                operands[2] = self.fused_dest(f, second);
                f.op(|_| function::softplus_sigmoid(isa), d, operands);
            }
            None => f.op(|n| map_kernel(map, isa, n, scalars), d, operands),
        };
        if let Some(second) = twin {
            f.read(args[0]);
            self.done[second.at()] = true;
        }
    }

    /// The sigmoid of what `v` is the softplus of, where this loop wants it too.
    fn sigmoid_twin(&self, f: &Fused, v: V, map: Map) -> Option<V> {
        self.twin(v, map)
            .filter(|u| f.pending.contains_key(u) && !f.here.contains_key(u))
    }

    /// Where the tile of an operand is, and whether it is a scalar there.
    fn fused_operand(&mut self, f: &mut Fused, a: V) -> (Loc, bool) {
        if let Some(&at) = f.here.get(&a) {
            return (at, false);
        }
        let (n, wide) = (self.lir.node(a).n, self.lir.node(a).wide);
        let at = self.value(a);
        if n == 1 && f.domain.n != 1 {
            return match wide && f.lanes > 1 {
                false => (at, true),
                true if f.elements == 1 => (at, false),
                true => (self.ready_tile(f, a, at), false),
            };
        }
        if wide == f.domain.wide {
            return (at.stepping(f.width() as isize), false);
        }
        let at = at.stepping(f.elements as isize);
        if f.elements == 1 {
            return (at, true);
        }
        let d = f.tile();
        let kernel = moves::expand_kernel(f.lanes);
        f.op(|_| kernel, d, [at; 3]);
        f.here.insert(a, d);
        (d, false)
    }

    /// A scalar with lanes, repeated over a tile before the loop starts.
    fn ready_tile(&mut self, f: &mut Fused, a: V, from: Loc) -> Loc {
        if let Some(&at) = f.ready.get(&a) {
            return at;
        }
        let width = f.width();
        let at = self.code.buffer(width);
        self.push(moves::repeat_kernel(f.lanes), at, [from; 3], width);
        f.ready.insert(a, at);
        at
    }

    /// Where the tile of `v` goes: to its place outside if something there reads it.
    fn fused_dest(&mut self, f: &mut Fused, v: V) -> Loc {
        let at = if self.leaves(f, v) || self.part_of(v).is_some() {
            self.dest(v).stepping(f.width() as isize)
        } else {
            f.tile()
        };
        f.here.insert(v, at);
        at
    }

    /// An accumulator for a sum: a tile of zeros, or the result itself where a tile is one element.
    fn accumulator(&mut self, f: &mut Fused, v: V) -> Loc {
        let width = f.width();
        if f.elements == 1 {
            let at = self.dest(v);
            self.zero(at, width);
            return at;
        }
        let at = self.code.buffer(width);
        self.zero(at, width);
        f.after.push(After::Sum(v, at));
        at
    }

    fn finish_sum(&mut self, f: &Fused, v: V, acc: Loc) {
        let d = self.dest(v);
        if f.lanes == 1 {
            self.push(fold::sum(self.isa), d, [acc; 3], f.width());
        } else {
            let c = self.code.params(&[1, f.elements, f.lanes]);
            self.push(fold::fold_kernel(Fold::Sum, self.isa), d, [acc, acc, c], 0);
        }
    }

    fn fused_deposit(&mut self, f: &mut Fused, v: V, index: &Index, add: bool) {
        let (source, whole) = (self.lir.node(v).args[0], self.readers[v.at()][0]);
        let (mut from, scalar) = self.fused_operand(f, source);
        let isa = self.isa;
        if scalar {
            let d = f.tile();
            f.op(|n| arith::copy(isa, n, 1), d, [from; 3]);
            from = d;
        }
        let to = self.target(whole);
        match index {
            Index::Stride {
                start, stride: 1, ..
            } => {
                let d = to.plus(start * f.lanes).stepping(f.width() as isize);
                let sum = Map::Binary(Binary::Add);
                if add {
                    f.op(|n| map_kernel(sum, isa, n, 0), d, [d, from, d]);
                } else {
                    f.op(|n| arith::copy(isa, n, 0), d, [from; 3]);
                }
            }
            _ => {
                let table = self.code.table(index).stepping(f.elements as isize);
                let runs = matches!(index, Index::Repeat { .. });
                let kernel = moves::scatter_kernel(f.lanes, runs);
                f.op(|_| kernel, to, [from, table, from]);
            }
        }
        f.read(source);
    }
}
