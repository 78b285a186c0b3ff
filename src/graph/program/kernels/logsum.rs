//! log-sum-exp over an axis: m + log sum exp(x - m) with m the largest, m itself where it is infinite.

use std::mem::MaybeUninit;

use super::arith::Extent;
use super::fold::sticky;
use super::simd::{Accumulator, Summing, Vector};
use super::{Kernel, Number, Target, function, param, simd};
use crate::base::simd::Isa;
use crate::graph::op::Unary;

/// Columns treated at a time.
const COLUMNS: usize = 64;
/// Rows up to which a few columns stay in registers.
#[cfg(target_arch = "x86_64")]
const SHORT: usize = 16;
/// Elements copied together at a time.
const ROOM: usize = 1024;

/// Numbers on the stack, not initialised: small calls would spend their time on that.
pub(super) struct Room<T, const N: usize>(MaybeUninit<[T; N]>);

impl<T, const N: usize> Room<T, N> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Room(MaybeUninit::uninit())
    }

    #[inline(always)]
    pub(super) fn at(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }
}

/// Kernels of exp and log.
#[derive(Clone, Copy)]
struct Functions {
    exp: Kernel,
    log: Kernel,
}

impl Functions {
    /// Exponentials of `n` numbers, in place.
    #[inline(always)]
    unsafe fn exp<T>(self, x: *mut T, n: usize) {
        let x = x.cast();
        // SAFETY: the caller vouches for n numbers of the kind the functions are for.
        unsafe { (self.exp)(x, x, x, x, n) }
    }

    /// Logarithms of `n` numbers, in place.
    #[inline(always)]
    unsafe fn log<T>(self, x: *mut T, n: usize) {
        let x = x.cast();
        // SAFETY: the caller vouches for n numbers of the kind the functions are for.
        unsafe { (self.log)(x, x, x, x, n) }
    }
}

/// Applies `f` to vectors of two rows of `w` doubles, the remainder one by one.
#[inline(always)]
unsafe fn zip<S: Vector>(
    d: *mut S::Elem,
    (a, b): (*const S::Elem, *const S::Elem),
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

/// Adds a row of `w` numbers to sums.
#[inline(always)]
unsafe fn accumulate<S: Summing>(s: *mut f64, row: *const S::Elem, w: usize) {
    let mut j = 0;
    // SAFETY: the caller vouches for w numbers at both.
    unsafe {
        while j + S::N <= w {
            S::Acc::load(s.add(j)).plus(S::load(row.add(j))).store(s.add(j));
            j += S::N;
        }
        while j < w {
            *s.add(j) += (*row.add(j)).to_f64();
            j += 1;
        }
    }
}

/// `n` rows, `stride` apart, of `w <= COLUMNS` neighbours each: the result of each column to `d`. Where
/// `whole`, the rows are neighbours in room of the caller's and are written over.
#[inline(always)]
unsafe fn columns<S: Summing>(
    d: *mut S::Elem,
    a: *const S::Elem,
    (n, stride, w): (usize, usize, usize),
    whole: bool,
    f: Functions,
) {
    let (mut m, mut s, mut t) =
        (Room::<S::Elem, COLUMNS>::new(), Room::<f64, COLUMNS>::new(), Room::<S::Elem, COLUMNS>::new());
    let (m, s, t) = (m.at(), s.at(), t.at());
    // SAFETY: the arrays have room for w doubles, and so has every row; all is written before it is read.
    unsafe {
        for j in 0..w {
            *m.add(j) = S::Elem::from_f64(f64::NEG_INFINITY);
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
            f.exp(all, n * w);
        }
        for k in 0..n {
            let mut row = a.add(k * stride);
            if !whole {
                zip::<S>(t, (row, m), w, |x, m| x.sub(m), |x, m| x.sub(m));
                f.exp(t, w);
                row = t;
            }
            accumulate::<S>(s, row, w);
        }
        for j in 0..w {
            *t.add(j) = S::Elem::from_f64(*s.add(j));
        }
        f.log(t, w);
        for j in 0..w {
            let m = *m.add(j);
            *d.add(j) = if m.is_infinite() { m } else { m + *t.add(j) };
        }
    }
}

/// One long row: its parts of `COLUMNS` neighbours as rows, then their results and the rest as one column.
#[inline(always)]
unsafe fn long_row<S: Summing>(d: *mut S::Elem, a: *const S::Elem, n: usize, f: Functions) {
    let (rows, rest) = (n / COLUMNS, n % COLUMNS);
    let mut parts = Room::<S::Elem, { 2 * COLUMNS }>::new();
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
unsafe fn copied<S: Summing>(
    d: *mut S::Elem,
    a: *const S::Elem,
    (outer, n, inner): (usize, usize, usize),
    f: Functions,
) {
    let mut room = Room::<S::Elem, ROOM>::new();
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
unsafe fn body<S: Summing>(d: *mut S::Elem, a: *const S::Elem, c: *const S::Elem, f: Functions) {
    // SAFETY: the counts at `c` describe what is valid at `a` and `d`.
    unsafe {
        let (outer, n, inner) = (param(c, 0), param(c, 1), param(c, 2));
        #[cfg(target_arch = "x86_64")]
        if outer <= 2 && inner <= 4 && n <= SHORT && S::FUSED && !S::Elem::SINGLE {
            for o in 0..outer {
                let (d, a) = (d.add(o * inner), a.add(o * n * inner));
                super::elementary::log_sum_exp_short(d.cast(), a.cast(), (n, inner, inner));
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

fn functions(isa: Isa, single: bool) -> Functions {
    let target = Target { isa, single };
    Functions {
        exp: function::unary(Unary::Exp, target, Extent::Many),
        log: function::unary(Unary::Log, target, Extent::Many),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx<S: Summing>(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, _: usize) {
    let f = functions(Isa::Avx2Fma, S::Elem::SINGLE);
    // SAFETY: the caller's contract is the same.
    unsafe { body::<S>(d.cast(), a.cast(), c.cast(), f) }
}

unsafe fn plain<S: Summing>(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, _: usize) {
    let f = functions(Isa::Baseline, S::Elem::SINGLE);
    // SAFETY: the caller's contract is the same.
    unsafe { body::<S>(d.cast(), a.cast(), c.cast(), f) }
}

/// log-sum-exp of `[outer, n, inner]` over the middle axis; the counts are the parameters at `c`.
pub(in super::super) fn log_sum_exp(target: Target) -> Kernel {
    match (target.level(), target.single) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2Fma | Isa::Avx512, false) => avx::<simd::Avx>,
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2Fma | Isa::Avx512, true) => avx::<simd::AvxSingle>,
        (_, false) => plain::<simd::Plain>,
        (_, true) => plain::<simd::PlainSingle>,
    }
}
