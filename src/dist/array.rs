//! Laws with array values or array arguments as tables of functions, behind the contract of all laws.

use super::domain::in_domain;
use super::law::{Domain, Law, Param, Support, Value};
use crate::base::rng::Stream;
use crate::graph::{Graph, Var};

/// A law with array values or arguments.
pub(super) struct ArrayLaw {
    pub name: &'static str,
    pub formula: &'static str,
    pub params: &'static [Param],
    pub event_rank: usize,
    pub discrete: bool,
    pub support: Support,
    /// The argument with the shape of a value.
    pub shaped_like: Option<usize>,
    /// Log density on a batch, as in the contract.
    pub lpdf: fn(&mut Graph, Var, &[Var]) -> Var,
    /// Draw from valid arguments; `None` where they do not go together.
    pub draw: fn(&mut Stream, &[Value<'_>], &mut [f64]) -> Option<()>,
}

impl Law for ArrayLaw {
    fn name(&self) -> &'static str {
        self.name
    }

    fn formula(&self) -> &'static str {
        self.formula
    }

    fn params(&self) -> &'static [Param] {
        self.params
    }

    fn event_rank(&self) -> usize {
        self.event_rank
    }

    fn is_discrete(&self) -> bool {
        self.discrete
    }

    fn support(&self) -> Support {
        self.support
    }

    fn event_dims(&self, args: &[&[usize]]) -> Vec<usize> {
        self.shaped_like.map_or(vec![], |k| args[k].to_vec())
    }

    fn lpdf(&self, g: &mut Graph, y: Var, args: &[Var]) -> Var {
        (self.lpdf)(g, y, args)
    }

    fn sample(&self, rng: &mut Stream, args: &[Value<'_>], out: &mut [f64]) {
        let valid = self.params.iter().zip(args).all(|(p, a)| in_domain(p, a));
        if !valid || (self.draw)(rng, args, out).is_none() {
            out.fill(f64::NAN);
        }
    }
}

/// An argument that is a vector.
pub(super) const fn vector(name: &'static str, domain: Domain) -> Param {
    Param { name, event_rank: 1, integer: false, domain }
}

/// An argument that is a matrix.
pub(super) const fn matrix(name: &'static str, domain: Domain) -> Param {
    Param { name, event_rank: 2, integer: false, domain }
}
