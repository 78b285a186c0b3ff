//! Calls: user functions, laws as functions, built-ins.

use super::env::Binding;
use super::functions;
use super::{Lower, Res};
use crate::dist;
use crate::dsl::ast::{BaseType, Block, Call, Expr, ExprKind, LetKind, Stmt, StmtKind};
use crate::dsl::diagnostic::{Diagnostic, did_you_mean};
use crate::dsl::span::Span;
use crate::model::level::ROOT;
use crate::model::value::Val;

const MAX_CALL_DEPTH: usize = 64;

/// Calls within one call: functions that call others twice double their number at each level.
const MAX_CALLS: usize = 100_000;

/// The four functions that every law brings along.
const LAW_SUFFIXES: [&str; 4] = ["_lpdf", "_lpmf", "_lcdf", "_lccdf"];

/// A law and the suffix of its function, from a name such as `normal_lpdf`.
fn law_function(name: &str) -> Option<(&'static dyn dist::Law, &'static str)> {
    LAW_SUFFIXES.iter().find_map(|s| Some((dist::law(name.strip_suffix(s)?)?, *s)))
}

/// True where a name can be called.
pub fn is_callable(l: &Lower<'_>, name: &str) -> bool {
    l.env.functions.contains_key(name)
        || l.env.networks.contains_key(name)
        || functions::NAMES.contains(&name)
        || dist::law(name).is_some()
        || law_function(name).is_some()
}

impl<'m> Lower<'m> {
    /// The value of a call.
    pub fn call(&mut self, c: &Call) -> Res<Val> {
        if self.env.functions.contains_key(&c.name.name) {
            return self.user_call(c);
        }
        if self.env.networks.contains_key(&c.name.name) {
            return self.network_call(c);
        }
        if functions::NAMES.contains(&c.name.name.as_str()) {
            let args = self.arguments(c)?;
            return self.builtin(c, &args);
        }
        if let Some((law, suffix)) = law_function(&c.name.name) {
            return self.law_call(c, law, suffix);
        }
        Err(self.unknown_callable(c))
    }

    /// Plain arguments in order; named ones are for the laws that take bounds.
    pub fn arguments(&mut self, c: &Call) -> Res<Vec<Val>> {
        if let Some(n) = c.args.iter().find_map(|a| a.name.as_ref()) {
            return Err(Diagnostic::new(n.span, format!("`{}` takes no named argument", c.name.name)));
        }
        c.args.iter().map(|a| self.expr(&a.value)).collect()
    }

    fn unknown_callable(&self, c: &Call) -> Diagnostic {
        let name = &c.name.name;
        let d = Diagnostic::new(c.name.span, format!("there is no function `{name}`"));
        if dist::law(name).is_some() || matches!(name.as_str(), "mixture" | "censored" | "dirac") {
            return Diagnostic::new(c.span, format!("`{name}` is a law, not a value"))
                .help(format!("write `~ {name}(…)`, or `{name}_lpdf(y | …)` for its log density"));
        }
        let known = functions::NAMES.iter().copied();
        let own: Vec<&str> = self.env.functions.keys().chain(self.env.networks.keys()).map(|k| k.as_str()).collect();
        match did_you_mean(name, known.chain(own)) {
            Some(n) => d.help(format!("did you mean `{n}`?")),
            None => d.help("the functions of the language are listed in docs/language.md"),
        }
    }

    fn law_call(&mut self, c: &Call, law: &'static dyn dist::Law, suffix: &str) -> Res<Val> {
        if c.bar != Some(1) {
            return Err(Diagnostic::new(c.span, format!("`{}` takes its value before a bar", c.name.name))
                .help(format!("write `{}(y | …)`", c.name.name)));
        }
        let vals = self.arguments(c)?;
        let use_ = self.plain_law(c.span, law, vals[1..].to_vec())?;
        match suffix {
            "_lcdf" => self.log_cdf(c.span, law, &vals[1..], &vals[0], false),
            "_lccdf" => self.log_cdf(c.span, law, &vals[1..], &vals[0], true),
            _ => self.guarded_density(&use_, &vals[0]),
        }
    }

