//! Exponentials and logarithms in single precision. An element's result does not depend on its place or company;
//! errors are below 4 units in the last place.

mod bits;
#[cfg(test)]
mod tests;

use bits::{MAGIC, Single};

use super::simd::{self, Array};
use super::{Kernel, Target};
use crate::base::simd::Isa;
use crate::graph::op::Unary;

/// `ln 2` in two parts: products of the first with exponents are exact.
const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);

/// `(e^r - 1 - r) / r²` for `|r| <= ln(2)/2`, relative error of `e^r` below `2^-26`.
const EXP: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_374, 0.008_363_18, 0.001_394_112_1];

/// `(log(1 + f) - f + f²/2) / f³` for `1 + f` in `[sqrt(1/2), sqrt 2]`, error of the logarithm below `2^-27`.
const LOG: [f32; 9] = [
    0.333_333_3,
    -0.249_999_8,
    0.200_006_89,
    -0.166_691_48,
    0.142_511_26,
    -0.123_967_7,
    0.116_350_69,
    -0.116_594_896,
    0.073_306_51,
];

/// `(2 atanh(s)/s - 2) / s²` in powers of `s²` for `|s| <= 1/3`, relative error of `atanh` below `2^-31`.
const ATANH: [f32; 5] = [0.666_666_7, 0.399_996_97, 0.285_928_1, 0.217_000_42, 0.232_537_8];

/// Below this `e^x` has no full precision any more.
const FLAT: f32 = -87.336;

/// Polynomial with coefficients in rising order.
#[inline(always)]
unsafe fn poly<S: Single, const N: usize>(x: S, c: &[f32; N]) -> S {
    // SAFETY: the processor has S; likewise in all functions below.
    unsafe {
        let mut y = S::splat(c[N - 1]);
        for k in (0..N - 1).rev() {
            y = y.mul_add(x, S::splat(c[k]));
        }
        y
    }
}

/// `(t, q)` with `e^x = 2^n (1 + q)` and `t = MAGIC + n`.
#[inline(always)]
unsafe fn reduced<S: Single>(x: S) -> (S, S) {
    // SAFETY: as for `poly`.
    unsafe {
        let magic = S::splat(MAGIC);
        let t = x.mul_add(S::splat(std::f32::consts::LOG2_E), magic);
        let n = t.sub(magic);
        let r = n.neg_mul_add(S::splat(LN2.0), x);
        let r = n.neg_mul_add(S::splat(LN2.1), r);
        (t, r.mul(r).mul_add(poly(r, &EXP), r))
    }
}

/// A function of one number, on vectors.
trait Function {
    /// # Safety
    /// The processor has S.
    unsafe fn eval<S: Single>(x: S) -> S;
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = |$x:ident| $body:expr;)*) => {
        $(
            $(#[$doc])*
            struct $name;
            impl Function for $name {
                #[inline(always)]
                unsafe fn eval<S: Single>($x: S) -> S {
                    // SAFETY: the caller's contract is the same.
                    unsafe { $body }
                }
            }
        )*
    };
}

functions! {
    /// `e^x`, by two powers of 2 because one may overflow where their product with the rest does not.
    Exp = |x| {
        let (t, q) = reduced(x.at_least(-104.0).at_most(89.0));
        let magic = S::splat(MAGIC);
        let n = t.sub(magic);
        let half = n.mul_add(S::splat(0.5), magic);
        let rest = n.sub(half.sub(magic)).add(magic);
        q.add(S::splat(1.0)).mul(half.power()).mul(rest.power())
    };
    /// `e^x - 1 = 2 (2^(n-1) q + (2^(n-1) - 1/2))`
    Expm1 = |x| {
        let (t, q) = reduced(x.at_least(-17.5).at_most(89.0));
        let unit = t.sub(S::splat(1.0)).power();
        let y = unit.mul_add(q, unit.sub(S::splat(0.5)));
        // The sum loses the sign of -0.
        x.eq(S::splat(0.0)).choose(x, y.add(y))
    };
    /// `t / (t + 2)` with `t = e^2x - 1`, by the magnitude; 1 from 9.02 on.
    Tanh = |x| {
        let a = x.abs().at_most(9.02);
        let (t, q) = reduced(a.add(a));
        let unit = t.power();
        let t = unit.mul_add(q, unit.sub(S::splat(1.0)));
        t.div(t.add(S::splat(2.0))).signed_as(x)
    };
    /// `log x`; NaN below zero.
    Log = |x| {
        let tiny = x.lt(S::splat(f32::MIN_POSITIVE));
        let (k, f) = tiny.choose(x.mul(S::splat(16_777_216.0)), x).split();
        let k = tiny.neg_mul_add(S::splat(24.0), k);
        let y = assemble(k, f, S::splat(0.0));
        edges(x, x, y)
    };
    /// `log(1 + x)`: that of the rounded sum, corrected by what the rounding lost.
    Log1p = |x| {
        let one = S::splat(1.0);
        let u = x.add(one);
        let lost = x.lt(one).choose(x.sub(u.sub(one)), one.sub(u.sub(x)));
        let (k, scaled) = u.split();
        let zero = S::splat(0.0);
        let f = k.choose(scaled, x);
        let y = assemble(k, f, k.choose(lost.div(u), zero));
        x.eq(zero).choose(x, edges(x, u, y))
    };
    /// `1 / (1 + e^-x)`
    Sigmoid = |x| sigmoid_from(x, falling(x));
    /// `log(1 + e^x)`
    Softplus = |x| softplus_from(x, falling(x));
}

