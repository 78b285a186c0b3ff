//! Many points at once, as an axis or in lanes, are as many single points.

use super::bench::{Bench, spread};
use super::laws::ROUNDING;
use thalweg::base::simd::Isa;
use thalweg::flow::{Flow, registry};
use thalweg::graph::program::{Options, Program};
use thalweg::graph::reverse::grad;
use thalweg::graph::{Graph, Shape, Spread, Var, batch};

/// One point: value, log-determinant, and the log-determinant minus half of |value|².
fn point(flow: &Flow, forward: bool, particle: Spread) -> (Graph, [Var; 3]) {
    let mut g = Graph::new();
    let theta = g.input("theta", Shape::new(&[flow.len()]), Spread::Shared);
    let x = g.input("x", Shape::new(&[flow.dim()]), particle);
    let c = g.input("context", Shape::new(&[flow.context()]), particle);
    let ctx = (flow.context() > 0).then_some(c);
    let (y, log_det) = if forward { flow.forward(&mut g, theta, x, ctx) } else { flow.inverse(&mut g, theta, x, ctx) };
    let square = g.dot(y, y);
    let half = g.scale(-0.5, square);
    let score = g.add(log_det, half);
    (g, [y, log_det, score])
}

fn compile(g: &Graph, outputs: &[Var], lanes: usize) -> Program {
    Program::compile(g, outputs, &Options { lanes, isa: Isa::detect() })
}

/// Points, contexts, single values and log-determinants, the sum of single gradients, and the rounding each value may have.
struct Singles {
    x: Vec<Vec<f64>>,
    ctx: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
    log_det: Vec<f64>,
    gradient: Vec<f64>,
    rounding: Vec<f64>,
}

fn singles(b: &Bench, theta: &[f64], forward: bool, n: usize) -> Singles {
    let points = b.points();
    let mut s = Singles {
        x: (0..n).map(|p| points[p % points.len()].iter().map(|x| x * (1.0 - 0.02 * p as f64)).collect()).collect(),
        ctx: (0..n).map(|p| b.context(1.0 - 0.1 * p as f64)).collect(),
        y: vec![],
        log_det: vec![],
        gradient: vec![0.0; theta.len()],
        rounding: vec![],
    };
    for p in 0..n {
        let (y, log_det) = b.map(forward, theta, &s.x[p], &s.ctx[p]);
        let seed: Vec<f64> = y.iter().map(|y| -y).collect();
        let out = b.run(forward, theta, &s.x[p], &s.ctx[p], &seed, 1.0);
        s.gradient.iter_mut().zip(&out.theta).for_each(|(sum, g)| *sum += g);
        let steep = b.jacobian(forward, theta, &s.x[p], &s.ctx[p]).abs().row_sum().max();
        s.rounding.push(ROUNDING * (1.0 + steep) * 10.0);
        s.y.push(y);
        s.log_det.push(log_det);
    }
    s
}

fn close(what: &str, got: f64, expected: f64, rounding: f64) {
    let tolerance = (1e-11 + rounding) * (1.0 + expected.abs());
    assert!((got - expected).abs() <= tolerance, "{what}: {got}, not {expected} (tolerance {tolerance:.1e})");
}

/// An axis of points: values, and the gradient in the parameters as the sum over points.
fn axis(name: &str, b: &Bench, theta: &[f64], forward: bool, n: usize) {
    let (g, outputs) = point(&b.flow, forward, Spread::Shared);
    let (mut g, outputs) = batch(&g, &outputs, &[false, true, true], n);
    let one = g.filled(1.0, Shape::new(&[n]));
    let wrt = g.inputs()[0].var;
    let gradient = grad(&mut g, &outputs[2..], &[one], &[wrt]);
    let program = compile(&g, &[&outputs[..2], &gradient].concat(), 1);
    let s = singles(b, theta, forward, n);
    let (mut y, mut log_det, mut total) = (vec![0.0; n * b.d], vec![0.0; n], vec![0.0; theta.len()]);
    let (x, ctx) = (s.x.concat(), s.ctx.concat());
    program.run(&[theta, &x, &ctx], &mut [&mut y, &mut log_det, &mut total], &mut vec![0.0; program.scratch()]);
    for p in 0..n {
        close(&format!("{name}, log-determinant {p} of {n}"), log_det[p], s.log_det[p], s.rounding[p]);
        for k in 0..b.d {
            close(&format!("{name}, value {p} of {n}"), y[p * b.d + k], s.y[p][k], s.rounding[p]);
        }
    }
    let size = s.gradient.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let rounding = s.rounding.iter().fold(0.0, |m: f64, r| m.max(*r)) * size;
    for (got, expected) in total.iter().zip(&s.gradient) {
        close(&format!("{name}, gradient of {n}"), *got, *expected, rounding);
    }
}

/// Points in lanes, a number of them that does not fill the lanes.
fn lanes(name: &str, b: &Bench, theta: &[f64], forward: bool, n: usize) {
    let (mut g, mut outputs) = point(&b.flow, forward, Spread::Particle);
    // A log-determinant of parameters alone.
    for v in &mut outputs {
        if g.node(*v).spread == Spread::Shared {
            *v = g.per_particle(*v);
        }
    }
    let program = compile(&g, &outputs[..2], 8);
    let s = singles(b, theta, forward, n);
    let turned = |rows: &[Vec<f64>], w: usize| -> Vec<f64> { (0..w * n).map(|k| rows[k % n][k / n]).collect() };
    let (x, ctx) = (turned(&s.x, b.d), turned(&s.ctx, b.c));
    let (mut y, mut log_det) = (vec![0.0; n * b.d], vec![0.0; n]);
    program.run_many(n, &[theta, &x, &ctx], &mut [&mut y, &mut log_det], &mut vec![0.0; program.scratch()]);
    for p in 0..n {
        close(&format!("{name}, log-determinant in lane {p}"), log_det[p], s.log_det[p], s.rounding[p]);
        for k in 0..b.d {
            close(&format!("{name}, value in lane {p}"), y[k * n + p], s.y[p][k], s.rounding[p]);
        }
    }
}

#[test]
fn batches_are_singles() {
    for entry in registry() {
        for (d, context, n) in [(1, 0, 3), (1, 2, 7), (3, 2, 1), (3, 2, 5), (8, 0, 13)] {
            let context = if entry.conditional { context } else { 0 };
            let b = Bench::new(Flow::new(vec![(entry.new)(d, context)]));
            let theta = spread(&b.flow, 5);
            for forward in [true, false] {
                let name = format!("{}, d = {d}, context {context}, forward: {forward}", entry.name);
                axis(&name, &b, &theta, forward, n);
                lanes(&name, &b, &theta, forward, n);
            }
        }
    }
}
