//! Error functions and the normal distribution: distribution function, its logarithm, quantile.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::base::simd::scalar;

/// `erf x`. Error below 2.5 ulp.
pub fn erf(x: f64) -> f64 {
    scalar::erf::<false>(x)
}

/// `erfc x = 1 - erf x`. Error below 4 ulp, to the end of the range.
pub fn erfc(x: f64) -> f64 {
    scalar::erfc::<false>(x)
}

/// Standard normal distribution function `Phi(x)`. Error below 4 ulp, to the end of the range.
pub fn normal_cdf(x: f64) -> f64 {
    scalar::normal_cdf::<false>(x)
}

/// `exp(x²) erfc(x)` for `x >= 0`. Relative error 1e-15.
fn erfcx(x: f64) -> f64 {
    if x < 25.0 {
        return scalar::erfcx::<false>(x);
    }
    // Abramowitz & Stegun 7.1.23.
    let v = 0.5 / (x * x);
    let series = 1.0 + v * (-1.0 + v * (3.0 + v * (-15.0 + v * (105.0 + v * (-945.0 + v * 10395.0)))));
    series / (x * PI.sqrt())
}

/// `log Phi(x)`, finite where `Phi` underflows. Relative error 1e-15. For `log(1 - Phi(x))` pass `-x`.
pub fn normal_lcdf(x: f64) -> f64 {
    if x > 0.0 {
        (-normal_cdf(-x)).ln_1p()
    } else if x > -1.0 {
        normal_cdf(x).ln()
    } else {
        (0.5 * erfcx(-x * FRAC_1_SQRT_2)).ln() - 0.5 * x * x
    }
}

/// `d log Phi(x) / dx = phi(x) / Phi(x)`, the inverse Mills ratio of `-x`. Relative error 2e-15.
pub fn normal_lcdf_deriv(x: f64) -> f64 {
    if x < 0.0 {
        return (2.0 / PI).sqrt() / erfcx(-x * FRAC_1_SQRT_2);
    }
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt() / normal_cdf(x)
}

/// Standard normal quantile `Phi^-1(p)`; see [`crate::base::simd::scalar::inv_phi`], which this is.
pub fn inv_phi(p: f64) -> f64 {
    scalar::inv_phi(p)
}
