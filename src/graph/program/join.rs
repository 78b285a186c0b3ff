//! Two arithmetic operations in one pass where nothing else reads what is between them.

use super::kernels::arith::Joined;
use super::lir::{Lir, Map, Op, V};
use crate::graph::op::{Binary, Unary};

/// Arithmetic that can be joined.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Add(V, V),
    Sub(V, V),
    Mul(V, V),
    Square(V),
}

fn part(lir: &Lir, v: V) -> Option<Part> {
    let node = lir.node(v);
    Some(match node.op {
        Op::Map(Map::Binary(Binary::Add)) => Part::Add(node.args[0], node.args[1]),
        Op::Map(Map::Binary(Binary::Sub)) => Part::Sub(node.args[0], node.args[1]),
        Op::Map(Map::Binary(Binary::Mul)) => Part::Mul(node.args[0], node.args[1]),
        Op::Map(Map::Unary(Unary::Square)) => Part::Square(node.args[0]),
        _ => return None,
    })
}

struct Join<'a> {
    lir: &'a mut Lir,
    uses: Vec<u32>,
    /// The reader of what is read once.
    reader: Vec<V>,
}

/// Joins what can be, and makes sums of products into one operation.
pub(super) fn join(lir: &mut Lir) {
    let uses = lir.uses();
    let mut reader = vec![V(u32::MAX); lir.nodes.len()];
    for (i, node) in lir.nodes.iter().enumerate() {
        for a in &node.args {
            reader[a.at()] = V(i as u32);
        }
    }
    let join = Join { lir, uses, reader };
    for i in 0..join.lir.nodes.len() {
        let v = V(i as u32);
        let found = match join.lir.nodes[i].op {
            Op::Sum => join.sum(v),
            _ => join.map(v),
        };
        if let Some((op, args)) = found {
            join.lir.nodes[i].op = op;
            join.lir.nodes[i].args = args;
        }
    }
}

impl Join<'_> {
    /// What computes `x` alone for a reader like `v`.
    fn inner(&self, x: V, v: V) -> Option<Part> {
        let (node, outer) = (self.lir.node(x), self.lir.node(v));
        let alike = node.n == outer.n && node.wide == outer.wide;
        if self.uses[x.at()] != 1 || !alike {
            return None;
        }
        part(self.lir, x)
    }

    /// A product that its one reader will take into a sum.
    fn promised(&self, v: V) -> bool {
        if self.uses[v.at()] != 1 {
            return false;
        }
        let reader = self.reader[v.at()];
        if reader.at() >= self.lir.nodes.len() {
            return false;
        }
        let (node, next) = (self.lir.node(v), self.lir.node(reader));
        match next.op {
            Op::Sum => true,
            Op::Map(Map::Binary(Binary::Add | Binary::Sub)) => node.n == next.n && node.wide == next.wide,
            _ => false,
        }
    }

    fn sum(&self, v: V) -> Option<(Op, Vec<V>)> {
        let a = self.lir.node(v).args[0];
        let node = self.lir.node(a);
        let whole = |x: V| self.lir.node(x).n == node.n && self.lir.node(x).wide == node.wide;
        if self.uses[a.at()] != 1 {
            return None;
        }
        match part(self.lir, a)? {
            Part::Mul(x, y) if whole(x) && whole(y) => Some((Op::Dot, vec![x, y])),
            Part::Square(x) => Some((Op::Dot, vec![x, x])),
            _ => None,
        }
    }

    fn map(&self, v: V) -> Option<(Op, Vec<V>)> {
        let (joined, args) = match part(self.lir, v)? {
            Part::Add(a, b) => {
                let (ia, ib) = (self.inner(a, v), self.inner(b, v));
                match (ia, ib) {
                    (Some(p @ (Part::Mul(..) | Part::Square(_))), _) => added(p, b),
                    (_, Some(p)) => added(p, a),
                    (Some(p), _) => added(p, b),
                    _ => return None,
                }
            }
            Part::Sub(a, b) => {
                let (ia, ib) = (self.inner(a, v), self.inner(b, v));
                match (ia, ib) {
                    (_, Some(p @ (Part::Mul(..) | Part::Square(_)))) => less(p, a),
                    (Some(p), _) => reduced(p, b),
                    (_, Some(p)) => less(p, a),
                    _ => return None,
                }
            }
            Part::Mul(..) | Part::Square(_) if self.promised(v) => return None,
            Part::Mul(a, b) => match (self.inner(a, v), self.inner(b, v)) {
                (Some(p), _) => times(p, b),
                (_, Some(p)) => times(p, a),
                _ => return None,
            },
            Part::Square(a) => match self.inner(a, v)? {
                Part::Sub(x, y) => (Joined::SubSquare, vec![x, y]),
                Part::Mul(x, y) => (Joined::MulSquare, vec![x, y]),
                _ => return None,
            },
        };
        Some((Op::Map(Map::Joined(joined)), args))
    }
}

/// p + c
fn added(p: Part, c: V) -> (Joined, Vec<V>) {
    match p {
        Part::Add(a, b) => (Joined::AddAdd, vec![a, b, c]),
        Part::Sub(a, b) => (Joined::SubAdd, vec![a, b, c]),
        Part::Mul(a, b) => (Joined::MulAdd, vec![a, b, c]),
        Part::Square(a) => (Joined::SquareAdd, vec![a, a, c]),
    }
}

/// p - c
fn reduced(p: Part, c: V) -> (Joined, Vec<V>) {
    match p {
        Part::Add(a, b) => (Joined::AddSub, vec![a, b, c]),
        Part::Sub(a, b) => (Joined::SubSub, vec![a, b, c]),
        Part::Mul(a, b) => (Joined::MulSub, vec![a, b, c]),
        Part::Square(a) => (Joined::MulSub, vec![a, a, c]),
    }
}

/// c - p
fn less(p: Part, c: V) -> (Joined, Vec<V>) {
    match p {
        Part::Add(a, b) => (Joined::LessAdd, vec![a, b, c]),
        Part::Sub(a, b) => (Joined::LessSub, vec![a, b, c]),
        Part::Mul(a, b) => (Joined::NegMulAdd, vec![a, b, c]),
        Part::Square(a) => (Joined::NegMulAdd, vec![a, a, c]),
    }
}

/// p * c
fn times(p: Part, c: V) -> (Joined, Vec<V>) {
    match p {
        Part::Add(a, b) => (Joined::AddMul, vec![a, b, c]),
        Part::Sub(a, b) => (Joined::SubMul, vec![a, b, c]),
        Part::Mul(a, b) => (Joined::MulMul, vec![a, b, c]),
        Part::Square(a) => (Joined::SquareMul, vec![a, a, c]),
    }
}
