//! Emission of a fused loop: elementwise nodes over one domain, tile by tile, in a small file of tiles.

use std::collections::HashMap;

use super::code::{Base, Cycle, Loc, Micro, Name, Step};
use super::emit::Emitter;
use super::kernels::arith::{self, Extent};
use super::kernels::{Kernel, Target, dataset, fold, function, moves};
use super::lir::{Map, Op, V};
use super::reading::{Kind, Reading, is_arithmetic, map_kernel, name};
use super::schedule::{Domain, flows};
use crate::graph::op::Binary;
use crate::graph::shape::Index;

/// Doubles of all tiles of a loop: half of a first-level cache.
const FILE: usize = 2048;
/// Doubles of one tile: at least, and at most without and with lanes.
const WIDTHS: (usize, usize, usize) = (64, 256, 512);

/// State of one loop.
pub(super) struct Fused {
    pub domain: Domain,
    /// Lanes of an element.
    pub lanes: usize,
    /// Elements in a tile.
    pub elements: usize,
    ops: Vec<Micro>,
    /// What is being emitted, for people.
    name: Name,
    /// Accumulators to be summed after the loop, and where to.
    pub sums: Vec<Total>,
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

/// A sum to be finished after the loop.
pub(super) enum Total {
    /// One accumulator.
    One(V, Loc),
    /// An accumulator of four doubles for each of so many columns.
    Columns(V, Loc, usize),
}

impl Fused {
    pub fn width(&self) -> usize {
        self.lanes * self.elements
    }

    fn tile(&mut self) -> Loc {
        let k = self.free.pop().unwrap_or_else(|| {
            self.tiles += 1;
            self.tiles - 1
        });
        Loc { base: Base::Buffer(self.file), off: k * self.width(), step: 0 }
    }

    fn release(&mut self, at: Loc) {
        if at.base == Base::Buffer(self.file) && at.step == 0 {
            self.free.push(at.off / self.width());
        }
    }

    /// One reader of `v` inside the loop is done.
    pub fn read(&mut self, v: V) {
        if let Some(n) = self.pending.get_mut(&v) {
            *n -= 1;
            if *n == 0
                && let Some(&at) = self.here.get(&v)
            {
                self.release(at);
            }
        }
    }

    /// Adds an operation on tiles; `kernel` chooses kernel and count for a number of elements.
    pub fn op(&mut self, kernel: impl Fn(usize) -> (Kernel, usize), d: Loc, [a, b, c]: [Loc; 3]) {
        let tail = self.domain.n % self.elements;
        let full = kernel(self.elements);
        self.ops.push(Micro {
            name: self.name,
            kernel: full.0,
            n: full.1,
            last: if tail > 0 { kernel(tail) } else { full },
            d,
            a,
            b,
            c,
        });
    }

