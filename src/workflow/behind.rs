//! Chains behind a guide's map: what is kept of its coordinates, and jumps to draws from its base.

use std::io;

use crate::density::{LogDensity, Proposal};
use crate::diagnostics::rhat::rhat;
use crate::guide::Guide;
use crate::mcmc::pullback::{Pullback, Pushing};
use crate::mcmc::sink::{Draw, Sink};
use crate::workflow::store::ChainStore;

/// The sink of one chain that works in the map's coordinates u: keeps u, and hands x on.
pub struct Behind<'a> {
    store: Pushing<'a, Guide, ChainStore<'a>>,
    /// Positions in u, draw after draw.
    base: Vec<f64>,
    /// Positions in u where trajectories diverged.
    divergent: Vec<Vec<f64>>,
}

/// Coordinates behind the map of one chain.
#[derive(Clone, Debug, Default)]
pub struct BasePoints {
    /// Draw after draw.
    pub all: Vec<f64>,
    /// Those of divergent trajectories.
    pub divergent: Vec<Vec<f64>>,
}

impl<'a> Behind<'a> {
    /// In front of a store.
    pub fn new(guide: &'a Guide, store: ChainStore<'a>) -> Behind<'a> {
        Behind { store: Pushing::new(guide, store), base: vec![], divergent: vec![] }
    }

    /// The store behind, and the points in u.
    pub fn into_parts(self) -> (ChainStore<'a>, BasePoints) {
        (self.store.into_inner(), BasePoints { all: self.base, divergent: self.divergent })
    }
}

impl Sink for Behind<'_> {
    fn draw(&mut self, d: &Draw<'_>) -> io::Result<()> {
        self.base.extend_from_slice(d.x);
        if d.divergent {
            self.divergent.push(d.x.to_vec());
        }
        self.store.draw(d)
    }
}

/// The largest R-hat of a coordinate over the first `draws` of each chain (draw after draw); NaN where none is defined.
pub fn largest_rhat(chains: &[&[f64]], dim: usize, draws: usize) -> f64 {
    let coordinate = |j: usize| {
        let of = |c: &&[f64]| c.iter().skip(j).step_by(dim).take(draws).copied().collect::<Vec<f64>>();
        let chains: Vec<Vec<f64>> = chains.iter().map(of).collect();
        rhat(&chains.iter().map(|c| &c[..]).collect::<Vec<_>>())
    };
    (0..dim).map(coordinate).fold(f64::NAN, f64::max)
}

/// The guide seen in its own u, its base law, as a proposal for chains there.
pub struct BaseLaw<'a> {
    law: Pullback<'a, Guide, Guide>,
}

impl<'a> BaseLaw<'a> {
    /// The base of `guide`.
    pub fn new(guide: &'a Guide) -> BaseLaw<'a> {
        BaseLaw { law: Pullback { target: guide, map: guide } }
    }
}

impl LogDensity for BaseLaw<'_> {
    fn dim(&self) -> usize {
        LogDensity::dim(&self.law)
    }

    fn scratch(&self) -> usize {
        LogDensity::scratch(&self.law)
    }

    fn logp(&self, u: &[f64], ws: &mut [f64]) -> f64 {
        self.law.logp(u, ws)
    }
}

impl Proposal for BaseLaw<'_> {
    fn noise(&self) -> usize {
        self.law.map.noise()
    }

    fn draw(&self, noise: &[f64], x: &mut [f64], log_q: &mut [f64], ws: &mut [f64]) {
        let (n, base) = (log_q.len(), self.law.map.family.base);
        let mut u = vec![0.0; LogDensity::dim(self)];
        for (p, (q, z)) in log_q.iter_mut().zip(noise.chunks_exact(self.noise())).enumerate() {
            base.draw(z, &mut u);
            u.iter().enumerate().for_each(|(j, u)| x[j * n + p] = *u);
            *q = self.law.logp(&u, ws);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chains that agree have R-hat 1, one that is shifted shows.
    #[test]
    fn the_worst_coordinate_counts() {
        let mut points = vec![vec![0.0; 400]; 2];
        for (c, p) in points.iter_mut().enumerate() {
            crate::base::rng::Stream::new(1, "behind", c as u64).fill_normal(p);
        }
        let of = |points: &[Vec<f64>]| largest_rhat(&points.iter().map(|p| &p[..]).collect::<Vec<_>>(), 2, 200);
        // Split chains of 100 independent draws: R-hat is within 1.1 at any rate that matters.
        assert!(of(&points) < 1.1, "{}", of(&points));
        points[1].iter_mut().skip(1).step_by(2).for_each(|u| *u += 3.0);
        assert!(of(&points) > 1.5);
    }
}
