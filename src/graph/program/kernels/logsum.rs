//! log-sum-exp over an axis: m + log sum exp(x - m) with m the largest, m itself where it is infinite.

use super::arith::Extent;
use super::fold::sticky;
use super::simd::Vector;
use super::{Kernel, function, param};
use crate::base::simd::Isa;
use crate::graph::op::Unary;

/// Columns treated at a time.
const COLUMNS: usize = 64;

/// Where columns are: element k of column j at `at + k * down + j * across`.
#[derive(Clone, Copy)]
struct Columns {
    at: *const f64,
    down: usize,
    across: usize,
    /// Elements of a column.
    n: usize,
    /// Columns, at most [`COLUMNS`].
    width: usize,
}

impl Columns {
    /// Row `k` of the columns, in `to` where its elements are not neighbours.
    ///
    /// # Safety
    /// `k < n`, and the columns are valid.
    #[inline(always)]
    unsafe fn row(&self, k: usize, to: &mut [f64; COLUMNS]) -> *const f64 {
        // SAFETY: the caller's contract.
        unsafe {
            let row = self.at.add(k * self.down);
            if self.across == 1 {
                return row;
            }
            for (j, x) in to[..self.width].iter_mut().enumerate() {
                *x = *row.add(j * self.across);
            }
        }
        to.as_ptr()
    }
}

/// Applies `f` to vectors of two rows of `w` doubles, the remainder one by one.
#[inline(always)]
unsafe fn zip<S: Vector>(
    d: *mut f64,
    (a, b): (*const f64, *const f64),
    w: usize,
    f: impl Fn(S, S) -> S,
    g: impl Fn(S::One, S::One) -> S::One,
) {
    let mut j = 0;
    // SAFETY: the caller vouches for w doubles at all three.
    unsafe {
        while j + S::N <= w {
            f(S::load(a.add(j)), S::load(b.add(j))).store(d.add(j));
            j += S::N;
        }
        while j < w {
            g(S::One::load(a.add(j)), S::One::load(b.add(j))).store(d.add(j));
            j += 1;
        }
    }
}

/// The result of each column to `d`.
#[inline(always)]
unsafe fn columns<S: Vector>(d: *mut f64, x: Columns, exp: Kernel, log: Kernel) {
    let (mut m, mut t, mut s) = ([f64::NEG_INFINITY; COLUMNS], [0.0; COLUMNS], [0.0; COLUMNS]);
    let mut row = [0.0; COLUMNS];
    let w = x.width;
    // SAFETY: the arrays have w doubles, and so has every row.
    unsafe {
        for k in 0..x.n {
            let r = x.row(k, &mut row);
            let m = m.as_mut_ptr();
            zip::<S>(m, (m, r), w, |m, x| sticky(m, x), |m, x| sticky(m, x));
        }
        for k in 0..x.n {
            let r = x.row(k, &mut row);
            let (t, s) = (t.as_mut_ptr(), s.as_mut_ptr());
            zip::<S>(t, (r, m.as_ptr()), w, |x, m| x.sub(m), |x, m| x.sub(m));
            exp(t, t, t, t, w);
            zip::<S>(s, (s, t), w, |s, t| s.add(t), |s, t| s.add(t));
        }
        log(t.as_mut_ptr(), s.as_ptr(), s.as_ptr(), s.as_ptr(), w);
        for j in 0..w {
            *d.add(j) = if m[j].is_infinite() { m[j] } else { m[j] + t[j] };
        }
    }
}

/// One long row of neighbours: as many columns as the arrays hold, then those as one more row.
#[inline(always)]
unsafe fn long_row<S: Vector>(d: *mut f64, a: *const f64, n: usize, exp: Kernel, log: Kernel) {
    let rows = n / COLUMNS;
    let mut parts = [0.0; 2 * COLUMNS];
    let all = Columns { at: a, down: COLUMNS, across: 1, n: rows, width: COLUMNS };
    let rest = n % COLUMNS;
    // SAFETY: the caller vouches for n doubles; parts has room for a row and the rest.
    unsafe {
        columns::<S>(parts.as_mut_ptr(), all, exp, log);
        std::ptr::copy_nonoverlapping(a.add(n - rest), parts.as_mut_ptr().add(COLUMNS), rest);
        let last = Columns { at: parts.as_ptr(), down: 1, across: 0, n: COLUMNS + rest, width: 1 };
        columns::<S>(d, last, exp, log);
    }
}

#[inline(always)]
unsafe fn body<S: Vector>(d: *mut f64, a: *const f64, c: *const f64, exp: Kernel, log: Kernel) {
    // SAFETY: the counts at `c` describe what is valid at `a` and `d`.
    unsafe {
        let (outer, n, inner) = (param(c, 0), param(c, 1), param(c, 2));
        if inner == 1 && n >= 4 * COLUMNS {
            for o in 0..outer {
                long_row::<S>(d.add(o), a.add(o * n), n, exp, log);
            }
            return;
        }
        // Where the inner axis is short, the outer one gives the columns.
        let (blocks, length, across) = if inner == 1 { (1, outer, n) } else { (outer, inner, 1) };
        for o in 0..blocks {
            for first in (0..length).step_by(COLUMNS) {
                let x = Columns {
                    at: a.add(o * n * inner + first * across),
                    down: inner,
                    across,
                    n,
                    width: COLUMNS.min(length - first),
                };
                columns::<S>(d.add(o * inner + first), x, exp, log);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, _: usize) {
    let of = |u| function::unary(u, Isa::Avx2Fma, Extent::Many);
    // SAFETY: the caller's contract is the same.
    unsafe { body::<super::simd::Avx>(d, a, c, of(Unary::Exp), of(Unary::Log)) }
}

unsafe fn plain(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, _: usize) {
    let of = |u| function::unary(u, Isa::Baseline, Extent::Many);
    // SAFETY: the caller's contract is the same.
    unsafe { body::<super::simd::Plain>(d, a, c, of(Unary::Exp), of(Unary::Log)) }
}

/// log-sum-exp of `[outer, n, inner]` over the middle axis; the counts are the parameters at `c`.
pub(in super::super) fn log_sum_exp(isa: Isa) -> Kernel {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma if isa.is_supported() => avx,
        _ => plain,
    }
}
