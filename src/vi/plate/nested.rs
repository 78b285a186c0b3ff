//! The bound of a row with rows inside, K draws at the innermost rows.
//!
//! L_n = E_q(z | x_n) [log p(z, …) - log q(z) + Σ_m E log (1/K) Σ_k p(x_nm, u_mk | z) / q(u_mk | x_nm, z)]: one draw of the latents
//! that have rows inside, K of each innermost row m given that draw. For K = 1 that is the ELBO of one draw of everything.

use super::chunk::compile;
use super::graph::{INPUTS, Source, inputs};
use super::innermost::density;
use super::target::{Group, Inside};
use super::walk::Walk;
use crate::graph::batch::batch;
use crate::graph::program::{Program, Real};
use crate::graph::prune::prune;
use crate::graph::reverse::grad;
use crate::graph::{Fold, Graph, Index, Shape, Spread, Var};
use crate::guide::amortized::Amortized;
use crate::guide::nested::Nest;
use crate::vi::objective::Estimator;

/// Innermost rows at their draws, for one row or with an axis of rows in front: log p of the latents, what the data say, log q
/// (`[L, K]` each), and the same of everything else.
#[derive(Clone, Copy, Debug)]
struct Terms {
    prior: Var,
    likelihood: Var,
    log_q: Var,
    prior_rest: Var,
    likelihood_rest: Var,
    log_q_rest: Var,
}

/// Rows at once.
struct Nested {
    g: Graph,
    terms: Terms,
    /// The same with the guide's parameters held fixed inside log q.
    held: Terms,
    /// Draws of the innermost rows `[B, K, C]`.
    leaves: Var,
    /// The same draws as functions of their guide's parameters alone.
    again: Var,
    /// Innermost row of each of the C coordinates.
    owners: Vec<u32>,
    rows: usize,
    k: usize,
}

/// Numbers of noise that a row takes: one for each coordinate, K for those of innermost rows.
pub fn noise(nest: &Nest, k: usize) -> usize {
    let level = |l: usize| nest.places(l).len() * if nest.is_leaf(l) { k } else { 1 };
    (0..nest.coordinates.len()).map(level).sum()
}

/// Bounds of `n` rows of a group, then their derivatives weighted by the last input, as [`super::graph::Rows::gradient`] has them.
pub fn program<T: Real>(
    guide: &Amortized,
    group: &Group,
    inside: &Inside,
    k: usize,
    how: Estimator,
    n: usize,
) -> Program<T> {
    let mut rows = Nested::new(guide, group, inside, k, n);
    let bound = rows.bound();
    let gradient = rows.gradient(bound, how);
    let (g, outputs) = prune(&rows.g, &[&[bound], &gradient[..]].concat());
    compile(&g, &outputs)
}

impl Nested {
    fn new(guide: &Amortized, group: &Group, inside: &Inside, k: usize, n: usize) -> Nested {
        let nest = &inside.nest;
        let mut g = Graph::new();
        let all = inputs(&mut g, guide, group, Source::Encoder, noise(nest, k));
        let [theta, common, seen, globals, noise, reads, data, _, inner] = all[..] else { unreachable!("nine inputs") };
        let walk = Walk { guide, nest, k, members: &group.members };
        let drawn = walk.draw(&mut g, [theta, seen, inner, globals, noise]);
        let density = density(&mut g, group, inside, k, &drawn.points, [common, reads, data]);
        let [prior, likelihood, prior_rest, likelihood_rest] = density;
        let [q, q_rest, held, held_rest] = drawn.log_q;
        let outputs =
            [prior, likelihood, prior_rest, likelihood_rest, q, q_rest, held, held_rest, drawn.leaves, drawn.again];
        let batched: Vec<bool> = INPUTS.iter().map(|i| i.1).collect();
        let (g, o) = batch(&g, &outputs, &batched, n);
        let terms = Terms {
            prior: o[0],
            likelihood: o[1],
            prior_rest: o[2],
            likelihood_rest: o[3],
            log_q: o[4],
            log_q_rest: o[5],
        };
        let held = Terms { log_q: o[6], log_q_rest: o[7], ..terms };
        Nested { g, terms, held, leaves: o[8], again: o[9], owners: drawn.owners, rows: n, k }
    }

    /// log w of innermost rows `[B, L, K]`, and of everything else `[B]`.
    fn log_w(&mut self, t: Terms) -> (Var, Var) {
        let beta = self.g.inputs()[7].var;
        let mut one = |prior, likelihood, log_q| {
            let kl = self.g.sub(prior, log_q);
            let kl = self.g.mul(beta, kl);
            self.g.add(likelihood, kl)
        };
        (one(t.prior, t.likelihood, t.log_q), one(t.prior_rest, t.likelihood_rest, t.log_q_rest))
    }

    /// Bound of each row `[B]`.
    fn bound(&mut self) -> Var {
        let (w, rest) = self.log_w(self.terms);
        let innermost = self.g.shape(w).dims()[1];
        if innermost == 0 {
            return rest;
        }
        let each = self.g.fold(Fold::LogSumExp, w, 2);
        let sum = self.g.fold(Fold::Sum, each, 1);
        let mean = self.g.shift(sum, -(innermost as f64) * (self.k as f64).ln());
        self.g.add(mean, rest)
    }

    /// Derivatives of Σ_n weight_n bound_n in guide, shared values, globals and the row's reads, with the weight a new input.
    ///
    /// Path: log q is held at its parameters, and draws of innermost rows hand back ŵ² to these, ŵ to everything that they
    /// depend on beside (Tucker et al. 2019, eqs. 7 and 8, given the latents around them).
    fn gradient(&mut self, bound: Var, how: Estimator) -> Vec<Var> {
        let weight = self.g.input("weight", Shape::new(&[self.rows]), Spread::Shared);
        let [theta, common, globals, reads] = [0, 1, 3, 5].map(|k| self.g.inputs()[k].var);
        if how == Estimator::Full {
            return grad(&mut self.g, &[bound], &[weight], &[theta, common, globals, reads]);
        }
        let (w, rest) = self.log_w(self.held);
        let shape = self.g.shape(w);
        if shape.dims()[1] == 0 {
            return grad(&mut self.g, &[rest], &[weight], &[theta, common, globals, reads]);
        }
        let total = self.g.fold(Fold::LogSumExp, w, 2);
        let total = self.g.broadcast_trailing(total, shape);
        let off = self.g.sub(w, total);
        let share = self.g.exp(off);
        let each = self.g.broadcast_trailing(weight, shape);
        let seed = self.g.mul(share, each);
        let wanted = [theta, common, globals, reads, self.leaves];
        let mut first = grad(&mut self.g, &[w, rest], &[seed, weight], &wanted);
        let less = self.less(share);
        let back = self.g.mul(less, first[4]);
        let own = grad(&mut self.g, &[self.again], &[back], &[theta])[0];
        first[0] = self.g.add(first[0], own);
        first.truncate(4);
        first
    }

    /// ŵ - 1 for each coordinate of the draws `[B, K, C]`, from ŵ `[B, L, K]`.
    fn less(&mut self, share: Var) -> Var {
        let (rows, c, k) = (self.rows, self.owners.len(), self.k);
        let l = self.g.shape(share).dims()[1];
        let place = |at: usize| {
            let (b, draw, owner) = (at / (k * c), at / c % k, self.owners[at % c] as usize);
            ((b * l + owner) * k + draw) as u32
        };
        let table = Index::from_table((0..rows * k * c).map(place).collect());
        let shape = self.g.shape(self.leaves);
        let share = self.g.gather(share, table, shape);
        self.g.shift(share, -1.0)
    }
}
