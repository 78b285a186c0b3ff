//! Laws of batches: a batch of points is the points one by one, values and derivatives.

use super::registry::{Case, array, values};
use super::{Built, all_cases, built, distance, objective, random};
use crate::base::simd::Isa;
use crate::graph::check::check;
use crate::graph::eval::evaluate;
use crate::graph::op::{Fold, Op, Unary};
use crate::graph::program::{Options, Program};
use crate::graph::reverse::{grad, gradient};
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var, batch};

const POINTS: usize = 3;

/// The data of an input at each point: near the given ones where it is batched.
fn at_points(data: &[Vec<f64>], batched: &[bool]) -> Vec<Vec<Vec<f64>>> {
    let moved = |x: &[f64], p: usize| x.iter().map(|x| x * (1.0 - 0.03 * p as f64)).collect();
    let input = |(x, wide): (&Vec<f64>, &bool)| -> Vec<Vec<f64>> {
        (0..POINTS).map(|p| if *wide { moved(x, p) } else { x.clone() }).collect()
    };
    data.iter().zip(batched).map(input).collect()
}

/// Values at each point by the graph for one point.
fn singles(g: &Graph, points: &[Vec<Vec<f64>>], outputs: &[Var]) -> Vec<Vec<Vec<f64>>> {
    let at = |p: usize| {
        let inputs: Vec<&[f64]> = points.iter().map(|x| x[p].as_slice()).collect();
        evaluate(g, &inputs, outputs)
    };
    (0..POINTS).map(at).collect()
}

/// The inputs of the batch.
fn joined(points: &[Vec<Vec<f64>>], batched: &[bool]) -> Vec<Vec<f64>> {
    points.iter().zip(batched).map(|(x, wide)| if *wide { x.concat() } else { x[0].clone() }).collect()
}

fn run(g: &Graph, inputs: &[Vec<f64>], outputs: &[Var]) -> Vec<Vec<f64>> {
    let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
    evaluate(g, &inputs, outputs)
}

/// Largest difference between a batch and its points: of the outputs, of the gradients of the scalar `y`
/// batched as they are, and of the gradient of the sum of `y` over the batch.
fn batch_error(
    name: &str,
    (g, x, y): (&mut Graph, &[Var], Var),
    out: &[Var],
    data: &[Vec<f64>],
    batched: &[bool],
) -> f64 {
    let points = at_points(data, batched);
    let grads = gradient(g, y, x);
    let outputs = [out, &grads, &grads].concat();
    let expected = singles(g, &points, &outputs);
    let (mut many, wanted) = batch(g, &[&[y], out, &grads].concat(), batched, POINTS);
    let inputs: Vec<Var> = many.inputs().iter().map(|i| i.var).collect();
    let one = many.scalar(1.0);
    let parts = grad(&mut many, &wanted[..1], &[one], &inputs);
    if let Err(e) = check(&many) {
        panic!("{name} {batched:?}: {e}\n{many}");
    }
    for (v, o) in wanted[1..].iter().zip(&outputs) {
        assert_eq!(many.shape(*v).dims()[0], POINTS, "{name}");
        assert_eq!(many.shape(*v).count(), POINTS * g.shape(*o).count(), "{name}");
    }
    let found = run(&many, &joined(&points, batched), &[&wanted[1..], &parts].concat());
    let mut worst: f64 = 0.0;
    for (k, found) in found.iter().enumerate() {
        let each: Vec<&Vec<f64>> = expected.iter().map(|values| &values[k]).collect();
        let own = out.len() + x.len();
        let summed = k >= own && !batched[k - own];
        let each = match summed {
            true => (0..each[0].len()).map(|j| each.iter().map(|v| v[j]).sum()).collect(),
            false => each.into_iter().flatten().copied().collect::<Vec<f64>>(),
        };
        worst = worst.max(distance(found, &each));
    }
    worst
}

fn case_error(case: &Case, batched: &[bool]) -> f64 {
    let mut b = built(case);
    let y = objective(&mut b);
    let Built { mut g, x, out } = b;
    let data: Vec<Vec<f64>> = case.inputs.iter().map(|(_, v)| v.clone()).collect();
    batch_error(&case.name, (&mut g, &x, y), &[out], &data, batched)
}

/// Rounding of sums in another order, of values of order one.
const ROUNDING: f64 = 1e-12;

