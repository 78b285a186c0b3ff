//! One kernel body, compiled for every instruction set.

/// Defines `fn name(isa) -> Kernel` from a body generic over the vector `$S`.
macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $name:ident<$S:ident>($d:ident, $a:ident, $b:ident, $c:ident, $n:ident) $body:block
    ) => {
        $(#[$doc])*
        pub(in super::super) fn $name(isa: $crate::base::simd::Isa) -> $crate::graph::program::kernels::Kernel {
            #[inline(always)]
            #[allow(unused_variables)]
            unsafe fn body<$S: $crate::graph::program::kernels::simd::Vector>(
                $d: *mut f64,
                $a: *const f64,
                $b: *const f64,
                $c: *const f64,
                $n: usize,
            ) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, n: usize) {
                // SAFETY: the caller's contract is the same, and AVX2 and FMA are enabled.
                unsafe { body::<$crate::graph::program::kernels::simd::Avx>(d, a, b, c, n) }
            }

            unsafe fn plain(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, n: usize) {
                // SAFETY: the caller's contract is the same.
                unsafe { body::<$crate::graph::program::kernels::simd::Plain>(d, a, b, c, n) }
            }

            match isa {
                #[cfg(target_arch = "x86_64")]
                $crate::base::simd::Isa::Avx2Fma if isa.is_supported() => avx,
                _ => plain,
            }
        }
    };
}
