//! The normal distribution: quantile.

use crate::base::simd::log::log;

/// Standard normal quantile `Phi^-1(p)`: Wichura (1988), algorithm AS 241, routine PPND16, relative error
/// about 1e-16. `-inf` at 0, `inf` at 1, NaN outside `[0, 1]`.
///
/// Uses only arithmetic, square root and this crate's portable logarithm, so it returns the same
/// bits on every platform: random streams rely on it.
pub fn inv_phi(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * ratio(r, &CENTRE_NUM, &CENTRE_DEN);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail.is_nan() || tail < 0.0 {
        return f64::NAN;
    }
    if tail == 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = (-log::<false>(tail)).sqrt();
    let x = if r <= 5.0 {
        ratio(r - 1.6, &MIDDLE_NUM, &MIDDLE_DEN)
    } else {
        ratio(r - 5.0, &TAIL_NUM, &TAIL_DEN)
    };
    x.copysign(q)
}

/// Ratio of two polynomials of degree 7, coefficients in rising order.
#[inline(always)]
fn ratio(x: f64, num: &[f64; 8], den: &[f64; 8]) -> f64 {
    let (mut n, mut d) = (num[7], den[7]);
    for k in (0..7).rev() {
        n = n * x + num[k];
        d = d * x + den[k];
    }
    n / d
}

/// |p - 1/2| <= 0.425, in `0.180625 - (p - 1/2)²`.
const CENTRE_NUM: [f64; 8] = [
    3.3871328727963666080,
    1.3314166789178437745e+2,
    1.9715909503065514427e+3,
    1.3731693765509461125e+4,
    4.5921953931549871457e+4,
    6.7265770927008700853e+4,
    3.3430575583588128105e+4,
    2.5090809287301226727e+3,
];
const CENTRE_DEN: [f64; 8] = [
    1.0,
    4.2313330701600911252e+1,
    6.8718700749205790830e+2,
    5.3941960214247511077e+3,
    2.1213794301586595867e+4,
    3.9307895800092710610e+4,
    2.8729085735721942674e+4,
    5.2264952788528545610e+3,
];
/// `sqrt(-log tail) <= 5`, in that root less 1.6.
const MIDDLE_NUM: [f64; 8] = [
    1.42343711074968357734,
    4.63033784615654529590,
    5.76949722146069140550,
    3.64784832476320460504,
    1.27045825245236838258,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
];
const MIDDLE_DEN: [f64; 8] = [
    1.0,
    2.05319162663775882187,
    1.67638483018380384940,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
];
/// Farther out, in the root less 5.
const TAIL_NUM: [f64; 8] = [
    6.65790464350110377720,
    5.46378491116411436990,
    1.78482653991729133580,
    2.96560571828504891230e-1,
    2.65321895265761230930e-2,
    1.24266094738807843860e-3,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
];
const TAIL_DEN: [f64; 8] = [
    1.0,
    5.99832206555887937690e-1,
    1.36929880922735805310e-1,
    1.48753612908506148525e-2,
    7.86869131145613259100e-4,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
];
