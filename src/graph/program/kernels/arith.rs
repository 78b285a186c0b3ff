//! Arithmetic kernels: one loop for formulas of up to three operands, each a vector or a scalar.

pub(in super::super) use super::extent::{Extent, Joined, Scalars, extent, rows};
use super::formula::*;
use super::simd::{Array, Plain, PlainSingle, Vector};
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx, Avx512, Avx512Single, AvxSingle};
use super::{Kernel, Number, Target};
use crate::base::simd::Isa;
use crate::graph::op::{Binary, Ternary, Unary};

/// One vector of operand `K` at position `i`, or its scalar.
#[inline(always)]
unsafe fn operand<S: Vector, const M: u8, const K: u8>(p: *const S::Elem, i: usize, one: S, used: bool) -> S {
    if M & K != 0 || !used {
        one
    } else {
        // SAFETY: the caller vouches for `i + N` doubles.
        unsafe { S::load(p.add(i)) }
    }
}

/// Number of rows, lanes, and which operands move, of a count from [`rows`].
#[inline(always)]
pub(super) fn unpack(n: usize) -> (usize, usize, usize) {
    (n & 0xffff, (n >> 16 & 0xf) * 8, n >> 20)
}

/// The formula at position `i`; `one` has the scalar operands. A function, since a closure that the compiler
/// does not inline would be compiled without the instruction set.
#[inline(always)]
unsafe fn at<S: Vector, F: Formula, const ARITY: u8, const M: u8>(
    (a, b, c): (*const S::Elem, *const S::Elem, *const S::Elem),
    i: usize,
    one: (S, S, S),
) -> S {
    // SAFETY: the caller vouches for a vector at i of every operand that is not a scalar.
    unsafe {
        F::eval::<S>(
            operand::<S, M, 1>(a, i, one.0, true),
            operand::<S, M, 2>(b, i, one.1, ARITY & 2 != 0),
            operand::<S, M, 4>(c, i, one.2, ARITY & 4 != 0),
        )
    }
}

/// Positions `i..n`, four vectors at a time, then one; returns how far whole vectors go.
#[inline(always)]
unsafe fn vectors<S: Vector, F: Formula, const ARITY: u8, const M: u8>(
    d: *mut S::Elem,
    x: (*const S::Elem, *const S::Elem, *const S::Elem),
    n: usize,
    one: (S, S, S),
) -> usize {
    let mut i = 0;
    // SAFETY: every access is below n, which the caller vouches for.
    unsafe {
        while i + 4 * S::N <= n {
            // All loads of a chunk come before its stores: `d` may be an operand.
            let v = [
                at::<S, F, ARITY, M>(x, i, one),
                at::<S, F, ARITY, M>(x, i + S::N, one),
                at::<S, F, ARITY, M>(x, i + 2 * S::N, one),
                at::<S, F, ARITY, M>(x, i + 3 * S::N, one),
            ];
            for (k, v) in v.into_iter().enumerate() {
                v.store(d.add(i + k * S::N));
            }
            i += 4 * S::N;
        }
        while i + S::N <= n {
            at::<S, F, ARITY, M>(x, i, one).store(d.add(i));
            i += S::N;
        }
    }
    i
}

/// `d[i] = F(a[i], b[i], c[i])` for `i < n`, scalars read at 0.
#[inline(always)]
unsafe fn many<S: Vector, F: Formula, const ARITY: u8, const M: u8>(
    d: *mut S::Elem,
    a: *const S::Elem,
    b: *const S::Elem,
    c: *const S::Elem,
    n: usize,
) {
    // SAFETY: every access is below n, which the caller vouches for; the processor has S.
    unsafe {
        let (x, y, z) = (first::<_, M, 1>(a), first::<_, M, 2>(b), first::<_, M, 4>(c));
        let one = (S::splat(x), S::splat(y), S::splat(z));
        let mut i = vectors::<S, F, ARITY, M>(d, (a, b, c), n, one);
        if S::Half::N > 1 && i + S::Half::N <= n {
            let one = (S::Half::splat(x), S::Half::splat(y), S::Half::splat(z));
            at::<S::Half, F, ARITY, M>((a, b, c), i, one).store(d.add(i));
            i += S::Half::N;
        }
        let one = (S::One::splat(x), S::One::splat(y), S::One::splat(z));
        while i < n {
            at::<S::One, F, ARITY, M>((a, b, c), i, one).store(d.add(i));
            i += 1;
        }
    }
}

/// The scalar operand `K`; 0 where it is none.
#[inline(always)]
unsafe fn first<T: Number, const M: u8, const K: u8>(p: *const T) -> T {
    if M & K != 0 {
        // SAFETY: a scalar operand has one element.
        unsafe { *p }
    } else {
        T::default()
    }
}

