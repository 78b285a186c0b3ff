//! Laws in use: their arguments, truncation, censoring and mixtures; densities of values.

use super::{Lower, Res};
use crate::dist::{self, Law, Limit};
use crate::dsl::ast::{Bounds, Call, Dist, Expr, ExprKind};
use crate::dsl::diagnostic::{Diagnostic, did_you_mean};
use crate::dsl::span::Span;
use crate::model::site::{Note, NoteKind};
use crate::model::value::Val;

/// A law with its arguments evaluated.
#[derive(Clone)]
pub enum LawUse {
    /// A law of the registry, perhaps truncated.
    Plain {
        /// The law.
        law: &'static dyn Law,
        /// Its arguments.
        args: Vec<Val>,
        /// Truncation from below (integers inclusive).
        lower: Option<Val>,
        /// Truncation from above (inclusive).
        upper: Option<Val>,
        /// Place.
        span: Span,
    },
    /// A hidden choice per event.
    Mixture {
        /// Weights that sum to 1.
        weights: Val,
        /// Components.
        parts: Vec<LawUse>,
        /// Truncation from below (integers inclusive).
        lower: Option<Val>,
        /// Truncation from above (inclusive).
        upper: Option<Val>,
        /// Place.
        span: Span,
    },
    /// Values at or beyond a bound count the mass there.
    Censored {
        /// The law of the value behind.
        law: Box<LawUse>,
        /// Values at or below it are censored.
        lower: Option<Val>,
        /// Values at or above it are censored.
        upper: Option<Val>,
        /// Place.
        span: Span,
    },
}

impl LawUse {
    /// Place of the law in the file.
    pub fn span(&self) -> Span {
        match self {
            LawUse::Plain { span, .. } | LawUse::Mixture { span, .. } | LawUse::Censored { span, .. } => *span,
        }
    }

    /// Law that decides event shape and support.
    pub fn leading(&self) -> &'static dyn Law {
        match self {
            LawUse::Plain { law, .. } => *law,
            LawUse::Mixture { parts, .. } => parts[0].leading(),
            LawUse::Censored { law, .. } => law.leading(),
        }
    }

    /// Name of the law, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            LawUse::Plain { law, .. } => law.name(),
            LawUse::Mixture { .. } => "mixture",
            LawUse::Censored { .. } => "censored",
        }
    }

    /// The ends of a truncation.
    pub fn bounds(&self) -> [Option<&Val>; 2] {
        match self {
            LawUse::Plain { lower, upper, .. } | LawUse::Mixture { lower, upper, .. } => {
                [lower.as_ref(), upper.as_ref()]
            }
            LawUse::Censored { .. } => [None, None],
        }
    }

    /// True for a truncated law.
    pub fn is_truncated(&self) -> bool {
        self.bounds().iter().any(|b| b.is_some())
    }

    /// The law cut at these ends and no others; censored ones have none.
    pub fn with_bounds(&self, ends: [Option<Val>; 2]) -> LawUse {
        let mut out = self.clone();
        if let LawUse::Plain { lower, upper, .. } | LawUse::Mixture { lower, upper, .. } = &mut out {
            [*lower, *upper] = ends;
        }
        out
    }

    /// True where some values have a probability because others are moved there.
    pub fn is_censored(&self) -> bool {
        match self {
            LawUse::Plain { .. } => false,
            LawUse::Mixture { parts, .. } => parts.iter().any(|p| p.is_censored()),
            LawUse::Censored { .. } => true,
        }
    }

    /// All values that the density reads.
    pub fn values(&self) -> Vec<&Val> {
        match self {
            LawUse::Plain { args, lower, upper, .. } => args.iter().chain(lower).chain(upper).collect(),
            LawUse::Mixture { weights, parts, lower, upper, .. } => {
                let mut v = vec![weights];
                v.extend(parts.iter().flat_map(|p| p.values()));
                v.extend(lower.iter().chain(upper));
                v
            }
            LawUse::Censored { law, lower, upper, .. } => {
                let mut v = law.values();
                v.extend(lower.iter().chain(upper));
                v
            }
        }
    }
}

