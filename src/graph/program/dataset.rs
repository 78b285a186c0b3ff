//! Products with data matrices inside loops over their rows: the loop reads the data once, tile by tile.

use std::collections::HashMap;
use std::sync::Arc;

use super::code::Loc;
use super::emit::Emitter;
use super::fused::{Fused, Total};
use super::kernels::{Kernel, Target, arith, dataset};
use super::lir::{Lir, Node, Op, V};

/// Doubles of data in a tile: half of a first-level cache.
const DATA: usize = 2048;
/// Doubles in all matrices from which those that single precision holds exactly are kept in it: half of a second-level cache,
/// and what comes from beyond it takes longer than the conversion.
const WIDE: usize = 32 * 1024;

/// Numbers of single precision, two in the place of a double.
fn paired(x: &[f32]) -> Vec<f64> {
    let pair = |x: &[f32]| {
        let [a, b] = [x[0], x[1]].map(f32::to_ne_bytes);
        f64::from_ne_bytes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
    };
    x.chunks_exact(2).map(pair).collect()
}

fn rows_of(narrow: bool) -> fn(Target) -> Kernel {
    if narrow { dataset::rows_narrow } else { dataset::rows }
}

fn columns_of(narrow: bool) -> fn(Target) -> Kernel {
    if narrow { dataset::columns_narrow } else { dataset::columns }
}

/// Whether all data matrices together leave no room for much else in a second-level cache.
pub(super) fn crowded(lir: &Lir) -> bool {
    let of = |node: &Node| match &node.op {
        Op::DataRows { data, .. } | Op::DataColumns { data, .. } => Some((data.as_ptr(), data.len())),
        _ => None,
    };
    let all: HashMap<_, _> = lir.nodes.iter().filter_map(of).collect();
    all.values().sum::<usize>() >= WIDE
}

impl Emitter<'_> {
    /// Most rows in a tile of a loop over `nodes`, so that its data is read from memory once.
    pub(super) fn most_rows(&self, nodes: &[V], lanes: usize) -> usize {
        let columns = nodes.iter().filter_map(|v| match &self.lir.node(*v).op {
            Op::DataRows { columns, .. } | Op::DataColumns { columns, .. } => Some(*columns),
            _ => None,
        });
        let least = if lanes == 1 { 32 } else { 4 };
        columns.max().map_or(usize::MAX, |k| {
            let rows = (DATA / k.max(1)).max(least);
            1 << rows.ilog2()
        })
    }

    /// Whether a matrix is kept in single precision for products on one lane: no bit of the result tells.
    fn is_narrow(&self, lanes: usize, data: &[f64]) -> bool {
        let exact = |x: &f64| f64::from(*x as f32) == *x;
        lanes == 1 && self.crowded && !self.target.single && data.iter().all(exact)
    }

    /// The data in tiles, each column by column: `[tile][column][row]`, zeros behind the last row.
    fn tiles_of(&mut self, (rows, e): (usize, usize), data: &Arc<[f64]>, columns: usize, narrow: bool) -> Loc {
        let key = (data.as_ptr() as usize, e, narrow);
        if let Some(at) = self.code.packed.get(&key) {
            return *at;
        }
        let mut packed = vec![0.0; rows.div_ceil(e) * e * columns];
        for (i, row) in data.chunks(columns).enumerate() {
            let tile = &mut packed[(i / e) * e * columns..];
            for (k, x) in row.iter().enumerate() {
                tile[k * e + i % e] = *x;
            }
        }
        let at = if narrow {
            let singles: Vec<f32> = packed.iter().map(|x| *x as f32).collect();
            self.code.large(paired(&singles).into())
        } else {
            self.code.data(&packed.into())
        };
        self.code.packed.insert(key, at);
        self.code.pinned.push(data.clone());
        at
    }

    /// The product with all rows in one call.
    pub(super) fn data_rows_at_once(&mut self, v: V, data: &Arc<[f64]>, columns: usize) {
        let n = self.lir.node(v).n;
        let e = n.next_multiple_of(self.target.vector());
        let lanes = self.width(v);
        let narrow = self.is_narrow(lanes, data);
        let x = self.tiles_of((n, e), data, columns, narrow);
        let b = self.value(self.lir.node(v).args[0]);
        let c = self.code.params(&[columns, e]);
        let d = self.dest(v);
        if lanes == 1 {
            let count = self.padded(v, &[x, b]);
            self.push(rows_of(narrow)(self.target), d, [x, b, c], count);
        } else {
            self.push(dataset::rows_lanes(self.target), d, [x, b, c], arith::rows(n, lanes, 0));
        }
    }

    /// The product with all columns in one call.
    pub(super) fn data_columns_at_once(&mut self, v: V, data: &Arc<[f64]>, columns: usize) {
        let source = self.lir.node(v).args[0];
        let n = self.lir.node(source).n;
        let e = n.next_multiple_of(self.target.vector());
        let lanes = self.width(v);
        let narrow = self.is_narrow(lanes, data);
        let x = self.tiles_of((n, e), data, columns, narrow);
        let r = self.value(source);
        let c = self.code.params(&[columns, e]);
        if lanes == 1 {
            let acc = self.code.buffer(self.target.vector() * columns);
            self.zero(acc, self.target.vector() * columns);
            self.push(columns_of(narrow)(self.target), acc, [x, r, c], n);
            let d = self.dest(v);
            self.push(dataset::finish(self.target), d, [acc; 3], columns);
        } else {
            let d = self.dest(v);
            self.zero(d, lanes * columns);
            self.push(dataset::columns_lanes(self.target), d, [x, r, c], arith::rows(n, lanes, 0));
        }
    }

    pub(super) fn data_rows(&mut self, f: &mut Fused, v: V, data: &Arc<[f64]>, columns: usize) {
        let narrow = self.is_narrow(f.lanes, data);
        let tiles = self.tiles_of((f.domain.n, f.elements), data, columns, narrow);
        let x = tiles.stepping((columns * f.elements) as isize / if narrow { 2 } else { 1 });
        let b = self.value(self.lir.node(v).args[0]);
        let c = self.code.params(&[columns, f.elements]);
        let d = self.fused_dest(f, v);
        let (target, lanes) = (self.target, f.lanes);
        if lanes == 1 {
            f.op(|e| (rows_of(narrow)(target), e), d, [x, b, c]);
        } else {
            let count = |e| arith::rows(e, lanes, 0);
            f.op(|e| (dataset::rows_lanes(target), count(e)), d, [x, b, c]);
        }
    }

    pub(super) fn data_columns(&mut self, f: &mut Fused, v: V, data: &Arc<[f64]>, columns: usize) {
        let narrow = self.is_narrow(f.lanes, data);
        let tiles = self.tiles_of((f.domain.n, f.elements), data, columns, narrow);
        let x = tiles.stepping((columns * f.elements) as isize / if narrow { 2 } else { 1 });
        let source = self.lir.node(v).args[0];
        let (r, _) = self.fused_operand(f, source);
        let c = self.code.params(&[columns, f.elements]);
        let (target, lanes) = (self.target, f.lanes);
        if lanes == 1 {
            let acc = self.code.buffer(self.target.vector() * columns);
            self.zero(acc, self.target.vector() * columns);
            f.sums.push(Total::Columns(v, acc, columns));
            f.op(|e| (columns_of(narrow)(target), e), acc, [x, r, c]);
        } else {
            let acc = self.dest(v);
            self.zero(acc, lanes * columns);
            let count = |e| arith::rows(e, lanes, 0);
            f.op(|e| (dataset::columns_lanes(target), count(e)), acc, [x, r, c]);
        }
        f.read(source);
    }
}
