//! Index maps that go in rows, inside loops: repeated rows are read and summed without a table of every element.

use std::collections::HashMap;

use super::code::Loc;
use super::emit::Emitter;
use super::fused::{Fused, Total};
use super::kernels::{moves, rows};
use super::lir::{Map, Op, V};
use super::peephole::range;
use super::reading::{Kind, Reading};
use crate::graph::op::Binary;
use crate::graph::shape::Index;

/// Shortest rows that are treated as such, and the longest.
const LENGTHS: (usize, usize) = (8, 1024);

/// An index map in rows of one length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Runs {
    pub len: usize,
    /// Positions follow one another inside a row (else all are one position).
    pub follow: bool,
    /// The first position of each row.
    pub starts: Vec<u32>,
}

impl Runs {
    /// The rows of an index map, where it has some.
    pub fn of(index: &Index) -> Option<Runs> {
        let n = index.len();
        let (len, follow) = match index {
            Index::Repeat { each, .. } => (*each, false),
            Index::Tile { period, .. } => (*period, true),
            Index::Table(t) => length(t)?,
            Index::Stride { .. } => return None,
        };
        let good = len >= LENGTHS.0 && n > 0 && n.is_multiple_of(len);
        let starts = || (0..n).step_by(len).map(|j| index.at(j) as u32).collect();
        good.then(|| Runs { len, follow, starts: starts() })
    }

    /// Where all rows begin, if they are one row again and again.
    fn one(&self) -> Option<usize> {
        let first = *self.starts.first()?;
        (self.follow && self.starts.iter().all(|s| *s == first)).then_some(first as usize)
    }

    /// True where no two rows begin at one position.
    fn apart(&self) -> bool {
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        starts.windows(2).all(|w| w[0] + if self.follow { self.len as u32 } else { 1 } <= w[1])
    }
}

