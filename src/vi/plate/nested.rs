//! The bound of a row with rows inside, K draws at the innermost rows.
//!
//! L_n = E_q(z | x_n) [log p(z, …) - log q(z) + Σ_m E log (1/K) Σ_k p(x_nm, u_mk | z) / q(u_mk | x_nm, z)]: one draw of the latents
//! that have rows inside, K of each innermost row m given that draw. For K = 1 that is the ELBO of one draw of everything.

use super::chunk::compile;
use super::graph::{INPUTS, Source, inputs, transposed};
use super::innermost::density;
use super::target::{Group, Inside};
use crate::graph::batch::batch;
use crate::graph::program::{Program, Real};
use crate::graph::prune::prune;
use crate::graph::reverse::grad;
use crate::graph::{Fold, Graph, Index, Shape, Spread, Var};
use crate::guide::amortized::Amortized;
use crate::guide::nested::{Nest, Paths, RowVars};
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

/// Draws through the levels of one row.
struct Walk<'a> {
    guide: &'a Amortized,
    nest: &'a Nest,
    k: usize,
    members: &'a [usize],
}

/// What a row has drawn.
struct Drawn {
    /// For each level its coordinates, `[n]`, or `[K, n]` of an innermost one; none where it has no rows.
    points: Vec<Option<(usize, Var)>>,
    /// log q of innermost rows `[L, K]` and of the rest; the same with parameters held fixed.
    log_q: [Var; 4],
    leaves: Var,
    again: Var,
    owners: Vec<u32>,
}

