//! Names in scope.

use std::collections::HashMap;

use super::param::Network;
use super::{Lower, Res};
use crate::dsl::ast;
use crate::dsl::diagnostic::{Diagnostic, did_you_mean};
use crate::dsl::span::Span;
use crate::model::level::{LevelId, ROOT};
use crate::model::value::Val;

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Binding {
    /// A value.
    Val(Val),
    /// A data variable, by its place in `Lower::data`.
    Data(usize),
    /// An array that statements fill, by its place in `Lower::filled`.
    Filled(usize),
    /// An enumerated latent, by its place in `Lower::discrete`.
    Discrete(usize),
    /// A name that cannot be read here any more, and why.
    Gone(String),
}

/// A bound data variable.
#[derive(Clone, Debug)]
pub struct DataVar {
    /// Name.
    pub name: String,
    /// Place of the declaration.
    pub span: Span,
    /// The value; NaN where missing.
    pub value: Val,
    /// Some elements are missing.
    pub has_nulls: bool,
    /// Elements that an `observe` has as its target.
    pub observed: Vec<bool>,
    /// Values simulated so far (simulation only).
    pub simulated: Vec<f64>,
    /// Elements whose value is known: from the file, or simulated.
    pub available: Vec<bool>,
}

/// A user function.
#[derive(Clone, Copy, Debug)]
pub struct Function<'m> {
    /// Arguments.
    pub args: &'m [ast::Arg],
    /// Result type.
    pub ret: Option<&'m ast::Type>,
    /// Body.
    pub body: &'m ast::Block,
    /// Place of its name.
    pub span: Span,
}

#[derive(Clone, Debug)]
struct Entry {
    binding: Binding,
    span: Span,
    level: LevelId,
}

/// Names in scope, innermost last.
#[derive(Clone, Debug)]
pub struct Env<'m> {
    scopes: Vec<HashMap<String, Entry>>,
    /// User functions.
    pub functions: HashMap<String, Function<'m>>,
    /// Networks.
    pub networks: HashMap<String, Network>,
    /// Depth of function calls, to refuse recursion.
    pub depth: usize,
    /// Calls of functions since the outermost one began.
    pub calls: usize,
    /// Scopes below this one are hidden (inside a function, but for data and consts).
    pub barrier: usize,
}

impl Default for Env<'_> {
    fn default() -> Self {
        Env {
            scopes: vec![HashMap::new()],
            functions: HashMap::new(),
            networks: HashMap::new(),
            depth: 0,
            calls: 0,
            barrier: 0,
        }
    }
}

impl Env<'_> {
    /// Opens a scope.
    pub fn push(&mut self) {
        self.scopes.push(HashMap::new());
    }

    /// Closes the innermost scope; returns its names in no particular order.
    pub fn pop(&mut self) -> Vec<(String, Binding, Span)> {
        let scope = self.scopes.pop().unwrap_or_default();
        scope.into_iter().map(|(n, e)| (n, e.binding, e.span)).collect()
    }

    /// Number of open scopes.
    pub fn open_scopes(&self) -> usize {
        self.scopes.len()
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        let visible = self.scopes[self.barrier..].iter().rev().find_map(|s| s.get(name));
        visible.or_else(|| {
            let outer = self.scopes[..self.barrier.min(1)].iter().find_map(|s| s.get(name));
            outer.filter(|e| match &e.binding {
                Binding::Data(_) => true,
                Binding::Val(v) => v.known().is_some() && e.level == ROOT,
                _ => false,
            })
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().flat_map(|s| s.keys().map(|k| k.as_str()))
    }
}

impl Lower<'_> {
    /// Declares a name; no shadowing.
    pub fn declare(&mut self, id: &ast::Ident, binding: Binding) -> Res<()> {
        if let Some(e) = self.env.find(&id.name)
            && !matches!(e.binding, Binding::Gone(_))
        {
            return Err(Diagnostic::new(id.span, format!("`{}` is declared twice", id.name))
                .note(e.span, "first declared here")
                .help("give one of them another name"));
        }
        let entry = Entry { binding, span: id.span, level: self.here };
        if let Some(scope) = self.env.scopes.last_mut() {
            scope.insert(id.name.clone(), entry);
        }
        Ok(())
    }

    /// Replaces what a visible name stands for.
    pub fn rebind(&mut self, name: &str, binding: Binding) {
        if let Some(e) = self.env.scopes.iter_mut().rev().find_map(|s| s.get_mut(name)) {
            e.binding = binding;
        }
    }

    /// What a name stands for.
    pub fn lookup(&self, name: &str, span: Span) -> Res<Binding> {
        match self.env.find(name) {
            Some(Entry { binding: Binding::Gone(why), .. }) => {
                Err(Diagnostic::new(span, format!("`{name}` cannot be read here")).label(why.clone()))
            }
            Some(e) => Ok(e.binding.clone()),
            None => Err(self.unknown(name, span)),
        }
    }

    /// The level at which a visible name was declared.
    pub fn declared_at(&self, name: &str) -> Option<LevelId> {
        self.env.find(name).map(|e| e.level)
    }

    fn unknown(&self, name: &str, span: Span) -> Diagnostic {
        if self.env.scopes.iter().any(|s| s.contains_key(name)) {
            return Diagnostic::new(span, format!("`{name}` cannot be read inside a function"))
                .label("a function reads its arguments, data and consts")
                .help(format!("hand it over as an argument: `f(…, {name})`"));
        }
        let d =
            Diagnostic::new(span, format!("`{name}` is not declared")).label("no value of this name is in scope here");
        if super::call::is_callable(self, name) {
            return d.help(format!("`{name}` is a function: write `{name}(…)`"));
        }
        match did_you_mean(name, self.env.names()) {
            Some(n) => d.help(format!("did you mean `{n}`?")),
            None => d.help("declare it above its first use"),
        }
    }
}
