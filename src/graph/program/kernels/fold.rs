//! Reductions: sums, products of sums, largest elements, log-sum-exp, running sums.

use super::arith::unpack;
use super::logsum::log_sum_exp;
use super::simd::Vector;
use super::{Kernel, param};
use crate::base::simd::Isa;
use crate::graph::op::Fold;

/// `sum_i f(a[i], b[i])` over n doubles: sixteen accumulators, then a fixed tree.
#[inline(always)]
unsafe fn total<S: Vector, const DOT: bool>(a: *const f64, b: *const f64, n: usize) -> f64 {
    // SAFETY: every access is below n, which the caller vouches for; the processor has S.
    unsafe {
        let zero = S::splat(0.0);
        let mut acc = [zero; 4];
        let add = |acc: S, i: usize| {
            if DOT { S::load(a.add(i)).mul_add(S::load(b.add(i)), acc) } else { acc.add(S::load(a.add(i))) }
        };
        let mut i = 0;
        while i + 4 * S::N <= n {
            for k in 0..4 {
                acc[k] = add(acc[k], i + k * S::N);
            }
            i += 4 * S::N;
        }
        while i + S::N <= n {
            acc[0] = add(acc[0], i);
            i += S::N;
        }
        let mut rest = S::One::splat(0.0);
        while i < n {
            let x = S::One::load(a.add(i));
            rest = if DOT { x.mul_add(S::One::load(b.add(i)), rest) } else { rest.add(x) };
            i += 1;
        }
        acc[0].add(acc[2]).add(acc[1].add(acc[3])).total() + rest.total()
    }
}

kernel! {
    /// `d[0] = sum a`
    sum<S>(d, a, _b, _c, n) {
        // SAFETY: the caller vouches for n doubles at `a` and one at `d`.
        unsafe { *d = total::<S, false>(a, a, n) }
    }
}

kernel! {
    /// `d[0] = sum a * b`
    dot<S>(d, a, b, _c, n) {
        // SAFETY: the caller vouches for n doubles at `a` and `b` and one at `d`.
        unsafe { *d = total::<S, true>(a, b, n) }
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
                    *d = total::<S, false>(a, a, n);
                    continue;
                }
                let mut i = 0;
                while i + S::N <= inner {
                    let mut s = S::splat(0.0);
                    for k in 0..n {
                        s = s.add(S::load(a.add(k * inner + i)));
                    }
                    s.store(d.add(i));
                    i += S::N;
                }
                while i < inner {
                    *d.add(i) = (0..n).map(|k| *a.add(k * inner + i)).sum();
                    i += 1;
                }
            }
        }
    }
}

/// Doubles of an accumulator without lanes.
pub(in super::super) const ACCUMULATOR: usize = 32;

/// Adds n terms to the accumulator at `d`: term i to its double i modulo 32.
#[inline(always)]
unsafe fn accumulate<S: Vector, const DOT: bool>(d: *mut f64, a: *const f64, b: *const f64, n: usize) {
    // SAFETY: the caller vouches for n doubles at the operands; the processor has S.
    unsafe {
        let mut acc: [S; 8] = std::array::from_fn(|k| S::load(d.add(k * S::N)));
        let mut i = 0;
        while i + ACCUMULATOR <= n {
            for k in 0..8 {
                acc[k] = term::<S, DOT>(a, b, i + k * S::N, acc[k]);
            }
            i += ACCUMULATOR;
        }
        for (k, x) in acc.into_iter().enumerate() {
            x.store(d.add(k * S::N));
        }
        while i + S::N <= n {
            let to = d.add(i % ACCUMULATOR);
            term::<S, DOT>(a, b, i, S::load(to)).store(to);
            i += S::N;
        }
        while i < n {
            let to = d.add(i % ACCUMULATOR);
            term::<S::One, DOT>(a, b, i, S::One::load(to)).store(to);
            i += 1;
        }
    }
}

/// `acc + a[i]`, or `acc + a[i] * b[i]`
#[inline(always)]
unsafe fn term<S: Vector, const DOT: bool>(a: *const f64, b: *const f64, i: usize, acc: S) -> S {
    // SAFETY: the caller vouches for a vector at i.
    unsafe { if DOT { S::load(a.add(i)).mul_add(S::load(b.add(i)), acc) } else { acc.add(S::load(a.add(i))) } }
}

/// Adds rows of lanes to the row at `d`, four vectors of lanes at a time.
#[inline(always)]
unsafe fn accumulate_rows<S: Vector, const DOT: bool>(d: *mut f64, a: *const f64, b: *const f64, n: usize) {
    let (count, lanes, _) = unpack(n);
    let mut l = 0;
    // SAFETY: the caller vouches for the rows; the processor has S.
    unsafe {
        while l + 4 * S::N <= lanes {
            let mut acc: [S; 4] = std::array::from_fn(|k| S::load(d.add(l + k * S::N)));
            for r in 0..count {
                for k in 0..4 {
                    acc[k] = term::<S, DOT>(a, b, r * lanes + l + k * S::N, acc[k]);
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
                acc = term::<S, DOT>(a, b, r * lanes + l, acc);
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
        unsafe { accumulate::<S, false>(d, a, b, n) }
    }
}

kernel! {
    /// Adds `a[i] * b[i]` for `i < n` to the accumulator at `d`.
    add_products<S>(d, a, b, _c, n) {
        // SAFETY: the caller's contract is the same.
        unsafe { accumulate::<S, true>(d, a, b, n) }
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
unsafe fn largest<S: Vector>(a: *const f64, n: usize, inner: usize) -> S {
    // SAFETY: the caller vouches for n rows of `inner` doubles.
    unsafe {
        let mut m = S::splat(f64::NEG_INFINITY);
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
                    let (mut s, mut s1) = (S::splat(0.0), 0.0);
                    for step in 0..len {
                        let k = if reverse { len - 1 - step } else { step };
                        let at = k * inner + i;
                        if wide {
                            s = s.add(S::load(a.add(at)));
                            s.store(d.add(at));
                        } else {
                            s1 += *a.add(at);
                            *d.add(at) = s1;
                        }
                    }
                    i += if wide { S::N } else { 1 };
                }
            }
        }
    }
}

/// The kernel of a reduction over the middle axis.
pub(in super::super) fn fold_kernel(fold: Fold, isa: Isa) -> Kernel {
    match fold {
        Fold::Sum => sum_middle(isa),
        Fold::Max => max_middle(isa),
        Fold::LogSumExp => log_sum_exp(isa),
    }
}
