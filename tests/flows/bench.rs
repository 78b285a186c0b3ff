//! A flow with its programs at one point, points to try, and parameters to try.

use nalgebra::DMatrix;
use thalweg::base::rng::Stream;
use thalweg::base::simd::Isa;
use thalweg::flow::Flow;
use thalweg::graph::program::{Options, Program};
use thalweg::graph::reverse::grad;
use thalweg::graph::{Graph, Shape, Spread, Var};

/// Both directions of a flow, as programs of (theta, point, context, seed, weight).
pub struct Bench {
    pub flow: Flow,
    pub d: usize,
    pub c: usize,
    forward: Direction,
    inverse: Direction,
    /// Value, log-determinant and pushed score of a point with a score (the seed), where the layers have a recursion for it.
    scored: Option<Program>,
}

struct Direction {
    /// Value and log-determinant.
    value: Program,
    /// The row of the Jacobian that a seed chooses.
    row: Program,
    /// Everything in [`Out`].
    all: Program,
}

/// What a direction gives at a point: value, log-determinant, and the gradient of `<seed, value> + weight *
/// log-determinant` in parameters, point and context.
pub struct Out {
    pub value: Vec<f64>,
    pub log_det: f64,
    pub theta: Vec<f64>,
    pub point: Vec<f64>,
    pub context: Vec<f64>,
}

impl Bench {
    pub fn new(flow: Flow) -> Bench {
        let (d, c) = (flow.dim(), flow.context());
        let (forward, inverse) = (Direction::new(&flow, true), Direction::new(&flow, false));
        let scored = scored(&flow);
        Bench { flow, d, c, forward, inverse, scored }
    }

    /// The context at which the flow is tried, scaled.
    pub fn context(&self, scale: f64) -> Vec<f64> {
        (0..self.c).map(|k| scale * (0.7 - 0.4 * k as f64)).collect()
    }

    fn direction(&self, forward: bool) -> &Direction {
        if forward { &self.forward } else { &self.inverse }
    }

    pub fn run(&self, forward: bool, theta: &[f64], x: &[f64], ctx: &[f64], seed: &[f64], weight: f64) -> Out {
        let mut out = Out {
            value: vec![0.0; self.d],
            log_det: 0.0,
            theta: vec![0.0; theta.len()],
            point: vec![0.0; self.d],
            context: vec![0.0; self.c],
        };
        let mut log_det = [0.0];
        let outputs: &mut [&mut [f64]] =
            &mut [&mut out.value, &mut log_det, &mut out.theta, &mut out.point, &mut out.context];
        run(&self.direction(forward).all, &[theta, x, ctx, seed, &[weight]], outputs);
        out.log_det = log_det[0];
        out
    }

    /// Value and log-determinant.
    pub fn map(&self, forward: bool, theta: &[f64], x: &[f64], ctx: &[f64]) -> (Vec<f64>, f64) {
        let (mut value, mut log_det, seed) = (vec![0.0; self.d], [0.0], vec![0.0; self.d]);
        let program = &self.direction(forward).value;
        run(program, &[theta, x, ctx, &seed, &[0.0]], &mut [&mut value, &mut log_det]);
        (value, log_det[0])
    }

    /// Value, log-determinant and score of the law of the value, where x has the score `score`; none without a recursion.
    pub fn scored(&self, theta: &[f64], x: &[f64], ctx: &[f64], score: &[f64]) -> Option<(Vec<f64>, f64, Vec<f64>)> {
        let (mut value, mut log_det, mut pushed) = (vec![0.0; self.d], [0.0], vec![0.0; self.d]);
        let outputs: &mut [&mut [f64]] = &mut [&mut value, &mut log_det, &mut pushed];
        run(self.scored.as_ref()?, &[theta, x, ctx, score, &[0.0]], outputs);
        Some((value, log_det[0], pushed))
    }

    /// The Jacobian at `x`, row by row.
    pub fn jacobian(&self, forward: bool, theta: &[f64], x: &[f64], ctx: &[f64]) -> DMatrix<f64> {
        let (mut rows, mut seed) = (vec![0.0; self.d * self.d], vec![0.0; self.d]);
        for (k, row) in rows.chunks_mut(self.d).enumerate() {
            seed.fill(0.0);
            seed[k] = 1.0;
            run(&self.direction(forward).row, &[theta, x, ctx, &seed, &[0.0]], &mut [row]);
        }
        DMatrix::from_row_slice(self.d, self.d, &rows)
    }

    /// Points at 0, 1 and 8 standard deviations in every coordinate, signs mixed, and one in between.
    pub fn points(&self) -> Vec<Vec<f64>> {
        let mut rng = Stream::new(3, "points", self.d as u64);
        let signs: Vec<f64> = (0..self.d).map(|_| if rng.uniform() < 0.5 { -1.0 } else { 1.0 }).collect();
        let mut points: Vec<Vec<f64>> = [0.0, 1.0, 8.0].iter().map(|s| signs.iter().map(|x| s * x).collect()).collect();
        points.push((0..self.d).map(|_| rng.normal()).collect());
        points
    }
}

