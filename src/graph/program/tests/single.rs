//! Programs in single precision against the reference evaluator in double precision, to what rounding allows.

use super::{LEVELS, Numbers, agree_to, bits, inputs, run, same_bits};
use crate::base::simd::Isa;
use crate::graph::batch::batch;
use crate::graph::eval::evaluate;
use crate::graph::program::{Options, Program};
use crate::graph::reverse::gradient;
use crate::graph::{Fold, Graph, Index, Shape, Spread, Unary, Var};

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
    let mut levels = Vec::new();
    for isa in LEVELS {
        let p = Program::<f32>::compile(g, outputs, &Options { lanes: 1, isa });
        let out = run(g, outputs, &p, &x);
        levels.push(bits(&out));
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
    same_bits(&levels);
}

/// The loss of a small network on a batch, and its gradient in all weights.
fn network(width: usize, points: usize) -> (Graph, Vec<Var>) {
    let mut g = Graph::new();
    let theta = g.input("theta", Shape::new(&[2 * width * width + 3 * width]), Spread::Shared);
    let x = g.input("x", Shape::new(&[1, width]), Spread::Shared);
    let mut used = 0;
    let mut take = |g: &mut Graph, shape: Shape| {
        let index = Index::Stride { start: used, stride: 1, len: shape.count() };
        used += shape.count();
        g.gather(theta, index, shape)
    };
    let mut h = x;
    for nonlinear in [Unary::Tanh, Unary::Softplus] {
        let (w, b) = (take(&mut g, Shape::new(&[width, width])), take(&mut g, Shape::new(&[width])));
        let y = g.matmul(h, w, false, false);
        let b = g.broadcast(b, g.shape(y));
        let y = g.add(y, b);
        h = g.unary(nonlinear, y);
    }
    let last = take(&mut g, Shape::new(&[width]));
    let last = g.broadcast(last, g.shape(h));
    let y = g.mul(h, last);
    let s = g.fold(Fold::Sum, y, 1);
    let s = g.sum(s);
    let (many, out) = batch(&g, &[s], &[false, true], points);
    let mut g = many;
    let square = g.square(out[0]);
    let total = g.sum(square);
    let loss = g.scale(1.0 / points as f64, total);
    let theta = g.inputs()[0].var;
    let slope = gradient(&mut g, loss, &[theta])[0];
    (g, vec![loss, slope, out[0]])
}

#[test]
fn gradients_of_networks_are_those_of_double_precision() {
    for (width, points) in [(8, 40), (16, 100), (10, 7), (33, 64), (128, 12)] {
        let (g, out) = network(width, points);
        agree_to(&g, &out, (-0.5, 0.5), 1e-11);
        let x: Vec<Vec<f32>> =
            inputs(&g, 1, (-0.5, 0.5), 3).iter().map(|x| x.iter().map(|x| *x as f32).collect()).collect();
        let exact: Vec<Vec<f64>> = x.iter().map(|x| x.iter().map(|x| f64::from(*x)).collect()).collect();
        let options = Options { lanes: 1, isa: Isa::detect() };
        let single = Program::<f32>::compile(&g, &out, &options);
        let a = run(&g, &out, &single, &x);
        let b = run(&g, &out, &Program::<f64>::compile(&g, &out, &options), &exact);
        let size = largest(&b[1]);
        for (a, b) in a[1].iter().zip(&b[1]) {
            assert!((f64::from(*a) - b).abs() <= 1e-4 * size, "{a} for {b} at width {width}");
        }
        let again = run(&g, &out, &single, &x);
        let bits = |x: &[Vec<f32>]| x.iter().flatten().map(|x| x.to_bits()).collect::<Vec<u32>>();
        assert_eq!(bits(&a), bits(&again));
    }
}

/// Sums of many equal numbers: in single precision the sum of so many would be off by 1e-4 and more.
#[test]
fn long_sums_are_added_up_in_double_precision() {
    for (rows, columns) in [(40_000, 8), (16, 20_000), (60_000, 3), (3, 60_000), (100_000, 1)] {
        let mut g = Graph::new();
        let x = g.input("x", Shape::new(&[rows, columns]), Spread::Shared);
        // Read twice, so that sums stay in the loop over the elements.
        let y = g.shift(x, 0.1);
        let table: Vec<u32> = (0..rows * columns).map(|j| (j * 7 % 3) as u32).collect();
        let scattered = g.scatter_add(y, Index::from_table(table), Shape::new(&[3]));
        let down = g.fold(Fold::Sum, y, 0);
        let across = g.fold(Fold::Sum, y, 1);
        let out = [down, across, g.sum(y), g.dot(y, x), scattered];
        let p = Program::<f32>::compile(&g, &out, &Options { lanes: 1, isa: Isa::detect() });
        let x = vec![0.1f32; rows * columns];
        let truth = reference(&g, &[x.iter().map(|x| f64::from(*x)).collect()], &out);
        for (a, b) in run(&g, &out, &p, &[x]).iter().flatten().zip(truth.iter().flatten()) {
            assert!((f64::from(*a) / b - 1.0).abs() < 3e-7, "{a} for {b}, {rows} by {columns}");
        }
    }
}

#[test]
fn divisors_without_an_inverse_in_single_precision_divide() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(&[9]), Spread::Shared);
    let tiny = g.constant(vec![1e-39; 9], Shape::new(&[9]));
    let y = g.div(x, tiny);
    let p = Program::<f32>::compile(&g, &[y], &Options { lanes: 1, isa: Isa::detect() });
    let out = run(&g, &[y], &p, &[vec![1e-38; 9]]);
    assert!(out[0].iter().all(|x| (x - 10.0).abs() < 1e-3), "{:?}", out[0]);
}

#[test]
#[should_panic(expected = "a program in single precision has one lane")]
fn lanes_are_refused() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::SCALAR, Spread::Particle);
    Program::<f32>::compile(&g, &[x], &Options { lanes: 8, isa: Isa::detect() });
}