/// Rows of lanes, as [`rows`] packs them.
#[inline(always)]
unsafe fn by_rows<S: Vector, F: Formula, const ARITY: u8, const M: u8>(
    mut d: *mut S::Elem,
    mut a: *const S::Elem,
    mut b: *const S::Elem,
    mut c: *const S::Elem,
    n: usize,
) {
    let (count, lanes, moving) = unpack(n);
    let step = |bit: u8| match (moving & bit as usize != 0, M & bit != 0) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => lanes,
    };
    let steps = (step(1), step(2), step(4));
    for _ in 0..count {
        // SAFETY: the caller vouches for a row at each operand, for each row; the processor has S.
        unsafe {
            let one = (S::splat(first::<_, M, 1>(a)), S::splat(first::<_, M, 2>(b)), S::splat(first::<_, M, 4>(c)));
            vectors::<S, F, ARITY, M>(d, (a, b, c), lanes, one);
            (a, b, c) = (a.add(steps.0), b.add(steps.1), c.add(steps.2));
            d = d.add(lanes);
        }
    }
}

/// The instances of a formula for one instruction set.
macro_rules! instances {
    ($module:ident, $(#[$feature:meta],)? $fused:literal) => {
        mod $module {
            use super::*;

            instances!(many, $(#[$feature])?);

            $(#[$feature])?
            pub(super) unsafe fn one<T: Number, F: Formula>(
                d: *mut f64,
                a: *const f64,
                b: *const f64,
                c: *const f64,
                _: usize,
            ) {
                // SAFETY: the caller vouches for one number at each operand.
                unsafe {
                    let at = |p: *const f64| Array::<T, 1, $fused>::load(p.cast());
                    F::eval(at(a), at(b), at(c)).store(d.cast())
                }
            }

            $(#[$feature])?
            pub(super) unsafe fn rows<S: Vector, F: Formula, const ARITY: u8, const M: u8>(
                d: *mut f64,
                a: *const f64,
                b: *const f64,
                c: *const f64,
                n: usize,
            ) {
                // SAFETY: the caller's contract is the same.
                unsafe { by_rows::<S, F, ARITY, M>(d.cast(), a.cast(), b.cast(), c.cast(), n) }
            }
        }
    };
    (many, $(#[$feature:meta])?) => {
        $(#[$feature])?
        pub(super) unsafe fn many<S: Vector, F: Formula, const ARITY: u8, const M: u8>(
            d: *mut f64,
            a: *const f64,
            b: *const f64,
            c: *const f64,
            n: usize,
        ) {
            // SAFETY: the caller's contract is the same.
            unsafe { super::many::<S, F, ARITY, M>(d.cast(), a.cast(), b.cast(), c.cast(), n) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::*;

    instances!(many, #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]);
}
#[cfg(target_arch = "x86_64")]
instances!(avx, #[target_feature(enable = "avx2,fma")], true);
instances!(plain, false);

fn sized<F: Formula, const ARITY: u8, const M: u8>(target: Target, n: Extent) -> Kernel {
    match (target.level(), target.single, n) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, false, Extent::Many) => avx512::many::<Avx512, F, ARITY, M>,
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, true, Extent::Many) => avx512::many::<Avx512Single, F, ARITY, M>,
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2Fma | Isa::Avx512, false, _) => match n {
            Extent::One => avx::one::<f64, F>,
            Extent::Many => avx::many::<Avx, F, ARITY, M>,
            Extent::Rows => avx::rows::<Avx, F, ARITY, M>,
        },
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2Fma | Isa::Avx512, true, _) => match n {
            Extent::One => avx::one::<f32, F>,
            Extent::Many => avx::many::<AvxSingle, F, ARITY, M>,
            Extent::Rows => avx::rows::<AvxSingle, F, ARITY, M>,
        },
        (_, false, Extent::One) => plain::one::<f64, F>,
        (_, false, Extent::Many) => plain::many::<Plain, F, ARITY, M>,
        (_, false, Extent::Rows) => plain::rows::<Plain, F, ARITY, M>,
        (_, true, Extent::One) => plain::one::<f32, F>,
        (_, true, Extent::Many) => plain::many::<PlainSingle, F, ARITY, M>,
        (_, true, Extent::Rows) => plain::rows::<PlainSingle, F, ARITY, M>,
    }
}

fn one<F: Formula>(target: Target, n: Extent) -> Kernel {
    sized::<F, 1, 0>(target, n)
}

fn two<F: Formula>(target: Target, n: Extent, scalars: Scalars) -> Kernel {
    match scalars & 3 {
        1 => sized::<F, 3, 1>(target, n),
        2 => sized::<F, 3, 2>(target, n),
        _ => sized::<F, 3, 0>(target, n),
    }
}

fn three<F: Formula>(target: Target, n: Extent, scalars: Scalars) -> Kernel {
    match scalars & 7 {
        1 => sized::<F, 7, 1>(target, n),
        2 => sized::<F, 7, 2>(target, n),
        3 => sized::<F, 7, 3>(target, n),
        4 => sized::<F, 7, 4>(target, n),
        5 => sized::<F, 7, 5>(target, n),
        6 => sized::<F, 7, 6>(target, n),
        _ => sized::<F, 7, 0>(target, n),
    }
}

/// `d[i] = a[i]`; `a` may be a scalar.
pub(in super::super) fn copy(target: Target, n: Extent, scalars: Scalars) -> Kernel {
    match scalars & 1 {
        1 => sized::<Copy, 1, 1>(target, n),
        _ => sized::<Copy, 1, 0>(target, n),
    }
}

/// The kernel of a function of one number where it is arithmetic.
pub(in super::super) fn unary(op: Unary, target: Target, n: Extent) -> Option<Kernel> {
    Some(match op {
        Unary::Neg => one::<Neg>(target, n),
        Unary::Abs => one::<Abs>(target, n),
        Unary::Sign => one::<Sign>(target, n),
        Unary::Sqrt => one::<Sqrt>(target, n),
        Unary::Square => one::<Square>(target, n),
        Unary::Recip => one::<Recip>(target, n),
        Unary::Floor => one::<Floor>(target, n),
        Unary::Ceil => one::<Ceil>(target, n),
        Unary::Not => one::<Not>(target, n),
        _ => return None,
    })
}

/// The kernel of a function of two numbers where it is arithmetic.
pub(in super::super) fn binary(op: Binary, target: Target, n: Extent, s: Scalars) -> Option<Kernel> {
    Some(match op {
        Binary::Add => two::<Add>(target, n, s),
        Binary::Sub => two::<Sub>(target, n, s),
        Binary::Mul => two::<Mul>(target, n, s),
        Binary::MulZero => two::<MulZero>(target, n, s),
        Binary::Div => two::<Div>(target, n, s),
        Binary::Min => two::<Min>(target, n, s),
        Binary::Max => two::<Max>(target, n, s),
        Binary::Lt => two::<Lt>(target, n, s),
        Binary::Le => two::<Le>(target, n, s),
        Binary::Eq => two::<Eq>(target, n, s),
        Binary::Ne => two::<Ne>(target, n, s),
        Binary::And => two::<And>(target, n, s),
        Binary::Or => two::<Or>(target, n, s),
        _ => return None,
    })
}

/// The kernel of a selection.
pub(in super::super) fn ternary(op: Ternary, target: Target, n: Extent, s: Scalars) -> Option<Kernel> {
    match op {
        Ternary::Select => Some(three::<Select>(target, n, s)),
        _ => None,
    }
}

/// The kernel of two joined operations.
pub(in super::super) fn joined(op: Joined, target: Target, n: Extent, s: Scalars) -> Kernel {
    match op {
        Joined::MulAdd => three::<MulAdd>(target, n, s),
        Joined::MulSub => three::<MulSub>(target, n, s),
        Joined::NegMulAdd => three::<NegMulAdd>(target, n, s),
        Joined::SquareAdd => outer::<SquareAdd>(target, n, s),
        Joined::AddAdd => three::<AddAdd>(target, n, s),
        Joined::AddSub => three::<AddSub>(target, n, s),
        Joined::SubAdd => three::<SubAdd>(target, n, s),
        Joined::SubSub => three::<SubSub>(target, n, s),
        Joined::LessAdd => three::<LessAdd>(target, n, s),
        Joined::LessSub => three::<LessSub>(target, n, s),
        Joined::AddMul => three::<AddMul>(target, n, s),
        Joined::SubMul => three::<SubMul>(target, n, s),
        Joined::MulMul => three::<MulMul>(target, n, s),
        Joined::SquareMul => outer::<SquareMul>(target, n, s),
        Joined::SubSquare => two::<SubSquare>(target, n, s),
        Joined::MulSquare => two::<MulSquare>(target, n, s),
        Joined::LessDistance => two::<LessDistance>(target, n, s),
        Joined::MaxAdd => three::<MaxAdd>(target, n, s),
        Joined::LargerOf => three::<LargerOf>(target, n, s),
    }
}

/// Formulas of the first and the third operand.
fn outer<F: Formula>(target: Target, n: Extent, s: Scalars) -> Kernel {
    match s & 5 {
        4 => sized::<F, 5, 4>(target, n),
        1 => sized::<F, 5, 1>(target, n),
        _ => sized::<F, 5, 0>(target, n),
    }
}
