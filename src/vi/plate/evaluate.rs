//! Bounds of single rows at a trained guide: weights, ELBO, and derivatives in what the encoder says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::globals::Globals;
use super::graph::{Ask, Rows, Source, inputs};
use super::target::{Group, Part, Target};
use crate::base::simd::Isa;
use crate::graph::program::{Options, Program};
use crate::graph::reverse::grad;
use crate::graph::{Graph, Index, Shape};
use crate::guide::amortized::Amortized;
use crate::guide::nested::RowVars;
use crate::vi::objective::{Estimator, Objective};

/// What a program computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// log w and z, from noise.
    Weights,
    /// ELBO, its parts, and its derivative in what the encoder says.
    Elbo,
    /// The same with the derivative in the guide's parameters behind it.
    ElboFull,
    /// log w at given points.
    At,
    /// log p(x, z) and its gradient at given points.
    Density,
    /// log p(z) and its gradient at given points.
    Prior,
    /// log q at given points.
    Score,
    /// The same of the row's own latents, those of rows inside aside.
    FirstScore,
    /// What the encoder says.
    Encode,
}

/// Key of a program: kind, group, draws.
type Key = (Kind, usize, usize);

/// A target at fixed parameters: shared values are computed once.
pub struct Evaluator<'a> {
    /// The target.
    pub target: &'a Target,
    /// The guide.
    pub guide: &'a Amortized,
    theta: Vec<f64>,
    globals: Vec<f64>,
    shared: Vec<f64>,
    /// What all rows of each group read of them.
    common: Vec<Vec<f64>>,
    places: Vec<(usize, usize)>,
    programs: Mutex<HashMap<Key, Arc<Program>>>,
}

/// ELBO of a row with its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Elbo {
    /// The bound.
    pub value: f64,
    /// Its derivative in what was given for the row.
    pub gradient: Vec<f64>,
}

/// Draws of a row with their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    /// log p(x, z_k) - log q(z_k).
    pub log_w: Vec<f64>,
    /// log q(z_k) - log p(z_k), whose mean is the KL divergence to the prior.
    pub log_ratio: Vec<f64>,
    /// Draws, one after another.
    pub z: Vec<f64>,
}

fn read(shared: &[f64], places: &[u32]) -> Vec<f64> {
    places.iter().map(|k| shared[*k as usize]).collect()
}

