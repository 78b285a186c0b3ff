//! The bound of one row as a graph, and its batch over rows.
//!
//! With w_k = p(x, z_k | g) / q(z_k | x, g): ELBO = E log w, IWAE-K = E log (1/K) Σ_k w_k (Burda, Grosse & Salakhutdinov
//! 2016, eq. 8). For the ELBO of a normal guide, addends that are polynomials of degree up to 2 in z are integrated
//! exactly: E f(z) = (1/2d) Σ_i f(μ + √d σ_i e_i) + f(μ - √d σ_i e_i), a rule exact up to degree 3 (the spherical-radial
//! cubature, Arasaratnam & Haykin 2009, eq. 38). Where no addend mixes coordinates, as with independent priors, two points serve, for
//! all coordinates at once: E f(z) = 1/2 (f(μ + σ) + f(μ - σ)). That covers the KL divergence of normal laws and linear decoders
//! with normal noise; the entropy is known anyway.

use std::f64::consts::PI;

use super::degree::degrees;
use super::separable::separable;
use super::target::{Group, Part};
use crate::graph::batch::batch;
use crate::graph::prune::prune;
use crate::graph::reverse::grad;
use crate::graph::{Fold, Graph, Index, Shape, Spread, Var};
use crate::guide::amortized::Amortized;
use crate::guide::nested::RowVars;
use crate::vi::objective::{Estimator, Objective};

/// What gives the base and context of a row's flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The encoder, of what it sees of the row.
    Encoder,
    /// An input: the row's own.
    Free,
}

/// What is asked of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where location, scale and context come from.
    pub source: Source,
    /// Draws of a row.
    pub draws: usize,
    /// Integrate exactly what can be, where the guide is normal.
    pub exact: bool,
    /// log q at the draws with parameters held fixed, beside log q along the draws.
    pub score: bool,
}

/// Rows at once. The first inputs are those of [`INPUTS`].
pub struct Rows {
    /// The graph.
    pub g: Graph,
    /// Draws `[B, K, d]`.
    pub z: Var,
    /// What the encoder says, `[B, E]`.
    pub encoded: Var,
    /// log p of the latents, what the data say, log q: `[B, K]` each; without what is integrated exactly.
    pub prior: Var,
    /// See `prior`.
    pub likelihood: Var,
    /// See `prior`.
    pub log_q: Var,
    /// log q by its formula at `z`, for path gradients; `log_q` where it was not asked for.
    pub score: Var,
    /// Exact parts of E (log p(z) - log q(z)) and E log p(x | z), `[B]`.
    pub exact: Option<[Var; 2]>,
}

/// Inputs: parameters of the guide; shared values; what the encoder sees (or its output, where it is free); coordinates
/// of the globals; noise; shared values and data of the row; the weight of prior and log q (KL warm-up); what the encoders of
/// rows inside see. Behind the name: whether rows differ in it.
pub const INPUTS: [(&str, bool); 9] = [
    ("guide", false),
    ("common", false),
    ("seen", true),
    ("globals", false),
    ("noise", true),
    ("reads", true),
    ("data", true),
    ("beta", false),
    ("inner", true),
];

/// Adds the parts of a row's log density at `z`, those that `keep` names, to prior and likelihood.
fn parts(g: &mut Graph, group: &Group, inputs: &[Var], keep: impl Fn(usize) -> bool) -> [Var; 2] {
    let kept: Vec<usize> = (0..group.parts.len()).filter(|k| keep(*k)).collect();
    let wanted: Vec<Var> = kept.iter().map(|k| group.parts[*k].1).collect();
    let made = g.inline(&group.graph, inputs, &wanted);
    [Part::Prior, Part::Likelihood].map(|part| {
        let mine = kept.iter().zip(&made).filter(|(k, _)| group.parts[**k].0 == part);
        mine.map(|m| *m.1).reduce(|a, b| g.add(a, b)).unwrap_or_else(|| g.scalar(0.0))
    })
}

/// Sizes of the inputs of a group's graph behind the coordinates: common, reads, data.
fn sizes(group: &Group) -> [usize; 3] {
    [1, 2, 3].map(|k| group.graph.shape(group.graph.inputs()[k].var).count())
}

