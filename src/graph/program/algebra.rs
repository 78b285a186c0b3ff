//! Rewrites by algebra, before operations are joined: divisions by data become products, signs move to
//! scalars, products with data matrices become parts of loops.

use std::sync::Arc;

use super::lir::{Lir, Map, Node, Op, Product, V};
use crate::graph::op::{Binary, Fold, Unary};
use crate::graph::shape::Index;

/// All rewrites; `single` says for which precision.
pub(super) fn simplify(lir: &mut Lir, single: bool) {
    let uses = lir.uses();
    let mut out = Lir::default();
    let mut place: Vec<V> = Vec::with_capacity(lir.nodes.len());
    // How often each new node will be read.
    let mut readers: Vec<u32> = vec![];
    for (i, mut node) in std::mem::take(&mut lir.nodes).into_iter().enumerate() {
        for a in &mut node.args {
            *a = place[a.at()];
        }
        let once = |v: V| readers.get(v.at()) == Some(&1);
        match &node.op {
            Op::Map(Map::Binary(Binary::Div)) => {
                if let Some(r) = reciprocal(&mut out, node.args[1], single) {
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
                if let Some(op) = data_product(&out, &node.args, p) {
                    node.args.remove(0);
                    node.op = op;
                }
            }
            Op::Assemble { .. } | Op::Fold { .. } => {
                if let Some((op, v)) = written_out_product(&out, &node, &once) {
                    node.op = op;
                    node.args = vec![v];
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
    *lir = out.prune();
}

/// The inverses of data that have some.
fn reciprocal(out: &mut Lir, v: V, single: bool) -> Option<V> {
    let Op::Const(c) = &out.node(v).op else {
        return None;
    };
    let inverse: Vec<f64> = c.iter().map(|x| 1.0 / x).collect();
    let normal = |x: &f64| x.is_normal() && (!single || (*x as f32).is_normal());
    if !inverse.iter().all(normal) {
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

/// Rows of a data matrix from which it is stored in tiles.
const ROWS: usize = 8;

/// A data matrix times a vector, or its transpose times one.
fn data_product(out: &Lir, args: &[V], p: &Product) -> Option<Op> {
    let Op::Const(x) = &out.node(args[0]).op else {
        return None;
    };
    let (rows, columns) = if p.ta { (p.k, p.m) } else { (p.m, p.k) };
    if p.batch != 1 || p.n != 1 || x.len() != rows * columns || rows < ROWS {
        return None;
    }
    let data = x.clone();
    Some(if p.ta { Op::DataColumns { data, columns } } else { Op::DataRows { data, columns } })
}

/// The same written out: sums over rows or columns of data times a vector repeated over the other axis.
fn written_out_product(out: &Lir, node: &Node, once: &impl Fn(V) -> bool) -> Option<(Op, V)> {
    let (source, across) = match node.op {
        Op::Assemble { base: false } if node.args.len() == 1 => {
            let deposit = out.node(node.args[0]);
            let Op::Deposit { index, .. } = &deposit.op else {
                return None;
            };
            let across = match index {
                Index::Repeat { each, .. } => Sum::OfRows(*each),
                Index::Tile { period, .. } => Sum::OfColumns(*period),
                _ => return None,
            };
            (deposit.args[0], across)
        }
        Op::Fold { fold: Fold::Sum, n, inner: 1, .. } => (node.args[0], Sum::OfRows(n)),
        Op::Fold { fold: Fold::Sum, outer: 1, inner, .. } => (node.args[0], Sum::OfColumns(inner)),
        _ => return None,
    };
    let product = out.node(source);
    let (Op::Map(Map::Binary(Binary::Mul)), true) = (&product.op, once(source)) else {
        return None;
    };
    let [a, b] = product.args[..] else { return None };
    let (data, repeated) = match (&out.node(a).op, &out.node(b).op) {
        (Op::Const(c), Op::Gather(_)) if c.len() == product.n => (c.clone(), b),
        (Op::Gather(_), Op::Const(c)) if c.len() == product.n => (c.clone(), a),
        _ => return None,
    };
    let Op::Gather(index) = &out.node(repeated).op else {
        return None;
    };
    let vector = out.node(repeated).args[0];
    let n = out.node(vector).n;
    match (across, index) {
        (Sum::OfRows(columns), Index::Tile { period, .. })
            if *period == columns && n == columns && product.n >= ROWS * columns =>
        {
            Some((Op::DataRows { data, columns }, vector))
        }
        (Sum::OfColumns(columns), Index::Repeat { each, .. })
            if *each == columns && n * columns == product.n && n >= ROWS =>
        {
            Some((Op::DataColumns { data, columns }, vector))
        }
        _ => None,
    }
}

/// What is summed, and the number of columns.
enum Sum {
    OfRows(usize),
    OfColumns(usize),
}