impl<'a> Evaluator<'a> {
    /// At `theta` (params, then the amortized guide) and globals `x` (unconstrained).
    pub fn new(target: &'a Target, guide: &'a Amortized, theta: &[f64], x: &[f64]) -> Evaluator<'a> {
        let (params, rest) = theta.split_at(target.params.len());
        let mut globals = Globals::new(target);
        let mut shared = params.to_vec();
        shared.resize(params.len() + globals.shared, 0.0);
        globals.forward(params, x, &mut shared[params.len()..]);
        let common = target.groups.iter().map(|g| read(&shared, &g.common)).collect();
        Evaluator {
            target,
            guide,
            common,
            theta: rest[..guide.len()].to_vec(),
            globals: if guide.plan().globals > 0 { x.to_vec() } else { vec![] },
            shared,
            places: target.places(),
            programs: Mutex::default(),
        }
    }

    fn program(&self, kind: Kind, group: usize, draws: usize) -> Arc<Program> {
        let mut all = self.programs.lock().unwrap_or_else(|e| e.into_inner());
        all.entry((kind, group, draws)).or_insert_with(|| Arc::new(self.compile(kind, group, draws))).clone()
    }

    fn compile(&self, kind: Kind, group: usize, draws: usize) -> Program {
        let (guide, group) = (self.guide, &self.target.groups[group]);
        let source = if kind == Kind::Encode { Source::Encoder } else { Source::Free };
        let ask = Ask { source, draws, exact: matches!(kind, Kind::Elbo | Kind::ElboFull), score: false };
        let options = Options { lanes: 1, isa: Isa::detect() };
        if matches!(kind, Kind::At | Kind::Density | Kind::Prior | Kind::Score | Kind::FirstScore) {
            let (g, outputs) = self.at_points(kind, group);
            return Program::compile(&g, &outputs, &options);
        }
        let mut r = Rows::new(guide, group, ask, 1);
        let outputs = match kind {
            Kind::Encode => vec![r.encoded],
            Kind::Weights => {
                let w = r.log_w(r.log_q);
                let ratio = r.g.sub(r.log_q, r.prior);
                vec![w, ratio, r.z]
            }
            _ => {
                let bound = r.bound(Objective::Elbo(Estimator::Full));
                let one = r.g.scalar(1.0);
                let [theta, seen] = [0, 2].map(|k| r.g.inputs()[k].var);
                let wanted = if kind == Kind::Elbo { vec![seen] } else { vec![seen, theta] };
                let back = grad(&mut r.g, &[bound], &[one], &wanted);
                [&[bound], &back[..]].concat()
            }
        };
        let (g, outputs) = r.pruned(&outputs);
        Program::compile(&g, &outputs, &options)
    }

    /// Inputs as those of rows, with a point `[d]` in the place of noise.
    fn at_points(&self, kind: Kind, group: &Group) -> (Graph, Vec<crate::graph::Var>) {
        let mut g = Graph::new();
        let all = inputs(&mut g, self.guide, group, Source::Free, group.dim());
        let [theta, common, encoded, globals, z, reads, data, _, inner] = all[..] else { unreachable!("nine inputs") };
        let wanted = group.parts.iter().filter(|p| kind != Kind::Prior || p.0 == Part::Prior);
        let wanted: Vec<_> = wanted.map(|p| p.1).collect();
        let parts = g.inline(&group.graph, &[z, common, reads, data], &wanted);
        let lp = parts.into_iter().reduce(|a, b| g.add(a, b)).unwrap_or_else(|| g.scalar(0.0));
        if matches!(kind, Kind::Density | Kind::Prior) {
            let one = g.scalar(1.0);
            let back = grad(&mut g, &[lp], &[one], &[z]);
            return (g, vec![lp, back[0]]);
        }
        if let (Kind::FirstScore, Some(nest)) = (kind, group.nest()) {
            let places = nest.places(0);
            let own = g.gather(z, Index::from_table(places.clone()), Shape::new(&[places.len()]));
            let q = self.guide.first_level(&mut g, theta, encoded, own, false).1;
            return (g, vec![q]);
        }
        let q = self.guide.log_q(&mut g, theta, &RowVars { encoded, inner, globals }, group.nest(), z);
        let out = if kind == Kind::At { g.sub(lp, q) } else { q };
        (g, vec![out])
    }

    fn run(&self, kind: Kind, row: usize, draws: usize, seen: &[f64], noise: &[f64], outputs: &mut [&mut [f64]]) {
        let (group, at) = self.places[row];
        let (program, common) = (self.program(kind, group, draws), &self.common[group]);
        let row_of = &self.target.groups[group].rows[at];
        let reads = read(&self.shared, &row_of.reads);
        // What the encoder reads stands alone; what it says may be followed by weights of the flow.
        let (seen, flow) = seen.split_at(if kind == Kind::Encode { seen.len() } else { self.encoded_len(row) });
        let own = (!flow.is_empty()).then(|| [&self.theta[..self.theta.len() - flow.len()], flow].concat());
        let theta = own.as_ref().unwrap_or(&self.theta);
        let inputs: [&[f64]; 9] =
            [theta, common, seen, &self.globals, noise, &reads, &row_of.data, &[1.0], &row_of.inner];
        program.run(&inputs, outputs, &mut vec![0.0; program.scratch()]);
    }

    /// Latent coordinates of a row.
    pub fn dim(&self, row: usize) -> usize {
        self.target.groups[self.places[row].0].dim()
    }

    /// Numbers that the guide of a row hangs on: location, log scale and context, and of rows inside what is added to these.
    fn encoded_len(&self, row: usize) -> usize {
        self.guide.encoded_in(self.target.groups[self.places[row].0].nest())
    }

    /// What the encoder says of a row: location, log scale, context; then 0 for what is added to what it says of rows inside.
    pub fn encode(&self, row: usize) -> Vec<f64> {
        let (group, at) = self.places[row];
        let mut out = vec![0.0; self.encoded_len(row)];
        let noise = vec![0.0; self.dim(row)];
        self.run(Kind::Encode, row, 1, &self.target.groups[group].rows[at].seen, &noise, &mut [&mut out]);
        out
    }

    /// What is given for a row where it has a flow of its own: `encoded` (location, log scale, context), then the flow's weights,
    /// which are those that all rows share. Whatever takes `encoded` takes this too.
    pub fn with_flow(&self, encoded: &[f64]) -> Vec<f64> {
        [encoded, &self.theta[self.theta.len() - self.guide.flow_len()..]].concat()
    }

    /// Weights of as many draws as there is noise for (`[draws, d]`), base and context being `encoded`.
    pub fn weights(&self, row: usize, encoded: &[f64], noise: &[f64]) -> Weighted {
        let d = self.dim(row);
        let k = noise.len() / d;
        let mut w = Weighted { log_w: vec![0.0; k], log_ratio: vec![0.0; k], z: vec![0.0; k * d] };
        let outputs: &mut [&mut [f64]] = &mut [&mut w.log_w, &mut w.log_ratio, &mut w.z];
        self.run(Kind::Weights, row, k, encoded, noise, outputs);
        w
    }

    /// ELBO with this noise (`[draws, d]`): exact where guide and model allow, whatever the noise.
    pub fn elbo(&self, row: usize, encoded: &[f64], noise: &[f64]) -> Elbo {
        let k = noise.len() / self.dim(row);
        let (mut value, mut gradient) = ([0.0], vec![0.0; self.encoded_len(row)]);
        if encoded.len() == gradient.len() {
            self.run(Kind::Elbo, row, k, encoded, noise, &mut [&mut value, &mut gradient]);
        } else {
            let mut theta = vec![0.0; self.theta.len()];
            self.run(Kind::ElboFull, row, k, encoded, noise, &mut [&mut value, &mut gradient, &mut theta]);
            gradient.extend(&theta[theta.len() - self.guide.flow_len()..]);
        }
        Elbo { value: value[0], gradient }
    }

    /// log p(x, z) - log q(z) at a point.
    pub fn weight_at(&self, row: usize, encoded: &[f64], z: &[f64]) -> f64 {
        let mut w = [0.0];
        self.run(Kind::At, row, 1, encoded, z, &mut [&mut w]);
        w[0]
    }

    /// log p(x, z) of a row and its gradient.
    pub fn density(&self, row: usize, z: &[f64], gradient: &mut [f64]) -> f64 {
        let mut lp = [0.0];
        let encoded = vec![0.0; self.encoded_len(row)];
        self.run(Kind::Density, row, 1, &encoded, z, &mut [&mut lp, gradient]);
        lp[0]
    }

    /// log q(z) where base and context are `encoded`; `row` names the structure alone.
    pub fn score(&self, row: usize, encoded: &[f64], z: &[f64]) -> f64 {
        let mut q = [0.0];
        self.run(Kind::Score, row, 1, encoded, z, &mut [&mut q]);
        q[0]
    }

    /// log q of the row's own latents at z, those of rows inside aside; `encoded` may be that of another row.
    pub fn first_score(&self, row: usize, encoded: &[f64], z: &[f64]) -> f64 {
        let mut q = [0.0];
        let mut own = encoded[..self.guide.encoded_len()].to_vec();
        own.resize(self.encoded_len(row), 0.0);
        self.run(Kind::FirstScore, row, 1, &own, z, &mut [&mut q]);
        q[0]
    }

    /// Coordinates of a row that every row has: all, or its own where rows inside differ between rows.
    pub fn common_latents(&self, row: usize) -> Vec<usize> {
        let groups = &self.target.groups;
        let group = &groups[self.places[row].0];
        match group.nest() {
            Some(nest) if groups.iter().any(|g| g.nest() != Some(nest)) => {
                nest.places(0).into_iter().map(|k| k as usize).collect()
            }
            _ => (0..group.dim()).collect(),
        }
    }

    /// Mean and standard deviation of each coordinate under the row's p(z | globals), where that is a normal law of
    /// independent coordinates; none else.
    pub fn normal_prior(&self, row: usize) -> Option<Vec<(f64, f64)>> {
        let (group, d) = (&self.target.groups[self.places[row].0], self.dim(row));
        let degree = super::degree::degrees(&group.graph, group.graph.inputs()[0].var, 2);
        let mut prior = group.parts.iter().filter(|p| p.0 == Part::Prior);
        if !prior.all(|p| degree[p.1.index()].is_some()) {
            return None;
        }
        let encoded = vec![0.0; self.encoded_len(row)];
        let gradient = |z: &[f64]| {
            let (mut lp, mut g) = ([0.0], vec![0.0; d]);
            self.run(Kind::Prior, row, 1, &encoded, z, &mut [&mut lp, &mut g]);
            g
        };
        let origin = gradient(&vec![0.0; d]);
        let columns = (0..d).map(|j| {
            let mut e = vec![0.0; d];
            e[j] = 1.0;
            gradient(&e).iter().zip(&origin).map(|(a, b)| b - a).collect::<Vec<f64>>()
        });
        let precision = nalgebra::DMatrix::from_vec(d, d, columns.flatten().collect());
        let coupled = |k: usize| precision[k] != 0.0 && k / d != k % d;
        if (0..d * d).any(coupled) {
            return None;
        }
        let factor = precision.cholesky()?;
        let mean = factor.solve(&nalgebra::DVector::from_vec(origin));
        let covariance = factor.inverse();
        Some((0..d).map(|j| (mean[j], covariance[(j, j)].sqrt())).collect())
    }

    /// Whether log p(x, z) of a row is a polynomial of degree 2 in z, so that its posterior is normal.
    pub fn is_quadratic(&self, row: usize) -> bool {
        let group = &self.target.groups[self.places[row].0];
        let d = super::degree::degrees(&group.graph, group.graph.inputs()[0].var, 2);
        group.parts.iter().all(|p| d[p.1.index()].is_some())
    }
}
