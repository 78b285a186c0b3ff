//! Programs in single precision against the reference evaluator in double precision, to what rounding allows.

use super::{Numbers, inputs, run};
use crate::base::simd::Isa;
use crate::graph::eval::evaluate;
use crate::graph::program::{Options, Program};
use crate::graph::{Graph, Var};

/// Relative size of the disturbance from which the condition of a graph is judged: four roundings, or as many
/// as a random walk of one rounding per node comes to.
fn nudge(g: &Graph) -> f64 {
    (g.nodes().len() as f64).sqrt().max(4.0) * 2f64.powi(-24)
}

fn reference(g: &Graph, x: &[Vec<f64>], outputs: &[Var]) -> Vec<Vec<f64>> {
    let x: Vec<&[f64]> = x.iter().map(|x| &x[..]).collect();
    evaluate(g, &x, outputs)
}

/// Largest magnitude among the finite.
fn largest(x: &[f64]) -> f64 {
    x.iter().filter(|t| t.is_finite()).fold(0.0, |m: f64, t| m.max(t.abs()))
}

/// Compares programs in single precision with the reference. What is allowed is eight times the largest
/// change under six random disturbances of the inputs by some roundings, and some roundings of the largest value.
pub(super) fn agree(g: &Graph, outputs: &[Var], range: (f64, f64)) {
    let x: Vec<Vec<f32>> =
        inputs(g, 1, range, 8).into_iter().map(|x| x.into_iter().map(|x| x as f32).collect()).collect();
    let exact: Vec<Vec<f64>> = x.iter().map(|x| x.iter().map(|x| f64::from(*x)).collect()).collect();
    let truth = reference(g, &exact, outputs);
    let (mut numbers, nudge) = (Numbers::new(11), nudge(g));
    let mut spread = vec![0.0f64; outputs.len()];
    for _ in 0..6 {
        let mut near = exact.clone();
        near.iter_mut().flatten().for_each(|x| *x *= 1.0 + nudge * numbers.between(-1.0, 1.0));
        for ((s, a), b) in spread.iter_mut().zip(&truth).zip(reference(g, &near, outputs)) {
            let change: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            *s = s.max(largest(&change));
        }
    }
    for isa in [Isa::Baseline, Isa::Avx2Fma] {
        let p = Program::<f32>::compile(g, outputs, &Options { lanes: 1, isa });
        let out = run(g, outputs, &p, &x);
        for (k, v) in outputs.iter().enumerate() {
            let allowed = 8.0 * spread[k] + 2e-6 * (1.0 + largest(&truth[k]));
            for (j, (a, b)) in out[k].iter().zip(&truth[k]).enumerate() {
                let (a, rounded) = (f64::from(*a), f64::from(*b as f32));
                let same = a == rounded || (a.is_nan() && b.is_nan()) || (a - b).abs() <= allowed;
                assert!(
                    same,
                    "{a} for {b} in element {j} of {v:?} {:?}, {isa:?}, where {allowed:e} is allowed",
                    g.node(*v)
                );
            }
        }
    }
}
