//! What a layer of a flow is: a static description that writes its two directions for one point.

use std::fmt::Debug;

use crate::base::rng::Stream;
use crate::graph::{Graph, Index, Shape, Var};

/// One segment of a flow's flat parameter vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `<number of the layer>.<kind>/<name in the layer>`.
    pub name: String,
    /// Shape, row-major; no axes for a scalar.
    pub shape: Vec<usize>,
    /// Position of its first element in the flat vector.
    pub start: usize,
}

impl Segment {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The parameters of one layer in a graph, by name.
#[derive(Clone, Debug)]
pub struct Parameters {
    named: Vec<(String, Var)>,
}

impl Parameters {
    /// The slices of `theta` (flat) from `start` on that hold parameters of the given names and shapes.
    pub fn slices(g: &mut Graph, theta: Var, start: usize, parameters: &[(String, Vec<usize>)]) -> Parameters {
        let mut at = start;
        let mut slice = |(name, dims): &(String, Vec<usize>)| {
            let len = dims.iter().product();
            let v = g.gather(theta, Index::Stride { start: at, stride: 1, len }, Shape::new(dims));
            at += len;
            (name.clone(), v)
        };
        Parameters { named: parameters.iter().map(&mut slice).collect() }
    }

    /// The same names for what `f` makes of the parameters.
    pub fn map(&self, mut f: impl FnMut(Var) -> Var) -> Parameters {
        Parameters { named: self.named.iter().map(|(name, v)| (name.clone(), f(*v))).collect() }
    }

    /// The parameter of a name.
    ///
    /// # Panics
    /// Where the layer does not list it in [`Layer::parameters`].
    pub fn get(&self, name: &str) -> Var {
        let found = self.named.iter().find(|(n, _)| n == name);
        found.expect("a layer reads the parameters that it lists").1
    }
}

/// An invertible map of R^dim onto itself, given a context of R^context, that writes itself into a graph for
/// **one** point. Forward is the direction from the base to the target.
///
/// Shapes: point `[dim]`, context `[context]`, log-determinant scalar.
pub trait Layer: Debug + Send + Sync {
    /// Number of coordinates.
    fn dim(&self) -> usize;

    /// Length of the context that it reads; 0 where it reads none.
    fn context(&self) -> usize {
        0
    }

    /// Names and shapes of its parameters, in their order in the flat vector.
    fn parameters(&self) -> Vec<(String, Vec<usize>)>;

    /// Writes initial values of its parameters, at which the layer is the identity (or, where it says so, keeps
    /// a standard normal as it is).
    fn initial(&self, rng: &mut Stream, out: &mut [f64]);

    /// Value and log |det dy/dx| at `x`.
    fn forward(&self, g: &mut Graph, p: &Parameters, x: Var, ctx: Option<Var>) -> (Var, Var);

    /// [`forward`](Layer::forward) of a point whose law has the score `score` there (the gradient of its log density): value, log |det|, and
    /// the score of the value's law, `J⁻ᵀ (score − ∇ log |det J|)` (the recursion of path gradients of Vaitl, Nicoli, Nakajima &
    /// Kessel 2022, and for couplings of Vaitl, Winkler, Richter & Kessel 2024). None where that is no cheaper than the derivative of the inverse.
    fn forward_scored(
        &self,
        _: &mut Graph,
        _: &Parameters,
        _x: Var,
        _score: Var,
        _ctx: Option<Var>,
    ) -> Option<[Var; 3]> {
        None
    }

    /// The x that `forward` maps to `y`, and log |det dx/dy| there.
    fn inverse(&self, g: &mut Graph, p: &Parameters, y: Var, ctx: Option<Var>) -> (Var, Var);

    /// What it is, in one line.
    fn describe(&self) -> String;
}
