//! Types, and latents: coordinates, transforms, draws.

use super::dist::LawUse;
use super::env::Binding;
use super::structured::{own_law, own_structure};
use super::types::Ty;
use super::{Lower, Mode, Res};
use crate::dist::{Limit, Support};
use crate::dsl::ast::{Dist, Ident, Type};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Shape, Spread};
use crate::model::site::{Factor, FactorKind, NoteKind, Site};
use crate::model::transform::{self, Structure};
use crate::model::value::{Home, Val};

/// How the coordinates of a latent map to its values.
pub enum Chart {
    /// Elementwise, between limits.
    Interval {
        /// Lower limit.
        lower: Option<Val>,
        /// Upper limit.
        upper: Option<Val>,
    },
    /// Several numbers at once.
    Structured(Structure),
}

impl Chart {
    /// The support, for people.
    fn name(&self) -> String {
        match self {
            Chart::Interval { lower, upper } => {
                let end = |v: &Option<Val>, none: f64| v.as_ref().map_or(Some(none), |v| v.known_uniform());
                interval_name(&[end(lower, f64::NEG_INFINITY), end(upper, f64::INFINITY)])
            }
            Chart::Structured(s) => s.name().to_string(),
        }
    }
}

/// An interval, for people; an end that is not one number is shown as `…`.
pub fn interval_name(ends: &[Option<f64>; 2]) -> String {
    if *ends == [Some(f64::NEG_INFINITY), Some(f64::INFINITY)] {
        return "real".to_string();
    }
    let show = |e: Option<f64>| e.map_or("…".to_string(), |x| x.to_string());
    format!("({}, {})", show(ends[0]), show(ends[1]))
}

