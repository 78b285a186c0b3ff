//! The globals of a plate: values that rows share, from params and coordinates, and derivatives back.

use super::target::{Feed, Target};
use crate::base::simd::Isa;
use crate::graph::program::{Options, Program};
use crate::graph::prune::prune;
use crate::graph::reverse::grad;
use crate::graph::{Graph, Op, Shape, Spread, Var};

/// Programs of the graph of the globals.
pub struct Globals {
    feeds: Vec<Feed>,
    zeros: Vec<f64>,
    forward: Program,
    backward: Program,
    params: usize,
    coordinates: usize,
    /// Whether any param is read, and not only handed on.
    pub reads_params: bool,
    /// Number of shared values that are computed.
    pub shared: usize,
    ws: Vec<f64>,
    out: Vec<f64>,
}

impl Globals {
    /// Compiles both directions.
    pub fn new(target: &Target) -> Globals {
        let mut g = Graph::new();
        // All inputs are numbers of one point: a program for one lane.
        let inputs: Vec<Var> = target
            .globals
            .inputs()
            .iter()
            .map(|i| g.input(&i.name, target.globals.shape(i.var), Spread::Shared))
            .collect();
        let outputs = g.inline(&target.globals, &inputs, &[target.globals_lp, target.shared]);
        let options = Options { lanes: 1, isa: Isa::detect() };
        let forward = Program::compile(&g, &outputs, &options);
        let shared = g.shape(outputs[1]).count();
        let lp_bar = g.input("lp_bar", Shape::SCALAR, Spread::Shared);
        let shared_bar = g.input("shared_bar", Shape::new(&[shared]), Spread::Shared);
        let back = grad(&mut g, &outputs, &[lp_bar, shared_bar], &inputs);
        let backward = Program::compile(&g, &back, &options);
        let unused = |f: &Feed| if let Feed::Unused(n) = f { *n } else { 0 };
        let zeros = vec![0.0; target.feeds.iter().map(unused).max().unwrap_or(0)];
        let ws = vec![0.0; forward.scratch().max(backward.scratch())];
        let all: usize = inputs.iter().map(|i| g.shape(*i).count()).sum();
        let (feeds, params, coordinates) = (target.feeds.clone(), target.params.len(), target.coordinates);
        let is_param = |k: usize| matches!(feeds[k], Feed::Params(_));
        let (own, ends) = prune(&target.globals, &[target.globals_lp, target.shared]);
        let mut read = own.nodes().iter().flat_map(|n| &n.args).chain(&ends);
        let reads_params = read.any(|v| matches!(own.node(*v).op, Op::Input(k) if is_param(k as usize)));
        let out = vec![0.0; all];
        Globals { feeds, zeros, forward, backward, params, coordinates, reads_params, shared, ws, out }
    }

    fn feed<'a>(feeds: &[Feed], zeros: &'a [f64], params: &'a [f64], x: &'a [f64]) -> Vec<&'a [f64]> {
        let one = |f: &Feed| match f {
            Feed::Params(r) => &params[r.clone()],
            Feed::Coordinates(r) => &x[r.clone()],
            Feed::Unused(n) => &zeros[..*n],
        };
        feeds.iter().map(one).collect()
    }

    /// Log density of the globals; writes the shared values.
    pub fn forward(&mut self, params: &[f64], x: &[f64], shared: &mut [f64]) -> f64 {
        let mut lp = [0.0];
        let inputs = Self::feed(&self.feeds, &self.zeros, params, x);
        self.forward.run(&inputs, &mut [&mut lp, shared], &mut self.ws);
        lp[0]
    }

    /// Adds to `params_bar` and `x_bar` the derivatives of log density + <shared_bar, shared>.
    pub fn backward(
        &mut self,
        params: &[f64],
        x: &[f64],
        shared_bar: &[f64],
        params_bar: &mut [f64],
        x_bar: &mut [f64],
    ) {
        debug_assert_eq!((params.len(), x.len()), (self.params, self.coordinates));
        if !self.reads_params && self.coordinates == 0 {
            return;
        }
        let mut inputs = Self::feed(&self.feeds, &self.zeros, params, x);
        let one = [1.0];
        let sizes: Vec<usize> = inputs.iter().map(|i| i.len()).collect();
        inputs.push(&one);
        inputs.push(shared_bar);
        let mut rest = &mut self.out[..];
        let mut outputs = vec![];
        for n in sizes {
            let (part, tail) = rest.split_at_mut(n);
            outputs.push(part);
            rest = tail;
        }
        self.backward.run(&inputs, &mut outputs, &mut self.ws);
        for (feed, part) in self.feeds.iter().zip(&outputs) {
            let to = match feed {
                Feed::Params(r) => &mut params_bar[r.clone()],
                Feed::Coordinates(r) => &mut x_bar[r.clone()],
                Feed::Unused(_) => continue,
            };
            to.iter_mut().zip(part.iter()).for_each(|(a, b)| *a += b);
        }
    }
}
