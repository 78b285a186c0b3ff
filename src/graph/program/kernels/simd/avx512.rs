//! Vectors in AVX-512 registers: eight doubles, sixteen numbers of single precision. Each number has the bits that the
//! shorter vectors give it.

use std::arch::x86_64::*;

use super::{Array, Avx, AvxSingle, Pair, Vector};

/// A method on registers. No closure: one that the compiler does not inline would be compiled without
/// the instruction set.
macro_rules! method {
    ($name:ident($a:ident $(, $arg:ident)*) = $body:expr) => {
        #[inline(always)]
        unsafe fn $name(self $(, $arg: Self)*) -> Self {
            let $a = self.0;
            $(let $arg = $arg.0;)*
            // SAFETY: the caller has AVX-512.
            Self(unsafe { $body })
        }
    };
}

/// A comparison: 1 where true, else 0.
macro_rules! truth {
    ($name:ident = $p:ident, $cmp:ident $keep:ident $all:ident) => {
        method!($name(a, b) = $keep($cmp::<$p>(a, b), $all(1.0)));
    };
}

/// Eight numbers of single precision as doubles.
#[inline(always)]
unsafe fn widened(p: *const f32) -> __m512d {
    // SAFETY: the caller vouches for eight numbers and AVX-512.
    unsafe { _mm512_cvtps_pd(_mm256_loadu_ps(p)) }
}

/// A vector of a kind of number, by the names of its instructions.
macro_rules! vector {
    ($(#[$doc:meta])* $name:ident($register:ty) of $n:literal $elem:ty, half $half:ty;
     $load:ident $narrow:ident $store:ident $all:ident $zero:ident $add:ident $sub:ident $mul:ident $div:ident
     $fmadd:ident $fmsub:ident $fnmadd:ident $sqrt:ident $xor:ident $andnot:ident
     $round:ident $min:ident $max:ident $cmp:ident $keep:ident $blend:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(in super::super) struct $name(pub(in super::super) $register);

        impl Vector for $name {
            type Elem = $elem;
            const N: usize = $n;
            const FUSED: bool = true;
            type One = Array<$elem, 1, true>;
            type Half = $half;
            type Pair = Self;
            #[inline(always)]
            unsafe fn load(p: *const $elem) -> Self {
                // SAFETY: the caller vouches for a vector and AVX-512.
                Self(unsafe { $load(p) })
            }
            #[inline(always)]
            unsafe fn load_narrow(p: *const f32) -> Self {
                // SAFETY: the caller vouches for as many numbers of single precision, and AVX-512.
                Self(unsafe { $narrow(p) })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $elem) {
                // SAFETY: the caller vouches for a vector and AVX-512.
                unsafe { $store(p, self.0) }
            }
            #[inline(always)]
            unsafe fn splat(x: $elem) -> Self {
                // SAFETY: the caller has AVX-512.
                Self(unsafe { $all(x) })
            }
            method!(add(a, b) = $add(a, b));
            method!(sub(a, b) = $sub(a, b));
            method!(mul(a, b) = $mul(a, b));
            method!(div(a, b) = $div(a, b));
            method!(mul_add(a, b, c) = $fmadd(a, b, c));
            method!(mul_sub(a, b, c) = $fmsub(a, b, c));
            method!(neg_mul_add(a, b, c) = $fnmadd(a, b, c));
            method!(sqrt(a) = $sqrt(a));
            method!(neg(a) = $xor(a, $all(-0.0)));
            method!(abs(a) = $andnot($all(-0.0), a));
            method!(floor(a) = $round::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a));
            method!(ceil(a) = $round::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(a));
            // The instructions return the second operand where one is NaN.
            method!(min(a, b) = $blend($cmp::<_CMP_UNORD_Q>(b, b), $min(a, b), a));
            method!(max(a, b) = $blend($cmp::<_CMP_UNORD_Q>(b, b), $max(a, b), a));
            truth!(lt = _CMP_LT_OQ, $cmp $keep $all);
            truth!(le = _CMP_LE_OQ, $cmp $keep $all);
            truth!(eq = _CMP_EQ_OQ, $cmp $keep $all);
            truth!(ne = _CMP_NEQ_UQ, $cmp $keep $all);
            method!(choose(c, x, y) = $blend($cmp::<_CMP_EQ_OQ>(c, $zero()), x, y));
            #[inline(always)]
            unsafe fn transpose(to: *mut $elem, from: *const $elem, distances: (usize, usize)) {
                let half = $n / 2;
                for (i, j) in [(0, 0), (0, half), (half, 0), (half, half)] {
                    // SAFETY: the caller vouches for the rows and AVX-512; these are parts of them.
                    unsafe {
                        let (to, from) = (to.add(j * distances.1 + i), from.add(i * distances.0 + j));
                        <$half>::transpose(to, from, distances);
                    }
                }
            }
        }
    };
}

vector! {
    /// Eight doubles in an AVX-512 register.
    Avx512(__m512d) of 8 f64, half Avx;
    _mm512_loadu_pd widened _mm512_storeu_pd _mm512_set1_pd _mm512_setzero_pd
    _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd
    _mm512_fmadd_pd _mm512_fmsub_pd _mm512_fnmadd_pd _mm512_sqrt_pd _mm512_xor_pd _mm512_andnot_pd
    _mm512_roundscale_pd _mm512_min_pd _mm512_max_pd _mm512_cmp_pd_mask _mm512_maskz_mov_pd _mm512_mask_blend_pd
}

vector! {
    /// Sixteen numbers of single precision in an AVX-512 register.
    Avx512Single(__m512) of 16 f32, half AvxSingle;
    _mm512_loadu_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_set1_ps _mm512_setzero_ps
    _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps
    _mm512_fmadd_ps _mm512_fmsub_ps _mm512_fnmadd_ps _mm512_sqrt_ps _mm512_xor_ps _mm512_andnot_ps
    _mm512_roundscale_ps _mm512_min_ps _mm512_max_ps _mm512_cmp_ps_mask _mm512_maskz_mov_ps _mm512_mask_blend_ps
}

/// The two halves of a register as a pair.
macro_rules! pair {
    ($name:ident of $part:ident $elem:ty; $with_zero:expr, $low:expr, $high:expr) => {
        impl Pair for $name {
            type Elem = $elem;
            type Part = $part;
            #[inline(always)]
            unsafe fn load(p: *const $elem) -> Self {
                // SAFETY: the caller vouches for the numbers and AVX-512; likewise below.
                unsafe { <Self as Vector>::load(p) }
            }
            #[inline(always)]
            unsafe fn load_narrow(p: *const f32) -> Self {
                // SAFETY: as above.
                unsafe { <Self as Vector>::load_narrow(p) }
            }
            #[inline(always)]
            unsafe fn with_zero(x: $part) -> Self {
                // SAFETY: as above.
                Self(unsafe { $with_zero(x.0) })
            }
            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: as above.
                unsafe { <Self as Vector>::mul_add(self, b, c) }
            }
            #[inline(always)]
            unsafe fn parts(self) -> [$part; 2] {
                // SAFETY: as above.
                unsafe { [$part($low(self.0)), $part($high(self.0))] }
            }
        }
    };
}

pair!(Avx512 of Avx f64; _mm512_zextpd256_pd512, _mm512_castpd512_pd256, _mm512_extractf64x4_pd::<1>);
pair!(Avx512Single of AvxSingle f32; _mm512_zextps256_ps512, _mm512_castps512_ps256, _mm512_extractf32x8_ps::<1>);
