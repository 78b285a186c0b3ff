//! Recurrences that are affine in their only carry.

use std::collections::HashMap;

use super::split::Split;
use crate::graph::op::{Binary, Node, Op, Ternary, Unary, Var};
use crate::graph::shape::Shape;
use crate::graph::vmap::{self, Value};

/// `next = a c + b`, elementwise, with `a` and `b` known outside the loop.
pub(super) struct Affine {
    pub a: Value,
    pub b: Value,
    /// A carry of 0 wins over an `a` that is inf or NaN.
    pub zeroing: bool,
}

/// A value `slope * carry + rest`; nothing stands for 0.
#[derive(Clone, Copy)]
struct Form {
    slope: Option<Value>,
    rest: Option<Value>,
}

impl Affine {
    /// The recurrence of the k-th carry, where it has this form.
    pub fn of_carry(split: &mut Split, k: usize) -> Option<Affine> {
        let (carry, next) = (split.carry(k), split.scan.next[k]);
        let shape = split.scan.body.shape(carry);
        let one = Value::fixed(split.g.scalar(1.0));
        let mut forms = HashMap::from([(carry, Form { slope: Some(one), rest: None })]);
        let mut reader = Forms { split: &mut *split, shape, zeroing: false };
        let form = reader.of(next, &mut forms)?;
        let zeroing = reader.zeroing;
        let zero = Value::fixed(split.g.scalar(0.0));
        Some(Affine { a: form.slope.unwrap_or(zero), b: form.rest.unwrap_or(zero), zeroing })
    }
}

struct Forms<'s, 'a> {
    split: &'s mut Split<'a>,
    shape: Shape,
    zeroing: bool,
}

impl Forms<'_, '_> {
    fn of(&mut self, v: Var, known: &mut HashMap<Var, Form>) -> Option<Form> {
        if let Some(value) = self.split.value(v) {
            return Some(Form { slope: None, rest: Some(value) });
        }
        if let Some(form) = known.get(&v) {
            return Some(*form);
        }
        let node = self.split.scan.body.node(v);
        if node.shape != self.shape || !is_candidate(&node.op) {
            return None;
        }
        let args: Option<Vec<Form>> = node.args.iter().map(|a| self.of(*a, known)).collect();
        let kept = self.split.g.origin();
        self.split.g.set_origin(node.origin);
        let form = self.combine(node, &args?);
        self.split.g.set_origin(kept);
        known.insert(v, form?);
        form
    }

    fn combine(&mut self, node: &Node, args: &[Form]) -> Option<Form> {
        let a = args[0];
        match node.op {
            Op::Unary(Unary::Neg) => Some(Form { slope: self.neg(a.slope), rest: self.neg(a.rest) }),
            Op::Binary(Binary::Add) => Some(self.add(a, args[1])),
            Op::Binary(Binary::Sub) => {
                let b = Form { slope: self.neg(args[1].slope), rest: self.neg(args[1].rest) };
                Some(self.add(a, b))
            }
            Op::Binary(Binary::Mul) => self.product(Binary::Mul, a, args[1]),
            Op::Binary(Binary::Div) if args[1].slope.is_none() => self.product(Binary::Div, a, args[1]),
            Op::Binary(Binary::MulZero) if args[1].slope.is_none() => {
                self.zeroing |= a.slope.is_some();
                self.product(Binary::MulZero, a, args[1])
            }
            Op::Ternary(Ternary::Fma) => {
                let p = self.product(Binary::Mul, a, args[1])?;
                Some(self.add(p, args[2]))
            }
            Op::Ternary(Ternary::Select) if a.slope.is_none() => {
                let cond = a.rest?;
                Some(Form {
                    slope: self.select(cond, args[1].slope, args[2].slope),
                    rest: self.select(cond, args[1].rest, args[2].rest),
                })
            }
            Op::ScaleGrad | Op::StopGradient => Some(a),
            _ => None,
        }
    }

    fn elementwise(&mut self, op: Op, args: &[Value]) -> Value {
        let full = args.iter().map(|a| a.step_shape(self.split.g)).find(|s| !s.is_scalar());
        let shape = full.unwrap_or(Shape::SCALAR);
        vmap::apply(self.split.g, &op, shape, args, self.split.scan.len)
            .expect("elementwise operations have a form on stacks")
    }

    fn neg(&mut self, a: Option<Value>) -> Option<Value> {
        a.map(|a| self.elementwise(Op::Unary(Unary::Neg), &[a]))
    }

    fn plus(&mut self, a: Option<Value>, b: Option<Value>) -> Option<Value> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.elementwise(Op::Binary(Binary::Add), &[a, b])),
            _ => a.or(b),
        }
    }

    fn add(&mut self, a: Form, b: Form) -> Form {
        Form { slope: self.plus(a.slope, b.slope), rest: self.plus(a.rest, b.rest) }
    }

    /// Product (or quotient, by a known divisor) of which one factor is known.
    fn product(&mut self, op: Binary, a: Form, b: Form) -> Option<Form> {
        let (a, b) = match (a.slope, b.slope) {
            (Some(_), Some(_)) => return None,
            (None, Some(_)) => (b, a),
            _ => (a, b),
        };
        let by = b.rest?;
        let one = |x: &Value, s: &Split| s.g.constant_scalar(x.var) == Some(1.0);
        let slope = match a.slope {
            Some(x) if op != Binary::Div && one(&x, self.split) => Some(by),
            x => x.map(|x| self.elementwise(Op::Binary(op), &[x, by])),
        };
        let rest = a.rest.map(|x| self.elementwise(Op::Binary(op), &[x, by]));
        Some(Form { slope, rest })
    }

    fn select(&mut self, cond: Value, a: Option<Value>, b: Option<Value>) -> Option<Value> {
        if a.is_none() && b.is_none() {
            return None;
        }
        let zero = Value::fixed(self.split.g.scalar(0.0));
        let (a, b) = (a.unwrap_or(zero), b.unwrap_or(zero));
        Some(self.elementwise(Op::Ternary(Ternary::Select), &[cond, a, b]))
    }
}

fn is_candidate(op: &Op) -> bool {
    matches!(
        op,
        Op::Unary(Unary::Neg)
            | Op::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::MulZero | Binary::Div)
            | Op::Ternary(Ternary::Fma | Ternary::Select)
            | Op::ScaleGrad
            | Op::StopGradient
    )
}
