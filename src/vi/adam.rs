//! Adam (Kingma & Ba 2015, algorithm 1), ascending, with clipping at a running quantile of gradient norms.

use serde::{Deserialize, Serialize};

use super::convert::widen;
use crate::base::simd::{Loop, wide};
use crate::base::stats::{quantiles, sum_of};
use crate::graph::program::Real;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// Norms that the quantile remembers, and the quantile that clips.
const WINDOW: usize = 100;
const QUANTILE: f64 = 0.9;
/// A norm may exceed that quantile by this factor.
const SLACK: f64 = 2.0;

/// Moments and the last norms of the gradient, moments in the precision of the parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam<T = f64> {
    first: Vec<T>,
    second: Vec<T>,
    steps: i32,
    norms: Vec<f64>,
}

impl<T: Real> Adam<T> {
    /// For `len` parameters.
    pub fn new(len: usize) -> Adam<T> {
        Adam { first: vec![T::default(); len], second: vec![T::default(); len], steps: 0, norms: vec![] }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.first.len().min(self.second.len())
    }

    /// The same moments in another precision.
    pub fn cast<U: Real>(&self) -> Adam<U> {
        let cast = |x: &[T]| x.iter().map(|x| U::from_f64(x.to_f64())).collect();
        Adam { first: cast(&self.first), second: cast(&self.second), steps: self.steps, norms: self.norms.clone() }
    }

    /// One step up along `gradient`, of size `rate`. Where the gradient's length is not finite, nothing changes and that
    /// length is the error.
    pub fn step(&mut self, theta: &mut [T], gradient: &[T], rate: f64) -> Result<(), f64> {
        let norm = wide(Square(gradient)).sqrt();
        if !norm.is_finite() {
            return Err(norm);
        }
        let scale = self.clip(norm);
        self.steps += 1;
        let (c1, c2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        let number = T::from_f64;
        wide(Update {
            theta,
            gradient,
            scale: number(scale),
            moments: (&mut self.first, &mut self.second),
            rates: (number(1.0 - BETA1), number(1.0 - BETA2)),
            first: number(rate / c1),
            second: number(1.0 / c2.sqrt()),
            epsilon: number(EPSILON),
        });
        Ok(())
    }

    /// The factor that brings an unusually long gradient back to the usual length.
    fn clip(&mut self, norm: f64) -> f64 {
        let limit =
            if self.norms.len() < WINDOW / 5 { f64::INFINITY } else { SLACK * quantiles(&self.norms, &[QUANTILE])[0] };
        if self.norms.len() == WINDOW {
            self.norms.remove(0);
        }
        self.norms.push(norm.min(limit));
        if norm > limit { limit / norm } else { 1.0 }
    }
}

/// Parameters with their moments, in the precision of the steps.
pub struct Moving<T> {
    /// The parameters.
    pub theta: Vec<T>,
    adam: Adam<T>,
}

impl<T: Real> Moving<T> {
    /// Goes on from stored parameters and moments.
    pub fn new(theta: &[f64], adam: &Adam) -> Moving<T> {
        Moving { theta: theta.iter().map(|x| T::from_f64(*x)).collect(), adam: adam.cast() }
    }

    /// One step up `gradient`; the error is a length that is not finite.
    pub fn step(&mut self, gradient: &[T], rate: f64) -> Result<(), f64> {
        self.adam.step(&mut self.theta, gradient, rate)
    }

    /// Leaves parameters and moments as doubles; what is read back from there has the same bits.
    pub fn store(&self, theta: &mut [f64], adam: &mut Adam) {
        widen(&self.theta, theta);
        *adam = self.adam.cast();
    }
}

/// The squared length of a vector.
struct Square<'a, T>(&'a [T]);

impl<T: Real> Loop for Square<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        sum_of(self.0, |x| x.to_f64() * x.to_f64())
    }
}

/// The step of every parameter.
struct Update<'a, T> {
    theta: &'a mut [T],
    gradient: &'a [T],
    scale: T,
    moments: (&'a mut [T], &'a mut [T]),
    /// Shares of the new gradient in the moments.
    rates: (T, T),
    /// What corrects the moments for their start, the first with the learning rate.
    first: T,
    second: T,
    epsilon: T,
}

impl<T: Real> Loop for Update<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let moments = self.moments.0.iter_mut().zip(self.moments.1);
        for ((x, g), (m, v)) in self.theta.iter_mut().zip(self.gradient).zip(moments) {
            let g = self.scale * *g;
            *m += self.rates.0 * (g - *m);
            *v += self.rates.1 * (g * g - *v);
            // m̂ / (√v̂ + ε) with one root and one quotient for each parameter.
            *x += self.first * *m / (v.sqrt() * self.second + self.epsilon);
        }
    }
}
