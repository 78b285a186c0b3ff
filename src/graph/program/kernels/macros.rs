//! One kernel body, compiled for every instruction set and both kinds of numbers.

/// Defines `fn name(target) -> Kernel` from a body generic over the vector `$S`.
macro_rules! kernel {
    (
        $(#[$doc:meta])*
        $name:ident<$S:ident>($d:ident, $a:ident, $b:ident, $c:ident, $n:ident) $body:block
    ) => {
        $(#[$doc])*
        pub(in super::super) fn $name(
            target: $crate::graph::program::kernels::Target,
        ) -> $crate::graph::program::kernels::Kernel {
            use $crate::graph::program::kernels::simd;

            #[inline(always)]
            #[allow(unused_variables)]
            unsafe fn body<$S: simd::Vector>(
                $d: *mut $S::Elem,
                $a: *const $S::Elem,
                $b: *const $S::Elem,
                $c: *const $S::Elem,
                $n: usize,
            ) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx<V: simd::Vector>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, n: usize) {
                // SAFETY: the caller's contract is the same, and AVX2 and FMA are enabled.
                unsafe { body::<V>(d.cast(), a.cast(), b.cast(), c.cast(), n) }
            }

            unsafe fn plain<V: simd::Vector>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, n: usize) {
                // SAFETY: the caller's contract is the same.
                unsafe { body::<V>(d.cast(), a.cast(), b.cast(), c.cast(), n) }
            }

            match (target.level(), target.single) {
                #[cfg(target_arch = "x86_64")]
                ($crate::base::simd::Isa::Avx2Fma, false) => avx::<simd::Avx>,
                #[cfg(target_arch = "x86_64")]
                ($crate::base::simd::Isa::Avx2Fma, true) => avx::<simd::AvxSingle>,
                (_, false) => plain::<simd::Plain>,
                (_, true) => plain::<simd::PlainSingle>,
            }
        }
    };
}
