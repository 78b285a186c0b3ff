//! The programs of a posterior: density, gradient, constrained values.

use std::sync::OnceLock;

use super::posterior::Posterior;
use crate::base::simd::Isa;
use crate::density::{Gradient, LogDensity};
use crate::graph::program::{Options, Program, Timing};
use crate::graph::reverse::gradient;
use crate::graph::{Graph, Spread, Var};

/// Particles that a batched program treats at once, unless they overrun the cache.
pub const LANES: usize = 64;

/// Lanes of the program for batches of up to twice as many particles, which would leave the most of [`LANES`] empty.
pub const FEW: usize = 8;

/// A posterior ready to be evaluated; one per model, shared by threads.
pub struct Compiled {
    /// The posterior.
    pub posterior: Posterior,
    isa: Isa,
    /// Coordinates of each site.
    free: Vec<usize>,
    /// The graph with its gradient.
    graph: Graph,
    grads: Vec<Var>,
    gradient: Program,
    value: OnceLock<Program>,
    lane_gradient: OnceLock<Program>,
    lane_value: OnceLock<Program>,
    /// Programs of [`FEW`] lanes; none where they would need more room than those of many.
    few_gradient: OnceLock<Option<Program>>,
    few_value: OnceLock<Option<Program>>,
    values: OnceLock<Program>,
    width: usize,
}

impl Compiled {
    /// Differentiates and compiles.
    pub fn new(posterior: Posterior) -> Compiled {
        Compiled::with_isa(posterior, Isa::detect())
    }

    /// The same for a given instruction set.
    pub fn with_isa(posterior: Posterior, isa: Isa) -> Compiled {
        let mut graph = posterior.graph.clone();
        let inputs: Vec<Var> = posterior.sites.iter().map(|s| s.input).collect();
        let grads = gradient(&mut graph, posterior.lp, &inputs);
        let gradient = compile(&graph, posterior.lp, &grads, 1, isa);
        let sites = posterior.sites.iter().map(|s| posterior.graph.shape(s.value).count());
        let reports = posterior.reports.iter().map(|(_, k)| k.dims.iter().product::<usize>());
        Compiled {
            width: sites.chain(reports).sum(),
            free: posterior.sites.iter().map(|s| s.free).collect(),
            isa,
            graph,
            grads,
            gradient,
            value: OnceLock::new(),
            lane_gradient: OnceLock::new(),
            lane_value: OnceLock::new(),
            few_gradient: OnceLock::new(),
            few_value: OnceLock::new(),
            values: OnceLock::new(),
            posterior,
        }
    }

    fn value(&self) -> &Program {
        self.value.get_or_init(|| compile(&self.graph, self.posterior.lp, &[], 1, self.isa))
    }

    fn lane_gradient(&self) -> &Program {
        self.lane_gradient.get_or_init(|| compile(&self.graph, self.posterior.lp, &self.grads, LANES, self.isa))
    }

    fn lane_value(&self) -> &Program {
        self.lane_value.get_or_init(|| compile(&self.graph, self.posterior.lp, &[], LANES, self.isa))
    }

    /// The program for a batch of `n`: it follows from the model and from `n` alone.
    fn batch_program<'a>(
        &'a self,
        n: usize,
        many: &'a Program,
        few: &'a OnceLock<Option<Program>>,
        grads: &[Var],
    ) -> &'a Program {
        if n > 2 * FEW || many.width() <= FEW {
            return many;
        }
        let few = few.get_or_init(|| {
            let p = compile(&self.graph, self.posterior.lp, grads, FEW, self.isa);
            (p.scratch() <= many.scratch()).then_some(p)
        });
        few.as_ref().unwrap_or(many)
    }

    fn values_program(&self) -> &Program {
        self.values.get_or_init(|| {
            let p = &self.posterior;
            let mut outputs: Vec<Var> = p.sites.iter().map(|s| s.value).collect();
            outputs.extend(p.reports.iter().map(|(_, k)| k.node));
            Program::compile(&self.graph, &outputs, &Options { lanes: 1, isa: self.isa })
        })
    }

    /// The graph with its gradient nodes, and those nodes by site.
    pub fn differentiated(&self) -> (&Graph, &[Var]) {
        (&self.graph, &self.grads)
    }

    /// The program of the density and its gradient at one point.
    pub fn gradient_program(&self) -> &Program {
        &self.gradient
    }

    /// The program of the density and its gradient at [`LANES`] points.
    pub fn lane_program(&self) -> &Program {
        self.lane_gradient()
    }

    /// Times every operation of the density with its gradient at a point.
    pub fn profile(&self, x: &[f64]) -> Vec<Timing> {
        let mut ws = vec![0.0; self.gradient.scratch()];
        let (mut lp, mut grad) = ([0.0], vec![0.0; self.posterior.dim]);
        let mut outputs: Vec<&mut [f64]> = vec![&mut lp];
        outputs.extend(split_mut(&mut grad, &self.free, 1));
        self.gradient.profile(&split(x, &self.free, 1), &mut outputs, &mut ws)
    }

    /// Nodes of the graph with its gradient.
    pub fn nodes(&self) -> usize {
        self.graph.nodes().len()
    }

    /// Number of constrained values and reports of one draw.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Constrained values, then reports, at a point; `out` has [`Compiled::width`] elements.
    pub fn values(&self, x: &[f64], out: &mut [f64], ws: &mut Vec<f64>) {
        let program = self.values_program();
        if ws.len() < program.scratch() {
            ws.resize(program.scratch(), 0.0);
        }
        let p = &self.posterior;
        let sites = p.sites.iter().map(|s| p.graph.shape(s.value).count());
        let counts: Vec<usize> = sites.chain(p.reports.iter().map(|(_, k)| k.dims.iter().product())).collect();
        let mut outputs = split_mut(out, &counts, 1);
        program.run(&split(x, &self.free, 1), &mut outputs, ws);
    }

    /// Log density without the Jacobians of the transforms.
    pub fn logp_nojac(&self, x: &[f64]) -> f64 {
        let out =
            crate::graph::eval::evaluate(&self.posterior.graph, &split(x, &self.free, 1), &[self.posterior.lp_nojac]);
        out[0][0]
    }

    fn run(&self, program: &Program, x: &[f64], out: &mut [f64], grad: Option<&mut [f64]>, ws: &mut [f64]) {
        program.run_flat(program.lanes(), x, out, grad.unwrap_or(&mut []), ws);
    }
}

