//! Coordinates of latents that are declared first and filled by statements.

use super::dist::LawUse;
use super::fill::{EMPTY, Filled};
use super::index::Positions;
use super::latent::{Chart, interval_name};
use super::types::Ty;
use super::{Lower, Mode, Res};
use crate::dsl::ast::{Dist, Ident, Slot};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Index, Shape, Spread, Var};
use crate::model::level::ROOT;
use crate::model::site::{NoteKind, Site};
use crate::model::transform::Structure;
use crate::model::value::{Home, Val};

/// What the first walk learns of a filled latent.
#[derive(Clone, Debug, Default)]
pub struct FillPlan {
    /// Elements that have a law, ascending: one coordinate each, where they are numbers.
    pub elements: Vec<u32>,
    /// What the elements are together, where the type or the laws say so.
    pub structure: Option<Structure>,
    /// Limits shared by all fills, where they are known numbers and no fill is noncentred.
    pub limits: Option<[f64; 2]>,
    fills: usize,
}

fn known_limits(ends: [&Option<Val>; 2]) -> Option<[f64; 2]> {
    let none = [f64::NEG_INFINITY, f64::INFINITY];
    let mut out = none;
    for k in 0..2 {
        if let Some(e) = ends[k] {
            out[k] = e.known_uniform()?;
        }
    }
    Some(out)
}

