//! Vectors of doubles behind one trait, with what exponentials and logarithms need of their bits.

use std::arch::x86_64::*;

/// Doubles of the longest group.
pub(super) const MOST: usize = 8;

/// A vector of doubles. (Several at a time were slower: the compiler then has too few registers.) No method is a closure or
/// calls one: what the compiler does not inline would be compiled without the instruction set.
///
/// # Safety
/// Every method asks that the processor has the instruction set of the implementation, AVX2 with FMA or AVX-512.
pub(super) trait Group: Copy {
    /// Doubles of a group.
    const N: usize;
    /// A truth for each of them.
    type Mask: Copy;
    /// The first of so many equal constants, which begin at a multiple of 64 bytes.
    unsafe fn constant(row: &[f64; MOST]) -> Self;
    unsafe fn all(x: f64) -> Self;
    /// `N` doubles are valid at `p`, likewise below.
    unsafe fn load(p: *const f64) -> Self;
    unsafe fn store(self, p: *mut f64);
    /// The last `n < N` doubles of a slice, ones behind them.
    unsafe fn first(p: *const f64, n: usize) -> Self;
    /// Writes the first `n < N` doubles.
    unsafe fn store_first(self, p: *mut f64, n: usize);
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    unsafe fn div(self, b: Self) -> Self;
    unsafe fn min(self, b: Self) -> Self;
    /// `b` where self is not larger.
    unsafe fn max(self, b: Self) -> Self;
    /// `self b + c`
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// `c - self b`
    unsafe fn fnma(self, b: Self, c: Self) -> Self;
    unsafe fn or(self, b: Self) -> Self;
    unsafe fn and(self, b: Self) -> Self;
    /// Bits of `b` that self does not have.
    unsafe fn mask_out(self, b: Self) -> Self;
    /// Sum of the bit patterns.
    unsafe fn add_bits(self, b: Self) -> Self;
    /// The lowest bits as an exponent field.
    unsafe fn to_exponent(self) -> Self;
    /// The exponent field as the lowest bits.
    unsafe fn exponent_bits(self) -> Self;
    unsafe fn less(self, b: Self) -> Self::Mask;
    unsafe fn equal(self, b: Self) -> Self::Mask;
    /// True also where one is NaN.
    unsafe fn not_at_most(self, b: Self) -> Self::Mask;
    unsafe fn not_at_least(self, b: Self) -> Self::Mask;
    /// Where the sign bit is set.
    unsafe fn negative(self) -> Self::Mask;
    unsafe fn either(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `a` where true, else `b`.
    unsafe fn choose(m: Self::Mask, a: Self, b: Self) -> Self;
    /// 0 where true, else self.
    unsafe fn unless(self, m: Self::Mask) -> Self;
    /// A bit for each truth, the first one lowest.
    unsafe fn bits(m: Self::Mask) -> u32;
}

/// A method that applies an instruction, other arguments being vectors.
macro_rules! each {
    ($name:ident($($arg:ident),*) $(-> $out:ident)? = |$x:ident| $body:expr) => {
        #[inline(always)]
        unsafe fn $name(self, $($arg: Self),*) -> each!(@ $($out)?) {
            let $x = self.0;
            $(let $arg = $arg.0;)*
            // SAFETY: the caller has the instruction set.
            unsafe { each!(@ $($out)?, $body) }
        }
    };
    (@) => { Self };
    (@ $out:ident) => { Self::$out };
    (@, $body:expr) => { Self($body) };
    (@ $out:ident, $body:expr) => { $body };
}

/// Four doubles with AVX2; a truth is a double whose sign bit says it.
#[derive(Clone, Copy)]
pub(super) struct Four(__m256d);

/// Bits set in those of four doubles that are among the first `n`.
#[inline(always)]
unsafe fn mask(n: usize) -> __m256i {
    // SAFETY: the caller has AVX2.
    unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_set_epi64x(3, 2, 1, 0)) }
}