/// The inputs of [`INPUTS`] for one row with so many numbers of noise.
pub fn inputs(g: &mut Graph, guide: &Amortized, group: &Group, source: Source, noise: usize) -> Vec<Var> {
    let [common, reads, data] = sizes(group);
    let seen = match source {
        Source::Encoder => group.rows.first().map_or(0, |r| r.seen.len()),
        Source::Free => guide.encoded_in(group.nest()),
    };
    let inner = guide.inner_inputs(group.nest());
    let counts = [guide.len(), common, seen, guide.plan().globals, noise, reads, data, 1, inner];
    let one = |((name, _), n): (&(&str, bool), usize)| match *name {
        "beta" => g.input(name, Shape::SCALAR, Spread::Shared),
        _ => flat(g, name, n),
    };
    INPUTS.iter().zip(counts).map(one).collect()
}

/// The transpose of a matrix.
pub fn transposed(g: &mut Graph, a: Var) -> Var {
    let [n, m] = [g.shape(a).dims()[0], g.shape(a).dims()[1]];
    let table = (0..m * n).map(|k| (k % n * m + k / n) as u32).collect();
    g.gather(a, Index::from_table(table), Shape::new(&[m, n]))
}

fn flat(g: &mut Graph, name: &str, n: usize) -> Var {
    g.input(name, Shape::new(&[n]), Spread::Shared)
}

impl Rows {
    /// `n` rows of `group` at once.
    pub fn new(guide: &Amortized, group: &Group, ask: Ask, n: usize) -> Rows {
        let d = group.dim();
        let mut g = Graph::new();
        let all = inputs(&mut g, guide, group, ask.source, ask.draws * d);
        let [theta, common, seen, globals, noise, reads, data, _, inner] = all[..] else { unreachable!("nine inputs") };
        let e = match ask.source {
            Source::Encoder => {
                let e = guide.encode(&mut g, theta, seen, &group.members, Some(globals));
                // Nothing is added to what the encoders of rows inside say.
                let none = guide.encoded_in(group.nest()) - guide.encoded_len();
                let none = g.filled(0.0, Shape::new(&[none]));
                g.concat(&[e, none], Shape::new(&[guide.encoded_in(group.nest())]))
            }
            Source::Free => seen,
        };
        let degree = degrees(&group.graph, group.graph.inputs()[0].var, 2);
        let exact = ask.exact && guide.is_gaussian();
        let quadratic = |k: usize| exact && degree[group.parts[k].1.index()].is_some();
        let draws = Draws { guide, group, score: ask.score, k: ask.draws };
        let noise = g.reshape(noise, Shape::new(&[ask.draws, d]));
        let mut outputs =
            draws.write(&mut g, [e, theta, inner, globals, common, reads, data, noise], |k| !quadratic(k));
        outputs.push(e);
        if exact {
            outputs.extend(closed(&mut g, guide, group, [e, common, reads, data], quadratic));
        }
        let batched: Vec<bool> = INPUTS.iter().map(|i| i.1).collect();
        let (g, out) = batch(&g, &outputs, &batched, n);
        let exact = exact.then(|| [out[6], out[7]]);
        Rows { g, z: out[0], log_q: out[1], score: out[2], prior: out[3], likelihood: out[4], encoded: out[5], exact }
    }

    /// log w along the draws `[B, K]`, prior and `log_q` weighted by beta.
    pub fn log_w(&mut self, log_q: Var) -> Var {
        let beta = self.g.inputs()[7].var;
        let kl = self.g.sub(self.prior, log_q);
        let kl = self.g.mul(beta, kl);
        self.g.add(self.likelihood, kl)
    }

    /// Bound of each row `[B]`.
    pub fn bound(&mut self, objective: Objective) -> Var {
        let k = self.g.shape(self.log_q).dims()[1] as f64;
        match (objective, self.exact) {
            (Objective::Elbo(_), Some([prior, likelihood])) => {
                let beta = self.g.inputs()[7].var;
                let zero = self.g.scalar(0.0);
                let rest = self.log_w_without_q(zero);
                let rest = self.mean(rest, k);
                let kl = self.g.mul(beta, prior);
                let sum = self.g.add(likelihood, kl);
                self.g.add(sum, rest)
            }
            (Objective::Elbo(_), None) => {
                let w = self.log_w(self.log_q);
                self.mean(w, k)
            }
            (Objective::Iwae { .. }, _) => {
                let w = self.log_w(self.log_q);
                let l = self.g.fold(Fold::LogSumExp, w, 1);
                self.g.shift(l, -k.ln())
            }
        }
    }

