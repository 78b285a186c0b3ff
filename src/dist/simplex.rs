//! Laws of shares and of counts in shares: Dirichlet, multinomial.

use super::array::{ArrayLaw, vector};
use super::batch::{row_dots, row_sums};
use super::draw;
use super::expr::write;
use super::law::{Domain, Support};
use super::scalar::count;
use crate::graph::{Graph, Var};

/// dirichlet(alpha)
pub(super) static DIRICHLET: ArrayLaw = ArrayLaw {
    name: "dirichlet",
    formula: "Gamma(sum_k alpha[k]) prod_k y[k]^(alpha[k] - 1) / Gamma(alpha[k])",
    params: &[vector("alpha", Domain::PositiveVector)],
    event_rank: 1,
    discrete: false,
    support: Support::Simplex,
    shaped_like: Some(0),
    lpdf: dirichlet,
    draw: |rng, a, out| {
        for (y, &alpha) in out.iter_mut().zip(a[0].data) {
            *y = draw::log_gamma(rng, alpha);
        }
        let most = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        out.iter_mut().for_each(|y| *y = (*y - most).exp());
        let total: f64 = out.iter().sum();
        out.iter_mut().for_each(|y| *y /= total);
        Some(())
    },
};

fn dirichlet(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let alpha = args[0];
    let powers = write(g, alpha, &[], |a, _| a - 1.0);
    let logs = write(g, y, &[], |y, _| y.log());
    let kernel = row_dots(g, logs, powers);
    let gammas = write(g, alpha, &[], |a, _| a.lgamma());
    let (total, gammas) = (row_sums(g, alpha), row_sums(g, gammas));
    write(g, kernel, &[total, gammas], |kernel, a| kernel + (a[0].lgamma() - a[1]))
}

/// multinomial(n, theta)
pub(super) static MULTINOMIAL: ArrayLaw = ArrayLaw {
    name: "multinomial",
    formula: "n! prod_k theta[k]^y[k] / y[k]!",
    params: &[count("n"), vector("theta", Domain::Simplex)],
    event_rank: 1,
    discrete: true,
    support: Support::Counts,
    shaped_like: Some(1),
    lpdf: multinomial,
    draw: |rng, a, out| {
        // Counts one after another, each binomial given the ones before.
        let (mut left, mut mass) = (a[0].number(), 1.0);
        for (y, &p) in out.iter_mut().zip(a[1].data) {
            let share = if p < mass { p / mass } else { 1.0 };
            *y = draw::binomial(rng, left, share);
            left -= *y;
            mass -= p;
        }
        if let Some(k) = a[1].data.iter().rposition(|&p| p > 0.0) {
            out[k] += left;
        }
        Some(())
    },
};

fn multinomial(g: &mut Graph, y: Var, args: &[Var]) -> Var {
    let logs = write(g, args[1], &[], |theta, _| theta.floored_log());
    let kernel = row_dots(g, y, logs);
    let factorials = write(g, y, &[], |y, _| (y + 1.0).lgamma());
    let factorials = row_sums(g, factorials);
    write(g, kernel, &[args[0], factorials], |kernel, a| kernel + ((a[0] + 1.0).lgamma() - a[1]))
}
