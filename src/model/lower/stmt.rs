//! Statements.

use super::env::{Binding, Function};
use super::fill::Filled;
use super::{Lower, Mode, Res};
use crate::dsl::ast::{Block, Expr, Ident, LatentKind, LetKind, ReportKind, Stmt, StmtKind, Type};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::model::level::ROOT;
use crate::model::site::{Factor, FactorKind, NoteKind, Report};
use crate::model::value::Val;

impl<'m> Lower<'m> {
    /// Statements in order.
    pub fn block(&mut self, b: &'m Block) -> Res<()> {
        b.stmts.iter().try_for_each(|s| self.stmt(s))
    }

    /// One statement.
    pub fn stmt(&mut self, s: &'m Stmt) -> Res<()> {
        let origin = self.g.origin();
        self.g.set_origin(s.span.start + 1);
        self.remember_rows();
        let done = self.stmt_kind(s);
        self.g.set_origin(origin);
        done
    }

    /// Which indices the rows of a statement have, so that a message can name the row.
    fn remember_rows(&mut self) {
        if self.indices.is_empty() || self.step.is_some() || matches!(self.mode, Mode::Simulate { .. }) {
            return;
        }
        let here = self.here;
        let mut rows = vec![];
        for id in self.indices.clone() {
            let Ok(Binding::Val(v)) = self.lookup(&id.name, id.span) else { return };
            if v.known().is_none() || self.levels.join(v.level, here) != Some(here) {
                return;
            }
            let v = self.lift(&v, here, &[]);
            rows.extend(v.known().map(|c| (id.name.clone(), c.clone())));
        }
        self.rows.insert(self.g.origin(), rows);
    }

    fn stmt_kind(&mut self, s: &'m Stmt) -> Res<()> {
        match &s.kind {
            StmtKind::Data { name, ty, from, default } => self.data_stmt(name, ty, from.as_deref(), default.as_ref()),
            StmtKind::Const { name, ty, value } => self.const_stmt(name, ty.as_ref(), value),
            StmtKind::Param { name, kind } => self.param_stmt(name, kind),
            StmtKind::Latent { name, kind } => match kind {
                LatentKind::Draw { ty, dist } => {
                    if self.levels.base(self.here).kind == crate::model::level::BaseKind::For
                        || self.levels.base(self.here).kind == crate::model::level::BaseKind::Branch
                    {
                        return Err(Diagnostic::new(
                            s.span,
                            "a latent in a loop or a branch has no element of its own",
                        )
                        .help(format!("declare `latent {}: …` outside, and fill its elements here", name.name)));
                    }
                    self.latent_draw(name, ty.as_ref(), dist)
                }
                LatentKind::Fill { index, dist } => self.latent_fill(name, index, dist),
                LatentKind::Declare { ty } => self.latent_declare(name, ty),
            },
            StmtKind::Let { name, kind } => self.let_stmt(s.span, name, kind),
            StmtKind::Report { name, ty, value } => match self.lets {
                true => Ok(()),
                false => {
                    self.aside += 1;
                    let done = self.report_stmt(name, ty.as_ref(), value);
                    self.aside -= 1;
                    done
                }
            },
            StmtKind::Observe { target, dist } => match self.lets {
                true => Ok(()),
                false => self.observe_stmt(s.span, target, dist),
            },
            StmtKind::Factor { value } => match self.lets {
                true => Ok(()),
                false => self.factor_stmt(s.span, value),
            },
            StmtKind::Plate { index, range, encode, body } => {
                self.indices.push(index);
                let done = self.plate_stmt(s.span, index, range, encode, body);
                self.indices.pop();
                done
            }
            StmtKind::For { index, range, body } => {
                if self.step.is_some() {
                    return Err(Diagnostic::new(s.span, "a loop inside a recurrence"));
                }
                self.indices.push(index);
                let done = self.for_stmt(s.span, index, range, body);
                self.indices.pop();
                done
            }
            StmtKind::If { cond, then, otherwise } => {
                if self.step.is_some() {
                    let c = self.scalar_expr(cond, "a condition")?;
                    let blocks = [Some(then), otherwise.as_ref()];
                    return match self.step_condition(cond.span, &c)? {
                        Some(taken) => blocks[usize::from(!taken)].map_or(Ok(()), |b| self.block(b)),
                        None => self.step_branches(s.span, &c, blocks),
                    };
                }
                self.if_stmt(cond, then, otherwise.as_ref())
            }
            StmtKind::Fn { name, args, ret, body } => {
                let f = Function { args, ret: ret.as_ref(), body, span: name.span };
                if super::call::is_callable(self, &name.name) {
                    return Err(Diagnostic::new(name.span, format!("`{}` is already a function or a law", name.name)));
                }
                self.env.functions.insert(name.name.clone(), f);
                Ok(())
            }
            StmtKind::Return { .. } => Err(Diagnostic::new(s.span, "`return` outside a function")),
        }
    }

    fn const_stmt(&mut self, id: &'m Ident, ty: Option<&Type>, value: &Expr) -> Res<()> {
        let mut v = self.expr(value)?;
        if v.known().is_none() {
            return Err(Diagnostic::new(value.span, "a const must not depend on latents or params"));
        }
        if let Some(x) = self.set.get(&id.name) {
            if !v.is_scalar() {
                return Err(Diagnostic::new(id.span, format!("`--set {}` replaces numbers only", id.name)));
            }
            if v.int && x.fract() != 0.0 {
                return Err(Diagnostic::new(
                    id.span,
                    format!("`{}` is an integer, the command line sets it to {x}", id.name),
                ));
            }
            v = Val { int: v.int, ..Val::number(*x) };
        }
        if let Some(t) = ty {
            let t = self.ty(t)?;
            self.fits(&id.name, value.span, &v, &t)?;
        }
        self.declare(id, Binding::Val(v))
    }

