//! The no-U-turn sampler with multinomial sampling along the trajectory (Hoffman & Gelman 2014; Betancourt 2017,
//! appendix A.3) and Stan's checks across neighbouring subtrees.
//!
//! A subtree of 2^j leaves is grown leaf by leaf; equal subtrees at the top of a stack are merged at once, as in
//! binary counting, so that no recursion, copy or allocation is needed: nodes hold slots of the [`State`].
//! Weights are kept on the linear scale relative to the starting energy, so a leaf costs one exponential and a
//! merge none.

use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::mcmc::integrator::leapfrog;
use crate::mcmc::kernel::{Info, Kernel};
use crate::mcmc::metric::Metric;
use crate::mcmc::state::{MAX_DEPTH, Slot, State};
use crate::mcmc::vector::{Block, PAD, blocks, blocks_mut, total};
use std::array::from_fn;
use std::sync::atomic::{AtomicBool, Ordering};

/// The decisions on which NUTS' invariance rests; the defaults are the sampler, overriding one breaks it.
pub trait Rules {
    /// Whether subtrees inside a doubling are checked for U-turns too (without it the transition is not reversible).
    const CHECK_SUBTREES: bool = true;
    /// Whether a doubling that turned or diverged inside is thrown away.
    const DROP_INVALID: bool = true;
    /// Whether a doubling goes either way in time with equal probability.
    const BOTH_WAYS: bool = true;

    /// Weight exp(H0 - H) of a leaf.
    fn weight(&self, minus_error: f64) -> f64 {
        minus_error.exp()
    }
    /// Whether a merge of two subtrees keeps the proposal of `b`; probability w_b / (w_a + w_b).
    fn pick_within(&self, u: f64, a: f64, b: f64) -> bool {
        u * (a + b) < b
    }
    /// Whether a new doubling's proposal replaces the old one; probability min(1, w_new / w_old)
    /// (biased progressive sampling, Betancourt 2017, section A.3.2).
    fn pick_across(&self, u: f64, old: f64, new: f64) -> bool {
        u * old < new
    }
    /// Draws the momentum.
    fn refresh(&self, metric: &Metric, state: &mut State, rng: &mut Stream) {
        state.refresh(metric, rng);
    }
}

/// The correct rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

impl Rules for Standard {}

/// The no-U-turn kernel.
#[derive(Clone, Copy, Debug)]
pub struct NutsKernel<'a, R: Rules = Standard> {
    /// Largest number of doublings (at most [`MAX_DEPTH`]); the state must have room for them.
    pub max_depth: usize,
    /// An energy error above this is a divergence.
    pub max_energy_error: f64,
    /// Looked at once per leapfrog step; a trajectory under way is abandoned when it becomes true.
    pub cancel: Option<&'a AtomicBool>,
    /// The decisions.
    pub rules: R,
}

impl Default for NutsKernel<'_> {
    fn default() -> Self {
        NutsKernel { max_depth: 10, max_energy_error: 1000.0, cancel: None, rules: Standard }
    }
}

/// A stretch of trajectory: its two end points in the order of building, the proposal, and the total weight.
#[derive(Clone, Copy, Default)]
struct Node {
    begin: Slot,
    end: Slot,
    proposal: Slot,
    level: u8,
    weight: f64,
}

impl Node {
    fn leaf(slot: Slot, weight: f64) -> Node {
        Node { begin: slot, end: slot, proposal: slot, level: 0, weight }
    }

    fn slots(&self) -> u64 {
        (1 << self.begin) | (1 << self.end) | (1 << self.proposal)
    }
}

/// Level of `State::rho` that belongs to the whole tree; level `1 + i` belongs to stack entry `i`.
const TREE: usize = 0;

/// Rescale weights once an energy error falls below minus this, long before an overflow.
const RESCALE: f64 = 300.0;

/// The running transition.
struct Builder<'s, 'k, T: ?Sized, R: Rules> {
    kernel: &'k NutsKernel<'k, R>,
    target: &'s T,
    metric: &'s Metric,
    state: &'s mut State,
    rng: &'s mut Stream,
    h0: f64,
    /// Log scale of all weights: a leaf weighs exp(H0 - H - shift).
    shift: f64,
    tree: Node,
    stack: [Node; MAX_DEPTH + 1],
    height: usize,
    accept_sum: f64,
    info: Info,
}

