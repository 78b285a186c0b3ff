//! Declared types: sizes and bounds evaluated.

use super::{Lower, Res};
use crate::dsl::ast::{BaseType, Expr, Ident, Type};
use crate::dsl::diagnostic::{Diagnostic, did_you_mean};
use crate::dsl::span::Span;
use crate::model::transform::Structure;
use crate::model::value::Val;

/// A declared type with its sizes evaluated.
#[derive(Clone)]
pub struct Ty {
    /// Full shape.
    pub dims: Vec<usize>,
    /// Constraint of the trailing axes.
    pub structure: Option<Structure>,
    /// Lower bound of every element.
    pub lower: Option<Val>,
    /// Upper bound of every element.
    pub upper: Option<Val>,
    /// Integers.
    pub int: bool,
}

/// Number of axes of a declared type.
pub fn declared_rank(t: &Type) -> usize {
    let base = match &t.base {
        BaseType::Int | BaseType::Real => 0,
        BaseType::Named { name, dims } => Structure::from_type(&name.name).map_or(dims.len(), |s| s.event_rank()),
    };
    t.array.len() + base
}

impl Lower<'_> {
    fn sizes(&mut self, dims: &[Option<Expr>], span: Span) -> Res<Vec<usize>> {
        let mut out = vec![];
        for d in dims {
            let e = d.as_ref().ok_or_else(|| Diagnostic::new(span, "a size is missing here"))?;
            let v = self.expr(e)?;
            let n = self.known_int(e.span, &v, "a size")?;
            out.push(
                usize::try_from(n)
                    .map_err(|_| Diagnostic::new(e.span, format!("a size must not be negative, found {n}")))?,
            );
        }
        Ok(out)
    }

    /// Evaluates a declared type.
    pub fn ty(&mut self, t: &Type) -> Res<Ty> {
        let mut dims = self.sizes(&t.array, t.span)?;
        let mut structure = None;
        match &t.base {
            BaseType::Int | BaseType::Real => {}
            BaseType::Named { name, dims: d } => {
                let declared = self.sizes(d, t.span)?;
                structure = Structure::from_type(&name.name);
                match (structure, name.name.as_str(), declared.len()) {
                    (Some(s), ..) => dims.extend(s.event_dims(&declared).map_err(|m| Diagnostic::new(t.span, m))?),
                    (None, "vector", 1) | (None, "matrix", 2) => dims.extend(declared),
                    (None, "vector" | "matrix", n) => {
                        return Err(Diagnostic::new(t.span, format!("`{}` with {n} sizes", name.name)));
                    }
                    _ => return Err(unknown_type(name)),
                }
            }
        }
        self.room(t.span, self.here, &dims)?;
        let mut ends = [None, None];
        for (end, e) in ends.iter_mut().zip([&t.bounds.lower, &t.bounds.upper]) {
            if let Some(e) = e {
                *end = Some(self.expr(e)?);
            }
        }
        let [lower, upper] = ends;
        if structure.is_some() && (lower.is_some() || upper.is_some()) {
            return Err(Diagnostic::new(t.bounds.span, "this type has its own constraint and takes no bounds"));
        }
        Ok(Ty { dims, structure, lower, upper, int: matches!(t.base, BaseType::Int) })
    }
}

fn unknown_type(name: &Ident) -> Diagnostic {
    let known = [
        "int",
        "real",
        "vector",
        "matrix",
        "array",
        "simplex",
        "ordered",
        "positive_ordered",
        "unit_vector",
        "cholesky_factor_corr",
        "corr_matrix",
        "cov_matrix",
        "cholesky_factor_cov",
    ];
    let d = Diagnostic::new(name.span, format!("there is no type `{}`", name.name));
    match did_you_mean(&name.name, known.into_iter()) {
        Some(n) => d.help(format!("did you mean `{n}`?")),
        None => d.help(format!("the types are {}", known.join(", "))),
    }
}
