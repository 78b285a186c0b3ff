//! Emission of elementwise operations and dot products outside loops.

use super::code::{Base, Loc};
use super::emit::Emitter;
use super::kernels::arith::{Extent, extent};
use super::kernels::{fold, function};
use super::lir::{Map, Op, V};
use super::reading::{Kind, Reading, is_arithmetic, map_kernel};
use crate::graph::op::{Binary, Unary};

impl Emitter<'_> {
    pub fn dot(&mut self, v: V) {
        let (x, y) = (self.lir.node(v).args[0], self.lir.node(v).args[1]);
        let (a, b) = (self.value(x), self.value(y));
        if self.width(v) == 1 {
            let d = self.dest(v);
            self.push(fold::dot(self.target), d, [a, b, a], self.lir.node(x).n);
            return;
        }
        let count = self.count(x);
        let product = self.code.buffer(count);
        let mul = map_kernel(Map::Binary(Binary::Mul), self.target, extent(count), 0);
        self.push(mul, product, [a, b, a], count);
        self.sum(v, product, self.lir.node(x).n);
    }

    pub fn map(&mut self, v: V, map: Map) {
        let node = self.lir.node(v);
        let (n, wide) = (node.n, node.wide);
        let mut reading = Reading::default();
        let mut places = [None; 3];
        for (k, &a) in node.args.iter().enumerate() {
            let kind = self.kind(a, n, wide);
            places[k] = Some(match kind {
                Kind::Row | Kind::Moving if !is_arithmetic(map) => {
                    reading.add(k, Kind::Vector);
                    self.full(a, n, wide)
                }
                _ => {
                    reading.add(k, kind);
                    self.value(a)
                }
            });
        }
        let a = places[0].expect("elementwise nodes have arguments");
        let mut operands = [a, places[1].unwrap_or(a), places[2].unwrap_or(a)];
        let d = self.dest(v);
        if let Some(second) = self.twin(v, map) {
            self.done[second.at()] = true;
            operands[2] = self.dest(second);
            let count = self.count(v);
            self.push(function::softplus_sigmoid(self.target), d, operands, count);
            return;
        }
        let (extent, mut count) = reading.count(n, self.width(v));
        if extent == Extent::Many {
            count = self.padded(v, &operands);
        }
        let kernel = map_kernel(map, self.target, extent, reading.scalars);
        self.push(kernel, d, operands, count);
    }

    /// Where `v` is the softplus of a number: the node of its sigmoid, if that is still to be computed.
    pub fn twin(&self, v: V, map: Map) -> Option<V> {
        if map != Map::Unary(Unary::Softplus) {
            return None;
        }
        let a = self.lir.node(v).args[0];
        self.readers[a.at()].iter().copied().find(|r| {
            matches!(self.lir.node(*r).op, Op::Map(Map::Unary(Unary::Sigmoid)))
                && !self.done[r.at()]
                && self.loc[r.at()].is_none()
        })
    }

    /// Numbers to compute for `v`: up to whole vectors where nothing else is behind it.
    pub fn padded(&self, v: V, operands: &[Loc]) -> usize {
        let count = self.count(v);
        let inside = |l: &Loc| matches!(l.base, Base::Buffer(_) | Base::Pool);
        if count > 1 && self.own[v.at()] && operands.iter().all(inside) {
            count.next_multiple_of(self.target.vector())
        } else {
            count
        }
    }
}