impl Lower<'_> {
    /// The law after `~`.
    pub fn law_use(&mut self, d: &Dist) -> Res<LawUse> {
        self.law_from(&d.law, &d.bounds)
    }

    /// A law as an element of a list or an argument.
    pub fn law_expr(&mut self, e: &Expr) -> Res<LawUse> {
        match &e.kind {
            ExprKind::Call(c) => self.law_from(c, &Bounds::default()),
            ExprKind::Truncated { law, bounds } => self.law_from(law, bounds),
            _ => Err(Diagnostic::new(e.span, "expected a law such as `normal(0, 1)`")),
        }
    }

    fn law_from(&mut self, c: &Call, bounds: &Bounds) -> Res<LawUse> {
        let use_ = match c.name.name.as_str() {
            "mixture" => self.mixture(c)?,
            "censored" => self.censored(c)?,
            name => {
                let law = dist::law(name).ok_or_else(|| unknown_law(c))?;
                let args = self.arguments(c)?;
                self.plain_law(c.span, law, args)?
            }
        };
        if bounds.is_empty() {
            return Ok(use_);
        }
        let mut ends = [None, None];
        for (end, e) in ends.iter_mut().zip([&bounds.lower, &bounds.upper]) {
            if let Some(e) = e {
                *end = Some(self.expr(e)?);
            }
        }
        self.truncated(&use_, [ends[0].as_ref(), ends[1].as_ref()])
    }

    /// A law of the registry with checked arguments.
    pub fn plain_law(&self, span: Span, law: &'static dyn Law, args: Vec<Val>) -> Res<LawUse> {
        let params = law.params();
        if args.len() != params.len() {
            let names: Vec<&str> = params.iter().map(|p| p.name).collect();
            return Err(Diagnostic::new(
                span,
                format!(
                    "`{}` takes {} argument{}, found {}",
                    law.name(),
                    params.len(),
                    if params.len() == 1 { "" } else { "s" },
                    args.len()
                ),
            )
            .help(format!("write `{}({})`", law.name(), names.join(", "))));
        }
        for (p, a) in params.iter().zip(&args) {
            if a.dims.len() < p.event_rank {
                let kind = ["a number", "a vector", "a matrix"][p.event_rank];
                return Err(Diagnostic::new(span, format!("argument `{}` of `{}` is {kind}", p.name, law.name()))
                    .label(format!("found {}", a.type_name())));
            }
            if p.integer && !a.int {
                return Err(Diagnostic::new(span, format!("argument `{}` of `{}` is an integer", p.name, law.name()))
                    .label("found a real value"));
            }
        }
        Ok(LawUse::Plain { law, args, lower: None, upper: None, span })
    }

    fn mixture(&mut self, c: &Call) -> Res<LawUse> {
        let [w, list] = &c.args[..] else {
            return Err(Diagnostic::new(c.span, "`mixture` takes weights and a list of laws")
                .help("write `mixture([w, 1 - w], [normal(a, s), normal(b, s)])`"));
        };
        let weights = self.expr(&w.value)?;
        let parts = self.law_list(&list.value)?;
        if weights.dims.last() != Some(&parts.len()) {
            return Err(Diagnostic::new(
                c.span,
                format!("{} components, but weights of shape {:?}", parts.len(), weights.dims),
            ));
        }
        if parts.is_empty() {
            return Err(Diagnostic::new(c.span, "a mixture of no components"));
        }
        let kind = |p: &LawUse| (p.leading().is_discrete(), p.leading().event_rank());
        if let Some(other) = parts.iter().find(|p| kind(p) != kind(&parts[0])) {
            let (a, b) = (parts[0].leading(), other.leading());
            let what = if a.is_discrete() != b.is_discrete() {
                "integers and of real numbers"
            } else {
                "numbers and of arrays"
            };
            return Err(Diagnostic::new(
                other.span(),
                format!("a mixture of laws of {what}: `{}` and `{}`", a.name(), b.name()),
            )
            .label("all components have values of one kind and shape"));
        }
        Ok(LawUse::Mixture { weights, parts, lower: None, upper: None, span: c.span })
    }

    fn censored(&mut self, c: &Call) -> Res<LawUse> {
        let mut ends = [None, None];
        let first = c.args.first().filter(|a| a.name.is_none());
        let first = first.ok_or_else(|| {
            Diagnostic::new(c.span, "`censored` takes a law and bounds")
                .help("write `censored(normal(m, s), upper = c)`")
        })?;
        for a in &c.args[1..] {
            match a.name.as_ref().map(|n| n.name.as_str()) {
                Some("lower") => ends[0] = Some(self.expr(&a.value)?),
                Some("upper") => ends[1] = Some(self.expr(&a.value)?),
                _ => return Err(Diagnostic::new(a.value.span, "`censored` takes `lower =` and `upper =`")),
            }
        }
        let law = Box::new(self.law_expr(&first.value)?);
        let [lower, upper] = ends;
        Ok(LawUse::Censored { law, lower, upper, span: c.span })
    }

    /// Records a remark once.
    pub fn note(&mut self, kind: NoteKind, span: Span, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.iter().any(|n| n.span == span && n.text == text) {
            self.notes.push(Note { kind, span, text });
        }
    }

    /// A limit of a support as a value; `None` where there is none.
    pub fn limit(&self, limit: Limit, args: &[Val]) -> Option<Val> {
        match limit {
            Limit::None => None,
            Limit::Fixed(x) => Some(Val { int: x.fract() == 0.0, ..Val::number(x) }),
            Limit::Arg(k) => Some(args[k].clone()),
            Limit::SizeOf(k) => Some(Val::integer(args[k].dims.last().copied().unwrap_or(0))),
            Limit::SizePlusOne(k) => Some(Val::integer(args[k].dims.last().copied().unwrap_or(0) + 1)),
        }
    }
}

fn unknown_law(c: &Call) -> Diagnostic {
    let d = Diagnostic::new(c.name.span, format!("there is no law `{}`", c.name.name));
    let names = dist::all().iter().map(|l| l.name()).chain(["mixture", "censored"]);
    match did_you_mean(&c.name.name, names) {
        Some(n) => d.help(format!("did you mean `{n}`?")),
        None => d.help("docs/laws.md lists the laws"),
    }
}
