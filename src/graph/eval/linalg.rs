//! Reference values of matrix operations, by the textbook loops.

use super::array::Arg;

/// Batch size and the last two axes.
fn split((_, shape): Arg) -> (usize, usize, usize) {
    let d = shape.dims();
    let r = d.len();
    (d[..r - 2].iter().product(), d[r - 2], d[r - 1])
}

pub(super) fn matmul(a: Arg, b: Arg, ta: bool, tb: bool) -> Vec<f64> {
    let ((batch, ra, ca), (_, rb, cb)) = (split(a), split(b));
    let (m, k) = if ta { (ca, ra) } else { (ra, ca) };
    let n = if tb { rb } else { cb };
    let mut out = Vec::with_capacity(batch * m * n);
    for s in 0..batch {
        let (x, y) = (&a.0[s * ra * ca..], &b.0[s * rb * cb..]);
        let left = |i: usize, l: usize| if ta { x[l * ca + i] } else { x[i * ca + l] };
        let right = |l: usize, j: usize| if tb { y[j * cb + l] } else { y[l * cb + j] };
        for i in 0..m {
            for j in 0..n {
                out.push((0..k).map(|l| left(i, l) * right(l, j)).sum());
            }
        }
    }
    out
}

/// Lower factors; a matrix that is not positive definite gives NaN throughout.
pub(super) fn cholesky(a: Arg) -> Vec<f64> {
    let (batch, n, _) = split(a);
    let mut out = vec![0.0; batch * n * n];
    for s in 0..batch {
        let block = s * n * n..(s + 1) * n * n;
        let (a, l) = (&a.0[block.clone()], &mut out[block]);
        if !factor(a, l, n) {
            l.fill(f64::NAN);
        }
    }
    out
}

fn factor(a: &[f64], l: &mut [f64], n: usize) -> bool {
    for j in 0..n {
        for i in j..n {
            let s: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = a[i * n + j] - s;
            if i > j {
                l[i * n + j] = rest / l[j * n + j];
            } else if rest > 0.0 {
                l[j * n + j] = rest.sqrt();
            } else {
                return false;
            }
        }
    }
    true
}

pub(super) fn tri_solve(l: Arg, b: Arg, transposed: bool) -> Vec<f64> {
    let ((batch, n, _), (_, _, m)) = (split(l), split(b));
    let mut out = b.0.to_vec();
    for s in 0..batch {
        let l = &l.0[s * n * n..(s + 1) * n * n];
        let x = &mut out[s * n * m..(s + 1) * n * m];
        for step in 0..n {
            let i = if transposed { n - 1 - step } else { step };
            for c in 0..m {
                let done: f64 = if transposed {
                    (i + 1..n).map(|k| l[k * n + i] * x[k * m + c]).sum()
                } else {
                    (0..i).map(|k| l[i * n + k] * x[k * m + c]).sum()
                };
                x[i * m + c] = (x[i * m + c] - done) / l[i * n + i];
            }
        }
    }
    out
}

/// LU factors with partial pivoting in place; the row order.
fn lu(a: &mut [f64], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for k in 0..n {
        let size = |i: &usize| a[i * n + k].abs();
        let p = (k..n).max_by(|i, j| size(i).total_cmp(&size(j))).unwrap_or(k);
        order.swap(k, p);
        for j in 0..n {
            a.swap(k * n + j, p * n + j);
        }
        for i in k + 1..n {
            let f = a[i * n + k] / a[k * n + k];
            a[i * n + k] = f;
            for j in k + 1..n {
                a[i * n + j] -= f * a[k * n + j];
            }
        }
    }
    order
}

fn transpose(a: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|j| a[(j % n) * n + j / n]).collect()
}

pub(super) fn solve(a: Arg, b: Arg, transposed: bool) -> Vec<f64> {
    let ((batch, n, _), (_, _, m)) = (split(a), split(b));
    let mut out = Vec::with_capacity(b.0.len());
    for s in 0..batch {
        let a = &a.0[s * n * n..(s + 1) * n * n];
        let mut f = if transposed { transpose(a, n) } else { a.to_vec() };
        let order = lu(&mut f, n);
        let mut x = vec![0.0; n * m];
        for c in 0..m {
            for i in 0..n {
                let done: f64 = (0..i).map(|k| f[i * n + k] * x[k * m + c]).sum();
                x[i * m + c] = b.0[s * n * m + order[i] * m + c] - done;
            }
            for i in (0..n).rev() {
                let done: f64 = (i + 1..n).map(|k| f[i * n + k] * x[k * m + c]).sum();
                x[i * m + c] = (x[i * m + c] - done) / f[i * n + i];
            }
        }
        out.extend(x);
    }
    out
}

pub(super) fn log_abs_det(a: Arg) -> Vec<f64> {
    let (batch, n, _) = split(a);
    (0..batch)
        .map(|s| {
            let mut f = a.0[s * n * n..(s + 1) * n * n].to_vec();
            lu(&mut f, n);
            let d: f64 = (0..n).map(|i| f[i * (n + 1)].abs().ln()).sum();
            // A zero pivot leaves 0/0 in what follows it.
            if (0..n).any(|i| f[i * (n + 1)] == 0.0) { f64::NEG_INFINITY } else { d }
        })
        .collect()
}
