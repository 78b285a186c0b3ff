//! Gamma law and its relatives: exponential, chi-square and the inverses.

use super::cumulative::{gamma_p, gamma_q};
use super::draw;
use super::expr::Expr;
use super::law::Limit;
use super::scalar::{Formula, ScalarLaw, positive};

const POSITIVE: (Limit, Limit) = (Limit::Fixed(0.0), Limit::None);

/// exponential(beta)
pub(super) static EXPONENTIAL: ScalarLaw = ScalarLaw {
    name: "exponential",
    formula: "beta exp(-beta y)",
    params: &[positive("beta")],
    support: POSITIVE,
    lpdf: |y, a| a[0].log() - a[0] * y,
    lcdf: Some(|y, a| (-(a[0] * y)).log1m_exp()),
    lccdf: Some(|y, a| -(a[0] * y)),
    cdf: Some(|y, a| -(-a[0] * y).exp_m1()),
    draw: |rng, a| rng.exponential() / a[0],
    ..ScalarLaw::BASE
};

fn gamma_density<'s>(y: Expr<'s>, shape: Expr<'s>, rate: Expr<'s>) -> Expr<'s> {
    (shape - 1.0) * y.log() - rate * y + (shape * rate.log() - shape.lgamma())
}

fn inv_gamma_density<'s>(y: Expr<'s>, shape: Expr<'s>, scale: Expr<'s>) -> Expr<'s> {
    (shape * scale.log() - shape.lgamma()) - (shape + 1.0) * y.log() - scale * y.recip()
}

/// log Q(a, x), the upper incomplete gamma function: 1 - P while that has digits, beyond the
/// continued fraction (Abramowitz & Stegun 6.5.31, its even part), whose 16 terms leave an error below
/// 1e-11 there for every a.
pub(super) fn log_gamma_q<'s>(a: Expr<'s>, x: Expr<'s>) -> Expr<'s> {
    const TERMS: u32 = 16;
    let p = a.gamma_p(x);
    let mut rest = x.number(0.0);
    for k in (1..=TERMS).rev().map(f64::from) {
        rest = k * (k - a) / (x - a - rest + (2.0 * k + 1.0));
    }
    let far = a * x.log() - x - a.lgamma() - (x - a - rest + 1.0).log();
    p.lt(1.0 - 1e-5).choose((-p).log1p(), far)
}

/// gamma(alpha, beta): shape and rate
pub(super) static GAMMA: ScalarLaw = ScalarLaw {
    name: "gamma",
    formula: "beta^alpha y^(alpha - 1) exp(-beta y) / Gamma(alpha)",
    params: &[positive("alpha"), positive("beta")],
    support: POSITIVE,
    lpdf: |y, a| gamma_density(y, a[0], a[1]),
    lcdf: Some(|y, a| a[0].gamma_p(a[1] * y).log()),
    lccdf: Some(|y, a| log_gamma_q(a[0], a[1] * y)),
    cdf: Some(|y, a| gamma_p(a[0], a[1] * y)),
    draw: |rng, a| draw::gamma(rng, a[0]) / a[1],
    ..ScalarLaw::BASE
};

/// inv_gamma(alpha, beta): shape and scale
pub(super) static INV_GAMMA: ScalarLaw = ScalarLaw {
    name: "inv_gamma",
    formula: "beta^alpha y^(-alpha - 1) exp(-beta / y) / Gamma(alpha)",
    params: &[positive("alpha"), positive("beta")],
    support: POSITIVE,
    lpdf: |y, a| inv_gamma_density(y, a[0], a[1]),
    lcdf: Some(|y, a| log_gamma_q(a[0], a[1] / y)),
    lccdf: Some(|y, a| a[0].gamma_p(a[1] / y).log()),
    cdf: Some(|y, a| gamma_q(a[0], a[1] / y)),
    draw: |rng, a| a[1] / draw::gamma(rng, a[0]),
    ..ScalarLaw::BASE
};

const CHI_SQUARE_LCDF: Formula = |y, a| (0.5 * a[0]).gamma_p(0.5 * y).log();
const CHI_SQUARE_LCCDF: Formula = |y, a| log_gamma_q(0.5 * a[0], 0.5 * y);

/// chi_square(nu)
pub(super) static CHI_SQUARE: ScalarLaw = ScalarLaw {
    name: "chi_square",
    formula: "y^(nu / 2 - 1) exp(-y / 2) / (2^(nu / 2) Gamma(nu / 2))",
    params: &[positive("nu")],
    support: POSITIVE,
    lpdf: |y, a| gamma_density(y, 0.5 * a[0], y.number(0.5)),
    lcdf: Some(CHI_SQUARE_LCDF),
    lccdf: Some(CHI_SQUARE_LCCDF),
    cdf: Some(|y, a| gamma_p(0.5 * a[0], 0.5 * y)),
    draw: |rng, a| 2.0 * draw::gamma(rng, 0.5 * a[0]),
    ..ScalarLaw::BASE
};

/// inv_chi_square(nu)
pub(super) static INV_CHI_SQUARE: ScalarLaw = ScalarLaw {
    name: "inv_chi_square",
    formula: "y^(-nu / 2 - 1) exp(-1 / (2 y)) / (2^(nu / 2) Gamma(nu / 2))",
    params: &[positive("nu")],
    support: POSITIVE,
    lpdf: |y, a| inv_gamma_density(y, 0.5 * a[0], y.number(0.5)),
    lcdf: Some(|y, a| CHI_SQUARE_LCCDF(y.recip(), a)),
    lccdf: Some(|y, a| CHI_SQUARE_LCDF(y.recip(), a)),
    cdf: Some(|y, a| gamma_q(0.5 * a[0], 0.5 / y)),
    draw: |rng, a| 0.5 / draw::gamma(rng, 0.5 * a[0]),
    ..ScalarLaw::BASE
};