    /// What is left to draws where log q is integrated exactly.
    fn log_w_without_q(&mut self, zero: Var) -> Var {
        let shape = self.g.shape(self.log_q);
        let none = self.g.fill_to(zero, shape);
        self.log_w(none)
    }

    fn mean(&mut self, w: Var, k: f64) -> Var {
        let sum = self.g.fold(Fold::Sum, w, 1);
        self.g.scale(1.0 / k, sum)
    }

    /// Appends the derivatives of Σ_n weight_n bound_n in guide, shared values, globals and the row's reads, with `weight` `[B]` a new input behind [`INPUTS`].
    ///
    /// Full: the derivative as it stands. Path: log q held at its parameters; of the ELBO, "sticking the landing" (Roeder, Wu
    /// & Duvenaud 2017); of IWAE, doubly reparametrised for the guide, whose draws see ŵ², while shared values and globals
    /// see ŵ (Tucker et al. 2019, eqs. 7 and 8).
    pub fn gradient(&mut self, objective: Objective, bound: Var) -> Vec<Var> {
        let n = self.g.shape(bound).count();
        let weight = flat(&mut self.g, "weight", n);
        let closed = matches!(objective, Objective::Elbo(_)) && self.exact.is_some();
        if closed || objective.estimator() == Estimator::Full {
            let inputs = self.differentiated();
            return grad(&mut self.g, &[bound], &[weight], &inputs);
        }
        let w = self.log_w(self.score);
        let shape = self.g.shape(w);
        let k = shape.dims()[1] as f64;
        let each = self.g.broadcast_trailing(weight, shape);
        match objective {
            Objective::Elbo(_) => {
                let seed = self.g.scale(1.0 / k, each);
                self.along(w, seed, None)
            }
            Objective::Iwae { .. } => {
                let total = self.g.fold(Fold::LogSumExp, w, 1);
                let total = self.g.broadcast_trailing(total, shape);
                let off = self.g.sub(w, total);
                let share = self.g.exp(off);
                let seed = self.g.mul(share, each);
                self.along(w, seed, Some(share))
            }
        }
    }

    /// The same where the draws are some of those that gave the bound of IWAE ([`super::survivors`]): with two new inputs
    /// `[B, K]`, what each counts times the weight of its row, and its share ŵ.
    pub fn gradient_of_survivors(&mut self, objective: Objective) -> Vec<Var> {
        let shape = self.g.shape(self.log_q);
        let [seed, share] = ["counts", "share"].map(|name| {
            let v = flat(&mut self.g, name, shape.count());
            self.g.reshape(v, shape)
        });
        let w = self.log_w(self.score);
        if objective.estimator() == Estimator::Path {
            return self.along(w, seed, Some(share));
        }
        let inputs = self.differentiated();
        grad(&mut self.g, &[w], &[seed], &inputs)
    }

    fn differentiated(&self) -> [Var; 4] {
        [0, 1, 3, 5].map(|k| self.g.inputs()[k].var)
    }

    /// Derivatives of Σ seed · w with the guide's parameters reached along the draws only, which see `share` times as much.
    fn along(&mut self, w: Var, seed: Var, share: Option<Var>) -> Vec<Var> {
        let [theta, common, globals, reads] = self.differentiated();
        let z = self.z;
        let first = grad(&mut self.g, &[w], &[seed], &[z, common, globals, reads]);
        let back = match share {
            None => first[0],
            Some(share) => {
                let share = self.g.broadcast_trailing(share, self.g.shape(z));
                self.g.mul(share, first[0])
            }
        };
        let own = grad(&mut self.g, &[z], &[back], &[theta]);
        vec![own[0], first[1], first[2], first[3]]
    }

    /// The graph with only what `outputs` need.
    pub fn pruned(&self, outputs: &[Var]) -> (Graph, Vec<Var>) {
        prune(&self.g, outputs)
    }
}

/// The draws of a row.
struct Draws<'a> {
    guide: &'a Amortized,
    group: &'a Group,
    score: bool,
    k: usize,
}

