//! Vectors of doubles behind one trait: AVX2 with fused multiply-add, and what every processor has.

/// A vector of doubles. Results do not depend on the position in the vector.
///
/// # Safety
/// Every method asks that the processor has the implementation's instruction set; `load` and
/// `store` also that `N` doubles at the pointer are valid.
pub(super) trait Vector: Copy {
    /// Doubles in a vector.
    const N: usize;
    /// The same arithmetic on one double, for remainders.
    type One: Vector;
    unsafe fn load(p: *const f64) -> Self;
    unsafe fn store(self, p: *mut f64);
    unsafe fn splat(x: f64) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    unsafe fn div(self, b: Self) -> Self;
    /// `self * b + c`, in one rounding where the instruction set has it.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// `self * b - c`
    unsafe fn mul_sub(self, b: Self, c: Self) -> Self;
    /// `c - self * b`
    unsafe fn neg_mul_add(self, b: Self, c: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    unsafe fn neg(self) -> Self;
    unsafe fn abs(self) -> Self;
    unsafe fn floor(self) -> Self;
    unsafe fn ceil(self) -> Self;
    /// The smaller number; the other one where one is NaN.
    unsafe fn min(self, b: Self) -> Self;
    /// The larger number; the other one where one is NaN.
    unsafe fn max(self, b: Self) -> Self;
    /// 1 where true, else 0; likewise below.
    unsafe fn lt(self, b: Self) -> Self;
    unsafe fn le(self, b: Self) -> Self;
    unsafe fn eq(self, b: Self) -> Self;
    unsafe fn ne(self, b: Self) -> Self;
    /// `self != 0 ? a : b`, true for NaN.
    unsafe fn choose(self, a: Self, b: Self) -> Self;
    /// Sum of the elements, in a fixed order.
    unsafe fn total(self) -> f64;
}

/// Plain doubles; `F` says whether `mul_add` is fused (the caller then has the instruction).
#[derive(Clone, Copy)]
pub(super) struct Doubles<const W: usize, const F: bool>([f64; W]);

fn truth(b: bool) -> f64 {
    b as u8 as f64
}

impl<const W: usize, const F: bool> Doubles<W, F> {
    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let mut out = self.0;
        for i in 0..W {
            out[i] = f(self.0[i], b.0[i]);
        }
        Doubles(out)
    }

    #[inline(always)]
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Doubles(self.0.map(f))
    }

    #[inline(always)]
    fn fused(a: f64, b: f64, c: f64) -> f64 {
        if F { a.mul_add(b, c) } else { a * b + c }
    }
}

impl<const W: usize, const F: bool> Vector for Doubles<W, F> {
    const N: usize = W;
    type One = Doubles<1, F>;
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the caller vouches for N doubles.
        Doubles(unsafe { p.cast::<[f64; W]>().read() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: the caller vouches for N doubles.
        unsafe { p.cast::<[f64; W]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        Doubles([x; W])
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        self.zip(b, |x, y| x - y)
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        self.zip(b, |x, y| x * y)
    }
    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        self.zip(b, |x, y| x / y)
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        let mut out = self.0;
        for i in 0..W {
            out[i] = Self::fused(self.0[i], b.0[i], c.0[i]);
        }
        Doubles(out)
    }
    #[inline(always)]
    unsafe fn mul_sub(self, b: Self, c: Self) -> Self {
        // SAFETY: nothing is asked.
        unsafe { self.mul_add(b, c.neg()) }
    }
    #[inline(always)]
    unsafe fn neg_mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: nothing is asked.
        unsafe { self.neg().mul_add(b, c) }
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Self {
        self.map(f64::sqrt)
    }
    #[inline(always)]
    unsafe fn neg(self) -> Self {
        self.map(|x| -x)
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        self.map(f64::abs)
    }
    #[inline(always)]
    unsafe fn floor(self) -> Self {
        self.map(f64::floor)
    }
    #[inline(always)]
    unsafe fn ceil(self) -> Self {
        self.map(f64::ceil)
    }
    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        self.zip(b, f64::min)
    }
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        self.zip(b, f64::max)
    }
    #[inline(always)]
    unsafe fn lt(self, b: Self) -> Self {
        self.zip(b, |x, y| truth(x < y))
    }
    #[inline(always)]
    unsafe fn le(self, b: Self) -> Self {
        self.zip(b, |x, y| truth(x <= y))
    }
    #[inline(always)]
    unsafe fn eq(self, b: Self) -> Self {
        self.zip(b, |x, y| truth(x == y))
    }
    #[inline(always)]
    unsafe fn ne(self, b: Self) -> Self {
        self.zip(b, |x, y| truth(x != y))
    }
    #[inline(always)]
    unsafe fn choose(self, a: Self, b: Self) -> Self {
        let mut out = self.0;
        for i in 0..W {
            out[i] = if self.0[i] != 0.0 { a.0[i] } else { b.0[i] };
        }
        Doubles(out)
    }
    #[inline(always)]
    unsafe fn total(self) -> f64 {
        let mut x = self.0;
        let mut half = W / 2;
        while half > 0 {
            for i in 0..half {
                x[i] += x[i + half];
            }
            half /= 2;
        }
        x[0]
    }
}

