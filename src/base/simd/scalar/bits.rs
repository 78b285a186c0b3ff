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

/// `x` limited to `[low, high]`; keeps NaN.
#[inline(always)]
pub(super) fn clamp(x: f64, low: f64, high: f64) -> f64 {
    let x = select(x < low, low, x);
    select(x > high, high, x)
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

/// Polynomial with coefficients in rising order: even and odd powers in two Horner chains,
/// because one chain would wait for each product.
#[inline(always)]
pub(super) fn poly<const FMA: bool, const N: usize>(x: f64, c: &[f64; N]) -> f64 {
    let z = x * x;
    let (mut last, mut before) = (c[N - 1], c[N - 2]);
    let mut k = N - 2;
    while k >= 2 {
        last = fma::<FMA>(last, z, c[k - 1]);
        before = fma::<FMA>(before, z, c[k - 2]);
        k -= 2;
    }
    if k == 1 {
        // `last` holds the even powers from 2 on, `before` the odd ones from 1 on.
        fma::<FMA>(before, x, fma::<FMA>(last, z, c[0]))
    } else {
        fma::<FMA>(last, x, before)
    }
}

/// `x` with the lower 27 bits of its mantissa cleared: products of two such numbers are exact.
#[inline(always)]
pub(super) fn upper_half(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0xffff_ffff_f800_0000)
}

/// `(p, e)` with `p` the rounded product and `a b = p + e` (to `2^-105` without fused multiply-add,
/// barring overflow).
#[inline(always)]
pub(super) fn two_product<const FMA: bool>(a: f64, b: f64) -> (f64, f64) {
    let p = a * b;
    if FMA {
        return (p, a.mul_add(b, -p));
    }
    let (a1, b1) = (upper_half(a), upper_half(b));
    let (a2, b2) = (a - a1, b - b1);
    (p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2)
}
