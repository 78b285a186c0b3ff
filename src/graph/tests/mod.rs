//! Laws of derivatives and rewrites, on every operation and loop.

mod batch;
mod blocks;
mod branches;
mod broken;
mod edges;
mod loops;
mod random;
mod registry;
mod scans;

use super::eval::evaluate;
use super::jvp::jvp;
use super::reverse::{grad, gradient};
use super::{Graph, Spread, Var};
use registry::{Case, values};

fn all_cases() -> Vec<Case> {
    let mut all = registry::cases();
    all.extend(scans::cases());
    all
}

/// A case with its inputs in a graph.
struct Built {
    g: Graph,
    x: Vec<Var>,
    out: Var,
}

fn built(case: &Case) -> Built {
    let mut g = Graph::new();
    let x: Vec<Var> = case
        .inputs
        .iter()
        .zip([Spread::Particle, Spread::Shared, Spread::Row].iter().cycle())
        .map(|((shape, _), spread)| g.input("x", *shape, *spread))
        .collect();
    let out = (case.build)(&mut g, &x);
    Built { g, x, out }
}

/// `sum w (out + 0.3 out^2)` with irregular weights: every element counts, second derivatives too.
fn objective(b: &mut Built) -> Var {
    let shape = b.g.shape(b.out);
    let w = b.g.constant(values(shape.count(), 9, 0.5, 1.5), shape);
    let s = b.g.square(b.out);
    let s = b.g.scale(0.3, s);
    let t = b.g.add(b.out, s);
    b.g.dot(w, t)
}

fn flat(case: &Case) -> Vec<f64> {
    case.inputs.iter().flat_map(|(_, v)| v.clone()).collect()
}

/// Values of `outputs`, one after another, at the flat point.
fn at(g: &Graph, case: &Case, point: &[f64], outputs: &[Var]) -> Vec<f64> {
    let mut rest = point;
    let inputs: Vec<&[f64]> = case
        .inputs
        .iter()
        .map(|(_, v)| {
            let (a, b) = rest.split_at(v.len());
            rest = b;
            a
        })
        .collect();
    evaluate(g, &inputs, outputs).concat()
}

/// Derivative of `f` at 0 by central differences, extrapolated twice (error of order h^6).
fn slope(f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let central = |h: f64| -> Vec<f64> {
        let (up, down) = (f(h), f(-h));
        up.iter().zip(&down).map(|(u, d)| (u - d) / (2.0 * h)).collect()
    };
    let h = 4e-3;
    let (a, b, c) = (central(h), central(h / 2.0), central(h / 4.0));
    (0..a.len())
        .map(|k| {
            let (ab, bc) = ((4.0 * b[k] - a[k]) / 3.0, (4.0 * c[k] - b[k]) / 3.0);
            (16.0 * bc - ab) / 15.0
        })
        .collect()
}

/// Largest difference relative to the size of `b`.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let size = b.iter().fold(1.0f64, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f64, |m, (x, y)| {
        let d = (x - y).abs() / size;
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    })
}

/// `x + h v`
fn moved(x: &[f64], v: &[f64], h: f64) -> Vec<f64> {
    x.iter().zip(v).map(|(x, v)| x + h * v).collect()
}

/// Difference between a gradient and finite differences of the objective.
fn gradient_error(case: &Case, grads: impl Fn(&mut Graph, Var, &[Var]) -> Vec<Var>) -> f64 {
    let mut b = built(case);
    let objective = objective(&mut b);
    let grads = grads(&mut b.g, objective, &b.x);
    let point = flat(case);
    let exact = at(&b.g, case, &point, &grads);
    let numeric: Vec<f64> = (0..point.len())
        .map(|k| {
            let mut e = vec![0.0; point.len()];
            e[k] = 1.0;
            slope(|h| at(&b.g, case, &moved(&point, &e, h), &[objective]))[0]
        })
        .collect();
    distance(&exact, &numeric)
}

/// Runs a law on every case and reports all failures at once.
fn for_all(tolerance: f64, law: impl Fn(&Case) -> f64) {
    let failed: Vec<String> = all_cases()
        .iter()
        .map(|case| (law(case), &case.name))
        .filter(|(error, _)| *error > tolerance)
        .map(|(error, name)| format!("{name}: {error:e}"))
        .collect();
    assert!(failed.is_empty(), "above {tolerance:e}:\n{}", failed.join("\n"));
}

/// Stopped parts count for finite differences: the law does not hold there.
fn stops(case: &Case) -> bool {
    case.name == "stop_gradient"
}

#[test]
fn gradients_match_differences() {
    for_all(1e-8, |case| {
        if stops(case) {
            return 0.0;
        }
        gradient_error(case, gradient)
    });
}

/// The law above sees one wrong sign: a gradient whose first input's part is negated.
#[test]
fn differences_see_a_wrong_sign() {
    for case in all_cases().iter().filter(|c| c.name == "Exp" || c.name.starts_with("garch")) {
        let error = gradient_error(case, |g, y, x| {
            let mut grads = gradient(g, y, x);
            grads[0] = g.neg(grads[0]);
            grads
        });
        assert!(error > 0.1, "{}: {error:e}", case.name);
    }
}

