//! Student's t and Cauchy laws, whole and cut at their centre.

use std::f64::consts::{FRAC_1_PI, LN_2, PI};

use super::cumulative::{inc_beta, student};
use super::draw::gamma;
use super::expr::Expr;
use super::law::Limit;
use super::scalar::{ScalarLaw, positive, real};
use crate::base::rng::Stream;

/// log π
const LOG_PI: f64 = 1.144_729_885_849_400_2;

fn student_density<'s>(y: Expr<'s>, a: &[Expr<'s>]) -> Expr<'s> {
    let (nu, mu, sigma) = (a[0], a[1], a[2]);
    let half = 0.5 * (nu + 1.0);
    let odds = (y - mu).square_by(sigma * nu.sqrt());
    let constant = half.lgamma() - (0.5 * nu).lgamma() - 0.5 * (nu.log() + LOG_PI) - sigma.log();
    constant - half * odds.log1p()
}

/// z² / (nu + z²), the argument of the incomplete beta function that is small at the centre.
fn central<'s>(z: Expr<'s>, nu: Expr<'s>) -> Expr<'s> {
    let square = z.square();
    square / (nu + square)
}

/// Below this z²/nu the integral of the density from 0 is z times the density at 0 to the last bit.
const LINEAR: f64 = 1e-17;

/// The integral of Student's t density from 0 to z.
fn student_half<'s>(z: Expr<'s>, nu: Expr<'s>) -> Expr<'s> {
    let log_peak = (0.5 * (nu + 1.0)).lgamma() - (0.5 * nu).lgamma() - 0.5 * (nu.log() + LOG_PI);
    let x = central(z, nu);
    let near = z * log_peak.exp();
    let whole = 0.5 * z.sign() * x.number(0.5).inc_beta(0.5 * nu, x);
    x.lt(LINEAR).choose(near, whole)
}

/// log P(T <= z) of Student's t: the tail as it is, the centre by its distance from 1/2.
fn student_lcdf<'s>(z: Expr<'s>, nu: Expr<'s>) -> Expr<'s> {
    let square = z.square();
    let tail = 0.5 * (0.5 * nu).inc_beta(0.5, nu / (nu + square));
    let far = z.lt(0.0).choose(tail.log(), (-tail).log1p());
    let centre = (student_half(z, nu) + 0.5).log();
    square.lt(nu).choose(centre, far)
}

fn draw_student(rng: &mut Stream, nu: f64) -> f64 {
    let z = rng.normal();
    z / (gamma(rng, 0.5 * nu) / (0.5 * nu)).sqrt()
}

/// student_t(nu, mu, sigma)
pub(super) static STUDENT_T: ScalarLaw = ScalarLaw {
    name: "student_t",
    formula: "Gamma((nu + 1) / 2) / (Gamma(nu / 2) sqrt(nu pi) sigma) \
              (1 + ((y - mu) / sigma)^2 / nu)^(-(nu + 1) / 2)",
    params: &[positive("nu"), real("mu"), positive("sigma")],
    location_scale: Some((1, 2)),
    lpdf: student_density,
    lcdf: Some(|y, a| student_lcdf((y - a[1]) / a[2], a[0])),
    lccdf: Some(|y, a| student_lcdf((a[1] - y) / a[2], a[0])),
    cdf: Some(|y, a| student((y - a[1]) / a[2], a[0])),
    draw: |rng, a| a[1] + a[2] * draw_student(rng, a[0]),
    ..ScalarLaw::BASE
};

/// half_student_t(nu, m, s): student_t(nu, m, s) cut below at m
pub(super) static HALF_STUDENT_T: ScalarLaw = ScalarLaw {
    name: "half_student_t",
    formula: "2 student_t(y | nu, m, s)",
    params: &[positive("nu"), real("m"), positive("s")],
    support: (Limit::Arg(1), Limit::None),
    location_scale: Some((1, 2)),
    lpdf: |y, a| student_density(y, a) + LN_2,
    lcdf: Some(|y, a| student_half((y - a[1]) / a[2], a[0]).log() + LN_2),
    lccdf: Some(|y, a| student_lcdf((a[1] - y) / a[2], a[0]) + LN_2),
    cdf: Some(|y, a| {
        let square = ((y - a[1]) / a[2]).powi(2);
        inc_beta(0.5, 0.5 * a[0], square / (a[0] + square))
    }),
    draw: |rng, a| a[1] + a[2] * draw_student(rng, a[0]).abs(),
    ..ScalarLaw::BASE
};

fn cauchy_density<'s>(y: Expr<'s>, a: &[Expr<'s>]) -> Expr<'s> {
    -((y - a[0]).square_by(a[1]).log1p() + (a[1].log() + LOG_PI))
}

/// log P(Y <= z) of the standard Cauchy law; far below 0 by arctan(-1/z), which keeps its digits.
fn cauchy_lcdf<'s>(z: Expr<'s>) -> Expr<'s> {
    let tail = ((-z.recip()).atan() * FRAC_1_PI).log();
    let rest = (z.atan() * FRAC_1_PI + 0.5).log();
    z.lt(-1.0).choose(tail, rest)
}

/// cauchy(mu, sigma)
pub(super) static CAUCHY: ScalarLaw = ScalarLaw {
    name: "cauchy",
    formula: "1 / (pi sigma (1 + ((y - mu) / sigma)^2))",
    params: &[real("mu"), positive("sigma")],
    location_scale: Some((0, 1)),
    lpdf: cauchy_density,
    lcdf: Some(|y, a| cauchy_lcdf((y - a[0]) / a[1])),
    lccdf: Some(|y, a| cauchy_lcdf((a[0] - y) / a[1])),
    cdf: Some(|y, a| f64::atan2(1.0, (a[0] - y) / a[1]) * FRAC_1_PI),
    draw: |rng, a| a[0] + a[1] * draw_cauchy(rng),
    ..ScalarLaw::BASE
};

/// half_cauchy(m, s): cauchy(m, s) cut below at m
pub(super) static HALF_CAUCHY: ScalarLaw = ScalarLaw {
    name: "half_cauchy",
    formula: "2 / (pi s (1 + ((y - m) / s)^2))",
    params: &[real("m"), positive("s")],
    support: (Limit::Arg(0), Limit::None),
    location_scale: Some((0, 1)),
    lpdf: |y, a| cauchy_density(y, a) + LN_2,
    lcdf: Some(|y, a| (((y - a[0]) / a[1]).atan() * (2.0 * FRAC_1_PI)).log()),
    lccdf: Some(|y, a| cauchy_lcdf((a[0] - y) / a[1]) + LN_2),
    cdf: Some(|y, a| ((y - a[0]) / a[1]).atan() * (2.0 * FRAC_1_PI)),
    draw: |rng, a| a[0] + a[1] * draw_cauchy(rng).abs(),
    ..ScalarLaw::BASE
};

fn draw_cauchy(rng: &mut Stream) -> f64 {
    (PI * (rng.uniform() - 0.5)).tan()
}
