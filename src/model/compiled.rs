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
        self.lane_value().run_flat(out.len(), x, out, &mut [], ws);
    }
}

impl Gradient for Compiled {
    fn logp_grad(&self, x: &[f64], grad: &mut [f64], ws: &mut [f64]) -> f64 {
        let mut lp = [0.0];
        self.run(&self.gradient, x, &mut lp, Some(grad), ws);
        lp[0]
    }

    fn logp_grad_lanes(&self, x: &[f64], out: &mut [f64], grad: &mut [f64], ws: &mut [f64]) {
        self.lane_gradient().run_flat(out.len(), x, out, grad, ws);
    }
}
