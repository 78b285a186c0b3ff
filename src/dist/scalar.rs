//! Laws of one number as tables of functions, behind the contract of all laws.

use super::domain::{in_domain, limit};
use super::expr::{Expr, write};
use super::law::{Domain, Law, Limit, Param, Support, Value};
use crate::base::rng::Stream;
use crate::graph::{Graph, Var};

/// A function of the value and the arguments, as an expression.
pub(super) type Formula = for<'s> fn(Expr<'s>, &[Expr<'s>]) -> Expr<'s>;

/// A law of one number. `lcdf`, `lccdf`, `cdf` hold inside the support, discrete ones below its end.
pub(super) struct ScalarLaw {
    pub name: &'static str,
    pub formula: &'static str,
    pub params: &'static [Param],
    pub support: (Limit, Limit),
    pub discrete: bool,
    pub proper: bool,
    pub location_scale: Option<(usize, usize)>,
    pub lpdf: Formula,
    pub lcdf: Option<Formula>,
    pub lccdf: Option<Formula>,
    pub cdf: Option<fn(f64, &[f64]) -> f64>,
    pub draw: fn(&mut Stream, &[f64]) -> f64,
}

impl ScalarLaw {
    /// What most laws share; every law replaces name, formula, density and draw.
    pub const BASE: ScalarLaw = ScalarLaw {
        name: "",
        formula: "",
        params: &[],
        support: (Limit::None, Limit::None),
        discrete: false,
        proper: true,
        location_scale: None,
        lpdf: |y, _| y,
        lcdf: None,
        lccdf: None,
        cdf: None,
        draw: |_, _| f64::NAN,
    };

    /// A cumulative function continued over the whole line: `below` and `above` the support.
    fn continued(&self, g: &mut Graph, y: Var, args: &[Var], f: Formula, (below, above): (f64, f64)) -> Var {
        let (lower, upper) = self.support;
        write(g, y, args, |y, args| {
            let mut r = f(y, args);
            if let Some(l) = limit_expr(lower, y, args) {
                r = y.lt(l).choose(below, r);
            }
            if let Some(u) = limit_expr(upper, y, args) {
                r = y.lt(u).choose(r, above);
            }
            r.spread_over(&[&[y], args].concat())
        })
    }
}

fn limit_expr<'s>(l: Limit, y: Expr<'s>, args: &[Expr<'s>]) -> Option<Expr<'s>> {
    match l {
        Limit::Fixed(x) => Some(y.number(x)),
        Limit::Arg(k) => Some(args[k]),
        Limit::None | Limit::SizeOf(_) | Limit::SizePlusOne(_) => None,
    }
}

impl Law for ScalarLaw {
    fn name(&self) -> &'static str {
        self.name
    }

    fn formula(&self) -> &'static str {
        self.formula
    }

    fn params(&self) -> &'static [Param] {
        self.params
    }

    fn is_discrete(&self) -> bool {
        self.discrete
    }

    fn support(&self) -> Support {
        Support::Interval(self.support.0, self.support.1)
    }

    fn is_proper(&self) -> bool {
        self.proper
    }

    fn location_scale(&self) -> Option<(usize, usize)> {
        self.location_scale
    }

    fn lpdf(&self, g: &mut Graph, y: Var, args: &[Var]) -> Var {
        write(g, y, args, |y, args| (self.lpdf)(y, args).spread_over(&[&[y], args].concat()))
    }

    fn lcdf(&self, g: &mut Graph, y: Var, args: &[Var]) -> Option<Var> {
        let f = self.lcdf?;
        Some(self.continued(g, y, args, f, (f64::NEG_INFINITY, 0.0)))
    }

    fn lccdf(&self, g: &mut Graph, y: Var, args: &[Var]) -> Option<Var> {
        let f = self.lccdf?;
        Some(self.continued(g, y, args, f, (0.0, f64::NEG_INFINITY)))
    }

    fn cdf(&self, y: f64, args: &[f64]) -> Option<f64> {
        let f = self.cdf?;
        let y = if self.discrete { y.floor() } else { y };
        Some(if limit(self.support.0, args).is_some_and(|l| y < l) {
            0.0
        } else if limit(self.support.1, args).is_some_and(|u| y >= u) {
            1.0
        } else {
            f(y, args)
        })
    }

    fn sample(&self, rng: &mut Stream, args: &[Value<'_>], out: &mut [f64]) {
        let valid = self.params.iter().zip(args).all(|(p, a)| in_domain(p, a));
        let mut numbers = [0.0; MOST_ARGS];
        for (x, a) in numbers.iter_mut().zip(args) {
            *x = a.number();
        }
        for y in out {
            *y = if valid { (self.draw)(rng, &numbers[..args.len()]) } else { f64::NAN };
        }
    }
}

/// No law of one number has more arguments.
const MOST_ARGS: usize = 4;

/// An argument of event rank 0.
const fn number(name: &'static str, domain: Domain) -> Param {
    Param { name, event_rank: 0, integer: false, domain }
}

/// Any number.
pub(super) const fn real(name: &'static str) -> Param {
    number(name, Domain::Real)
}

/// A number above 0.
pub(super) const fn positive(name: &'static str) -> Param {
    number(name, Domain::Positive)
}

/// A probability.
pub(super) const fn unit(name: &'static str) -> Param {
    number(name, Domain::UnitInterval)
}

/// A number, 0 or above.
pub(super) const fn nonnegative(name: &'static str) -> Param {
    number(name, Domain::NonNegative)
}

/// A count, 0 or above.
pub(super) const fn count(name: &'static str) -> Param {
    Param { integer: true, ..number(name, Domain::NonNegative) }
}
