//! Masked autoregressive layers: each coordinate is transformed given the ones before it.

use super::elementwise::Elementwise;
use super::layer::{Layer, Parameters};
use super::mlp::{Mlp, Network, Weights};
use super::sequential::{Order, solve};
use crate::base::rng::Stream;
use crate::graph::{Graph, Shape, Var};

/// y_i = f(x_i; network_i(x_before i, context)), with one masked network for all i (Germain et al. 2015,
/// eqs. 8 and 9). Forward costs one pass: this is the layer of inverse autoregressive flows (Kingma et al. 2016,
/// eq. 10); its inversion is that of masked autoregressive flows (Papamakarios et al. 2017, eq. 4), which
/// compute densities in one pass. The other direction is exact too: a loop over the coordinates in their order, in
/// which each unit of the network is computed once.
///
/// The first coordinate depends on the context alone, and without context its parameters are free: for d = 1
/// the layer is an element-wise transform.
#[derive(Clone, Debug)]
pub struct Autoregressive {
    /// Place of each coordinate in the order, from 1.
    place: Vec<usize>,
    /// Degree of each hidden unit: the last place that it sees.
    hidden: Vec<Vec<usize>>,
    context: usize,
    map: Elementwise,
    net: Mlp,
}

impl Autoregressive {
    /// Coordinates in their order, or in the reversed one.
    pub fn new(dim: usize, context: usize, reversed: bool, map: Elementwise, network: &Network) -> Autoregressive {
        let place: Vec<usize> = (0..dim).map(|k| if reversed { dim - k } else { k + 1 }).collect();
        let hidden = degrees(dim, context, network);
        let net = masked(&place, &hidden, context, &map, network);
        Autoregressive { place, hidden, context, map, net }
    }

    /// Parameters of the transforms at `x`.
    fn raw(&self, g: &mut Graph, weights: &Weights, x: Var, ctx: Option<Var>) -> Var {
        let inputs: Vec<Var> = [Some(x), ctx.filter(|_| self.context > 0)].into_iter().flatten().collect();
        let inputs = g.concat(&inputs, Shape::new(&[self.dim() + self.context]));
        self.net.apply(g, weights, inputs)
    }
}

/// Degrees of the units of each hidden layer, spread evenly below d (Germain et al. 2015). Degree 0 is for units
/// that see the context alone; without context they would see nothing.
fn degrees(dim: usize, context: usize, network: &Network) -> Vec<Vec<usize>> {
    let least = if context > 0 || dim == 1 { 0 } else { 1 };
    let layer = |&units: &usize| (0..units).map(|j| least + j * (dim - least) / units).collect();
    network.hidden.iter().map(layer).collect()
}

/// A unit sees units of at most its degree, where inputs have the degree of their place and the context 0; the
/// parameters of a coordinate see units of smaller degree than its place.
fn masked(place: &[usize], hidden: &[Vec<usize>], context: usize, map: &Elementwise, network: &Network) -> Mlp {
    let d = place.len();
    let inputs: Vec<usize> = place.iter().copied().chain(vec![0; context]).collect();
    let before = |layer: usize| if layer == 0 { &inputs } else { &hidden[layer - 1] };
    let owners = map.owners(d);
    Mlp::masked(d + context, network, owners.len(), |layer, unit, from| match hidden.get(layer) {
        Some(own) => before(layer)[from] <= own[unit],
        None => before(layer)[from] < place[owners[unit]],
    })
}

impl Layer for Autoregressive {
    fn dim(&self) -> usize {
        self.place.len()
    }

    fn context(&self) -> usize {
        self.context
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.net.parameters()
    }

    fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        self.net.initial(rng, out);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var) {
        let weights = self.net.weights(g, p);
        let raw = self.raw(g, &weights, x, ctx);
        let (y, log) = self.map.forward(g, x, raw);
        (y, g.sum(log))
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        let weights = self.net.weights(g, p);
        let order = Order { place: &self.place, hidden: &self.hidden, context: self.context };
        solve(g, (&self.net, &self.map, &order), &weights, y, ctx)
    }

    fn describe(&self) -> String {
        format!("autoregressive({})", self.map.name())
    }
}
