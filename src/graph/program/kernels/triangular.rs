//! Triangular solves: four rows of the solution at a time, columns in registers.

use super::param;
use super::simd::{Summing, Vector};

/// `x[0..w] -= f * y[0..w]` in vectors and then one by one.
#[inline(always)]
pub(super) unsafe fn subtract<S: Vector>(x: *mut S::Elem, f: S::Elem, y: *const S::Elem, w: usize) {
    // SAFETY: the caller vouches for w doubles at both.
    unsafe {
        let (many, one) = (S::splat(f), S::One::splat(f));
        let mut i = 0;
        while i + S::N <= w {
            let v = many.neg_mul_add(S::load(y.add(i)), S::load(x.add(i)));
            v.store(x.add(i));
            i += S::N;
        }
        while i < w {
            let v = one.neg_mul_add(S::One::load(y.add(i)), S::One::load(x.add(i)));
            v.store(x.add(i));
            i += 1;
        }
    }
}

/// `R` rows by `W` vectors: `acc[r] - sum f(r, k) x(k)` over the rows `k` of `x`, `ld` apart; `f(r, k)` is
/// at `f + r * fr + k * fk`.
#[inline(always)]
pub(super) unsafe fn reduce<S: Vector, const R: usize, const W: usize>(
    acc: &mut [[S; W]; R],
    (f, fr, fk): (*const S::Elem, usize, usize),
    (x, ld): (*const S::Elem, usize),
    rows: std::ops::Range<usize>,
) {
    for k in rows {
        // SAFETY: the caller vouches for the factors and for W vectors in each row.
        unsafe {
            let row: [S; W] = std::array::from_fn(|w| S::load(x.add(k * ld + w * S::N)));
            for r in 0..R {
                let f = S::splat(*f.add(r * fr + k * fk));
                for w in 0..W {
                    acc[r][w] = f.neg_mul_add(row[w], acc[r][w]);
                }
            }
        }
    }
}

/// Rows `i..i + R` of the solution, `W` vectors of columns, all rows before (behind, where `T`) being there.
#[inline(always)]
unsafe fn substitute<S: Vector, const R: usize, const W: usize, const T: bool>(
    (x, b): (*mut S::Elem, *const S::Elem),
    l: *const S::Elem,
    (n, m): (usize, usize),
    i: usize,
) {
    // The matrix to be solved with is lower (upper, where `T`): element (r, k) at l + r fr + k fk.
    let (fr, fk) = if T { (1, n) } else { (n, 1) };
    // SAFETY: the caller vouches for W vectors in each row, and n x n doubles at l.
    unsafe {
        let mut acc: [[S; W]; R] =
            std::array::from_fn(|r| std::array::from_fn(|w| S::load(b.add((i + r) * m + w * S::N))));
        let before = if T { i + R..n } else { 0..i };
        reduce(&mut acc, (l.add(i * fr), fr, fk), (x, m), before);
        for step in 0..R {
            let r = if T { R - 1 - step } else { step };
            for s in if T { r + 1..R } else { 0..r } {
                let f = S::splat(*l.add((i + r) * fr + (i + s) * fk));
                for w in 0..W {
                    acc[r][w] = f.neg_mul_add(acc[s][w], acc[r][w]);
                }
            }
            let inverse = S::all(1.0).div(S::splat(*l.add((i + r) * (n + 1))));
            for w in 0..W {
                acc[r][w] = acc[r][w].mul(inverse);
                acc[r][w].store(x.add((i + r) * m + w * S::N));
            }
        }
    }
}

/// All rows of `W` vectors of columns.
#[inline(always)]
unsafe fn columns<S: Vector, const W: usize, const T: bool>(
    xb: (*mut S::Elem, *const S::Elem),
    l: *const S::Elem,
    (n, m): (usize, usize),
) {
    let rest = n % 4;
    // SAFETY: the caller's contract.
    unsafe {
        if T {
            for i in (n - rest..n).rev() {
                substitute::<S, 1, W, T>(xb, l, (n, m), i);
            }
            for i in (0..n - rest).step_by(4).rev() {
                substitute::<S, 4, W, T>(xb, l, (n, m), i);
            }
        } else {
            for i in (0..n - rest).step_by(4) {
                substitute::<S, 4, W, T>(xb, l, (n, m), i);
            }
            for i in n - rest..n {
                substitute::<S, 1, W, T>(xb, l, (n, m), i);
            }
        }
    }
}

