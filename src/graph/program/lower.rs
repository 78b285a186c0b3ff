//! From a graph to the executor's form: constants evaluated, repeated scalars kept scalar.

use std::collections::HashMap;
use std::sync::Arc;

use super::kernels::arith::Joined;
use super::lir::{Lir, Map, Node, Op, Product, Square, V};
use crate::graph::eval::evaluate;
use crate::graph::op::{self, Binary, Fold, Spread, Ternary, Unary, Var};
use crate::graph::shape::Index;
use crate::graph::{Graph, prune};

/// Reductions above this many elements are done inside loops, as deposits.
pub(super) const SMALL: usize = 256;

/// Value of a graph node: an array, or a scalar that stands for an array of equal elements.
#[derive(Clone, Copy)]
struct Rep {
    v: V,
    repeated: bool,
}

struct Lowering<'a> {
    g: &'a Graph,
    /// Whether each input has lanes.
    wide: Vec<bool>,
    /// For single precision.
    single: bool,
    out: Lir,
    reps: Vec<Option<Rep>>,
    /// Values of what depends on constants alone.
    known: Vec<Option<Arc<[f64]>>>,
    /// Distances of logs, and functions of them.
    distances: HashMap<(V, V, Option<Unary>), V>,
}

/// The part of `g` that `outputs` need, for `lanes` lanes.
pub(super) fn lower(g: &Graph, outputs: &[Var], lanes: usize, single: bool) -> Lir {
    let wide: Vec<bool> = g.inputs().iter().map(|i| lanes > 1 && g.node(i.var).spread != Spread::Shared).collect();
    lower_body(g, outputs, &wide, single)
}

/// The part of a loop's body that `outputs` need; `wide` says which inputs have lanes.
pub(super) fn lower_body(g: &Graph, outputs: &[Var], wide: &[bool], single: bool) -> Lir {
    let needed = prune::needed(g, outputs);
    let (constant, known) = constants(g, &needed, outputs);
    let reps = vec![None; g.nodes().len()];
    let mut low =
        Lowering { g, wide: wide.to_vec(), single, out: Lir::default(), reps, known, distances: HashMap::new() };
    for i in 0..g.nodes().len() {
        let v = Var(i as u32);
        if !needed[i] {
            continue;
        }
        if let Some(data) = low.known[i].take() {
            let rep = low.constant(data);
            low.reps[i] = Some(rep);
        } else if !constant[i] {
            let rep = low.node(v);
            low.reps[i] = Some(rep);
        }
    }
    let full = outputs.iter().map(|v| low.full(*v)).collect();
    low.out.outputs = full;
    low.out
}

/// Which nodes depend on constants alone, and the values of those of them that something else reads.
#[allow(clippy::type_complexity)]
fn constants(g: &Graph, needed: &[bool], outputs: &[Var]) -> (Vec<bool>, Vec<Option<Arc<[f64]>>>) {
    let nodes = g.nodes();
    let mut constant = vec![false; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        let input = matches!(node.op, op::Op::Input(_));
        constant[i] = !input && node.args.iter().all(|a| constant[a.index()]);
    }
    let mut read = vec![false; nodes.len()];
    for v in outputs {
        read[v.index()] = true;
    }
    for (i, node) in nodes.iter().enumerate() {
        if needed[i] && !constant[i] {
            for a in &node.args {
                read[a.index()] = true;
            }
        }
    }
    let mut known: Vec<Option<Arc<[f64]>>> = vec![None; nodes.len()];
    let mut rest = vec![];
    for i in 0..nodes.len() {
        match &nodes[i].op {
            _ if !(constant[i] && read[i]) => {}
            op::Op::Const(c) => known[i] = Some(c.clone()),
            op::Op::Scan(_) => {}
            _ => rest.push(Var(i as u32)),
        }
    }
    for (v, x) in rest.iter().zip(evaluate(g, &[], &rest)) {
        known[v.index()] = Some(x.into());
    }
    (constant, known)
}

