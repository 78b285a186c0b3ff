//! Coupling layers: some coordinates pass and decide what happens to the others.

use super::elementwise::Elementwise;
use super::layer::{Layer, Parameters};
use super::mlp::{Mlp, Network};
use super::orthogonal::{inverse_order, permute};
use crate::base::rng::Stream;
use crate::graph::reverse::grad;
use crate::graph::{Graph, Shape, Spread, Var};

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

    /// What the network makes of the part that stays.
    fn raw(&self, g: &mut Graph, p: &Parameters, kept: Var, ctx: Option<Var>) -> Var {
        let inputs: Vec<Var> = [Some(kept), ctx.filter(|_| self.context > 0)].into_iter().flatten().collect();
        let inputs = g.concat(&inputs, Shape::new(&[self.keep.len() + self.context]));
        let weights = self.net.weights(g, p);
        self.net.apply(g, &weights, inputs)
    }

    /// Puts what stays and what was moved in their places.
    fn join(&self, g: &mut Graph, kept: Var, moved: Var) -> Var {
        let both = g.concat(&[kept, moved], Shape::new(&[self.dim()]));
        let order = [self.keep.as_slice(), &self.moved].concat();
        permute(g, both, &inverse_order(&order))
    }

    /// Splits `x`, transforms one part, puts both together.
    fn write(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>, forward: bool) -> (Var, Var) {
        let (kept, moved) = (permute(g, x, &self.keep), permute(g, x, &self.moved));
        let raw = self.raw(g, p, kept, ctx);
        let (to, log) = if forward { self.map.forward(g, moved, raw) } else { self.map.inverse(g, moved, raw) };
        (self.join(g, kept, to), g.sum(log))
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

    /// y_move = f(x_move; raw) has the score `(score − ∂ log f' / ∂x_move) / f'`; that of y_keep is the score of x_keep less what
    /// the network hands back from y_move, weighted by its score, and from log f'. Written in a graph of its own, in which both parts
    /// are inputs: derivatives in one go by no way through the other, or through earlier layers.
    fn forward_scored(&self, g: &mut Graph, p: &Parameters, x: Var, score: Var, ctx: Option<Var>) -> Option<[Var; 3]> {
        let [kept, moved] = [&self.keep, &self.moved].map(|half| permute(g, x, half));
        let [kept_score, moved_score] = [&self.keep, &self.moved].map(|half| permute(g, score, half));
        let (mut own, mut given) = (Graph::new(), vec![]);
        let mut take = |v: Var| {
            given.push(v);
            own.input("given", g.shape(v), Spread::Particle)
        };
        let [x_kept, x_moved, s_kept, s_moved] = [kept, moved, kept_score, moved_score].map(&mut take);
        let (ctx, p) = (ctx.map(&mut take), p.map(&mut take));
        let raw = self.raw(&mut own, &p, x_kept, ctx);
        let (to, log) = self.map.forward(&mut own, x_moved, raw);
        let one = own.scalar(1.0);
        let bend = grad(&mut own, &[log], &[one], &[x_moved])[0];
        let (rest, narrow) = (own.sub(s_moved, bend), own.neg(log));
        let slope = own.exp(narrow);
        let pushed = own.mul(rest, slope);
        let back = grad(&mut own, &[to, log], &[pushed, one], &[x_kept])[0];
        let (left, log_det) = (own.sub(s_kept, back), own.sum(log));
        let out = g.inline(&own, &given, &[to, log_det, left, pushed]);
        Some([self.join(g, kept, out[0]), out[1], self.join(g, out[2], out[3])])
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        self.write(g, p, y, ctx, false)
    }

    fn describe(&self) -> String {
        format!("coupling({})", self.map.name())
    }
}
