//! Constraint checks of given values, with Stan's tolerance.

use super::Structure;
use super::invert::cholesky;

/// Tolerance of equalities (Stan's `CONSTRAINT_TOLERANCE`).
const TOLERANCE: f64 = 1e-8;

/// Does `x` of shape `event` satisfy the constraint? The error says what is violated.
pub(super) fn check(s: Structure, x: &[f64], event: &[usize]) -> Result<(), String> {
    let count: usize = event.iter().product();
    if x.len() != count {
        return Err(format!("{} numbers for a {} of shape {event:?}; give {count}", x.len(), s.name()));
    }
    if let Some(at) = x.iter().position(|v| !v.is_finite()) {
        return Err(format!("element {} is {}; it must be finite", place(at, event), x[at]));
    }
    match s {
        Structure::Simplex => simplex(x),
        Structure::Ordered => increasing(x),
        Structure::PositiveOrdered => match x.first() {
            Some(first) if *first < 0.0 => Err(format!("element 1 is {first}; it must not be negative")),
            _ => increasing(x),
        },
        Structure::UnitVector => length_one(x).map_err(|e| format!("the vector has {e}")),
        Structure::CholeskyFactorCorr => {
            lower_positive(x, event)?;
            (0..event[0]).try_for_each(|i| {
                length_one(&x[i * event[1]..(i + 1) * event[1]]).map_err(|e| format!("row {} has {e}", i + 1))
            })
        }
        Structure::CorrMatrix => {
            symmetric(x, event)?;
            unit_diagonal(x, event[0])?;
            cholesky(x, event[0]).map(|_| ())
        }
        Structure::CovMatrix => {
            symmetric(x, event)?;
            cholesky(x, event[0]).map(|_| ())
        }
        Structure::CholeskyFactorCov => lower_positive(x, event),
    }
}

/// `[i]` or `[i, j]` of a flat position, from 1.
fn place(at: usize, event: &[usize]) -> String {
    match event {
        [_, n] => format!("[{}, {}]", at / n + 1, at % n + 1),
        _ => format!("[{}]", at + 1),
    }
}

fn simplex(x: &[f64]) -> Result<(), String> {
    if let Some(at) = x.iter().position(|v| *v < 0.0) {
        return Err(format!("element {} is {}; it must not be negative", at + 1, x[at]));
    }
    let sum: f64 = x.iter().sum();
    if (sum - 1.0).abs() > TOLERANCE {
        return Err(format!("the elements sum to {sum}; they must sum to 1"));
    }
    Ok(())
}

fn increasing(x: &[f64]) -> Result<(), String> {
    match x.windows(2).position(|w| w[1] <= w[0]) {
        Some(at) => {
            Err(format!("element {} is {} and element {} is {}; they must increase", at + 1, x[at], at + 2, x[at + 1]))
        }
        None => Ok(()),
    }
}

fn length_one(x: &[f64]) -> Result<(), String> {
    let norm2: f64 = x.iter().map(|v| v * v).sum();
    if (norm2 - 1.0).abs() > TOLERANCE {
        return Err(format!("squared length {norm2}; it must be 1"));
    }
    Ok(())
}

fn lower_positive(x: &[f64], event: &[usize]) -> Result<(), String> {
    let n = event[1];
    for (at, v) in x.iter().enumerate() {
        let (i, j) = (at / n, at % n);
        if j > i && *v != 0.0 {
            return Err(format!("element {} is {v}; above the diagonal it must be 0", place(at, event)));
        }
        if i == j && *v <= 0.0 {
            return Err(format!("element {} is {v}; the diagonal must be positive", place(at, event)));
        }
    }
    Ok(())
}

fn symmetric(x: &[f64], event: &[usize]) -> Result<(), String> {
    let k = event[0];
    for at in 0..k * k {
        let other = (at % k) * k + at / k;
        if (x[at] - x[other]).abs() > TOLERANCE {
            return Err(format!(
                "element {} is {} but element {} is {}; the matrix must be symmetric",
                place(at, event),
                x[at],
                place(other, event),
                x[other]
            ));
        }
    }
    Ok(())
}

fn unit_diagonal(x: &[f64], k: usize) -> Result<(), String> {
    match (0..k).find(|i| (x[i * k + i] - 1.0).abs() > TOLERANCE) {
        Some(i) => Err(format!("element [{0}, {0}] is {1}; the diagonal must be 1", i + 1, x[i * k + i])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Structure;

    #[test]
    fn violations_are_named() {
        let refused = |s: Structure, x: &[f64], event: &[usize], part: &str| {
            let e = s.check(x, event).expect_err(part);
            assert!(e.contains(part), "{e}");
            assert!(s.unconstrain(x, event).is_err());
        };
        refused(Structure::Simplex, &[0.5, 0.4], &[2], "sum to 0.9");
        refused(Structure::Simplex, &[1.5, -0.5], &[2], "element 2");
        refused(Structure::Simplex, &[f64::NAN, 1.0], &[2], "[1] is NaN");
        refused(Structure::Ordered, &[1.0, 1.0], &[2], "must increase");
        refused(Structure::PositiveOrdered, &[-1.0, 1.0], &[2], "negative");
        refused(Structure::UnitVector, &[1.0, 1.0], &[2], "squared length 2");
        refused(Structure::CholeskyFactorCorr, &[1.0, 0.1, 0.0, 1.0], &[2, 2], "[1, 2]");
        refused(Structure::CholeskyFactorCorr, &[1.0, 0.0, 0.5, 0.5], &[2, 2], "row 2");
        refused(Structure::CorrMatrix, &[1.0, 0.5, 0.4, 1.0], &[2, 2], "symmetric");
        refused(Structure::CorrMatrix, &[1.0, 0.5, 0.5, 2.0], &[2, 2], "diagonal must be 1");
        refused(Structure::CorrMatrix, &[1.0, 1.5, 1.5, 1.0], &[2, 2], "positive definite");
        refused(Structure::CovMatrix, &[1.0, 3.0, 3.0, 2.0], &[2, 2], "positive definite");
        refused(Structure::CholeskyFactorCov, &[1.0, 0.0, 3.0, -2.0], &[2, 2], "positive");
        refused(Structure::Ordered, &[1.0], &[2], "give 2");
    }

    #[test]
    fn edges_have_no_coordinates() {
        for x in [[0.0, 1.0], [1.0, 0.0]] {
            assert!(Structure::Simplex.check(&x, &[2]).is_ok());
            assert!(Structure::Simplex.unconstrain(&x, &[2]).is_err());
        }
        assert!(Structure::PositiveOrdered.unconstrain(&[0.0, 1.0], &[2]).is_err());
    }
}