    fn user_call(&mut self, c: &Call) -> Res<Val> {
        let name = &c.name.name;
        let f = self.env.functions[name];
        let vals = self.arguments(c)?;
        if vals.len() != f.args.len() {
            return Err(Diagnostic::new(
                c.span,
                format!(
                    "`{name}` takes {} argument{}, found {}",
                    f.args.len(),
                    if f.args.len() == 1 { "" } else { "s" },
                    vals.len()
                ),
            )
            .note(f.span, "defined here"));
        }
        if self.env.depth >= MAX_CALL_DEPTH {
            return Err(Diagnostic::new(c.span, format!("`{name}` calls itself")).label("functions must not recurse"));
        }
        self.env.calls = if self.env.depth == 0 { 1 } else { self.env.calls + 1 };
        if self.env.calls > MAX_CALLS {
            return Err(Diagnostic::new(c.span, format!("more than {MAX_CALLS} calls of functions within one call"))
                .help("keep what is needed more than once in a `let`, and call with all elements at once"));
        }
        for (a, v) in f.args.iter().zip(&vals) {
            self.check_argument(&c.name.name, a, v, c.span)?;
        }
        let barrier = self.env.barrier;
        self.env.barrier = self.env.open_scopes();
        self.env.depth += 1;
        self.env.push();
        let result = f
            .args
            .iter()
            .zip(vals)
            .try_for_each(|(a, v)| {
                self.check_sizes(name, a, &v.dims, c.span)?;
                self.declare(&a.name, Binding::Val(v))
            })
            .and_then(|()| self.function_body(f.body));
        self.env.pop();
        self.env.depth -= 1;
        self.env.barrier = barrier;
        let value = result?.ok_or_else(|| {
            Diagnostic::new(f.span, format!("`{name}` returns no value")).help("end it with `return expr`")
        })?;
        if let Some(ret) = f.ret {
            let rank = super::types::declared_rank(ret);
            if rank != value.dims.len() || matches!(ret.base, BaseType::Int) && !value.int {
                return Err(Diagnostic::new(ret.span, format!("`{name}` returns {}", value.type_name()))
                    .label(format!(
                        "declared with {rank} axes{}",
                        if matches!(ret.base, BaseType::Int) { " of int" } else { "" }
                    ))
                    .note(c.span, "called here"));
            }
        }
        Ok(value)
    }

    fn function_body(&mut self, body: &'m Block) -> Res<Option<Val>> {
        for s in &body.stmts {
            if let StmtKind::Return { value } = &s.kind {
                return self.expr(value).map(Some);
            }
            if let StmtKind::If { cond, then, otherwise } = &s.kind {
                let c = self.scalar_expr(cond, "a condition")?;
                let Some(x) = c.known_uniform() else {
                    return Err(Diagnostic::new(cond.span, "the condition of `if` must be the same for all rows")
                        .help("use the conditional expression `cond ? a : b`"));
                };
                let block = if x != 0.0 { Some(then) } else { otherwise.as_ref() };
                if let Some(b) = block
                    && let Some(v) = self.function_body(b)?
                {
                    return Ok(Some(v));
                }
                continue;
            }
            self.pure_stmt(s)?;
        }
        Ok(None)
    }

    fn pure_stmt(&mut self, s: &'m Stmt) -> Res<()> {
        match &s.kind {
            StmtKind::Let { kind: LetKind::Define { .. } | LetKind::Fill { .. } | LetKind::Declare { .. }, .. }
            | StmtKind::For { .. } => self.stmt(s),
            _ => Err(Diagnostic::new(s.span, "a function holds `let`, `for`, `if` and `return` only")),
        }
    }

