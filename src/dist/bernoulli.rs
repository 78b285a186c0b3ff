//! Laws of one trial and of many: Bernoulli, binomial, beta-binomial, geometric.

use super::cumulative::inc_beta;
use super::draw::{self, sigmoid};
use super::expr::Expr;
use super::law::Limit;
use super::scalar::{ScalarLaw, count, positive, real, unit};

const BINARY: (Limit, Limit) = (Limit::Fixed(0.0), Limit::Fixed(1.0));
const UP_TO_TOTAL: (Limit, Limit) = (Limit::Fixed(0.0), Limit::Arg(0));

/// bernoulli(theta)
pub(super) static BERNOULLI: ScalarLaw = ScalarLaw {
    name: "bernoulli",
    formula: "theta^y (1 - theta)^(1 - y)",
    params: &[unit("theta")],
    support: BINARY,
    discrete: true,
    lpdf: |y, a| {
        let theta = a[0];
        if theta.is_scalar() && !y.is_scalar() {
            y.times_log(theta.log()) + (1.0 - y).times_log((-theta).log1p())
        } else {
            y.choose(theta, 1.0 - theta).log()
        }
    },
    lcdf: Some(|_, a| (-a[0]).log1p()),
    lccdf: Some(|_, a| a[0].log()),
    cdf: Some(|_, a| 1.0 - a[0]),
    draw: |rng, a| f64::from(rng.uniform() < a[0]),
    ..ScalarLaw::BASE
};

/// bernoulli_logit(alpha)
pub(super) static BERNOULLI_LOGIT: ScalarLaw = ScalarLaw {
    name: "bernoulli_logit",
    formula: "bernoulli(y | 1 / (1 + exp(-alpha)))",
    params: &[real("alpha")],
    support: BINARY,
    discrete: true,
    lpdf: |y, a| {
        if a[0].is_scalar() && !y.is_scalar() {
            y * a[0] - a[0].softplus()
        } else {
            -((1.0 - 2.0 * y) * a[0]).softplus()
        }
    },
    lcdf: Some(|_, a| -a[0].softplus()),
    lccdf: Some(|_, a| -(-a[0]).softplus()),
    cdf: Some(|_, a| sigmoid(-a[0])),
    draw: |rng, a| f64::from(rng.uniform() < sigmoid(a[0])),
    ..ScalarLaw::BASE
};

/// log P(Y <= y) of binomial(n, p) in the probability of failure `q`.
fn binomial_lcdf<'s>(y: Expr<'s>, n: Expr<'s>, q: Expr<'s>) -> Expr<'s> {
    (n - y).inc_beta(y + 1.0, q).log()
}

/// log P(Y > y) of binomial(n, p).
fn binomial_lccdf<'s>(y: Expr<'s>, n: Expr<'s>, p: Expr<'s>) -> Expr<'s> {
    (y + 1.0).inc_beta(n - y, p).log()
}

/// binomial(n, theta)
pub(super) static BINOMIAL: ScalarLaw = ScalarLaw {
    name: "binomial",
    formula: "C(n, y) theta^y (1 - theta)^(n - y)",
    params: &[count("n"), unit("theta")],
    support: UP_TO_TOTAL,
    discrete: true,
    lpdf: |y, a| {
        let (n, theta) = (a[0], a[1]);
        let failures = (n - y).times_log((-theta).log1p());
        y.times_log(theta.log()) + failures + n.lchoose(y)
    },
    lcdf: Some(|y, a| binomial_lcdf(y, a[0], 1.0 - a[1])),
    lccdf: Some(|y, a| binomial_lccdf(y, a[0], a[1])),
    cdf: Some(|y, a| inc_beta(a[0] - y, y + 1.0, 1.0 - a[1])),
    draw: |rng, a| draw::binomial(rng, a[0], a[1]),
    ..ScalarLaw::BASE
};

/// binomial_logit(n, alpha)
pub(super) static BINOMIAL_LOGIT: ScalarLaw = ScalarLaw {
    name: "binomial_logit",
    formula: "binomial(y | n, 1 / (1 + exp(-alpha)))",
    params: &[count("n"), real("alpha")],
    support: UP_TO_TOTAL,
    discrete: true,
    lpdf: |y, a| y * a[1] - a[0] * a[1].softplus() + a[0].lchoose(y),
    lcdf: Some(|y, a| binomial_lcdf(y, a[0], (-a[1]).sigmoid())),
    lccdf: Some(|y, a| binomial_lccdf(y, a[0], a[1].sigmoid())),
    cdf: Some(|y, a| inc_beta(a[0] - y, y + 1.0, sigmoid(-a[1]))),
    draw: |rng, a| draw::binomial(rng, a[0], sigmoid(a[1])),
    ..ScalarLaw::BASE
};

/// beta_binomial(n, alpha, beta)
pub(super) static BETA_BINOMIAL: ScalarLaw = ScalarLaw {
    name: "beta_binomial",
    formula: "C(n, y) B(y + alpha, n - y + beta) / B(alpha, beta)",
    params: &[count("n"), positive("alpha"), positive("beta")],
    support: UP_TO_TOTAL,
    discrete: true,
    lpdf: |y, a| {
        let (n, alpha, beta) = (a[0], a[1], a[2]);
        let joint = (y + alpha).lgamma() + (n - y + beta).lgamma() - (n + (alpha + beta)).lgamma();
        n.lchoose(y) + joint - alpha.lbeta(beta)
    },
    cdf: Some(beta_binomial_cdf),
    draw: |rng, a| {
        let (p, _) = draw::beta(rng, a[1], a[2]);
        draw::binomial(rng, a[0], p)
    },
    ..ScalarLaw::BASE
};

/// Sum of the masses by their ratio from one count to the next.
fn beta_binomial_cdf(y: f64, a: &[f64]) -> f64 {
    let (n, alpha, beta) = (a[0], a[1], a[2]);
    // Mass at 0: the probability that n trials fail in a row.
    let mut mass: f64 = (0..n as u64).map(|j| (beta + j as f64) / (alpha + beta + j as f64)).product();
    let mut sum = mass;
    for k in 0..y as u64 {
        let k = k as f64;
        mass *= (n - k) * (alpha + k) / ((k + 1.0) * (n - k - 1.0 + beta));
        sum += mass;
    }
    sum
}

/// geometric(theta): failures before the first success
pub(super) static GEOMETRIC: ScalarLaw = ScalarLaw {
    name: "geometric",
    formula: "theta (1 - theta)^y, y = 0, 1, 2, ... failures before the first success",
    params: &[unit("theta")],
    support: (Limit::Fixed(0.0), Limit::None),
    discrete: true,
    lpdf: |y, a| y.times_log((-a[0]).log1p()) + a[0].log(),
    lcdf: Some(|y, a| ((y + 1.0) * (-a[0]).log1p()).log1m_exp()),
    lccdf: Some(|y, a| (y + 1.0) * (-a[0]).log1p()),
    cdf: Some(|y, a| -((y + 1.0) * (-a[0]).ln_1p()).exp_m1()),
    draw: |rng, a| (rng.exponential() / -(-a[0]).ln_1p()).floor(),
    ..ScalarLaw::BASE
};
