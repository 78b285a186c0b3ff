//! Targets of `observe`: data behind monotone maps (rule R22).

use super::env::Binding;
use super::index::Positions;
use super::{Lower, Res};
use crate::dsl::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::dsl::span::Span;
use crate::model::value::Val;

/// What an observe targets: elements of a data variable behind a chain of monotone maps.
#[derive(Clone, Debug)]
pub struct Target {
    /// Place in `Lower::data`.
    pub data: usize,
    /// Elements.
    pub positions: Positions,
    /// The maps from the data to the target, innermost first.
    pub maps: Vec<Monotone>,
}

/// A strictly monotone elementwise map.
#[derive(Clone, Debug)]
pub enum Monotone {
    /// A function of the language.
    Named(String),
    /// x + c
    Shift(Val),
    /// c - x
    Reflect(Val),
    /// c * x
    Scale(Val),
}

impl Lower<'_> {
    /// The data behind a target, where it is data or a monotone function of data.
    pub fn target(&mut self, e: &Expr) -> Res<Option<Target>> {
        let (base, slots): (&Expr, &[_]) = match &e.kind {
            ExprKind::Index { base, slots } => (base, slots),
            _ => (e, &[]),
        };
        if let ExprKind::Name(n) = &base.kind
            && let Binding::Data(data) = self.lookup(n, base.span)?
        {
            let dims = self.data[data].value.dims.clone();
            let mut positions = self.positions(e.span, n, &dims, slots)?;
            let here = self.here;
            if self.levels.join(positions.level, here) == Some(here) && positions.level != here {
                let rows = self.levels.lift(positions.level, here);
                let width: usize = positions.dims.iter().product();
                positions.table = (0..rows.len())
                    .flat_map(|r| positions.table[rows.at(r) * width..(rows.at(r) + 1) * width].to_vec())
                    .collect();
                positions.level = here;
            }
            return Ok(Some(Target { data, positions, maps: vec![] }));
        }
        if let ExprKind::Name(n) = &e.kind
            && let Some((definition, level)) = self.definitions.get(n.as_str()).copied()
            && level == self.here
            && matches!(self.lookup(n, e.span)?, Binding::Val(_))
        {
            return self.target(definition);
        }
        match &e.kind {
            ExprKind::Call(c)
                if matches!(c.name.name.as_str(), "log" | "log10" | "exp" | "sqrt" | "logit") && c.args.len() == 1 =>
            {
                let inner = self.target(&c.args[0].value)?;
                Ok(inner.map(|t| t.then(Monotone::Named(c.name.name.clone()))))
            }
            ExprKind::Unary { op: UnaryOp::Neg, arg } => {
                Ok(self.target(arg)?.map(|t| t.then(Monotone::Scale(Val::number(-1.0)))))
            }
            ExprKind::Binary { op, left, right, .. } => self.binary_target(*op, left, right),
            _ => Ok(None),
        }
    }

    fn binary_target(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Res<Option<Target>> {
        let (inner, other, reversed) = match self.target(left)? {
            Some(t) => (t, right, false),
            None => match self.target(right)? {
                Some(t) => (t, left, true),
                None => return Ok(None),
            },
        };
        let c = self.expr(other)?;
        if c.known().is_none() {
            return Ok(None);
        }
        let map = match (op, reversed) {
            (BinaryOp::Add, _) => Monotone::Shift(c),
            (BinaryOp::Sub, true) => Monotone::Reflect(c),
            (BinaryOp::Sub, false) => {
                Monotone::Shift(self.elementwise(other.span, &[&c], false, &mut |g, v| g.neg(v[0]))?)
            }
            (BinaryOp::Mul | BinaryOp::EltMul, _) => Monotone::Scale(c),
            (BinaryOp::Div | BinaryOp::EltDiv, false) => {
                Monotone::Scale(
                    self.elementwise(other.span, &[&c], false, &mut |g, v| g.unary(crate::graph::Unary::Recip, v[0]))?,
                )
            }
            _ => return Ok(None),
        };
        Ok(Some(inner.then(map)))
    }

    /// Applies a monotone map.
    pub fn apply_map(&mut self, span: Span, m: &Monotone, v: &Val) -> Res<Val> {
        use crate::graph::Unary;
        match m {
            Monotone::Shift(c) => self.elementwise(span, &[v, c], v.int && c.int, &mut |g, a| g.add(a[0], a[1])),
            Monotone::Reflect(c) => self.elementwise(span, &[v, c], v.int && c.int, &mut |g, a| g.sub(a[1], a[0])),
            Monotone::Scale(c) => self.elementwise(span, &[v, c], v.int && c.int, &mut |g, a| g.mul(a[0], a[1])),
            Monotone::Named(n) => {
                let n = n.clone();
                self.elementwise(span, &[v], false, &mut |g, a| match n.as_str() {
                    "log" => g.log(a[0]),
                    "log10" => {
                        let l = g.log(a[0]);
                        g.scale(std::f64::consts::LOG10_E, l)
                    }
                    "exp" => g.exp(a[0]),
                    "sqrt" => g.unary(Unary::Sqrt, a[0]),
                    _ => {
                        let minus = g.neg(a[0]);
                        let (p, q) = (g.log(a[0]), g.unary(Unary::Log1p, minus));
                        g.sub(p, q)
                    }
                })
            }
        }
    }
}

impl Target {
    fn then(mut self, m: Monotone) -> Target {
        self.maps.push(m);
        self
    }
}