    /// A value has the shape and kind of its declared type.
    pub fn fits(&self, name: &str, span: Span, v: &Val, t: &super::types::Ty) -> Res<()> {
        if v.dims != t.dims && !(v.count() == 0 && t.dims.iter().product::<usize>() == 0) {
            return Err(Diagnostic::new(
                span,
                format!("`{name}` has shape {:?} by its type, {:?} by its value", t.dims, v.dims),
            ));
        }
        if t.int && !v.int {
            return Err(Diagnostic::new(span, format!("`{name}` is declared int, its value is real")));
        }
        Ok(())
    }

    fn let_stmt(&mut self, span: Span, id: &'m Ident, kind: &'m LetKind) -> Res<()> {
        match kind {
            LetKind::Define { ty, value } => {
                let v = self.expr(value)?;
                if let Some(t) = ty {
                    let t = self.ty(t)?;
                    self.fits(&id.name, value.span, &v, &t)?;
                }
                if v.known().is_some() {
                    self.definitions.insert(&id.name, (value, self.here));
                }
                self.declare(id, Binding::Val(v))
            }
            LetKind::Declare { ty } => {
                let t = self.ty(ty)?;
                let rows = self.levels.len(self.here);
                self.filled.push(Filled::new(id, t.dims, self.here, rows, t.int));
                self.declare(id, Binding::Filled(self.filled.len() - 1))
            }
            LetKind::Fill { index, value } => {
                if self.declared_at(&id.name).is_none() {
                    return Err(Diagnostic::new(id.span, format!("`{}` is not declared", id.name))
                        .help(format!("declare the array above: `let {}: vector[…]`", id.name)));
                }
                let Binding::Filled(at) = self.lookup(&id.name, id.span)? else {
                    return Err(Diagnostic::new(id.span, format!("`{}` is not a declared array", id.name))
                        .help(format!("declare it first: `let {}: vector[…]`", id.name)));
                };
                if self.filled[at].latent.is_some() {
                    return Err(Diagnostic::new(
                        id.span,
                        format!("`{}` is a latent: its elements follow laws", id.name),
                    )
                    .help(format!("write `latent {}[…] ~ …`", id.name)));
                }
                if self.prefilled.contains(&at) {
                    return Ok(());
                }
                if self.step.as_ref().is_some_and(|s| s.carries(at)) {
                    let v = self.expr(value)?;
                    return self.fill_step(at, span, &v);
                }
                if self.step.is_some() {
                    return Ok(());
                }
                let v = self.expr(value)?;
                let targets = self.fill_targets(at, span, index)?;
                self.fill(at, span, &targets, &v)
            }
        }
    }

    fn report_stmt(&mut self, id: &'m Ident, ty: Option<&Type>, value: &'m ReportKind) -> Res<()> {
        let (v, drawn) = match value {
            ReportKind::Value(e) => (self.expr(e)?, false),
            ReportKind::Draw(dist) => {
                let Mode::Simulate { .. } = self.mode else {
                    let why = "it is drawn after the density is computed: latents and observes cannot read it";
                    return self.declare(id, Binding::Gone(why.into()));
                };
                let use_ = self.law_use(dist)?;
                let t = match ty {
                    Some(t) => self.ty(t)?,
                    None => self.untyped(&use_)?,
                };
                (self.sampled(&use_, &t)?, true)
            }
        };
        if let Some(t) = ty {
            let t = self.ty(t)?;
            self.fits(&id.name, id.span, &v, &t)?;
        }
        let full = self.levels.with_axes(self.here, v.level);
        if !self.levels.axes_of(full).is_empty() && matches!(self.mode, Mode::Density) {
            let text = format!("report `{}` reads a summed-out latent: each draw gets an exact draw of it", id.name);
            self.note(NoteKind::Info, id.span, text);
            self.hidden_reports.push(id.name.clone());
            return self.declare(id, Binding::Val(v));
        }
        let root = self.at_root(id.span, &v)?;
        self.reports.push(Report { name: id.name.clone(), value: root, drawn });
        self.declare(id, Binding::Val(v))
    }

    /// A value with the axes of all enclosing plates in front.
    fn at_root(&mut self, span: Span, v: &Val) -> Res<Val> {
        let dims = v.dims.clone();
        let full = self.levels.with_axes(self.here, v.level);
        let v = if self.here == ROOT { v.clone() } else { self.lift(v, full, &dims) };
        if self.here == ROOT {
            return Ok(v);
        }
        let dims = self.site_dims(&dims).ok_or_else(|| {
            Diagnostic::new(span, "a report under a ragged plate has no shape")
                .help("declare an array outside and fill it")
        })?;
        let len = dims.iter().product();
        let same = crate::graph::Index::Stride { start: 0, stride: 1, len };
        Ok(self.gathered(&v, &same, ROOT, dims))
    }

    fn factor_stmt(&mut self, span: Span, e: &Expr) -> Res<()> {
        let value = self.expr(e)?;
        self.note(NoteKind::NoSimulator, span, "`factor` makes this a density that cannot be simulated from");
        self.note(NoteKind::UpToConstant, span, "`factor`: the density may not be normalised");
        if matches!(self.mode, Mode::Density) {
            let here = self.here;
            let dims = value.dims.clone();
            let level = self.levels.with_axes(here, value.level);
            let value = self.lift(&value, level, &dims);
            self.factors.push(Factor { value, kind: FactorKind::Factor, span, about: "factor".into() });
        }
        Ok(())
    }
}
