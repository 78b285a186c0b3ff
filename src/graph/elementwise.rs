//! Builder of elementwise nodes, with the local simplifications that keep gradients small.

use super::Graph;
use super::op::{Binary, Op, Ternary, Unary, Var};
use super::shape::Shape;

impl Graph {
    /// Shape of an elementwise result: equal shapes, or scalars beside one shape.
    ///
    /// # Panics
    /// On two different non-scalar shapes: producers lift values before they combine them.
    fn joint(&self, args: &[Var]) -> Shape {
        let mut shape = Shape::SCALAR;
        for &a in args {
            let s = self.shape(a);
            if !s.is_scalar() {
                assert!(shape.is_scalar() || shape == s, "elementwise on {shape:?} and {s:?}");
                shape = s;
            }
        }
        shape
    }

    /// Elementwise function of one number.
    pub fn unary(&mut self, op: Unary, a: Var) -> Var {
        let shape = self.shape(a);
        if let Some(x) = self.constant_scalar(a)
            && let Some(y) = fold_unary(op, x)
        {
            return self.filled(y, shape);
        }
        if let Some(v) = self.before_gather(op, a) {
            return v;
        }
        match (op, &self.node(a).op) {
            (Unary::Neg, Op::Unary(Unary::Neg)) | (Unary::Recip, Op::Unary(Unary::Recip)) => self.node(a).args[0],
            (Unary::Log, Op::Unary(Unary::Exp)) => self.node(a).args[0],
            _ => self.push(Op::Unary(op), vec![a], shape),
        }
    }

    /// A function of repeated elements, computed once per element and then repeated.
    fn before_gather(&mut self, op: Unary, a: Var) -> Option<Var> {
        let (shape, node) = (self.shape(a), self.node(a));
        match &node.op {
            Op::Gather(index) => {
                let (index, src) = (index.clone(), node.args[0]);
                let inner = match self.shape(src).count() < shape.count() {
                    true => self.unary(op, src),
                    false => self.before_concat(op, src)?,
                };
                Some(self.gather(inner, index, shape))
            }
            Op::Concat => self.before_concat(op, a),
            _ => None,
        }
    }

    /// A function of parts laid end to end, part by part, where each part is data or repeats elements.
    fn before_concat(&mut self, op: Unary, a: Var) -> Option<Var> {
        let Op::Concat = self.node(a).op else { return None };
        let parts = self.node(a).args.clone();
        let repeats = |p: &Var| match &self.node(*p).op {
            Op::Const(_) => true,
            Op::Gather(_) => self.shape(self.node(*p).args[0]).count() < self.shape(*p).count(),
            _ => false,
        };
        if !parts.iter().all(repeats) {
            return None;
        }
        let parts: Vec<Var> = parts.into_iter().map(|p| self.unary(op, p)).collect();
        let shape = self.shape(a);
        Some(self.concat(&parts, shape))
    }

    /// Elementwise function of two numbers.
    pub fn binary(&mut self, op: Binary, a: Var, b: Var) -> Var {
        let shape = self.joint(&[a, b]);
        let (ca, cb) = (self.constant_scalar(a), self.constant_scalar(b));
        if let (Some(x), Some(y)) = (ca, cb)
            && let Some(z) = fold_binary(op, x, y)
        {
            return self.filled(z, shape);
        }
        match op {
            Binary::Add => self.add_simplified(a, b, ca, cb, shape),
            Binary::Sub => self.sub_simplified(a, b, ca, cb, shape),
            Binary::Mul => self.mul_simplified(a, b, ca, cb, shape),
            Binary::Div => self.div_simplified(a, b, cb, shape),
            Binary::Pow => self.pow_simplified(a, b, cb, shape),
            _ => self.push(Op::Binary(op), vec![a, b], shape),
        }
    }

    /// `v` itself where it already has the shape; else `v` repeated to it.
    pub fn fill_to(&mut self, v: Var, shape: Shape) -> Var {
        if self.shape(v) == shape {
            return v;
        }
        if let Some(x) = self.constant_scalar(v) {
            return self.filled(x, shape);
        }
        self.broadcast(v, shape)
    }

