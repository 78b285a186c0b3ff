//! Expressions: names, lists, comprehensions, operators.

use std::sync::Arc;

use super::env::Binding;
use super::{Lower, Res};
use crate::dsl::ast::{BinaryOp, Expr, ExprKind, Ident, Range, Slot, UnaryOp};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Binary, Graph, Index, Shape, Unary, Var};
use crate::model::level::{BaseKind, LevelId};
use crate::model::value::Val;

impl Lower<'_> {
    /// The value of an expression.
    pub fn expr(&mut self, e: &Expr) -> Res<Val> {
        match &e.kind {
            ExprKind::Number { value, int } => Ok(Val { int: *int, ..Val::number(*value) }),
            ExprKind::Name(n) => self.name(n, e.span),
            ExprKind::Call(c) => self.call(c),
            ExprKind::Truncated { law, .. } => {
                Err(Diagnostic::new(law.span, "a truncated law stands only in `mixture` or `censored`, or after `~`"))
            }
            ExprKind::List(items) => self.list(e.span, items),
            ExprKind::Comprehension { body, index, range } => self.comprehension(e.span, body, index, range),
            ExprKind::Index { base, slots } => self.index(e.span, base, slots),
            ExprKind::Transpose(x) => self.transpose(x),
            ExprKind::Unary { op, arg } => self.unary_op(e.span, *op, arg),
            ExprKind::Binary { op, left, right, .. } => {
                let (a, b) = (self.expr(left)?, self.expr(right)?);
                self.binary_op(e.span, *op, &a, &b)
            }
            ExprKind::Conditional { cond, then, otherwise } => self.conditional(e.span, cond, then, otherwise),
        }
    }

    fn name(&mut self, name: &str, span: Span) -> Res<Val> {
        match self.lookup(name, span)? {
            Binding::Val(v) => Ok(v),
            Binding::Data(i) => {
                let dims = self.data[i].value.dims.clone();
                let p = self.positions(span, name, &dims, &[])?;
                self.read_data(i, span, &p)
            }
            Binding::Filled(i) => self.read_whole(i, span),
            Binding::Discrete(i) => self.read_discrete(i, span, &[]),
            Binding::Gone(_) => unreachable!("lookup refuses names that are gone"),
        }
    }

    fn index(&mut self, span: Span, base: &Expr, slots: &[Slot]) -> Res<Val> {
        if let ExprKind::Name(n) = &base.kind {
            match self.lookup(n, base.span)? {
                Binding::Filled(i) => return self.read_filled(i, span, slots),
                Binding::Discrete(i) => return self.read_discrete(i, span, slots),
                Binding::Data(i) => {
                    let dims = self.data[i].value.dims.clone();
                    let p = self.positions(span, n, &dims, slots)?;
                    return self.read_data(i, span, &p);
                }
                _ => {}
            }
        }
        let v = self.expr(base)?;
        let name = match &base.kind {
            ExprKind::Name(n) => format!("`{n}`"),
            _ => "this value".to_string(),
        };
        let p = self.positions(span, &name, &v.dims, slots)?;
        self.read_at(span, &v, &p)
    }

    /// Stacks values along a new first axis.
    pub fn stack(&mut self, span: Span, vals: &[Val]) -> Res<Val> {
        let refs: Vec<&Val> = vals.iter().collect();
        let dims = vals.iter().find(|v| !v.is_scalar()).map_or(vec![], |v| v.dims.clone());
        if let Some(v) = vals.iter().find(|v| v.dims != dims) {
            return Err(Diagnostic::new(span, "the elements of a list have one shape")
                .label(format!("here both {dims:?} and {:?}", v.dims)));
        }
        let n = vals.len();
        let count: usize = dims.iter().product();
        let out_dims = [&[n], &dims[..]].concat();
        self.room(span, super::ROOT, &out_dims)?;
        let int = vals.iter().all(|v| v.int);
        let v = self.structured(span, &refs, out_dims.clone(), &mut |g, vars, batch| {
            stack_nodes(g, vars, batch, count, &out_dims)
        })?;
        Ok(Val { int, ..v })
    }

    fn list(&mut self, span: Span, items: &[Expr]) -> Res<Val> {
        if items.is_empty() {
            return Ok(Val { int: true, ..Val::constant(vec![], vec![0]) });
        }
        let vals = items.iter().map(|e| self.expr(e)).collect::<Res<Vec<_>>>()?;
        self.stack(span, &vals)
    }

    /// The two ends of a range for each row of `here`.
    pub fn range(&mut self, range: &Range) -> Res<(Vec<i64>, Vec<usize>)> {
        let here = self.here;
        let mut ends = vec![];
        for e in [&range.from, &range.to] {
            self.aside += 1;
            let v = self.scalar_expr(e, "the end of a range");
            self.aside -= 1;
            let v = v?;
            self.known_ints(e.span, &v, "the end of a range")?;
            let joined = self.levels.join(v.level, here);
            if joined != Some(here) {
                return Err(Diagnostic::new(e.span, "a range must not depend on a discrete latent"));
            }
            let lifted = self.lift(&v, here, &[]);
            ends.push(self.known_ints(e.span, &lifted, "the end of a range")?);
        }
        let from: Vec<i64> = ends[0].iter().map(|x| *x as i64).collect();
        let counts: Vec<usize> =
            from.iter().zip(ends[1].iter()).map(|(a, b)| (*b as i64 - a + 1).max(0) as usize).collect();
        if counts.iter().fold(0usize, |n, c| n.saturating_add(*c)) > super::algebra::MAX_ELEMENTS {
            return Err(Diagnostic::new(range.to.span, "this range has too many rows")
                .label(format!("more than {}", super::algebra::MAX_ELEMENTS))
                .help("check the sizes in the data"));
        }
        Ok((from, counts))
    }

    /// Opens a level with a row for each index of a range, and gives the index value.
    pub fn open_range(&mut self, from: &[i64], counts: &[usize], kind: BaseKind) -> (LevelId, Val) {
        let level = self.levels.open(self.here, counts, kind);
        let data: Arc<[f64]> =
            from.iter().zip(counts).flat_map(|(a, &n)| (0..n).map(move |k| (a + k as i64) as f64)).collect();
        (level, Val { level, int: true, ..Val::constant(data, vec![]) })
    }

    fn comprehension(&mut self, span: Span, body: &Expr, index: &Ident, range: &Range) -> Res<Val> {
        let (from, counts) = self.range(range)?;
        let Some(&n) = counts.first() else {
            return Ok(Val::constant(vec![], vec![0]));
        };
        if counts.iter().any(|c| *c != n) {
            return Err(Diagnostic::new(span, "this list has another length in each row")
                .label("the shape of a local value must not depend on a plate index"));
        }
        if self.step.is_some() || matches!(self.mode, super::Mode::Simulate { .. }) && n <= 4 {
            return self.unrolled_list(span, body, index, &from, n);
        }
        let outer = self.here;
        let (level, i) = self.open_range(&from, &counts, BaseKind::Plate);
        self.env.push();
        self.here = level;
        let v = self.declare(index, Binding::Val(i)).and_then(|()| self.expr(body));
        self.here = outer;
        self.env.pop();
        self.collapse(span, &v?, level, n)
    }

    fn unrolled_list(&mut self, span: Span, body: &Expr, index: &Ident, from: &[i64], n: usize) -> Res<Val> {
        let mut vals = vec![];
        for k in 0..n {
            self.env.push();
            let data: Vec<f64> = from.iter().map(|a| (a + k as i64) as f64).collect();
            let i = Val { level: self.here, int: true, ..Val::constant(data, vec![]) };
            let v = self.declare(index, Binding::Val(i)).and_then(|()| self.expr(body));
            self.env.pop();
            vals.push(v?);
        }
        if vals.is_empty() {
            return Ok(Val::constant(vec![], vec![0]));
        }
        self.stack(span, &vals)
    }

    /// Turns the rows of `level`, `n` under each row of its parent, into a leading axis.
    pub fn collapse(&mut self, span: Span, v: &Val, level: LevelId, n: usize) -> Res<Val> {
        let full = self
            .levels
            .join(v.level, level)
            .ok_or_else(|| Diagnostic::new(span, "this value belongs to rows of another plate"))?;
        let dims = v.dims.clone();
        let v = self.lift(v, full, &dims);
        let parent = self.levels.parent(level);
        let to = self.levels.with_axes(parent, full);
        let out_dims = [&[n], &dims[..]].concat();
        self.room(span, parent, &out_dims)?;
        let rows = self.levels.len(parent);
        let states = self.levels.len(to).checked_div(rows).unwrap_or(1);
        let count: usize = dims.iter().product();
        let len = rows * states * n * count;
        let index = if states == 1 {
            Index::Stride { start: 0, stride: 1, len }
        } else {
            // [row, k, state, element] becomes [row, state, k, element].
            let at = |j: usize| {
                let (e, rest) = (j % count, j / count);
                let (k, rest) = (rest % n, rest / n);
                let (s, r) = (rest % states, rest / states);
                ((r * n + k) * states + s) * count + e
            };
            Index::from_table((0..len).map(|j| at(j) as u32).collect())
        };
        Ok(self.gathered(&v, &index, to, out_dims))
    }

    fn transpose(&mut self, x: &Expr) -> Res<Val> {
        let v = self.expr(x)?;
        let [r, c] = v.dims[..] else {
            return Err(Diagnostic::new(x.span, format!("`'` transposes two axes, found {}", v.type_name()))
                .help("a vector has no orientation: `dot(a, b)` is the inner product"));
        };
        let t = self.structured(x.span, &[&v], vec![c, r], &mut |g, a, _| g.transpose(a[0]))?;
        Ok(Val { int: v.int, ..t })
    }

    fn unary_op(&mut self, span: Span, op: UnaryOp, arg: &Expr) -> Res<Val> {
        let v = self.expr(arg)?;
        match op {
            UnaryOp::Plus => Ok(v),
            UnaryOp::Neg => self.elementwise(span, &[&v], v.int, &mut |g, a| g.neg(a[0])),
            UnaryOp::Not => self.elementwise(span, &[&v], true, &mut |g, a| {
                let zero = g.scalar(0.0);
                g.binary(Binary::Eq, a[0], zero)
            }),
        }
    }

    /// Infix operators (rules 6 and 7 of the language).
    pub fn binary_op(&mut self, span: Span, op: BinaryOp, a: &Val, b: &Val) -> Res<Val> {
        let both_int = a.int && b.int;
        let kind = match op {
            BinaryOp::Mul => return self.product(span, a, b),
            BinaryOp::Div | BinaryOp::Pow if !b.is_scalar() => {
                let (name, dotted) = if op == BinaryOp::Div { ("/", "./") } else { ("^", ".^") };
                return Err(Diagnostic::new(span, format!("`{name}` needs a scalar on the right"))
                    .label(format!("found {}", b.type_name()))
                    .help(format!("write `{dotted}` for the elementwise operation")));
            }
            BinaryOp::Mod | BinaryOp::IntDiv if !both_int => {
                return Err(Diagnostic::new(span, "`%` and `%/%` are for integers"));
            }
            BinaryOp::IntDiv => {
                return self.elementwise(span, &[a, b], true, &mut |g, v| {
                    let r = g.binary(Binary::Mod, v[0], v[1]);
                    let d = g.sub(v[0], r);
                    let q = g.div(d, v[1]);
                    g.unary(Unary::Round, q)
                });
            }
            BinaryOp::Add => Binary::Add,
            BinaryOp::Sub => Binary::Sub,
            BinaryOp::EltMul => Binary::Mul,
            BinaryOp::Div | BinaryOp::EltDiv => Binary::Div,
            BinaryOp::Pow | BinaryOp::EltPow => Binary::Pow,
            BinaryOp::Mod => Binary::Mod,
            BinaryOp::Eq => Binary::Eq,
            BinaryOp::Ne => Binary::Ne,
            BinaryOp::Lt => Binary::Lt,
            BinaryOp::Le => Binary::Le,
            BinaryOp::Gt => return self.elementwise(span, &[b, a], true, &mut |g, v| g.binary(Binary::Lt, v[0], v[1])),
            BinaryOp::Ge => return self.elementwise(span, &[b, a], true, &mut |g, v| g.binary(Binary::Le, v[0], v[1])),
            BinaryOp::And => Binary::And,
            BinaryOp::Or => Binary::Or,
        };
        let int = match kind {
            Binary::Div | Binary::Pow => false,
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Mod => both_int,
            _ => true,
        };
        self.elementwise(span, &[a, b], int, &mut |g, v| g.binary(kind, v[0], v[1]))
    }
}

/// `[n, …]` from n nodes `[…]`, or `[batch, n, …]` from n nodes `[batch, …]`.
pub fn stack_nodes(g: &mut Graph, vars: &[Var], batch: Option<usize>, count: usize, dims: &[usize]) -> Var {
    let n = vars.len();
    let Some(m) = batch else {
        return g.concat(vars, Shape::new(dims));
    };
    let flat = g.concat(vars, Shape::new(&[n * m * count]));
    let shape = Shape::new(&[&[m], dims].concat());
    let table = (0..m * n * count).map(|j| {
        let (e, rest) = (j % count, j / count);
        let (k, r) = (rest % n, rest / n);
        ((k * m + r) * count + e) as u32
    });
    g.gather(flat, Index::from_table(table.collect()), shape)
}
