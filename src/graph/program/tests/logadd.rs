//! Sums of exponentials in log space: no term is lost at any distance, and derivatives are right at infinities.

use super::run;
use crate::base::simd::Isa;
use crate::graph::eval::evaluate;
use crate::graph::program::{Options, Program};
use crate::graph::reverse::gradient;
use crate::graph::{Graph, Shape, Spread, Unary, Var};

const NEVER: f64 = f64::NEG_INFINITY;

/// Pairs of logs, and exactly: the log of their sum, and its derivatives in both.
fn pairs() -> (Vec<[f64; 2]>, Vec<[f64; 3]>) {
    let (mut x, mut truth) = (vec![], vec![]);
    for high in [0.0, -3.0, 5e9] {
        for gap in [0.0f64, 1.0, 40.0, 700.0, 1e5, 1e10, f64::INFINITY] {
            let (sum, weight, other) =
                (high + (-gap).exp().ln_1p(), 1.0 / ((-gap).exp() + 1.0), 1.0 / (gap.exp() + 1.0));
            x.extend([[high, high - gap], [high - gap, high]]);
            truth.extend([[sum, weight, other], [sum, other, weight]]);
        }
    }
    x.extend([[NEVER; 2], [f64::INFINITY; 2]]);
    truth.extend([[NEVER, 0.5, 0.5], [f64::INFINITY, 0.5, 0.5]]);
    (x, truth)
}

/// `more` further terms that never occur follow the pairs; the outputs are sum and derivatives of all pairs.
fn sums(count: usize, more: usize) -> (Graph, [Var; 3]) {
    let shape = Shape::new(&[count]);
    let mut g = Graph::new();
    let mut terms = vec![g.input("a", shape, Spread::Particle), g.input("b", shape, Spread::Particle)];
    let never = g.filled(NEVER, shape);
    terms.extend(vec![never; more]);
    let sum = g.log_sum_exp_of(&terms);
    let total = g.sum(sum);
    let d = gradient(&mut g, total, &terms[..2]);
    (g, [sum, d[0], d[1]])
}

/// Relative to the truth, or where terms are added to others (`of`) relative to those.
fn assert_close(got: f64, truth: f64, of: f64, tolerance: f64, what: &str) {
    let near = got == truth || (got - truth).abs() <= tolerance * truth.abs().max(of);
    assert!(near, "{got:e} for {truth:e}: {what}");
}

#[test]
fn no_term_is_lost() {
    let (x, truth) = pairs();
    for more in [0, 1, 2] {
        let (g, out) = sums(x.len(), more);
        // Two terms: the small remainder itself is exact. More: relative to the larger term.
        let of = if more == 0 { 0.0 } else { 1.0 };
        for lanes in [1, 8, 64] {
            for isa in [Isa::Baseline, Isa::Avx2Fma] {
                let inputs = [0, 1].map(|k| x.iter().flat_map(|p| vec![p[k]; lanes]).collect::<Vec<f64>>());
                let p = Program::compile(&g, &out, &Options { lanes, isa });
                let got = run(&g, &out, &p, &inputs);
                let own = [0, 1].map(|k| x.iter().map(|p| p[k]).collect::<Vec<f64>>());
                let judge = evaluate(&g, &[&own[0], &own[1]], &out);
                for (j, t) in truth.iter().enumerate() {
                    // Among many, an infinite sum is constant.
                    let outputs = if more > 0 && t[0].is_infinite() { 1 } else { 3 };
                    for k in 0..outputs {
                        let what = format!("output {k} of {:?}, {more} more, {lanes} lanes, {isa:?}", x[j]);
                        assert_close(judge[k][j], t[k], of, 4e-15, &what);
                        got[k][j * lanes..][..lanes].iter().for_each(|v| assert_close(*v, t[k], of, 4e-15, &what));
                    }
                }
            }
        }
    }
}

#[test]
fn single_precision_loses_no_term() {
    let (x, truth) = pairs();
    let (g, out) = sums(x.len(), 0);
    let p = Program::<f32>::compile(&g, &out, &Options { lanes: 1, isa: Isa::Avx2Fma });
    let inputs = [0, 1].map(|k| x.iter().map(|p| p[k] as f32).collect::<Vec<f32>>());
    let got = run(&g, &out, &p, &inputs);
    // The larger terms and gaps up to 1e5 are numbers of single precision or keep their quotient of exponentials.
    let tame = |p: &[f64; 2]| p.iter().all(|v| f64::from(*v as f32) == *v);
    for (j, t) in truth.iter().enumerate().filter(|(j, _)| tame(&x[*j])) {
        // Below e^-87 a single is 0.
        (0..3).for_each(|k| assert_close(f64::from(got[k][j]), t[k], 1e-30, 4e-6, &format!("{k} of {:?}", x[j])));
    }
}

/// Twice differentiable: with p the weight of b, the second derivatives are p (1 - p) along (-1, 1).
#[test]
fn second_derivatives() {
    let (g, [_, da, _]) = sums(1, 0);
    let mut g = g;
    let inputs: Vec<Var> = g.inputs().iter().map(|i| i.var).collect();
    let d = gradient(&mut g, da, &inputs);
    for gap in [-700.0f64, -3.0, 0.0, 3.0, 700.0] {
        let s = 1.0 / ((1.0 + gap.exp()) * (1.0 + (-gap).exp()));
        let v = evaluate(&g, &[&[1.0], &[1.0 + gap]], &d);
        assert_close(v[0][0], s, 1e-16, 1e-14, "first");
        assert_close(v[1][0], -s, 1e-16, 1e-14, "second");
    }
}

/// What is below one of many terms without part in the sum gets 0, though its own derivative is infinite.
#[test]
fn below_a_term_that_never_occurs() {
    let mut g = Graph::new();
    let w = g.input("w", Shape::SCALAR, Spread::Particle);
    let one = g.scalar(1.0);
    let rest = g.sub(one, w);
    let terms = [g.unary(Unary::Log, w), g.unary(Unary::Log, rest), g.scalar(NEVER)];
    let sum = g.log_sum_exp_of(&terms);
    let d = gradient(&mut g, sum, &[w]);
    for (w, slope) in [(0.0, -1.0), (1.0, 1.0)] {
        assert_eq!(evaluate(&g, &[&[w]], &d), [[slope]]);
    }
}
