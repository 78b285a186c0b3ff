//! Reductions: sums, products of sums, largest elements, log-sum-exp, running sums.

use super::arith::unpack;
use super::logsum::log_sum_exp;
use super::simd::{Accumulator, Summing, Vector};
use super::{Kernel, Number, Target, param};
use crate::graph::op::Fold;

/// `acc + a[i]`, or `acc + a[i] * b[i]`
#[inline(always)]
unsafe fn term<S: Summing, const DOT: bool>(a: *const S::Elem, b: *const S::Elem, i: usize, acc: S::Acc) -> S::Acc {
    // SAFETY: the caller vouches for a vector at i.
    unsafe {
        let x = S::load(a.add(i));
        if DOT { acc.plus_product(x, S::load(b.add(i))) } else { acc.plus(x) }
    }
}

/// `sum_i f(a[i], b[i])` over n numbers: four vectors of accumulators in double precision, then a fixed tree.
#[inline(always)]
pub(super) unsafe fn total<S: Summing, const DOT: bool>(a: *const S::Elem, b: *const S::Elem, n: usize) -> f64 {
    // SAFETY: every access is below n, which the caller vouches for; the processor has S.
    unsafe {
        let mut acc = [S::Acc::zero(); 4];
        let mut i = 0;
        while i + 4 * S::N <= n {
            for k in 0..4 {
                acc[k] = term::<S, DOT>(a, b, i + k * S::N, acc[k]);
            }
            i += 4 * S::N;
        }
        while i + S::N <= n {
            acc[0] = term::<S, DOT>(a, b, i, acc[0]);
            i += S::N;
        }
        let mut rest = <S::One as Summing>::Acc::zero();
        while i < n {
            rest = term::<S::One, DOT>(a, b, i, rest);
            i += 1;
        }
        acc[0].join(acc[2]).join(acc[1].join(acc[3])).total() + rest.total()
    }
}

kernel! {
    /// `d[0] = sum a`
    sum<S>(d, a, _b, _c, n) {
        // SAFETY: the caller vouches for n numbers at `a` and one at `d`.
        unsafe { *d = S::Elem::from_f64(total::<S, false>(a, a, n)) }
    }
}

kernel! {
    /// `d[0] = sum a * b`
    dot<S>(d, a, b, _c, n) {
        // SAFETY: the caller vouches for n numbers at `a` and `b` and one at `d`.
        unsafe { *d = S::Elem::from_f64(total::<S, true>(a, b, n)) }
    }
}

/// Sum of n rows, `inner` apart, of a vector.
#[inline(always)]
unsafe fn column<S: Summing>(d: *mut S::Elem, a: *const S::Elem, n: usize, inner: usize) {
    // SAFETY: the caller vouches for a vector in each row.
    unsafe {
        let mut s = S::Acc::zero();
        for k in 0..n {
            s = s.plus(S::load(a.add(k * inner)));
        }
        s.rounded().store(d);
    }
}

kernel! {
    /// Sums of `[outer, n, inner]` over the middle axis; the counts are the parameters at `c`.
    sum_middle<S>(d, a, _b, c, _n) {
        // SAFETY: the counts describe what is valid at `a` and `d`.
        unsafe {
            let (outer, n, inner) = (param(c, 0), param(c, 1), param(c, 2));
            for o in 0..outer {
                let (d, a) = (d.add(o * inner), a.add(o * n * inner));
                if inner == 1 {
                    *d = S::Elem::from_f64(total::<S, false>(a, a, n));
                    continue;
                }
                let mut i = 0;
                while i + S::N <= inner {
                    column::<S>(d.add(i), a.add(i), n, inner);
                    i += S::N;
                }
                while i < inner {
                    column::<S::One>(d.add(i), a.add(i), n, inner);
                    i += 1;
                }
            }
        }
    }
}

/// Doubles of an accumulator without lanes.
const SLOTS: usize = 32;