impl Lower<'_> {
    /// Coordinates at the declaration: all elements in the first walk, the planned ones in the second.
    pub fn declare_coordinates(&mut self, id: &Ident, ty: &Ty, filled: &mut Filled) -> Res<()> {
        let plan = self.plan.get(&id.name).cloned();
        // A latent that nothing fills has a plan too: that of no element.
        self.planned.entry(id.name.clone()).or_default();
        let elements = match &plan {
            Some(p) => p.elements.clone(),
            None => (0..filled.slots.len() as u32).collect(),
        };
        let n = elements.len();
        let planned = plan.as_ref().map(|p| (p.structure, p.limits));
        let (value, input, constraint) = match planned {
            Some((Some(s), _)) if !self.constrained => {
                let event = &ty.dims[ty.dims.len() - s.event_rank()..];
                let values = n / event.iter().product::<usize>().max(1);
                let input = self.coordinate_input(id, values * s.free_dim(event));
                let x = self.structure(&id.name, s, input, ROOT, &[&[values], event].concat(), id.span)?;
                (Some(x), input, s.name().to_string())
            }
            Some((None, limits)) if !self.constrained => {
                let input = self.coordinate_input(id, n);
                let u = Val { home: Home::Var(input), dims: vec![n], level: ROOT, int: false };
                let ends = limits.map(|l| l.map(|x| x.is_finite().then(|| Val::number(x))));
                let x = ends.map(|ends| self.interval(&id.name, &u, ends, id.span)).transpose()?;
                (x, input, interval_name(&limits.map_or([None, None], |l| l.map(Some))))
            }
            _ => {
                let input = self.coordinate_input(id, n);
                let u = Val { home: Home::Var(input), dims: vec![n], level: ROOT, int: false };
                (Some(u), input, String::new())
            }
        };
        if let Some(x) = &value {
            filled.push(x, n);
            for (c, e) in elements.iter().enumerate() {
                filled.slots[*e as usize] = c as u32;
            }
        }
        let all = n == filled.slots.len();
        let dims = self.site_dims(&ty.dims).filter(|_| all).unwrap_or_else(|| vec![n]);
        let node = value.map_or(input, |x| self.node(&x));
        self.sites.push(Site {
            name: id.name.clone(),
            span: id.span,
            input,
            free: self.g.shape(input).count(),
            value: self.g.reshape(node, Shape::new(&dims)),
            dims: if all { dims } else { self.site_dims(&ty.dims).unwrap_or_default() },
            filled: (!all).then_some(elements),
            elementwise: planned.is_none_or(|p| p.0.is_none()),
            law: String::new(),
            constraint,
            base: self.levels.base_id(self.here),
        });
        Ok(())
    }

    fn coordinate_input(&mut self, id: &Ident, free: usize) -> Var {
        self.g.input(&id.name, Shape::new(&[free]), Spread::Particle)
    }

    /// `latent x[i] ~ law` for a latent with coordinates, or one that is drawn.
    pub fn fill_latent(&mut self, at: usize, id: &Ident, slots: &[Slot], dist: &Dist) -> Res<()> {
        if self.lets && (self.constrained || !dist.noncentred) && matches!(self.mode, Mode::Density) {
            return Ok(());
        }
        let use_ = self.law_use(dist)?;
        let targets = self.fill_targets(at, dist.span, slots)?;
        self.whole_values(at, &use_, &targets)?;
        if let Mode::Simulate { .. } = self.mode {
            let v = self.drawn_fill(id, &use_, at, &targets)?;
            return self.fill(at, dist.span, &targets, &v);
        }
        if use_.leading().is_discrete() {
            return Err(Diagnostic::new(dist.span, format!("`{}` is declared real, the law is of integers", id.name)));
        }
        let ty = {
            let f = self.filled[at].latent.as_ref().map(|l| l.ty.clone());
            let t = f.ok_or_else(|| Diagnostic::new(id.span, "not a latent"))?;
            Ty { dims: targets.dims.clone(), ..t }
        };
        let (chart, use_) = self.chart(use_, &ty)?;
        if dist.noncentred && matches!(chart, Chart::Structured(_)) {
            return Err(Diagnostic::new(dist.span, "`noncentred` is for location-scale laws of numbers"));
        }
        if !self.lets {
            self.record(at, id, &targets, dist, &chart)?;
        }
        let Some(plan) = self.plan.get(&id.name).cloned() else {
            return Ok(());
        };
        let (lower, upper) = match chart {
            Chart::Interval { lower, upper } => (lower, upper),
            Chart::Structured(s) => {
                let x = self.read_elements(at, dist.span, &targets.table, targets.level, targets.dims.clone())?;
                self.prior(&id.name, &use_, &x, dist.span)?;
                return self.order_constant(&id.name, s, &use_, &ty, dist.span);
            }
        };
        if plan.limits.is_some() || self.constrained {
            let x = self.read_elements(at, dist.span, &targets.table, targets.level, targets.dims.clone())?;
            return self.prior(&id.name, &use_, &x, dist.span);
        }
        self.fill_by_chart(at, id, &use_, [lower, upper], &targets, &plan, dist)
    }

    fn record(&mut self, at: usize, id: &Ident, targets: &Positions, dist: &Dist, chart: &Chart) -> Res<()> {
        let (limits, structure) = match chart {
            Chart::Interval { lower, upper } => (known_limits([lower, upper]).filter(|_| !dist.noncentred), None),
            Chart::Structured(s) => (None, Some(*s)),
        };
        let given = &mut self.filled[at].latent.as_mut().expect("a latent").given;
        // Each element is looked at and marked, so that one that comes twice in this statement shows too.
        if targets.table.iter().any(|e| std::mem::replace(&mut given[*e as usize], true)) {
            return Err(Diagnostic::new(dist.span, format!("an element of `{}` is filled twice", id.name))
                .help("each element gets its law from exactly one statement"));
        }
        let plan = self.planned.entry(id.name.clone()).or_default();
        if plan.fills > 0 && plan.structure != structure {
            let [a, b] = [plan.structure, structure].map(|s| s.map_or("real", |s| s.name()));
            let message = format!("`{}` is filled with values of type {a} and of type {b}", id.name);
            return Err(Diagnostic::new(dist.span, message).help("declare an array for each"));
        }
        plan.structure = structure;
        plan.elements.extend(&targets.table);
        plan.limits = if plan.fills == 0 { limits } else { plan.limits.filter(|l| Some(*l) == limits) };
        plan.fills += 1;
        Ok(())
    }

    fn fill_by_chart(
        &mut self,
        at: usize,
        id: &Ident,
        use_: &LawUse,
        ends: [Option<Val>; 2],
        targets: &Positions,
        plan: &FillPlan,
        dist: &Dist,
    ) -> Res<()> {
        let site = self.filled[at].latent.as_ref().expect("a latent").site;
        let all = self.sites[site].input;
        let coordinate = |e: &u32| plan.elements.binary_search(e).map(|c| c as u32).unwrap_or(EMPTY);
        let table: Vec<u32> = targets.table.iter().map(coordinate).collect();
        let shape = self.shape(targets.level, &targets.dims);
        let u = self.g.gather(all, Index::from_table(table), shape);
        let u = Val { home: Home::Var(u), dims: targets.dims.clone(), level: targets.level, int: false };
        let done = self.prefilled.contains(&at);
        if !dist.noncentred {
            let x = self.interval(&id.name, &u, ends, dist.span)?;
            self.prior(&id.name, use_, &x, dist.span)?;
            return self.fill(at, dist.span, targets, &x);
        }
        if ends.iter().any(|e| e.is_some()) {
            if self.lets || done || self.step.is_some() {
                return Err(self.bounded_fill(dist.span));
            }
            let x = self.noncentred(&id.name, use_, u, ends, dist.span)?;
            return self.fill(at, dist.span, targets, &x);
        }
        let (mean, scale, standard) = self.location_scale(use_, dist.span)?;
        if !self.lets {
            self.prior(&id.name, &standard, &u, dist.span)?;
        }
        if done {
            return Ok(());
        }
        let x = self.elementwise(dist.span, &[&mean, &scale, &u], false, &mut |g, v| {
            let p = g.mul(v[1], v[2]);
            g.add(v[0], p)
        })?;
        if self.step.as_ref().is_some_and(|s| s.carries(at)) {
            return self.fill_step(at, dist.span, &x);
        }
        self.fill(at, dist.span, targets, &x)
    }

    fn bounded_fill(&self, span: Span) -> Diagnostic {
        Diagnostic::new(span, "a noncentred latent that steps of a loop read must have the whole line as its support")
    }

    /// Values of the sites whose elements came from several statements.
    pub fn close_sites(&mut self) -> Res<()> {
        for at in 0..self.filled.len() {
            let Some(latent) = &self.filled[at].latent else { continue };
            if self.sites.len() <= latent.site || !matches!(self.mode, Mode::Density) || self.filled[at].int {
                continue;
            }
            let (site, span) = (latent.site, self.filled[at].span);
            let Some(plan) = self.plan.get(&self.filled[at].name).cloned() else { continue };
            let (n, all) = (plan.elements.len(), self.filled[at].slots.len());
            if n < all {
                let text = match n {
                    0 => format!(
                        "nothing gives `{}` a law: it has no coordinates and cannot be read",
                        self.filled[at].name
                    ),
                    _ => format!(
                        "{} of {all} elements of `{}` have no law and so no coordinate",
                        all - n,
                        self.filled[at].name
                    ),
                };
                self.note(NoteKind::Info, span, text);
            }
            let v = self.read_elements(at, span, &plan.elements, ROOT, vec![n])?;
            let x = self.node(&v);
            let shape = self.g.shape(self.sites[site].value);
            self.sites[site].value = self.g.reshape(x, shape);
        }
        Ok(())
    }
}
