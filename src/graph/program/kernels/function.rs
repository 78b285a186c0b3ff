//! Kernels of functions that are more than arithmetic: the vectorised ones of `base`, and the rest
//! number by number.

use super::arith::{Extent, Scalars};
#[cfg(target_arch = "x86_64")]
use super::elementary;
use super::{Kernel, Number, Target, single};
use crate::base::simd::{self, Isa};
use crate::base::special;
use crate::graph::op::{Binary, Ternary, Unary};

/// Kernels of the functions of `base` for one instruction set.
macro_rules! vectorised {
    ($level:expr) => {
        use super::*;

        macro_rules! many {
            ($name:ident) => {
                pub(super) mod $name {
                    use super::*;

                    pub(in super::super) unsafe fn doubles(
                        d: *mut f64,
                        a: *const f64,
                        _: *const f64,
                        _: *const f64,
                        n: usize,
                    ) {
                        // SAFETY: the caller vouches for n doubles at both; they are the same or disjoint.
                        unsafe { (simd::kernels($level).$name)(a, d, n) }
                    }

                    pub(in super::super) unsafe fn singles(
                        d: *mut f64,
                        a: *const f64,
                        _: *const f64,
                        _: *const f64,
                        n: usize,
                    ) {
                        // SAFETY: the caller vouches for n numbers at both; they are the same or disjoint.
                        unsafe { widened(d.cast(), [a.cast(); 2], n, |x, _, m| (simd::kernels($level).$name)(x, x, m)) }
                    }
                }
            };
        }
        many!(exp);
        many!(expm1);
        many!(log);
        many!(log1p);
        many!(tanh);
        many!(sigmoid);
        many!(softplus);
        many!(sin);
        many!(cos);
        many!(atan);
        many!(lgamma);
        many!(digamma);
        many!(erf);
        many!(erfc);
        many!(normal_cdf);

        /// a^b
        pub(super) mod pow {
            use super::*;

            pub(in super::super) unsafe fn doubles(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
                // SAFETY: the caller vouches for n doubles at all three.
                unsafe { (simd::kernels($level).pow)(a, b, d, n) }
            }

            pub(in super::super) unsafe fn singles(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
                // SAFETY: the caller vouches for n numbers at all three.
                unsafe {
                    let operands = [a.cast(), b.cast()];
                    widened(d.cast(), operands, n, |x, y, m| (simd::kernels($level).pow)(x, y, x, m));
                }
            }
        }
    };
}

/// Numbers of single precision that are doubles for a while.
const TILE: usize = 64;

