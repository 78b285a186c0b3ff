//! Kernels on rows of one length, whose starts are in a table: copies, repetitions, sums. Without lanes.

use super::fold::total;
use super::simd::{Accumulator, Summing, Vector};
use super::{Number, param};

/// `f(start, row)` for each row of n numbers; starts at `b`, their length the parameter at `c`.
#[inline(always)]
unsafe fn each<T: Number>(b: *const T, c: *const T, n: usize, f: impl Fn(usize, usize, usize)) {
    let starts: *const u32 = b.cast();
    // SAFETY: the caller vouches for a start for each row.
    unsafe {
        let len = param(c, 0);
        for r in 0..n / len {
            f(*starts.add(r) as usize, r * len, len);
        }
    }
}

/// `d[i] = x[i] + y[i]`, or `x[i]` alone, for `i < n`.
#[inline(always)]
unsafe fn put<S: Vector, const ADD: bool>(d: *mut S::Elem, x: *const S::Elem, n: usize) {
    let mut i = 0;
    // SAFETY: the caller vouches for n numbers at both; the processor has S.
    unsafe {
        while i + S::N <= n {
            let x = S::load(x.add(i));
            let y = if ADD { S::load(d.add(i)).add(x) } else { x };
            y.store(d.add(i));
            i += S::N;
        }
        while i < n {
            let x = *x.add(i);
            *d.add(i) = if ADD { *d.add(i) + x } else { x };
            i += 1;
        }
    }
}

kernel! {
    /// The rows of `d` are those of `a` at the starts.
    copy<S>(d, a, b, c, n) {
        // SAFETY: the plan checked the starts against the source.
        unsafe { each(b, c, n, |start, at, len| put::<S, false>(d.add(at), a.add(start), len)) }
    }
}

kernel! {
    /// All of a row of `d` is the number of `a` at its start.
    fill<S>(d, a, b, c, n) {
        // SAFETY: the plan checked the starts against the source.
        unsafe {
            each(b, c, n, |start, at, len| {
                let (d, x) = (d.add(at), *a.add(start));
                let all = S::splat(x);
                let mut i = 0;
                while i + S::N <= len {
                    all.store(d.add(i));
                    i += S::N;
                }
                (i..len).for_each(|i| *d.add(i) = x);
            });
        }
    }
}

kernel! {
    /// `d` is `a` again and again; its length is the parameter.
    tile<S>(d, a, _b, c, n) {
        // SAFETY: the caller vouches for n numbers at `d`, a multiple of the length.
        unsafe {
            let len = param(c, 0);
            for at in (0..n).step_by(len) {
                put::<S, false>(d.add(at), a, len);
            }
        }
    }
}

kernel! {
    /// Adds the rows of `a` to those of `d` at the starts.
    add<S>(d, a, b, c, n) {
        // SAFETY: the plan checked the starts against the target.
        unsafe { each(b, c, n, |start, at, len| put::<S, true>(d.add(start), a.add(at), len)) }
    }
}

kernel! {
    /// Adds the sum of each row of `a` to the number of `d` at its start.
    add_sums<S>(d, a, b, c, n) {
        // SAFETY: the plan checked the starts against the target.
        unsafe {
            each(b, c, n, |start, at, len| {
                let row = a.add(at);
                let to = d.add(start);
                *to = S::Elem::from_f64((*to).to_f64() + total::<S, false>(row, row, len));
            });
        }
    }
}

/// Rows that are added to the same doubles at once, these staying in registers.
const TOGETHER: usize = 8;

/// Adds `rows` rows of n numbers, one after another, to as many doubles.
#[inline(always)]
unsafe fn widen<S: Summing>(d: *mut f64, x: *const S::Elem, n: usize, rows: usize) {
    let mut i = 0;
    // SAFETY: the caller vouches for n doubles at `d` and the rows at `x`.
    unsafe {
        while i + S::N <= n {
            let mut sum = S::Acc::load(d.add(i));
            (0..rows).for_each(|r| sum = sum.plus(S::load(x.add(r * n + i))));
            sum.store(d.add(i));
            i += S::N;
        }
        while i < n {
            (0..rows).for_each(|r| *d.add(i) += (*x.add(r * n + i)).to_f64());
            i += 1;
        }
    }
}

kernel! {
    /// Adds the rows of `a` to rows of doubles, at the starts counted in doubles from `d`.
    add_to_doubles<S>(d, a, b, c, n) {
        let d: *mut f64 = d.cast();
        let starts: *const u32 = b.cast();
        // SAFETY: the plan checked the starts against the target, which has room for doubles; the caller vouches for a
        // start for each row.
        unsafe {
            let len = param(c, 0);
            let (mut r, rows) = (0, n / len);
            while r < rows {
                let start = *starts.add(r);
                let end = rows.min(r + TOGETHER);
                let alike = (r + 1..end).take_while(|k| *starts.add(*k) == start).count() + 1;
                widen::<S>(d.add(start as usize), a.add(r * len), len, alike);
                r += alike;
            }
        }
    }
}

kernel! {
    /// Adds n doubles at `a` to the numbers of `d`.
    add_doubles<S>(d, a, _b, _c, n) {
        let a: *const f64 = a.cast();
        for i in 0..n {
            // SAFETY: the caller vouches for n numbers at `d` and n doubles at `a`.
            unsafe { *d.add(i) = S::Elem::from_f64((*d.add(i)).to_f64() + *a.add(i)) };
        }
    }
}