#[test]
fn a_batch_is_its_points_for_every_operation() {
    let mut failed = vec![];
    for case in all_cases() {
        let k = case.inputs.len();
        for mask in 1..1usize << k {
            let batched: Vec<bool> = (0..k).map(|j| mask >> j & 1 == 1).collect();
            let error = case_error(&case, &batched);
            if error > ROUNDING {
                failed.push(format!("{} {batched:?}: {error:e}", case.name));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_batch_is_its_points_for_random_loops() {
    for seed in 1..150 {
        let (mut g, data, args, y) = random::program(seed);
        let batched: Vec<bool> = (0..args.len()).map(|k| !(k as u64 + seed).is_multiple_of(3)).collect();
        let error = batch_error(&format!("loop {seed}"), (&mut g, &args, y), &[y], &data, &batched);
        assert!(error < 1e-11, "{seed}: {error:e}");
    }
}

#[test]
fn values_of_many_axes_have_room_for_one_more() {
    for dims in [&[2, 1, 2, 3][..], &[2, 1, 2, 1, 3], &[1, 2, 1, 2, 1, 3]] {
        let case =
            Case::new(format!("{dims:?}"), vec![array(dims, 1, -1.0, 1.0), array(dims, 2, -1.0, 1.0)], |g, x| {
                let c = g.cumsum(x[0], true);
                let p = g.mul(c, x[1]);
                let s = g.fold(Fold::LogSumExp, p, 2);
                g.unary(Unary::Tanh, s)
            });
        for batched in [[true, true], [true, false], [false, true]] {
            let error = case_error(&case, &batched);
            assert!(error < ROUNDING, "{dims:?} {batched:?}: {error:e}");
        }
    }
}

/// Carries, slices and outputs of five axes leave room for both steps and points.
#[test]
fn loops_over_values_of_many_axes() {
    let dims = [1, 2, 1, 2, 1];
    let stack = [&[3], &dims[..]].concat();
    let case = Case::new("deep loop", vec![array(&dims, 1, -1.0, 1.0), array(&stack, 2, -1.0, 1.0)], move |g, x| {
        let mut body = Graph::new();
        let c = body.input("carry", Shape::new(&dims), Spread::Particle);
        let s = body.input("slice", Shape::new(&dims), Spread::Particle);
        let p = body.mul(c, s);
        let next = body.unary(Unary::Sin, p);
        let at =
            g.scan(Scan { body, len: 3, xs: 1, next: vec![next], ys: vec![p], reverse: false }, &x[..1], &x[1..], &[]);
        let parts: Vec<Var> = (0..3).map(|k| g.proj(at, k)).collect();
        g.concat(&parts, Shape::new(&[28]))
    });
    for batched in [[true, true], [true, false], [false, true]] {
        let error = case_error(&case, &batched);
        assert!(error < ROUNDING, "{batched:?}: {error:e}");
    }
}

#[test]
fn gradients_scaled_point_by_point() {
    let case = || {
        let mut g = Graph::new();
        let x: Vec<Var> = (0..2).map(|_| g.input("x", Shape::new(&[2]), Spread::Particle)).collect();
        let by = g.sum(x[1]);
        let s = g.scale_grad(x[0], by);
        let stopped = g.stop_gradient(x[1]);
        let p = g.mul(s, stopped);
        let y = g.sum(p);
        (g, x, y)
    };
    for batched in [[true, true], [true, false], [false, true]] {
        let (mut g, x, y) = case();
        let data = [values(2, 1, 0.5, 1.0), values(2, 2, 0.5, 1.0)];
        let error = batch_error("scale", (&mut g, &x, y), &[y], &data, &batched);
        assert!(error < ROUNDING, "{batched:?}: {error:e}");
    }
}

const WIDTH: usize = 5;
const HIDDEN: usize = 7;
const ROWS: usize = 16;

/// Half the square of a network with one hidden layer, its parameters slices of one vector, at one point.
fn network() -> (Graph, Vec<Var>) {
    let mut g = Graph::new();
    let sizes = [HIDDEN * WIDTH, HIDDEN, WIDTH * HIDDEN];
    let theta = g.input("theta", Shape::new(&[sizes.iter().sum()]), Spread::Shared);
    let x = g.input("x", Shape::new(&[WIDTH]), Spread::Particle);
    let mut start = 0;
    let mut slice = |g: &mut Graph, dims: &[usize]| {
        let shape = Shape::new(dims);
        let index = Index::Stride { start, stride: 1, len: shape.count() };
        start += shape.count();
        g.gather(theta, index, shape)
    };
    let (w, b, v) = (slice(&mut g, &[HIDDEN, WIDTH]), slice(&mut g, &[HIDDEN]), slice(&mut g, &[WIDTH, HIDDEN]));
    let h = g.matvec(w, x, false);
    let h = g.add(h, b);
    let h = g.unary(Unary::Tanh, h);
    let z = g.matvec(v, h, false);
    let s = g.square(z);
    let s = g.sum(s);
    let y = g.scale(0.5, s);
    (g, vec![y])
}

/// Layers of a network are one matrix product each, and so are their gradients: nothing in the graph has
/// a value per point and weight.
#[test]
fn shared_matrices_make_one_product() {
    let (g, outputs) = network();
    let (mut many, outputs) = batch(&g, &outputs, &[false, true], ROWS);
    let inputs: Vec<Var> = many.inputs().iter().map(|i| i.var).collect();
    let one = many.scalar(1.0);
    let grads = grad(&mut many, &outputs, &[one], &inputs);
    let (many, kept) = crate::graph::prune::prune(&many, &[outputs, grads].concat());
    let products: Vec<_> = many.nodes().iter().filter(|n| matches!(n.op, Op::MatMul { .. })).collect();
    // Two layers; the gradient of each in its matrix and in what it reads.
    assert_eq!(products.len(), 6, "{many}");
    assert!(products.iter().all(|n| n.shape.rank() == 2), "{many}");
    let largest = many.nodes().iter().map(|n| n.shape.count()).max();
    assert!(largest.is_some_and(|n| n <= ROWS * HIDDEN), "{many}");
    // The executor agrees.
    let isa = Isa::detect();
    let program = Program::compile(&many, &kept, &Options { lanes: 1, isa });
    let mut workspace = vec![0.0; program.scratch()];
    let data: Vec<Vec<f64>> =
        many.inputs().iter().enumerate().map(|(k, i)| values(many.shape(i.var).count(), k, -1.0, 1.0)).collect();
    let mut found: Vec<Vec<f64>> = kept.iter().map(|v| vec![0.0; many.shape(*v).count()]).collect();
    let ins: Vec<&[f64]> = data.iter().map(Vec::as_slice).collect();
    let mut outs: Vec<&mut [f64]> = found.iter_mut().map(Vec::as_mut_slice).collect();
    program.run(&ins, &mut outs, &mut workspace);
    assert!(distance(&found.concat(), &run(&many, &data, &kept).concat()) < ROUNDING);
}
