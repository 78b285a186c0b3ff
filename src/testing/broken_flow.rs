//! Flows that are wrong on purpose: laws of flows that none of them breaks are no laws.
//!
//! | mutant | what is wrong | killed by |
//! |---|---|---|
//! | [`WrongSign`] | the log-determinant has the other sign | log-determinant of the Jacobian |
//! | [`LostBend`] | the score that comes along forgets what the network hands back | the score comes along |
//! | [`SwappedMask`] | the inverse has the mask of the other half, or of the reversed order | round trip |
//! | [`missing_permutation`] | every coupling moves the same half | every coordinate is transformed |
//! | [`DroppedContext`] | the context is accepted and not used | the context counts |

use crate::base::rng::Stream;
use crate::flow::autoregressive::Autoregressive;
use crate::flow::coupling::Coupling;
use crate::flow::elementwise::Elementwise;
use crate::flow::mlp::{Activation, Network};
use crate::flow::{Flow, Layer, Parameters};
use crate::graph::reverse::grad;
use crate::graph::{Graph, Shape, Var};

const MAP: Elementwise = Elementwise::Affine { bound: 3.0 };

fn network() -> Network {
    Network { hidden: vec![6], activation: Activation::Tanh }
}

/// A layer with the sign of its log-determinants turned.
#[derive(Debug)]
pub struct WrongSign(pub Box<dyn Layer>);

impl Layer for WrongSign {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn context(&self) -> usize {
        self.0.context()
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.0.parameters()
    }

    fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        self.0.initial(rng, out);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var) {
        let (y, log_det) = self.0.forward(g, p, x, ctx);
        (y, g.neg(log_det))
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        let (x, log_det) = self.0.inverse(g, p, y, ctx);
        (x, g.neg(log_det))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// A coupling whose score is pushed as if its network were constant.
#[derive(Debug)]
pub struct LostBend(pub Box<dyn Layer>);

impl Layer for LostBend {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.0.parameters()
    }

    fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        self.0.initial(rng, out);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var) {
        self.0.forward(g, p, x, ctx)
    }

    fn forward_scored(&self, g: &mut Graph, p: &Parameters, x: Var, score: Var, ctx: Option<Var>) -> Option<[Var; 3]> {
        let (y, log_det) = self.0.forward(g, p, x, ctx);
        // By the diagonal of the Jacobian alone.
        let one = g.scalar(1.0);
        let slope = grad(g, &[y], &[one], &[x])[0];
        Some([y, log_det, g.div(score, slope)])
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        self.0.inverse(g, p, y, ctx)
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// A layer whose inverse has another mask than its forward direction.
#[derive(Debug)]
pub struct SwappedMask {
    there: Box<dyn Layer>,
    back: Box<dyn Layer>,
}

impl SwappedMask {
    /// A coupling whose inverse keeps what forward moves; on an even number of coordinates, so that both have the
    /// same parameters.
    pub fn coupling(dim: usize) -> SwappedMask {
        let coupling = |half: bool| {
            let moves: Vec<bool> = (0..dim).map(|k| (k < dim / 2) == half).collect();
            Box::new(Coupling::new(&moves, 0, MAP, &network()))
        };
        SwappedMask { there: coupling(true), back: coupling(false) }
    }

    /// An autoregressive layer whose inverse has the reversed order.
    pub fn autoregressive(dim: usize) -> SwappedMask {
        let layer = |reversed: bool| Box::new(Autoregressive::new(dim, 0, reversed, MAP, &network()));
        SwappedMask { there: layer(false), back: layer(true) }
    }
}

impl Layer for SwappedMask {
    fn dim(&self) -> usize {
        self.there.dim()
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.there.parameters()
    }

    fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        self.there.initial(rng, out);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var) {
        self.there.forward(g, p, x, ctx)
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var) {
        self.back.inverse(g, p, y, ctx)
    }

    fn describe(&self) -> String {
        self.there.describe()
    }
}

/// A chain of couplings without permutations in between: the first half of the coordinates never moves.
pub fn missing_permutation(dim: usize, layers: usize) -> Flow {
    let moves: Vec<bool> = (0..dim).map(|k| k >= dim / 2).collect();
    let coupling = || Box::new(Coupling::new(&moves, 0, MAP, &network())) as Box<dyn Layer>;
    Flow::new((0..layers).map(|_| coupling()).collect())
}

/// A layer that sees zeros in place of its context.
#[derive(Debug)]
pub struct DroppedContext(pub Box<dyn Layer>);

impl Layer for DroppedContext {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn context(&self) -> usize {
        self.0.context()
    }

    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.0.parameters()
    }

    fn initial(&self, rng: &mut Stream, out: &mut [f64]) {
        self.0.initial(rng, out);
    }

    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, _: Option<Var>) -> (Var, Var) {
        let zeros = g.filled(0.0, Shape::new(&[self.context()]));
        self.0.forward(g, p, x, Some(zeros))
    }

    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, _: Option<Var>) -> (Var, Var) {
        let zeros = g.filled(0.0, Shape::new(&[self.context()]));
        self.0.inverse(g, p, y, Some(zeros))
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}
