//! Mixtures of proposals, each draw from one component, its density that of the whole mixture.

use crate::base::special::{log_sum_exp, normal_cdf};
use crate::density::{LogDensity, Proposal};
use crate::evidence::error::EvidenceError;

/// Weight of the flow in a defensive mixture (Owen & Zhou 2000).
pub const FLOW_WEIGHT: f64 = 0.9;

/// Draws worked on at a time.
const TILE: usize = 256;

/// How far weights may be from adding up to 1.
const SUM_ERROR: f64 = 1e-12;

/// q(x) = sum_k a_k q_k(x). The first normal of a draw chooses its component through Phi, the others are those
/// of that component, whatever it does not need staying unused.
pub struct Mixture<'a> {
    parts: Vec<Part<'a>>,
    dim: usize,
    noise: usize,
}

struct Part<'a> {
    log_weight: f64,
    /// Sum of the weights up to this one.
    upto: f64,
    proposal: &'a dyn Proposal,
}

impl<'a> Mixture<'a> {
    /// From weights that are positive and add up to 1, and proposals on one space.
    pub fn new(parts: Vec<(f64, &'a dyn Proposal)>) -> Result<Mixture<'a>, EvidenceError> {
        let weights: Vec<f64> = parts.iter().map(|p| p.0).collect();
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|w| !(*w > 0.0)) || !((sum - 1.0).abs() < SUM_ERROR) {
            return Err(EvidenceError::MixtureWeights { weights });
        }
        let dim = parts[0].1.dim();
        if let Some(p) = parts.iter().find(|p| p.1.dim() != dim) {
            return Err(EvidenceError::Dimension { what: "a component", found: p.1.dim(), expected: dim });
        }
        let noise = 1 + parts.iter().map(|p| p.1.noise()).max().unwrap_or(0);
        let mut upto = 0.0;
        let part = |(weight, proposal): (f64, &'a dyn Proposal)| {
            upto += weight;
            Part { log_weight: weight.ln(), upto, proposal }
        };
        Ok(Mixture { parts: parts.into_iter().map(part).collect(), dim, noise })
    }

    /// [`FLOW_WEIGHT`] `flow` and the rest `safe`: the weights stay bounded by 1 / (1 - FLOW_WEIGHT) times those of
    /// `safe` alone, so their variance is finite whatever the flow's tails are.
    pub fn defensive(flow: &'a dyn Proposal, safe: &'a dyn Proposal) -> Result<Mixture<'a>, EvidenceError> {
        Mixture::new(vec![(FLOW_WEIGHT, flow), (1.0 - FLOW_WEIGHT, safe)])
    }

    /// The component that the first normal `z` of a draw chooses.
    fn choose(&self, z: f64) -> usize {
        let u = normal_cdf(z);
        self.parts.iter().position(|p| u < p.upto).unwrap_or(self.parts.len() - 1)
    }

    fn part_scratch(&self) -> usize {
        self.parts.iter().map(|p| p.proposal.lanes_scratch()).max().unwrap_or(0)
    }
}

impl LogDensity for Mixture<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn scratch(&self) -> usize {
        self.parts.iter().map(|p| p.proposal.scratch()).max().unwrap_or(0)
    }

    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64 {
        self.parts.iter().fold(f64::NEG_INFINITY, |sum, p| log_sum_exp(sum, p.log_weight + p.proposal.logp(x, ws)))
    }

    fn lanes_scratch(&self) -> usize {
        TILE * (self.noise + self.dim + 1) + self.part_scratch()
    }

    fn logp_lanes(&self, x: &[f64], out: &mut [f64], ws: &mut [f64]) {
        let n = out.len();
        let (tile, ws) = ws.split_at_mut(TILE * self.dim);
        let (log_q, ws) = ws.split_at_mut(TILE);
        for (t, out) in out.chunks_mut(TILE).enumerate() {
            let m = out.len();
            for j in 0..self.dim {
                tile[j * m..(j + 1) * m].copy_from_slice(&x[j * n + t * TILE..][..m]);
            }
            out.fill(f64::NEG_INFINITY);
            for p in &self.parts {
                p.proposal.logp_lanes(&tile[..self.dim * m], &mut log_q[..m], ws);
                for (out, q) in out.iter_mut().zip(&*log_q) {
                    *out = log_sum_exp(*out, p.log_weight + q);
                }
            }
        }
    }
}

impl Proposal for Mixture<'_> {
    fn noise(&self) -> usize {
        self.noise
    }

    fn draw(&self, noise: &[f64], x: &mut [f64], log_q: &mut [f64], ws: &mut [f64]) {
        let n = log_q.len();
        for start in (0..n).step_by(TILE) {
            let len = TILE.min(n - start);
            let tile = Tile { start, len, n, noise: &noise[start * self.noise..(start + len) * self.noise] };
            log_q[start..start + len].fill(f64::NEG_INFINITY);
            for k in 0..self.parts.len() {
                self.draw_part(k, &tile, x, log_q, ws);
            }
        }
    }
}

/// Draws `start..start + len` of `n`, with their noise.
struct Tile<'a> {
    start: usize,
    len: usize,
    n: usize,
    noise: &'a [f64],
}

impl Mixture<'_> {
    /// Draws of a tile that belong to component `k`: drawn together, their densities under the others added.
    fn draw_part(&self, k: usize, tile: &Tile<'_>, x: &mut [f64], log_q: &mut [f64], ws: &mut [f64]) {
        let (own_noise, ws) = ws.split_at_mut(TILE * self.noise);
        let (own_x, ws) = ws.split_at_mut(TILE * self.dim);
        let (own_q, ws) = ws.split_at_mut(TILE);
        let part = &self.parts[k];
        let width = part.proposal.noise();
        let mut members = [0; TILE];
        let mut m = 0;
        for p in 0..tile.len {
            let z = &tile.noise[p * self.noise..(p + 1) * self.noise];
            if self.choose(z[0]) == k {
                own_noise[m * width..(m + 1) * width].copy_from_slice(&z[1..=width]);
                members[m] = tile.start + p;
                m += 1;
            }
        }
        if m == 0 {
            return;
        }
        let (own_x, own_q) = (&mut own_x[..m * self.dim], &mut own_q[..m]);
        part.proposal.draw(&own_noise[..m * width], own_x, own_q, ws);
        for (j, row) in own_x.chunks_exact(m).enumerate() {
            for (value, at) in row.iter().zip(&members) {
                x[j * tile.n + at] = *value;
            }
        }
        // Own density first: the others overwrite its buffer.
        add(log_q, &members, part.log_weight, own_q);
        for (_, p) in self.parts.iter().enumerate().filter(|(other, _)| *other != k) {
            p.proposal.logp_lanes(own_x, own_q, ws);
            add(log_q, &members, p.log_weight, own_q);
        }
    }
}

/// Adds a component's part to the densities of the draws `members`.
fn add(log_q: &mut [f64], members: &[usize], log_weight: f64, part: &[f64]) {
    for (q, at) in part.iter().zip(members) {
        log_q[*at] = log_sum_exp(log_q[*at], log_weight + q);
    }
}
