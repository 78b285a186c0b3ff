//! log-sum-exp over an axis: m + log sum exp(x - m) with m the largest, m itself where it is infinite.

use std::mem::MaybeUninit;

use super::arith::Extent;
use super::fold::sticky;
use super::simd::Vector;
use super::{Kernel, function, param};
use crate::base::simd::Isa;
use crate::graph::op::Unary;

/// Columns treated at a time.
const COLUMNS: usize = 64;
/// Rows up to which a few columns stay in registers.
#[cfg(target_arch = "x86_64")]
const SHORT: usize = 16;
/// Elements copied together at a time.
const ROOM: usize = 1024;

/// Doubles on the stack, not initialised: small calls would spend their time on that.
struct Room<const N: usize>(MaybeUninit<[f64; N]>);

impl<const N: usize> Room<N> {
    #[inline(always)]
    fn new() -> Self {
        Room(MaybeUninit::uninit())
    }

    #[inline(always)]
    fn at(&mut self) -> *mut f64 {
        self.0.as_mut_ptr().cast()
    }
}

/// Kernels of exp and log.
#[derive(Clone, Copy)]
struct Functions {
    exp: Kernel,
    log: Kernel,
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

/// `n` rows, `stride` apart, of `w <= COLUMNS` neighbours each: the result of each column to `d`. Where
/// `whole`, the rows are neighbours in room of the caller's and are written over.
#[inline(always)]
unsafe fn columns<S: Vector>(
    d: *mut f64,
    a: *const f64,
    (n, stride, w): (usize, usize, usize),
    whole: bool,
    f: Functions,
) {
    let (mut m, mut s, mut t) = (Room::<COLUMNS>::new(), Room::<COLUMNS>::new(), Room::<COLUMNS>::new());
    let (m, s, t) = (m.at(), s.at(), t.at());
    // SAFETY: the arrays have room for w doubles, and so has every row; all is written before it is read.
    unsafe {
        for j in 0..w {
            *m.add(j) = f64::NEG_INFINITY;
            *s.add(j) = 0.0;
        }
        for k in 0..n {
            let row = a.add(k * stride);
            zip::<S>(m, (m, row), w, |m, x| sticky(m, x), |m, x| sticky(m, x));
        }
        if whole {
            let all = a.cast_mut();
            for k in 0..n {
                let row = all.add(k * w);
                zip::<S>(row, (row, m), w, |x, m| x.sub(m), |x, m| x.sub(m));
            }
            (f.exp)(all, all, all, all, n * w);
        }
        for k in 0..n {
            let mut row = a.add(k * stride);
            if !whole {
                zip::<S>(t, (row, m), w, |x, m| x.sub(m), |x, m| x.sub(m));
                (f.exp)(t, t, t, t, w);
                row = t;
            }
            zip::<S>(s, (s, row), w, |s, t| s.add(t), |s, t| s.add(t));
        }
        (f.log)(t, s, s, s, w);
        for j in 0..w {
            let m = *m.add(j);
            *d.add(j) = if m.is_infinite() { m } else { m + *t.add(j) };
        }
    }
}

/// One long row: its parts of `COLUMNS` neighbours as rows, then their results and the rest as one column.
#[inline(always)]
unsafe fn long_row<S: Vector>(d: *mut f64, a: *const f64, n: usize, f: Functions) {
    let (rows, rest) = (n / COLUMNS, n % COLUMNS);
    let mut parts = Room::<{ 2 * COLUMNS }>::new();
    let parts = parts.at();
    // SAFETY: the caller vouches for n doubles; `parts` has room for a row and the rest.
    unsafe {
        columns::<S>(parts, a, (rows, COLUMNS, COLUMNS), false, f);
        std::ptr::copy_nonoverlapping(a.add(n - rest), parts.add(COLUMNS), rest);
        columns::<S>(d, parts, (COLUMNS + rest, 1, 1), true, f);
    }
}

/// Columns of short rows: copied side by side, as many as there is room for.
#[inline(always)]
unsafe fn copied<S: Vector>(d: *mut f64, a: *const f64, (outer, n, inner): (usize, usize, usize), f: Functions) {
    let mut room = Room::<ROOM>::new();
    let room = room.at();
    let all = outer * inner;
    let most = (ROOM / n.max(1)).clamp(1, COLUMNS);
    let (mut o, mut i) = (0, 0);
    let mut first = 0;
    while first < all {
        let w = most.min(all - first);
        // SAFETY: the caller vouches for the columns (o, i) up to `all`; n * w doubles fit into the room.
        unsafe {
            for j in 0..w {
                let column = a.add(o * n * inner + i);
                for k in 0..n {
                    *room.add(k * w + j) = *column.add(k * inner);
                }
                i += 1;
                if i == inner {
                    (o, i) = (o + 1, 0);
                }
            }
            columns::<S>(d.add(first), room, (n, w, w), true, f);
        }
        first += w;
    }
}

#[inline(always)]
unsafe fn body<S: Vector>(d: *mut f64, a: *const f64, c: *const f64, f: Functions) {
    // SAFETY: the counts at `c` describe what is valid at `a` and `d`.
    unsafe {
        let (outer, n, inner) = (param(c, 0), param(c, 1), param(c, 2));
        #[cfg(target_arch = "x86_64")]
        if outer <= 2 && inner <= 4 && n <= SHORT && S::FUSED {
            for o in 0..outer {
                let (d, a) = (d.add(o * inner), a.add(o * n * inner));
                super::elementary::log_sum_exp_short(d, a, (n, inner, inner));
            }
            return;
        }
        if inner == 1 && n >= 4 * COLUMNS {
            for o in 0..outer {
                long_row::<S>(d.add(o), a.add(o * n), n, f);
            }
        } else if inner < 16 && n <= ROOM {
            copied::<S>(d, a, (outer, n, inner), f);
        } else {
            for o in 0..outer {
                for i in (0..inner).step_by(COLUMNS) {
                    let w = COLUMNS.min(inner - i);
                    let at = a.add(o * n * inner + i);
                    columns::<S>(d.add(o * inner + i), at, (n, inner, w), false, f);
                }
            }
        }
    }
}

fn functions(isa: Isa) -> Functions {
    Functions {
        exp: function::unary(Unary::Exp, isa, Extent::Many),
        log: function::unary(Unary::Log, isa, Extent::Many),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, _: usize) {
    // SAFETY: the caller's contract is the same.
    unsafe { body::<super::simd::Avx>(d, a, c, functions(Isa::Avx2Fma)) }
}

unsafe fn plain(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, _: usize) {
    // SAFETY: the caller's contract is the same.
    unsafe { body::<super::simd::Plain>(d, a, c, functions(Isa::Baseline)) }
}

/// log-sum-exp of `[outer, n, inner]` over the middle axis; the counts are the parameters at `c`.
pub(in super::super) fn log_sum_exp(isa: Isa) -> Kernel {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma if isa.is_supported() => avx,
        _ => plain,
    }
}