/// `<u, J v> = <Jᵀ u, v>`
#[test]
fn forward_and_reverse_are_transposes() {
    for_all(1e-12, |case| {
        let mut b = built(case);
        let shape = b.g.shape(b.out);
        let u = b.g.constant(values(shape.count(), 7, -1.0, 1.0), shape);
        let v: Vec<Var> =
            b.x.iter()
                .zip(&case.inputs)
                .enumerate()
                .map(|(k, (_, (s, _)))| b.g.constant(values(s.count(), 20 + k, -1.0, 1.0), *s))
                .collect();
        let jv = jvp(&mut b.g, &[b.out], &b.x, &v)[0];
        let jtu = grad(&mut b.g, &[b.out], &[u], &b.x);
        let point = flat(case);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let (u, v) = (at(&b.g, case, &point, &[u]), at(&b.g, case, &point, &v));
        let left = dot(&u, &at(&b.g, case, &point, &[jv]));
        let right = dot(&at(&b.g, case, &point, &jtu), &v);
        distance(&[left], &[right])
    });
}

#[test]
fn hessian_products_match_differences_of_gradients() {
    for_all(1e-8, |case| {
        let mut b = built(case);
        let objective = objective(&mut b);
        let grads = gradient(&mut b.g, objective, &b.x);
        let direction: Vec<Var> = (0..b.x.len())
            .map(|k| {
                let s = b.g.shape(b.x[k]);
                b.g.constant(values(s.count(), 30 + k, -1.0, 1.0), s)
            })
            .collect();
        let products = jvp(&mut b.g, &grads, &b.x, &direction);
        let point = flat(case);
        let v = at(&b.g, case, &point, &direction);
        let exact = at(&b.g, case, &point, &products);
        if stops(case) {
            return if exact.iter().all(|x| x.is_finite()) { 0.0 } else { 1.0 };
        }
        let numeric = slope(|h| at(&b.g, case, &moved(&point, &v, h), &grads));
        distance(&exact, &numeric)
    });
}

/// Reverse over reverse gives the same products: every operation that `grad` emits has its own rule.
#[test]
fn reverse_of_reverse_agrees_with_forward_of_reverse() {
    for_all(1e-9, |case| {
        let mut b = built(case);
        let objective = objective(&mut b);
        let grads = gradient(&mut b.g, objective, &b.x);
        let direction: Vec<Var> = (0..b.x.len())
            .map(|k| {
                let s = b.g.shape(b.x[k]);
                b.g.constant(values(s.count(), 30 + k, -1.0, 1.0), s)
            })
            .collect();
        let forward = jvp(&mut b.g, &grads, &b.x, &direction);
        let back = grad(&mut b.g, &grads, &direction, &b.x);
        if stops(case) {
            return 0.0;
        }
        let point = flat(case);
        let forward = at(&b.g, case, &point, &forward);
        distance(&at(&b.g, case, &point, &back), &forward)
    });
}

#[test]
fn every_built_graph_obeys_the_rules() {
    for case in all_cases() {
        let mut b = built(&case);
        let objective = objective(&mut b);
        let grads = gradient(&mut b.g, objective, &b.x);
        let products = jvp(&mut b.g, &grads, &b.x, &grads);
        let (pruned, _) = super::prune::prune(&b.g, &products);
        for g in [&b.g, &pruned] {
            if let Err(e) = super::check::check(g) {
                panic!("{}: {e}\n{g}", case.name);
            }
        }
    }
}

#[test]
fn pruning_keeps_values() {
    for_all(1e-12, |case| {
        let mut b = built(case);
        let objective = objective(&mut b);
        let mut outputs = gradient(&mut b.g, objective, &b.x);
        outputs.push(objective);
        let (pruned, kept) = super::prune::prune(&b.g, &outputs);
        assert!(pruned.nodes().len() <= b.g.nodes().len(), "{}", case.name);
        let point = flat(case);
        let before = at(&b.g, case, &point, &outputs);
        distance(&at(&pruned, case, &point, &kept), &before)
    });
}

#[test]
fn splitting_loops_keeps_values() {
    for_all(1e-12, |case| {
        let mut b = built(case);
        let objective = objective(&mut b);
        let mut outputs = gradient(&mut b.g, objective, &b.x);
        outputs.extend(jvp(&mut b.g, &outputs.clone(), &b.x, &b.x.clone()));
        outputs.push(objective);
        outputs.push(b.out);
        let (split, kept) = super::hoist::hoist(&b.g, &outputs);
        if let Err(e) = super::check::check(&split) {
            panic!("{}: {e}\n{split}", case.name);
        }
        let point = flat(case);
        let before = at(&b.g, case, &point, &outputs);
        distance(&at(&split, case, &point, &kept), &before)
    });
}
