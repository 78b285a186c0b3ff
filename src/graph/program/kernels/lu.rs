//! General solves and determinants by LU with partial pivoting, one lane at a time.

use super::{Kernel, Number, param};

/// Factors in place with partial pivoting; calls `swap` for every exchange of rows.
unsafe fn factor<T: Number>(f: *mut T, n: usize, mut swap: impl FnMut(usize, usize)) {
    // SAFETY: the caller vouches for n x n doubles.
    unsafe {
        for k in 0..n {
            let mut p = k;
            for i in k + 1..n {
                if (*f.add(i * n + k)).abs() > (*f.add(p * n + k)).abs() {
                    p = i;
                }
            }
            if p != k {
                for j in 0..n {
                    std::ptr::swap(f.add(k * n + j), f.add(p * n + j));
                }
                swap(k, p);
            }
            let pivot = *f.add(k * n + k);
            for i in k + 1..n {
                let q = *f.add(i * n + k) / pivot;
                *f.add(i * n + k) = q;
                for j in k + 1..n {
                    *f.add(i * n + j) -= q * *f.add(k * n + j);
                }
            }
        }
    }
}

/// Copies lane `l` of a matrix of `r` rows and `c` columns with `w` lanes, transposed where `T`.
unsafe fn take<E: Number, const T: bool>(to: *mut E, from: *const E, (r, c): (usize, usize), w: usize, l: usize) {
    for i in 0..r {
        for j in 0..c {
            let at = if T { j * r + i } else { i * c + j };
            // SAFETY: the caller vouches for both matrices.
            unsafe { *to.add(at) = *from.add((i * c + j) * w + l) };
        }
    }
}

/// X with A X = B (Aᵀ where `T`); parameters batch, n, m, lanes. Room for a matrix and a right-hand side
/// is behind the result.
unsafe fn solve<E: Number, const T: bool>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, _: usize) {
    let (d, a, b, c): (*mut E, *const E, *const E, *const E) = (d.cast(), a.cast(), b.cast(), c.cast());
    // SAFETY: the parameters describe what is valid.
    unsafe {
        let (batch, n, m, w) = (param(c, 0), param(c, 1), param(c, 2), param(c, 3));
        let f = d.add(batch * n * m * w);
        let x = f.add(n * n);
        for (s, l) in (0..batch).flat_map(|s| (0..w).map(move |l| (s, l))) {
            take::<E, T>(f, a.add(s * n * n * w), (n, n), w, l);
            take::<E, false>(x, b.add(s * n * m * w), (n, m), w, l);
            factor(f, n, |k, p| {
                for j in 0..m {
                    std::ptr::swap(x.add(k * m + j), x.add(p * m + j));
                }
            });
            for i in 0..n {
                for (k, j) in (0..i).flat_map(|k| (0..m).map(move |j| (k, j))) {
                    *x.add(i * m + j) -= *f.add(i * n + k) * *x.add(k * m + j);
                }
            }
            for i in (0..n).rev() {
                for (k, j) in (i + 1..n).flat_map(|k| (0..m).map(move |j| (k, j))) {
                    *x.add(i * m + j) -= *f.add(i * n + k) * *x.add(k * m + j);
                }
                for j in 0..m {
                    *x.add(i * m + j) /= *f.add(i * n + i);
                }
            }
            for k in 0..n * m {
                *d.add((s * n * m + k) * w + l) = *x.add(k);
            }
        }
    }
}

/// log |det A|; parameters batch, n, -, lanes. Room for a matrix is behind the result.
unsafe fn log_abs_det<E: Number>(d: *mut f64, a: *const f64, _: *const f64, c: *const f64, _: usize) {
    let (d, a, c): (*mut E, *const E, *const E) = (d.cast(), a.cast(), c.cast());
    // SAFETY: the parameters describe what is valid.
    unsafe {
        let (batch, n, w) = (param(c, 0), param(c, 1), param(c, 3));
        let f = d.add(batch * w);
        for (s, l) in (0..batch).flat_map(|s| (0..w).map(move |l| (s, l))) {
            take::<E, false>(f, a.add(s * n * n * w), (n, n), w, l);
            factor(f, n, |_, _| {});
            let (mut sum, mut singular) = (E::default(), false);
            for k in 0..n {
                let pivot = (*f.add(k * n + k)).abs();
                singular |= pivot == E::default();
                sum += pivot.ln();
            }
            // A zero pivot leaves 0/0 in what follows it.
            *d.add(s * w + l) = if singular { E::from_f64(f64::NEG_INFINITY) } else { sum };
        }
    }
}

/// The kernel of a solve, with the transpose where set.
pub(super) fn solve_kernel(transposed: bool, single: bool) -> Kernel {
    match (transposed, single) {
        (false, false) => solve::<f64, false>,
        (true, false) => solve::<f64, true>,
        (false, true) => solve::<f32, false>,
        (true, true) => solve::<f32, true>,
    }
}

/// The kernel of a determinant.
pub(super) fn log_abs_det_kernel(single: bool) -> Kernel {
    if single { log_abs_det::<f32> } else { log_abs_det::<f64> }
}
