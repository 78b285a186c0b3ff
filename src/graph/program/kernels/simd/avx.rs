//! Vectors in AVX2 registers: four doubles, eight numbers of single precision.

use std::arch::x86_64::*;

use super::{Accumulator, Array, Summing, Vector};

/// A method on registers. No closure: one that the compiler does not inline would be compiled without
/// the instruction set.
macro_rules! method {
    ($name:ident($a:ident $(, $arg:ident)*) = $body:expr) => {
        #[inline(always)]
        unsafe fn $name(self $(, $arg: Self)*) -> Self {
            let $a = self.0;
            $(let $arg = $arg.0;)*
            // SAFETY: the caller has AVX2 and FMA.
            Self(unsafe { $body })
        }
    };
}

/// Four numbers of single precision as doubles.
#[inline(always)]
unsafe fn widened(p: *const f32) -> __m256d {
    // SAFETY: the caller vouches for four numbers and AVX2.
    unsafe { _mm256_cvtps_pd(_mm_loadu_ps(p)) }
}

/// Rows as columns.
#[inline(always)]
unsafe fn turned(r: [__m256d; 4]) -> [__m256d; 4] {
    // SAFETY: the caller has AVX2.
    unsafe {
        let (a, b) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
        let (c, d) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
        [
            _mm256_permute2f128_pd::<0x20>(a, c),
            _mm256_permute2f128_pd::<0x20>(b, d),
            _mm256_permute2f128_pd::<0x31>(a, c),
            _mm256_permute2f128_pd::<0x31>(b, d),
        ]
    }
}

