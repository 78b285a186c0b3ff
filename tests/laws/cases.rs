//! The table of cases: every law with arguments, and log densities of SciPy 1.17 (of LKJ: eq. 16 of
//! its paper).

use serde::Deserialize;
use thalweg::base::rng::Stream;
use thalweg::dist::{Law, Value, law};
use thalweg::graph::eval::evaluate;
use thalweg::graph::{Graph, Shape, Var};

/// An argument.
#[derive(Clone, Debug, Deserialize)]
pub struct Arg {
    pub data: Vec<f64>,
    pub dims: Vec<usize>,
}

/// A law with arguments.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    pub law: String,
    pub args: Vec<Arg>,
    /// Shape of a value.
    pub dims: Vec<usize>,
    /// Values and their log densities.
    pub golden: Vec<(Vec<f64>, f64)>,
    /// Argument that the mutant of the sampler changes.
    pub mutant: Option<usize>,
}

/// All cases.
pub fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("cases.json")).expect("table of cases")
}

impl Case {
    pub fn law(&self) -> &'static dyn Law {
        law(&self.law).expect("law of the table")
    }

    /// True for laws whose value and arguments are numbers.
    pub fn is_scalar(&self) -> bool {
        self.dims.is_empty() && self.args.iter().all(|a| a.dims.is_empty())
    }

    pub fn numbers(&self) -> Vec<f64> {
        self.args.iter().map(|a| a.data[0]).collect()
    }

    /// The same law with the mutant's argument changed.
    pub fn mutated(&self) -> Option<Case> {
        let (mut other, k) = (self.clone(), self.mutant?);
        let factor = match self.law.as_str() {
            "beta_proportion" | "bernoulli" | "binomial" | "geometric" => 0.8,
            _ => 1.5,
        };
        let a = &mut other.args[k].data;
        if a.len() == 3 && (a.iter().sum::<f64>() - 1.0).abs() < 1e-9 {
            a.swap(0, 1);
        } else {
            a.iter_mut().for_each(|x| *x *= factor);
        }
        Some(other)
    }

    /// `n` draws, one after another.
    pub fn draws(&self, n: usize) -> Vec<f64> {
        let args: Vec<Value> = self.args.iter().map(|a| Value { data: &a.data, dims: &a.dims }).collect();
        let size = self.dims.iter().product();
        let mut rng = Stream::new(20, "laws", 1);
        let mut out = vec![0.0; n * size];
        for y in out.chunks_mut(size) {
            self.law().sample(&mut rng, &args, y);
        }
        out
    }

    /// Arguments as data on a graph.
    pub fn constants(&self, g: &mut Graph) -> Vec<Var> {
        self.args.iter().map(|a| g.constant(a.data.clone(), Shape::new(&a.dims))).collect()
    }

    /// Values of a function of a batch of values `ys` and the arguments.
    pub fn on_batch(&self, ys: &[f64], f: impl Fn(&mut Graph, Var, &[Var]) -> Option<Var>) -> Option<Vec<f64>> {
        let mut g = Graph::new();
        let args = self.constants(&mut g);
        let n = ys.len() / self.dims.iter().product::<usize>();
        let shape = Shape::new(&[&[n], self.dims.as_slice()].concat());
        let y = g.constant(ys.to_vec(), shape);
        let out = f(&mut g, y, &args)?;
        assert_eq!(g.shape(out).dims(), [n], "{}", self.law);
        Some(evaluate(&g, &[], &[out]).remove(0))
    }

    /// Log densities of a batch.
    pub fn lpdf(&self, ys: &[f64]) -> Vec<f64> {
        self.on_batch(ys, |g, y, a| Some(self.law().lpdf(g, y, a))).expect("every law has a density")
    }
}
