//! Latents that are declared before they are filled, and initial values of params.

use super::env::Binding;
use super::fill::Filled;
use super::types::Ty;
use super::{Lower, Mode, Res};
use crate::dsl::ast::{Dist, Ident, Slot, Type};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Shape, Var};
use crate::model::level::ROOT;
use crate::model::transform::{self};
use crate::model::value::{Home, Val};

impl Lower<'_> {
    /// A param from its free coordinates.
    pub fn constrained_param(&mut self, node: Var, ty: &Ty, span: Span) -> Res<Val> {
        if let Some(s) = ty.structure {
            let (outer, event) = ty.dims.split_at(ty.dims.len() - s.event_rank());
            let n = outer.iter().product::<usize>();
            let u = self.g.reshape(node, Shape::new(&[n, s.free_dim(event)]));
            let (x, _) = s.constrain(&mut self.g, u, Some(n), event);
            let home = Home::Var(self.g.reshape(x, Shape::new(&ty.dims)));
            return Ok(Val { home, dims: ty.dims.clone(), level: ROOT, int: false });
        }
        let u = Val { home: Home::Var(node), dims: ty.dims.clone(), level: ROOT, int: false };
        self.between(&u, ty, span)
    }

    /// Free coordinates mapped between the bounds of a type, without a Jacobian.
    fn between(&mut self, u: &Val, ty: &Ty, span: Span) -> Res<Val> {
        let (l, h) = (ty.lower.clone(), ty.upper.clone());
        let mut args = vec![u];
        args.extend(l.iter().chain(&h));
        let (has_lower, has_upper) = (l.is_some(), h.is_some());
        self.elementwise(span, &args, false, &mut |g, v| {
            let low = has_lower.then(|| v[1]);
            let high = has_upper.then(|| v[v.len() - 1]);
            transform::interval(g, v[0], low, high).0
        })
    }

    /// The value of a param without an initial one: all coordinates 0.
    pub fn default_param(&mut self, id: &Ident, ty: &Ty) -> Res<Val> {
        if let Some(s) = ty.structure {
            let (outer, event) = ty.dims.split_at(ty.dims.len() - s.event_rank());
            let n = outer.iter().product::<usize>();
            let mut g = crate::graph::Graph::new();
            let u = g.filled(0.0, Shape::new(&[n, s.free_dim(event)]));
            let (x, _) = s.constrain(&mut g, u, Some(n), event);
            let data = crate::graph::eval::evaluate(&g, &[], &[x]).swap_remove(0);
            return Ok(Val::constant(data, ty.dims.clone()));
        }
        let zero = Val::constant(vec![0.0; ty.dims.iter().product()], ty.dims.clone());
        if ty.int {
            return Err(Diagnostic::new(id.span, "a param is real"));
        }
        self.between(&zero, ty, id.span)
    }

    /// `latent x: T`, to be filled.
    pub fn latent_declare(&mut self, id: &Ident, ty: &Type) -> Res<()> {
        let t = self.ty(ty)?;
        let rows = self.levels.len(self.here);
        let mut filled = Filled::new(id, t.dims.clone(), self.here, rows, t.int);
        let given = vec![false; filled.slots.len()];
        filled.latent = Some(super::fill::LatentFill { ty: t.clone(), site: self.sites.len(), given });
        if matches!(self.mode, Mode::Density) {
            if t.int {
                return self.declare_enumerated(id, &t);
            }
            self.declare_coordinates(id, &t, &mut filled)?;
        }
        self.filled.push(filled);
        self.declare(id, Binding::Filled(self.filled.len() - 1))
    }

    /// `latent x[i] ~ law`
    pub fn latent_fill(&mut self, id: &Ident, slots: &[Slot], dist: &Dist) -> Res<()> {
        match self.lookup(&id.name, id.span)? {
            Binding::Filled(i) if self.filled[i].latent.is_some() => self.fill_latent(i, id, slots, dist),
            Binding::Discrete(d) => self.fill_enumerated(d, id, slots, dist),
            _ => Err(Diagnostic::new(id.span, format!("`{}` is not a declared latent", id.name))
                .help(format!("declare it first: `latent {}: …`", id.name))),
        }
    }
}
