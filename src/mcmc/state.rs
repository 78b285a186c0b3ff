//! The points of a trajectory in one block of memory, addressed by slot, so that no step allocates or copies a point.

use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::mcmc::metric::Metric;
use crate::mcmc::vector::padded;

/// Index of a point.
pub type Slot = u8;

/// Vectors stored per point: position, momentum, velocity, gradient, Sigma times gradient.
const VECTORS: usize = 5;

/// One chain's phase-space points, its current position and the target's scratch space.
///
/// A point is five padded vectors: position q, momentum p, velocity v = Sigma p, gradient g of log p(q), and
/// Sigma g (used by the metrics that are not diagonal).
pub struct State {
    dim: usize,
    width: usize,
    points: Vec<f64>,
    logp: Vec<f64>,
    energy: Vec<f64>,
    /// Sums of momenta of subtrees, one padded vector per stack level.
    rho: Vec<f64>,
    free: u64,
    current: Slot,
    noise: Vec<f64>,
    ws: Vec<f64>,
    gradients: u64,
}

/// Borrowed vectors of one point.
pub(crate) struct Point<'a> {
    pub q: &'a mut [f64],
    pub p: &'a mut [f64],
    pub v: &'a mut [f64],
    pub g: &'a mut [f64],
    pub w: &'a mut [f64],
}

/// Trees deeper than this are refused, so that slots fit the 64-bit free list.
pub const MAX_DEPTH: usize = 18;

impl State {
    /// Room for trees of `max_depth` doublings (at most [`MAX_DEPTH`]); static HMC needs 0.
    pub fn new<T: Gradient + ?Sized>(target: &T, max_depth: usize) -> State {
        let dim = target.dim();
        let width = padded(dim);
        // A node has at most three points and the stack max_depth + 1 nodes; the whole tree is one more.
        let slots = 3 * (max_depth.min(MAX_DEPTH) + 2) + 4;
        State {
            dim,
            width,
            points: vec![0.0; slots * VECTORS * width],
            logp: vec![f64::NAN; slots],
            energy: vec![f64::NAN; slots],
            rho: vec![0.0; (max_depth.min(MAX_DEPTH) + 2) * width],
            free: all(slots) & !1,
            current: 0,
            noise: vec![0.0; width],
            ws: vec![0.0; target.scratch()],
            gradients: 0,
        }
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Length of a padded vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Gradient evaluations so far.
    pub fn gradients(&self) -> u64 {
        self.gradients
    }

    /// Slot of the current position.
    pub fn current(&self) -> Slot {
        self.current
    }

    /// Moves the chain to `x` and evaluates the target there.
    pub fn set_position<T: Gradient + ?Sized>(&mut self, target: &T, x: &[f64]) {
        let slot = self.current;
        self.q_mut(slot)[..x.len()].copy_from_slice(x);
        self.evaluate(target, slot);
    }

    /// Evaluates the target at `x` in a slot of its own; the chain stays where it is until [`settle`](Self::settle).
    pub fn visit<T: Gradient + ?Sized>(&mut self, target: &T, x: &[f64]) -> Slot {
        let slot = self.take();
        self.q_mut(slot)[..x.len()].copy_from_slice(x);
        self.evaluate(target, slot);
        slot
    }

    /// Current position.
    pub fn position(&self) -> &[f64] {
        self.position_of(self.current)
    }

    /// Position of a point.
    pub fn position_of(&self, slot: Slot) -> &[f64] {
        let at = slot as usize * VECTORS * self.width;
        &self.points[at..at + self.dim]
    }

    /// Momentum of a point.
    pub fn momentum_of(&self, slot: Slot) -> &[f64] {
        let at = (slot as usize * VECTORS + 1) * self.width;
        &self.points[at..at + self.dim]
    }

    /// Gradient of the log density at the current position.
    pub fn gradient(&self) -> &[f64] {
        let at = (self.current as usize * VECTORS + 3) * self.width;
        &self.points[at..at + self.dim]
    }

    /// Log density at the current position.
    pub fn logp(&self) -> f64 {
        self.logp[self.current as usize]
    }

    /// Log density at a point.
    pub fn logp_of(&self, slot: Slot) -> f64 {
        self.logp[slot as usize]
    }

    /// Energy -log p(q) + K(p) of a point.
    pub fn energy_of(&self, slot: Slot) -> f64 {
        self.energy[slot as usize]
    }

    /// Takes an unused slot. Slots are given out lowest first, so unused memory is never touched.
    pub fn take(&mut self) -> Slot {
        let slot = self.free.trailing_zeros();
        self.free &= !(1 << slot);
        slot as Slot
    }

    /// Gives back the slots of `dropped` that are not in `kept`.
    pub(crate) fn give_back(&mut self, dropped: u64, kept: u64) {
        self.free |= dropped & !kept;
    }

    /// Makes `slot` the current point and frees every other one.
    pub fn settle(&mut self, slot: Slot) {
        let slots = self.logp.len();
        self.current = slot;
        self.free = all(slots) & !(1 << slot);
    }

    /// The momentum sums, and the points for reading.
    #[inline]
    pub(crate) fn rho_and_points(&mut self) -> (&mut [f64], Points<'_>) {
        (&mut self.rho, Points { points: &self.points, width: self.width })
    }

    fn q_mut(&mut self, slot: Slot) -> &mut [f64] {
        let at = slot as usize * VECTORS * self.width;
        &mut self.points[at..at + self.width]
    }

    fn evaluate<T: Gradient + ?Sized>(&mut self, target: &T, slot: Slot) {
        let (dim, n) = (self.dim, self.width);
        let block = &mut self.points[slot as usize * VECTORS * n..][..VECTORS * n];
        let point = split(block, n);
        self.logp[slot as usize] = target.logp_grad(&point.q[..dim], &mut point.g[..dim], &mut self.ws);
        self.gradients += 1;
    }

    /// Draws a fresh momentum for the current point; its energy is then known.
    pub fn refresh(&mut self, metric: &Metric, rng: &mut Stream) {
        rng.fill_normal(&mut self.noise[..self.dim]);
        let (slot, n) = (self.current as usize, self.width);
        let point = split(&mut self.points[slot * VECTORS * n..][..VECTORS * n], n);
        metric.momentum(&self.noise, point.p, point.v);
        if !matches!(metric, Metric::Diag(_)) {
            metric.apply(point.g, point.w);
        }
        let kinetic = 0.5 * crate::mcmc::vector::dot(point.p, point.v);
        self.energy[slot] = kinetic - self.logp[slot];
    }

    /// Sets the momentum of the current point by hand.
    pub fn set_momentum(&mut self, metric: &Metric, p: &[f64]) {
        let (slot, n) = (self.current as usize, self.width);
        let point = split(&mut self.points[slot * VECTORS * n..][..VECTORS * n], n);
        point.p[..p.len()].copy_from_slice(p);
        metric.apply(point.p, point.v);
        metric.apply(point.g, point.w);
        let kinetic = 0.5 * crate::mcmc::vector::dot(point.p, point.v);
        self.energy[slot] = kinetic - self.logp[slot];
    }

    /// The points `from` and `to`, and what a leapfrog step fills in for `to`.
    #[inline]
    pub(crate) fn pair(&mut self, from: Slot, to: Slot) -> Step<'_> {
        let n = self.width;
        let block = VECTORS * n;
        let (i, j) = (from as usize * block, to as usize * block);
        let (a, b) = if i < j {
            let (left, right) = self.points.split_at_mut(j);
            (&mut left[i..i + block], &mut right[..block])
        } else {
            let (left, right) = self.points.split_at_mut(i);
            (&mut right[..block], &mut left[j..j + block])
        };
        self.gradients += 1;
        Step {
            from: split(a, n),
            to: split(b, n),
            logp: &mut self.logp[to as usize],
            energy: &mut self.energy[to as usize],
            ws: &mut self.ws,
            dim: self.dim,
        }
    }
}

