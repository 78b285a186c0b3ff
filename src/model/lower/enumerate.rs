//! Discrete latents: they have no coordinates, their states are enumerated (rules 27 and 28).

use super::dist::LawUse;
use super::env::Binding;
use super::latent::Ty;
use super::{Lower, Res};
use crate::dsl::ast::{Dist, Ident, Slot};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::Index;
use crate::model::level::LevelId;
use crate::model::site::{Discrete, Factor, FactorKind};
use crate::model::value::Val;

impl Lower<'_> {
    /// The states of a discrete latent: the law's support within the declared bounds.
    fn states(&mut self, use_: &LawUse, ty: &Ty, span: Span) -> Res<(i64, usize)> {
        use crate::dist::Support;
        let law = use_.leading();
        let mut ends = [None, None];
        if let (Support::Interval(low, high), LawUse::Plain { args, lower, upper, .. }) = (law.support(), use_) {
            let suffix = [lower, upper];
            for (k, limit) in [low, high].into_iter().enumerate() {
                let own = self.limit(limit, args);
                let all = [own.as_ref(), suffix[k].as_ref(), [&ty.lower, &ty.upper][k].as_ref()];
                for v in all.into_iter().flatten() {
                    let Some(c) = v.known() else {
                        return Err(Diagnostic::new(span, "the number of states must not depend on latents"));
                    };
                    for x in c.iter() {
                        let e = ends[k].get_or_insert(*x);
                        *e = if k == 0 { e.max(*x) } else { e.min(*x) };
                    }
                }
            }
        }
        match ends {
            [Some(a), Some(b)] if b >= a => Ok((a as i64, (b - a) as usize + 1)),
            _ => Err(Diagnostic::new(span, format!("`{}` has infinitely many values, so it cannot be summed out", law.name()))
                .help("give the latent two bounds: `int<lower=0, upper=50>`")),
        }
    }

    /// `latent z[: T] ~ law` for a law of integers.
    pub fn enumerated(&mut self, id: &Ident, use_: &LawUse, ty: &Ty) -> Res<()> {
        let (lower, states) = self.states(use_, ty, use_.span())?;
        let rows = self.levels.len(self.here);
        let count = rows * ty.dims.iter().product::<usize>();
        let site = self.discrete.len();
        self.discrete.push(Discrete {
            name: id.name.clone(),
            span: id.span,
            level: self.here,
            dims: ty.dims.clone(),
            lower,
            states,
            filled: vec![true; count],
        });
        let elements: Vec<u32> = (0..count as u32).collect();
        if ty.dims.is_empty() {
            let z = self.enumerated_value(site, self.here, &elements);
            self.enumerated_factor(id, use_, &z)?;
        } else {
            self.array_factor(id, use_, site, &elements, &ty.dims)?;
        }
        self.declare(id, Binding::Discrete(site))
    }

    /// Each element of an array of discrete latents is a row of its own.
    fn array_factor(&mut self, id: &Ident, use_: &LawUse, site: usize, elements: &[u32], dims: &[usize]) -> Res<()> {
        let outer = self.here;
        let rows = self.levels.len(outer);
        let n: usize = dims.iter().product();
        if use_.values().iter().any(|v| v.dims.len() > 1) {
            return Err(Diagnostic::new(id.span, "an array of discrete latents with arguments that are arrays")
                .help("declare it in a plate, one latent per row"));
        }
        self.here = self.levels.open(outer, &vec![n; rows], crate::model::level::BaseKind::Plate);
        let z = self.enumerated_value(site, self.here, elements);
        let done = self.enumerated_factor(id, use_, &z);
        self.here = outer;
        done
    }

    fn enumerated_factor(&mut self, id: &Ident, use_: &LawUse, z: &Val) -> Res<()> {
        let here = self.here;
        let value = self.log_density(use_, z)?;
        let level = self.levels.with_axes(here, value.level);
        let value = self.lift(&value, level, &[]);
        self.factors.push(Factor { value, kind: FactorKind::Prior, span: id.span, about: id.name.clone() });
        Ok(())
    }

    /// The states of elements of a site, one element per row of a level.
    pub fn enumerated_value(&mut self, site: usize, at: LevelId, elements: &[u32]) -> Val {
        let (lower, states) = (self.discrete[site].lower, self.discrete[site].states);
        let level = self.levels.enumerate(at, site, elements.to_vec().into(), states);
        let data: Vec<f64> = (0..elements.len() * states).map(|j| (lower + (j % states) as i64) as f64).collect();
        Val { level, int: true, ..Val::constant(data, vec![]) }
    }

    /// `latent z: T` with integer type, to be filled.
    pub fn declare_enumerated(&mut self, id: &Ident, ty: &Ty) -> Res<()> {
        let rows = self.levels.len(self.here);
        let count = rows * ty.dims.iter().product::<usize>();
        let bound = |v: &Option<Val>| v.as_ref().and_then(|v| v.known_uniform());
        let (lower, states) = match (bound(&ty.lower), bound(&ty.upper)) {
            (Some(a), Some(b)) if b >= a => (a as i64, (b - a) as usize + 1),
            // Known from the first law that fills it.
            _ => (0, 0),
        };
        self.discrete.push(Discrete {
            name: id.name.clone(),
            span: id.span,
            level: self.here,
            dims: ty.dims.clone(),
            lower,
            states,
            filled: vec![false; count],
        });
        self.declare(id, Binding::Discrete(self.discrete.len() - 1))
    }

    /// `latent z[i] ~ law` for a law of integers.
    pub fn fill_enumerated(&mut self, d: usize, id: &Ident, slots: &[Slot], dist: &Dist) -> Res<()> {
        if self.lets {
            return Ok(());
        }
        let (dims, level) = (self.discrete[d].dims.clone(), self.discrete[d].level);
        let p = self.positions(dist.span, &id.name, &dims, slots)?;
        if !p.dims.is_empty() {
            return Err(Diagnostic::new(dist.span, "discrete latents are filled one element at a time"));
        }
        let here = self.here;
        let index = self.flat_index(level, dims.iter().product(), &p, here);
        let elements: Vec<u32> = (0..index.len()).map(|j| index.at(j) as u32).collect();
        if self.discrete[d].states == 0 {
            return Err(Diagnostic::new(id.span, format!("the type of `{}` needs two bounds", id.name))
                .help("write `array[N] int<lower=1, upper=K>`"));
        }
        for &e in &elements {
            if std::mem::replace(&mut self.discrete[d].filled[e as usize], true) {
                return Err(Diagnostic::new(dist.span, format!("an element of `{}` is filled twice", id.name)));
            }
        }
        let use_ = self.law_use(dist)?;
        let z = self.enumerated_value(d, here, &elements);
        self.enumerated_factor(id, &use_, &z)
    }

    /// Reads a discrete latent: all its states, at a level with an axis for it.
    pub fn read_discrete(&mut self, d: usize, span: Span, slots: &[Slot]) -> Res<Val> {
        let (name, dims, level) = {
            let s = &self.discrete[d];
            (s.name.clone(), s.dims.clone(), s.level)
        };
        let p = self.positions(span, &name, &dims, slots)?;
        if !p.dims.is_empty() {
            return Err(Diagnostic::new(span, format!("`{name}` is summed out: read its elements one at a time"))
                .help(format!("index it: `{name}[n]`")));
        }
        let to = self.levels.join(level, p.level).ok_or_else(|| {
            Diagnostic::new(span, format!("`{name}` belongs to rows of another plate"))
        })?;
        let index: Index = self.flat_index(level, dims.iter().product(), &p, to);
        let elements: Vec<u32> = (0..index.len()).map(|j| index.at(j) as u32).collect();
        Ok(self.enumerated_value(d, to, &elements))
    }

    /// After its plate, a row's discrete latent is an array with the plate's axis in front.
    pub fn collapse_discrete(&mut self, d: usize, level: LevelId, n: usize) {
        if self.discrete[d].level == level {
            let parent = self.levels.parent(level);
            self.discrete[d].level = parent;
            self.discrete[d].dims.insert(0, n);
        }
    }
}
