//! One kernel body, compiled for every instruction set and both kinds of numbers.

/// Defines `fn name(target) -> Kernel` from a body generic over the vector `$S`. One that is marked `wide` sums nothing
/// across a vector, so that longer ones give the same bits: it is compiled for AVX-512 too.
macro_rules! kernel {
    (wide $($rest:tt)*) => {
        kernel! { @ Vector [simd::Avx512, simd::Avx512Single] $($rest)* }
    };
    (
        @ $bound:ident [$($double:ty, $single:ty)?]
        $(#[$doc:meta])*
        $name:ident<$S:ident>($d:ident, $a:ident, $b:ident, $c:ident, $n:ident) $body:block
    ) => {
        $(#[$doc])*
        pub(in super::super) fn $name(
            target: $crate::graph::program::kernels::Target,
        ) -> $crate::graph::program::kernels::Kernel {
            use $crate::base::simd::Isa;
            use $crate::graph::program::kernels::simd;

            #[inline(always)]
            #[allow(unused_variables)]
            unsafe fn body<$S: simd::$bound>(
                $d: *mut $S::Elem,
                $a: *const $S::Elem,
                $b: *const $S::Elem,
                $c: *const $S::Elem,
                $n: usize,
            ) $body

            $(#[cfg(target_arch = "x86_64")]
            if target.level() == Isa::Avx512 {
                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                unsafe fn avx512<V: simd::$bound>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, n: usize) {
                    // SAFETY: the caller's contract is the same, and AVX-512 is enabled.
                    unsafe { body::<V>(d.cast(), a.cast(), b.cast(), c.cast(), n) }
                }
                return if target.single { avx512::<$single> } else { avx512::<$double> };
            })?

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx<V: simd::$bound>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, n: usize) {
                // SAFETY: the caller's contract is the same, and AVX2 and FMA are enabled.
                unsafe { body::<V>(d.cast(), a.cast(), b.cast(), c.cast(), n) }
            }

            unsafe fn plain<V: simd::$bound>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, n: usize) {
                // SAFETY: the caller's contract is the same.
                unsafe { body::<V>(d.cast(), a.cast(), b.cast(), c.cast(), n) }
            }

            match (target.level(), target.single) {
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx2Fma | Isa::Avx512, false) => avx::<simd::Avx>,
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx2Fma | Isa::Avx512, true) => avx::<simd::AvxSingle>,
                (_, false) => plain::<simd::Plain>,
                (_, true) => plain::<simd::PlainSingle>,
            }
        }
    };
    ($($rest:tt)*) => {
        kernel! { @ Summing [] $($rest)* }
    };
}
