//! Maximum of a density: several L-BFGS searches, Newton steps at the end, Laplace's standard errors.

mod curvature;
mod search;

use crate::density::LogDensity;
use crate::model::compiled::Compiled;
use crate::model::posterior::Posterior;

use curvature::Curvature;
use search::Search;

/// Coordinates beyond which the Hessian is not formed.
pub const MAX_HESSIAN: usize = 1000;

/// Points tried for each start.
const TRIES: usize = 100;

/// Squared Newton decrement at which a maximum counts as found: a thousandth of a standard error.
const DECREMENT: f64 = 1e-6;

/// Largest derivative at a maximum without a definite Hessian, relative to 1 + |log density|, of which
/// no more than [`LARGE`] counts: a density that grows without end must not pass for flat.
const DERIVATIVE: f64 = 1e-5;
const LARGE: f64 = 1e3;

/// What is maximised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objective {
    /// Density of the constrained values, without Jacobians: Stan's `optimize`, `jacobian = 0`.
    #[default]
    Constrained,
    /// Density on R^d, with the Jacobians of the transforms: Stan's `jacobian = 1`.
    Unconstrained,
    /// Terms of `observe` and `factor` alone, discrete latents summed out: maximum likelihood.
    Likelihood,
}

/// How to search.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is maximised.
    pub objective: Objective,
    /// Independent searches; the best result counts.
    pub starts: usize,
    /// Seed of the starting points.
    pub seed: u64,
    /// Starting points are uniform in (-radius, radius) per unconstrained coordinate.
    pub radius: f64,
    /// L-BFGS iterations of one search.
    pub iterations: u64,
    /// Compute standard errors.
    pub standard_errors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            objective: Objective::Constrained,
            starts: 4,
            seed: 1,
            radius: 2.0,
            iterations: 2000,
            standard_errors: true,
        }
    }
}

/// Why there is no maximum, or no standard error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptimizeError {
    /// Nothing to maximise.
    #[error("the model has no `observe` and no `factor`, so there is no likelihood to maximise; leave out --mle")]
    NoLikelihood,
    /// No point to start from.
    #[error(
        "none of {tries} random points has a finite density and gradient; check the model with `thalweg check --gradient`, or try another --seed"
    )]
    NoStart {
        /// Points tried.
        tries: usize,
    },
    /// The search went on without end, or got stuck.
    #[error(
        "no maximum was found: after {iterations} iterations the log density still has the derivative {derivative:.3e} along {coordinate}, at {at:.4}; it may be unbounded, or largest at the edge of the support: give tighter priors, or try --jacobian or more --starts"
    )]
    NotConverged {
        /// Iterations of the best search.
        iterations: u64,
        /// The coordinate with the largest derivative.
        coordinate: String,
        /// That derivative.
        derivative: f64,
        /// Where that coordinate ended.
        at: f64,
    },
    /// The curvature does not determine a coordinate.
    #[error(
        "no standard errors: the Hessian is not negative definite along {coordinate}; the density is flat or rises there: give that latent a tighter prior, or sample instead"
    )]
    NotDefinite {
        /// The coordinate that weighs most in the offending direction.
        coordinate: String,
    },
    /// A constrained latent whose mode lies where its transform ends.
    #[error(
        "no standard errors: {coordinate} has its mode at the edge of its support, where no normal approximation holds; try --jacobian, or sample instead"
    )]
    AtEdge {
        /// The coordinate.
        coordinate: String,
    },
    /// Too many coordinates for a Hessian.
    #[error("no standard errors: the Hessian of {dim} coordinates is too large (limit {limit}); sample instead")]
    TooLarge {
        /// Coordinates.
        dim: usize,
        /// The limit.
        limit: usize,
    },
    /// They were not asked for.
    #[error("standard errors were not asked for")]
    NotWanted,
}

/// A maximum.
#[derive(Clone, Debug)]
pub struct Optimum {
    /// Unconstrained coordinates.
    pub x: Vec<f64>,
    /// The objective there.
    pub log_density: f64,
    /// Constrained values, then reports, in the order of [`Posterior::value_names`] (ragged plates flat).
    pub values: Vec<f64>,
    /// Their standard errors sqrt(J (-H)^-1 Jᵀ): Laplace's approximation in the unconstrained
    /// coordinates (MacKay 2003, chapter 27) and the delta method.
    pub standard_errors: Result<Vec<f64>, OptimizeError>,
    /// What each search reached; `None` where it found no starting point.
    pub reached: Vec<Option<f64>>,
}

/// Maximises the density of a posterior.
pub fn maximize(posterior: &Posterior, options: &Options) -> Result<Optimum, OptimizeError> {
    let mut posterior = posterior.clone();
    posterior.lp = match options.objective {
        Objective::Constrained => posterior.lp_nojac,
        Objective::Unconstrained => posterior.lp,
        Objective::Likelihood if posterior.has_likelihood() => posterior.log_likelihood,
        Objective::Likelihood => return Err(OptimizeError::NoLikelihood),
    };
    let compiled = Compiled::new(posterior);
    let mut reached = vec![];
    let mut best: Option<Search> = None;
    for start in 0..options.starts.max(1) {
        let found = Search::begin(&compiled, options, start as u64, TRIES).map(|mut s| {
            s.climb(&compiled, options.iterations);
            s
        });
        reached.push(found.as_ref().map(|s| s.logp));
        if let Some(s) = found
            && best.as_ref().is_none_or(|b| s.logp > b.logp)
        {
            best = Some(s);
        }
    }
    let best = best.ok_or(OptimizeError::NoStart { tries: TRIES * options.starts.max(1) })?;
    finish(&compiled, options, best, reached)
}

/// Newton steps, the test of convergence, and the standard errors.
fn finish(
    compiled: &Compiled,
    options: &Options,
    mut best: Search,
    reached: Vec<Option<f64>>,
) -> Result<Optimum, OptimizeError> {
    let dim = compiled.dim();
    let curvature = (dim <= MAX_HESSIAN).then(|| Curvature::new(compiled));
    let decrement = curvature.as_ref().and_then(|c| best.polish(compiled, c));
    let flat = DERIVATIVE * (1.0 + best.logp.abs()).min(LARGE);
    if !decrement.is_some_and(|d| d <= DECREMENT) && best.derivative() > flat {
        let worst = best.worst();
        return Err(OptimizeError::NotConverged {
            iterations: best.iterations,
            coordinate: compiled.posterior.coordinate_names().swap_remove(worst),
            derivative: best.gradient[worst],
            at: best.x[worst],
        });
    }
    let standard_errors = match &curvature {
        _ if !options.standard_errors => Err(OptimizeError::NotWanted),
        None => Err(OptimizeError::TooLarge { dim, limit: MAX_HESSIAN }),
        Some(c) => c.standard_errors(compiled, &best.x),
    };
    let mut values = vec![0.0; compiled.width()];
    compiled.values(&best.x, &mut values, &mut vec![]);
    Ok(Optimum { x: best.x, log_density: best.logp, values, standard_errors, reached })
}

#[cfg(test)]
mod tests;
