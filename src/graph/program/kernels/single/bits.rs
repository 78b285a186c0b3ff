//! What vectors of single precision can do with the bits of their numbers.

use crate::graph::program::kernels::simd::{Array, Vector};
#[cfg(target_arch = "x86_64")]
use crate::graph::program::kernels::simd::{Avx512Single, AvxSingle};

/// Adding this rounds to an integer, which then stands in the lowest bits.
pub(super) const MAGIC: f32 = 12_582_912.0;
/// Bits of the square root of 1/2.
const ROOT: u32 = 0x3f35_04f3;
/// Bits of 1.
const ONE: u32 = 0x3f80_0000;
/// Bits of 2^23: a small integer in the lowest bits is added to that.
const UNIT: u32 = 0x4b00_0000;

/// A vector of single precision.
///
/// # Safety
/// As for [`Vector`].
pub(super) trait Single: Vector<Elem = f32> {
    /// `2^n` for `self = MAGIC + n`, `n` integral in `[-126, 127]`.
    unsafe fn power(self) -> Self;
    /// `(k, f)` with `self = 2^k (1 + f)`, `1 + f` in `[sqrt(1/2), sqrt 2)`, for a normal number above zero.
    unsafe fn split(self) -> (Self, Self);
    /// The larger; NaN where `self` is.
    unsafe fn at_least(self, low: f32) -> Self;
    /// The smaller; NaN where `self` is.
    unsafe fn at_most(self, high: f32) -> Self;
    /// The magnitude of `self` with the sign of `x`.
    unsafe fn signed_as(self, x: Self) -> Self;
}

fn power(x: f32) -> f32 {
    f32::from_bits((x.to_bits() << 23).wrapping_add(ONE))
}

fn split(x: f32) -> (f32, f32) {
    // The mantissa carries into the exponent exactly when it is at least sqrt 2.
    let carried = x.to_bits().wrapping_add(ONE - ROOT);
    let k = f32::from_bits((carried >> 23) | UNIT) - (8_388_608.0 + 127.0);
    (k, f32::from_bits((carried & 0x007f_ffff) + ROOT) - 1.0)
}

impl<const W: usize, const F: bool> Single for Array<f32, W, F> {
    #[inline(always)]
    unsafe fn power(self) -> Self {
        self.map(power)
    }
    #[inline(always)]
    unsafe fn split(self) -> (Self, Self) {
        (self.map(|x| split(x).0), self.map(|x| split(x).1))
    }
    #[inline(always)]
    unsafe fn at_least(self, low: f32) -> Self {
        self.map(|x| if x < low { low } else { x })
    }
    #[inline(always)]
    unsafe fn at_most(self, high: f32) -> Self {
        self.map(|x| if x > high { high } else { x })
    }
    #[inline(always)]
    unsafe fn signed_as(self, x: Self) -> Self {
        self.zip(x, f32::copysign)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx {
    use std::arch::x86_64::*;

    use super::{AvxSingle, MAGIC, ONE, ROOT, Single, UNIT, Vector};

    const _: () = assert!(MAGIC.to_bits() << 23 == 0);

    impl Single for AvxSingle {
        #[inline(always)]
        unsafe fn power(self) -> Self {
            // SAFETY: the caller has AVX2; likewise below.
            unsafe {
                let n = _mm256_slli_epi32::<23>(_mm256_castps_si256(self.0));
                AvxSingle(_mm256_castsi256_ps(_mm256_add_epi32(n, _mm256_set1_epi32(ONE as i32))))
            }
        }
        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: as above.
            unsafe {
                let all = |x: u32| _mm256_set1_epi32(x as i32);
                let carried = _mm256_add_epi32(_mm256_castps_si256(self.0), all(ONE - ROOT));
                let k = _mm256_or_si256(_mm256_srli_epi32::<23>(carried), all(UNIT));
                let m = _mm256_add_epi32(_mm256_and_si256(carried, all(0x007f_ffff)), all(ROOT));
                let k = AvxSingle(_mm256_castsi256_ps(k)).sub(AvxSingle::splat(8_388_608.0 + 127.0));
                (k, AvxSingle(_mm256_castsi256_ps(m)).sub(AvxSingle::splat(1.0)))
            }
        }
        #[inline(always)]
        unsafe fn at_least(self, low: f32) -> Self {
            // SAFETY: as above. The instruction returns the second operand where one is NaN.
            AvxSingle(unsafe { _mm256_max_ps(_mm256_set1_ps(low), self.0) })
        }
        #[inline(always)]
        unsafe fn at_most(self, high: f32) -> Self {
            // SAFETY: as above.
            AvxSingle(unsafe { _mm256_min_ps(_mm256_set1_ps(high), self.0) })
        }
        #[inline(always)]
        unsafe fn signed_as(self, x: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let sign = _mm256_and_ps(x.0, _mm256_set1_ps(-0.0));
                AvxSingle(_mm256_or_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0), sign))
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{Avx512Single, ONE, ROOT, Single, UNIT, Vector};

    impl Single for Avx512Single {
        #[inline(always)]
        unsafe fn power(self) -> Self {
            // SAFETY: the caller has AVX-512; likewise below.
            unsafe {
                let n = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
                Avx512Single(_mm512_castsi512_ps(_mm512_add_epi32(n, _mm512_set1_epi32(ONE as i32))))
            }
        }
        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: as above.
            unsafe {
                let all = |x: u32| _mm512_set1_epi32(x as i32);
                let carried = _mm512_add_epi32(_mm512_castps_si512(self.0), all(ONE - ROOT));
                let k = _mm512_or_si512(_mm512_srli_epi32::<23>(carried), all(UNIT));
                let m = _mm512_add_epi32(_mm512_and_si512(carried, all(0x007f_ffff)), all(ROOT));
                let k = Avx512Single(_mm512_castsi512_ps(k)).sub(Avx512Single::splat(8_388_608.0 + 127.0));
                (k, Avx512Single(_mm512_castsi512_ps(m)).sub(Avx512Single::splat(1.0)))
            }
        }
        #[inline(always)]
        unsafe fn at_least(self, low: f32) -> Self {
            // SAFETY: as above. The instruction returns the second operand where one is NaN.
            Avx512Single(unsafe { _mm512_max_ps(_mm512_set1_ps(low), self.0) })
        }
        #[inline(always)]
        unsafe fn at_most(self, high: f32) -> Self {
            // SAFETY: as above.
            Avx512Single(unsafe { _mm512_min_ps(_mm512_set1_ps(high), self.0) })
        }
        #[inline(always)]
        unsafe fn signed_as(self, x: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let sign = _mm512_and_ps(x.0, _mm512_set1_ps(-0.0));
                Avx512Single(_mm512_or_ps(_mm512_andnot_ps(_mm512_set1_ps(-0.0), self.0), sign))
            }
        }
    }
}
