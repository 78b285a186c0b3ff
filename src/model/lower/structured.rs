//! Latents of structured types: which laws have them, their coordinates, elements of arrays of them.

use super::dist::LawUse;
use super::index::Positions;
use super::{Lower, Res};
use crate::dist::{Law, Support};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Shape, Var};
use crate::model::level::{LevelId, ROOT};
use crate::model::site::{Factor, FactorKind};
use crate::model::transform::Structure;
use crate::model::value::{Home, Val};

/// The structure that all values of a law have.
pub fn own_structure(law: &dyn Law) -> Option<Structure> {
    match law.support() {
        Support::Interval(..) | Support::Counts => None,
        Support::Simplex => Some(Structure::Simplex),
        Support::CorrMatrix => Some(Structure::CorrMatrix),
        Support::CorrCholesky => Some(Structure::CholeskyFactorCorr),
        Support::CovMatrix => Some(Structure::CovMatrix),
    }
}

/// "`dirichlet` or ", for a type that has a law of its own.
pub fn own_law(s: Structure) -> &'static str {
    match s {
        Structure::Simplex => "`dirichlet` or ",
        Structure::CorrMatrix => "`lkj_corr` or ",
        Structure::CholeskyFactorCorr => "`lkj_corr_cholesky` or ",
        Structure::CovMatrix => "`wishart`, `inv_wishart` or ",
        _ => "",
    }
}

/// One value of the type, for people.
fn one_value(s: Structure) -> &'static str {
    match s {
        Structure::Simplex => "a simplex",
        Structure::Ordered => "an ordered vector",
        Structure::PositiveOrdered => "a positive ordered vector",
        Structure::UnitVector => "a unit vector",
        Structure::CorrMatrix => "a correlation matrix",
        Structure::CovMatrix => "a covariance matrix",
        Structure::CholeskyFactorCorr | Structure::CholeskyFactorCov => "a Cholesky factor",
    }
}

impl Lower<'_> {
    /// Coordinates, value after value, to structured values of shape `dims` in each row of `level`; adds the log Jacobian.
    pub fn structure(
        &mut self,
        about: &str,
        s: Structure,
        u: Var,
        level: LevelId,
        dims: &[usize],
        span: Span,
    ) -> Res<Val> {
        let (outer, event) = dims.split_at(dims.len() - s.event_rank());
        let n = self.levels.len(level) * outer.iter().product::<usize>();
        let free = s.free_dim(event);
        let batch = (level != ROOT || !outer.is_empty()).then_some(n);
        let u_shape = if batch.is_some() { Shape::new(&[n, free]) } else { Shape::new(&[free]) };
        let u = self.g.reshape(u, u_shape);
        let (x, j) = s.constrain(&mut self.g, u, batch, event);
        let x = self.g.reshape(x, self.shape(level, dims));
        let j = self.g.reshape(j, self.shape(level, outer));
        let value = Val { home: Home::Var(j), dims: outer.to_vec(), level, int: false };
        self.factors.push(Factor { value, kind: FactorKind::Jacobian, span, about: about.to_string() });
        Ok(Val { home: Home::Var(x), dims: dims.to_vec(), level, int: false })
    }

    /// Refuses a fill of a part of a structured value: its components depend on one another.
    pub fn whole_values(&self, at: usize, use_: &LawUse, targets: &Positions) -> Res<()> {
        let f = &self.filled[at];
        let declared = f.latent.as_ref().and_then(|l| l.ty.structure);
        let Some(s) = declared.or(own_structure(use_.leading())) else { return Ok(()) };
        let rank = s.event_rank();
        let noun = one_value(s);
        if f.dims.len() < rank {
            let found = f.dims.len();
            let message =
                format!("{noun} has {rank} ax{}s, `{}` has {found}", if rank == 1 { 'i' } else { 'e' }, f.name);
            return Err(Diagnostic::new(use_.span(), message).note(f.span, "declared here"));
        }
        let event = &f.dims[f.dims.len() - rank..];
        if event.contains(&0) && matches!(s, Structure::Simplex | Structure::UnitVector) {
            return Err(Diagnostic::new(use_.span(), format!("{noun} of no elements"))
                .help("its elements cannot have the sum or length 1"));
        }
        let size: usize = event.iter().product();
        let whole = |c: &[u32]| (c[0] as usize).is_multiple_of(size) && c.windows(2).all(|w| w[1] == w[0] + 1);
        if !targets.dims.ends_with(event) || !targets.table.chunks(size.max(1)).all(whole) {
            return Err(Diagnostic::new(use_.span(), format!("components of {noun} cannot be filled on their own"))
                .note(f.span, format!("declared here: one value has shape {event:?}"))
                .help("fill whole values, in the order of their elements"));
        }
        Ok(())
    }
}