/// Length of a table's rows and whether their positions follow one another: all breaks are at multiples of it.
fn length(t: &[u32]) -> Option<(usize, bool)> {
    let follow = *t.get(1)? != t[0];
    let mut len = t.len();
    for (i, w) in t.windows(2).enumerate() {
        if w[1] != w[0].wrapping_add(follow as u32) {
            len = gcd(len, i + 1);
            if len < LENGTHS.0 {
                return None;
            }
        }
    }
    // One long row is cut, so that it fits into tiles.
    while len > LENGTHS.1 && len.is_multiple_of(2) {
        len /= 2;
    }
    Some((len, follow))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The rows of every gather and deposit of a loop.
pub(super) type AllRuns = HashMap<V, Runs>;

impl Emitter<'_> {
    /// Rows of the gathers and deposits among `nodes`.
    pub(super) fn runs(&self, nodes: &[V]) -> AllRuns {
        let rows = |v: &V| match &self.lir.node(*v).op {
            Op::Gather(index) | Op::Deposit { index, .. } => Runs::of(index).map(|r| (*v, r)),
            _ => None,
        };
        nodes.iter().filter_map(rows).collect()
    }

    pub(super) fn fused_gather(&mut self, f: &mut Fused, v: V, index: &Index) {
        let source = self.value(self.lir.node(v).args[0]);
        if let Index::Tile { period, .. } = index
            && f.lanes == 1
            && f.elements.is_multiple_of(*period)
        {
            return self.pattern(f, v, source, *period);
        }
        if let Some(runs) = f.rows(v) {
            if let Some(first) = runs.one() {
                return self.pattern(f, v, source.plus(first), runs.len);
            }
            let (table, c) = self.table_of(f, &runs, 0);
            let kernel = if runs.follow { rows::copy(self.target) } else { rows::fill(self.target) };
            let d = self.fused_dest(f, v);
            return f.plain(kernel, d, [source, table, c]);
        }
        let table = self.code.table(index).stepping(f.elements as isize);
        let d = self.fused_dest(f, v);
        let kernel = moves::gather_kernel(self.target, f.lanes, index);
        f.plain(kernel, d, [source, table, source]);
    }

    /// An array that every tile repeats alike is written out once.
    fn pattern(&mut self, f: &mut Fused, v: V, source: Loc, period: usize) {
        let at = self.code.buffer(f.elements);
        let c = self.code.params(&[period]);
        self.push(rows::tile(self.target), at, [source, source, c], f.elements);
        if self.is_wanted_outside(f, v) {
            let d = self.fused_dest(f, v);
            self.fused_copy(f, d, at, Kind::Vector);
        } else {
            f.place(v, at);
        }
    }

    /// The starts of the rows that each tile of the loop has, counted from `first`, and their length as a
    /// parameter.
    fn table_of(&mut self, f: &Fused, runs: &Runs, first: u32) -> (Loc, Loc) {
        let starts: Vec<u32> = runs.starts.iter().map(|s| s - first).collect();
        let table = self.code.table(&Index::Table(starts.into()));
        (table.stepping((f.elements / runs.len) as isize), self.code.params(&[runs.len]))
    }

    pub(super) fn fused_deposit(&mut self, f: &mut Fused, v: V, index: &Index, add: bool) {
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
                match f.rows(v) {
                    Some(runs) => self.deposit_rows(f, to, from, &runs),
                    None => self.deposit_elements(f, to, from, index),
                }
            }
        }
        f.read(source);
    }

    fn deposit_rows(&mut self, f: &mut Fused, to: Loc, from: Loc, runs: &Runs) {
        let sums = self.target.single && runs.follow && !runs.apart();
        let first = if sums { runs.starts.iter().copied().min().unwrap_or(0) } else { 0 };
        let (table, c) = self.table_of(f, runs, first);
        if sums {
            let last = runs.starts.iter().copied().max().unwrap_or(0);
            let acc = self.doubles(f, to.plus(first as usize), (last - first) as usize + runs.len);
            f.plain(rows::add_to_doubles(self.target), acc, [from, table, c]);
        } else {
            let kernel = if runs.follow { rows::add(self.target) } else { rows::add_sums(self.target) };
            f.plain(kernel, to, [from, table, c]);
        }
    }

    fn deposit_elements(&mut self, f: &mut Fused, to: Loc, from: Loc, index: &Index) {
        if self.target.single {
            let (first, end) = range(index);
            let shifted: Vec<u32> = (0..index.len()).map(|j| (index.at(j) - first) as u32).collect();
            let table = self.code.table(&Index::Table(shifted.into())).stepping(f.elements as isize);
            let acc = self.doubles(f, to.plus(first), end - first);
            f.plain(moves::scatter_to_doubles, acc, [from, table, from]);
        } else {
            let table = self.code.table(index).stepping(f.elements as isize);
            let kernel = moves::scatter_kernel(self.target, f.lanes, index);
            f.plain(kernel, to, [from, table, from]);
        }
    }

    /// Sums in double precision beside the `count` numbers at `to`, to which they are added after the loop.
    fn doubles(&mut self, f: &mut Fused, to: Loc, count: usize) -> Loc {
        let acc = self.code.buffer(2 * count);
        self.zero(acc, 2 * count);
        f.sums.push(Total::Doubles(to, acc, count));
        acc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_tables() {
        let rows = |t: Vec<u32>| Runs::of(&Index::Table(t.into())).map(|r| (r.len, r.follow, r.starts));
        let follow = |starts: &[u32], len: u32| starts.iter().flat_map(|s| *s..s + len).collect::<Vec<u32>>();
        assert_eq!(rows(follow(&[5, 5, 40], 16)), Some((16, true, vec![5, 5, 40])));
        // Rows that follow one another by chance are longer rows, as long as all breaks allow it.
        assert_eq!(rows(follow(&[0, 16, 3, 19], 16)), Some((32, true, vec![0, 3])));
        let equal = |of: &[u32], len: usize| of.iter().flat_map(|s| vec![*s; len]).collect::<Vec<u32>>();
        assert_eq!(rows(equal(&[7, 2, 2], 9)), Some((9, false, vec![7, 2, 2])));
        assert_eq!(rows(equal(&[7, 2, 3], 5)), None);
        assert_eq!(rows(vec![3, 1, 2, 0, 5, 9, 4, 4, 4]), None);
    }
}
