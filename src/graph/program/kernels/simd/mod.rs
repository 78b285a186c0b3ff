//! Vectors of numbers behind one trait: AVX2 with fused multiply-add, AVX-512, and what every processor has.

use crate::graph::program::number::Number;

#[cfg(target_arch = "x86_64")]
mod avx;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(super) use avx::{Avx, AvxSingle};
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::{Avx512, Avx512Single};

/// A vector of numbers. Results do not depend on the position in the vector.
///
/// # Safety
/// Every method asks that the processor has the implementation's instruction set; `load` and
/// `store` also that `N` numbers at the pointer are valid.
pub(super) trait Vector: Copy {
    type Elem: Number;
    /// Numbers in a vector.
    const N: usize;
    /// True where the processor has AVX2 and FMA.
    const FUSED: bool;
    /// The same arithmetic on one number, for remainders.
    type One: Summing<Elem = Self::Elem>;
    /// The same arithmetic on the next shorter vector.
    type Half: Vector<Elem = Self::Elem>;
    /// Two vectors that sums over rows of data are kept in.
    type Pair: Pair<Elem = Self::Elem>;
    unsafe fn load(p: *const Self::Elem) -> Self;
    /// From `N` numbers of single precision.
    unsafe fn load_narrow(p: *const f32) -> Self;
    unsafe fn store(self, p: *mut Self::Elem);
    unsafe fn splat(x: Self::Elem) -> Self;
    /// A constant in every place.
    #[inline(always)]
    unsafe fn all(x: f64) -> Self {
        // SAFETY: the caller's contract is the same.
        unsafe { Self::splat(Self::Elem::from_f64(x)) }
    }
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
    /// Writes `N` rows of `N` numbers as columns; the distances are those of rows at `from` and at `to`.
    unsafe fn transpose(to: *mut Self::Elem, from: *const Self::Elem, distances: (usize, usize));
}

/// A vector of the length that sums depend on. Longer ones are no such: their sums would have other bits.
///
/// # Safety
/// As for [`Vector`].
pub(super) trait Summing: Vector {
    /// As many doubles, for sums.
    type Acc: Accumulator<Self>;
    /// Sum of the elements, in a fixed order.
    unsafe fn total(self) -> Self::Elem;
}

/// Two vectors side by side, which may share a register.
///
/// # Safety
/// As for [`Vector`], with `2 N` numbers at the pointers, `N` those of a part.
pub(super) trait Pair: Copy {
    type Elem: Number;
    type Part: Vector<Elem = Self::Elem>;
    unsafe fn load(p: *const Self::Elem) -> Self;
    unsafe fn load_narrow(p: *const f32) -> Self;
    /// `x` and zeros.
    unsafe fn with_zero(x: Self::Part) -> Self;
    /// `self * b + c`
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    unsafe fn parts(self) -> [Self::Part; 2];
}

impl<S: Vector> Pair for [S; 2] {
    type Elem = S::Elem;
    type Part = S;
    #[inline(always)]
    unsafe fn load(p: *const S::Elem) -> Self {
        // SAFETY: the caller vouches for two vectors; likewise below.
        unsafe { [S::load(p), S::load(p.add(S::N))] }
    }
    #[inline(always)]
    unsafe fn load_narrow(p: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { [S::load_narrow(p), S::load_narrow(p.add(S::N))] }
    }
    #[inline(always)]
    unsafe fn with_zero(x: S) -> Self {
        // SAFETY: as above.
        [x, unsafe { S::all(0.0) }]
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        unsafe { [self[0].mul_add(b[0], c[0]), self[1].mul_add(b[1], c[1])] }
    }
    #[inline(always)]
    unsafe fn parts(self) -> [S; 2] {
        self
    }
}

/// Sums in double precision, one for each place of a vector.
///
/// # Safety
/// As for [`Vector`].
pub(super) trait Accumulator<S>: Copy {
    unsafe fn zero() -> Self;
    unsafe fn load(p: *const f64) -> Self;
    unsafe fn store(self, p: *mut f64);
    /// `self + x`
    unsafe fn plus(self, x: S) -> Self;
    /// `self + x * y`
    unsafe fn plus_product(self, x: S, y: S) -> Self;
    unsafe fn join(self, b: Self) -> Self;
    /// Sum of all places, in a fixed order.
    unsafe fn total(self) -> f64;
    /// Rounded to the kind of the vector.
    unsafe fn rounded(self) -> S;
}

/// Plain numbers; `F` says whether `mul_add` is fused (the caller then has the instruction).
#[derive(Clone, Copy)]
pub(super) struct Array<T, const W: usize, const F: bool>([T; W]);