impl Walk<'_> {
    fn draw(&self, g: &mut Graph, [theta, seen, inner, globals, noise]: [Var; 5]) -> Drawn {
        let fixed = g.stop_gradient(theta);
        let given = g.stop_gradient(globals);
        let row = |g: &mut Graph, theta: Var, globals: Var| {
            let encoded = self.guide.encode(g, theta, seen, self.members, Some(globals));
            RowVars { encoded, inner, globals }
        };
        let [live, held, alone] = [(theta, globals), (fixed, globals), (theta, given)].map(|(t, x)| row(g, t, x));
        let (mut paths, mut points, mut at) = (Paths::default(), vec![], 0);
        let mut rest = [g.scalar(0.0); 2];
        let (mut leaf_q, mut leaves, mut again, mut owners) = (vec![], vec![], vec![], vec![]);
        // Innermost levels: the level, its size, and what its encoder says with parameters held fixed.
        let mut to_score = vec![];
        let mut innermost = 0;
        for level in 0..self.nest.coordinates.len() {
            let n = self.nest.rows(level);
            let size = self.nest.places(level).len();
            if n == 0 {
                let none = g.constant(vec![], Shape::new(&[0, 0]));
                paths.add_none(none);
                points.push(None);
                continue;
            }
            let d = size / n;
            let mut take = |g: &mut Graph, dims: &[usize]| {
                let len = dims.iter().product();
                at += len;
                g.gather(noise, Index::Stride { start: at - len, stride: 1, len }, Shape::new(dims))
            };
            if level > 0 && self.nest.is_leaf(level) {
                let eps = take(g, &[self.k, n * d]);
                let around = paths.around(g, self.nest, level);
                let apart = g.stop_gradient(around);
                let e = [(theta, &live, around), (fixed, &held, around), (theta, &alone, apart)];
                let e = e.map(|(t, r, a)| self.guide.encode_level(g, t, r, (self.nest, level), a, false));
                let [z, q, z_again] = self.innermost(g, level, theta, [e[0], e[2]], eps);
                to_score.push((level, size, e[1]));
                points.push(None);
                leaf_q.push((n, q));
                leaves.push((size, z));
                again.push((size, z_again));
                owners.extend((0..size).map(|j| (innermost + j / d) as u32));
                innermost += n;
                // Nothing lies inside, so that nobody reads this path.
                let none = g.constant(vec![], Shape::new(&[0, 0]));
                paths.add_none(none);
                continue;
            }
            let eps = take(g, &[n, d]);
            let (z, q, q_held) = match level {
                0 => {
                    let (z, q) = self.guide.first_level(g, theta, live.encoded, eps, true);
                    let z = wall(g, z);
                    (z, q, self.guide.first_level(g, fixed, held.encoded, z, false).1)
                }
                _ => {
                    let around = paths.around(g, self.nest, level);
                    let e = self.guide.encode_level(g, theta, &live, (self.nest, level), around, false);
                    let e_held = self.guide.encode_level(g, fixed, &held, (self.nest, level), around, false);
                    let (z, q) = self.guide.at_level(g, theta, level, e, eps, true);
                    let z = wall(g, z);
                    (z, q, self.guide.at_level(g, fixed, level, e_held, z, false).1)
                }
            };
            paths.add(g, self.nest, z);
            for (sum, q) in rest.iter_mut().zip([q, q_held]) {
                let q = g.sum(q);
                *sum = g.add(*sum, q);
            }
            points.push(Some((size, g.reshape(z, Shape::new(&[size])))));
        }
        let [leaves, again] = [leaves, again].map(|parts| self.beside(g, &parts));
        let leaves = wall(g, leaves);
        let (mut leaf_held, mut start, total) = (vec![], 0, owners.len());
        for (level, size, e) in to_score {
            let table = (0..self.k * size).map(|j| (j / size * total + start + j % size) as u32).collect();
            let z = g.gather(leaves, Index::from_table(table), Shape::new(&[self.k, size]));
            leaf_held.push((self.nest.rows(level), self.score(g, level, fixed, e, z)));
            points[level] = Some((size, z));
            start += size;
        }
        let log_q = [self.by_row(g, &leaf_q), rest[0], self.by_row(g, &leaf_held), rest[1]];
        Drawn { points, log_q, leaves, again, owners }
    }

    /// K draws `[K, n]` of an innermost level, their log q `[K, rows]`, and the draws again where an encoder says `e[1]`.
    fn innermost(&self, g: &mut Graph, level: usize, theta: Var, e: [Var; 2], eps: Var) -> [Var; 3] {
        let size = g.shape(eps).dims()[1];
        let mut p = Graph::new();
        let own = p.input("theta", g.shape(theta), Spread::Shared);
        let said = e.map(|v| p.input("encoded", g.shape(v), Spread::Shared));
        let noise = p.input("noise", Shape::new(&[size]), Spread::Shared);
        let rows = Shape::new(&[self.nest.rows(level), size / self.nest.rows(level)]);
        let noise = p.reshape(noise, rows);
        let (z, q) = self.guide.at_level(&mut p, own, level, said[0], noise, true);
        let again = self.guide.at_level(&mut p, own, level, said[1], noise, true).0;
        let [z, again] = [z, again].map(|v| p.reshape(v, Shape::new(&[size])));
        let (many, out) = batch(&p, &[z, q, again], &[false, false, false, true], self.k);
        let out = g.inline(&many, &[theta, e[0], e[1], eps], &out);
        [out[0], out[1], out[2]]
    }

    /// log q `[K, rows]` of an innermost level at K points `[K, n]`.
    fn score(&self, g: &mut Graph, level: usize, theta: Var, e: Var, z: Var) -> Var {
        let size = g.shape(z).dims()[1];
        let mut p = Graph::new();
        let own = p.input("theta", g.shape(theta), Spread::Shared);
        let said = p.input("encoded", g.shape(e), Spread::Shared);
        let point = p.input("point", Shape::new(&[size]), Spread::Shared);
        let rows = Shape::new(&[self.nest.rows(level), size / self.nest.rows(level)]);
        let x = p.reshape(point, rows);
        let q = self.guide.at_level(&mut p, own, level, said, x, false).1;
        let (many, q) = batch(&p, &[q], &[false, false, true], self.k);
        g.inline(&many, &[theta, e, z], &q)[0]
    }

    /// Levels of `[K, n]` as one `[L, K]`.
    fn by_row(&self, g: &mut Graph, parts: &[(usize, Var)]) -> Var {
        let all = self.beside(g, parts);
        transposed(g, all)
    }

    /// Levels of `[K, n]` beside one another.
    fn beside(&self, g: &mut Graph, parts: &[(usize, Var)]) -> Var {
        let total: usize = parts.iter().map(|p| p.0).sum();
        let flat: Vec<Var> = parts.iter().map(|(n, v)| g.reshape(*v, Shape::new(&[self.k * n]))).collect();
        let flat = g.concat(&flat, Shape::new(&[self.k * total]));
        let mut table = vec![];
        for draw in 0..self.k {
            let mut start = 0;
            for (n, _) in parts {
                table.extend((0..*n).map(|j| (start + draw * n + j) as u32));
                start += self.k * n;
            }
        }
        g.gather(flat, Index::from_table(table), Shape::new(&[self.k, total]))
    }
}

/// Nothing simplifies past this: whatever reads the point reads this node, and its derivative is all of it.
fn wall(g: &mut Graph, z: Var) -> Var {
    let one = g.scalar(1.0);
    g.scale_grad(z, one)
}
