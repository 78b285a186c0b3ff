//! Values of the reference evaluator against closed forms.

use super::{evaluate, special};
use crate::graph::{Fold, Graph, Scan, Shape, Spread, Unary};

fn close(a: f64, b: f64, tol: f64) {
    assert!((a - b).abs() <= tol * (1.0 + b.abs()), "{a} against {b}");
}

#[test]
fn special_functions_match_known_values() {
    close(special::digamma(1.0), -0.577_215_664_901_532_9, 1e-15);
    close(special::digamma(-0.5), 0.036_489_973_978_576_52, 1e-14);
    close(special::trigamma(1.0), std::f64::consts::PI.powi(2) / 6.0, 1e-15);
    close(special::tetragamma(1.0), -2.0 * 1.202_056_903_159_594, 1e-15);
    close(special::log_phi(-30.0), -454.321_243_956_343_2, 1e-15);
    close(special::phi(special::inv_phi(1e-12)), 1e-12, 1e-26);
    close(special::log_bessel_i0(1.0), 1.266_065_877_752_008_4f64.ln(), 1e-15);
    let (below, above) = (special::bessel_ratio(59.999), special::bessel_ratio(60.001));
    assert!(below < above && above - below < 1e-6);
    close(special::gamma_p(1.0, 2.0), 1.0 - (-2.0f64).exp(), 1e-15);
    close(special::inc_beta(2.0, 1.0, 0.3), 0.09, 1e-15);
    close(special::inc_beta(2.0, 1.0, 0.9), 0.81, 1e-15);
}

#[test]
fn derivatives_in_the_shape_match_differences() {
    let h = 1e-5;
    for x in [0.3, 2.0, 9.0] {
        let d = (special::gamma_p(2.5 + h, x) - special::gamma_p(2.5 - h, x)) / (2.0 * h);
        close(special::gamma_p_da(2.5, x), d, 1e-9);
    }
    for x in [0.1, 0.5, 0.95] {
        let f = |a: f64, b: f64| special::inc_beta(a, b, x);
        let da = (f(2.0 + h, 3.0) - f(2.0 - h, 3.0)) / (2.0 * h);
        let db = (f(2.0, 3.0 + h) - f(2.0, 3.0 - h)) / (2.0 * h);
        close(special::inc_beta_da(2.0, 3.0, x), da, 1e-9);
        close(special::inc_beta_db(2.0, 3.0, x), db, 1e-9);
    }
}

/// Body `c' = a c + x` with per-step output `c + x`.
fn recurrence(reverse: bool, len: usize) -> Scan {
    let mut body = Graph::new();
    let c = body.input("c", Shape::SCALAR, Spread::Particle);
    let x = body.input("x", Shape::SCALAR, Spread::Shared);
    let a = body.input("a", Shape::SCALAR, Spread::Particle);
    let ac = body.mul(a, c);
    let next = body.add(ac, x);
    let y = body.add(c, x);
    Scan { body, len, xs: 1, next: vec![next], ys: vec![y], reverse }
}

#[test]
fn scan_runs_in_both_directions() {
    for (reverse, finals, trace) in [
        (false, 2.0 * (2.0 * (2.0 * 5.0 + 1.0) + 2.0) + 3.0, [5.0, 11.0, 24.0]),
        (true, 2.0 * (2.0 * (2.0 * 5.0 + 3.0) + 2.0) + 1.0, [28.0, 13.0, 5.0]),
    ] {
        let mut g = Graph::new();
        let c0 = g.input("c0", Shape::SCALAR, Spread::Particle);
        let a = g.input("a", Shape::SCALAR, Spread::Particle);
        let xs = g.constant(vec![1.0, 2.0, 3.0], Shape::new(&[3]));
        let s = g.scan(recurrence(reverse, 3), &[c0], &[xs], &[a]);
        let out: Vec<_> = (0..3).map(|k| g.proj(s, k)).collect();
        let v = evaluate(&g, &[&[5.0], &[2.0]], &out);
        assert_eq!(v[0], [finals]);
        assert_eq!(v[1], trace);
        let y: Vec<f64> = trace.iter().zip([1.0, 2.0, 3.0]).map(|(c, x)| c + x).collect();
        assert_eq!(v[2], y);
    }
}

#[test]
fn matrix_operations_agree_with_each_other() {
    let n = 4;
    let data: Vec<f64> = (0..2 * n * n).map(|k| ((k * k * 7 + 3) % 11) as f64 / 5.0).collect();
    let mut g = Graph::new();
    let a = g.input("a", Shape::new(&[2, n, n]), Spread::Particle);
    let aat = g.matmul(a, a, false, true);
    let eye: Vec<f64> = (0..2 * n * n).map(|k| if k % (n * n) % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let eye = g.constant(eye, Shape::new(&[2, n, n]));
    let m = g.add(aat, eye);
    let l = g.cholesky(m);
    let half = g.tri_solve(l, a, false);
    let whole = g.tri_solve(l, half, true);
    let direct = g.solve(m, a, false);
    let back = g.matmul(m, direct, true, false);
    let det = g.log_abs_det(m);
    let d = g.diagonal(l);
    let logs = g.unary(Unary::Log, d);
    let half_det = g.fold(Fold::Sum, logs, 1);
    let v = evaluate(&g, &[&data], &[whole, direct, back, det, half_det]);
    for j in 0..data.len() {
        close(v[0][j], v[1][j], 1e-12);
        close(v[2][j], data[j], 1e-12);
    }
    for s in 0..2 {
        close(v[3][s], 2.0 * v[4][s], 1e-13);
    }
}

#[test]
fn nan_is_a_value() {
    let mut g = Graph::new();
    let a = g.input("a", Shape::new(&[2, 2]), Spread::Particle);
    let outputs = [
        g.cholesky(a),
        g.log_abs_det(a),
        g.solve(a, a, true),
        g.fold_all(Fold::LogSumExp, a),
        g.fold_all(Fold::Max, a),
        g.unary(Unary::Digamma, a),
        g.unary(Unary::InvPhi, a),
    ];
    let v = evaluate(&g, &[&[f64::NAN, 0.0, -1.0, f64::INFINITY]], &outputs);
    assert!(v.iter().all(|x| x[0].is_nan()), "{v:?}");
}