fn truth<T: Number>(b: bool) -> T {
    T::from_f64(b as u8 as f64)
}

impl<T: Number, const W: usize, const F: bool> Array<T, W, F> {
    #[inline(always)]
    pub(super) fn zip(self, b: Self, f: impl Fn(T, T) -> T) -> Self {
        let mut out = self.0;
        for i in 0..W {
            out[i] = f(self.0[i], b.0[i]);
        }
        Array(out)
    }

    #[inline(always)]
    pub(super) fn map(self, f: impl Fn(T) -> T) -> Self {
        Array(self.0.map(f))
    }

    #[inline(always)]
    fn fused(a: T, b: T, c: T) -> T {
        if F { a.mul_add(b, c) } else { a * b + c }
    }
}

impl<T: Number, const W: usize, const F: bool> Vector for Array<T, W, F> {
    type Elem = T;
    const N: usize = W;
    const FUSED: bool = F;
    type One = Array<T, 1, F>;
    type Half = Array<T, 1, F>;
    type Pair = [Self; 2];
    #[inline(always)]
    unsafe fn load(p: *const T) -> Self {
        // SAFETY: the caller vouches for N doubles.
        Array(unsafe { p.cast::<[T; W]>().read() })
    }
    #[inline(always)]
    unsafe fn load_narrow(p: *const f32) -> Self {
        // SAFETY: the caller vouches for N numbers.
        Array(unsafe { p.cast::<[f32; W]>().read() }.map(|x| T::from_f64(x.into())))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut T) {
        // SAFETY: the caller vouches for N doubles.
        unsafe { p.cast::<[T; W]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Array([x; W])
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
        Array(out)
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
        self.map(T::sqrt)
    }
    #[inline(always)]
    unsafe fn neg(self) -> Self {
        self.map(|x| -x)
    }
    #[inline(always)]
    unsafe fn abs(self) -> Self {
        self.map(T::abs)
    }
    #[inline(always)]
    unsafe fn floor(self) -> Self {
        self.map(T::floor)
    }
    #[inline(always)]
    unsafe fn ceil(self) -> Self {
        self.map(T::ceil)
    }
    #[inline(always)]
    unsafe fn min(self, b: Self) -> Self {
        self.zip(b, T::min)
    }
    #[inline(always)]
    unsafe fn max(self, b: Self) -> Self {
        self.zip(b, T::max)
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
            out[i] = if self.0[i] != T::default() { a.0[i] } else { b.0[i] };
        }
        Array(out)
    }
    #[inline(always)]
    unsafe fn transpose(to: *mut T, from: *const T, distances: (usize, usize)) {
        for i in 0..W {
            for j in 0..W {
                // SAFETY: the caller vouches for the rows.
                unsafe { *to.add(j * distances.1 + i) = *from.add(i * distances.0 + j) };
            }
        }
    }
}

impl<T: Number, const W: usize, const F: bool> Summing for Array<T, W, F> {
    type Acc = Array<f64, W, F>;
    #[inline(always)]
    unsafe fn total(self) -> T {
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

impl<T: Number, const W: usize, const F: bool> Accumulator<Array<T, W, F>> for Array<f64, W, F> {
    #[inline(always)]
    unsafe fn zero() -> Self {
        Array([0.0; W])
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: the caller vouches for the doubles.
        unsafe { <Self as Vector>::load(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: the caller vouches for the doubles.
        unsafe { <Self as Vector>::store(self, p) }
    }
    #[inline(always)]
    unsafe fn plus(self, x: Array<T, W, F>) -> Self {
        self.zip(Array(x.0.map(T::to_f64)), |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn plus_product(self, x: Array<T, W, F>, y: Array<T, W, F>) -> Self {
        // SAFETY: nothing is asked.
        unsafe { Array(x.0.map(T::to_f64)).mul_add(Array(y.0.map(T::to_f64)), self) }
    }
    #[inline(always)]
    unsafe fn join(self, b: Self) -> Self {
        self.zip(b, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn total(self) -> f64 {
        // SAFETY: nothing is asked.
        unsafe { <Self as Summing>::total(self) }
    }
    #[inline(always)]
    unsafe fn rounded(self) -> Array<T, W, F> {
        Array(self.0.map(T::from_f64))
    }
}

/// Four doubles on every processor.
pub(super) type Plain = Array<f64, 4, false>;
/// Eight numbers of single precision on every processor.
pub(super) type PlainSingle = Array<f32, 8, false>;