/// Numbers of an accumulator without lanes.
pub(in super::super) fn accumulator(target: Target) -> usize {
    SLOTS * target.per_double()
}

/// Adds n terms to the accumulator at `d`: term i to its double i modulo 32.
#[inline(always)]
unsafe fn accumulate<S: Summing, const DOT: bool>(d: *mut f64, a: *const S::Elem, b: *const S::Elem, n: usize) {
    // Vectors of the accumulator: eight or four.
    let many = SLOTS / S::N;
    // SAFETY: the caller vouches for n numbers at the operands; the processor has S.
    unsafe {
        let mut acc = [S::Acc::zero(); 8];
        for k in 0..many {
            acc[k] = S::Acc::load(d.add(k * S::N));
        }
        let mut i = 0;
        while i + SLOTS <= n {
            for k in 0..many {
                acc[k] = term::<S, DOT>(a, b, i + k * S::N, acc[k]);
            }
            i += SLOTS;
        }
        for k in 0..many {
            acc[k].store(d.add(k * S::N));
        }
        while i + S::N <= n {
            let to = d.add(i % SLOTS);
            term::<S, DOT>(a, b, i, S::Acc::load(to)).store(to);
            i += S::N;
        }
        while i < n {
            let to = d.add(i % SLOTS);
            term::<S::One, DOT>(a, b, i, <S::One as Summing>::Acc::load(to)).store(to);
            i += 1;
        }
    }
}

kernel! {
    /// `d[0]` = the sum of the accumulator at `a`.
    finish<S>(d, a, _b, _c, _n) {
        let a: *const f64 = a.cast();
        // SAFETY: the caller vouches for an accumulator at `a` and a number at `d`.
        unsafe {
            // The tree of `total`.
            let two = |k: usize| *a.add(k) + *a.add(k + 16);
            let eight = |k: usize| (two(k) + two(k + 8)) + (two(k + 4) + two(k + 12));
            *d = S::Elem::from_f64((eight(0) + eight(2)) + (eight(1) + eight(3)) + 0.0);
        }
    }
}

/// `acc + a[i]`, or `acc + a[i] * b[i]`, in the precision of the vector.
#[inline(always)]
unsafe fn lane<S: Vector, const DOT: bool>(a: *const S::Elem, b: *const S::Elem, i: usize, acc: S) -> S {
    // SAFETY: the caller vouches for a vector at i.
    unsafe { if DOT { S::load(a.add(i)).mul_add(S::load(b.add(i)), acc) } else { acc.add(S::load(a.add(i))) } }
}

/// Adds rows of lanes to the row at `d`, four vectors of lanes at a time.
#[inline(always)]
unsafe fn accumulate_rows<S: Vector, const DOT: bool>(d: *mut S::Elem, a: *const S::Elem, b: *const S::Elem, n: usize) {
    let (count, lanes, _) = unpack(n);
    let mut l = 0;
    // SAFETY: the caller vouches for the rows; the processor has S.
    unsafe {
        while l + 4 * S::N <= lanes {
            let mut acc: [S; 4] = std::array::from_fn(|k| S::load(d.add(l + k * S::N)));
            for r in 0..count {
                for k in 0..4 {
                    acc[k] = lane::<S, DOT>(a, b, r * lanes + l + k * S::N, acc[k]);
                }
            }
            for (k, x) in acc.into_iter().enumerate() {
                x.store(d.add(l + k * S::N));
            }
            l += 4 * S::N;
        }
        while l < lanes {
            let mut acc = S::load(d.add(l));
            for r in 0..count {
                acc = lane::<S, DOT>(a, b, r * lanes + l, acc);
            }
            acc.store(d.add(l));
            l += S::N;
        }
    }
}

kernel! {
    /// Adds `a[i]` for `i < n` to the accumulator at `d`.
    add_terms<S>(d, a, b, _c, n) {
        // SAFETY: the caller's contract is the same.
        unsafe { accumulate::<S, false>(d.cast(), a, b, n) }
    }
}

