//! A layer with its two directions exchanged.

use super::layer::{Layer, Parameters};
use crate::base::rng::Stream;
use crate::graph::{Graph, Var};

/// The inverse of a layer, with the same parameters.
#[derive(Debug)]
pub struct Invert {
    layer: Box<dyn Layer>,
}

impl Invert {
    /// The inverse of `layer`.
    pub fn new(layer: Box<dyn Layer>) -> Invert {
        Invert { layer }
    }
}

impl Layer for Invert {
    fn dim(&self) -> usize {
        self.layer.dim()
    }

    fn context(&self) -> usize {
        self.layer.context()
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.layer.parameters()
    }

    fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        self.layer.initial(rng, out);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var) {
        self.layer.inverse(g, p, x, ctx)
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        self.layer.forward(g, p, y, ctx)
    }

    fn describe(&self) -> String {
        format!("invert({})", self.layer.describe())
    }
}
