//! Normal quantile: the pieces of algorithm AS 241, branch-free each.

use super::log::log;

/// `|p - 1/2|` up to which the central ratio holds.
const CENTRE: f64 = 0.425;

/// `sqrt(-log tail)` up to which the middle ratio holds.
const MIDDLE: f64 = 5.0;

/// Standard normal quantile `Phi^-1(p)`: Wichura (1988), algorithm AS 241, routine PPND16; relative error
/// 5e-16. `-inf` at 0, `inf` at 1, NaN outside `[0, 1]`.
///
/// Uses only arithmetic, square root and the portable logarithm, so it returns the same bits on every
/// platform: random streams rely on it.
pub fn inv_phi(p: f64) -> f64 {
    if is_central(p) {
        return central(p);
    }
    let tail = tail_of(p);
    if tail.is_nan() || tail < 0.0 {
        return f64::NAN;
    }
    if tail == 0.0 {
        return f64::INFINITY.copysign(p - 0.5);
    }
    let r = root(tail);
    let x = if r <= MIDDLE { middle(r) } else { ratio(r - 5.0, &TAIL_NUM, &TAIL_DEN) };
    x.copysign(p - 0.5)
}

/// Whether [`central`] holds; false for NaN.
#[inline(always)]
pub(in crate::base::simd) fn is_central(p: f64) -> bool {
    (p - 0.5).abs() <= CENTRE
}

/// The quantile for central `p`.
#[inline(always)]
pub(in crate::base::simd) fn central(p: f64) -> f64 {
    let q = p - 0.5;
    q * ratio(0.180625 - q * q, &CENTRE_NUM, &CENTRE_DEN)
}

/// The smaller of `p` and `1 - p`.
#[inline(always)]
pub(in crate::base::simd) fn tail_of(p: f64) -> f64 {
    if p < 0.5 { p } else { 1.0 - p }
}

/// `sqrt(-log tail)`.
#[inline(always)]
pub(in crate::base::simd) fn root(tail: f64) -> f64 {
    (-log::<false>(tail)).sqrt()
}

/// Whether [`middle`] holds.
#[inline(always)]
pub(in crate::base::simd) fn is_middle(root: f64) -> bool {
    root <= MIDDLE
}

/// Absolute value of the quantile from [`root`].
#[inline(always)]
pub(in crate::base::simd) fn middle(root: f64) -> f64 {
    ratio(root - 1.6, &MIDDLE_NUM, &MIDDLE_DEN)
}

/// Ratio of two polynomials of degree 7, coefficients in rising order.
#[inline(always)]
fn ratio(x: f64, num: &[f64; 8], den: &[f64; 8]) -> f64 {
    let (mut n, mut d) = (num[7], den[7]);
    for k in [6, 5, 4, 3, 2, 1, 0] {
        n = n * x + num[k];
        d = d * x + den[k];
    }
    n / d
}

/// |p - 1/2| <= 0.425, in `0.180625 - (p - 1/2)²`.
const CENTRE_NUM: [f64; 8] = [
    3.3871328727963665,
    133.14166789178438,
    1971.5909503065513,
    13731.69376550946,
    45921.95393154987,
    67265.7709270087,
    33430.57558358813,
    2509.0809287301227,
];
const CENTRE_DEN: [f64; 8] = [
    1.0,
    42.31333070160091,
    687.1870074920579,
    5394.196021424751,
    21213.794301586597,
    39307.89580009271,
    28729.085735721943,
    5226.495278852854,
];
/// `sqrt(-log tail) <= 5`, in that root less 1.6.
const MIDDLE_NUM: [f64; 8] = [
    1.4234371107496835,
    4.630337846156546,
    5.769497221460691,
    3.6478483247632045,
    1.2704582524523684,
    0.2417807251774506,
    0.022723844989269184,
    0.0007745450142783414,
];
const MIDDLE_DEN: [f64; 8] = [
    1.0,
    2.053191626637759,
    1.6763848301838038,
    0.6897673349851,
    0.14810397642748008,
    0.015198666563616457,
    0.0005475938084995345,
    1.0507500716444169e-09,
];
/// Farther out, in the root less 5.
const TAIL_NUM: [f64; 8] = [
    6.657904643501103,
    5.463784911164114,
    1.7848265399172913,
    0.29656057182850487,
    0.026532189526576124,
    0.0012426609473880784,
    2.7115555687434876e-05,
    2.0103343992922881e-07,
];
const TAIL_DEN: [f64; 8] = [
    1.0,
    0.599832206555888,
    0.1369298809227358,
    0.014875361290850615,
    0.0007868691311456133,
    1.8463183175100548e-05,
    1.421511758316446e-07,
    2.0442631033899397e-15,
];
