//! Branches not taken never turn a gradient into NaN.

use crate::graph::eval::evaluate;
use crate::graph::jvp::jvp;
use crate::graph::op::{Binary, Fold, Unary};
use crate::graph::reverse::gradient;
use crate::graph::{Graph, Shape, Spread, Var};

/// `sum select(x > 0, f(x), 7)` at points where f or its derivative is not finite; value, gradient and
/// Hessian-vector product.
fn guarded(x0: &[f64], f: impl Fn(&mut Graph, Var) -> Var) -> [Vec<f64>; 3] {
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(&[x0.len()]), Spread::Particle);
    let (zero, seven) = (g.scalar(0.0), g.scalar(7.0));
    let positive = g.binary(Binary::Lt, zero, x);
    let fx = f(&mut g, x);
    let y = g.select(positive, fx, seven);
    let y = g.sum(y);
    let d = gradient(&mut g, y, &[x])[0];
    let one = g.scalar(1.0);
    let h = jvp(&mut g, &[d], &[x], &[one])[0];
    let v = evaluate(&g, &[x0], &[y, d, h]);
    v.try_into().expect("three outputs")
}

#[test]
fn elementwise_functions_below_a_branch() {
    let x = [2.0, 0.0, -1.0];
    let [value, d, h] = guarded(&x, |g, x| g.log(x));
    assert_eq!(value, [2f64.ln() + 14.0]);
    assert_eq!(d, [0.5, 0.0, 0.0]);
    assert_eq!(h, [-0.25, 0.0, 0.0]);
    let [_, d, h] = guarded(&x, |g, x| g.unary(Unary::Sqrt, x));
    assert_eq!((d[1], d[2], h[1], h[2]), (0.0, 0.0, 0.0, 0.0));
    let [_, d, h] = guarded(&x, |g, x| {
        let l = g.log(x);
        let r = g.unary(Unary::Recip, x);
        let p = g.mul(l, r);
        let p = g.binary(Binary::Pow, x, p);
        g.unary(Unary::Lgamma, p)
    });
    assert!(d[0].is_finite() && h[0].is_finite() && d[0] != 0.0);
    assert_eq!((d[1], d[2], h[1], h[2]), (0.0, 0.0, 0.0, 0.0));
}

#[test]
fn minimum_and_maximum_guard_too() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::SCALAR, Spread::Particle);
    let l = g.log(x);
    let floor = g.scalar(-10.0);
    let y = g.binary(Binary::Max, l, floor);
    let d = gradient(&mut g, y, &[x])[0];
    assert_eq!(evaluate(&g, &[&[0.0]], &[y, d]), [[-10.0], [0.0]]);
    assert_eq!(evaluate(&g, &[&[0.5]], &[d]), [[2.0]]);
}

#[test]
fn matrices_below_a_branch() {
    let mut g = Graph::new();
    let a = g.input("a", Shape::new(&[2, 2, 2]), Spread::Particle);
    let l = g.cholesky(a);
    let d = g.diagonal(l);
    let d = g.log(d);
    let d = g.fold(Fold::Sum, d, 1);
    let ok = g.constant(vec![1.0, 0.0], Shape::new(&[2]));
    let zero = g.scalar(0.0);
    let y = g.select(ok, d, zero);
    let y = g.sum(y);
    let grad = gradient(&mut g, y, &[a])[0];
    // The second matrix is indefinite.
    let v = evaluate(&g, &[&[2.0, 0.0, 0.0, 4.0, 1.0, 0.0, 3.0, 1.0]], &[y, grad]);
    assert!((v[0][0] - 0.5 * 8f64.ln()).abs() < 1e-15);
    let expected = [0.25, 0.0, 0.0, 0.125, 0.0, 0.0, 0.0, 0.0];
    for (x, e) in v[1].iter().zip(expected) {
        assert!((x - e).abs() < 1e-15, "{:?}", v[1]);
    }
}

#[test]
fn impossible_states_stay_silent() {
    // Only state 0 can be reached; log 0 = -inf elsewhere.
    let mut g = Graph::new();
    let a = g.input("a", Shape::new(&[2, 2]), Spread::Particle);
    let mask = g.constant(vec![0.0, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], Shape::new(&[2, 2]));
    let s = g.add(a, mask);
    let s = g.fold(Fold::LogSumExp, s, 0);
    let y = g.fold_all(Fold::LogSumExp, s);
    let d = gradient(&mut g, y, &[a])[0];
    let one = g.scalar(1.0);
    let t = jvp(&mut g, &[y], &[a], &[one])[0];
    let v = evaluate(&g, &[&[0.3, 1.0, 2.0, 3.0]], &[y, d, t]);
    assert_eq!(v, [vec![0.3], vec![1.0, 0.0, 0.0, 0.0], vec![1.0]]);
}

#[test]
fn ties_of_a_maximum_are_split() {
    let mut g = Graph::new();
    let a = g.input("a", Shape::new(&[4]), Spread::Particle);
    let y = g.fold_all(Fold::Max, a);
    let d = gradient(&mut g, y, &[a])[0];
    let v = evaluate(&g, &[&[1.0, 3.0, 3.0, 2.0]], &[d]);
    assert_eq!(v[0], [0.0, 0.5, 0.5, 0.0]);
}

#[test]
fn scale_grad_changes_derivatives_only() {
    let mut g = Graph::new();
    let a = g.input("a", Shape::new(&[2]), Spread::Particle);
    let by = g.constant(vec![2.0, 0.0], Shape::new(&[2]));
    let s = g.scale_grad(a, by);
    let y = g.sum(s);
    let d = gradient(&mut g, y, &[a])[0];
    assert_eq!(evaluate(&g, &[&[5.0, 6.0]], &[y, d]), [vec![11.0], vec![2.0, 0.0]]);
}