/// `d = f(a, b)` by a function of doubles that leaves its result in the first of its two operands.
unsafe fn widened(d: *mut f32, [a, b]: [*const f32; 2], n: usize, f: impl Fn(*mut f64, *const f64, usize)) {
    let (mut x, mut y) = ([0.0f64; TILE], [0.0f64; TILE]);
    for start in (0..n).step_by(TILE) {
        let m = TILE.min(n - start);
        // SAFETY: the caller vouches for n numbers at all three.
        unsafe {
            for i in 0..m {
                x[i] = (*a.add(start + i)).into();
                y[i] = (*b.add(start + i)).into();
            }
            f(x.as_mut_ptr(), y.as_ptr(), m);
            for i in 0..m {
                *d.add(start + i) = x[i] as f32;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx {
    vectorised!(Isa::Avx2Fma);
}
mod plain {
    vectorised!(Isa::Baseline);
}

/// softplus to `d`, its derivative to `c`
unsafe fn plain_softplus_sigmoid(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, n: usize) {
    // SAFETY: the caller vouches for n doubles at all three, the results disjoint.
    unsafe { (simd::kernels(Isa::Baseline).softplus_sigmoid)(a, d, c.cast_mut(), n) }
}

/// A function of three numbers, of which it may read fewer.
trait Function {
    fn eval(a: f64, b: f64, c: f64) -> f64;
}

/// `d[i] = F(a[i], b[i], c[i])`, operands in the bit set `M` being scalars.
unsafe fn each<T: Number, F: Function, const ARITY: u8, const M: u8>(
    d: *mut f64,
    a: *const f64,
    b: *const f64,
    c: *const f64,
    n: usize,
) {
    let at = |p: *const f64, bit: u8, i: usize| match (ARITY & bit != 0, M & bit != 0) {
        (false, _) => 0.0,
        // SAFETY: a scalar operand has one element, another one n.
        (_, true) => unsafe { (*p.cast::<T>()).to_f64() },
        (_, false) => unsafe { (*p.cast::<T>().add(i)).to_f64() },
    };
    for i in 0..n {
        // SAFETY: the caller vouches for n numbers at `d`.
        unsafe { *d.cast::<T>().add(i) = T::from_f64(F::eval(at(a, 1, i), at(b, 2, i), at(c, 4, i))) };
    }
}

macro_rules! each {
    (1, $t:expr, $s:expr, $f:expr) => {
        each!(@ $t, $f, 1, 0)
    };
    (2, $t:expr, $s:expr, $f:expr) => {
        match $s & 3 {
            1 => each!(@ $t, $f, 3, 1),
            2 => each!(@ $t, $f, 3, 2),
            3 => each!(@ $t, $f, 3, 3),
            _ => each!(@ $t, $f, 3, 0),
        }
    };
    (3, $t:expr, $s:expr, $f:expr) => {
        match $s & 7 {
            1 => each!(@ $t, $f, 7, 1),
            2 => each!(@ $t, $f, 7, 2),
            3 => each!(@ $t, $f, 7, 3),
            4 => each!(@ $t, $f, 7, 4),
            5 => each!(@ $t, $f, 7, 5),
            6 => each!(@ $t, $f, 7, 6),
            7 => each!(@ $t, $f, 7, 7),
            _ => each!(@ $t, $f, 7, 0),
        }
    };
    (@ $t:expr, $f:expr, $arity:literal, $m:literal) => {{
        struct Named;
        impl Function for Named {
            #[inline(always)]
            fn eval(a: f64, b: f64, c: f64) -> f64 {
                let f: fn(f64, f64, f64) -> f64 = $f;
                f(a, b, c)
            }
        }
        if $t.single {
            each::<f32, Named, $arity, $m> as Kernel
        } else {
            each::<f64, Named, $arity, $m>
        }
    }};
}

macro_rules! level {
    ($target:expr, $name:ident) => {
        match ($target.level(), $target.single) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2Fma | Isa::Avx512, false) => avx::$name::doubles,
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2Fma | Isa::Avx512, true) => avx::$name::singles,
            (_, false) => plain::$name::doubles,
            (_, true) => plain::$name::singles,
        }
    };
}

/// softplus to the result, its derivative to the third operand.
pub(in super::super) fn softplus_sigmoid(target: Target) -> Kernel {
    match target.level() {
        _ if target.single => single::softplus_sigmoid(target),
        #[cfg(target_arch = "x86_64")]
        level @ (Isa::Avx2Fma | Isa::Avx512) => elementary::softplus_sigmoid(level),
        _ => plain_softplus_sigmoid,
    }
}

/// The kernels of the most common functions, where there are faster ones.
#[cfg(target_arch = "x86_64")]
fn fast(op: Unary, target: Target, n: Extent) -> Option<Kernel> {
    let level = target.level();
    if level == Isa::Baseline { None } else { elementary::unary(op, level, n) }
}

#[cfg(not(target_arch = "x86_64"))]
fn fast(_: Unary, _: Target, _: Extent) -> Option<Kernel> {
    None
}

/// The kernel of a function of one number that is not arithmetic.
pub(in super::super) fn unary(op: Unary, target: Target, n: Extent) -> Kernel {
    let own = if target.single { single::unary(op, target) } else { fast(op, target, n) };
    if let Some(kernel) = own {
        return kernel;
    }
    match op {
        Unary::Exp => level!(target, exp),
        Unary::Expm1 => level!(target, expm1),
        Unary::Log => level!(target, log),
        Unary::Log1p => level!(target, log1p),
        Unary::Tanh => level!(target, tanh),
        Unary::Sigmoid => level!(target, sigmoid),
        Unary::Softplus => level!(target, softplus),
        Unary::Sin => level!(target, sin),
        Unary::Cos => level!(target, cos),
        Unary::Atan => level!(target, atan),
        Unary::Lgamma => level!(target, lgamma),
        Unary::Digamma => level!(target, digamma),
        Unary::Erf => level!(target, erf),
        Unary::Erfc => level!(target, erfc),
        Unary::Phi => level!(target, normal_cdf),
        Unary::Tan => each!(1, target, 0, |a, _, _| a.tan()),
        Unary::Asin => each!(1, target, 0, |a, _, _| a.asin()),
        Unary::Acos => each!(1, target, 0, |a, _, _| a.acos()),
        Unary::Sinh => each!(1, target, 0, |a, _, _| a.sinh()),
        Unary::Cosh => each!(1, target, 0, |a, _, _| a.cosh()),
        Unary::Round => each!(1, target, 0, |a, _, _| a.round()),
        Unary::Trigamma => each!(1, target, 0, |a, _, _| special::trigamma(a)),
        Unary::Tetragamma => each!(1, target, 0, |a, _, _| special::tetragamma(a)),
        Unary::LogPhi => each!(1, target, 0, |a, _, _| special::normal_lcdf(a)),
        Unary::InvPhi => each!(1, target, 0, |a, _, _| special::inv_phi(a)),
        Unary::LogBesselI0 => each!(1, target, 0, |a, _, _| special::log_bessel_i0(a)),
        Unary::BesselRatio => each!(1, target, 0, |a, _, _| special::bessel_i_ratio(0.0, a)),
        _ => unreachable!("arithmetic has its own kernels"),
    }
}

/// The kernel of a function of two numbers that is not arithmetic.
pub(in super::super) fn binary(op: Binary, target: Target, s: Scalars) -> Kernel {
    match op {
        Binary::Pow if s & 3 == 0 => level!(target, pow),
        Binary::Pow => each!(2, target, s, |a, b, _| a.powf(b)),
        Binary::Atan2 => each!(2, target, s, |a, b, _| a.atan2(b)),
        Binary::Mod => each!(2, target, s, |a, b, _| a % b),
        Binary::GammaP => each!(2, target, s, |a, b, _| special::gamma_p(a, b)),
        Binary::GammaPda => each!(2, target, s, |a, b, _| special::gamma_p_da(a, b)),
        _ => unreachable!("arithmetic has its own kernels"),
    }
}

/// The kernel of a function of three numbers that is not arithmetic.
pub(in super::super) fn ternary(op: Ternary, target: Target, s: Scalars) -> Kernel {
    match op {
        Ternary::Fma => each!(3, target, s, |a, b, c| a.mul_add(b, c)),
        Ternary::IncBeta => each!(3, target, s, special::inc_beta),
        Ternary::IncBetaDa => each!(3, target, s, |a, b, x| special::inc_beta_grad(a, b, x).da),
        Ternary::IncBetaDb => each!(3, target, s, |a, b, x| special::inc_beta_grad(a, b, x).db),
        Ternary::Select => unreachable!("arithmetic has its own kernels"),
    }
}