impl Lowering<'_> {
    fn rep(&self, v: Var) -> Rep {
        self.reps[v.index()].expect("arguments come first")
    }

    /// The array `v` with all its elements.
    fn full(&mut self, v: Var) -> V {
        let rep = self.rep(v);
        if rep.repeated {
            let n = self.g.shape(v).count();
            self.out.push(Op::Fill, vec![rep.v], n)
        } else {
            rep.v
        }
    }

    fn constant(&mut self, data: Arc<[f64]>) -> Rep {
        let equal = data.len() > 1 && data.iter().all(|x| x.to_bits() == data[0].to_bits());
        let (data, n) = if equal {
            (Arc::from(vec![data[0]]), 1)
        } else {
            let n = data.len();
            (data, n)
        };
        Rep { v: self.out.push(Op::Const(data), vec![], n), repeated: equal }
    }

    fn number(&mut self, x: f64) -> V {
        self.out.push(Op::Const(Arc::from(vec![x])), vec![], 1)
    }

    fn array(&mut self, op: Op, args: Vec<V>, n: usize) -> Rep {
        Rep { v: self.out.push(op, args, n), repeated: false }
    }

    fn map(&mut self, map: Map, args: Vec<V>, n: usize) -> Rep {
        let scalar = args.iter().all(|a| self.out.node(*a).n == 1);
        let count = if scalar { 1 } else { n };
        Rep { v: self.out.push(Op::Map(map), args, count), repeated: scalar && n != 1 }
    }

    fn node(&mut self, v: Var) -> Rep {
        let node = self.g.node(v);
        let n = node.shape.count();
        let args = &node.args;
        match &node.op {
            op::Op::Input(k) => {
                let wide = self.wide[*k as usize];
                self.out.nodes.push(Node { op: Op::Input(*k), args: vec![], n, wide });
                Rep { v: V(self.out.nodes.len() as u32 - 1), repeated: false }
            }
            op::Op::Const(c) => self.constant(c.clone()),
            op::Op::Unary(u) => self.elementwise(Map::Unary(*u), args, n),
            op::Op::Binary(Binary::LogAddExp) => self.log_of_two(args, Unary::Softplus, Joined::MaxAdd, n),
            op::Op::Binary(Binary::ShareExp) => self.log_of_two(args, Unary::Sigmoid, Joined::LargerOf, n),
            op::Op::Binary(b) => self.elementwise(Map::Binary(*b), args, n),
            op::Op::Ternary(Ternary::Fma) => self.elementwise(Map::Joined(Joined::MulAdd), args, n),
            op::Op::Ternary(t) => self.elementwise(Map::Ternary(*t), args, n),
            op::Op::Reshape | op::Op::StopGradient | op::Op::ScaleGrad => {
                let rep = self.rep(args[0]);
                Rep { repeated: n != 1 && self.out.node(rep.v).n == 1, ..rep }
            }
            op::Op::Gather(index) => self.gather(args[0], index, n),
            op::Op::ScatterAdd(index) => self.scatter_add(args[0], index, n),
            op::Op::Concat => self.concat(args, n),
            op::Op::Fold { fold, outer, n, inner } => self.fold(*fold, args[0], (*outer, *n, *inner)),
            op::Op::CumSum { reverse } => {
                let a = self.full(args[0]);
                let len = node.shape.dims().last().copied().unwrap_or(1);
                let rows = n.checked_div(len).unwrap_or(0);
                let reverse = *reverse;
                self.array(Op::CumSum { rows, len, reverse }, vec![a], n)
            }
            op::Op::MatMul { ta, tb } => self.matmul(args, *ta, *tb, n),
            op::Op::Cholesky => self.square(Square::Cholesky, args, n),
            op::Op::TriSolve { transposed } => self.square(Square::TriSolve(*transposed), args, n),
            op::Op::Solve { transposed } => self.square(Square::Solve(*transposed), args, n),
            op::Op::LogAbsDet => self.square(Square::LogAbsDet, args, n),
            op::Op::Scan(s) => {
                let args = args.iter().map(|a| self.full(*a)).collect();
                self.array(Op::Scan(s.clone()), args, 0)
            }
            op::Op::Proj(k) => {
                let scan = self.rep(args[0]).v;
                self.array(Op::Proj(*k), vec![scan], n)
            }
        }
    }

    fn elementwise(&mut self, map: Map, args: &[Var], n: usize) -> Rep {
        let args = args.iter().map(|a| self.rep(*a).v).collect();
        self.map(map, args, n)
    }

    /// `last(a, b, f(-|a - b|))`; the distance and the functions of it are shared, whatever the order of the two.
    fn log_of_two(&mut self, args: &[Var], f: Unary, last: Joined, n: usize) -> Rep {
        let (a, b) = (self.rep(args[0]).v, self.rep(args[1]).v);
        let scalar = [a, b].iter().all(|x| self.out.node(*x).n == 1);
        let count = if scalar { 1 } else { n };
        let (least, most) = (a.min(b), a.max(b));
        let mut once = |of: Option<Unary>, map: Map, args: Vec<V>| match self.distances.get(&(least, most, of)) {
            Some(known) => *known,
            None => {
                let v = self.out.push(Op::Map(map), args, count);
                self.distances.insert((least, most, of), v);
                v
            }
        };
        let gap = once(None, Map::Joined(Joined::LessDistance), vec![least, most]);
        let small = once(Some(f), Map::Unary(f), vec![gap]);
        self.map(Map::Joined(last), vec![a, b, small], n)
    }

    fn gather(&mut self, a: Var, index: &Index, n: usize) -> Rep {
        let rep = self.rep(a);
        if self.out.node(rep.v).n == 1 {
            return Rep { v: rep.v, repeated: n != 1 };
        }
        match index {
            Index::Stride { start, stride, len } if *stride == 0 || *len == 1 => {
                Rep { v: self.out.push(Op::Slice(*start), vec![rep.v], 1), repeated: n != 1 }
            }
            Index::Stride { start, stride: 1, .. } => self.array(Op::Slice(*start), vec![rep.v], n),
            _ => self.array(Op::Gather(index.clone()), vec![rep.v], n),
        }
    }

    /// An array of `n` zeros into which the sources are added at the positions of their indices.
    fn assemble(&mut self, parts: Vec<(V, Index)>, n: usize) -> Rep {
        let deposits = parts
            .into_iter()
            .map(|(source, index)| self.out.push(Op::Deposit { index, add: true }, vec![source], n))
            .collect();
        self.array(Op::Assemble { base: false }, deposits, n)
    }

    /// Parts of a concatenation that stay together go to their places one by one.
    fn scatter_add(&mut self, a: Var, index: &Index, n: usize) -> Rep {
        let node = self.g.node(a);
        let mut start = 0;
        let place = |p: &Var| {
            let len = self.g.shape(*p).count();
            let table = (start..start + len).map(|j| index.at(j) as u32).collect();
            start += len;
            match Index::from_table(table) {
                run @ Index::Stride { stride: 1, .. } => Some((*p, run)),
                _ => None,
            }
        };
        let placed = match node.op {
            op::Op::Concat => node.args.iter().map(place).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let parts = placed.unwrap_or_else(|| vec![(a, index.clone())]);
        let parts = parts.into_iter().map(|(a, index)| (self.full(a), index)).collect();
        self.assemble(parts, n)
    }

    fn concat(&mut self, args: &[Var], n: usize) -> Rep {
        let mut start = 0;
        let mut parts = vec![];
        for a in args {
            let source = self.full(*a);
            let len = self.out.node(source).n;
            let index = Index::Stride { start, stride: 1, len };
            parts.push((source, index));
            start += len;
        }
        self.assemble(parts, n)
    }

    fn fold(&mut self, fold: Fold, a: Var, (outer, n, inner): (usize, usize, usize)) -> Rep {
        let rep = self.rep(a);
        let count = outer * inner;
        if rep.repeated && n > 0 {
            let v = match fold {
                Fold::Max => rep.v,
                Fold::Sum => {
                    let c = self.number(n as f64);
                    let mul = Op::Map(Map::Binary(Binary::Mul));
                    self.out.push(mul, vec![c, rep.v], 1)
                }
                Fold::LogSumExp => {
                    let c = self.number((n as f64).ln());
                    let add = Op::Map(Map::Binary(Binary::Add));
                    self.out.push(add, vec![c, rep.v], 1)
                }
            };
            return Rep { v, repeated: count != 1 };
        }
        let a = self.full(a);
        match fold {
            Fold::Sum if count == 1 && n > 0 => self.array(Op::Sum, vec![a], 1),
            // Short rows would be summed in single precision as deposits.
            Fold::Sum if outer * n * inner > SMALL && !(self.single && if inner == 1 { n } else { inner } < 8) => {
                let index = sum_index(outer, n, inner);
                self.assemble(vec![(a, index)], count)
            }
            _ => {
                let op = Op::Fold { fold, outer, n, inner };
                self.array(op, vec![a], count)
            }
        }
    }

    fn matmul(&mut self, args: &[Var], ta: bool, tb: bool, n: usize) -> Rep {
        let (sa, sb) = (self.g.shape(args[0]), self.g.shape(args[1]));
        let (da, db) = (sa.dims(), sb.dims());
        let r = da.len();
        let product = Product {
            batch: da[..r - 2].iter().product(),
            m: if ta { da[r - 1] } else { da[r - 2] },
            k: if ta { da[r - 2] } else { da[r - 1] },
            n: if tb { db[r - 2] } else { db[r - 1] },
            ta,
            tb,
        };
        let args = vec![self.full(args[0]), self.full(args[1])];
        self.array(Op::MatMul(product), args, n)
    }

    fn square(&mut self, kind: Square, args: &[Var], n: usize) -> Rep {
        let shape = self.g.shape(args[0]);
        let d = shape.dims();
        let order = d[d.len() - 1];
        let m = args.get(1).map_or(0, |b| {
            let shape = self.g.shape(*b);
            shape.dims().last().copied().unwrap_or(1)
        });
        let op = Op::Square { kind, batch: d[..d.len() - 2].iter().product(), n: order, m };
        let args = args.iter().map(|a| self.full(*a)).collect();
        self.array(op, args, n)
    }
}

/// Where each element of `[outer, n, inner]` goes when the middle axis is summed.
fn sum_index(outer: usize, n: usize, inner: usize) -> Index {
    let len = outer * n * inner;
    if inner == 1 {
        return Index::Repeat { each: n, len };
    }
    if outer == 1 {
        return Index::Tile { period: inner, len };
    }
    let table = (0..len).map(|j| ((j / (n * inner)) * inner + j % inner) as u32);
    Index::Table(table.collect())
}
