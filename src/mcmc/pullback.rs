//! Neural transport: a target seen through a map (Parno & Marzouk 2018; Hoffman et al. 2019).
//!
//! It is a target like any other, so that metric, step size and U-turns live in the map's coordinates.

use crate::base::rng::Stream;
use crate::density::{Gradient, LogDensity, Transport};
use crate::mcmc::init::any_of;
use crate::mcmc::sink::{Draw, Sink};
use std::io;

/// The density of u where x = T(u) has the target's: log p(T(u)) + log |det dT/du|.
///
/// Where the map fails numerically the density is NaN, as for any other bad point.
#[derive(Clone, Copy, Debug)]
pub struct Pullback<'a, T: ?Sized, M: ?Sized> {
    /// The target p.
    pub target: &'a T,
    /// The map T, with as many coordinates as the target.
    pub map: &'a M,
}

/// Standard deviation of the starting points in u: wider than the standard normal that a good map leaves.
const START_SD: f64 = 1.5;

impl<T: LogDensity + ?Sized, M: Transport + ?Sized> Pullback<'_, T, M> {
    /// Starting points for [`Init::Draw`](crate::mcmc::init::Init::Draw): chains of even number start at N(0, 1.5^2 I) in u,
    /// those of odd number at one of `points` (row-major in x, such as prior draws), chosen at random and pulled back. With
    /// no points, and where the map has no inverse of one, they start as the former.
    pub fn starts<'p>(&'p self, points: &'p [f64]) -> impl Fn(usize, &mut Stream, &mut [f64]) + Sync + 'p {
        let d = self.dim();
        move |chain, rng, u| {
            let point = if chain % 2 == 1 { any_of(points, d, rng) } else { None };
            if let Some(x) = point {
                self.map.inverse(x, u, &mut vec![0.0; self.map.scratch()]);
                if u.iter().all(|u| u.is_finite()) {
                    return;
                }
            }
            u.fill_with(|| START_SD * rng.normal());
        }
    }
}

impl<T: LogDensity + ?Sized, M: Transport + ?Sized> LogDensity for Pullback<'_, T, M> {
    fn dim(&self) -> usize {
        self.map.dim()
    }

    /// x, and what target and map need.
    fn scratch(&self) -> usize {
        self.dim() + self.target.scratch() + self.map.scratch()
    }

    fn logp(&self, u: &[f64], ws: &mut [f64]) -> f64 {
        let (x, ws) = ws.split_at_mut(self.dim());
        let log_det = self.map.forward(u, x, ws);
        self.target.logp(x, ws) + log_det
    }
}

impl<T: Gradient + ?Sized, M: Transport + ?Sized> Gradient for Pullback<'_, T, M> {
    fn logp_grad(&self, u: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64 {
        let (of_map, ws) = ws.split_at_mut(self.map.scratch());
        self.map.pull(u, &mut |x, gx| self.target.logp_grad(x, gx, ws), grad, of_map)
    }
}

/// Hands draws in u on as draws in x: position T(u) and log density log p(x). Gradient and energy stay those in u.
pub struct Pushing<'a, M: ?Sized, S> {
    map: &'a M,
    inner: S,
    x: Vec<f64>,
    ws: Vec<f64>,
}

impl<'a, M: Transport + ?Sized, S> Pushing<'a, M, S> {
    /// In front of `inner`.
    pub fn new(map: &'a M, inner: S) -> Self {
        Pushing { map, inner, x: vec![0.0; map.dim()], ws: vec![0.0; map.scratch()] }
    }

    /// The sink behind.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<M: Transport + ?Sized, S: Sink> Sink for Pushing<'_, M, S> {
    fn draw(&mut self, d: &Draw<'_>) -> io::Result<()> {
        let log_det = self.map.forward(d.x, &mut self.x, &mut self.ws);
        self.inner.draw(&Draw { x: &self.x, logp: d.logp - log_det, ..*d })
    }
}
