//! Small dense row-major matrices for the samplers.

/// Side of a square matrix stored in `a`.
pub(super) fn side(a: &[f64]) -> usize {
    a.len().isqrt()
}

/// Lower Cholesky factor of a symmetric matrix (lower triangle read), where it is positive definite.
pub(super) fn cholesky(a: &[f64]) -> Option<Vec<f64>> {
    let n = side(a);
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let inner: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = a[i * n + j] - inner;
            l[i * n + j] = if j < i {
                rest / l[j * n + j]
            } else if rest > 0.0 && rest.is_finite() {
                rest.sqrt()
            } else {
                return None;
            };
        }
    }
    Some(l)
}

/// Lower triangular, finite, with positive diagonal.
pub(super) fn is_cholesky_factor(l: &[f64]) -> bool {
    let n = side(l);
    (0..n).all(|i| {
        let row = &l[i * n..(i + 1) * n];
        row[i] > 0.0 && row.iter().all(|x| x.is_finite()) && row[i + 1..].iter().all(|&x| x == 0.0)
    })
}

/// L x, for lower triangular L.
pub(super) fn lower_times(l: &[f64], x: &[f64]) -> Vec<f64> {
    let n = x.len();
    (0..n).map(|i| (0..=i).map(|k| l[i * n + k] * x[k]).sum()).collect()
}

/// A B, both square.
pub(super) fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    let n = side(a);
    let entry = |i: usize, j: usize| (0..n).map(|k| a[i * n + k] * b[k * n + j]).sum();
    (0..n * n).map(|c| entry(c / n, c % n)).collect()
}

/// A Aᵀ, symmetric to the last bit.
pub(super) fn gram(a: &[f64]) -> Vec<f64> {
    let n = side(a);
    let entry = |i: usize, j: usize| (0..n).map(|k| a[i * n + k] * a[j * n + k]).sum();
    (0..n * n).map(|c| entry(c / n, c % n)).collect()
}

/// X with L X = B, for lower triangular L; B is square.
pub(super) fn solve_lower(l: &[f64], b: &[f64]) -> Vec<f64> {
    let n = side(l);
    let mut x = b.to_vec();
    for j in 0..n {
        for i in 0..n {
            let inner: f64 = (0..i).map(|k| l[i * n + k] * x[k * n + j]).sum();
            x[i * n + j] = (x[i * n + j] - inner) / l[i * n + i];
        }
    }
    x
}

/// x with Lᵀ x = b, for lower triangular L.
pub(super) fn solve_lower_transposed(l: &[f64], b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut x = b.to_vec();
    for i in (0..n).rev() {
        let inner: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
        x[i] = (x[i] - inner) / l[i * n + i];
    }
    x
}

/// Transpose of a square matrix.
pub(super) fn transpose(a: &[f64]) -> Vec<f64> {
    let n = side(a);
    (0..n * n).map(|c| a[c % n * n + c / n]).collect()
}
