//! Rewrites of the executor's form: arrays put together in place, after operations are joined.

use super::algebra;
use super::join;
use super::lir::{Lir, Map, Op, V};
use crate::graph::op::Binary;
use crate::graph::shape::Index;

/// All rewrites, in order; `single` says for which precision.
pub(super) fn rewrite(mut lir: Lir, single: bool) -> Lir {
    algebra::simplify(&mut lir, single);
    gather_sums(&mut lir);
    join::join(&mut lir);
    let mut lir = lir.prune();
    place_deposits(&mut lir);
    lir
}

fn binary(lir: &Lir, v: V) -> Option<(Binary, V, V)> {
    let node = lir.node(v);
    match node.op {
        Op::Map(Map::Binary(b)) => Some((b, node.args[0], node.args[1])),
        _ => None,
    }
}

/// A sum with an array put together from deposits becomes one such array: nothing is added twice.
fn gather_sums(lir: &mut Lir) {
    let uses = lir.uses();
    for i in 0..lir.nodes.len() {
        let v = V(i as u32);
        let Some((Binary::Add, a, b)) = binary(lir, v) else {
            continue;
        };
        let whole = |x: V| {
            let x = lir.node(x);
            x.n == lir.nodes[i].n && x.wide == lir.nodes[i].wide
        };
        let own = |x: V| matches!(lir.node(x).op, Op::Assemble { .. }) && uses[x.at()] == 1 && whole(x);
        let base_of = |x: V| match lir.node(x).op {
            Op::Assemble { base: true } => Some(lir.node(x).args[0]),
            _ => None,
        };
        let (base, args) = match (own(a), own(b)) {
            (true, true) => match (base_of(a), base_of(b)) {
                (Some(_), Some(_)) => continue,
                (x, y) => (x.or(y), [lir.node(a).args.clone(), lir.node(b).args.clone()].concat()),
            },
            (true, false) if whole(b) && base_of(a).is_none() => (Some(b), lir.node(a).args.clone()),
            (false, true) if whole(a) && base_of(b).is_none() => (Some(a), lir.node(b).args.clone()),
            _ => continue,
        };
        let deposits: Vec<V> = args.into_iter().filter(|x| Some(*x) != base).collect();
        // The deposits must be later in the list than the base they are added to.
        if let Some(base) = base
            && deposits.iter().any(|d| d.at() < base.at())
        {
            continue;
        }
        for d in &deposits {
            lir.nodes[d.at()].args.truncate(1);
            lir.nodes[d.at()].args.extend(base);
        }
        let node = &mut lir.nodes[i];
        node.op = Op::Assemble { base: base.is_some() };
        node.args = base.into_iter().chain(deposits).collect();
    }
}

/// Positions that a deposit touches: from the first to behind the last.
pub(super) fn range(index: &Index) -> (usize, usize) {
    let n = index.len();
    let end = |last: usize| (0, last + 1);
    match index {
        _ if n == 0 => (0, 0),
        Index::Stride { start, .. } => {
            let last = index.at(n - 1);
            (*start.min(&last), *start.max(&last) + 1)
        }
        Index::Repeat { .. } => end(index.at(n - 1)),
        Index::Tile { period, .. } => end(period.min(&n) - 1),
        Index::Table(t) => t.iter().fold((usize::MAX, 0), |(lo, hi), &x| (lo.min(x as usize), hi.max(x as usize + 1))),
    }
}

/// Deposits of a contiguous piece that nothing else touches store instead of adding.
fn place_deposits(lir: &mut Lir) {
    for i in 0..lir.nodes.len() {
        let Op::Assemble { base } = lir.nodes[i].op else {
            continue;
        };
        let (args, wide) = (lir.nodes[i].args.clone(), lir.nodes[i].wide);
        for d in &args[base as usize..] {
            lir.nodes[d.at()].wide = wide;
        }
        if base {
            continue;
        }
        let mut ranges: Vec<(usize, usize, V)> = args
            .iter()
            .filter_map(|&d| match &lir.node(d).op {
                Op::Deposit { index, .. } => {
                    let (lo, hi) = range(index);
                    Some((lo, hi, d))
                }
                _ => None,
            })
            .collect();
        ranges.sort_by_key(|r| r.0);
        let mut reach = 0;
        for k in 0..ranges.len() {
            let (lo, hi, d) = ranges[k];
            let free = lo >= reach && ranges.get(k + 1).is_none_or(|next| next.0 >= hi);
            reach = reach.max(hi);
            if let Op::Deposit { index, add } = &mut lir.nodes[d.at()].op
                && matches!(index, Index::Stride { stride: 1, .. } | Index::Stride { len: 1, .. })
            {
                *add = !free;
            }
        }
    }
}
