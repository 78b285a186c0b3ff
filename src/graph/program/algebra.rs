//! Rewrites by algebra, before operations are joined: divisions by data become products, signs move to
//! scalars, products with data matrices become parts of loops.

use std::sync::Arc;

use super::lir::{Lir, Map, Op, Product, V};
use super::lower::SMALL;
use crate::graph::op::{Binary, Unary};

/// All rewrites; `lanes` is the number of lanes of wide values.
pub(super) fn simplify(lir: &mut Lir, lanes: usize) {
    let uses = lir.uses();
    let mut out = Lir::default();
    let mut place: Vec<V> = Vec::with_capacity(lir.nodes.len());
    // How often each new node will be read.
    let mut readers: Vec<u32> = vec![];
    for (i, mut node) in std::mem::take(&mut lir.nodes).into_iter().enumerate() {
        for a in &mut node.args {
            *a = place[a.at()];
        }
        let once = |v: V| place.iter().position(|p| *p == v).is_some_and(|k| uses[k] == 1);
        match &node.op {
            Op::Map(Map::Binary(Binary::Div)) => {
                if let Some(r) = reciprocal(&mut out, node.args[1]) {
                    node.op = Op::Map(Map::Binary(Binary::Mul));
                    node.args[1] = r;
                }
            }
            Op::Map(Map::Unary(Unary::Neg)) => {
                if let Some((x, s)) = scaled(&out, node.args[0], &once) {
                    let s = negated(&mut out, s);
                    node.op = Op::Map(Map::Binary(Binary::Mul));
                    node.args = vec![x, s];
                }
            }
            Op::MatMul(p) => {
                if let Some(op) = data_product(&out, &node.args, p, lanes) {
                    node.args.remove(0);
                    node.op = op;
                }
            }
            _ => {}
        }
        let wide = node.wide;
        let v = out.push(node.op, node.args, node.n);
        out.nodes[v.at()].wide = wide;
        readers.resize(v.at(), 0);
        readers.push(uses[i]);
        place.push(v);
    }
    out.outputs = lir.outputs.iter().map(|v| place[v.at()]).collect();
    *lir = out;
}

/// The inverses of data that have some.
fn reciprocal(out: &mut Lir, v: V) -> Option<V> {
    let Op::Const(c) = &out.node(v).op else {
        return None;
    };
    let inverse: Vec<f64> = c.iter().map(|x| 1.0 / x).collect();
    if !inverse.iter().all(|x| x.is_normal()) {
        return None;
    }
    let n = inverse.len();
    Some(out.push(Op::Const(Arc::from(inverse)), vec![], n))
}

/// An array times a scalar that nothing else reads.
fn scaled(out: &Lir, v: V, once: &impl Fn(V) -> bool) -> Option<(V, V)> {
    let node = out.node(v);
    let Op::Map(Map::Binary(Binary::Mul)) = node.op else {
        return None;
    };
    let (a, b) = (node.args[0], node.args[1]);
    let scalar = |x: V| out.node(x).n == 1 && node.n != 1;
    match (scalar(a), scalar(b)) {
        (true, false) if once(v) => Some((b, a)),
        (false, true) if once(v) => Some((a, b)),
        _ => None,
    }
}

fn negated(out: &mut Lir, v: V) -> V {
    match &out.node(v).op {
        Op::Const(c) => {
            let c = Arc::from(vec![-c[0]]);
            out.push(Op::Const(c), vec![], 1)
        }
        Op::Map(Map::Unary(Unary::Neg)) => out.node(v).args[0],
        _ => out.push(Op::Map(Map::Unary(Unary::Neg)), vec![v], 1),
    }
}

/// A data matrix times a vector, or its transpose times one, over many rows.
fn data_product(out: &Lir, args: &[V], p: &Product, lanes: usize) -> Option<Op> {
    let Op::Const(x) = &out.node(args[0]).op else {
        return None;
    };
    let (rows, columns) = if p.ta { (p.k, p.m) } else { (p.m, p.k) };
    let width = if out.node(args[1]).wide { lanes } else { 1 };
    if p.batch != 1 || p.n != 1 || x.len() != rows * columns || rows * width <= SMALL {
        return None;
    }
    let data = x.clone();
    Some(if p.ta { Op::DataColumns { data, columns } } else { Op::DataRows { data, columns } })
}
