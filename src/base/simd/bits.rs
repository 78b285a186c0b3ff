//! Building blocks of the branch-free functions.

/// `a * b + c`, fused when the instruction is there: `f64::mul_add` without it is a library call.
#[inline(always)]
pub(super) fn fma<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `if condition { yes } else { no }` with both sides already computed.
#[inline(always)]
pub(super) fn select(condition: bool, yes: f64, no: f64) -> f64 {
    if condition { yes } else { no }
}

/// `2^k` for an integral `k` in `[-1022, 1023]`.
#[inline(always)]
pub(super) fn pow2(k: f64) -> f64 {
    // 2^52 + (k + 1023) holds the biased exponent in its lowest bits.
    f64::from_bits((k + (4_503_599_627_370_496.0 + 1023.0)).to_bits() << 52)
}

/// `x` rounded to the nearest integer, for `|x| < 2^51`.
#[inline(always)]
pub(super) fn round(x: f64) -> f64 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    (x + MAGIC) - MAGIC
}

/// Polynomial with coefficients in rising order, by Horner's rule.
#[inline(always)]
pub(super) fn horner<const FMA: bool, const N: usize>(x: f64, c: &[f64; N]) -> f64 {
    let mut y = c[N - 1];
    for k in (0..N - 1).rev() {
        y = fma::<FMA>(y, x, c[k]);
    }
    y
}
