//! Coupling layers: some coordinates pass and decide what happens to the others.

use super::elementwise::Elementwise;
use super::layer::{Layer, Parameters};
use super::mlp::{Mlp, Network};
use super::orthogonal::{inverse_order, permute};
use crate::base::rng::Stream;
use crate::graph::{Graph, Shape, Var};

/// y_keep = x_keep, y_move = f(x_move; network(x_keep, context)) (Dinh, Sohl-Dickstein & Bengio 2017, eqs. 4
/// to 8; with splines Durkan et al. 2019, section 3.2). Both directions cost one pass of the network.
///
/// With nothing to keep, as for d = 1, the parameters of f come from the context alone, and without context
/// they are free: the layer is then an element-wise transform.
#[derive(Clone, Debug)]
pub struct Coupling {
    keep: Vec<usize>,
    moved: Vec<usize>,
    context: usize,
    map: Elementwise,
    net: Mlp,
}

impl Coupling {
    /// Moves the coordinates where `moves` is true.
    pub fn new(moves: &[bool], context: usize, map: Elementwise, network: &Network) -> Coupling {
        let (moved, keep): (Vec<usize>, Vec<usize>) = (0..moves.len()).partition(|&k| moves[k]);
        let net = Mlp::dense(keep.len() + context, network, moved.len() * map.width());
        Coupling { keep, moved, context, map, net }
    }

    /// Splits `x`, transforms one part, puts both together.
    fn write(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>, forward: bool) -> (Var, Var) {
        let (kept, moved) = (permute(g, x, &self.keep), permute(g, x, &self.moved));
        let inputs: Vec<Var> = [Some(kept), ctx.filter(|_| self.context > 0)].into_iter().flatten().collect();
        let inputs = g.concat(&inputs, Shape::new(&[self.keep.len() + self.context]));
        let weights = self.net.weights(g, p);
        let raw = self.net.apply(g, &weights, inputs);
        let (to, log) = if forward { self.map.forward(g, moved, raw) } else { self.map.inverse(g, moved, raw) };
        let both = g.concat(&[kept, to], Shape::new(&[self.dim()]));
        let order = [self.keep.as_slice(), &self.moved].concat();
        (permute(g, both, &inverse_order(&order)), g.sum(log))
    }
}

impl Layer for Coupling {
    fn dim(&self) -> usize {
        self.keep.len() + self.moved.len()
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
        self.write(g, p, x, ctx, true)
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        self.write(g, p, y, ctx, false)
    }

    fn describe(&self) -> String {
        format!("coupling({})", self.map.name())
    }
}