/// `k ln 2 + log(1 + f) + low`
#[inline(always)]
unsafe fn assemble<S: Single>(k: S, f: S, low: S) -> S {
    // SAFETY: as for `poly`.
    unsafe {
        let z = f.mul(f);
        let low = f.mul(z).mul_add(poly(f, &LOG), k.mul_add(S::splat(LN2.1), low));
        let low = z.neg_mul_add(S::splat(0.5), low);
        k.mul_add(S::splat(LN2.0), f.add(low))
    }
}

/// `y` for the logarithm of an ordinary `u`: `-inf` at zero, NaN below, `x` where that is infinite or NaN.
#[inline(always)]
unsafe fn edges<S: Single>(x: S, u: S, y: S) -> S {
    // SAFETY: as for `poly`.
    unsafe {
        let zero = S::splat(0.0);
        let y = x.lt(S::splat(f32::INFINITY)).choose(y, x);
        let y = u.eq(zero).choose(S::splat(f32::NEG_INFINITY), y);
        u.lt(zero).choose(S::splat(f32::NAN), y)
    }
}

/// `e^-|x|`, 0 where that is subnormal.
#[inline(always)]
unsafe fn falling<S: Single>(x: S) -> S {
    // SAFETY: as for `poly`.
    unsafe {
        let low = S::splat(FLAT);
        let x = x.abs().neg();
        let (t, q) = reduced(x.at_least(FLAT));
        x.lt(low).choose(S::splat(0.0), q.add(S::splat(1.0)).mul(t.power()))
    }
}

/// From `e = e^-|x|`: `1 / (1 + e)`, or `e / (1 + e)` below zero.
#[inline(always)]
unsafe fn sigmoid_from<S: Single>(x: S, e: S) -> S {
    // SAFETY: as for `poly`.
    unsafe {
        let one = S::splat(1.0);
        x.lt(S::splat(0.0)).choose(e, one).div(e.add(one))
    }
}

/// From `e = e^-|x|`: `max(x, 0) + 2 atanh(e / (2 + e))`.
#[inline(always)]
unsafe fn softplus_from<S: Single>(x: S, e: S) -> S {
    // SAFETY: as for `poly`.
    unsafe {
        let s = e.div(e.add(S::splat(2.0)));
        let z = s.mul(s);
        x.max(S::splat(0.0)).add(s.mul(z).mul_add(poly(z, &ATANH), s.add(s)))
    }
}

/// `d[i] = F(a[i])` for `from <= i < n` in whole vectors; gives how far these go.
#[inline(always)]
unsafe fn each<S: Single, F: Function>(d: *mut f32, a: *const f32, from: usize, n: usize) -> usize {
    let mut i = from;
    // SAFETY: the caller vouches for n numbers at both, and the processor has S.
    unsafe {
        while i + S::N <= n {
            F::eval(S::load(a.add(i))).store(d.add(i));
            i += S::N;
        }
    }
    i
}

/// The softplus to `d`, the sigmoid to `c`, as [`each`].
#[inline(always)]
unsafe fn both<S: Single>(d: *mut f32, a: *const f32, c: *mut f32, from: usize, n: usize) -> usize {
    let mut i = from;
    // SAFETY: the caller vouches for n numbers at all three, and the processor has S.
    unsafe {
        while i + S::N <= n {
            let x = S::load(a.add(i));
            let e = falling(x);
            softplus_from(x, e).store(d.add(i));
            sigmoid_from(x, e).store(c.add(i));
            i += S::N;
        }
    }
    i
}

/// The kernels of an instruction set, with its vectors from the longest to one number.
macro_rules! level {
    ($module:ident, $(#[$feature:meta],)? $($vector:ty),*) => {
        mod $module {
            use super::*;

            $(#[$feature])?
            pub(super) unsafe fn map<F: Function>(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, n: usize) {
                let (d, a) = (d.cast(), a.cast());
                let i = 0;
                // SAFETY: the caller's contract is the same.
                $(let i = unsafe { each::<$vector, F>(d, a, i, n) };)*
                debug_assert_eq!(i, n);
            }

            $(#[$feature])?
            pub(super) unsafe fn pair(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, n: usize) {
                let (d, a, c) = (d.cast(), a.cast(), c.cast::<f32>().cast_mut());
                let i = 0;
                // SAFETY: the caller's contract is the same.
                $(let i = unsafe { both::<$vector>(d, a, c, i, n) };)*
                debug_assert_eq!(i, n);
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
level!(
    avx512,
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")],
    simd::Avx512Single,
    simd::AvxSingle,
    Array<f32, 1, true>
);
#[cfg(target_arch = "x86_64")]
level!(avx, #[target_feature(enable = "avx2,fma")], simd::AvxSingle, Array<f32, 1, true>);
level!(plain, simd::PlainSingle, Array<f32, 1, false>);

fn of<F: Function>(target: Target) -> Kernel {
    match target.level() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::map::<F>,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma => avx::map::<F>,
        _ => plain::map::<F>,
    }
}

/// The kernel of a function of one number, where there is one of its own for single precision.
pub(super) fn unary(op: Unary, target: Target) -> Option<Kernel> {
    Some(match op {
        Unary::Exp => of::<Exp>(target),
        Unary::Expm1 => of::<Expm1>(target),
        Unary::Log => of::<Log>(target),
        Unary::Log1p => of::<Log1p>(target),
        Unary::Tanh => of::<Tanh>(target),
        Unary::Sigmoid => of::<Sigmoid>(target),
        Unary::Softplus => of::<Softplus>(target),
        _ => return None,
    })
}

/// Softplus to the result, its derivative to the third operand.
pub(super) fn softplus_sigmoid(target: Target) -> Kernel {
    match target.level() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::pair,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma => avx::pair,
        _ => plain::pair,
    }
}