    /// A known integer argument at the root.
    pub fn int_arg(&self, c: &Call, args: &[Val], k: usize) -> Res<usize> {
        let span = c.args.get(k).map_or(c.span, |a| a.value.span);
        let what = format!("argument {} of `{}`", k + 1, c.name.name);
        let n = self.known_int(span, &args[k], &what)?;
        usize::try_from(n).map_err(|_| Diagnostic::new(span, format!("{what} must not be negative, found {n}")))
    }

    /// Refuses a wrong number of arguments.
    pub fn expect_args(&self, c: &Call, args: &[Val], n: usize) -> Res<()> {
        if args.len() == n {
            return Ok(());
        }
        Err(Diagnostic::new(
            c.span,
            format!("`{}` takes {n} argument{}, found {}", c.name.name, if n == 1 { "" } else { "s" }, args.len()),
        ))
    }

    /// The elements of a list of laws, for `mixture`.
    pub fn law_list(&mut self, e: &Expr) -> Res<Vec<super::dist::LawUse>> {
        match &e.kind {
            ExprKind::List(items) => items.iter().map(|i| self.law_expr(i)).collect(),
            ExprKind::Comprehension { body, index, range } => {
                let (from, counts) = self.range(range)?;
                let n = counts.first().copied().unwrap_or(0);
                let mut out = vec![];
                for k in 0..n {
                    self.env.push();
                    let data: Vec<f64> = from.iter().map(|a| (a + k as i64) as f64).collect();
                    let level = if from.windows(2).all(|w| w[0] == w[1]) { ROOT } else { self.here };
                    let data = if level == ROOT { data[..1].to_vec() } else { data };
                    let i = Val { level, int: true, ..Val::constant(data, vec![]) };
                    let law = self.declare(index, Binding::Val(i)).and_then(|()| self.law_expr(body));
                    self.env.pop();
                    out.push(law?);
                }
                Ok(out)
            }
            _ => Err(Diagnostic::new(e.span, "the components of a mixture are a list of laws")
                .help("write `[normal(a, s), normal(b, s)]` or `[normal(m[k], s) for k in 1:K]`")),
        }
    }

    /// Sizes that are written in the type of an argument; they may use data, consts and the arguments before it.
    fn check_sizes(&mut self, f: &str, a: &crate::dsl::ast::Arg, dims: &[usize], span: Span) -> Res<()> {
        let named = match &a.ty.base {
            BaseType::Named { dims, .. } => &dims[..],
            _ => &[],
        };
        // One size can stand for two axes (`corr_matrix[k]`): the last is repeated.
        let written: Vec<&Option<Expr>> = a.ty.array.iter().chain(named).collect();
        for (k, n) in dims.iter().enumerate() {
            let Some(Some(e)) = written.get(k).or(written.last()) else { continue };
            let v = self.expr(e)?;
            let size = self.known_int(e.span, &v, "a size")?;
            if size != *n as i64 {
                return Err(Diagnostic::new(
                    span,
                    format!(
                        "axis {} of argument `{}` of `{f}` has size {size} by its type, {n} here",
                        k + 1,
                        a.name.name
                    ),
                )
                .note(a.name.span, "declared here"));
            }
        }
        Ok(())
    }

    /// Checks a value against the declared type of a function argument.
    fn check_argument(&mut self, f: &str, a: &crate::dsl::ast::Arg, v: &Val, span: Span) -> Res<()> {
        let rank = super::types::declared_rank(&a.ty);
        if rank != v.dims.len() {
            return Err(Diagnostic::new(
                span,
                format!(
                    "argument `{}` of `{f}` has {rank} {}, found {}",
                    a.name.name,
                    if rank == 1 { "axis" } else { "axes" },
                    v.type_name()
                ),
            )
            .note(a.name.span, "declared here"));
        }
        if matches!(a.ty.base, BaseType::Int) && !v.int {
            return Err(Diagnostic::new(
                span,
                format!("argument `{}` of `{f}` is int, found {}", a.name.name, v.type_name()),
            )
            .note(a.name.span, "declared here"));
        }
        Ok(())
    }
}
