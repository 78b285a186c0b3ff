//! A batch is its single values, whatever is batched; data fold away; factors are shared.

use super::cases::{Case, cases};
use thalweg::dist::law;
use thalweg::graph::eval::evaluate;
use thalweg::graph::{Graph, Op, Shape, Spread, Var};

const N: usize = 3;

/// A valid neighbour of each argument: the j-th of a batch.
fn variant(c: &Case, k: usize, j: usize) -> Vec<f64> {
    let (a, factor) = (&c.args[k].data, 1.0 + 0.1 * j as f64);
    let p = c.law().params()[k];
    if p.integer {
        return a.iter().map(|x| x + j as f64).collect();
    }
    if p.domain == thalweg::dist::Domain::Simplex {
        return (0..a.len()).map(|i| a[(i + j) % a.len()]).collect();
    }
    a.iter().map(|x| x * factor).collect()
}

/// Value or argument on the graph, as a batch or its first element.
fn place(g: &mut Graph, rows: &[Vec<f64>], dims: &[usize], batch: bool, input: bool) -> Var {
    let data = if batch { rows.concat() } else { rows[0].clone() };
    let shape = if batch { Shape::new(&[&[N], dims].concat()) } else { Shape::new(dims) };
    if input { g.input("y", shape, Spread::Particle) } else { g.constant(data, shape) }
}

/// Log densities with the parts of `mask` batched: bit 0 the value, then the arguments.
fn batch_lpdf(c: &Case, ys: &[Vec<f64>], mask: usize, y_input: bool) -> Vec<f64> {
    let mut g = Graph::new();
    let y = place(&mut g, ys, &c.dims, mask & 1 == 1, y_input);
    let args: Vec<Var> = (0..c.args.len())
        .map(|k| {
            let rows: Vec<Vec<f64>> = (0..N).map(|j| variant(c, k, j)).collect();
            place(&mut g, &rows, &c.args[k].dims, mask >> (k + 1) & 1 == 1, false)
        })
        .collect();
    let out = c.law().lpdf(&mut g, y, &args);
    let expected: &[usize] = if mask == 0 { &[] } else { &[N] };
    assert_eq!(g.shape(out).dims(), expected, "{} {mask:b}", c.law);
    let data = if mask & 1 == 1 { ys.concat() } else { ys[0].clone() };
    let inputs: &[&[f64]] = if y_input { &[&data] } else { &[] };
    evaluate(&g, inputs, &[out]).remove(0)
}

#[test]
fn batches_are_single_values() {
    for c in cases() {
        let ys: Vec<Vec<f64>> = (0..N).map(|j| c.golden[j % c.golden.len()].0.clone()).collect();
        for mask in 0..1 << (c.args.len() + 1) {
            let on = |bit: usize, j: usize| if mask >> bit & 1 == 1 { j } else { 0 };
            for y_input in [false, true] {
                let got = batch_lpdf(&c, &ys, mask, y_input);
                for (j, got) in got.iter().enumerate() {
                    let mut single = c.clone();
                    for k in 0..c.args.len() {
                        single.args[k].data = variant(&c, k, on(k + 1, j));
                    }
                    let expected = single.lpdf(&ys[on(0, j)])[0];
                    let gap = (got - expected).abs() / (1.0 + expected.abs());
                    assert!(got == &expected || gap < 1e-12, "{} {mask:b}: {got}, not {expected}", c.law);
                }
            }
        }
    }
}

fn count(g: &Graph, test: impl Fn(&Op) -> bool) -> usize {
    g.nodes().iter().filter(|n| test(&n.op)).count()
}

/// Data of many rows under shared arguments cost nothing per row, or one pass.
#[test]
fn shared_arguments_leave_the_loop() {
    let passes: &[(&str, usize, usize)] = &[
        ("exponential", 1, 0),
        ("gamma", 2, 0),
        ("beta", 2, 0),
        ("pareto", 2, 0),
        ("bernoulli", 1, 0),
        ("bernoulli_logit", 1, 0),
        ("poisson", 1, 0),
        ("binomial", 2, 0),
        ("normal", 2, 1),
        ("lognormal", 2, 1),
        ("double_exponential", 2, 1),
    ];
    for &(name, args, folds) in passes {
        let mut g = Graph::new();
        let data: Vec<f64> = (0..200).map(|j| f64::from(j % 2)).collect();
        let data: Vec<f64> = match name {
            "poisson" | "binomial" | "bernoulli" | "bernoulli_logit" => data,
            _ => data.iter().map(|x| 0.3 + 0.2 * x).collect(),
        };
        let y = g.constant(data, Shape::new(&[200]));
        let args: Vec<Var> = (0..args).map(|_| g.input("a", Shape::SCALAR, Spread::Particle)).collect();
        let args = if name == "binomial" { vec![g.scalar(5.0), args[1]] } else { args };
        let lpdf = law(name).expect(name).lpdf(&mut g, y, &args);
        g.sum(lpdf);
        let found = live_folds(&g);
        assert_eq!(found, folds, "{name}");
    }
}

/// Folds that the last node needs.
fn live_folds(g: &Graph) -> usize {
    let mut live = vec![false; g.nodes().len()];
    *live.last_mut().expect("nodes") = true;
    for i in (0..live.len()).rev() {
        if live[i] {
            g.nodes()[i].args.iter().for_each(|a| live[a.index()] = true);
        }
    }
    let fold = |i: &usize| live[*i] && matches!(g.nodes()[*i].op, Op::Fold { .. });
    (0..live.len()).filter(fold).count()
}

#[test]
fn one_covariance_is_factorised_once() {
    for name in ["multi_normal", "multi_student_t"] {
        let c = cases().into_iter().find(|c| c.law == name).expect(name);
        let mut g = Graph::new();
        let y = g.input("y", Shape::new(&[50, 3]), Spread::Particle);
        let args = c.constants(&mut g);
        c.law().lpdf(&mut g, y, &args);
        assert_eq!(count(&g, |o| matches!(o, Op::Cholesky)), 1);
        let solves = |n: &&thalweg::graph::Node| matches!(n.op, Op::TriSolve { .. });
        let shapes: Vec<Shape> = g.nodes().iter().filter(solves).map(|n| n.shape).collect();
        assert_eq!(shapes, [Shape::new(&[3, 50])]);
    }
}