    /// Adds an operation whose count is the number of doubles.
    fn plain(&mut self, kernel: Kernel, d: Loc, operands: [Loc; 3]) {
        let lanes = self.lanes;
        self.op(|e| (kernel, e * lanes), d, operands);
    }
}

impl Emitter<'_> {
    /// One loop over all `nodes`.
    pub(super) fn fused(&mut self, domain: Domain, nodes: &[V]) {
        let lanes = if domain.wide { self.lanes } else { 1 };
        let Base::Buffer(file) = self.code.buffer(0).base else { unreachable!("buffers are buffers") };
        let pending = self.pending(nodes);
        let tiles = self.live_tiles(nodes, pending.clone());
        let most = self.most_rows(nodes, lanes);
        let mut f = Fused {
            domain,
            lanes,
            elements: elements(tiles, lanes, domain.n).min(most),
            ops: vec![],
            name: self.name,
            sums: vec![],
            file,
            tiles: 0,
            free: vec![],
            here: HashMap::new(),
            pending,
            ready: HashMap::new(),
        };
        for &v in nodes {
            if !self.done[v.at()] {
                self.fused_node(&mut f, v);
            }
        }
        self.code.buffers[file as usize] = f.tiles * f.width();
        let label = format!("{} elements, {} nodes, {} tiles of {}", domain.n, nodes.len(), f.tiles, f.width());
        self.code.steps.push(Step::Cycle(Cycle {
            trips: domain.n.div_ceil(f.elements),
            ops: f.ops,
            inner: vec![],
            label,
        }));
        for total in f.sums {
            match total {
                Total::One(v, acc) => {
                    let d = self.dest(v);
                    self.push(fold::finish(self.target), d, [acc; 3], 0);
                }
                Total::Columns(v, acc, columns) => {
                    let d = self.dest(v);
                    self.push(dataset::finish(self.target), d, [acc; 3], columns);
                }
            }
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

    /// Most values of the loop that wait for a reader at one time.
    fn live_tiles(&self, nodes: &[V], mut pending: HashMap<V, usize>) -> usize {
        let (mut live, mut most) = (0usize, 0);
        for &v in nodes {
            for a in &self.lir.node(v).args {
                if flows(self.lir, *a, v)
                    && let Some(n) = pending.get_mut(a)
                {
                    *n -= 1;
                    live -= (*n == 0) as usize;
                }
            }
            live += (pending[&v] > 0) as usize;
            most = most.max(live);
        }
        most
    }

    /// True where something outside the loop reads `v`.
    fn leaves(&self, f: &Fused, v: V) -> bool {
        self.lir.outputs.contains(&v)
            || self.readers[v.at()].iter().any(|r| !(f.pending.contains_key(r) && flows(self.lir, v, *r)))
    }

    fn fused_node(&mut self, f: &mut Fused, v: V) {
        let node = self.lir.node(v);
        f.name = name(&node.op);
        self.name = f.name;
        match &node.op {
            Op::Map(map) => self.fused_map(f, v, *map),
            Op::Fill => {
                let (from, kind) = self.fused_operand(f, node.args[0]);
                let d = self.fused_dest(f, v);
                self.fused_copy(f, d, from, kind);
            }
            Op::Gather(index) => {
                let table = self.code.table(index).stepping(f.elements as isize);
                let source = self.value(node.args[0]);
                let d = self.fused_dest(f, v);
                let kernel = moves::gather_kernel(self.target, f.lanes, moves::is_regular(index));
                f.plain(kernel, d, [source, table, source]);
            }
            Op::Sum => {
                let (x, _) = self.fused_operand(f, node.args[0]);
                self.fused_sum(f, v, (x, x), [fold::add_terms, fold::add_rows]);
                f.read(node.args[0]);
            }
            Op::Dot => {
                let (x, _) = self.fused_operand(f, node.args[0]);
                let (y, _) = self.fused_operand(f, node.args[1]);
                self.fused_sum(f, v, (x, y), [fold::add_products, fold::add_row_products]);
                node.args.iter().for_each(|a| f.read(*a));
            }
            Op::Deposit { index, add } => self.fused_deposit(f, v, index, *add),
            Op::DataRows { data, columns } => self.data_rows(f, v, data, *columns),
            Op::DataColumns { data, columns } => self.data_columns(f, v, data, *columns),
            _ => unreachable!("not the operation of a loop"),
        }
    }

    fn fused_arithmetic(&mut self, f: &mut Fused, map: Map, reading: Reading, d: Loc, operands: [Loc; 3]) {
        let (target, lanes) = (self.target, f.lanes);
        f.op(
            |e| {
                let (extent, count) = reading.count(e, lanes);
                // A remainder of one double is a vector all the same.
                let extent = if extent == Extent::One { Extent::Many } else { extent };
                (map_kernel(map, target, extent, reading.scalars), count)
            },
            d,
            operands,
        );
    }

    fn fused_copy(&mut self, f: &mut Fused, d: Loc, from: Loc, kind: Kind) {
        let mut reading = Reading::default();
        reading.add(0, kind);
        let (target, lanes) = (self.target, f.lanes);
        f.op(
            |e| {
                let (extent, count) = reading.count(e, lanes);
                (arith::copy(target, extent, reading.scalars), count)
            },
            d,
            [from; 3],
        );
    }

    fn fused_map(&mut self, f: &mut Fused, v: V, map: Map) {
        let args = &self.lir.node(v).args;
        let mut places = [None; 3];
        let mut reading = Reading::default();
        for (k, &a) in args.iter().enumerate() {
            let (mut at, mut kind) = self.fused_operand(f, a);
            if matches!(kind, Kind::Row | Kind::Moving) && !is_arithmetic(map) {
                at = self.written_out(f, a, at, kind);
                kind = Kind::Vector;
            }
            places[k] = Some(at);
            reading.add(k, kind);
        }
        let a = places[0].expect("elementwise nodes have arguments");
        let mut operands = [a, places[1].unwrap_or(a), places[2].unwrap_or(a)];
        for a in args {
            f.read(*a);
        }
        let d = self.fused_dest(f, v);
        let Some(second) = self.sigmoid_twin(f, v, map) else {
            return self.fused_arithmetic(f, map, reading, d, operands);
        };
        operands[2] = self.fused_dest(f, second);
        f.plain(function::softplus_sigmoid(self.target), d, operands);
        f.read(args[0]);
        self.done[second.at()] = true;
    }

    /// The sigmoid of what `v` is the softplus of, where this loop wants it too.
    fn sigmoid_twin(&self, f: &Fused, v: V, map: Map) -> Option<V> {
        self.twin(v, map).filter(|u| f.pending.contains_key(u) && !f.here.contains_key(u))
    }

    /// Where the tile of an operand is, and how it is read.
    pub(super) fn fused_operand(&mut self, f: &mut Fused, a: V) -> (Loc, Kind) {
        if let Some(&at) = f.here.get(&a) {
            return (at, Kind::Vector);
        }
        let kind = self.kind(a, f.domain.n, f.domain.wide);
        let step = match kind {
            Kind::Vector => f.width(),
            Kind::Moving => f.elements,
            Kind::Row | Kind::Fixed => 0,
        };
        let at = self.value(a);
        (if step > 0 { at.stepping(step as isize) } else { at }, kind)
    }

    /// An operand that a kernel must find with all its doubles: a row repeated over a tile before the
    /// loop starts, or one number after another repeated over the lanes.
    fn written_out(&mut self, f: &mut Fused, a: V, from: Loc, kind: Kind) -> Loc {
        if let Some(&at) = f.ready.get(&a) {
            return at;
        }
        let width = f.width();
        let at = self.code.buffer(width);
        if kind == Kind::Row {
            self.push(moves::repeat_kernel(f.lanes), at, [from; 3], width);
        } else {
            f.plain(moves::expand_kernel(f.lanes), at, [from; 3]);
        }
        f.ready.insert(a, at);
        at
    }

    /// Where the tile of `v` goes: to its place outside if something there reads it.
    pub(super) fn fused_dest(&mut self, f: &mut Fused, v: V) -> Loc {
        let at = if self.leaves(f, v) || self.part_of(v).is_some() {
            self.dest(v).stepping(f.width() as isize)
        } else {
            f.tile()
        };
        f.here.insert(v, at);
        at
    }

    /// Adds terms to an accumulator: with lanes the result itself, else one that is summed after the loop.
    fn fused_sum(&mut self, f: &mut Fused, v: V, (x, y): (Loc, Loc), [terms, rows]: [fn(Target) -> Kernel; 2]) {
        if f.lanes == 1 {
            let slots = fold::accumulator(self.target);
            let acc = self.code.buffer(slots);
            self.zero(acc, slots);
            f.sums.push(Total::One(v, acc));
            f.plain(terms(self.target), acc, [x, y, x]);
        } else {
            let acc = self.dest(v);
            self.zero(acc, f.lanes);
            let (kernel, lanes) = (rows(self.target), f.lanes);
            f.op(|e| (kernel, arith::rows(e, lanes, 0)), acc, [x, y, x]);
        }
    }

    fn fused_deposit(&mut self, f: &mut Fused, v: V, index: &Index, add: bool) {
        let (source, whole) = (self.lir.node(v).args[0], self.readers[v.at()][0]);
        let (from, kind) = self.fused_operand(f, source);
        let to = self.target(whole);
        match index {
            Index::Stride { start, stride: 1, .. } => {
                let d = to.plus(start * f.lanes).stepping(f.width() as isize);
                if add {
                    let mut reading = Reading::default();
                    reading.add(0, kind);
                    reading.add(1, Kind::Vector);
                    let sum = Map::Binary(Binary::Add);
                    self.fused_arithmetic(f, sum, reading, d, [from, d, from]);
                } else {
                    self.fused_copy(f, d, from, kind);
                }
            }
            _ => {
                debug_assert_eq!(kind, Kind::Vector, "deposits have their sources' lanes");
                let table = self.code.table(index).stepping(f.elements as isize);
                let kernel = moves::scatter_kernel(self.target, f.lanes, moves::is_regular(index));
                f.plain(kernel, to, [from, table, from]);
            }
        }
        f.read(source);
    }
}

/// Elements of a tile where `tiles` of them are live.
fn elements(tiles: usize, lanes: usize, n: usize) -> usize {
    let (least, plain, wide) = WIDTHS;
    let most = if lanes == 1 { plain } else { wide };
    let width = (FILE / tiles.max(1)).clamp(least, most).max(lanes);
    let elements = 1 << (width / lanes).ilog2();
    elements.min(n.next_power_of_two())
}
