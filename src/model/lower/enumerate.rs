//! Discrete latents: they have no coordinates, their states are enumerated (rules 27 and 28).

use super::conjoin::MAX_STATES;
use super::dist::LawUse;
use super::env::Binding;
use super::mass::cuts;
use super::types::Ty;
use super::{Lower, Res};
use crate::dsl::ast::{Dist, Ident, Slot};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Fold, Index, Shape};
use crate::model::level::LevelId;
use crate::model::site::{Discrete, Factor, FactorKind};
use crate::model::value::{Home, Val};

impl Lower<'_> {
    /// The states of a discrete latent: all that the law's support within the bounds allows in any row.
    fn states(&mut self, use_: &LawUse, bounds: [&Option<Val>; 2], span: Span) -> Res<(i64, usize)> {
        let own = self.reach(&use_.with_bounds([None, None]))?;
        let suffix = use_.bounds();
        let mut ends: [Option<f64>; 2] = [None, None];
        for k in 0..2 {
            for v in [own[k].as_ref(), suffix[k], bounds[k].as_ref()].into_iter().flatten() {
                let Some(c) = v.known() else {
                    return Err(Diagnostic::new(span, "the number of states must not depend on latents"));
                };
                // Over rows the widest, over sources the tightest.
                let x = c.iter().copied().reduce(if k == 0 { f64::min } else { f64::max });
                let Some(x) = x else { continue };
                ends[k] = Some(ends[k].map_or(x, |e| if k == 0 { e.max(x) } else { e.min(x) }));
            }
        }
        match ends {
            [Some(a), Some(b)] if b >= a && b - a < MAX_STATES as f64 => Ok((a as i64, (b - a) as usize + 1)),
            [Some(a), Some(b)] if b >= a => {
                let n = b - a + 1.0;
                let n = if n < 1e15 { n.to_string() } else { format!("{n:e}") };
                Err(Diagnostic::new(span, format!("this latent has {n} states, more than {MAX_STATES}"))
                    .label("all of them are summed")
                    .help("give the latent tighter bounds: `int<lower=0, upper=50>`"))
            }
            [Some(a), Some(b)] => {
                Err(Diagnostic::new(span, format!("no value of `{}` lies between {a} and {b}", use_.name()))
                    .help("check the bounds of the type and after the law"))
            }
            _ => Err(Diagnostic::new(
                span,
                format!("`{}` has infinitely many values, so it cannot be summed out", use_.name()),
            )
            .help("give the latent two bounds: `int<lower=0, upper=50>`")),
        }
    }

    /// `latent z[: T] ~ law` for a law of integers.
    pub fn enumerated(&mut self, id: &Ident, use_: &LawUse, ty: &Ty) -> Res<()> {
        let bounds = [&ty.lower, &ty.upper];
        let (lower, states) = self.states(use_, bounds, use_.span())?;
        let use_ = &self.truncated(use_, bounds.map(|b| b.as_ref()))?;
        let rows = self.levels.len(self.here);
        let count = rows * ty.dims.iter().product::<usize>();
        let site = self.discrete.len();
        self.discrete.push(Discrete {
            name: id.name.clone(),
            span: id.span,
            level: self.here,
            base: self.levels.base_id(self.here),
            dims: ty.dims.clone(),
            lower,
            states,
            filled: vec![true; count],
            bounds: [ty.lower.clone(), ty.upper.clone()],
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

    /// The mass of every state; a law cut at bounds is divided by the mass of the states between them.
    fn enumerated_factor(&mut self, id: &Ident, use_: &LawUse, z: &Val) -> Res<()> {
        let here = self.here;
        let (whole, bounds) = (use_.with_bounds([None, None]), use_.bounds());
        let mass = self.log_density(&whole, z)?;
        let mut value = self.inside(use_.span(), bounds, z, mass)?;
        let own = self.reach(&whole)?;
        if (0..2).any(|k| bounds[k].is_some_and(|b| cuts(own[k].as_ref(), b, k == 0))) {
            let axis = self.levels.axes_of(z.level)[0];
            let mass = self.over_axis(&value, axis);
            value = self.elementwise(id.span, &[&value, &mass], false, &mut |g, v| g.sub(v[0], v[1]))?;
        }
        let level = self.levels.with_axes(here, value.level);
        let value = self.lift(&value, level, &[]);
        self.factors.push(Factor { value, kind: FactorKind::Prior, span: id.span, about: id.name.clone() });
        Ok(())
    }

    /// log Σ exp over the states of an axis, for each of the states.
    fn over_axis(&mut self, v: &Val, axis: crate::model::level::AxisId) -> Val {
        let axes = self.levels.axes_of(v.level).to_vec();
        let at = axes.iter().position(|a| *a == axis).unwrap_or(0);
        let sizes: Vec<usize> = axes.iter().map(|a| self.levels.axis(*a).states).collect();
        let (n, inner) = (sizes[at], sizes[at + 1..].iter().product::<usize>());
        let len = self.levels.len(v.level);
        let outer = len / (n * inner).max(1);
        let x = self.node(v);
        let sum = self.g.fold_counts(Fold::LogSumExp, x, (outer, n, inner), Shape::new(&[outer * inner]));
        let table = (0..len).map(|j| (j / (n * inner) * inner + j % inner) as u32).collect();
        let home = Home::Var(self.g.gather(sum, Index::from_table(table), self.shape(v.level, &[])));
        Val { home, ..v.clone() }
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
            (Some(a), Some(b)) if b >= a && b - a < MAX_STATES as f64 => (a as i64, (b - a) as usize + 1),
            // Known from the first law that fills it.
            _ => (0, 0),
        };
        let bounds = [ty.lower.clone(), ty.upper.clone()];
        self.discrete.push(Discrete {
            name: id.name.clone(),
            span: id.span,
            level: self.here,
            base: self.levels.base_id(self.here),
            dims: ty.dims.clone(),
            lower,
            states,
            filled: vec![false; count],
            bounds,
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
        for &e in &elements {
            if std::mem::replace(&mut self.discrete[d].filled[e as usize], true) {
                return Err(Diagnostic::new(dist.span, format!("an element of `{}` is filled twice", id.name))
                    .help("each element gets its law from exactly one statement"));
            }
        }
        let bounds = self.discrete[d].bounds.clone();
        if self.discrete[d].states == 0 {
            self.learn_states(d, dist)?;
        }
        let use_ = self.law_use(dist)?;
        if !use_.leading().is_discrete() {
            return Err(Diagnostic::new(
                dist.span,
                format!("`{}` is a law of real numbers, `{}` is declared int", use_.leading().name(), id.name),
            ));
        }
        let hull = self.states(&use_, [&bounds[0], &bounds[1]], use_.span())?;
        let own = (self.discrete[d].lower, self.discrete[d].states);
        if hull.0 < own.0 || hull.0 + hull.1 as i64 > own.0 + own.1 as i64 {
            return Err(Diagnostic::new(
                dist.span,
                format!("this law has other states than the one that filled `{}` first", id.name),
            )
            .label(format!(
                "{}:{} here, {}:{} there",
                hull.0,
                hull.0 + hull.1 as i64 - 1,
                own.0,
                own.0 + own.1 as i64 - 1
            ))
            .help(format!("declare the bounds: `latent {}: array[…] int<lower=…, upper=…>`", id.name)));
        }
        let use_ = self.truncated(&use_, [bounds[0].as_ref(), bounds[1].as_ref()])?;
        self.in_order(d, id, &use_, &elements)?;
        let z = self.enumerated_value(d, here, &elements);
        self.enumerated_factor(id, &use_, &z)
    }

    /// The states of an array that is filled, from the first law: its arguments are looked at with one
    /// state only, for they may read the array itself.
    fn learn_states(&mut self, d: usize, dist: &Dist) -> Res<()> {
        use crate::dist::{Limit, Support};
        let low = crate::dist::law(&dist.law.name.name).map(|l| l.support());
        let first = match low {
            Some(Support::Interval(Limit::Fixed(x), _)) => x as i64,
            _ => 0,
        };
        (self.discrete[d].lower, self.discrete[d].states) = (first, 1);
        let notes = self.notes.len();
        let found = self.law_use(dist).and_then(|u| {
            let bounds = self.discrete[d].bounds.clone();
            self.states(&u, [&bounds[0], &bounds[1]], u.span())
        });
        self.notes.truncate(notes);
        (self.discrete[d].lower, self.discrete[d].states) = found?;
        Ok(())
    }

    /// A law reads only elements that earlier statements or earlier steps have filled.
    fn in_order(&mut self, d: usize, id: &Ident, use_: &LawUse, elements: &[u32]) -> Res<()> {
        let step: std::collections::HashMap<u32, usize> = elements.iter().enumerate().map(|(r, e)| (*e, r)).collect();
        let base = self.levels.base_id(self.here);
        let levels: Vec<LevelId> = use_.values().iter().map(|v| v.level).collect();
        for level in levels {
            for a in self.levels.axes_of(level).to_vec() {
                let axis = self.levels.axis(a).clone();
                if axis.site != d || !self.levels.is_ancestor(axis.base, base) {
                    continue;
                }
                let up = self.levels.ancestor_rows(axis.base, base);
                for r in 0..up.len() {
                    let e = axis.elements[up.at(r)];
                    if step.get(&e).is_some_and(|s| *s >= r) {
                        return Err(Diagnostic::new(
                            use_.span(),
                            format!("an element of `{}` is read before it has a law", id.name),
                        )
                        .label("this law reads the same element or a later one")
                        .help("fill it in an earlier statement or an earlier step"));
                    }
                }
            }
        }
        Ok(())
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
        let to = self
            .levels
            .join(level, p.level)
            .ok_or_else(|| Diagnostic::new(span, format!("`{name}` belongs to rows of another plate")))?;
        let index: Index = self.flat_index(level, dims.iter().product(), &p, to);
        let elements: Vec<u32> = (0..index.len()).map(|j| index.at(j) as u32).collect();
        if let Some(e) = elements.iter().find(|e| !self.discrete[d].filled[**e as usize]) {
            let which = super::element(&name, &dims, *e as usize % dims.iter().product::<usize>().max(1));
            return Err(Diagnostic::new(span, format!("`{which}` is read before it has a law"))
                .note(self.discrete[d].span, "declared here without a law")
                .help("fill it in an earlier statement or an earlier step"));
        }
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