/// A free list of `slots` <= 64 free slots.
fn all(slots: usize) -> u64 {
    u64::MAX >> (64 - slots)
}

/// Everything one leapfrog step reads and writes.
pub(crate) struct Step<'a> {
    pub from: Point<'a>,
    pub to: Point<'a>,
    pub logp: &'a mut f64,
    pub energy: &'a mut f64,
    pub ws: &'a mut [f64],
    pub dim: usize,
}

#[inline]
fn split(block: &mut [f64], n: usize) -> Point<'_> {
    let (q, rest) = block.split_at_mut(n);
    let (p, rest) = rest.split_at_mut(n);
    let (v, rest) = rest.split_at_mut(n);
    let (g, w) = rest.split_at_mut(n);
    Point { q, p, v, g, w: &mut w[..n] }
}

/// Read access to the points.
#[derive(Clone, Copy)]
pub(crate) struct Points<'a> {
    points: &'a [f64],
    width: usize,
}

impl<'a> Points<'a> {
    /// Momentum of a point, padded.
    #[inline]
    pub(crate) fn p(self, slot: Slot) -> &'a [f64] {
        self.vector(slot, 1)
    }

    /// Velocity of a point, padded.
    #[inline]
    pub(crate) fn v(self, slot: Slot) -> &'a [f64] {
        self.vector(slot, 2)
    }

    #[inline]
    fn vector(self, slot: Slot, k: usize) -> &'a [f64] {
        let at = (slot as usize * VECTORS + k) * self.width;
        &self.points[at..at + self.width]
    }
}