impl Draws<'_> {
    /// Outputs z, log q, its score, prior, likelihood, each with an axis of draws in front.
    fn write(&self, g: &mut Graph, inputs: [Var; 8], keep: impl Fn(usize) -> bool) -> Vec<Var> {
        let mut p = Graph::new();
        let names = ["encoded", "guide", "inner", "globals", "common", "reads", "data"];
        let mut own: Vec<Var> = names.iter().zip(inputs).map(|(n, v)| flat(&mut p, n, g.shape(v).count())).collect();
        own.push(flat(&mut p, "noise", self.group.dim()));
        let [encoded, theta, inner, globals, common, reads, data, eps] = own[..] else { unreachable!("eight inputs") };
        let (row, nest) = (RowVars { encoded, inner, globals }, self.group.nest());
        let (z, log_q) = self.guide.draw(&mut p, theta, &row, nest, eps);
        // Nothing simplifies past this: whatever reads z reads this node, and its derivative is all of it.
        let one = p.scalar(1.0);
        let z = p.scale_grad(z, one);
        let score = if self.score { self.guide.log_q(&mut p, theta, &row, nest, z) } else { log_q };
        let [prior, likelihood] = parts(&mut p, self.group, &[z, common, reads, data], keep);
        let batched = [false, false, false, false, false, false, false, true];
        let (many, outputs) = batch(&p, &[z, log_q, score, prior, likelihood], &batched, self.k);
        g.inline(&many, &inputs, &outputs)
    }
}

/// Exact E (log p(z) - log q(z)) and E log p(x | z), of the parts of degree up to 2.
fn closed(
    g: &mut Graph,
    guide: &Amortized,
    group: &Group,
    [e, common, reads, data]: [Var; 4],
    keep: impl Fn(usize) -> bool,
) -> [Var; 2] {
    let d = guide.plan().dim;
    let e = guide.split(g, e);
    let apart = separable(&group.graph, group.graph.inputs()[0].var);
    let apart = |k: usize| apart[group.parts[k].1.index()];
    let root = (d as f64).sqrt();
    let together = [vec![1.0; d], vec![-1.0; d]].concat();
    let one_by_one = (0..2 * d * d).map(|k| match (k / d, k % d) {
        (i, j) if i == j => root,
        (i, j) if i == d + j => -root,
        _ => 0.0,
    });
    let law = [e.location, e.log_scale];
    let given = [common, reads, data];
    let sums = expectation(g, group, law, given, together, |k| keep(k) && apart(k));
    let rest = expectation(g, group, law, given, one_by_one.collect(), |k| keep(k) && !apart(k));
    let [prior, likelihood] = [0, 1].map(|k| g.add(sums[k], rest[k]));
    // The entropy of a normal law: Σ log σ + d/2 (1 + log 2π).
    let scales = g.sum(e.log_scale);
    let entropy = g.shift(scales, 0.5 * d as f64 * (1.0 + (2.0 * PI).ln()));
    [g.add(prior, entropy), likelihood]
}

/// The means of prior and likelihood, of the parts that `keep` names, over the points that lie `steps` (point after point) scales away
/// from the location.
fn expectation(
    g: &mut Graph,
    group: &Group,
    [location, log_scale]: [Var; 2],
    [common, reads, data]: [Var; 3],
    steps: Vec<f64>,
    keep: impl Fn(usize) -> bool,
) -> [Var; 2] {
    if !(0..group.parts.len()).any(&keep) {
        return [g.scalar(0.0), g.scalar(0.0)];
    }
    let d = g.shape(location).count();
    let points = steps.len() / d;
    let n = Shape::new(&[points, d]);
    let steps = g.constant(steps, n);
    let scale = g.exp(log_scale);
    let (scale, centre) = (g.broadcast(scale, n), g.broadcast(location, n));
    let off = g.mul(steps, scale);
    let given = [g.add(centre, off), common, reads, data];
    let mut p = Graph::new();
    let counts = [d, g.shape(common).count(), g.shape(reads).count(), g.shape(data).count()];
    let names = ["z", "common", "reads", "data"];
    let own: Vec<Var> = names.iter().zip(counts).map(|(name, n)| flat(&mut p, name, n)).collect();
    let wanted = parts(&mut p, group, &own, keep);
    let (many, outputs) = batch(&p, &wanted, &[true, false, false, false], points);
    let values = g.inline(&many, &given, &outputs);
    [0, 1].map(|k| {
        let sum = g.sum(values[k]);
        g.scale(1.0 / points as f64, sum)
    })
}
