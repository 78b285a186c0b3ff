//! A family of densities: a base pushed forward by a flow with free parameters.

use serde::{Deserialize, Serialize};

use crate::base::simd::Isa;
use crate::flow::{Flow, FlowError};
use crate::graph::program::{Options, Program, Real};
use crate::graph::reverse::gradient;
use crate::graph::{Graph, Shape, Spread, Var};
use crate::guide::base::Base;
use crate::guide::start::Start;

/// The affine layer that ends the flow of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// A scale for each coordinate (mean field).
    Diagonal,
    /// A lower triangular factor of the covariance (full rank).
    Full,
}

/// z = T(u; theta) with u from the base. The last layer of the flow is affine and takes the start.
#[derive(Clone, Debug)]
pub struct Family {
    /// The law of u.
    pub base: Base,
    /// The map, base → target.
    pub flow: Flow,
    /// Its layers before the affine one, as they were asked for.
    pub nonlinear: Option<String>,
    scale: Scale,
}

impl Family {
    /// A family on R^dim: the layers of `nonlinear` (the grammar of [`Flow::parse`]; none: a Gaussian family where the
    /// base is normal), then an affine layer.
    ///
    /// # Errors
    /// Where the text is no architecture.
    pub fn new(dim: usize, base: Base, nonlinear: Option<&str>, scale: Scale) -> Result<Family, FlowError> {
        let affine = match scale {
            Scale::Diagonal => "affine(diagonal)",
            Scale::Full => "affine(full)",
        };
        let text = nonlinear.map_or_else(|| affine.to_string(), |n| format!("{n} -> {affine}"));
        let flow = Flow::parse(&text, dim, 0)?;
        Ok(Family { base, flow, nonlinear: nonlinear.map(str::to_string), scale })
    }

    /// The affine layer.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.flow.dim()
    }

    /// Whether log q has a sequential inverse, so that its gradient at given points costs as many passes as coordinates.
    pub fn is_autoregressive(&self) -> bool {
        self.flow.to_string().contains("iaf")
    }

    /// Whether every member is Gaussian.
    pub fn is_gaussian(&self) -> bool {
        self.base == Base::Normal && self.is_affine()
    }

    /// Whether there is nothing but the affine layer.
    pub fn is_affine(&self) -> bool {
        self.flow.layers().len() == 1
    }

    /// Location and factor that the affine layer has at `theta`.
    pub fn affine(&self, theta: &[f64]) -> Start {
        let dim = self.dim();
        let mut start = Start::isotropic(vec![0.0; dim], 1.0);
        for segment in self.flow.layer_segments(self.flow.layers().len() - 1) {
            let from = &theta[segment.start..segment.start + segment.count()];
            match segment.name.rsplit('/').next() {
                Some("shift") => start.location.copy_from_slice(from),
                Some("log_scale") => from.iter().enumerate().for_each(|(i, x)| start.factor[i * dim + i] = x.exp()),
                Some("lower") => {
                    let below = (0..dim).flat_map(|i| (0..i).map(move |j| i * dim + j));
                    below.zip(from).for_each(|(k, x)| start.factor[k] = *x);
                }
                _ => {}
            }
        }
        start
    }

    /// Initial parameters: the nonlinear layers near the identity, the affine layer at `start`.
    pub fn initial(&self, start: &Start, seed: u64) -> Vec<f64> {
        let mut theta = self.flow.initial(seed);
        let dim = self.dim();
        for segment in self.flow.layer_segments(self.flow.layers().len() - 1) {
            let to = &mut theta[segment.start..segment.start + segment.count()];
            let factor = |i: usize, j: usize| start.factor[i * dim + j];
            match segment.name.rsplit('/').next() {
                Some("shift") => to.copy_from_slice(&start.location),
                Some("log_scale") if self.scale == Scale::Diagonal => {
                    let variance = |i: usize| (0..=i).map(|j| factor(i, j).powi(2)).sum::<f64>();
                    to.iter_mut().enumerate().for_each(|(i, x)| *x = 0.5 * variance(i).ln());
                }
                Some("log_scale") => to.iter_mut().enumerate().for_each(|(i, x)| *x = factor(i, i).ln()),
                Some("lower") => {
                    let below = (0..dim).flat_map(|i| (0..i).map(move |j| (i, j)));
                    to.iter_mut().zip(below).for_each(|(x, (i, j))| *x = factor(i, j));
                }
                _ => {}
            }
        }
        theta
    }

    /// Writes x = T(u) and log q(x) for one point.
    pub(super) fn push(&self, g: &mut Graph, theta: Var, u: Var) -> (Var, Var) {
        let (x, log_det) = self.flow.forward(g, theta, u, None);
        let base = self.base.log_density(g, u);
        (x, g.sub(base, log_det))
    }

    /// [`Family::push`] with the gradient of log q in x, parameters fixed; none where a layer has no recursion for it.
    pub(super) fn push_scored(&self, g: &mut Graph, theta: Var, u: Var) -> Option<[Var; 3]> {
        let base = self.base.log_density(g, u);
        let score = gradient(g, base, &[u])[0];
        let [x, log_det, score] = self.flow.forward_scored(g, theta, u, score, None)?;
        Some([x, g.sub(base, log_det), score])
    }

    /// Writes log q(x) for one point.
    pub(super) fn score(&self, g: &mut Graph, theta: Var, x: Var) -> Var {
        let (u, log_det) = self.flow.inverse(g, theta, x, None);
        let base = self.base.log_density(g, u);
        g.add(base, log_det)
    }

    /// A graph with the parameters (an input, or fixed) and a point.
    pub(super) fn one_point(&self, theta: Option<&[f64]>, point: Spread) -> (Graph, Var, Var) {
        let mut g = Graph::new();
        let len = Shape::new(&[self.flow.len()]);
        let theta = match theta {
            Some(values) => g.constant(values, len),
            None => g.input("theta", len, Spread::Shared),
        };
        let x = g.input("point", Shape::new(&[self.dim()]), point);
        (g, theta, x)
    }
}

/// Compiles for a number of lanes.
pub(super) fn compile<T: Real>(g: &Graph, outputs: &[Var], lanes: usize) -> Program<T> {
    Program::compile(g, outputs, &Options { lanes, isa: Isa::detect() })
}
