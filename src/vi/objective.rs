//! Objectives as cotangents: what each draw hands back to the guide's parameters.

use serde::{Deserialize, Serialize};

use crate::base::stats::log_mean_exp;

/// Which estimator of the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Estimator {
    /// The derivative of the bound as it stands.
    Full,
    /// Along the draws only, the parameters inside log q held fixed: "sticking the landing" for the ELBO (Roeder, Wu &
    /// Duvenaud 2017, eq. 8), doubly reparametrised for IWAE (Tucker et al. 2019, eq. 7). Zero variance at the posterior.
    Path,
}

/// A bound that training raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Objective {
    /// E_q (log p - log q).
    Elbo(Estimator),
    /// E log (1/K) sum_k p(x_k) / q(x_k) (Burda, Grosse & Salakhutdinov 2016).
    Iwae {
        /// Draws in a group.
        k: usize,
        /// Estimator of the gradient.
        estimator: Estimator,
    },
}

/// What is known of the draws of a batch; gradients point after point.
pub struct Draws<'a> {
    /// log p at the draws.
    pub log_p: &'a [f64],
    /// Its gradient.
    pub log_p_grad: &'a [f64],
    /// log q.
    pub log_q: &'a [f64],
    /// Gradient of log q in the draw, parameters fixed; read by [`Estimator::Path`] alone.
    pub log_q_grad: &'a [f64],
}

impl Objective {
    /// Draws in a group that has one bound.
    pub fn particles(self) -> usize {
        match self {
            Objective::Elbo(_) => 1,
            Objective::Iwae { k, .. } => k.max(1),
        }
    }

    /// Which estimator of the gradient.
    pub fn estimator(self) -> Estimator {
        match self {
            Objective::Elbo(estimator) | Objective::Iwae { estimator, .. } => estimator,
        }
    }

    /// Cotangents of the draws and of log q for the sum of the bounds over all groups, and that sum.
    pub fn cotangents(self, d: &Draws<'_>, x_bar: &mut [f64], log_q_bar: &mut [f64]) -> f64 {
        let k = self.particles();
        let dim = x_bar.len() / d.log_q.len();
        let mut total = 0.0;
        let mut log_w = vec![0.0; k];
        for first in (0..d.log_q.len()).step_by(k) {
            for (j, w) in log_w.iter_mut().enumerate() {
                *w = d.log_p[first + j] - d.log_q[first + j];
            }
            let bound = log_mean_exp(&log_w);
            total += bound;
            for (j, w) in log_w.iter().enumerate() {
                let share = if k == 1 { 1.0 } else { (w - bound).exp() / k as f64 };
                let i = first + j;
                let at = i * dim..(i + 1) * dim;
                let (to, p, q) = (&mut x_bar[at.clone()], &d.log_p_grad[at.clone()], &d.log_q_grad[at]);
                match self.estimator() {
                    Estimator::Full => {
                        to.iter_mut().zip(p).for_each(|(x, p)| *x = share * p);
                        log_q_bar[i] = -share;
                    }
                    Estimator::Path => {
                        to.iter_mut().zip(p.iter().zip(q)).for_each(|(x, (p, q))| *x = share * share * (p - q));
                        log_q_bar[i] = 0.0;
                    }
                }
            }
        }
        total
    }
}