impl Lower<'_> {
    /// `latent x[: T] ~ law`
    pub fn latent_draw(&mut self, id: &Ident, ty: Option<&Type>, dist: &Dist) -> Res<()> {
        let use_ = self.law_use(dist)?;
        let law = use_.leading();
        let ty = match ty {
            Some(t) => self.ty(t)?,
            None => self.untyped(&use_)?,
        };
        if law.is_discrete() != ty.int {
            let (is, not) = if law.is_discrete() { ("integers", "real") } else { ("real numbers", "int") };
            return Err(Diagnostic::new(dist.span, format!("`{}` is a law of {is}, the type says {not}", law.name())));
        }
        if let Mode::Simulate { .. } = self.mode {
            let v = self.drawn(id, &use_, &ty)?;
            self.keep_latent(&id.name, &v);
            return self.declare(id, Binding::Val(v));
        }
        if ty.int {
            return self.enumerated(id, &use_, &ty);
        }
        let v = self.coordinates(id, use_, &ty, dist)?;
        self.declare(id, Binding::Val(v))
    }

    /// Shape and kind of a latent without a type: the law's.
    pub fn untyped(&mut self, use_: &LawUse) -> Res<Ty> {
        let law = use_.leading();
        let LawUse::Plain { args, .. } = use_ else {
            return Ok(Ty { dims: vec![], structure: None, lower: None, upper: None, int: law.is_discrete() });
        };
        let name = law.name();
        if matches!(law.support(), Support::CorrMatrix | Support::CorrCholesky) || name == "flat" {
            return Err(Diagnostic::new(use_.span(), format!("a latent of `{name}` needs a type")).help(
                if name == "flat" {
                    "write `latent x: real ~ flat()`"
                } else {
                    "write `latent L: cholesky_factor_corr[k] ~ …`"
                },
            ));
        }
        let dims: Vec<&[usize]> = args.iter().map(|a| a.dims.as_slice()).collect();
        if law.event_rank() == 0 && args.iter().zip(law.params()).any(|(a, p)| a.dims.len() > p.event_rank) {
            return Err(Diagnostic::new(use_.span(), "an array given to a law of numbers")
                .help("write the type of the latent, such as `latent b: vector[K] ~ …`"));
        }
        let dims = law.event_dims(&dims);
        Ok(Ty { dims, structure: None, lower: None, upper: None, int: law.is_discrete() })
    }

    /// The chart of a law's support within the declared type, and the law restricted to it.
    pub fn chart(&mut self, use_: LawUse, ty: &Ty) -> Res<(Chart, LawUse)> {
        let span = use_.span();
        let law = use_.leading();
        if law.support() == Support::Counts {
            return Err(Diagnostic::new(span, format!("a latent of `{}` cannot be summed out", law.name())));
        }
        let structure = own_structure(law).or(ty.structure);
        if let (Some(s), Some(t)) = (structure, ty.structure)
            && s != t
        {
            return Err(Diagnostic::new(
                span,
                format!("`{}` has values of type {}, declared is {}", law.name(), s.name(), t.name()),
            ));
        }
        if let Some(s) = structure {
            let own = !matches!(law.support(), Support::Interval(..));
            let ordered = matches!(s, Structure::Ordered | Structure::PositiveOrdered);
            if !own && !ordered && law.name() != "flat" {
                return Err(Diagnostic::new(span, format!("`{}` is not a law of {}", law.name(), s.name()))
                    .help(format!("use {}`flat()`", own_law(s))));
            }
            if use_.is_truncated() {
                return Err(Diagnostic::new(span, format!("bounds after the law of a latent of type {}", s.name()))
                    .help("leave them out: the type says where the values lie"));
            }
            if let (true, Support::Interval(low, high)) = (ordered && law.name() != "flat", law.support()) {
                let fits = match low {
                    Limit::None => true,
                    Limit::Fixed(x) => x == 0.0 && s == Structure::PositiveOrdered,
                    _ => false,
                };
                if !fits || high != Limit::None {
                    return Err(Diagnostic::new(
                        span,
                        format!("`{}` does not reach all values of {}", law.name(), s.name()),
                    )
                    .help("use a law on the whole line, or `positive_ordered` for a law of positive numbers"));
                }
            }
            return Ok((Chart::Structured(s), use_));
        }
        if use_.is_censored() {
            return Err(Diagnostic::new(
                span,
                "a latent of a censored law: values at a limit have a probability there, no density",
            )
            .help("truncate the law instead, with bounds after it: `<lower=…>`"));
        }
        let suffix = use_.bounds().map(|b| b.cloned());
        let own = self.reach(&use_.with_bounds([None, None]))?;
        let declared = [ty.lower.clone(), ty.upper.clone()];
        let mut ends = [None, None];
        let mut cut = [None, None];
        for k in 0..2 {
            let tighter = self.tighter(span, &suffix[k], &declared[k], k == 0)?;
            let (end, truncates) = self.effective(span, &own[k], tighter, k == 0)?;
            cut[k] = if truncates { end.clone() } else { None };
            ends[k] = end;
        }
        if law.name() == "flat" {
            cut = [None, None];
        }
        let [lower, upper] = ends;
        Ok((Chart::Interval { lower, upper }, use_.with_bounds(cut)))
    }

    /// The tighter of two bounds.
    pub fn tighter(&mut self, span: Span, a: &Option<Val>, b: &Option<Val>, lower: bool) -> Res<Option<Val>> {
        use crate::graph::Binary::{Max, Min};
        Ok(match (a, b) {
            (Some(a), Some(b)) => {
                let op = if lower { Max } else { Min };
                Some(self.elementwise(span, &[a, b], false, &mut |g, v| g.binary(op, v[0], v[1]))?)
            }
            (a, b) => a.clone().or(b.clone()),
        })
    }

    /// The effective limit, and whether it truncates the law.
    fn effective(
        &mut self,
        span: Span,
        own: &Option<Val>,
        declared: Option<Val>,
        lower: bool,
    ) -> Res<(Option<Val>, bool)> {
        match (own, declared) {
            (o, None) => Ok((o.clone(), false)),
            (None, Some(d)) => {
                let none = if lower { f64::NEG_INFINITY } else { f64::INFINITY };
                if d.known_uniform() == Some(none) { Ok((None, false)) } else { Ok((Some(d), true)) }
            }
            (Some(o), Some(d)) => {
                if let (Some(x), Some(y)) = (o.known_uniform(), d.known_uniform()) {
                    let inside = if lower { y > x } else { y < x };
                    return Ok((Some(if inside { d } else { o.clone() }), inside));
                }
                let t = self.tighter(span, &Some(o.clone()), &Some(d), lower)?;
                Ok((t, true))
            }
        }
    }

    /// New coordinates for a latent, its value, its density and the Jacobian of its transform.
    fn coordinates(&mut self, id: &Ident, use_: LawUse, ty: &Ty, dist: &Dist) -> Res<Val> {
        let here = self.here;
        let rows = self.levels.len(here);
        let (chart, use_) = self.chart(use_, ty)?;
        let noncentred = dist.noncentred && !self.constrained;
        let (free, elementwise) = match &chart {
            Chart::Interval { .. } => (ty.dims.iter().product::<usize>(), true),
            Chart::Structured(s) => {
                let rank = s.event_rank();
                if ty.dims.len() < rank {
                    return Err(Diagnostic::new(
                        dist.span,
                        format!("a {} has {rank} axes, the type has {}", s.name(), ty.dims.len()),
                    ));
                }
                let (outer, event) = ty.dims.split_at(ty.dims.len() - rank);
                if event.contains(&0) && matches!(s, Structure::Simplex | Structure::UnitVector) {
                    return Err(Diagnostic::new(dist.span, format!("a {} of no elements", s.name()))
                        .help("its elements cannot have the sum or length 1"));
                }
                (outer.iter().product::<usize>() * s.free_dim(event), false)
            }
        };
        let constraint = chart.name();
        let as_it_is = elementwise || self.constrained;
        let free = if self.constrained { ty.dims.iter().product() } else { free };
        let shape = if as_it_is { self.shape(here, &ty.dims) } else { Shape::new(&[rows * free]) };
        let input = self.g.input(&id.name, shape, Spread::Particle);
        let u = Val { home: Home::Var(input), dims: ty.dims.clone(), level: here, int: false };
        let value = match chart {
            chart if self.constrained => {
                self.prior(&id.name, &use_, &u, dist.span)?;
                if let Chart::Structured(s) = chart {
                    self.order_constant(&id.name, s, &use_, ty, dist.span)?;
                }
                u
            }
            Chart::Interval { lower, upper } if noncentred => {
                self.noncentred(&id.name, &use_, u, [lower, upper], dist.span)?
            }
            Chart::Interval { lower, upper } => {
                let x = self.interval(&id.name, &u, [lower, upper], dist.span)?;
                self.prior(&id.name, &use_, &x, dist.span)?;
                x
            }
            Chart::Structured(_) if noncentred => {
                return Err(Diagnostic::new(dist.span, "`noncentred` is for location-scale laws of numbers"));
            }
            Chart::Structured(s) => {
                let x = self.structure(&id.name, s, input, here, &ty.dims, dist.span)?;
                self.prior(&id.name, &use_, &x, dist.span)?;
                self.order_constant(&id.name, s, &use_, ty, dist.span)?;
                x
            }
        };
        let node = self.node(&value);
        let dims = self.site_dims(&ty.dims);
        self.sites.push(Site {
            name: id.name.clone(),
            span: id.span,
            input,
            free: rows * free,
            dims: dims.unwrap_or_else(|| vec![rows * ty.dims.iter().product::<usize>()]),
            value: node,
            filled: None,
            elementwise,
            law: use_.leading().name().to_string(),
            constraint,
            base: self.levels.base_id(here),
        });
        Ok(value)
    }

    /// Shape with the sizes of the enclosing plates in front; `None` under a ragged plate.
    pub fn site_dims(&self, dims: &[usize]) -> Option<Vec<usize>> {
        let mut out = dims.to_vec();
        let mut base = self.levels.base_id(self.here);
        while base != 0 {
            let b = self.levels.base_at(base);
            out.insert(0, b.each?);
            base = b.parent;
        }
        Some(out)
    }

    /// Coordinates to values between limits; adds the log Jacobian.
    pub fn interval(&mut self, about: &str, u: &Val, ends: [Option<Val>; 2], span: Span) -> Res<Val> {
        let [lower, upper] = ends;
        if lower.is_none() && upper.is_none() {
            return Ok(u.clone());
        }
        if let (Some(l), Some(h)) = (&lower, &upper)
            && l.known().is_some()
            && h.known().is_some()
        {
            let empty =
                self.elementwise(span, &[l, h], true, &mut |g, v| g.binary(crate::graph::Binary::Le, v[1], v[0]))?;
            if empty.known().is_some_and(|c| c.contains(&1.0)) {
                return Err(Diagnostic::new(span, format!("no value of `{about}` lies between its bounds"))
                    .label("the lower bound is not below the upper one")
                    .help("check the law's limits and the bounds of the type"));
            }
        }
        let bounds: Vec<&Val> = lower.iter().chain(&upper).collect();
        let mut args = vec![u];
        args.extend(&bounds);
        if self.join(span, &args)? != u.level {
            return Err(Diagnostic::new(
                span,
                "the support of this latent depends on a discrete latent or an inner plate",
            ));
        }
        let mut jacobian = None;
        let x = self.elementwise(span, &args, false, &mut |g, v| {
            let (l, h) = match (&lower, &upper) {
                (Some(_), Some(_)) => (Some(v[1]), Some(v[2])),
                (Some(_), None) => (Some(v[1]), None),
                _ => (None, Some(v[1])),
            };
            let (x, j) = transform::interval(g, v[0], l, h);
            jacobian = j;
            x
        })?;
        if let Some(j) = jacobian {
            let j = self.g.fill_to(j, self.shape(u.level, &u.dims));
            let value = Val { home: Home::Var(j), ..u.clone() };
            self.factors.push(Factor { value, kind: FactorKind::Jacobian, span, about: about.to_string() });
        }
        Ok(x)
    }

    /// Adds the density of a latent.
    pub fn prior(&mut self, about: &str, use_: &LawUse, x: &Val, span: Span) -> Res<()> {
        if use_.leading().name() == "flat" {
            self.note(
                NoteKind::UpToConstant,
                span,
                format!("`{about} ~ flat()` is improper: the density is known up to a constant"),
            );
            return Ok(());
        }
        let value = self.log_density(use_, x)?;
        self.factors.push(Factor { value, kind: FactorKind::Prior, span, about: about.to_string() });
        Ok(())
    }
}
