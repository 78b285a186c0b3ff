//! Carries that need no loop of their own body: known ones, totals, and affine recurrences.

use super::affine::Affine;
use super::body::Body;
use super::split::Split;
use crate::graph::Graph;
use crate::graph::op::{Binary, Op, Ternary, Var};
use crate::graph::shape::{Index, Shape};
use crate::graph::vmap::{self, Value, stacked};

impl Split<'_> {
    /// A carry that stays what it is, or that is set to something known.
    pub fn known_carry(&mut self, k: usize) -> bool {
        let (next, carry, init) = (self.scan.next[k], self.carry(k), self.args[k]);
        if next == carry {
            self.set_carry(k, Value::fixed(init), init);
            return true;
        }
        let Some(value) = self.value(next) else {
            return false;
        };
        let len = self.scan.len;
        let shape = self.g.shape(init);
        let stack = value.full(self.g, len);
        let m = shape.count();
        let part = |g: &mut Graph, from: usize, steps: usize, shape: Shape| {
            let index = Index::Stride { start: from * m, stride: 1, len: steps * m };
            g.gather(stack, index, shape)
        };
        let rest = stacked(shape, len - 1);
        let (trace, last) = if self.scan.reverse {
            let later = part(self.g, 1, len - 1, rest);
            ([later, init], part(self.g, 0, 1, shape))
        } else {
            let earlier = part(self.g, 0, len - 1, rest);
            ([init, earlier], part(self.g, len - 1, 1, shape))
        };
        let trace = self.g.concat(&trace, stacked(shape, len));
        let last = if value.stacked { last } else { value.var };
        self.set_carry(k, Value::stack(trace), last);
        true
    }

    pub fn set_carry(&mut self, k: usize, trace: Value, last: Var) {
        let carry = self.carry(k).index();
        self.values[carry] = Some(trace);
        self.finals[k] = Some(last);
    }

    /// Whether anything but the k-th carry itself reads its course.
    pub fn is_traced(&self, k: usize) -> bool {
        let others = self.open_carries().into_iter().filter(|j| *j != k);
        let roots = others.map(|j| self.scan.next[j]);
        let open = self.open(roots.chain(self.scan.ys.iter().copied()));
        self.used[self.finals.len() + k] || open[self.carry(k).index()]
    }

    /// A carry that only adds up, and of which only the total is read.
    pub fn emit_total(&mut self, k: usize, addend: Value) {
        let (init, len) = (self.args[k], self.scan.len);
        let shape = self.g.shape(init);
        let step = addend.step_shape(self.g);
        let sum = vmap::sum_steps(self.g, addend, step, len);
        let last = self.g.add(init, sum);
        let last = self.g.fill_to(last, shape);
        self.set_carry(k, Value::fixed(init), last);
    }

    pub fn emit_affine(&mut self, k: usize, Affine { a, b, zeroing }: Affine) {
        let mut body = Body::new(self.g, self.args);
        let carry = body.carry(self.g, self.args[k]);
        let ins = body.reads(self.g, &[a, b]);
        let next = if zeroing {
            let p = body.graph.binary(Binary::MulZero, carry, ins[0]);
            body.graph.push(Op::Binary(Binary::Add), vec![p, ins[1]], body.graph.shape(p))
        } else {
            body.graph.ternary(Ternary::Fma, ins[0], carry, ins[1])
        };
        let at = body.finish(self.g, self.scan, vec![next], vec![]);
        let (last, trace) = (self.g.proj(at, 0), self.g.proj(at, 1));
        self.set_carry(k, Value::stack(trace), last);
    }
}