/// Rows as columns: squares of four by four numbers, then the squares themselves.
#[inline(always)]
unsafe fn turned_single(r: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the caller has AVX2.
    unsafe {
        let mut s = r;
        for k in [0, 4] {
            let (a, b) = (_mm256_unpacklo_ps(r[k], r[k + 1]), _mm256_unpackhi_ps(r[k], r[k + 1]));
            let (c, d) = (_mm256_unpacklo_ps(r[k + 2], r[k + 3]), _mm256_unpackhi_ps(r[k + 2], r[k + 3]));
            s[k] = _mm256_shuffle_ps::<0x44>(a, c);
            s[k + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            s[k + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            s[k + 3] = _mm256_shuffle_ps::<0xee>(b, d);
        }
        let mut t = s;
        for k in 0..4 {
            t[k] = _mm256_permute2f128_ps::<0x20>(s[k], s[k + 4]);
            t[k + 4] = _mm256_permute2f128_ps::<0x31>(s[k], s[k + 4]);
        }
        t
    }
}

/// A vector of a kind of number, by the names of its instructions.
macro_rules! vector {
    ($(#[$doc:meta])* $name:ident($register:ty) of $n:literal $elem:ty, sums $acc:ty;
     $load:ident $narrow:ident $store:ident $all:ident $zero:ident $add:ident $sub:ident $mul:ident $div:ident
     $fmadd:ident $fmsub:ident $fnmadd:ident $sqrt:ident $xor:ident $and:ident $andnot:ident
     $floor:ident $ceil:ident $min:ident $max:ident $cmp:ident $blend:ident $turned:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(in super::super) struct $name(pub(in super::super) $register);

        impl $name {
            #[inline(always)]
            unsafe fn compare<const P: i32>(self, b: Self) -> Self {
                // SAFETY: the caller has AVX2.
                Self(unsafe { $and($cmp::<P>(self.0, b.0), $all(1.0)) })
            }
        }

        impl Vector for $name {
            type Elem = $elem;
            const N: usize = $n;
            const FUSED: bool = true;
            type One = Array<$elem, 1, true>;
            type Half = Array<$elem, 1, true>;
            type Pair = [Self; 2];
            #[inline(always)]
            unsafe fn load(p: *const $elem) -> Self {
                // SAFETY: the caller vouches for a vector and AVX2.
                Self(unsafe { $load(p) })
            }
            #[inline(always)]
            unsafe fn load_narrow(p: *const f32) -> Self {
                // SAFETY: the caller vouches for as many numbers of single precision, and AVX2.
                Self(unsafe { $narrow(p) })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $elem) {
                // SAFETY: the caller vouches for a vector and AVX2.
                unsafe { $store(p, self.0) }
            }
            #[inline(always)]
            unsafe fn splat(x: $elem) -> Self {
                // SAFETY: the caller has AVX2.
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
            method!(floor(a) = $floor(a));
            method!(ceil(a) = $ceil(a));
            // The instructions return the second operand where one is NaN.
            method!(min(a, b) = $blend($min(a, b), a, $cmp::<_CMP_UNORD_Q>(b, b)));
            method!(max(a, b) = $blend($max(a, b), a, $cmp::<_CMP_UNORD_Q>(b, b)));
            #[inline(always)]
            unsafe fn lt(self, b: Self) -> Self {
                // SAFETY: the caller has AVX2.
                unsafe { self.compare::<_CMP_LT_OQ>(b) }
            }
            #[inline(always)]
            unsafe fn le(self, b: Self) -> Self {
                // SAFETY: the caller has AVX2.
                unsafe { self.compare::<_CMP_LE_OQ>(b) }
            }
            #[inline(always)]
            unsafe fn eq(self, b: Self) -> Self {
                // SAFETY: the caller has AVX2.
                unsafe { self.compare::<_CMP_EQ_OQ>(b) }
            }
            #[inline(always)]
            unsafe fn ne(self, b: Self) -> Self {
                // SAFETY: the caller has AVX2.
                unsafe { self.compare::<_CMP_NEQ_UQ>(b) }
            }
            method!(choose(c, x, y) = $blend(x, y, $cmp::<_CMP_EQ_OQ>(c, $zero())));
            #[inline(always)]
            unsafe fn transpose(to: *mut $elem, from: *const $elem, distances: (usize, usize)) {
                // SAFETY: the caller vouches for the rows and AVX2.
                unsafe {
                    let mut rows = [$zero(); $n];
                    for i in 0..$n {
                        rows[i] = $load(from.add(i * distances.0));
                    }
                    let columns = $turned(rows);
                    for i in 0..$n {
                        $store(to.add(i * distances.1), columns[i]);
                    }
                }
            }
        }

        impl Summing for $name {
            type Acc = $acc;
            #[inline(always)]
            unsafe fn total(self) -> $elem {
                let mut x = [0.0; $n];
                // SAFETY: room for a vector, and the caller has AVX2.
                unsafe { $store(x.as_mut_ptr(), self.0) };
                let mut half = $n / 2;
                while half > 0 {
                    for i in 0..half {
                        x[i] += x[i + half];
                    }
                    half /= 2;
                }
                x[0]
            }
        }
    };
}

vector! {
    /// Four doubles in an AVX2 register.
    Avx(__m256d) of 4 f64, sums Avx;
    _mm256_loadu_pd widened _mm256_storeu_pd _mm256_set1_pd _mm256_setzero_pd
    _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd
    _mm256_fmadd_pd _mm256_fmsub_pd _mm256_fnmadd_pd _mm256_sqrt_pd _mm256_xor_pd _mm256_and_pd _mm256_andnot_pd
    _mm256_floor_pd _mm256_ceil_pd _mm256_min_pd _mm256_max_pd _mm256_cmp_pd _mm256_blendv_pd turned
}

vector! {
    /// Eight numbers of single precision in an AVX2 register.
    AvxSingle(__m256) of 8 f32, sums [Avx; 2];
    _mm256_loadu_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_set1_ps _mm256_setzero_ps
    _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps
    _mm256_fmadd_ps _mm256_fmsub_ps _mm256_fnmadd_ps _mm256_sqrt_ps _mm256_xor_ps _mm256_and_ps _mm256_andnot_ps
    _mm256_floor_ps _mm256_ceil_ps _mm256_min_ps _mm256_max_ps _mm256_cmp_ps _mm256_blendv_ps turned_single
}

impl Accumulator<Avx> for Avx {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller has AVX2; likewise below.
        unsafe { Avx::splat(0.0) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the caller vouches for the doubles.
        unsafe { <Avx as Vector>::load(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: the caller vouches for the doubles.
        unsafe { <Avx as Vector>::store(self, p) }
    }
    #[inline(always)]
    unsafe fn plus(self, x: Avx) -> Self {
        // SAFETY: as above.
        unsafe { self.add(x) }
    }
    #[inline(always)]
    unsafe fn plus_product(self, x: Avx, y: Avx) -> Self {
        // SAFETY: as above.
        unsafe { x.mul_add(y, self) }
    }
    #[inline(always)]
    unsafe fn join(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { self.add(b) }
    }
    #[inline(always)]
    unsafe fn total(self) -> f64 {
        // SAFETY: as above.
        unsafe { <Avx as Summing>::total(self) }
    }
    #[inline(always)]
    unsafe fn rounded(self) -> Avx {
        self
    }
}

impl AvxSingle {
    /// The same numbers as doubles, lower half first.
    #[inline(always)]
    unsafe fn wide(self) -> [Avx; 2] {
        // SAFETY: the caller has AVX2.
        unsafe {
            let (low, high) = (_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            [Avx(_mm256_cvtps_pd(low)), Avx(_mm256_cvtps_pd(high))]
        }
    }
}

impl Accumulator<AvxSingle> for [Avx; 2] {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller has AVX2; likewise below.
        unsafe { [Avx::splat(0.0); 2] }
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the caller vouches for eight doubles.
        unsafe { [<Avx as Vector>::load(p), <Avx as Vector>::load(p.add(4))] }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: the caller vouches for eight doubles.
        unsafe {
            <Avx as Vector>::store(self[0], p);
            <Avx as Vector>::store(self[1], p.add(4));
        }
    }
    #[inline(always)]
    unsafe fn plus(self, x: AvxSingle) -> Self {
        // SAFETY: as above.
        unsafe {
            let x = x.wide();
            [self[0].add(x[0]), self[1].add(x[1])]
        }
    }
    #[inline(always)]
    unsafe fn plus_product(self, x: AvxSingle, y: AvxSingle) -> Self {
        // SAFETY: as above.
        unsafe {
            let (x, y) = (x.wide(), y.wide());
            [x[0].mul_add(y[0], self[0]), x[1].mul_add(y[1], self[1])]
        }
    }
    #[inline(always)]
    unsafe fn join(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { [self[0].add(b[0]), self[1].add(b[1])] }
    }
    #[inline(always)]
    unsafe fn total(self) -> f64 {
        // SAFETY: as above.
        unsafe { <Avx as Summing>::total(self[0].add(self[1])) }
    }
    #[inline(always)]
    unsafe fn rounded(self) -> AvxSingle {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (_mm256_cvtpd_ps(self[0].0), _mm256_cvtpd_ps(self[1].0));
            AvxSingle(_mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high))
        }
    }
}
