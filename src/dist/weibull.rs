//! Laws of lifetimes and sizes by powers: Weibull, Pareto.

use super::law::Limit;
use super::scalar::{ScalarLaw, positive};

/// weibull(alpha, sigma): shape and scale
pub(super) static WEIBULL: ScalarLaw = ScalarLaw {
    name: "weibull",
    formula: "alpha / sigma (y / sigma)^(alpha - 1) exp(-(y / sigma)^alpha)",
    params: &[positive("alpha"), positive("sigma")],
    support: (Limit::Fixed(0.0), Limit::None),
    lpdf: |y, a| {
        let (alpha, log_sigma, log_y) = (a[0], a[1].log(), y.log());
        let hazard = (alpha * (log_y - log_sigma)).exp();
        (alpha - 1.0) * log_y - hazard + (alpha.log() - alpha * log_sigma)
    },
    lcdf: Some(|y, a| (-(a[0] * (y.log() - a[1].log())).exp()).log1m_exp()),
    lccdf: Some(|y, a| -(a[0] * (y.log() - a[1].log())).exp()),
    cdf: Some(|y, a| -(-(y / a[1]).powf(a[0])).exp_m1()),
    draw: |rng, a| a[1] * rng.exponential().powf(1.0 / a[0]),
    ..ScalarLaw::BASE
};

/// pareto(y_min, alpha)
pub(super) static PARETO: ScalarLaw = ScalarLaw {
    name: "pareto",
    formula: "alpha y_min^alpha / y^(alpha + 1)",
    params: &[positive("y_min"), positive("alpha")],
    support: (Limit::Arg(0), Limit::None),
    lpdf: |y, a| (a[1].log() + a[1] * a[0].log()) - (a[1] + 1.0) * y.log(),
    lcdf: Some(|y, a| (a[1] * (a[0].log() - y.log())).log1m_exp()),
    lccdf: Some(|y, a| a[1] * (a[0].log() - y.log())),
    cdf: Some(|y, a| -(a[1] * (a[0] / y).ln()).exp_m1()),
    draw: |rng, a| a[0] * (rng.exponential() / a[1]).exp(),
    ..ScalarLaw::BASE
};
