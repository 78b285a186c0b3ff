//! Emission of a fused loop: elementwise nodes over one domain, tile by tile, in a small file of tiles.

use std::collections::{HashMap, HashSet};

use super::code::{Base, Cycle, Loc, Micro, Name, Step};
use super::emit::Emitter;
use super::kernels::arith::{self, Extent};
use super::kernels::{Kernel, Target, dataset, fold, function, rows};
use super::lir::{Map, Op, V};
use super::reading::{Kind, Reading, is_arithmetic, map_kernel, name};
use super::runs::{AllRuns, Runs};
use super::schedule::{Domain, flows};

/// Doubles of all tiles of a loop, or twice as many numbers of single precision: half of a first-level cache.
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
    pub ops: Vec<Micro>,
    /// What is being emitted, for people.
    pub name: Name,
    /// Accumulators to be summed after the loop, and where to.
    pub sums: Vec<Total>,
    /// The file of tiles, its length, and the free ones.
    pub file: u32,
    pub tiles: usize,
    pub free: Vec<usize>,
    /// Where the tile of a node is inside the loop.
    pub here: HashMap<V, Loc>,
    /// Readers inside the loop that are still to come.
    pub pending: HashMap<V, usize>,
    /// Operands written out for the loop.
    pub ready: HashMap<V, Loc>,
    /// Nodes of the loop that are done, and arrays from outside that they read.
    pub emitted: HashSet<V>,
    pub sources: Vec<V>,
    /// Buffers that a node of the loop writes over.
    pub taken: HashSet<Base>,
    /// Gathers and deposits that go in rows.
    pub runs: AllRuns,
}

/// A sum to be finished after the loop.
pub(super) enum Total {
    /// One accumulator.
    One(V, Loc),
    /// An accumulator of one vector for each of so many columns.
    Columns(V, Loc, usize),
    /// So many doubles beside an array of single precision.
    Doubles(Loc, Loc, usize),
}

impl Fused {
    pub fn width(&self) -> usize {
        self.lanes * self.elements
    }

    pub fn tile(&mut self) -> Loc {
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

    /// The rows of a gather or deposit, where every tile has whole ones.
    pub fn rows(&self, v: V) -> Option<Runs> {
        self.runs.get(&v).filter(|r| self.elements.is_multiple_of(r.len)).cloned()
    }

    /// The elements of `v` are at a place that the loop does not move.
    pub fn place(&mut self, v: V, at: Loc) {
        self.here.insert(v, at);
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

    /// Adds an operation whose count is that of all numbers.
    pub fn plain(&mut self, kernel: Kernel, d: Loc, operands: [Loc; 3]) {
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
        let runs = if lanes == 1 && most == usize::MAX { self.runs(nodes) } else { HashMap::new() };
        let row = runs.values().map(|r| r.len).max().unwrap_or(1);
        let mut f = Fused {
            domain,
            lanes,
            elements: elements(tiles, lanes, domain.n, self.target.per_double(), row).min(most),
            ops: vec![],
            name: self.name,
            sums: vec![],
            file,
            tiles: 0,
            free: vec![],
            here: HashMap::new(),
            pending,
            ready: HashMap::new(),
            emitted: HashSet::new(),
            sources: vec![],
            taken: HashSet::new(),
            runs,
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
                Total::Doubles(to, acc, count) => self.push(rows::add_doubles(self.target), to, [acc; 3], count),
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

    fn fused_node(&mut self, f: &mut Fused, v: V) {
        let node = self.lir.node(v);
        f.emitted.insert(v);
        f.name = name(&node.op);
        self.name = f.name;
        match &node.op {
            Op::Map(map) => self.fused_map(f, v, *map),
            Op::Fill => {
                let (from, kind) = self.fused_operand(f, node.args[0]);
                let d = self.fused_dest(f, v);
                self.fused_copy(f, d, from, kind);
            }
            Op::Gather(index) => self.fused_gather(f, v, index),
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

    pub(super) fn fused_arithmetic(&mut self, f: &mut Fused, map: Map, reading: Reading, d: Loc, operands: [Loc; 3]) {
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

    pub(super) fn fused_copy(&mut self, f: &mut Fused, d: Loc, from: Loc, kind: Kind) {
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
        f.emitted.insert(second);
        self.done[second.at()] = true;
    }

    /// The sigmoid of what `v` is the softplus of, where this loop wants it too.
    fn sigmoid_twin(&self, f: &Fused, v: V, map: Map) -> Option<V> {
        self.twin(v, map).filter(|u| f.pending.contains_key(u) && !f.here.contains_key(u))
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
}

/// Elements of a tile where `tiles` of them are live, `per` numbers taking the room of a double: whole rows of
/// `row` elements where they fit.
fn elements(tiles: usize, lanes: usize, n: usize, per: usize, row: usize) -> usize {
    let (least, plain, wide) = WIDTHS;
    let most = if lanes == 1 { plain } else { wide };
    let room = per * FILE / tiles.max(1);
    let width = room.clamp(per * least, per * most).max(lanes);
    let elements = 1 << (width / lanes).ilog2();
    let elements = elements.min(n.next_power_of_two());
    match row {
        1 => elements,
        _ if row <= elements => elements / row * row,
        _ if row <= 2 * room => row,
        _ => elements,
    }
}
