//! What an amortized training raises, in words and for programs.

use serde::Serialize;

use super::amortize::Trained;
use crate::vi::Estimator;
use crate::vi::plate::survivors;

/// What a training raises, and the estimator of its gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Goal {
    /// `ELBO` or `IWAE`.
    pub bound: &'static str,
    /// Particles of the bound.
    pub particles: usize,
    /// `plain`: the derivative as it stands; `path`: the guide's parameters held fixed in log q; `DReG`: the same of IWAE.
    pub gradient: &'static str,
    /// Draws of a row that give the gradient: `particles`, or of many the survivors of a selection that keeps its mean.
    pub gradient_draws: usize,
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bound {
            "ELBO" => write!(f, "ELBO (IWAE with K = 1), {} gradients", self.gradient)?,
            bound => write!(f, "{bound}-{}, {} gradients", self.particles, self.gradient)?,
        }
        match self.gradient_draws {
            n if n < self.particles => write!(f, " of {n} draws chosen by weight"),
            _ => Ok(()),
        }
    }
}

impl Trained {
    /// What the training raised.
    pub fn goal(&self) -> Goal {
        let particles = self.options.particles.max(1);
        let (bound, path) = if particles == 1 { ("ELBO", "path") } else { ("IWAE", "DReG") };
        let objective = self.options.objective(&self.guide);
        let gradient = match objective.estimator() {
            // The ELBO of a normal guide is differentiated as it stands: log q is integrated exactly.
            _ if particles == 1 && self.guide.is_gaussian() => "plain",
            Estimator::Full => "plain",
            Estimator::Path => path,
        };
        // Draws of innermost rows all give the gradient.
        let gradient_draws = if self.guide.inner().is_empty() { survivors(objective) } else { particles };
        Goal { bound, particles, gradient, gradient_draws }
    }
}
