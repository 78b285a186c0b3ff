//! The laws of flows, each on one flow at one value of its parameters.

use super::bench::Bench;

pub type Law = fn(&Bench, &[f64]) -> Result<(), String>;

pub const LAWS: &[(&str, Law)] = &[
    ("inverse of forward is the identity", round_trip),
    ("log-determinant is that of the Jacobian", log_determinant),
    ("the score comes along", score_comes_along),
    ("gradients are finite", finite_gradients),
    ("the context counts", context_counts),
];

/// Size of the rounding error of one pass, in units of what it is multiplied by: a few hundred operations of 1.1e-16
/// each.
pub const ROUNDING: f64 = 1e-13;

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

/// Both ways round. An error of the size of rounding in the image is multiplied by the derivative of the way back.
fn round_trip(b: &Bench, theta: &[f64]) -> Result<(), String> {
    for first in [true, false] {
        for x in b.points() {
            let ctx = b.context(1.0);
            let (y, log_there) = b.map(first, theta, &x, &ctx);
            let (back, log_back) = b.map(!first, theta, &y, &ctx);
            let steep = b.jacobian(!first, theta, &y, &ctx).abs().row_sum().max();
            let tolerance = ROUNDING * (1.0 + largest(&x) + steep * (1.0 + largest(&y)));
            let error = x.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            if !(error <= tolerance) {
                return Err(format!("error {error:.1e} above {tolerance:.1e} at {x:?} (forward first: {first})"));
            }
            // The rounding error of the image moves the log-determinant of the way back, too.
            let change = b.run(!first, theta, &y, &ctx, &vec![0.0; b.d], 1.0).point;
            let moved = ROUNDING * (1.0 + largest(&y)) * change.iter().map(|g| g.abs()).sum::<f64>();
            let error = (log_there + log_back).abs();
            if !(error <= 1e-12 * (1.0 + log_there.abs()) + moved) {
                return Err(format!("log-determinants {log_there} and {log_back} at {x:?}"));
            }
        }
    }
    Ok(())
}

/// To 1e-8 of its size, or absolute below 1: logs of determinants lose no more than the elimination does.
fn log_determinant(b: &Bench, theta: &[f64]) -> Result<(), String> {
    for forward in [true, false] {
        for x in b.points() {
            let ctx = b.context(1.0);
            let (_, log_det) = b.map(forward, theta, &x, &ctx);
            let lu = b.jacobian(forward, theta, &x, &ctx).lu();
            let expected: f64 = lu.u().diagonal().iter().map(|u| u.abs().ln()).sum();
            if !((log_det - expected).abs() <= 1e-8 * (1.0 + expected.abs())) {
                return Err(format!("{log_det}, not {expected} at {x:?} (forward: {forward})"));
            }
        }
    }
    Ok(())
}

/// The score that the recursion pushes forward is the derivative by way of the inverse, `J⁻ᵀ s + ∇ log |det J⁻¹|`; value and
/// log-determinant are those of `forward`.
fn score_comes_along(b: &Bench, theta: &[f64]) -> Result<(), String> {
    let score: Vec<f64> = (0..b.d).map(|k| 0.4 - 0.3 * k as f64).collect();
    for x in b.points() {
        let ctx = b.context(1.0);
        let Some((y, log_det, pushed)) = b.scored(theta, &x, &ctx, &score) else { return Ok(()) };
        let back = b.run(false, theta, &y, &ctx, &score, 1.0);
        // Both ways multiply rounding errors of the image by second derivatives, which the score's own size bounds.
        let size = 1.0 + largest(&back.point) + largest(&y);
        let (there, log_there) = b.map(true, theta, &x, &ctx);
        let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let steep = b.jacobian(false, theta, &y, &ctx).abs().row_sum().max();
        if !(apart(&pushed, &back.point) <= 1e-11 * size * (1.0 + steep)) {
            return Err(format!("{pushed:?}, not {:?} at {x:?}", back.point));
        }
        if !(apart(&y, &there) <= ROUNDING * (1.0 + largest(&there))
            && (log_det - log_there).abs() <= ROUNDING * (1.0 + log_det.abs()))
        {
            return Err(format!("value or log-determinant differ from those of the way there at {x:?}"));
        }
    }
    Ok(())
}

/// In parameters, point and context; far out too, and at the corners of a spline's box.
fn finite_gradients(b: &Bench, theta: &[f64]) -> Result<(), String> {
    let seed: Vec<f64> = (0..b.d).map(|k| 1.0 - 0.3 * k as f64).collect();
    let mut points = b.points();
    for far in [4.0, -4.0, 50.0, -1e4] {
        points.push(vec![far; b.d]);
    }
    for forward in [true, false] {
        for x in &points {
            let out = b.run(forward, theta, x, &b.context(1.0), &seed, 1.0);
            let parts =
                [("value", &out.value), ("theta", &out.theta), ("point", &out.point), ("context", &out.context)];
            for (what, values) in parts {
                if !values.iter().all(|v| v.is_finite()) || !out.log_det.is_finite() {
                    return Err(format!("{what} not finite at {x:?} (forward: {forward})"));
                }
            }
        }
    }
    Ok(())
}

/// Where a context is read, another context gives another point.
fn context_counts(b: &Bench, theta: &[f64]) -> Result<(), String> {
    // At the start the context need not count yet.
    if b.c == 0 || theta == b.flow.initial(1) {
        return Ok(());
    }
    for forward in [true, false] {
        let x = &b.points()[3];
        if b.map(forward, theta, x, &b.context(1.0)) == b.map(forward, theta, x, &b.context(-1.0)) {
            return Err(format!("two contexts give one point (forward: {forward})"));
        }
    }
    Ok(())
}

/// No coordinate of a chain is handed through as it is.
pub fn all_transformed(b: &Bench, theta: &[f64]) -> Result<(), String> {
    let x = &b.points()[3];
    let (y, _) = b.map(true, theta, x, &b.context(1.0));
    match y.iter().position(|y| x.contains(y)) {
        Some(k) => Err(format!("coordinate {k} is handed through")),
        None => Ok(()),
    }
}