/// Inputs of [`Bench`]'s programs in a new graph.
fn inputs(flow: &Flow) -> (Graph, [Var; 5]) {
    let mut g = Graph::new();
    let mut input = |name: &str, n: &[usize]| g.input(name, Shape::new(n), Spread::Particle);
    let vars = [
        input("theta", &[flow.len()]),
        input("x", &[flow.dim()]),
        input("context", &[flow.context()]),
        input("seed", &[flow.dim()]),
        input("weight", &[]),
    ];
    (g, vars)
}

impl Direction {
    fn new(flow: &Flow, forward: bool) -> Direction {
        let (mut g, [theta, x, ctx, seed, weight]) = inputs(flow);
        let given = (flow.context() > 0).then_some(ctx);
        let (y, log_det) = match forward {
            true => flow.forward(&mut g, theta, x, given),
            false => flow.inverse(&mut g, theta, x, given),
        };
        let row = grad(&mut g, &[y], &[seed], &[x]);
        let grads = grad(&mut g, &[y, log_det], &[seed, weight], &[theta, x, ctx]);
        thalweg::graph::check::check(&g).expect("a flow writes a correct graph");
        let compile = |outputs: &[Var]| Program::compile(&g, outputs, &Options { lanes: 1, isa: Isa::detect() });
        Direction {
            value: compile(&[y, log_det]),
            row: compile(&row),
            all: compile(&[&[y, log_det], &grads[..]].concat()),
        }
    }
}

fn scored(flow: &Flow) -> Option<Program> {
    let (mut g, [theta, x, ctx, seed, _]) = inputs(flow);
    let given = (flow.context() > 0).then_some(ctx);
    let outputs = flow.forward_scored(&mut g, theta, x, seed, given)?;
    thalweg::graph::check::check(&g).expect("a flow writes a correct graph");
    Some(Program::compile(&g, &outputs, &Options { lanes: 1, isa: Isa::detect() }))
}

fn run(program: &Program, inputs: &[&[f64]], outputs: &mut [&mut [f64]]) {
    program.run(inputs, outputs, &mut vec![0.0; program.scratch()]);
}

/// Weights N(0, 0.5²), log-scales spread over ±3, and the last biases of a network over ±6, which is twice the bound
/// of a log-scale in the registry (over ±3 for splines, where they are logs of bins).
pub fn spread(flow: &Flow, seed: u64) -> Vec<f64> {
    let mut rng = Stream::new(seed, "spread", 0);
    let mut theta = vec![0.0; flow.len()];
    for (k, layer) in flow.layers().iter().enumerate() {
        let segments = flow.layer_segments(k);
        let bias = if layer.describe().contains("spline") { 3.0 } else { 6.0 };
        for (n, s) in segments.iter().enumerate() {
            let last_bias = s.name.contains("bias") && n + 1 == segments.len();
            for x in &mut theta[s.start..s.start + s.count()] {
                *x = match () {
                    _ if s.name.ends_with("log_scale") => 3.0 * (2.0 * rng.uniform() - 1.0),
                    _ if last_bias => bias * (2.0 * rng.uniform() - 1.0),
                    _ => 0.5 * rng.normal(),
                };
            }
        }
    }
    theta
}

/// Parameters after 200 steps of Adam on the forward KL divergence from a curved target, two draws a step.
pub fn trained(bench: &Bench) -> Vec<f64> {
    let mut rng = Stream::new(4, "target", bench.d as u64);
    let mut theta = bench.flow.initial(2);
    let (mut m, mut v) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
    for step in 1..=200 {
        let mut gradient = vec![0.0; theta.len()];
        for _ in 0..2 {
            let ctx = bench.context(rng.normal());
            let x = curved(bench.d, &ctx, &mut rng);
            // log q(x) = -|u|² / 2 + log |det du/dx|
            let (u, _) = bench.map(false, &theta, &x, &ctx);
            let seed: Vec<f64> = u.iter().map(|u| -u).collect();
            let out = bench.run(false, &theta, &x, &ctx, &seed, 1.0);
            gradient.iter_mut().zip(&out.theta).for_each(|(g, o)| *g -= o / 2.0);
        }
        for k in 0..theta.len() {
            m[k] = 0.9 * m[k] + 0.1 * gradient[k];
            v[k] = 0.999 * v[k] + 0.001 * gradient[k] * gradient[k];
            let (mean, var) = (m[k] / (1.0 - 0.9f64.powi(step)), v[k] / (1.0 - 0.999f64.powi(step)));
            theta[k] -= 0.01 * mean / (var.sqrt() + 1e-8);
        }
    }
    theta
}

/// A draw whose coordinates bend around the one before.
pub fn curved(d: usize, ctx: &[f64], rng: &mut Stream) -> Vec<f64> {
    let shift: f64 = ctx.iter().sum();
    let mut x: Vec<f64> = Vec::with_capacity(d);
    for k in 0..d {
        let before = if k == 0 { shift } else { 0.3 * x[k - 1] * x[k - 1] - 0.3 };
        x.push(before.clamp(-3.0, 3.0) + 0.5 * rng.normal());
    }
    x
}
