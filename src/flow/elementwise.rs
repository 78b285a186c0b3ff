//! Transforms of single coordinates, whose parameters a conditioner computes.

use super::head::{block, bounded};
use super::spline;
use crate::graph::{Graph, Var};

/// An increasing map of R onto itself for each of m coordinates, with `width` parameters each; parameters 0 give
/// the identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elementwise {
    /// y = x exp(s) + t with the log-scale s = bound · tanh(a / bound), inside ±bound.
    Affine {
        /// Bound of the log-scale.
        bound: f64,
    },
    /// A rational-quadratic spline on [-limit, limit], the identity outside (Durkan et al. 2019). Slopes at inner
    /// knots are above 0.001, and bins have at least 0.001 of the box in either direction.
    Spline {
        /// Number of bins, 2 to 500.
        bins: usize,
        /// Half the side of the box.
        limit: f64,
    },
}

impl Elementwise {
    /// Parameters of one coordinate: shift and log-scale, or widths, heights and inner slopes. Those of m
    /// coordinates are an array `[width, m]`.
    pub fn width(&self) -> usize {
        match self {
            Elementwise::Affine { .. } => 2,
            Elementwise::Spline { bins, .. } => 3 * bins - 1,
        }
    }

    /// For each of the `m * width` parameters, the coordinate that it belongs to.
    pub(super) fn owners(&self, m: usize) -> Vec<usize> {
        (0..m * self.width()).map(|k| k % m).collect()
    }

    /// Values and log-derivatives at x, each `[m]`, for the parameters `raw [m * width]`.
    pub(super) fn forward(&self, g: &mut Graph, x: Var, raw: Var) -> (Var, Var) {
        let m = g.shape(x).count();
        match *self {
            Elementwise::Affine { bound } => {
                let (shift, a) = (block(g, raw, 0, m), block(g, raw, 1, m));
                let s = bounded(g, a, bound);
                let scale = g.exp(s);
                let y = g.mul(x, scale);
                (g.add(y, shift), s)
            }
            Elementwise::Spline { bins, limit } => spline::forward(g, x, raw, bins, limit),
        }
    }

    /// The x with the value y, and the log-derivative of x in y.
    pub(super) fn inverse(&self, g: &mut Graph, y: Var, raw: Var) -> (Var, Var) {
        let m = g.shape(y).count();
        match *self {
            Elementwise::Affine { bound } => {
                let (shift, a) = (block(g, raw, 0, m), block(g, raw, 1, m));
                let s = bounded(g, a, bound);
                let s = g.neg(s);
                let (scale, centred) = (g.exp(s), g.sub(y, shift));
                (g.mul(centred, scale), s)
            }
            Elementwise::Spline { bins, limit } => spline::inverse(g, y, raw, bins, limit),
        }
    }

    /// `affine`, or `spline`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Elementwise::Affine { .. } => "affine",
            Elementwise::Spline { .. } => "spline",
        }
    }
}
