//! Cholesky factors, triangular and general solves, determinants.

use super::simd::Vector;
use super::{Kernel, param};
use crate::base::simd::Isa;
use crate::graph::program::lir::Square;

/// `x[0..w] -= f * y[0..w]` in vectors and then one by one.
#[inline(always)]
unsafe fn subtract<S: Vector>(x: *mut f64, f: f64, y: *const f64, w: usize) {
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

/// Row `i` of the upper factor from column `from` on, `W` vectors: what is there less the products of
/// the rows above.
#[inline(always)]
unsafe fn reduce<S: Vector, const W: usize>(u: *mut f64, n: usize, i: usize, from: usize) {
    // SAFETY: the caller vouches for W vectors from `from` in each row up to i.
    unsafe {
        let at = u.add(i * n + from);
        let mut acc: [S; W] = std::array::from_fn(|w| S::load(at.add(w * S::N)));
        for j in 0..i {
            let f = S::splat(*u.add(j * n + i));
            let row = u.add(j * n + from);
            for w in 0..W {
                acc[w] = f.neg_mul_add(S::load(row.add(w * S::N)), acc[w]);
            }
        }
        for w in 0..W {
            acc[w].store(at.add(w * S::N));
        }
    }
}

/// One matrix: the factor's transpose is built row by row in `u`, then written to `d`.
#[inline(always)]
unsafe fn factor<S: Vector>(d: *mut f64, a: *const f64, u: *mut f64, n: usize) {
    // SAFETY: the caller vouches for n x n doubles at all three.
    unsafe {
        let mut good = true;
        for i in 0..n {
            for j in i..n {
                *u.add(i * n + j) = *a.add(j * n + i);
            }
            let mut j = i;
            while j + 4 * S::N <= n {
                reduce::<S, 4>(u, n, i, j);
                j += 4 * S::N;
            }
            while j + S::N <= n {
                reduce::<S, 1>(u, n, i, j);
                j += S::N;
            }
            while j < n {
                reduce::<S::One, 1>(u, n, i, j);
                j += 1;
            }
            let pivot = *u.add(i * n + i);
            good &= pivot > 0.0;
            let root = pivot.sqrt();
            let inverse = 1.0 / root;
            *u.add(i * n + i) = root;
            for j in i + 1..n {
                *u.add(i * n + j) *= inverse;
            }
        }
        for i in 0..n {
            for j in 0..n {
                let lower = if j <= i { *u.add(j * n + i) } else { 0.0 };
                *d.add(i * n + j) = if good { lower } else { f64::NAN };
            }
        }
    }
}

kernel! {
    /// Lower factors; parameters batch, n. `b` is room for one matrix. NaN where not positive definite.
    cholesky<S>(d, a, b, c, _n) {
        // SAFETY: the parameters describe what is valid.
        unsafe {
            let (batch, n) = (param(c, 0), param(c, 1));
            for s in 0..batch {
                factor::<S>(d.add(s * n * n), a.add(s * n * n), b.cast_mut(), n);
            }
        }
    }
}

/// One lane group of one matrix, lanes innermost.
#[inline(always)]
unsafe fn factor_lanes<S: Vector>(d: *mut f64, a: *const f64, n: usize, w: usize) {
    // SAFETY: the caller vouches for n x n elements of w lanes from both.
    unsafe {
        let at = |i: usize, j: usize| (i * n + j) * w;
        let zero = S::splat(0.0);
        // 0 as long as all is well, NaN from the first pivot on that is not positive.
        let mut bad = zero;
        for j in 0..n {
            let mut inverse = zero;
            for i in j..n {
                let mut rest = S::load(a.add(at(i, j)));
                for k in 0..j {
                    rest = S::load(d.add(at(i, k))).neg_mul_add(S::load(d.add(at(j, k))), rest);
                }
                if i == j {
                    bad = zero.lt(rest).choose(bad, S::splat(f64::NAN));
                    let root = rest.sqrt();
                    inverse = S::splat(1.0).div(root);
                    rest = root;
                } else {
                    rest = rest.mul(inverse);
                }
                rest.store(d.add(at(i, j)));
            }
            for i in 0..j {
                zero.store(d.add(at(i, j)));
            }
        }
        let good = bad.eq(bad);
        if good.total() == S::N as f64 {
            return;
        }
        for k in 0..n * n {
            let p = d.add(k * w);
            good.choose(S::load(p), bad).store(p);
        }
    }
}

kernel! {
    /// Lower factors with lanes innermost; parameters batch, n, -, lanes.
    cholesky_lanes<S>(d, a, _b, c, _n) {
        // SAFETY: the parameters describe what is valid; lanes are whole vectors.
        unsafe {
            let (batch, n, w) = (param(c, 0), param(c, 1), param(c, 3));
            for s in 0..batch {
                for l in (0..w).step_by(S::N) {
                    let at = s * n * n * w + l;
                    factor_lanes::<S>(d.add(at), a.add(at), n, w);
                }
            }
        }
    }
}

/// Row `i` of the solution, `W` vectors: less the products of the rows before, by 1 / pivot.
#[inline(always)]
unsafe fn substitute<S: Vector, const W: usize, const T: bool>(
    x: *mut f64,
    l: *const f64,
    (n, m): (usize, usize),
    i: usize,
) {
    // SAFETY: the caller vouches for W vectors in each row of x, and n x n doubles at l.
    unsafe {
        let mut acc: [S; W] = std::array::from_fn(|w| S::load(x.add(i * m + w * S::N)));
        let before = if T { i + 1..n } else { 0..i };
        for k in before {
            let f = S::splat(*l.add(if T { k * n + i } else { i * n + k }));
            for w in 0..W {
                acc[w] = f.neg_mul_add(S::load(x.add(k * m + w * S::N)), acc[w]);
            }
        }
        let pivot = S::splat(1.0 / *l.add(i * n + i));
        for w in 0..W {
            acc[w].mul(pivot).store(x.add(i * m + w * S::N));
        }
    }
}

#[inline(always)]
unsafe fn columns<S: Vector, const W: usize, const T: bool>(
    x: *mut f64,
    l: *const f64,
    (n, m): (usize, usize),
) {
    for step in 0..n {
        let i = if T { n - 1 - step } else { step };
        // SAFETY: the caller's contract.
        unsafe { substitute::<S, W, T>(x, l, (n, m), i) };
    }
}

/// One right-hand side: dot products or column updates, whichever reads rows of `l`.
#[inline(always)]
unsafe fn single<S: Vector, const T: bool>(x: *mut f64, l: *const f64, n: usize) {
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
                let mut acc = S::splat(0.0);
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
unsafe fn tri<S: Vector, const T: bool>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64) {
    // SAFETY: the parameters describe what is valid.
    unsafe {
        let (batch, n, m) = (param(c, 0), param(c, 1), param(c, 2));
        std::ptr::copy_nonoverlapping(b, d, batch * n * m);
        for s in 0..batch {
            let (x, l) = (d.add(s * n * m), a.add(s * n * n));
            if m == 1 {
                single::<S, T>(x, l, n);
                continue;
            }
            let mut j = 0;
            while j + 4 * S::N <= m {
                columns::<S, 4, T>(x.add(j), l, (n, m));
                j += 4 * S::N;
            }
            while j + S::N <= m {
                columns::<S, 1, T>(x.add(j), l, (n, m));
                j += S::N;
            }
            while j < m {
                columns::<S::One, 1, T>(x.add(j), l, (n, m));
                j += 1;
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
    d: *mut f64,
    a: *const f64,
    b: *const f64,
    c: *const f64,
) {
    // SAFETY: the parameters describe what is valid; lanes are whole vectors.
    unsafe {
        let (batch, n, m, w) = (param(c, 0), param(c, 1), param(c, 2), param(c, 3));
        for s in 0..batch {
            let (d, a, b) = (
                d.add(s * n * m * w),
                a.add(s * n * n * w),
                b.add(s * n * m * w),
            );
            for lane in (0..w).step_by(S::N) {
                let l = |i: usize, k: usize| S::load(a.add((i * n + k) * w + lane));
                for step in 0..n {
                    let i = if T { n - 1 - step } else { step };
                    let pivot = S::splat(1.0).div(l(i, i));
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

/// Doubles of room that a kernel needs: beside its operands, or behind its result (solves, determinants).
pub(in super::super) fn room(kind: Square, n: usize, m: usize) -> usize {
    match kind {
        Square::Cholesky => n * n,
        Square::TriSolve(_) => 0,
        Square::Solve(_) => n * n + n * m,
        Square::LogAbsDet => n * n,
    }
}

/// The kernel of an operation, for plain doubles or for lanes.
pub(in super::super) fn choose(kind: Square, lanes: usize, isa: Isa) -> Kernel {
    match (kind, lanes > 1) {
        (Square::Cholesky, false) => cholesky(isa),
        (Square::Cholesky, true) => cholesky_lanes(isa),
        (Square::TriSolve(false), false) => lower(isa),
        (Square::TriSolve(false), true) => lower_lanes(isa),
        (Square::TriSolve(true), false) => upper(isa),
        (Square::TriSolve(true), true) => upper_lanes(isa),
        (Square::Solve(false), _) => super::lu::solve::<false>,
        (Square::Solve(true), _) => super::lu::solve::<true>,
        (Square::LogAbsDet, _) => super::lu::log_abs_det,
    }
}
