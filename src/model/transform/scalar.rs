//! Intervals: lower, upper or both bounds, elementwise.

use crate::graph::{Graph, Unary, Var};

/// Values inside an interval, elementwise, and the elementwise log Jacobian (`None`: identity, 0).
///
/// - lower a: `x = a + exp(u)`, log J = u
/// - upper b: `x = b - exp(u)`, log J = u
/// - both: `x = a + (b - a) inv_logit(u)`,
///   log J = log(b - a) - log(1 + exp(-u)) - log(1 + exp(u))
///
/// Bounds have the shape of `u` or are scalars. A constant bound that is infinite counts as absent,
/// element by element.
pub fn interval(g: &mut Graph, u: Var, lower: Option<Var>, upper: Option<Var>) -> (Var, Option<Var>) {
    let absent = |g: &Graph, bound: Option<Var>, at: f64| {
        let values = g.constant_value(bound?)?;
        values.contains(&at).then(|| values.iter().map(|x| (*x != at) as u8 as f64).collect())
    };
    let lower_mask: Option<Vec<f64>> = absent(g, lower, f64::NEG_INFINITY);
    let upper_mask: Option<Vec<f64>> = absent(g, upper, f64::INFINITY);
    if let (Some(bound), Some(mask)) = (lower, lower_mask) {
        let finite = finite_part(g, bound);
        return mixed(g, mask, bound, |g, there| interval(g, u, there.then_some(finite), upper));
    }
    if let (Some(bound), Some(mask)) = (upper, upper_mask) {
        let finite = finite_part(g, bound);
        return mixed(g, mask, bound, |g, there| interval(g, u, lower, there.then_some(finite)));
    }
    match (lower, upper) {
        (None, None) => (u, None),
        (Some(a), None) => {
            let e = g.exp(u);
            (g.add(a, e), Some(u))
        }
        (None, Some(b)) => {
            let e = g.exp(u);
            (g.sub(b, e), Some(u))
        }
        (Some(a), Some(b)) => between(g, u, a, b),
    }
}

/// `a + (b - a) inv_logit(u)`; log J in the form log(b - a) + u - 2 log(1 + exp(u)), which is exact
/// to rounding for any sign of u.
fn between(g: &mut Graph, u: Var, a: Var, b: Var) -> (Var, Option<Var>) {
    let width = g.sub(b, a);
    let z = g.unary(Unary::Sigmoid, u);
    let scaled = g.mul(width, z);
    let x = g.add(a, scaled);
    let s = g.unary(Unary::Softplus, u);
    let twice = g.scale(2.0, s);
    let j = g.sub(u, twice);
    let log_width = g.log(width);
    let j = g.add(log_width, j);
    (x, Some(j))
}

/// The constant bound with 0 for its infinite elements, so that the branch not taken is harmless.
fn finite_part(g: &mut Graph, bound: Var) -> Var {
    let shape = g.shape(bound);
    let values: Vec<f64> =
        g.constant_value(bound).map_or(vec![], |v| v.iter().map(|x| if x.is_infinite() { 0.0 } else { *x }).collect());
    g.constant(values, shape)
}

/// Joins the transform with the bound and the one without, by the mask of elements that have it.
fn mixed(
    g: &mut Graph,
    mask: Vec<f64>,
    bound: Var,
    mut build: impl FnMut(&mut Graph, bool) -> (Var, Option<Var>),
) -> (Var, Option<Var>) {
    let (x0, j0) = build(g, false);
    if mask.iter().all(|m| *m == 0.0) {
        return (x0, j0);
    }
    let (x1, j1) = build(g, true);
    let shape = g.shape(bound);
    let mask = g.constant(mask, shape);
    let zero = g.scalar(0.0);
    let x = g.select(mask, x1, x0);
    let j = g.select(mask, j1.unwrap_or(zero), j0.unwrap_or(zero));
    (x, Some(j))
}

/// The free coordinate of `x` in an interval; `-inf` and `inf` are absent bounds.
///
/// Refuses what is outside or on the edge, where there is no finite coordinate.
pub fn interval_inverse(x: f64, lower: f64, upper: f64) -> Result<f64, String> {
    if x.is_nan() {
        return Err("the value is NaN; replace it by a number".into());
    }
    if x.is_infinite() {
        return Err(format!("the value {x} is not finite; replace it by a number"));
    }
    if x <= lower {
        return Err(format!("{x} must be greater than the lower bound {lower}"));
    }
    if x >= upper {
        return Err(format!("{x} must be less than the upper bound {upper}"));
    }
    Ok(match (lower.is_finite(), upper.is_finite()) {
        (false, false) => x,
        (true, false) => (x - lower).ln(),
        (false, true) => (upper - x).ln(),
        (true, true) => (x - lower).ln() - (upper - x).ln(),
    })
}
