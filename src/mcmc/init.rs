//! Starting points.

use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::mcmc::error::McmcError;
use crate::mcmc::state::State;

/// A function that writes a starting point for a chain.
pub type InitFn<'a> = dyn Fn(usize, &mut Stream, &mut [f64]) + Sync + 'a;

/// Where chains start, in unconstrained coordinates.
pub enum Init<'a> {
    /// Uniform in (-radius, radius) per coordinate, tried anew while density or gradient is not finite.
    Uniform {
        /// Half the width; Stan uses 2.
        radius: f64,
        /// Points to try.
        tries: usize,
    },
    /// One point per chain.
    Given(Vec<Vec<f64>>),
    /// A function of chain number and random stream, called again while density or gradient is not finite.
    Draw {
        /// Writes the point.
        draw: &'a InitFn<'a>,
        /// Points to try.
        tries: usize,
    },
}

/// One of `points` (row-major, `dim` numbers each), all equally likely; none of none.
pub fn any_of<'p>(points: &'p [f64], dim: usize, rng: &mut Stream) -> Option<&'p [f64]> {
    let count = points.len().checked_div(dim).filter(|n| *n > 0)?;
    let pick = ((rng.uniform() * count as f64) as usize).min(count - 1);
    Some(&points[pick * dim..(pick + 1) * dim])
}

impl Default for Init<'_> {
    fn default() -> Self {
        Init::Uniform { radius: 2.0, tries: 100 }
    }
}

impl Init<'_> {
    /// Checks the number and the lengths of given points.
    pub(crate) fn check(&self, chains: usize, dim: usize) -> Result<(), McmcError> {
        let Init::Given(points) = self else {
            return Ok(());
        };
        let wrong = |what: String, found, expected| Err(McmcError::Length { what, found, expected });
        if points.len() != chains {
            return wrong("the list of starting points (one per chain)".into(), points.len(), chains);
        }
        match points.iter().position(|p| p.len() != dim) {
            Some(c) => wrong(format!("the starting point of chain {c}"), points[c].len(), dim),
            None => Ok(()),
        }
    }

    /// Moves `state` to a point with finite log density and gradient.
    pub(crate) fn place<T: Gradient + ?Sized>(
        &self,
        target: &T,
        chain: usize,
        state: &mut State,
        rng: &mut Stream,
    ) -> Result<(), McmcError> {
        let tries = match self {
            Init::Uniform { tries, .. } | Init::Draw { tries, .. } => (*tries).max(1),
            Init::Given(_) => 1,
        };
        let mut x = vec![0.0; target.dim()];
        for _ in 0..tries {
            match self {
                Init::Uniform { radius, .. } => x.fill_with(|| radius * (2.0 * rng.uniform() - 1.0)),
                Init::Given(points) => x.copy_from_slice(&points[chain]),
                Init::Draw { draw, .. } => draw(chain, rng, &mut x),
            }
            state.set_position(target, &x);
            if state.logp().is_finite() && state.gradient().iter().all(|g| g.is_finite()) {
                return Ok(());
            }
        }
        let bad = state.gradient().iter().enumerate().filter(|(_, g)| !g.is_finite()).map(|(j, _)| j);
        Err(McmcError::Init { chain, tries, logp: state.logp(), coordinates: bad.collect() })
    }
}
