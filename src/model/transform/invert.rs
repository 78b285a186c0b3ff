//! Numeric inverses: one constrained value to its free coordinates.

use super::Structure;
use super::matrix::{below_by_column, below_by_row, lower_by_row};

/// Free coordinates of `x`, which has passed [`Structure::check`].
pub(super) fn unconstrain(s: Structure, x: &[f64], event: &[usize]) -> Result<Vec<f64>, String> {
    let k = event[0];
    let u = match s {
        Structure::Simplex => simplex(x)?,
        Structure::Ordered => ordered(x, 1),
        Structure::PositiveOrdered => ordered(x, 0),
        Structure::UnitVector => x.to_vec(),
        Structure::CholeskyFactorCorr => partial_correlations(x, k, &below_by_row(k)),
        Structure::CorrMatrix => partial_correlations(&cholesky(x, k)?, k, &below_by_column(k)),
        Structure::CovMatrix => lower_factor(&cholesky(x, k)?, k, k),
        Structure::CholeskyFactorCov => lower_factor(x, k, event[1]),
    };
    if let Some(at) = u.iter().position(|v| !v.is_finite()) {
        return Err(format!(
            "the {} lies on the edge of its constraint (free coordinate {} is {}); move it inside",
            s.name(),
            at + 1,
            u[at]
        ));
    }
    Ok(u)
}

/// u_k = log x_k - log(sum_{j>k} x_j) + log(K - k).
fn simplex(x: &[f64]) -> Result<Vec<f64>, String> {
    if let Some(at) = x.iter().position(|v| *v == 0.0) {
        return Err(format!(
            "element {} of the simplex is 0, which has no free coordinates; use a small positive number",
            at + 1
        ));
    }
    let free = x.len() - 1;
    let mut u = vec![0.0; free];
    let mut rest = x[free];
    for k in (0..free).rev() {
        u[k] = x[k].ln() - rest.ln() + ((free - k) as f64).ln();
        rest += x[k];
    }
    Ok(u)
}

/// Logs of the increments from element `plain` on; elements before it as they are.
fn ordered(x: &[f64], plain: usize) -> Vec<f64> {
    let coordinate = |j: usize| match j {
        _ if j < plain => x[j],
        0 => x[0].ln(),
        _ => (x[j] - x[j - 1]).ln(),
    };
    (0..x.len()).map(coordinate).collect()
}

/// u_ij = asinh(L_ij / sqrt(sum_{j<l<=i} L_il^2)), which is atanh of the partial correlation without
/// the cancellation in 1 - z^2.
fn partial_correlations(l: &[f64], k: usize, at: &[(usize, usize)]) -> Vec<f64> {
    let coordinate = |&(i, j): &(usize, usize)| {
        let rest: f64 = l[i * k + j + 1..=i * k + i].iter().map(|v| v * v).sum();
        (l[i * k + j] / rest.sqrt()).asinh()
    };
    at.iter().map(coordinate).collect()
}

/// Entries of the lower triangle, logs on the diagonal.
fn lower_factor(l: &[f64], m: usize, n: usize) -> Vec<f64> {
    let coordinate = |(i, j)| {
        let v: f64 = l[i * n + j];
        if i == j { v.ln() } else { v }
    };
    lower_by_row(m, n).into_iter().map(coordinate).collect()
}

/// Lower Cholesky factor of a symmetric matrix, or the leading minor that is not positive.
pub(super) fn cholesky(a: &[f64], k: usize) -> Result<Vec<f64>, String> {
    let mut l = vec![0.0; k * k];
    for i in 0..k {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|c| l[i * k + c] * l[j * k + c]).sum();
            let rest: f64 = a[i * k + j] - dot;
            if i != j {
                l[i * k + j] = rest / l[j * k + j];
            } else if rest > 0.0 {
                l[i * k + i] = rest.sqrt();
            } else {
                return Err(format!(
                    "the matrix is not positive definite (its leading {0} by {0} block is not)",
                    i + 1
                ));
            }
        }
    }
    Ok(l)
}
