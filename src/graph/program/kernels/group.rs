//! A group of AVX2 vectors, as the elementary functions see it.

use std::arch::x86_64::*;

/// Vectors treated together. One is best on processors measured so far: the compiler gives more of them
/// too few registers.
pub(super) const W: usize = 1;

/// `W` vectors of four doubles.
#[derive(Clone, Copy)]
pub(super) struct Group(pub [__m256d; W]);

/// A method that applies an instruction to each vector, other arguments being groups.
macro_rules! each {
    ($name:ident($($arg:ident),*) = |$x:ident| $body:expr) => {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        pub(super) fn $name(self, $($arg: Group),*) -> Group {
            let mut out = self.0;
            for w in 0..W {
                let $x = self.0[w];
                $(let $arg = $arg.0[w];)*
                out[w] = $body;
            }
            Group(out)
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
        Group([_mm256_set1_pd(x); W])
    }

    /// True where any sign bit is set.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn any(self) -> bool {
        let mut any = self.0[0];
        for v in &self.0[1..] {
            any = _mm256_or_pd(any, *v);
        }
        _mm256_movemask_pd(any) != 0
    }

    /// # Safety
    /// A whole group is valid at `p`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn load(p: *const f64) -> Group {
        let mut out = [_mm256_setzero_pd(); W];
        for (w, x) in out.iter_mut().enumerate() {
            // SAFETY: the caller's contract.
            *x = unsafe { _mm256_loadu_pd(p.add(4 * w)) };
        }
        Group(out)
    }

    /// # Safety
    /// A whole group is valid at `p`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn store(self, p: *mut f64) {
        for (w, x) in self.0.iter().enumerate() {
            // SAFETY: the caller's contract.
            unsafe { _mm256_storeu_pd(p.add(4 * w), *x) };
        }
    }
}
