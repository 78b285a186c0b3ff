//! Emission of sequential loops: the body's operations on pointers that move from step to step.

use std::sync::Arc;

use super::code::{Cycle, Loc, Step};
use super::emit::Emitter;
use super::kernels::arith::Joined;
use super::kernels::moves;
use super::kernels::recur;
use super::lir::{Lir, Map, Op, V};
use super::{lower, peephole};
use crate::graph::op::Scan;

/// Doubles of all carries over all steps up to which the steps are kept, so that nothing is copied from
/// one step to the next.
const KEPT: usize = 8192;

/// Where a carry is: as a step receives it, and where it leaves it.
struct Carry {
    first: Loc,
    now: Loc,
    next: Loc,
    /// Doubles.
    count: usize,
    /// Every step has its own row.
    rows: bool,
}

impl Emitter<'_> {
    pub(super) fn scan(&mut self, v: V, scan: Arc<Scan>) {
        let node = self.lir.node(v);
        let (args, wide) = (node.args.clone(), node.wide);
        let width = self.width(v);
        let projections = self.projections(v);
        let carries: Vec<Carry> = (0..scan.next.len()).map(|k| self.carry(&scan, k, width, &projections)).collect();
        for (k, carry) in carries.iter().enumerate() {
            let from = self.full(args[k], self.lir.node(args[k]).n, wide);
            self.copy(carry.first, from, carry.count);
        }
        let ys = self.outputs(&scan, width, &projections);
        if scan.len > 0 && !self.linear(&scan, &args, wide, &carries, &projections) {
            let cycle = self.body(&scan, &args, wide, &carries, &ys);
            match &mut self.sink {
                Some(outer) => outer.inner.push((outer.ops.len(), cycle)),
                None => self.code.steps.push(Step::Cycle(cycle)),
            }
        }
        for (k, carry) in carries.iter().enumerate() {
            if let Some(p) = projections[k] {
                let last = if carry.rows && scan.len > 0 {
                    let step = carry.next.step * (scan.len as isize - 1);
                    at_step(carry.next, step)
                } else {
                    carry.first
                };
                self.loc[p.at()] = Some(last);
            }
        }
    }

    /// The node that reads each output of the loop, if there is one.
    fn projections(&self, v: V) -> Vec<Option<V>> {
        let Op::Scan(scan) = &self.lir.node(v).op else { unreachable!("called for loops") };
        let mut found = vec![None; 2 * scan.next.len() + scan.ys.len()];
        for &r in &self.readers[v.at()] {
            if let Op::Proj(k) = self.lir.node(r).op {
                found[k as usize] = Some(r);
            }
        }
        found
    }

    /// Places of the k-th carry. Where all steps are kept, row t is what step t receives, one row more
    /// at the end where the loop leaves it.
    fn carry(&mut self, scan: &Scan, k: usize, width: usize, projections: &[Option<V>]) -> Carry {
        let count = scan.body.shape(scan.next[k]).count() * width;
        let trace = projections[scan.next.len() + k];
        let rows = trace.is_some() || (scan.len + 1) * count <= KEPT;
        if !rows {
            let (first, next) = (self.code.buffer(count), self.code.buffer(count));
            return Carry { first, now: first, next, count, rows };
        }
        let all = self.code.buffer((scan.len + 1) * count);
        let step = count as isize;
        let (first, now, next, seen) = if scan.reverse {
            let first = all.plus(scan.len * count);
            let next = all.plus(scan.len.saturating_sub(1) * count);
            (first, first.stepping(-step), next.stepping(-step), all.plus(count))
        } else {
            (all, all.stepping(step), all.plus(count).stepping(step), all)
        };
        if let Some(t) = trace {
            self.loc[t.at()] = Some(seen);
        }
        Carry { first, now, next, count, rows }
    }

    /// Where step outputs that something reads go, moving with the steps.
    fn outputs(&mut self, scan: &Scan, width: usize, projections: &[Option<V>]) -> Vec<Option<Loc>> {
        let carries = scan.next.len();
        (0..scan.ys.len())
            .map(|k| {
                let p = projections[2 * carries + k]?;
                let count = scan.body.shape(scan.ys[k]).count() * width;
                let at = self.code.buffer(count * scan.len);
                self.loc[p.at()] = Some(at);
                Some(moving(at, count, scan))
            })
            .collect()
    }

    /// The body's operations.
    fn body(&mut self, scan: &Scan, args: &[V], wide: bool, carries: &[Carry], ys: &[Option<Loc>]) -> Cycle {
        let wanted: Vec<_> =
            scan.next.iter().copied().chain(scan.ys.iter().zip(ys).filter(|y| y.1.is_some()).map(|y| *y.0)).collect();
        let spread = self.body_spread(args, wide, carries.len());
        let lir = lower::lower_body(&scan.body, &wanted, &spread, self.target.single);
        let lir = peephole::rewrite(lir, self.target.single);
        let places: Vec<Loc> = (0..args.len())
            .map(|k| match k.checked_sub(carries.len()) {
                None => carries[k].now,
                Some(x) if x < scan.xs => {
                    let a = args[k];
                    let count = self.count(a).checked_div(scan.len).unwrap_or(0);
                    moving(self.still(a), count, scan)
                }
                Some(_) => self.still(args[k]),
            })
            .collect();
        let results: Vec<Loc> = carries.iter().map(|c| c.next).chain(ys.iter().flatten().copied()).collect();
        let mut inner = Emitter::new(&lir, self.lanes, self.target, self.code);
        inner.sink = Some(Cycle { trips: scan.len, ops: vec![], inner: vec![], label: String::new() });
        inner.steps(&places, &results, wide);
        for c in carries.iter().filter(|c| !c.rows) {
            inner.copy(c.now, c.next, c.count);
        }
        let mut cycle = inner.sink.take().expect("set above");
        cycle.label = format!("{} steps, {} operations", scan.len, cycle.ops.len());
        cycle
    }

    /// The place of an argument, which must not move with a loop around this one.
    fn still(&mut self, a: V) -> Loc {
        let at = self.value(a);
        if at.step == 0 {
            return at;
        }
        let count = self.count(a);
        let copy = self.code.buffer(count);
        self.copy(copy, at, count);
        copy
    }

    /// Which inputs of the body have lanes.
    fn body_spread(&self, args: &[V], wide: bool, carries: usize) -> Vec<bool> {
        args.iter().enumerate().map(|(k, a)| if k < carries { wide } else { self.lir.node(*a).wide }).collect()
    }

    /// Emits all nodes of a body, given the places of its inputs and of its results.
    fn steps(&mut self, inputs: &[Loc], results: &[Loc], wide: bool) {
        for (i, node) in self.lir.nodes.iter().enumerate() {
            if let Op::Input(k) = node.op {
                self.loc[i] = Some(inputs[k as usize]);
            }
        }
        let mut moved = vec![];
        for (&v, &to) in self.lir.outputs.iter().zip(results) {
            let node = self.lir.node(v);
            let computed = !matches!(node.op, Op::Input(_) | Op::Const(_) | Op::Slice(_) | Op::Proj(_));
            if computed && node.wide == wide && self.loc[v.at()].is_none() {
                self.loc[v.at()] = Some(to);
            } else {
                moved.push((v, to));
            }
        }
        for i in 0..self.lir.nodes.len() {
            self.node(V(i as u32));
        }
        for (v, to) in moved {
            let n = self.lir.node(v).n;
            let lanes = if wide { self.lanes } else { 1 };
            let from = self.value(v);
            if self.lir.node(v).wide == wide {
                self.copy(to, from, n * lanes);
            } else {
                self.push(moves::expand_kernel(lanes), to, [from; 3], n * lanes);
            }
        }
    }

    /// A loop of one carry `next = a * carry + b` with known `a` and `b`, without other outputs.
    fn linear(&mut self, scan: &Scan, args: &[V], wide: bool, carries: &[Carry], projections: &[Option<V>]) -> bool {
        let [carry] = carries else { return false };
        if projections[2..].iter().any(|p| p.is_some()) || !carry.rows {
            return false;
        }
        let spread = self.body_spread(args, wide, 1);
        let lir = lower::lower_body(&scan.body, &scan.next, &spread, self.target.single);
        let lir = peephole::rewrite(lir, self.target.single);
        let Some((factor, term)) = recurrence(&lir) else {
            return false;
        };
        let n = scan.body.shape(scan.next[0]).count();
        let mut strided = |v: V| -> Option<(Loc, usize)> {
            let node = lir.node(v);
            if node.n != n || (node.wide != wide && !matches!(node.op, Op::Const(_))) {
                return None;
            }
            match &node.op {
                Op::Const(c) if n == 1 && !wide => Some((self.code.data(c), 0)),
                Op::Input(k) if *k as usize > scan.xs => Some((self.value(args[*k as usize]), 0)),
                Op::Input(k) => Some((self.value(args[*k as usize]), carry.count)),
                _ => None,
            }
        };
        let (Some((a, da)), Some((b, db))) = (strided(factor), strided(term)) else {
            return false;
        };
        let c = self.code.params(&[scan.len, carry.count, da, db, scan.reverse as usize]);
        self.push(recur::linear(self.target), carry.first, [a, b, c], 0);
        true
    }
}

/// Factor and term of a body that computes `factor * carry + term` from its first input.
fn recurrence(lir: &Lir) -> Option<(V, V)> {
    let node = lir.node(lir.outputs[0]);
    let carry = |v: V| matches!(lir.node(v).op, Op::Input(0));
    let Op::Map(Map::Joined(Joined::MulAdd)) = node.op else {
        return None;
    };
    let (x, y, z) = (node.args[0], node.args[1], node.args[2]);
    let factor = match (carry(x), carry(y)) {
        (true, false) => y,
        (false, true) => x,
        _ => return None,
    };
    (!carry(z)).then_some((factor, z))
}

/// Rows of `count` doubles from `at`, in the order of the steps.
fn moving(at: Loc, count: usize, scan: &Scan) -> Loc {
    if scan.reverse {
        let last = scan.len.saturating_sub(1) * count;
        at.plus(last).stepping(-(count as isize))
    } else {
        at.stepping(count as isize)
    }
}

/// A place moved by `doubles`, no longer moving.
fn at_step(at: Loc, doubles: isize) -> Loc {
    Loc { off: (at.off as isize + doubles) as usize, step: 0, ..at }
}
