//! Networks that compute the parameters of a transform from other coordinates and the context.

use std::fmt;
use std::sync::Arc;

use super::layer::Parameters;
use crate::base::rng::Stream;
use crate::graph::{Binary, Graph, Shape, Unary, Var};

/// What a hidden unit does to its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// tanh(x). Smooth and bounded: far from the origin the conditioner is constant, so tails stay affine.
    Tanh,
    /// max(x, 0)
    Relu,
    /// x where positive, else exp(x) − 1.
    Elu,
    /// x Φ(x)
    Gelu,
}

impl Activation {
    /// All of them, in the order of messages.
    pub const ALL: [Activation; 4] = [Activation::Tanh, Activation::Relu, Activation::Elu, Activation::Gelu];

    fn write(self, g: &mut Graph, x: Var) -> Var {
        match self {
            Activation::Tanh => g.unary(Unary::Tanh, x),
            // Products with truth values, not branches: below a branch derivatives guard against what it does not take,
            // which costs as much as the network.
            Activation::Relu => {
                let zero = g.scalar(0.0);
                let positive = g.binary(Binary::Lt, zero, x);
                g.mul(x, positive)
            }
            Activation::Elu => {
                let zero = g.scalar(0.0);
                let (positive, negative) = (g.binary(Binary::Lt, zero, x), g.binary(Binary::Lt, x, zero));
                let (above, below) = (g.mul(x, positive), g.mul(x, negative));
                // exp sees no positive argument. One of the addends is 0.
                let below = g.unary(Unary::Expm1, below);
                g.add(above, below)
            }
            Activation::Gelu => {
                let p = g.unary(Unary::Phi, x);
                g.mul(x, p)
            }
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activation::Tanh => "tanh",
            Activation::Relu => "relu",
            Activation::Elu => "elu",
            Activation::Gelu => "gelu",
        })
    }
}

/// Hidden layers of a conditioner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Units of each hidden layer, first to last.
    pub hidden: Vec<usize>,
    /// Their activation.
    pub activation: Activation,
}

/// Weight `[out, in]` and bias `[out]` of every layer of a network, in a graph.
pub type Weights = Vec<(Var, Var)>;

/// A multilayer perceptron. Hidden weights start as N(0, 1/inputs); the last layer starts at 0, so that what is
/// conditioned on it starts as the identity. Without inputs it is its last bias alone.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// Sizes of the layers, inputs first.
    sizes: Vec<usize>,
    activation: Activation,
    /// Masks of the weights, 0 or 1, of their shapes; empty for a dense network.
    masks: Vec<Arc<[f64]>>,
}

impl Mlp {
    pub fn dense(inputs: usize, network: &Network, outputs: usize) -> Mlp {
        let hidden: &[usize] = if inputs == 0 { &[] } else { &network.hidden };
        Mlp { sizes: [&[inputs], hidden, &[outputs]].concat(), activation: network.activation, masks: vec![] }
    }

    /// A network whose unit of one layer sees a unit of the one before where `sees(layer, unit, unit before)`.
    pub fn masked(inputs: usize, network: &Network, outputs: usize, sees: impl Fn(usize, usize, usize) -> bool) -> Mlp {
        let mut mlp = Mlp::dense(inputs, network, outputs);
        let mask = |l: usize| {
            let (n, m) = (mlp.sizes[l], mlp.sizes[l + 1]);
            (0..m * n).map(|k| f64::from(u8::from(sees(l, k / n, k % n)))).collect()
        };
        mlp.masks = (0..mlp.layers()).map(mask).collect();
        mlp
    }

    fn layers(&self) -> usize {
        self.sizes.len() - 1
    }

    fn has_weight(&self, l: usize) -> bool {
        self.sizes[l] > 0
    }

    /// `weight<l> [out, in]` and `bias<l> [out]` of every layer; no weight where there are no inputs.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = Vec::new();
        for l in 0..self.layers() {
            if self.has_weight(l) {
                list.push((format!("weight{l}"), vec![self.sizes[l + 1], self.sizes[l]]));
            }
            list.push((format!("bias{l}"), vec![self.sizes[l + 1]]));
        }
        list
    }

    pub fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        out.fill(0.0);
        let mut rest = out;
        for l in 0..self.layers() - 1 {
            let (n, m) = (self.sizes[l], self.sizes[l + 1]);
            let (weights, tail) = rest.split_at_mut(m * n);
            rng.fill_normal(weights);
            let sd = (n as f64).sqrt().recip();
            weights.iter_mut().for_each(|w| *w *= sd);
            rest = &mut tail[m..];
        }
    }

    /// The weights, masks applied.
    pub fn weights(&self, g: &mut Graph, p: &Parameters) -> Weights {
        let mut write = |l: usize| {
            let shape = Shape::new(&[self.sizes[l + 1], self.sizes[l]]);
            let bias = p.get(&format!("bias{l}"));
            if !self.has_weight(l) {
                return (g.filled(0.0, shape), bias);
            }
            let weight = p.get(&format!("weight{l}"));
            match self.masks.get(l) {
                None => (weight, bias),
                Some(mask) => {
                    let mask = g.constant(mask.clone(), shape);
                    (g.mul(mask, weight), bias)
                }
            }
        };
        (0..self.layers()).map(&mut write).collect()
    }

    /// Outputs at the inputs `[inputs]`.
    pub fn apply(&self, g: &mut Graph, weights: &Weights, inputs: Var) -> Var {
        let mut x = inputs;
        for (l, &(weight, bias)) in weights.iter().enumerate() {
            x = match self.has_weight(l) {
                true => {
                    let y = g.matvec(weight, x, false);
                    g.add(y, bias)
                }
                false => bias,
            };
            if l + 1 < self.layers() {
                x = self.activate(g, x);
            }
        }
        x
    }

    /// The activation of hidden units.
    pub fn activate(&self, g: &mut Graph, x: Var) -> Var {
        self.activation.write(g, x)
    }
}
