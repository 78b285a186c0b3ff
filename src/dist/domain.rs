//! Numeric checks of arguments for the samplers.

use super::law::{Domain, Limit, Param, Value};
use super::matrix;

/// How far the sum of a simplex may be from 1.
const SIMPLEX_TOLERANCE: f64 = 1e-8;

/// True where the argument lies in its parameter's domain.
pub(super) fn in_domain(param: &Param, value: &Value<'_>) -> bool {
    let v = value.data;
    if param.integer && v.iter().any(|x| x.fract() != 0.0) {
        return false;
    }
    match param.domain {
        Domain::Real => v.iter().all(|x| x.is_finite()),
        Domain::Positive | Domain::PositiveVector => v.iter().all(|&x| x > 0.0 && x.is_finite()),
        Domain::NonNegative => v.iter().all(|&x| x >= 0.0 && x.is_finite()),
        Domain::UnitInterval => v.iter().all(|x| (0.0..=1.0).contains(x)),
        Domain::Simplex => {
            let total: f64 = v.iter().sum();
            v.iter().all(|&x| x >= 0.0) && (total - 1.0).abs() <= SIMPLEX_TOLERANCE
        }
        Domain::Ordered => v.iter().all(|x| x.is_finite()) && v.windows(2).all(|pair| pair[0] < pair[1]),
        Domain::Covariance => matrix::cholesky(v).is_some(),
        Domain::CholeskyFactor => matrix::is_cholesky_factor(v),
    }
}

/// The number of a limit, for laws whose arguments are numbers.
pub(super) fn limit(l: Limit, args: &[f64]) -> Option<f64> {
    match l {
        Limit::Fixed(x) => Some(x),
        Limit::Arg(k) => Some(args[k]),
        Limit::None | Limit::SizeOf(_) | Limit::SizePlusOne(_) => None,
    }
}
