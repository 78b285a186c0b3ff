//! Derivatives of log densities and cumulative functions against central differences.

use super::cases::{Case, cases};
use thalweg::dist::Law;
use thalweg::graph::eval::evaluate;
use thalweg::graph::reverse::gradient;
use thalweg::graph::{Graph, Shape, Spread, Var};

type Build = fn(&dyn Law, &mut Graph, Var, &[Var]) -> Option<Var>;

/// A function of a case on a graph whose inputs are the value and the arguments.
struct Function {
    graph: Graph,
    inputs: Vec<Var>,
    out: Var,
}

impl Function {
    fn new(c: &Case, build: Build) -> Option<Function> {
        let mut graph = Graph::new();
        let mut input = |dims: &[usize]| graph.input("x", Shape::new(dims), Spread::Particle);
        let y = input(&c.dims);
        let args: Vec<Var> = c.args.iter().map(|a| input(&a.dims)).collect();
        let out = build(c.law(), &mut graph, y, &args)?;
        let inputs = [&[y], args.as_slice()].concat();
        Some(Function { graph, inputs, out })
    }

    fn at(&self, x: &[Vec<f64>]) -> f64 {
        let x: Vec<&[f64]> = x.iter().map(Vec::as_slice).collect();
        evaluate(&self.graph, &x, &[self.out])[0][0]
    }

    /// Five-point difference of the i-th element of the k-th input: error O(h^4) and 1e-16 / h.
    fn difference(&self, x: &[Vec<f64>], k: usize, i: usize) -> f64 {
        let h = 1e-4 * x[k][i].abs().clamp(0.01, 1.0);
        let moved = |steps: f64| {
            let mut x = x.to_vec();
            x[k][i] += steps * h;
            self.at(&x)
        };
        (8.0 * (moved(1.0) - moved(-1.0)) - (moved(2.0) - moved(-2.0))) / (12.0 * h)
    }

    fn gradients(&self, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut g = self.graph.clone();
        let grads = gradient(&mut g, self.out, &self.inputs);
        let x: Vec<&[f64]> = x.iter().map(Vec::as_slice).collect();
        evaluate(&g, &x, &grads)
    }
}

/// The sum with the transpose: a function of the lower triangle alone may put a derivative on either
/// side of the diagonal.
fn symmetric(m: Vec<f64>, dims: &[usize]) -> Vec<f64> {
    if dims.len() != 2 {
        return m;
    }
    let n = dims[0];
    (0..n * n).map(|c| m[c] + m[c % n * n + c / n]).collect()
}

/// How much the rounding of a value grows: the log of a probability p that has an
/// absolute error of 1e-16 has one of 1e-16 / p.
fn rounding(what: &str, value: f64) -> f64 {
    if what == "lpdf" { 0.0 } else { (-value).exp() }
}

fn check(c: &Case, what: &str, build: Build) {
    let Some(f) = Function::new(c, build) else {
        return;
    };
    let mut dims = vec![c.dims.clone()];
    dims.extend(c.args.iter().map(|a| a.dims.clone()));
    for (y, _) in &c.golden {
        let mut x = vec![y.clone()];
        x.extend(c.args.iter().map(|a| a.data.clone()));
        let grads = f.gradients(&x);
        for (k, grad) in grads.into_iter().enumerate() {
            let integer = match k {
                0 => c.law().is_discrete(),
                k => c.law().params()[k - 1].integer,
            };
            if integer || !f.at(&x).is_finite() {
                continue;
            }
            let differences = (0..x[k].len()).map(|i| f.difference(&x, k, i)).collect();
            let expected = symmetric(differences, &dims[k]);
            for (got, expected) in symmetric(grad, &dims[k]).iter().zip(&expected) {
                let noise = 1e-9 * rounding(what, f.at(&x));
                assert!(
                    (got - expected).abs() < 1e-7 * (1.0 + expected.abs()) + noise,
                    "{} {what} at {x:?} by input {k}: {got}, not {expected}",
                    c.law
                );
            }
        }
    }
}

#[test]
fn gradients_are_limits_of_differences() {
    for c in cases() {
        check(&c, "lpdf", |l, g, y, a| Some(l.lpdf(g, y, a)));
        check(&c, "lcdf", |l, g, y, a| l.lcdf(g, y, a));
        check(&c, "lccdf", |l, g, y, a| l.lccdf(g, y, a));
    }
}

/// At the centre the incomplete beta function of Student's cdf has a derivative 0 / 0.
#[test]
fn student_cdf_at_its_centre() {
    let mut c = cases().into_iter().find(|c| c.law == "student_t").expect("case");
    let mu = c.args[1].data[0];
    c.golden.truncate(1);
    for y in [mu, mu + 1e-12, mu - 1e-9, mu + 1e-6] {
        c.golden[0].0 = vec![y];
        check(&c, "lcdf", |l, g, y, a| l.lcdf(g, y, a));
        let f = Function::new(&c, |l, g, y, a| l.lcdf(g, y, a)).expect("closed form");
        let x: Vec<Vec<f64>> = [vec![y]].into_iter().chain(c.args.iter().map(|a| a.data.clone())).collect();
        let expected = (c.lpdf(&[y])[0] - f.at(&x)).exp();
        let got = f.gradients(&x)[0][0];
        assert!((got - expected).abs() < 1e-12, "{y}: {got}, not {expected}");
    }
}