    fn add_simplified(&mut self, a: Var, b: Var, ca: Option<f64>, cb: Option<f64>, shape: Shape) -> Var {
        if ca == Some(0.0) {
            return self.fill_to(b, shape);
        }
        if cb == Some(0.0) {
            return self.fill_to(a, shape);
        }
        if let Some(n) = self.negated(b) {
            return self.sub(a, n);
        }
        if let Some(n) = self.negated(a) {
            return self.sub(b, n);
        }
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        self.push(Op::Binary(Binary::Add), vec![a, b], shape)
    }

    fn sub_simplified(&mut self, a: Var, b: Var, ca: Option<f64>, cb: Option<f64>, shape: Shape) -> Var {
        if cb == Some(0.0) {
            return self.fill_to(a, shape);
        }
        if ca == Some(0.0) {
            let n = self.neg(b);
            return self.fill_to(n, shape);
        }
        if let Some(n) = self.negated(b) {
            return self.add(a, n);
        }
        self.push(Op::Binary(Binary::Sub), vec![a, b], shape)
    }

    fn mul_simplified(&mut self, a: Var, b: Var, ca: Option<f64>, cb: Option<f64>, shape: Shape) -> Var {
        // The constant goes first.
        let (a, b, ca) = if cb.is_some() && ca.is_none() { (b, a, cb) } else { (a, b, ca) };
        match ca {
            Some(1.0) => return self.fill_to(b, shape),
            Some(0.0) => return self.filled(0.0, shape),
            Some(-1.0) => {
                let n = self.neg(b);
                return self.fill_to(n, shape);
            }
            Some(c) => {
                if let Some(v) = self.scaled(c, b, shape) {
                    return v;
                }
            }
            None => {}
        }
        if a == b {
            return self.push(Op::Unary(Unary::Square), vec![a], shape);
        }
        match (self.negated(a), self.negated(b)) {
            (Some(x), Some(y)) => return self.mul(x, y),
            (Some(x), None) => {
                let p = self.mul(x, b);
                return self.neg(p);
            }
            (None, Some(y)) => {
                let p = self.mul(a, y);
                return self.neg(p);
            }
            _ => {}
        }
        let (a, b) = if ca.is_some() || a <= b { (a, b) } else { (b, a) };
        self.push(Op::Binary(Binary::Mul), vec![a, b], shape)
    }

    /// `c * (d * x)` and `c * -x` with one product.
    fn scaled(&mut self, c: f64, b: Var, shape: Shape) -> Option<Var> {
        if let Some(x) = self.negated(b) {
            let c = self.scalar(-c);
            let v = self.mul(c, x);
            return Some(self.fill_to(v, shape));
        }
        if let Op::Binary(Binary::Mul) = self.node(b).op {
            let (d, x) = (self.node(b).args[0], self.node(b).args[1]);
            if let Some(d) = self.constant_scalar(d) {
                let c = self.scalar(c * d);
                let v = self.mul(c, x);
                return Some(self.fill_to(v, shape));
            }
        }
        None
    }

    fn div_simplified(&mut self, a: Var, b: Var, cb: Option<f64>, shape: Shape) -> Var {
        if cb == Some(1.0) {
            return self.fill_to(a, shape);
        }
        // One division for the whole array.
        if self.shape(b).is_scalar() && !shape.is_scalar() {
            let r = self.unary(Unary::Recip, b);
            return self.mul(a, r);
        }
        if self.constant_scalar(a) == Some(1.0) {
            let r = self.unary(Unary::Recip, b);
            return self.fill_to(r, shape);
        }
        self.push(Op::Binary(Binary::Div), vec![a, b], shape)
    }

