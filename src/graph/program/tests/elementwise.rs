//! Every function of one, two and three numbers, with scalars and arrays of every spread.

use super::{agree_in_doubles, agree_to};
use crate::graph::{Binary, Graph, Shape, Spread, Ternary, Unary, Var};

const UNARY: [(Unary, f64, f64); 36] = [
    (Unary::Neg, -3.0, 3.0),
    (Unary::Abs, -3.0, 3.0),
    (Unary::Sign, -3.0, 3.0),
    (Unary::Exp, -5.0, 5.0),
    (Unary::Expm1, -3.0, 3.0),
    (Unary::Log, 0.1, 9.0),
    (Unary::Log1p, -0.9, 9.0),
    (Unary::Sqrt, 0.0, 9.0),
    (Unary::Square, -3.0, 3.0),
    (Unary::Recip, 0.1, 3.0),
    (Unary::Sin, -9.0, 9.0),
    (Unary::Cos, -9.0, 9.0),
    (Unary::Tan, -1.0, 1.0),
    (Unary::Asin, -1.0, 1.0),
    (Unary::Acos, -1.0, 1.0),
    (Unary::Atan, -3.0, 3.0),
    (Unary::Sinh, -3.0, 3.0),
    (Unary::Cosh, -3.0, 3.0),
    (Unary::Tanh, -3.0, 3.0),
    (Unary::Sigmoid, -9.0, 9.0),
    (Unary::Softplus, -9.0, 9.0),
    (Unary::Lgamma, 0.1, 30.0),
    (Unary::Digamma, 0.1, 30.0),
    (Unary::Trigamma, 0.1, 30.0),
    (Unary::Tetragamma, 0.1, 30.0),
    (Unary::Erf, -3.0, 3.0),
    (Unary::Erfc, -3.0, 3.0),
    (Unary::Phi, -5.0, 5.0),
    (Unary::LogPhi, -9.0, 5.0),
    (Unary::InvPhi, 0.01, 0.99),
    (Unary::LogBesselI0, 0.0, 20.0),
    (Unary::BesselRatio, 0.0, 20.0),
    (Unary::Floor, -3.0, 3.0),
    (Unary::Ceil, -3.0, 3.0),
    (Unary::Round, -3.0, 3.0),
    (Unary::Not, 0.0, 1.0),
];

const BINARY: [Binary; 20] = [
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::MulZero,
    Binary::Div,
    Binary::Pow,
    Binary::Min,
    Binary::Max,
    Binary::Atan2,
    Binary::Lt,
    Binary::Le,
    Binary::Eq,
    Binary::Ne,
    Binary::And,
    Binary::Or,
    Binary::Mod,
    Binary::GammaP,
    Binary::GammaPda,
    Binary::LogAddExp,
    Binary::ShareExp,
];

/// Arrays of `n` and scalars, of both spreads.
fn operands(g: &mut Graph, n: usize) -> Vec<Var> {
    let shape = Shape::new(&[n]);
    let data: Vec<f64> = (0..n).map(|i| 0.4 + 0.1 * (i % 7) as f64).collect();
    vec![
        g.input("wide", shape, Spread::Particle),
        g.input("wide scalar", Shape::SCALAR, Spread::Particle),
        g.input("narrow", shape, Spread::Shared),
        g.input("narrow scalar", Shape::SCALAR, Spread::Shared),
        g.constant(data, shape),
    ]
}

#[test]
fn functions_of_one_number() {
    for (op, lo, hi) in UNARY {
        let mut g = Graph::new();
        let mut out = vec![];
        for n in [1, 5, 70, 300] {
            let v = operands(&mut g, n);
            out.extend([v[0], v[1], v[2]].map(|x| g.unary(op, x)));
        }
        // The reference's error function and what is built on it are no better than this.
        let erf = [Unary::Erf, Unary::Erfc, Unary::Phi, Unary::LogPhi, Unary::InvPhi];
        let near_erf = erf.contains(&op);
        agree_to(&g, &out, (lo, hi), if near_erf { 1e-9 } else { 2e-11 });
    }
}

#[test]
fn functions_of_two_numbers() {
    for op in BINARY {
        let mut g = Graph::new();
        let mut out = vec![];
        for n in [3, 70] {
            let v = operands(&mut g, n);
            for a in 0..5 {
                for b in 0..5 {
                    out.push(g.binary(op, v[a], v[b]));
                }
            }
        }
        agree_to(&g, &out, (0.2, 4.0), 1e-11);
    }
}

#[test]
fn functions_of_three_numbers() {
    let special = [Ternary::IncBeta, Ternary::IncBetaDa, Ternary::IncBetaDb];
    for op in [Ternary::Select, Ternary::Fma].into_iter().chain(special) {
        let mut g = Graph::new();
        let mut out = vec![];
        let v = operands(&mut g, 67);
        for (a, b, c) in [(0, 1, 2), (1, 0, 3), (2, 3, 0), (4, 0, 0), (3, 1, 1), (2, 4, 3), (0, 3, 1)] {
            let c = if special.contains(&op) && c == 0 { 2 } else { c };
            out.push(g.ternary(op, v[a], v[b], v[c]));
        }
        agree_to(&g, &out, (0.2, 0.9), 1e-9);
    }
}

#[test]
fn special_values() {
    let (g, out) = special(1e-310, 1e300);
    agree_in_doubles(&g, &out, (1.0, 2.0), 1e-11);
    let (g, out) = special(1e-40, 1e35);
    super::single::agree(&g, &out, (1.0, 2.0));
}

fn special(tiny: f64, huge: f64) -> (Graph, Vec<Var>) {
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(&[9]), Spread::Particle);
    let edge = vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, tiny, -1.0, huge, 2.5];
    let c = g.constant(edge, Shape::new(&[9]));
    let wide = g.mul(x, c);
    let mut out = vec![];
    for u in [Unary::Sign, Unary::Exp, Unary::Log, Unary::Abs, Unary::Sigmoid, Unary::Softplus] {
        out.push(g.unary(u, wide));
    }
    for b in [Binary::Min, Binary::Max, Binary::Lt, Binary::And, Binary::Ne] {
        out.push(g.binary(b, wide, x));
    }
    let flipped: Vec<Var> =
        [Binary::Min, Binary::Max, Binary::MulZero, Binary::Or].into_iter().map(|b| g.binary(b, x, wide)).collect();
    (g, [out, flipped].concat())
}

#[test]
fn chains_of_products_and_sums() {
    for n in [1, 2, 7, 64, 65, 333] {
        let mut g = Graph::new();
        let v = operands(&mut g, n);
        let mut out = vec![];
        for (a, b, c) in [(0, 1, 2), (0, 0, 1), (2, 3, 0), (1, 4, 0), (3, 4, 2)] {
            let p = g.mul(v[a], v[b]);
            let q = g.mul(v[b], v[c]);
            out.push(g.add(p, v[c]));
            let s = g.sub(q, v[a]);
            out.push(g.sub(v[0], s));
            let t = g.sub(v[c], q);
            let u = g.square(t);
            out.push(g.add(u, v[a]));
            let w = g.exp(u);
            let z = g.square(w);
            out.push(g.sum(z));
            let y = g.mul(w, t);
            out.push(g.sum(y));
        }
        agree_to(&g, &out, (-1.0, 1.0), 1e-11);
    }
}
