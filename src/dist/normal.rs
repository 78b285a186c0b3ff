//! Normal law and its relatives: half, log, skew.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

use super::cumulative::{owens_t, phi};
use super::expr::Expr;
use super::law::Limit;
use super::scalar::{ScalarLaw, positive, real};

/// log √(2π)
pub(super) const LOG_SQRT_TAU: f64 = 0.918_938_533_204_672_7;

/// Log density of normal(mu, sigma).
fn density<'s>(y: Expr<'s>, mu: Expr<'s>, sigma: Expr<'s>) -> Expr<'s> {
    -0.5 * (y - mu).square_by(sigma) - (sigma.log() + LOG_SQRT_TAU)
}

/// normal(mu, sigma)
pub(super) static NORMAL: ScalarLaw = ScalarLaw {
    name: "normal",
    formula: "exp(-((y - mu) / sigma)^2 / 2) / (sigma sqrt(2 pi))",
    params: &[real("mu"), positive("sigma")],
    location_scale: Some((0, 1)),
    lpdf: |y, a| density(y, a[0], a[1]),
    lcdf: Some(|y, a| ((y - a[0]) / a[1]).log_phi()),
    lccdf: Some(|y, a| ((a[0] - y) / a[1]).log_phi()),
    cdf: Some(|y, a| phi((y - a[0]) / a[1])),
    draw: |rng, a| a[0] + a[1] * rng.normal(),
    ..ScalarLaw::BASE
};

/// std_normal()
pub(super) static STD_NORMAL: ScalarLaw = ScalarLaw {
    name: "std_normal",
    formula: "exp(-y^2 / 2) / sqrt(2 pi)",
    lpdf: |y, _| -0.5 * y.square() - LOG_SQRT_TAU,
    lcdf: Some(|y, _| y.log_phi()),
    lccdf: Some(|y, _| (-y).log_phi()),
    cdf: Some(|y, _| phi(y)),
    draw: |rng, _| rng.normal(),
    ..ScalarLaw::BASE
};

/// half_normal(m, s): normal(m, s) cut below at m
pub(super) static HALF_NORMAL: ScalarLaw = ScalarLaw {
    name: "half_normal",
    formula: "2 exp(-((y - m) / s)^2 / 2) / (s sqrt(2 pi))",
    params: &[real("m"), positive("s")],
    support: (Limit::Arg(0), Limit::None),
    location_scale: Some((0, 1)),
    lpdf: |y, a| density(y, a[0], a[1]) + LN_2,
    lcdf: Some(|y, a| ((y - a[0]) / a[1] * FRAC_1_SQRT_2).erf().log()),
    lccdf: Some(|y, a| ((a[0] - y) / a[1]).log_phi() + LN_2),
    cdf: Some(|y, a| 1.0 - 2.0 * phi((a[0] - y) / a[1])),
    draw: |rng, a| a[0] + a[1] * rng.normal().abs(),
    ..ScalarLaw::BASE
};

/// lognormal(mu, sigma)
pub(super) static LOGNORMAL: ScalarLaw = ScalarLaw {
    name: "lognormal",
    formula: "exp(-((log y - mu) / sigma)^2 / 2) / (y sigma sqrt(2 pi))",
    params: &[real("mu"), positive("sigma")],
    support: (Limit::Fixed(0.0), Limit::None),
    lpdf: |y, a| {
        let log_y = y.log();
        density(log_y, a[0], a[1]) - log_y
    },
    lcdf: Some(|y, a| ((y.log() - a[0]) / a[1]).log_phi()),
    lccdf: Some(|y, a| ((a[0] - y.log()) / a[1]).log_phi()),
    cdf: Some(|y, a| phi((y.ln() - a[0]) / a[1])),
    draw: |rng, a| (a[0] + a[1] * rng.normal()).exp(),
    ..ScalarLaw::BASE
};

/// skew_normal(xi, omega, alpha) (Azzalini 1985)
pub(super) static SKEW_NORMAL: ScalarLaw = ScalarLaw {
    name: "skew_normal",
    formula: "2 phi(z) Phi(alpha z) / omega, z = (y - xi) / omega",
    params: &[real("xi"), positive("omega"), real("alpha")],
    location_scale: Some((0, 1)),
    lpdf: |y, a| {
        let z = (y - a[0]) / a[1];
        density(y, a[0], a[1]) + (a[2] * z).log_phi() + LN_2
    },
    cdf: Some(|y, a| {
        let z = (y - a[0]) / a[1];
        phi(z) - 2.0 * owens_t(z, a[2])
    }),
    draw: |rng, a| {
        let delta = a[2] / (1.0 + a[2] * a[2]).sqrt();
        let (u, v) = (rng.normal().abs(), rng.normal());
        a[0] + a[1] * (delta * u + (1.0 - delta * delta).sqrt() * v)
    },
    ..ScalarLaw::BASE
};