/// A density without coordinates in the inputs of a program still has a value per particle.
fn compile(g: &Graph, lp: Var, grads: &[Var], lanes: usize, isa: Isa) -> Program {
    let mut g = g.clone();
    let mut outputs = vec![lp];
    outputs.extend(grads);
    for v in &mut outputs {
        if g.node(*v).spread == Spread::Shared {
            *v = g.per_particle(*v);
        }
    }
    Program::compile(&g, &outputs, &Options { lanes, isa })
}

fn split<'a>(x: &'a [f64], counts: &[usize], lanes: usize) -> Vec<&'a [f64]> {
    let mut rest = x;
    let mut out = Vec::with_capacity(counts.len());
    for c in counts {
        let (a, b) = rest.split_at(c * lanes);
        out.push(a);
        rest = b;
    }
    out
}

fn split_mut<'a>(x: &'a mut [f64], counts: &[usize], lanes: usize) -> Vec<&'a mut [f64]> {
    let mut rest = x;
    let mut out = Vec::with_capacity(counts.len());
    for c in counts {
        let (a, b) = rest.split_at_mut(c * lanes);
        out.push(a);
        rest = b;
    }
    out
}

impl LogDensity for Compiled {
    fn dim(&self) -> usize {
        self.posterior.dim
    }

    fn scratch(&self) -> usize {
        self.gradient.scratch().max(self.value().scratch())
    }

    fn logp(&self, x: &[f64], ws: &mut [f64]) -> f64 {
        let mut lp = [0.0];
        self.run(self.value(), x, &mut lp, None, ws);
        lp[0]
    }

    fn lanes_scratch(&self) -> usize {
        self.lane_gradient().scratch().max(self.lane_value().scratch())
    }

    fn logp_lanes(&self, x: &[f64], out: &mut [f64], ws: &mut [f64]) {
        let program = self.batch_program(out.len(), self.lane_value(), &self.few_value, &[]);
        program.run_flat(out.len(), x, out, &mut [], ws);
    }
}

impl Gradient for Compiled {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64 {
        let mut lp = [0.0];
        self.run(&self.gradient, x, &mut lp, Some(grad), ws);
        lp[0]
    }

    fn logp_grad_lanes(&self, x: &[f64], out: &mut [f64], grad: &mut [f64], ws: &mut [f64]) {
        let program = self.batch_program(out.len(), self.lane_gradient(), &self.few_gradient, &self.grads);
        program.run_flat(out.len(), x, out, grad, ws);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::data::DataFile;
    use crate::model::posterior::Model;

    /// Batches of every size, whichever program they have, agree with single points up to rounding.
    #[test]
    fn batches_of_every_size() {
        let source = "data y: vector[8]\nlatent m ~ normal(0, 5)\nlatent t ~ half_cauchy(0, 5)\nlatent e: vector[8] ~ normal(0, 1)\n\
            observe y ~ normal(m + t * e, 10)";
        let data = DataFile::from_json(r#"{"y": [28, 8, -3, 7, -1, 1, 18, 12]}"#).expect("data");
        let post = Model::from_text("m.thal", source).and_then(|m| m.bind(&data)).unwrap_or_else(|e| panic!("{e}"));
        let c = Compiled::new(post);
        let d = c.dim();
        let mut ws = vec![0.0; c.scratch().max(c.lanes_scratch())];
        for n in [1, 2, 7, 8, 9, 16, 17, 64, 65] {
            let x: Vec<f64> = (0..d * n).map(|k| (k as f64 * 0.7).sin()).collect();
            let (mut lp, mut grad, mut value) = (vec![0.0; n], vec![0.0; d * n], vec![0.0; n]);
            c.logp_grad_lanes(&x, &mut lp, &mut grad, &mut ws);
            c.logp_lanes(&x, &mut value, &mut ws);
            for p in 0..n {
                let point: Vec<f64> = (0..d).map(|j| x[j * n + p]).collect();
                let mut own = vec![0.0; d];
                let truth = c.logp_grad(&point, &mut own, &mut ws);
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (1.0 + truth.abs());
                assert!(near(lp[p], truth) && near(value[p], truth), "{n}: {} {} {truth}", lp[p], value[p]);
                assert!((0..d).all(|j| near(grad[j * n + p], own[j])), "{n}: gradient of point {p}");
            }
        }
    }
}
