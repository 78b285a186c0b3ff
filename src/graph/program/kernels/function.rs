//! Kernels of functions that are more than arithmetic: the vectorised ones of `base`, and the rest
//! number by number.

use super::Kernel;
use super::arith::{Extent, Scalars};
#[cfg(target_arch = "x86_64")]
use super::elementary;
use crate::base::simd::{self, Isa};
use crate::base::special;
use crate::graph::op::{Binary, Ternary, Unary};

/// Kernels of the functions of `base` for one instruction set.
macro_rules! vectorised {
    ($level:expr) => {
        use super::*;

        macro_rules! many {
            ($name:ident) => {
                pub(super) unsafe fn $name(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, n: usize) {
                    // SAFETY: the caller vouches for n doubles at both; they are the same or disjoint.
                    unsafe { (simd::kernels($level).$name)(a, d, n) }
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
        pub(super) unsafe fn pow(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
            // SAFETY: the caller vouches for n doubles at all three.
            unsafe { (simd::kernels($level).pow)(a, b, d, n) }
        }
    };
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
unsafe fn each<F: Function, const ARITY: u8, const M: u8>(
    d: *mut f64,
    a: *const f64,
    b: *const f64,
    c: *const f64,
    n: usize,
) {
    let at = |p: *const f64, bit: u8, i: usize| match (ARITY & bit != 0, M & bit != 0) {
        (false, _) => 0.0,
        // SAFETY: a scalar operand has one element, another one n.
        (_, true) => unsafe { *p },
        (_, false) => unsafe { *p.add(i) },
    };
    for i in 0..n {
        // SAFETY: the caller vouches for n doubles at `d`.
        unsafe { *d.add(i) = F::eval(at(a, 1, i), at(b, 2, i), at(c, 4, i)) };
    }
}

macro_rules! each {
    (1, $s:expr, $f:expr) => {
        each!(@ $f, 1, 0)
    };
    (2, $s:expr, $f:expr) => {
        match $s & 3 {
            1 => each!(@ $f, 3, 1),
            2 => each!(@ $f, 3, 2),
            3 => each!(@ $f, 3, 3),
            _ => each!(@ $f, 3, 0),
        }
    };
    (3, $s:expr, $f:expr) => {
        match $s & 7 {
            1 => each!(@ $f, 7, 1),
            2 => each!(@ $f, 7, 2),
            3 => each!(@ $f, 7, 3),
            4 => each!(@ $f, 7, 4),
            5 => each!(@ $f, 7, 5),
            6 => each!(@ $f, 7, 6),
            7 => each!(@ $f, 7, 7),
            _ => each!(@ $f, 7, 0),
        }
    };
    (@ $f:expr, $arity:literal, $m:literal) => {{
        struct Named;
        impl Function for Named {
            #[inline(always)]
            fn eval(a: f64, b: f64, c: f64) -> f64 {
                let f: fn(f64, f64, f64) -> f64 = $f;
                f(a, b, c)
            }
        }
        each::<Named, $arity, $m> as Kernel
    }};
}

macro_rules! level {
    ($isa:expr, $($path:ident)::+) => {
        match $isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2Fma if $isa.is_supported() => avx::$($path)::+,
            _ => plain::$($path)::+,
        }
    };
}

/// softplus to the result, its derivative to the third operand.
pub(in super::super) fn softplus_sigmoid(isa: Isa) -> Kernel {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma if isa.is_supported() => elementary::softplus_sigmoid,
        _ => plain_softplus_sigmoid,
    }
}

/// The kernels of the most common functions, where there are faster ones.
#[cfg(target_arch = "x86_64")]
fn fast(op: Unary, isa: Isa, n: Extent) -> Option<Kernel> {
    if isa != Isa::Avx2Fma || !isa.is_supported() {
        return None;
    }
    if n == Extent::One {
        return Some(match op {
            Unary::Exp => elementary::exp_one,
            Unary::Expm1 => elementary::expm1_one,
            Unary::Log => elementary::log_one,
            Unary::Log1p => elementary::log1p_one,
            Unary::Tanh => elementary::tanh_one,
            Unary::Sigmoid => elementary::sigmoid_one,
            Unary::Softplus => elementary::softplus_one,
            _ => return None,
        });
    }
    Some(match op {
        Unary::Exp => elementary::exp,
        Unary::Expm1 => elementary::expm1,
        Unary::Log => elementary::log,
        Unary::Log1p => elementary::log1p,
        Unary::Tanh => elementary::tanh,
        Unary::Sigmoid => elementary::sigmoid,
        Unary::Softplus => elementary::softplus,
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn fast(_: Unary, _: Isa, _: Extent) -> Option<Kernel> {
    None
}

/// The kernel of a function of one number that is not arithmetic.
pub(in super::super) fn unary(op: Unary, isa: Isa, n: Extent) -> Kernel {
    if let Some(kernel) = fast(op, isa, n) {
        return kernel;
    }
    match op {
        Unary::Exp => level!(isa, exp),
        Unary::Expm1 => level!(isa, expm1),
        Unary::Log => level!(isa, log),
        Unary::Log1p => level!(isa, log1p),
        Unary::Tanh => level!(isa, tanh),
        Unary::Sigmoid => level!(isa, sigmoid),
        Unary::Softplus => level!(isa, softplus),
        Unary::Sin => level!(isa, sin),
        Unary::Cos => level!(isa, cos),
        Unary::Atan => level!(isa, atan),
        Unary::Lgamma => level!(isa, lgamma),
        Unary::Digamma => level!(isa, digamma),
        Unary::Erf => level!(isa, erf),
        Unary::Erfc => level!(isa, erfc),
        Unary::Phi => level!(isa, normal_cdf),
        Unary::Tan => each!(1, 0, |a, _, _| a.tan()),
        Unary::Asin => each!(1, 0, |a, _, _| a.asin()),
        Unary::Acos => each!(1, 0, |a, _, _| a.acos()),
        Unary::Sinh => each!(1, 0, |a, _, _| a.sinh()),
        Unary::Cosh => each!(1, 0, |a, _, _| a.cosh()),
        Unary::Round => each!(1, 0, |a, _, _| a.round()),
        Unary::Trigamma => each!(1, 0, |a, _, _| special::trigamma(a)),
        Unary::Tetragamma => each!(1, 0, |a, _, _| special::tetragamma(a)),
        Unary::LogPhi => each!(1, 0, |a, _, _| special::normal_lcdf(a)),
        Unary::InvPhi => each!(1, 0, |a, _, _| special::inv_phi(a)),
        Unary::LogBesselI0 => each!(1, 0, |a, _, _| special::log_bessel_i0(a)),
        Unary::BesselRatio => each!(1, 0, |a, _, _| special::bessel_i_ratio(0.0, a)),
        _ => unreachable!("arithmetic has its own kernels"),
    }
}

/// The kernel of a function of two numbers that is not arithmetic.
pub(in super::super) fn binary(op: Binary, isa: Isa, s: Scalars) -> Kernel {
    match op {
        Binary::Pow if s & 3 == 0 => level!(isa, pow),
        Binary::Pow => each!(2, s, |a, b, _| a.powf(b)),
        Binary::Atan2 => each!(2, s, |a, b, _| a.atan2(b)),
        Binary::Mod => each!(2, s, |a, b, _| a % b),
        Binary::GammaP => each!(2, s, |a, b, _| special::gamma_p(a, b)),
        Binary::GammaPda => each!(2, s, |a, b, _| special::gamma_p_da(a, b)),
        _ => unreachable!("arithmetic has its own kernels"),
    }
}

/// The kernel of a function of three numbers that is not arithmetic.
pub(in super::super) fn ternary(op: Ternary, s: Scalars) -> Kernel {
    match op {
        Ternary::Fma => each!(3, s, |a, b, c| a.mul_add(b, c)),
        Ternary::IncBeta => each!(3, s, special::inc_beta),
        Ternary::IncBetaDa => each!(3, s, |a, b, x| special::inc_beta_grad(a, b, x).da),
        Ternary::IncBetaDb => each!(3, s, |a, b, x| special::inc_beta_grad(a, b, x).db),
        Ternary::Select => unreachable!("arithmetic has its own kernels"),
    }
}
