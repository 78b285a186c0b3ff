//! Laws with exponential tails: logistic, Gumbel, double exponential.

use std::f64::consts::LN_2;

use super::draw::sigmoid;
use super::expr::Expr;
use super::scalar::{ScalarLaw, positive, real};

/// logistic(mu, sigma)
pub(super) static LOGISTIC: ScalarLaw = ScalarLaw {
    name: "logistic",
    formula: "exp(-z) / (sigma (1 + exp(-z))^2), z = (y - mu) / sigma",
    params: &[real("mu"), positive("sigma")],
    location_scale: Some((0, 1)),
    lpdf: |y, a| {
        let z = (a[0] - y) / a[1];
        z - 2.0 * z.softplus() - a[1].log()
    },
    lcdf: Some(|y, a| -((a[0] - y) / a[1]).softplus()),
    lccdf: Some(|y, a| -((y - a[0]) / a[1]).softplus()),
    cdf: Some(|y, a| sigmoid((y - a[0]) / a[1])),
    draw: |rng, a| {
        let u = rng.uniform();
        a[0] + a[1] * (u / (1.0 - u)).ln()
    },
    ..ScalarLaw::BASE
};

/// gumbel(mu, beta)
pub(super) static GUMBEL: ScalarLaw = ScalarLaw {
    name: "gumbel",
    formula: "exp(-z - exp(-z)) / beta, z = (y - mu) / beta",
    params: &[real("mu"), positive("beta")],
    location_scale: Some((0, 1)),
    lpdf: |y, a| {
        let z = (a[0] - y) / a[1];
        z - z.exp() - a[1].log()
    },
    lcdf: Some(|y, a| -((a[0] - y) / a[1]).exp()),
    lccdf: Some(|y, a| (-((a[0] - y) / a[1]).exp()).log1m_exp()),
    cdf: Some(|y, a| (-((a[0] - y) / a[1]).exp()).exp()),
    draw: |rng, a| a[0] - a[1] * rng.exponential().ln(),
    ..ScalarLaw::BASE
};

/// log P(Y <= z) of the double exponential law of scale 1.
fn laplace_lcdf<'s>(z: Expr<'s>) -> Expr<'s> {
    let tail = -z.abs() - LN_2;
    z.lt(0.0).choose(tail, (-tail.exp()).log1p())
}

/// double_exponential(mu, sigma)
pub(super) static DOUBLE_EXPONENTIAL: ScalarLaw = ScalarLaw {
    name: "double_exponential",
    formula: "exp(-|y - mu| / sigma) / (2 sigma)",
    params: &[real("mu"), positive("sigma")],
    location_scale: Some((0, 1)),
    lpdf: |y, a| -((y - a[0]).abs() / a[1]) - (a[1].log() + LN_2),
    lcdf: Some(|y, a| laplace_lcdf((y - a[0]) / a[1])),
    lccdf: Some(|y, a| laplace_lcdf((a[0] - y) / a[1])),
    cdf: Some(|y, a| {
        let z = (y - a[0]) / a[1];
        let tail = 0.5 * (-z.abs()).exp();
        if z < 0.0 { tail } else { 1.0 - tail }
    }),
    draw: |rng, a| {
        let size = rng.exponential();
        a[0] + a[1] * if rng.uniform() < 0.5 { -size } else { size }
    },
    ..ScalarLaw::BASE
};
