//! Laws on a bounded interval: beta, uniform, von Mises.

use std::f64::consts::{PI, TAU};

use super::cumulative::inc_beta;
use super::draw;
use super::expr::Expr;
use super::law::Limit;
use super::scalar::{ScalarLaw, nonnegative, positive, real, unit};
use crate::base::rng::Stream;

const UNIT: (Limit, Limit) = (Limit::Fixed(0.0), Limit::Fixed(1.0));

fn beta_density<'s>(y: Expr<'s>, a: Expr<'s>, b: Expr<'s>) -> Expr<'s> {
    (a - 1.0) * y.log() + (b - 1.0) * (-y).log1p() - a.lbeta(b)
}

/// beta(alpha, beta)
pub(super) static BETA: ScalarLaw = ScalarLaw {
    name: "beta",
    formula: "y^(alpha - 1) (1 - y)^(beta - 1) / B(alpha, beta)",
    params: &[positive("alpha"), positive("beta")],
    support: UNIT,
    lpdf: |y, a| beta_density(y, a[0], a[1]),
    lcdf: Some(|y, a| a[0].inc_beta(a[1], y).log()),
    lccdf: Some(|y, a| a[1].inc_beta(a[0], 1.0 - y).log()),
    cdf: Some(|y, a| inc_beta(a[0], a[1], y)),
    draw: |rng, a| draw::beta(rng, a[0], a[1]).0,
    ..ScalarLaw::BASE
};

/// beta_proportion(mu, kappa): beta(mu kappa, (1 - mu) kappa)
pub(super) static BETA_PROPORTION: ScalarLaw = ScalarLaw {
    name: "beta_proportion",
    formula: "beta(y | mu kappa, (1 - mu) kappa)",
    params: &[unit("mu"), positive("kappa")],
    support: UNIT,
    lpdf: |y, a| beta_density(y, a[0] * a[1], (1.0 - a[0]) * a[1]),
    lcdf: Some(|y, a| (a[0] * a[1]).inc_beta((1.0 - a[0]) * a[1], y).log()),
    lccdf: Some(|y, a| {
        let b = (1.0 - a[0]) * a[1];
        b.inc_beta(a[0] * a[1], 1.0 - y).log()
    }),
    cdf: Some(|y, a| inc_beta(a[0] * a[1], (1.0 - a[0]) * a[1], y)),
    draw: |rng, a| draw::beta(rng, a[0] * a[1], (1.0 - a[0]) * a[1]).0,
    ..ScalarLaw::BASE
};

/// uniform(alpha, beta)
pub(super) static UNIFORM: ScalarLaw = ScalarLaw {
    name: "uniform",
    formula: "1 / (beta - alpha)",
    params: &[real("alpha"), real("beta")],
    support: (Limit::Arg(0), Limit::Arg(1)),
    lpdf: |_, a| -(a[1] - a[0]).log(),
    lcdf: Some(|y, a| (y - a[0]).log() - (a[1] - a[0]).log()),
    lccdf: Some(|y, a| (a[1] - y).log() - (a[1] - a[0]).log()),
    cdf: Some(|y, a| (y - a[0]) / (a[1] - a[0])),
    draw: |rng, a| {
        if a[0] < a[1] { a[0] + (a[1] - a[0]) * rng.uniform() } else { f64::NAN }
    },
    ..ScalarLaw::BASE
};

/// von_mises(mu, kappa), normalised on any interval of length 2 pi; its own is [-pi, pi]
pub(super) static VON_MISES: ScalarLaw = ScalarLaw {
    name: "von_mises",
    formula: "exp(kappa cos(y - mu)) / (2 pi I_0(kappa))",
    params: &[real("mu"), nonnegative("kappa")],
    support: (Limit::Fixed(-PI), Limit::Fixed(PI)),
    lpdf: |y, a| a[1] * (y - a[0]).cos() - (a[1].log_bessel_i0() + TAU.ln()),
    draw: |rng, a| draw_von_mises(rng, a[0], a[1]),
    ..ScalarLaw::BASE
};

/// Rejection from a wrapped Cauchy law (Best & Fisher 1979, section 3). For small kappa its
/// parameter is lost in rounding and the uniform law is a better proposal; for large kappa likewise
/// the normal limit is exact to rounding.
fn draw_von_mises(rng: &mut Stream, mu: f64, kappa: f64) -> f64 {
    let angle = if kappa < 1e-3 {
        loop {
            let angle = PI * (2.0 * rng.uniform() - 1.0);
            if rng.uniform() < (kappa * (angle.cos() - 1.0)).exp() {
                break angle;
            }
        }
    } else if kappa > 1e14 {
        rng.normal() / kappa.sqrt()
    } else {
        best_fisher(rng, kappa)
    };
    // Back to [-pi, pi].
    let y = mu + angle;
    y - TAU * (y / TAU).round()
}

fn best_fisher(rng: &mut Stream, kappa: f64) -> f64 {
    let tau = 1.0 + (1.0 + 4.0 * kappa * kappa).sqrt();
    let rho = (tau - (2.0 * tau).sqrt()) / (2.0 * kappa);
    let r = (1.0 + rho * rho) / (2.0 * rho);
    loop {
        let z = (PI * rng.uniform()).cos();
        let f = (1.0 + r * z) / (r + z);
        let (c, u) = (kappa * (r - f), rng.uniform());
        if c * (2.0 - c) > u || (c / u).ln() + 1.0 >= c {
            let angle = f.clamp(-1.0, 1.0).acos();
            return if rng.uniform() < 0.5 { -angle } else { angle };
        }
    }
}
