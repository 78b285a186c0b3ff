//! The list of all layers: what the laws of flows are tested over.

use super::affine::{Diagonal, Lu, Triangular};
use super::autoregressive::Autoregressive;
use super::coupling::Coupling;
use super::elementwise::Elementwise;
use super::invert::Invert;
use super::layer::Layer;
use super::masks::masks;
use super::mlp::{Activation, Network};
use super::orthogonal::{Householder, Permutation};

/// A layer with a constructor.
pub struct Entry {
    /// Its name in messages.
    pub name: &'static str,
    /// The layer at (dim, context), small.
    pub new: fn(usize, usize) -> Box<dyn Layer>,
    /// It reads a context where it is given one.
    pub conditional: bool,
}

const AFFINE: Elementwise = Elementwise::Affine { bound: 3.0 };
const SPLINE: Elementwise = Elementwise::Spline { bins: 5, limit: 4.0 };

/// Every layer, in the order of the documentation.
pub fn registry() -> Vec<Entry> {
    let entry = |name, conditional, new| Entry { name, new, conditional };
    vec![
        entry("diagonal", true, |d, c| Box::new(Diagonal::new(d, c))),
        entry("triangular", true, |d, c| Box::new(Triangular::new(d, c))),
        entry("lu", true, |d, c| Box::new(Lu::new(d, c, 1))),
        entry("householder", false, |d, _| Box::new(Householder::new(d, 3))),
        entry("permutation", false, |d, _| Box::new(Permutation::new(d, 1))),
        entry("coupling", true, |d, c| coupling(d, c, AFFINE, Activation::Tanh)),
        entry("coupling with elu", true, |d, c| coupling(d, c, AFFINE, Activation::Elu)),
        entry("spline coupling", true, |d, c| coupling(d, c, SPLINE, Activation::Tanh)),
        entry("spline coupling with gelu", true, |d, c| coupling(d, c, SPLINE, Activation::Gelu)),
        entry("autoregressive", true, |d, c| autoregressive(d, c, false, AFFINE)),
        entry("autoregressive, reversed", true, |d, c| autoregressive(d, c, true, AFFINE)),
        entry("spline autoregressive", true, |d, c| autoregressive(d, c, false, SPLINE)),
        entry("inverse of autoregressive", true, |d, c| Box::new(Invert::new(autoregressive(d, c, false, AFFINE)))),
    ]
}

fn coupling(dim: usize, context: usize, map: Elementwise, activation: Activation) -> Box<dyn Layer> {
    let network = Network { hidden: vec![6, 5], activation };
    Box::new(Coupling::new(&masks(dim, 1)[0], context, map, &network))
}

fn autoregressive(dim: usize, context: usize, reversed: bool, map: Elementwise) -> Box<dyn Layer> {
    let network = Network { hidden: vec![dim.max(4), dim.max(5)], activation: Activation::Relu };
    Box::new(Autoregressive::new(dim, context, reversed, map, &network))
}
