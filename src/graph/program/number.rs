//! The numbers that programs can compute with: double and single precision.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, Neg, Sub, SubAssign};
use std::sync::Arc;

/// A kind of number that a [`super::Program`] can compute with: `f64`, or `f32`.
pub trait Real: Number {}

impl Real for f64 {}
impl Real for f32 {}

/// What kernels do with numbers one at a time. Nothing outside this crate can implement it.
pub trait Number:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + DivAssign
    + 'static
{
    /// True of single precision.
    const SINGLE: bool;
    /// The nearest number of this kind.
    fn from_f64(x: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// A small integer, as the bits of a number.
    fn of_param(k: usize) -> Self;
    /// The integer whose bits these are.
    fn param(self) -> usize;
    /// Data as numbers of this kind; doubles are not copied.
    fn data(x: &Arc<[f64]>) -> Arc<[Self]>;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Magnitude.
    fn abs(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// The next integer below.
    fn floor(self) -> Self;
    /// The next integer above.
    fn ceil(self) -> Self;
    /// `self * b + c` in one rounding.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// The smaller number; the other one where one is NaN.
    fn min(self, b: Self) -> Self;
    /// The larger number; the other one where one is NaN.
    fn max(self, b: Self) -> Self;
    /// True of infinities.
    fn is_infinite(self) -> bool;
}

/// What the standard library has for both kinds.
macro_rules! forward {
    ($t:ty) => {
        #[inline(always)]
        fn sqrt(self) -> Self {
            <$t>::sqrt(self)
        }
        #[inline(always)]
        fn abs(self) -> Self {
            <$t>::abs(self)
        }
        #[inline(always)]
        fn ln(self) -> Self {
            <$t>::ln(self)
        }
        #[inline(always)]
        fn floor(self) -> Self {
            <$t>::floor(self)
        }
        #[inline(always)]
        fn ceil(self) -> Self {
            <$t>::ceil(self)
        }
        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            <$t>::mul_add(self, b, c)
        }
        #[inline(always)]
        fn min(self, b: Self) -> Self {
            <$t>::min(self, b)
        }
        #[inline(always)]
        fn max(self, b: Self) -> Self {
            <$t>::max(self, b)
        }
        #[inline(always)]
        fn is_infinite(self) -> bool {
            <$t>::is_infinite(self)
        }
    };
}

impl Number for f64 {
    const SINGLE: bool = false;
    #[inline(always)]
    fn from_f64(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    fn of_param(k: usize) -> f64 {
        f64::from_bits(k as u64)
    }
    #[inline(always)]
    fn param(self) -> usize {
        self.to_bits() as usize
    }
    fn data(x: &Arc<[f64]>) -> Arc<[f64]> {
        x.clone()
    }
    forward!(f64);
}

impl Number for f32 {
    const SINGLE: bool = true;
    #[inline(always)]
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn of_param(k: usize) -> f32 {
        f32::from_bits(u32::try_from(k).expect("sizes of programs in single precision have 32 bits"))
    }
    #[inline(always)]
    fn param(self) -> usize {
        self.to_bits() as usize
    }
    fn data(x: &Arc<[f64]>) -> Arc<[f32]> {
        x.iter().map(|x| *x as f32).collect()
    }
    forward!(f32);
}