impl<R: Rules> Kernel for NutsKernel<'_, R> {
    fn step<T: Gradient + ?Sized>(
        &self,
        target: &T,
        metric: &Metric,
        eps: f64,
        state: &mut State,
        rng: &mut Stream,
    ) -> Info {
        self.rules.refresh(metric, state, rng);
        let start = state.current();
        let n = state.width();
        let h0 = state.energy_of(start);
        let (rho, points) = state.rho_and_points();
        rho[TREE * n..(TREE + 1) * n].copy_from_slice(points.p(start));
        let mut b = Builder {
            kernel: self,
            target,
            metric,
            state,
            rng,
            h0,
            shift: 0.0,
            tree: Node::leaf(start, 1.0),
            stack: [Node::default(); MAX_DEPTH + 1],
            height: 0,
            accept_sum: 0.0,
            info: Info::default(),
        };
        b.build(eps);
        b.finish(start)
    }
}

impl<T: Gradient + ?Sized, R: Rules> Builder<'_, '_, T, R> {
    /// Doubles the trajectory until it turns, diverges or reaches the largest depth.
    fn build(&mut self, eps: f64) {
        let max_depth = self.kernel.max_depth.min(MAX_DEPTH);
        let mut eps = eps;
        while (self.info.depth as usize) < max_depth {
            // A doubling continues from `end`; going the other way means that the ends change roles.
            if R::BOTH_WAYS && self.rng.uniform() < 0.5 {
                std::mem::swap(&mut self.tree.begin, &mut self.tree.end);
                eps = -eps;
            }
            let valid = self.grow(self.info.depth, eps);
            if self.info.cancelled || (!valid && R::DROP_INVALID) || self.height == 0 {
                return;
            }
            self.info.depth += 1;
            let new = self.stack[0];
            let pick = self.kernel.rules.pick_across(self.rng.uniform(), self.tree.weight, new.weight);
            let (tree, turning) = merge(self.state, self.tree, new, TREE, 1, pick);
            self.tree = tree;
            if turning || !valid {
                return;
            }
        }
        self.info.max_depth = true;
    }

    /// Grows a subtree of 2^depth leaves from the tree's end; false when it turned or diverged inside.
    fn grow(&mut self, depth: u32, eps: f64) -> bool {
        let mut from = self.tree.end;
        self.height = 0;
        for _ in 0..1u64 << depth {
            if self.kernel.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
                self.info.cancelled = true;
                return false;
            }
            let to = self.state.take();
            if !self.leaf(from, to, eps) {
                return false;
            }
            from = to;
            while self.height >= 2 && self.stack[self.height - 1].level == self.stack[self.height - 2].level {
                if self.merge_top() && R::CHECK_SUBTREES {
                    return false;
                }
            }
        }
        true
    }

    /// Takes one step and pushes its end as a leaf; false when it diverged.
    #[inline]
    fn leaf(&mut self, from: Slot, to: Slot, eps: f64) -> bool {
        let energy = leapfrog(self.target, self.metric, self.state, from, to, eps);
        self.info.leapfrogs += 1;
        let gain = self.h0 - energy;
        // Written so that NaN fails the test; an infinite gain is a numerical failure as well.
        if !(gain >= -self.kernel.max_energy_error && gain < f64::INFINITY) {
            self.info.divergent = true;
            self.info.energy_error = -gain;
            self.info.divergence = Some(to);
            return false;
        }
        if gain - self.shift > RESCALE {
            self.rescale(gain);
        }
        let weight = self.kernel.rules.weight(gain - self.shift);
        self.accept_sum += if gain >= 0.0 {
            1.0
        } else if self.shift == 0.0 {
            weight.min(1.0)
        } else {
            gain.exp()
        };
        self.stack[self.height] = Node::leaf(to, weight);
        self.height += 1;
        true
    }

    /// Makes `shift` the log scale of all weights.
    #[cold]
    fn rescale(&mut self, shift: f64) {
        let factor = (self.shift - shift).exp();
        self.shift = shift;
        self.tree.weight *= factor;
        for node in &mut self.stack[..self.height] {
            node.weight *= factor;
        }
    }

    /// Merges the two top nodes of the stack; true when the merged stretch turns.
    #[inline]
    fn merge_top(&mut self) -> bool {
        let at = self.height - 2;
        let (a, b) = (self.stack[at], self.stack[at + 1]);
        let pick = self.kernel.rules.pick_within(self.rng.uniform(), a.weight, b.weight);
        let (node, turning) = merge(self.state, a, b, 1 + at, 2 + at, pick);
        self.stack[at] = node;
        self.height -= 1;
        turning
    }

    fn finish(mut self, start: Slot) -> Info {
        let chosen = if self.info.cancelled { start } else { self.tree.proposal };
        self.state.settle(chosen);
        self.info.energy = self.state.energy_of(chosen);
        self.info.accept = self.accept_sum / f64::from(self.info.leapfrogs.max(1));
        self.info
    }
}

