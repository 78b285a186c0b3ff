//! What arithmetic kernels compute: formulas of up to three vectors.

use super::simd::Vector;

/// A formula of vectors.
pub(super) trait Formula {
    /// # Safety
    /// The processor has the instruction set of `S`.
    unsafe fn eval<S: Vector>(a: S, b: S, c: S) -> S;
}

macro_rules! formulas {
    ($($name:ident = |$a:ident, $b:ident, $c:ident| $body:expr;)*) => {
        $(
            pub(super) struct $name;
            impl Formula for $name {
                #[inline(always)]
                #[allow(unused_variables, unused_unsafe)]
                unsafe fn eval<S: Vector>($a: S, $b: S, $c: S) -> S {
                    // SAFETY: the caller's contract is the same.
                    unsafe { $body }
                }
            }
        )*
    };
}

formulas! {
    Copy = |a, b, c| a;
    Neg = |a, b, c| a.neg();
    Abs = |a, b, c| a.abs();
    Sqrt = |a, b, c| a.sqrt();
    Square = |a, b, c| a.mul(a);
    Recip = |a, b, c| S::all(1.0).div(a);
    Floor = |a, b, c| a.floor();
    Ceil = |a, b, c| a.ceil();
    Not = |a, b, c| S::all(1.0).sub(a);
    Sign = |a, b, c| {
        let zero = S::all(0.0);
        let s = zero.lt(a).sub(a.lt(zero));
        a.ne(a).choose(a, s)
    };
    Add = |a, b, c| a.add(b);
    Sub = |a, b, c| a.sub(b);
    Mul = |a, b, c| a.mul(b);
    MulZero = |a, b, c| a.choose(a.mul(b), S::all(0.0));
    Div = |a, b, c| a.div(b);
    Min = |a, b, c| a.min(b);
    Max = |a, b, c| a.max(b);
    Lt = |a, b, c| a.lt(b);
    Le = |a, b, c| a.le(b);
    Eq = |a, b, c| a.eq(b);
    Ne = |a, b, c| a.ne(b);
    And = |a, b, c| {
        let zero = S::all(0.0);
        a.ne(zero).mul(b.ne(zero))
    };
    Or = |a, b, c| {
        let zero = S::all(0.0);
        a.ne(zero).max(b.ne(zero))
    };
    MulAdd = |a, b, c| a.mul_add(b, c);
    MulSub = |a, b, c| a.mul_sub(b, c);
    NegMulAdd = |a, b, c| a.neg_mul_add(b, c);
    SquareAdd = |a, b, c| a.mul_add(a, c);
    AddAdd = |a, b, c| a.add(b).add(c);
    AddSub = |a, b, c| a.add(b).sub(c);
    SubAdd = |a, b, c| a.sub(b).add(c);
    SubSub = |a, b, c| a.sub(b).sub(c);
    LessAdd = |a, b, c| c.sub(a.add(b));
    LessSub = |a, b, c| c.sub(a.sub(b));
    AddMul = |a, b, c| a.add(b).mul(c);
    SubMul = |a, b, c| a.sub(b).mul(c);
    MulMul = |a, b, c| a.mul(b).mul(c);
    SquareMul = |a, b, c| a.mul(a).mul(c);
    SubSquare = |a, b, c| { let d = a.sub(b); d.mul(d) };
    MulSquare = |a, b, c| { let d = a.mul(b); d.mul(d) };
    LessDistance = |a, b, c| a.eq(b).choose(S::all(0.0), a.sub(b).abs().neg());
    MaxAdd = |a, b, c| a.max(b).add(c);
    LargerOf = |a, b, c| b.le(a).sub(c).abs();
    Select = |a, b, c| a.choose(b, c);
}
