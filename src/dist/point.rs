//! The two limits of what a law can say: everything equally, one integer surely.

use super::law::{Domain, Limit, Param};
use super::scalar::ScalarLaw;

/// flat(): density 1, improper
pub(super) static FLAT: ScalarLaw =
    ScalarLaw { name: "flat", formula: "1 (improper)", proper: false, lpdf: |y, _| y.number(0.0), ..ScalarLaw::BASE };

/// dirac(c): all mass on the integer c
pub(super) static DIRAC: ScalarLaw = ScalarLaw {
    name: "dirac",
    formula: "1 at y = c, else 0",
    params: &[Param { name: "c", event_rank: 0, integer: true, domain: Domain::Real }],
    support: (Limit::Arg(0), Limit::Arg(0)),
    discrete: true,
    lpdf: |y, a| y.eq(a[0]).choose(0.0, f64::NEG_INFINITY),
    lcdf: Some(|y, _| y.number(0.0)),
    lccdf: Some(|y, _| y.number(f64::NEG_INFINITY)),
    cdf: Some(|_, _| 1.0),
    draw: |_, a| a[0],
    ..ScalarLaw::BASE
};