/// Joins `a` and the following `b`, whose momentum sums are in levels `la` and `lb` of `rho` (leaves have none);
/// the sum of both goes to level `la`. True when the joined stretch makes a U-turn.
#[inline]
fn merge(state: &mut State, a: Node, b: Node, la: usize, lb: usize, pick_b: bool) -> (Node, bool) {
    let node = Node {
        begin: a.begin,
        end: b.end,
        proposal: if pick_b { b.proposal } else { a.proposal },
        level: a.level + 1,
        weight: a.weight + b.weight,
    };
    let turning = if b.level == 0 { turns_leaves(state, a, b, la) } else { turns(state, a, b, la, lb) };
    state.give_back(a.slots() | b.slots(), node.slots());
    (node, turning)
}

/// U-turn of two neighbouring points: rho = p_a + p_b, turning unless v_a'rho > 0 and v_b'rho > 0.
#[inline]
fn turns_leaves(state: &mut State, a: Node, b: Node, la: usize) -> bool {
    let n = state.width();
    let (rho, points) = state.rho_and_points();
    let rho = blocks_mut(&mut rho[la * n..(la + 1) * n]);
    let (pa, pb) = (blocks(points.p(a.begin)), blocks(points.p(b.begin)));
    let (va, vb) = (blocks(points.v(a.begin)), blocks(points.v(b.begin)));
    let (mut sa, mut sb) = ([0.0; PAD], [0.0; PAD]);
    for ((rho, (pa, pb)), (va, vb)) in rho.iter_mut().zip(pa.iter().zip(pb)).zip(va.iter().zip(vb)) {
        let sum: Block = from_fn(|k| pa[k] + pb[k]);
        sa = from_fn(|k| sa[k] + va[k] * sum[k]);
        sb = from_fn(|k| sb[k] + vb[k] * sum[k]);
        *rho = sum;
    }
    !(total(sa) > 0.0 && total(sb) > 0.0)
}

/// The generalised criterion (Betancourt 2017, eq A.4.2) on the whole stretch, and, as in Stan, on `a` with the first
/// point of `b` and on the last point of `a` with `b`.
#[inline]
fn turns(state: &mut State, a: Node, b: Node, la: usize, lb: usize) -> bool {
    let n = state.width();
    let (rho, points) = state.rho_and_points();
    let (left, right) = rho.split_at_mut(lb * n);
    let (rho_a, rho_b) = (pairs_mut(&mut left[la * n..(la + 1) * n]), pairs(&right[..n]));
    let (p_last, p_first) = (pairs(points.p(a.end)), pairs(points.p(b.begin)));
    let (v_begin, v_last) = (pairs(points.v(a.begin)), pairs(points.v(a.end)));
    let (v_first, v_end) = (pairs(points.v(b.begin)), pairs(points.v(b.end)));
    let mut s = [[0.0; 2]; 6];
    let rho = rho_a.iter_mut().zip(rho_b);
    let p = p_last.iter().zip(p_first);
    let v = v_begin.iter().zip(v_last).zip(v_first.iter().zip(v_end));
    for (((ra, rb), (p_last, p_first)), ((v_begin, v_last), (v_first, v_end))) in rho.zip(p).zip(v) {
        let whole: Pair = from_fn(|k| ra[k] + rb[k]);
        let left: Pair = from_fn(|k| ra[k] + p_first[k]);
        let right: Pair = from_fn(|k| rb[k] + p_last[k]);
        s[0] = from_fn(|k| s[0][k] + v_begin[k] * whole[k]);
        s[1] = from_fn(|k| s[1][k] + v_end[k] * whole[k]);
        s[2] = from_fn(|k| s[2][k] + v_begin[k] * left[k]);
        s[3] = from_fn(|k| s[3][k] + v_first[k] * left[k]);
        s[4] = from_fn(|k| s[4][k] + v_last[k] * right[k]);
        s[5] = from_fn(|k| s[5][k] + v_end[k] * right[k]);
        *ra = whole;
    }
    !s.iter().all(|s| s[0] + s[1] > 0.0)
}

/// Six sums of two numbers fit the vector registers that every x86-64 machine has; six of four do not.
type Pair = [f64; 2];

fn pairs(x: &[f64]) -> &[Pair] {
    x.as_chunks().0
}

fn pairs_mut(x: &mut [f64]) -> &mut [Pair] {
    x.as_chunks_mut().0
}