/// Columns in pieces of `W` vectors; the last piece begins earlier and repeats columns that are there.
#[inline(always)]
unsafe fn pieces<S: Vector, const W: usize, const T: bool>(
    (x, b): (*mut S::Elem, *const S::Elem),
    l: *const S::Elem,
    (n, m): (usize, usize),
) {
    for start in (0..m).step_by(W * S::N) {
        let j = start.min(m - W * S::N);
        // SAFETY: the caller vouches for at least one piece.
        unsafe { columns::<S, W, T>((x.add(j), b.add(j)), l, (n, m)) };
    }
}

/// One right-hand side: dot products or column updates, whichever reads rows of `l`.
#[inline(always)]
unsafe fn single<S: Summing, const T: bool>(x: *mut S::Elem, l: *const S::Elem, n: usize) {
    // SAFETY: the caller vouches for n doubles at x and n x n at l.
    unsafe {
        for step in 0..n {
            let i = if T { n - 1 - step } else { step };
            let row = l.add(i * n);
            if T {
                let v = *x.add(i) / *row.add(i);
                *x.add(i) = v;
                subtract::<S>(x, v, row, i);
            } else {
                let mut acc = S::all(0.0);
                let mut k = 0;
                while k + S::N <= i {
                    acc = S::load(row.add(k)).mul_add(S::load(x.add(k)), acc);
                    k += S::N;
                }
                let mut rest = *x.add(i) - acc.total();
                while k < i {
                    rest -= *row.add(k) * *x.add(k);
                    k += 1;
                }
                *x.add(i) = rest / *row.add(i);
            }
        }
    }
}

#[inline(always)]
unsafe fn tri<S: Summing, const T: bool>(d: *mut S::Elem, a: *const S::Elem, b: *const S::Elem, c: *const S::Elem) {
    // SAFETY: the parameters describe what is valid.
    unsafe {
        let (batch, n, m) = (param(c, 0), param(c, 1), param(c, 2));
        for s in 0..batch {
            let (x, b, l) = (d.add(s * n * m), b.add(s * n * m), a.add(s * n * n));
            match m {
                1 => {
                    std::ptr::copy_nonoverlapping(b, x, n);
                    single::<S, T>(x, l, n);
                }
                _ if m >= 2 * S::N => pieces::<S, 2, T>((x, b), l, (n, m)),
                _ if m >= S::N => pieces::<S, 1, T>((x, b), l, (n, m)),
                _ => pieces::<S::One, 1, T>((x, b), l, (n, m)),
            }
        }
    }
}

kernel! {
    /// X with L X = B; parameters batch, n, m.
    lower<S>(d, a, b, c, _n) {
        // SAFETY: the caller's contract is the same.
        unsafe { tri::<S, false>(d, a, b, c) }
    }
}

kernel! {
    /// X with Lᵀ X = B; parameters batch, n, m.
    upper<S>(d, a, b, c, _n) {
        // SAFETY: the caller's contract is the same.
        unsafe { tri::<S, true>(d, a, b, c) }
    }
}

/// Lanes innermost, in both the matrix and the right-hand side.
#[inline(always)]
unsafe fn tri_lanes<S: Vector, const T: bool>(
    d: *mut S::Elem,
    a: *const S::Elem,
    b: *const S::Elem,
    c: *const S::Elem,
) {
    // SAFETY: the parameters describe what is valid; lanes are whole vectors.
    unsafe {
        let (batch, n, m, w) = (param(c, 0), param(c, 1), param(c, 2), param(c, 3));
        for s in 0..batch {
            let (d, a, b) = (d.add(s * n * m * w), a.add(s * n * n * w), b.add(s * n * m * w));
            for lane in (0..w).step_by(S::N) {
                let l = |i: usize, k: usize| S::load(a.add((i * n + k) * w + lane));
                for step in 0..n {
                    let i = if T { n - 1 - step } else { step };
                    let pivot = S::all(1.0).div(l(i, i));
                    for j in 0..m {
                        let at = |k: usize| (k * m + j) * w + lane;
                        let mut acc = S::load(b.add(at(i)));
                        let before = if T { i + 1..n } else { 0..i };
                        for k in before {
                            let f = if T { l(k, i) } else { l(i, k) };
                            acc = f.neg_mul_add(S::load(d.add(at(k))), acc);
                        }
                        acc.mul(pivot).store(d.add(at(i)));
                    }
                }
            }
        }
    }
}

kernel! {
    /// X with L X = B, lanes innermost; parameters batch, n, m, lanes.
    lower_lanes<S>(d, a, b, c, _n) {
        // SAFETY: the caller's contract is the same.
        unsafe { tri_lanes::<S, false>(d, a, b, c) }
    }
}

kernel! {
    /// X with Lᵀ X = B, lanes innermost; parameters batch, n, m, lanes.
    upper_lanes<S>(d, a, b, c, _n) {
        // SAFETY: the caller's contract is the same.
        unsafe { tri_lanes::<S, true>(d, a, b, c) }
    }
}