kernel! {
    /// Adds `a[i] * b[i]` for `i < n` to the accumulator at `d`.
    add_products<S>(d, a, b, _c, n) {
        // SAFETY: the caller's contract is the same.
        unsafe { accumulate::<S, true>(d.cast(), a, b, n) }
    }
}

kernel! {
    /// Adds the rows at `a` to the row at `d`; rows as `arith::rows` packs them.
    add_rows<S>(d, a, b, _c, n) {
        // SAFETY: the caller's contract is the same.
        unsafe { accumulate_rows::<S, false>(d, a, b, n) }
    }
}

kernel! {
    /// Adds the products of the rows at `a` and `b` to the row at `d`.
    add_row_products<S>(d, a, b, _c, n) {
        // SAFETY: the caller's contract is the same.
        unsafe { accumulate_rows::<S, true>(d, a, b, n) }
    }
}

/// The larger of `m` and `x`; NaN once there is one.
#[inline(always)]
pub(super) unsafe fn sticky<S: Vector>(m: S, x: S) -> S {
    // SAFETY: the caller's processor has S.
    unsafe { m.lt(x).max(x.ne(x)).choose(x, m) }
}

/// Largest over the middle axis for `width` neighbours on the inner one.
#[inline(always)]
unsafe fn largest<S: Vector>(a: *const S::Elem, n: usize, inner: usize) -> S {
    // SAFETY: the caller vouches for n rows of `inner` doubles.
    unsafe {
        let mut m = S::all(f64::NEG_INFINITY);
        for k in 0..n {
            m = sticky(m, S::load(a.add(k * inner)));
        }
        m
    }
}

kernel! {
    /// Largest elements of `[outer, n, inner]` over the middle axis; the counts are at `c`.
    max_middle<S>(d, a, _b, c, _n) {
        // SAFETY: the counts describe what is valid at `a` and `d`.
        unsafe {
            let (outer, n, inner) = (param(c, 0), param(c, 1), param(c, 2));
            for o in 0..outer {
                let (d, a) = (d.add(o * inner), a.add(o * n * inner));
                let mut i = 0;
                while i + S::N <= inner {
                    largest::<S>(a.add(i), n, inner).store(d.add(i));
                    i += S::N;
                }
                while i < inner {
                    largest::<S::One>(a.add(i), n, inner).store(d.add(i));
                    i += 1;
                }
            }
        }
    }
}

kernel! {
    /// Running sums of `[rows, len, inner]` along the middle axis; parameters rows, len, inner,
    /// and 1 where they run from the end.
    running_sum<S>(d, a, _b, c, _n) {
        // SAFETY: the counts describe what is valid at `a` and `d`.
        unsafe {
            let (rows, len, inner) = (param(c, 0), param(c, 1), param(c, 2));
            let reverse = param(c, 3) != 0;
            for r in 0..rows {
                let (d, a) = (d.add(r * len * inner), a.add(r * len * inner));
                let mut i = 0;
                while i < inner {
                    let wide = i + S::N <= inner;
                    let (mut s, mut s1) = (S::Acc::zero(), <S::One as Summing>::Acc::zero());
                    for step in 0..len {
                        let k = if reverse { len - 1 - step } else { step };
                        let at = k * inner + i;
                        if wide {
                            s = s.plus(S::load(a.add(at)));
                            s.rounded().store(d.add(at));
                        } else {
                            s1 = s1.plus(S::One::load(a.add(at)));
                            s1.rounded().store(d.add(at));
                        }
                    }
                    i += if wide { S::N } else { 1 };
                }
            }
        }
    }
}

/// The kernel of a reduction over the middle axis.
pub(in super::super) fn fold_kernel(fold: Fold, target: Target) -> Kernel {
    match fold {
        Fold::Sum => sum_middle(target),
        Fold::Max => max_middle(target),
        Fold::LogSumExp => log_sum_exp(target),
    }
}