    fn pow_simplified(&mut self, a: Var, b: Var, cb: Option<f64>, shape: Shape) -> Var {
        match cb {
            Some(0.0) => self.filled(1.0, shape),
            Some(1.0) => self.fill_to(a, shape),
            Some(2.0) => {
                let s = self.square(a);
                self.fill_to(s, shape)
            }
            Some(3.0) => {
                let s = self.square(a);
                let s = self.mul(s, a);
                self.fill_to(s, shape)
            }
            Some(-1.0) => {
                let r = self.unary(Unary::Recip, a);
                self.fill_to(r, shape)
            }
            Some(0.5) => {
                let r = self.unary(Unary::Sqrt, a);
                self.fill_to(r, shape)
            }
            _ => self.push(Op::Binary(Binary::Pow), vec![a, b], shape),
        }
    }

    fn negated(&self, v: Var) -> Option<Var> {
        matches!(self.node(v).op, Op::Unary(Unary::Neg)).then(|| self.node(v).args[0])
    }

    /// Elementwise function of three numbers.
    pub fn ternary(&mut self, op: Ternary, a: Var, b: Var, c: Var) -> Var {
        let shape = self.joint(&[a, b, c]);
        if op == Ternary::Select
            && let Some(x) = self.constant_scalar(a)
        {
            return self.fill_to(if x != 0.0 { b } else { c }, shape);
        }
        self.push(Op::Ternary(op), vec![a, b, c], shape)
    }

    /// `cond != 0 ? a : b`, elementwise; the branch not taken gets gradient 0, never NaN.
    pub fn select(&mut self, cond: Var, a: Var, b: Var) -> Var {
        self.ternary(Ternary::Select, cond, a, b)
    }

    /// a + b
    pub fn add(&mut self, a: Var, b: Var) -> Var {
        self.binary(Binary::Add, a, b)
    }

    /// a - b
    pub fn sub(&mut self, a: Var, b: Var) -> Var {
        self.binary(Binary::Sub, a, b)
    }

    /// a * b, elementwise
    pub fn mul(&mut self, a: Var, b: Var) -> Var {
        self.binary(Binary::Mul, a, b)
    }

    /// a / b, elementwise
    pub fn div(&mut self, a: Var, b: Var) -> Var {
        self.binary(Binary::Div, a, b)
    }

    /// c * a for a number c
    pub fn scale(&mut self, c: f64, a: Var) -> Var {
        let c = self.scalar(c);
        self.mul(c, a)
    }

    /// a + c for a number c
    pub fn shift(&mut self, a: Var, c: f64) -> Var {
        let c = self.scalar(c);
        self.add(a, c)
    }

    /// -a
    pub fn neg(&mut self, a: Var) -> Var {
        self.unary(Unary::Neg, a)
    }

    /// exp(a)
    pub fn exp(&mut self, a: Var) -> Var {
        self.unary(Unary::Exp, a)
    }

    /// log(a)
    pub fn log(&mut self, a: Var) -> Var {
        self.unary(Unary::Log, a)
    }

    /// a * a
    pub fn square(&mut self, a: Var) -> Var {
        self.unary(Unary::Square, a)
    }

    /// Identity whose derivative is 0.
    pub fn stop_gradient(&mut self, a: Var) -> Var {
        let shape = self.shape(a);
        self.push(Op::StopGradient, vec![a], shape)
    }

    /// `a`, whose cotangent is multiplied by `by` (same shape or scalar).
    pub fn scale_grad(&mut self, a: Var, by: Var) -> Var {
        let shape = self.joint(&[a, by]);
        self.push(Op::ScaleGrad, vec![a, by], shape)
    }
}

fn fold_unary(op: Unary, x: f64) -> Option<f64> {
    Some(match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Log1p => x.ln_1p(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Sqrt => x.sqrt(),
        Unary::Square => x * x,
        Unary::Recip => 1.0 / x,
        _ => return None,
    })
}

fn fold_binary(op: Binary, x: f64, y: f64) -> Option<f64> {
    Some(match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Pow => x.powf(y),
        Binary::Min => x.min(y),
        Binary::Max => x.max(y),
        Binary::Lt => (x < y) as u8 as f64,
        Binary::Le => (x <= y) as u8 as f64,
        Binary::Eq => (x == y) as u8 as f64,
        Binary::Ne => (x != y) as u8 as f64,
        _ => return None,
    })
}
