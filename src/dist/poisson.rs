//! Laws of counts without a limit: Poisson and negative binomial.

use super::cumulative::{gamma_q, inc_beta};
use super::draw;
use super::expr::Expr;
use super::gamma::log_gamma_q;
use super::law::Limit;
use super::scalar::{Formula, ScalarLaw, nonnegative, positive, real};
use crate::base::rng::Stream;

const COUNTS: (Limit, Limit) = (Limit::Fixed(0.0), Limit::None);

const POISSON_LCDF: Formula = |y, a| log_gamma_q(y + 1.0, a[0]);
const POISSON_LCCDF: Formula = |y, a| (y + 1.0).gamma_p(a[0]).log();

/// poisson(lambda)
pub(super) static POISSON: ScalarLaw = ScalarLaw {
    name: "poisson",
    formula: "lambda^y exp(-lambda) / y!",
    params: &[nonnegative("lambda")],
    support: COUNTS,
    discrete: true,
    lpdf: |y, a| y.times_log(a[0].log()) - a[0] - (y + 1.0).lgamma(),
    lcdf: Some(POISSON_LCDF),
    lccdf: Some(POISSON_LCCDF),
    cdf: Some(|y, a| gamma_q(y + 1.0, a[0])),
    draw: |rng, a| draw::poisson(rng, a[0]),
    ..ScalarLaw::BASE
};

/// poisson_log(alpha)
pub(super) static POISSON_LOG: ScalarLaw = ScalarLaw {
    name: "poisson_log",
    formula: "poisson(y | exp(alpha))",
    params: &[real("alpha")],
    support: COUNTS,
    discrete: true,
    lpdf: |y, a| y * a[0] - a[0].exp() - (y + 1.0).lgamma(),
    lcdf: Some(|y, a| POISSON_LCDF(y, &[a[0].exp()])),
    lccdf: Some(|y, a| POISSON_LCCDF(y, &[a[0].exp()])),
    cdf: Some(|y, a| gamma_q(y + 1.0, a[0].exp())),
    draw: |rng, a| draw::poisson(rng, a[0].exp()),
    ..ScalarLaw::BASE
};

/// The parts of the negative binomial mass that hold its gamma functions.
fn failures_choose<'s>(y: Expr<'s>, phi: Expr<'s>) -> Expr<'s> {
    (y + phi).lgamma() - phi.lgamma() - (y + 1.0).lgamma()
}

/// Log mass in eta = log mu; one softplus gives both log probabilities.
fn log_mass<'s>(y: Expr<'s>, eta: Expr<'s>, phi: Expr<'s>) -> Expr<'s> {
    let odds = eta - phi.log();
    failures_choose(y, phi) + y * odds - (y + phi) * odds.softplus()
}

/// neg_binomial_2(mu, phi): mean mu, variance mu + mu^2 / phi
pub(super) static NEG_BINOMIAL_2: ScalarLaw = ScalarLaw {
    name: "neg_binomial_2",
    formula: "C(y + phi - 1, y) (mu / (mu + phi))^y (phi / (mu + phi))^phi",
    params: &[positive("mu"), positive("phi")],
    support: COUNTS,
    discrete: true,
    lpdf: |y, a| log_mass(y, a[0].log(), a[1]),
    lcdf: Some(|y, a| a[1].inc_beta(y + 1.0, a[1] / (a[0] + a[1])).log()),
    lccdf: Some(|y, a| (y + 1.0).inc_beta(a[1], a[0] / (a[0] + a[1])).log()),
    cdf: Some(|y, a| inc_beta(a[1], y + 1.0, a[1] / (a[0] + a[1]))),
    draw: |rng, a| draw_neg_binomial(rng, a[0], a[1]),
    ..ScalarLaw::BASE
};

/// neg_binomial_2_log(eta, phi)
pub(super) static NEG_BINOMIAL_2_LOG: ScalarLaw = ScalarLaw {
    name: "neg_binomial_2_log",
    formula: "neg_binomial_2(y | exp(eta), phi)",
    params: &[real("eta"), positive("phi")],
    support: COUNTS,
    discrete: true,
    lpdf: |y, a| log_mass(y, a[0], a[1]),
    lcdf: Some(|y, a| {
        let x = (a[1].log() - a[0]).sigmoid();
        a[1].inc_beta(y + 1.0, x).log()
    }),
    lccdf: Some(|y, a| {
        let x = (a[0] - a[1].log()).sigmoid();
        (y + 1.0).inc_beta(a[1], x).log()
    }),
    cdf: Some(|y, a| inc_beta(a[1], y + 1.0, a[1] / (a[0].exp() + a[1]))),
    draw: |rng, a| draw_neg_binomial(rng, a[0].exp(), a[1]),
    ..ScalarLaw::BASE
};

/// Poisson with a gamma rate.
fn draw_neg_binomial(rng: &mut Stream, mu: f64, phi: f64) -> f64 {
    let rate = mu * (draw::log_gamma(rng, phi) - phi.ln()).exp();
    draw::poisson(rng, rate)
}