/// Four doubles on every processor.
pub(super) type Plain = Doubles<4, false>;

#[cfg(target_arch = "x86_64")]
pub(super) use avx::Avx;

#[cfg(target_arch = "x86_64")]
mod avx {
    use super::{Doubles, Vector};
    use std::arch::x86_64::*;

    /// Four doubles in an AVX2 register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx(__m256d);

    macro_rules! method {
        ($name:ident($($arg:ident),*) = $body:expr) => {
            #[inline(always)]
            unsafe fn $name(self, $($arg: Self),*) -> Self {
                // SAFETY: the caller has AVX2 and FMA.
                #[allow(clippy::redundant_closure_call)]
                Avx(unsafe { ($body)(self.0, $($arg.0),*) })
            }
        };
    }

    impl Avx {
        #[inline(always)]
        unsafe fn compare<const P: i32>(self, b: Self) -> Self {
            // SAFETY: the caller has AVX2.
            Avx(unsafe { _mm256_and_pd(_mm256_cmp_pd::<P>(self.0, b.0), _mm256_set1_pd(1.0)) })
        }
    }

    impl Vector for Avx {
        const N: usize = 4;
        type One = Doubles<1, true>;
        #[inline(always)]
        unsafe fn load(p: *const f64) -> Self {
            // SAFETY: the caller vouches for four doubles and AVX2.
            Avx(unsafe { _mm256_loadu_pd(p) })
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f64) {
            // SAFETY: the caller vouches for four doubles and AVX2.
            unsafe { _mm256_storeu_pd(p, self.0) }
        }
        #[inline(always)]
        unsafe fn splat(x: f64) -> Self {
            // SAFETY: the caller has AVX2.
            Avx(unsafe { _mm256_set1_pd(x) })
        }
        method!(add(b) = |a, b| _mm256_add_pd(a, b));
        method!(sub(b) = |a, b| _mm256_sub_pd(a, b));
        method!(mul(b) = |a, b| _mm256_mul_pd(a, b));
        method!(div(b) = |a, b| _mm256_div_pd(a, b));
        method!(mul_add(b, c) = |a, b, c| _mm256_fmadd_pd(a, b, c));
        method!(mul_sub(b, c) = |a, b, c| _mm256_fmsub_pd(a, b, c));
        method!(neg_mul_add(b, c) = |a, b, c| _mm256_fnmadd_pd(a, b, c));
        method!(sqrt() = |a| _mm256_sqrt_pd(a));
        method!(neg() = |a| _mm256_xor_pd(a, _mm256_set1_pd(-0.0)));
        method!(abs() = |a| _mm256_andnot_pd(_mm256_set1_pd(-0.0), a));
        method!(floor() = |a| _mm256_floor_pd(a));
        method!(ceil() = |a| _mm256_ceil_pd(a));
        // The instructions return the second operand where one is NaN.
        method!(
            min(b) = |a, b| {
                let unordered = _mm256_cmp_pd::<_CMP_UNORD_Q>(b, b);
                _mm256_blendv_pd(_mm256_min_pd(a, b), a, unordered)
            }
        );
        method!(
            max(b) = |a, b| {
                let unordered = _mm256_cmp_pd::<_CMP_UNORD_Q>(b, b);
                _mm256_blendv_pd(_mm256_max_pd(a, b), a, unordered)
            }
        );
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
        method!(
            choose(x, y) = |c, x, y| {
                let zero = _mm256_cmp_pd::<_CMP_EQ_OQ>(c, _mm256_setzero_pd());
                _mm256_blendv_pd(x, y, zero)
            }
        );
        #[inline(always)]
        unsafe fn total(self) -> f64 {
            let mut x = [0.0; 4];
            // SAFETY: four doubles, and the caller has AVX2.
            unsafe { self.store(x.as_mut_ptr()) };
            (x[0] + x[2]) + (x[1] + x[3])
        }
    }
}
