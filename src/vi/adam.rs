//! Adam (Kingma & Ba 2015, algorithm 1), ascending, with clipping at a running quantile of gradient norms.

use serde::{Deserialize, Serialize};

use crate::base::stats::{dot, quantiles};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// Norms that the quantile remembers, and the quantile that clips.
const WINDOW: usize = 100;
const QUANTILE: f64 = 0.9;
/// A norm may exceed that quantile by this factor.
const SLACK: f64 = 2.0;

/// Moments and the last norms of the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
    norms: Vec<f64>,
}

impl Adam {
    /// For `len` parameters.
    pub fn new(len: usize) -> Adam {
        Adam { first: vec![0.0; len], second: vec![0.0; len], steps: 0, norms: vec![] }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.first.len().min(self.second.len())
    }

    /// One step up along `gradient`, of size `rate`.
    pub fn step(&mut self, theta: &mut [f64], gradient: &[f64], rate: f64) {
        let scale = self.clip(gradient);
        self.steps += 1;
        let (c1, c2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        // m̂ / (√v̂ + ε) with one root and one quotient for each parameter.
        let (first, second) = (rate / c1, 1.0 / c2.sqrt());
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((x, g), (m, v)) in theta.iter_mut().zip(gradient).zip(moments) {
            let g = scale * g;
            *m += (1.0 - BETA1) * (g - *m);
            *v += (1.0 - BETA2) * (g * g - *v);
            *x += first * *m / (v.sqrt() * second + EPSILON);
        }
    }

    /// The factor that brings an unusually long gradient back to the usual length.
    fn clip(&mut self, gradient: &[f64]) -> f64 {
        let norm = dot(gradient, gradient).sqrt();
        let limit =
            if self.norms.len() < WINDOW / 5 { f64::INFINITY } else { SLACK * quantiles(&self.norms, &[QUANTILE])[0] };
        if self.norms.len() == WINDOW {
            self.norms.remove(0);
        }
        self.norms.push(norm.min(limit));
        if norm > limit { limit / norm } else { 1.0 }
    }
}
