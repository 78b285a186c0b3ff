//! Where draws go.

use std::io;

/// One iteration of one chain, borrowed from the sampler.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// Chain number, from 0.
    pub chain: usize,
    /// Iteration, from 0, counted anew after warm-up.
    pub iteration: usize,
    /// Whether this is a warm-up iteration.
    pub warmup: bool,
    /// Unconstrained position.
    pub x: &'a [f64],
    /// Gradient of the log density there.
    pub gradient: &'a [f64],
    /// Log density there.
    pub logp: f64,
    /// Acceptance statistic.
    pub accept: f64,
    /// Step size used.
    pub step_size: f64,
    /// Trajectory doublings.
    pub depth: u32,
    /// Leapfrog steps.
    pub leapfrogs: u32,
    /// Whether the trajectory diverged.
    pub divergent: bool,
    /// Energy of the new point.
    pub energy: f64,
}

/// Receives the kept draws of one chain, in order.
pub trait Sink: Send {
    /// Takes one draw; an error ends the run.
    fn draw(&mut self, draw: &Draw<'_>) -> io::Result<()>;
}

/// Sampler statistics of one draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stat {
    /// Log density.
    pub logp: f64,
    /// Acceptance statistic.
    pub accept: f64,
    /// Step size used.
    pub step_size: f64,
    /// Trajectory doublings.
    pub depth: u32,
    /// Leapfrog steps.
    pub leapfrogs: u32,
    /// Whether the trajectory diverged.
    pub divergent: bool,
    /// Energy.
    pub energy: f64,
}

/// Keeps everything in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    dim: usize,
    x: Vec<f64>,
    stats: Vec<Stat>,
}

impl Memory {
    /// Number of draws.
    pub fn len(&self) -> usize {
        self.stats.len()
    }

    /// Whether there is no draw.
    pub fn is_empty(&self) -> bool {
        self.stats.is_empty()
    }

    /// Positions, draw after draw (draws x dim).
    pub fn positions(&self) -> &[f64] {
        &self.x
    }

    /// Position of draw `i`.
    pub fn position(&self, i: usize) -> &[f64] {
        &self.x[i * self.dim..(i + 1) * self.dim]
    }

    /// Coordinate `j` of every draw.
    pub fn coordinate(&self, j: usize) -> Vec<f64> {
        self.x.iter().skip(j).step_by(self.dim.max(1)).copied().collect()
    }

    /// Statistics, one per draw.
    pub fn stats(&self) -> &[Stat] {
        &self.stats
    }
}

impl Sink for Memory {
    fn draw(&mut self, d: &Draw<'_>) -> io::Result<()> {
        self.dim = d.x.len();
        self.x.extend_from_slice(d.x);
        self.stats.push(Stat {
            logp: d.logp,
            accept: d.accept,
            step_size: d.step_size,
            depth: d.depth,
            leapfrogs: d.leapfrogs,
            divergent: d.divergent,
            energy: d.energy,
        });
        Ok(())
    }
}

/// Drops every draw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn draw(&mut self, _: &Draw<'_>) -> io::Result<()> {
        Ok(())
    }
}
