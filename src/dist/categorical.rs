//! Laws on the categories 1, ..., K.

use super::array::{ArrayLaw, vector};
use super::batch::{pick, row_log_sum_exp};
use super::draw;
use super::expr::write;
use super::law::{Domain, Limit, Support};
use super::scalar::real;
use crate::graph::{Graph, Index, Shape, Var};

/// categorical(theta)
pub(super) static CATEGORICAL: ArrayLaw = ArrayLaw {
    name: "categorical",
    formula: "theta[y], y = 1, ..., K",
    params: &[vector("theta", Domain::Simplex)],
    event_rank: 0,
    discrete: true,
    support: Support::Interval(Limit::Fixed(1.0), Limit::SizeOf(0)),
    shaped_like: None,
    lpdf: |g, y, a| {
        // One vector: a log per category; one vector per value: a log per value.
        if g.shape(a[0]).rank() == 1 {
            let logs = write(g, a[0], &[], |theta, _| theta.log());
            pick(g, logs, y, 0)
        } else {
            let theta = pick(g, a[0], y, 0);
            write(g, theta, &[], |theta, _| theta.log())
        }
    },
    draw: |rng, a, out| {
        out[0] = 1.0 + draw::category(rng, a[0].data) as f64;
        Some(())
    },
};

/// categorical_logit(beta)
pub(super) static CATEGORICAL_LOGIT: ArrayLaw = ArrayLaw {
    name: "categorical_logit",
    formula: "exp(beta[y]) / sum_k exp(beta[k]), y = 1, ..., K",
    params: &[vector("beta", Domain::Real)],
    event_rank: 0,
    discrete: true,
    support: Support::Interval(Limit::Fixed(1.0), Limit::SizeOf(0)),
    shaped_like: None,
    lpdf: |g, y, a| {
        let beta = pick(g, a[0], y, 0);
        let total = row_log_sum_exp(g, a[0]);
        g.sub(beta, total)
    },
    draw: |rng, a, out| {
        let most = a[0].data.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = a[0].data.iter().map(|b| (b - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let theta: Vec<f64> = weights.iter().map(|w| w / total).collect();
        out[0] = 1.0 + draw::category(rng, &theta) as f64;
        Some(())
    },
};

/// ordered_logistic(eta, c)
pub(super) static ORDERED_LOGISTIC: ArrayLaw = ArrayLaw {
    name: "ordered_logistic",
    formula: "s(c[y] - eta) - s(c[y - 1] - eta), y = 1, ..., K, s(x) = 1 / (1 + exp(-x)), \
              c[0] = -inf, c[K] = inf",
    params: &[real("eta"), vector("c", Domain::Ordered)],
    event_rank: 0,
    discrete: true,
    support: Support::Interval(Limit::Fixed(1.0), Limit::SizePlusOne(1)),
    shaped_like: None,
    lpdf: ordered_logistic,
    draw: |rng, a, out| {
        let u = rng.uniform();
        let latent = a[0].number() + (u / (1.0 - u)).ln();
        out[0] = 1.0 + a[1].data.iter().filter(|&&c| c < latent).count() as f64;
        Some(())
    },
};

/// Stands for an infinite cutpoint: far beyond any other, and finite, so that its terms are exact
/// zeros with derivative 0.
const FAR: f64 = 1e300;

/// With a = c[y-1] - eta < b = c[y] - eta the mass s(b) - s(a) is s(-a) s(b) (1 - exp(a - b)).
fn ordered_logistic(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let cuts = with_ends(g, args[1]);
    let (lower, upper) = (pick(g, cuts, y, 0), pick(g, cuts, y, 1));
    let gap = if g.shape(cuts).rank() == 1 {
        let gaps = cut_gaps(g, cuts);
        pick(g, gaps, y, 0)
    } else {
        write(g, lower, &[upper], |a, b| (a - b[0]).log1m_exp())
    };
    write(g, args[0], &[lower, upper, gap], |eta, a| a[2] - (a[0] - eta).softplus() - (eta - a[1]).softplus())
}

/// `[n?, k]` cutpoints with one far below in front and one far above behind: `[n?, k + 2]`.
fn with_ends(g: &mut Graph, c: Var) -> Var {
    let s = g.shape(c);
    let (k, count) = (s.dims()[s.rank() - 1], s.count());
    let n = if s.rank() == 2 { s.dims()[0] } else { 1 };
    let ends = g.constant(vec![-FAR, FAR], Shape::new(&[2]));
    let all = g.concat(&[c, ends], Shape::new(&[count + 2]));
    let table = (0..n * (k + 2)).map(|j| {
        let (row, i) = (j / (k + 2), j % (k + 2));
        let source = match i {
            0 => count,
            i if i == k + 1 => count + 1,
            i => row * k + i - 1,
        };
        source as u32
    });
    let index = Index::from_table(table.collect());
    let dims = [&s.dims()[..s.rank() - 1], &[k + 2]].concat();
    g.gather(all, index, Shape::new(&dims))
}

/// log(1 - exp(c[k-1] - c[k])) of every category of one vector of cutpoints with its ends.
fn cut_gaps(g: &mut Graph, cuts: Var) -> Var {
    let len = g.shape(cuts).count() - 1;
    let from = |start| Index::Stride { start, stride: 1, len };
    let lower = g.gather(cuts, from(0), Shape::new(&[len]));
    let upper = g.gather(cuts, from(1), Shape::new(&[len]));
    write(g, lower, &[upper], |a, b| (a - b[0]).log1m_exp())
}
