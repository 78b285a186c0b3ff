//! Cholesky factors, and the kernels of all operations on square matrices.

use super::simd::{Summing, Vector};
use super::triangular::{lower, lower_lanes, reduce, subtract, upper, upper_lanes};
use super::{Kernel, Number, Target, lu, param};
use crate::graph::program::lir::Square;

/// Rows `i..i + R` of the upper factor, `W` vectors from column `c` on, less the products of the rows above.
#[inline(always)]
unsafe fn reduce_rows<S: Vector, const R: usize, const W: usize>(u: *mut S::Elem, ld: usize, i: usize, c: usize) {
    // SAFETY: the caller vouches for W vectors from c on in rows 0..i + R.
    unsafe {
        let at = |r: usize, w: usize| u.add((i + r) * ld + c + w * S::N);
        let mut acc: [[S; W]; R] = std::array::from_fn(|r| std::array::from_fn(|w| S::load(at(r, w))));
        reduce(&mut acc, (u.add(i), 1, ld), (u.add(c), ld), 0..i);
        for r in 0..R {
            for w in 0..W {
                acc[r][w].store(at(r, w));
            }
        }
    }
}

/// `R` rows of the upper factor from row `i` on; false where a pivot is not positive.
#[inline(always)]
unsafe fn factor_rows<S: Vector, const R: usize>(u: *mut S::Elem, ld: usize, i: usize) -> bool {
    let mut good = true;
    let start = i / S::N * S::N;
    // SAFETY: the caller vouches for rows 0..i + R of ld doubles, whole vectors.
    unsafe {
        let mut c = start;
        while c + 2 * S::N <= ld {
            reduce_rows::<S, R, 2>(u, ld, i, c);
            c += 2 * S::N;
        }
        while c < ld {
            reduce_rows::<S, R, 1>(u, ld, i, c);
            c += S::N;
        }
        for r in i..i + R {
            let row = u.add(r * ld + start);
            for s in i..r {
                subtract::<S>(row, *u.add(s * ld + r), u.add(s * ld + start), ld - start);
            }
            let pivot = *u.add(r * ld + r);
            good &= pivot > S::Elem::default();
            let root = pivot.sqrt();
            let inverse = S::all(1.0).div(S::splat(root));
            for c in (0..ld - start).step_by(S::N) {
                S::load(row.add(c)).mul(inverse).store(row.add(c));
            }
            *u.add(r * ld + r) = root;
        }
    }
    good
}

/// One matrix: the factor's transpose is built in `u`, rows of whole vectors, then written to `d`.
#[inline(always)]
unsafe fn factor<S: Vector>(d: *mut S::Elem, a: *const S::Elem, u: *mut S::Elem, n: usize) {
    let ld = n.next_multiple_of(S::N);
    // SAFETY: the caller vouches for n x n doubles at both matrices and n rows of ld at `u`.
    unsafe {
        for j in 0..n {
            for i in 0..=j {
                *u.add(i * ld + j) = *a.add(j * n + i);
            }
            for i in n..ld {
                *u.add(j * ld + i) = S::Elem::default();
            }
        }
        let mut good = true;
        let mut i = 0;
        while i + 4 <= n {
            good &= factor_rows::<S, 4>(u, ld, i);
            i += 4;
        }
        while i < n {
            good &= factor_rows::<S, 1>(u, ld, i);
            i += 1;
        }
        for i in 0..n {
            for j in 0..=i {
                *d.add(i * n + j) = *u.add(j * ld + i);
            }
            for j in i + 1..n {
                *d.add(i * n + j) = S::Elem::default();
            }
        }
        if !good {
            let nan = S::Elem::from_f64(f64::NAN);
            (0..n * n).for_each(|k| *d.add(k) = nan);
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
unsafe fn factor_lanes<S: Summing>(d: *mut S::Elem, a: *const S::Elem, n: usize, w: usize) {
    // SAFETY: the caller vouches for n x n elements of w lanes from both.
    unsafe {
        let at = |i: usize, j: usize| (i * n + j) * w;
        let zero = S::all(0.0);
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
                    bad = zero.lt(rest).choose(bad, S::all(f64::NAN));
                    let root = rest.sqrt();
                    inverse = S::all(1.0).div(root);
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
        if good.total().to_f64() == S::N as f64 {
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

/// Doubles of room that a kernel needs: beside its operands, or behind its result (solves, determinants).
pub(in super::super) fn room(kind: Square, n: usize, m: usize) -> usize {
    match kind {
        Square::Cholesky => n * n.next_multiple_of(8),
        Square::TriSolve(_) => 0,
        Square::Solve(_) => n * n + n * m,
        Square::LogAbsDet => n * n,
    }
}

/// The kernel of an operation, for plain doubles or for lanes.
pub(in super::super) fn choose(kind: Square, lanes: usize, target: Target) -> Kernel {
    match (kind, lanes > 1) {
        (Square::Cholesky, false) => cholesky(target),
        (Square::Cholesky, true) => cholesky_lanes(target),
        (Square::TriSolve(false), false) => lower(target),
        (Square::TriSolve(false), true) => lower_lanes(target),
        (Square::TriSolve(true), false) => upper(target),
        (Square::TriSolve(true), true) => upper_lanes(target),
        (Square::Solve(t), _) => lu::solve_kernel(t, target.single),
        (Square::LogAbsDet, _) => lu::log_abs_det_kernel(target.single),
    }
}