impl Group for Four {
    const N: usize = 4;
    type Mask = __m256d;
    #[inline(always)]
    unsafe fn constant(row: &[f64; MOST]) -> Self {
        // SAFETY: the row is aligned; the caller has AVX2, likewise below.
        Self(unsafe { _mm256_load_pd(row.as_ptr()) })
    }
    #[inline(always)]
    unsafe fn all(x: f64) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_set1_pd(x) })
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the caller vouches for the doubles, likewise below.
        Self(unsafe { _mm256_loadu_pd(p) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_pd(p, self.0) }
    }
    #[inline(always)]
    unsafe fn first(p: *const f64, n: usize) -> Self {
        // SAFETY: doubles behind the mask are not read.
        unsafe {
            let m = mask(n);
            let x = _mm256_maskload_pd(p, m);
            Self(_mm256_blendv_pd(_mm256_set1_pd(1.0), x, _mm256_castsi256_pd(m)))
        }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f64, n: usize) {
        // SAFETY: doubles behind the mask are not written.
        unsafe { _mm256_maskstore_pd(p, mask(n), self.0) }
    }
    each!(add(b) = |x| _mm256_add_pd(x, b));
    each!(sub(b) = |x| _mm256_sub_pd(x, b));
    each!(mul(b) = |x| _mm256_mul_pd(x, b));
    each!(div(b) = |x| _mm256_div_pd(x, b));
    each!(min(b) = |x| _mm256_min_pd(x, b));
    each!(max(b) = |x| _mm256_max_pd(x, b));
    each!(fma(b, c) = |x| _mm256_fmadd_pd(x, b, c));
    each!(fnma(b, c) = |x| _mm256_fnmadd_pd(x, b, c));
    each!(or(b) = |x| _mm256_or_pd(x, b));
    each!(and(b) = |x| _mm256_and_pd(x, b));
    each!(mask_out(b) = |x| _mm256_andnot_pd(x, b));
    each!(add_bits(b) = |x| _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x), _mm256_castpd_si256(b))));
    each!(to_exponent() = |x| _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(x))));
    each!(exponent_bits() = |x| _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(x))));
    each!(less(b) -> Mask = |x| _mm256_cmp_pd::<_CMP_LT_OQ>(x, b));
    each!(equal(b) -> Mask = |x| _mm256_cmp_pd::<_CMP_EQ_OQ>(x, b));
    each!(not_at_most(b) -> Mask = |x| _mm256_cmp_pd::<_CMP_NLE_UQ>(x, b));
    each!(not_at_least(b) -> Mask = |x| _mm256_cmp_pd::<_CMP_NGE_UQ>(x, b));
    #[inline(always)]
    unsafe fn negative(self) -> __m256d {
        self.0
    }
    #[inline(always)]
    unsafe fn either(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_or_pd(a, b) }
    }
    #[inline(always)]
    unsafe fn choose(m: __m256d, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_blendv_pd(b.0, a.0, m) })
    }
    #[inline(always)]
    unsafe fn unless(self, m: __m256d) -> Self {
        // SAFETY: as above. (Masks of comparisons have all bits set.)
        Self(unsafe { _mm256_andnot_pd(m, self.0) })
    }
    #[inline(always)]
    unsafe fn bits(m: __m256d) -> u32 {
        // SAFETY: as above.
        unsafe { _mm256_movemask_pd(m) as u32 }
    }
}

/// Eight doubles with AVX-512.
#[derive(Clone, Copy)]
pub(super) struct Eight(__m512d);

impl Group for Eight {
    const N: usize = 8;
    type Mask = __mmask8;
    #[inline(always)]
    unsafe fn constant(row: &[f64; MOST]) -> Self {
        // SAFETY: the row is aligned; the caller has AVX-512, likewise below.
        Self(unsafe { _mm512_load_pd(row.as_ptr()) })
    }
    #[inline(always)]
    unsafe fn all(x: f64) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_set1_pd(x) })
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the caller vouches for the doubles, likewise below.
        Self(unsafe { _mm512_loadu_pd(p) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_pd(p, self.0) }
    }
    #[inline(always)]
    unsafe fn first(p: *const f64, n: usize) -> Self {
        // SAFETY: doubles behind the mask are not read.
        Self(unsafe { _mm512_mask_loadu_pd(_mm512_set1_pd(1.0), (1 << n) - 1, p) })
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f64, n: usize) {
        // SAFETY: doubles behind the mask are not written.
        unsafe { _mm512_mask_storeu_pd(p, (1 << n) - 1, self.0) }
    }
    each!(add(b) = |x| _mm512_add_pd(x, b));
    each!(sub(b) = |x| _mm512_sub_pd(x, b));
    each!(mul(b) = |x| _mm512_mul_pd(x, b));
    each!(div(b) = |x| _mm512_div_pd(x, b));
    each!(min(b) = |x| _mm512_min_pd(x, b));
    each!(max(b) = |x| _mm512_max_pd(x, b));
    each!(fma(b, c) = |x| _mm512_fmadd_pd(x, b, c));
    each!(fnma(b, c) = |x| _mm512_fnmadd_pd(x, b, c));
    each!(or(b) = |x| _mm512_or_pd(x, b));
    each!(and(b) = |x| _mm512_and_pd(x, b));
    each!(mask_out(b) = |x| _mm512_andnot_pd(x, b));
    each!(add_bits(b) = |x| _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(x), _mm512_castpd_si512(b))));
    each!(to_exponent() = |x| _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(x))));
    each!(exponent_bits() = |x| _mm512_castsi512_pd(_mm512_srli_epi64::<52>(_mm512_castpd_si512(x))));
    each!(less(b) -> Mask = |x| _mm512_cmp_pd_mask::<_CMP_LT_OQ>(x, b));
    each!(equal(b) -> Mask = |x| _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(x, b));
    each!(not_at_most(b) -> Mask = |x| _mm512_cmp_pd_mask::<_CMP_NLE_UQ>(x, b));
    each!(not_at_least(b) -> Mask = |x| _mm512_cmp_pd_mask::<_CMP_NGE_UQ>(x, b));
    each!(negative() -> Mask = |x| _mm512_movepi64_mask(_mm512_castpd_si512(x)));
    #[inline(always)]
    unsafe fn either(a: __mmask8, b: __mmask8) -> __mmask8 {
        a | b
    }
    #[inline(always)]
    unsafe fn choose(m: __mmask8, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_mask_blend_pd(m, b.0, a.0) })
    }
    #[inline(always)]
    unsafe fn unless(self, m: __mmask8) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_maskz_mov_pd(!m, self.0) })
    }
    #[inline(always)]
    unsafe fn bits(m: __mmask8) -> u32 {
        m.into()
    }
}
