//! Four doubles, their instructions, and moves of the last few.

use std::arch::x86_64::*;

/// A vector of four doubles. (Several at a time were slower: the compiler then has too few registers.)
#[derive(Clone, Copy)]
pub(super) struct Group(pub(super) __m256d);

/// A method that applies an instruction, other arguments being vectors.
macro_rules! each {
    ($name:ident($($arg:ident),*) = |$x:ident| $body:expr) => {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        pub(super) fn $name(self, $($arg: Group),*) -> Group {
            let $x = self.0;
            $(let $arg = $arg.0;)*
            Group($body)
        }
    };
}

impl Group {
    each!(add(b) = |x| _mm256_add_pd(x, b));
    each!(sub(b) = |x| _mm256_sub_pd(x, b));
    each!(mul(b) = |x| _mm256_mul_pd(x, b));
    each!(div(b) = |x| _mm256_div_pd(x, b));
    each!(min(b) = |x| _mm256_min_pd(x, b));
    // `b` where x is not larger.
    each!(max(b) = |x| _mm256_max_pd(x, b));
    // x b + c
    each!(fma(b, c) = |x| _mm256_fmadd_pd(x, b, c));
    // c - x b
    each!(fnma(b, c) = |x| _mm256_fnmadd_pd(x, b, c));
    each!(or(b) = |x| _mm256_or_pd(x, b));
    each!(and(b) = |x| _mm256_and_pd(x, b));
    // Bits of `b` that x does not have.
    each!(mask_out(b) = |x| _mm256_andnot_pd(x, b));
    each!(less(b) = |x| _mm256_cmp_pd::<_CMP_LT_OQ>(x, b));
    each!(equal(b) = |x| _mm256_cmp_pd::<_CMP_EQ_OQ>(x, b));
    // True also where one is NaN.
    each!(not_at_most(b) = |x| _mm256_cmp_pd::<_CMP_NLE_UQ>(x, b));
    each!(not_at_least(b) = |x| _mm256_cmp_pd::<_CMP_NGE_UQ>(x, b));
    // `a` where the sign bit of x is set, else `b`.
    each!(choose(a, b) = |x| _mm256_blendv_pd(b, a, x));
    // Sum of the bit patterns.
    each!(add_bits(b) = |x| _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x), _mm256_castpd_si256(b))));
    // The lowest bits as an exponent field.
    each!(to_exponent() = |x| _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(x))));
    // The exponent field as the lowest bits.
    each!(exponent_bits() = |x| _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(x))));

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn all(x: f64) -> Group {
        Group(_mm256_set1_pd(x))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn of(x: [f64; ALL]) -> Group {
        // SAFETY: the array holds a vector.
        unsafe { Group::load(x.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn array(self) -> [f64; ALL] {
        let mut x = [0.0; ALL];
        // SAFETY: the array holds a vector.
        unsafe { self.store(x.as_mut_ptr()) };
        x
    }

    /// The lowest double.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn lowest(self) -> f64 {
        _mm256_cvtsd_f64(self.0)
    }

    /// True where any sign bit is set.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn any(self) -> bool {
        _mm256_movemask_pd(self.0) != 0
    }

    /// # Safety
    /// Four doubles are valid at `p`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn load(p: *const f64) -> Group {
        // SAFETY: the caller's contract.
        Group(unsafe { _mm256_loadu_pd(p) })
    }

    /// # Safety
    /// Four doubles are valid at `p`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn store(self, p: *mut f64) {
        // SAFETY: the caller's contract.
        unsafe { _mm256_storeu_pd(p, self.0) };
    }
}

/// Doubles of a group.
pub(super) const ALL: usize = 4;

/// The last doubles of a slice, ones behind them.
///
/// # Safety
/// `n < 4` doubles are valid.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn first(a: *const f64, n: usize) -> Group {
    let m = mask(n);
    // SAFETY: doubles behind the mask are not read.
    let x = unsafe { _mm256_maskload_pd(a, m) };
    Group(_mm256_blendv_pd(_mm256_set1_pd(1.0), x, _mm256_castsi256_pd(m)))
}

/// Writes the first `n < 4` doubles.
///
/// # Safety
/// They are valid.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn store_first(d: *mut f64, y: Group, n: usize) {
    // SAFETY: doubles behind the mask are not written.
    unsafe { _mm256_maskstore_pd(d, mask(n), y.0) };
}

/// Bits set in those of four doubles that are among the first `n`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mask(n: usize) -> __m256i {
    _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_set_epi64x(3, 2, 1, 0))
}
