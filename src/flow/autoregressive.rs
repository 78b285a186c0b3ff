//! Masked autoregressive layers: each coordinate is transformed given the ones before it.

use super::elementwise::Elementwise;
use super::layer::{Layer, Parameters};
use super::mlp::{Mlp, Network, Weights};
use crate::base::rng::Stream;
use crate::graph::{Graph, Scan, Shape, Spread, Var};

/// y_i = f(x_i; network_i(x_before i, context)), with one masked network for all i (Germain et al. 2015,
/// eqs. 8 and 9). Forward costs one pass: this is the layer of inverse autoregressive flows (Kingma et al. 2016,
/// eq. 10); its inversion is that of masked autoregressive flows (Papamakarios et al. 2017, eq. 4), which
/// compute densities in one pass. The other direction is exact too: a loop of d passes, of which the i-th
/// finishes the i-th coordinate in the order.
///
/// The first coordinate depends on the context alone, and without context its parameters are free: for d = 1
/// the layer is an element-wise transform.
#[derive(Clone, Debug)]
pub struct Autoregressive {
    /// Place of each coordinate in the order, from 1.
    place: Vec<usize>,
    context: usize,
    map: Elementwise,
    net: Mlp,
}

impl Autoregressive {
    /// Coordinates in their order, or in the reversed one.
    pub fn new(dim: usize, context: usize, reversed: bool, map: Elementwise, network: &Network) -> Autoregressive {
        let place: Vec<usize> = (0..dim).map(|k| if reversed { dim - k } else { k + 1 }).collect();
        let net = masked(&place, context, &map, network);
        Autoregressive { place, context, map, net }
    }

    /// Parameters of the transforms at `x`.
    fn raw(&self, g: &mut Graph, weights: &Weights, x: Var, ctx: Option<Var>) -> Var {
        let inputs: Vec<Var> = [Some(x), ctx.filter(|_| self.context > 0)].into_iter().flatten().collect();
        let inputs = g.concat(&inputs, Shape::new(&[self.dim() + self.context]));
        self.net.apply(g, weights, inputs)
    }

    /// The x that `forward` maps to `y`, by a loop over the places of the order. What is not yet known is 0
    /// there and never read, so nothing can overflow on the way.
    fn solve(&self, g: &mut Graph, weights: &Weights, y: Var, ctx: Option<Var>) -> Var {
        let d = self.dim();
        let ctx = ctx.filter(|_| self.context > 0);
        let flat: Vec<Var> = weights.iter().flat_map(|&(w, b)| [w, b]).collect();
        let each: Vec<Var> = [y].into_iter().chain(ctx).chain(flat).collect();
        let turn: Vec<f64> = (0..d * d).map(|k| f64::from(u8::from(self.place[k % d] == k / d + 1))).collect();
        let turn = g.constant(turn, Shape::new(&[d, d]));
        let widest = each.iter().map(|v| g.node(*v).spread).max().unwrap_or(Spread::Shared);
        let mut body = Graph::new();
        let x = body.input("x", Shape::new(&[d]), widest);
        let now = body.input("turn", Shape::new(&[d]), Spread::Shared);
        let inside: Vec<Var> = each.iter().map(|v| body.input("each", g.shape(*v), g.node(*v).spread)).collect();
        let (given, rest) = inside.split_at(1 + ctx.map_or(0, |_| 1));
        let weights: Weights = rest.chunks_exact(2).map(|w| (w[0], w[1])).collect();
        let raw = self.raw(&mut body, &weights, x, given.get(1).copied());
        let (found, _) = self.map.inverse(&mut body, given[0], raw);
        let next = body.select(now, found, x);
        let scan = Scan { body, len: d, xs: 1, next: vec![next], ys: vec![], reverse: false };
        let start = g.filled(0.0, Shape::new(&[d]));
        let node = g.scan(scan, &[start], &[turn], &each);
        g.proj(node, 0)
    }
}

/// The network with the masks of Germain et al. 2015: inputs have the degree of their place, context 0, hidden
/// units degrees spread evenly below d. A unit sees units of at most its degree; parameters of a coordinate see
/// units of smaller degree than its place.
fn masked(place: &[usize], context: usize, map: &Elementwise, network: &Network) -> Mlp {
    let d = place.len();
    // Degree 0 is for units that see the context alone; without context they would see nothing.
    let least = if context > 0 || d == 1 { 0 } else { 1 };
    let hidden = |units: usize| (0..units).map(|j| least + j * (d - least) / units).collect();
    let mut degrees: Vec<Vec<usize>> = vec![place.iter().copied().chain(vec![0; context]).collect()];
    degrees.extend(network.hidden.iter().map(|&n| hidden(n)));
    let owners = map.owners(d);
    Mlp::masked(d + context, network, owners.len(), |layer, unit, before| match degrees.get(layer + 1) {
        Some(own) => degrees[layer][before] <= own[unit],
        None => degrees[layer][before] < place[owners[unit]],
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
        let x = self.solve(g, &weights, y, ctx);
        let raw = self.raw(g, &weights, x, ctx);
        let (_, log) = self.map.inverse(g, y, raw);
        (x, g.sum(log))
    }

    fn describe(&self) -> String {
        format!("autoregressive({})", self.map.name())
    }
}
