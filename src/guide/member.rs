//! A guide: one member of a family, that can be drawn from, evaluated, and used as a map.

use std::sync::{Arc, OnceLock};

use super::family::{Family, compile};
use crate::density::{LogDensity, Proposal, Target, Transport};
use crate::flow::Map;
use crate::graph::Spread;
use crate::graph::program::Program;

/// Points that the batched calls treat at once.
const LANES: usize = 64;

/// A family with values of its parameters: a normalised density q on R^dim.
///
/// Its [`Transport`] maps the base to the target, so for a normal base `log q(T(u)) + log |det dT/du|` is standard normal.
pub struct Guide {
    /// The family.
    pub family: Arc<Family>,
    /// Its parameters.
    pub theta: Vec<f64>,
    map: OnceLock<Map>,
    point: OnceLock<Program>,
    points: OnceLock<Program>,
    draws: OnceLock<Program>,
}

impl Guide {
    /// The member of `family` at `theta`.
    ///
    /// # Panics
    /// Where `theta` has not the length of the family's parameters.
    pub fn new(family: Arc<Family>, theta: Vec<f64>) -> Guide {
        assert_eq!(theta.len(), family.flow.len(), "one value per parameter of the family");
        let unset = OnceLock::new;
        Guide { family, theta, map: OnceLock::new(), point: unset(), points: unset(), draws: unset() }
    }

    fn map(&self) -> &Map {
        self.map.get_or_init(|| Map::new(&self.family.flow, &self.theta))
    }

    fn score(&self, lanes: usize) -> Program {
        let (mut g, theta, x) = self.family.one_point(Some(&self.theta), Spread::Particle);
        let log_q = self.family.score(&mut g, theta, x);
        compile(&g, &[log_q], lanes)
    }

    fn point(&self) -> &Program {
        self.point.get_or_init(|| self.score(1))
    }

    fn points(&self) -> &Program {
        self.points.get_or_init(|| self.score(LANES))
    }

    fn draws(&self) -> &Program {
        self.draws.get_or_init(|| {
            let (mut g, theta, u) = self.family.one_point(Some(&self.theta), Spread::Particle);
            let (x, log_q) = self.family.push(&mut g, theta, u);
            let outputs = [log_q, x];
            compile(&g, &outputs, LANES)
        })
    }
}

impl LogDensity for Guide {
    fn dim(&self) -> usize {
        self.family.dim()
    }

    fn scratch(&self) -> usize {
        self.point().scratch()
    }

    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64 {
        let mut log_q = [0.0];
        self.point().run(&[x], &mut [&mut log_q], ws);
        log_q[0]
    }

    fn lanes_scratch(&self) -> usize {
        let program = self.points().scratch().max(self.draws().scratch());
        program + LANES * (3 * self.family.dim())
    }

    fn logp_lanes(&self, x: &[f64], out: &mut [f64], ws: &mut [f64]) {
        self.points().run_flat(out.len(), x, out, &mut [], ws);
    }
}

impl Proposal for Guide {
    fn noise(&self) -> usize {
        self.family.base.noise(self.family.dim())
    }

    fn draw(&self, noise: &[f64], x: &mut [f64], log_q: &mut [f64], ws: &mut [f64]) {
        let (n, dim, per) = (log_q.len(), self.family.dim(), self.noise());
        let (u, ws) = ws.split_at_mut(dim * LANES);
        let (z, ws) = ws.split_at_mut(dim * LANES);
        let mut point = vec![0.0; dim];
        for first in (0..n).step_by(LANES) {
            let m = LANES.min(n - first);
            for p in 0..m {
                self.family.base.draw(&noise[(first + p) * per..][..per], &mut point);
                (0..dim).for_each(|j| u[j * m + p] = point[j]);
            }
            self.draws().run_flat(m, &u[..dim * m], &mut log_q[first..first + m], &mut z[..dim * m], ws);
            for j in 0..dim {
                x[j * n + first..][..m].copy_from_slice(&z[j * m..][..m]);
            }
        }
    }
}

impl Transport for Guide {
    fn dim(&self) -> usize {
        self.family.dim()
    }

    fn scratch(&self) -> usize {
        Transport::scratch(self.map())
    }

    fn forward(&self, u: &[f64], x: &mut [f64], ws: &mut [f64]) -> f64 {
        self.map().forward(u, x, ws)
    }

    fn inverse(&self, x: &[f64], u: &mut [f64], ws: &mut [f64]) -> f64 {
        self.map().inverse(x, u, ws)
    }

    fn pull(&self, u: &[f64], f: Target<'_>, gu: &mut [f64], ws: &mut [f64]) -> f64 {
        self.map().pull(u, f, gu, ws)
    }
}
