//! A chain of layers with one flat parameter vector.

use std::fmt;
use std::sync::Arc;

use super::layer::{Layer, Parameters, Segment};
use crate::base::rng::Stream;
use crate::graph::{Graph, Var};

/// A chain of layers, first to last in the forward (base → target) direction, with one flat parameter vector.
#[derive(Clone, Debug)]
pub struct Flow {
    layers: Vec<Arc<dyn Layer>>,
    /// Position of each layer's first parameter.
    starts: Vec<usize>,
    segments: Vec<Segment>,
    len: usize,
    text: String,
}

impl Flow {
    /// The chain of the given layers, which have one dimension and read one context (or none).
    ///
    /// # Panics
    /// Where there is no layer, or dimensions or contexts differ.
    pub fn new(layers: Vec<Box<dyn Layer>>) -> Flow {
        let text = layers.iter().map(|l| l.describe()).collect::<Vec<_>>().join(" -> ");
        Flow::described(layers.into_iter().map(Arc::from).collect(), text)
    }

    /// The same with a text of its own.
    pub(super) fn described(layers: Vec<Arc<dyn Layer>>, text: String) -> Flow {
        assert!(!layers.is_empty(), "a flow has at least one layer");
        let (mut starts, mut segments, mut len) = (Vec::new(), Vec::new(), 0);
        for (k, layer) in layers.iter().enumerate() {
            assert_eq!(layer.dim(), layers[0].dim(), "the layers of a flow have one dimension");
            starts.push(len);
            let kind = layer.describe();
            let kind = kind.split('(').next().unwrap_or_default();
            for (name, shape) in layer.parameters() {
                let segment = Segment { name: format!("{k}.{kind}/{name}"), shape, start: len };
                len += segment.count();
                segments.push(segment);
            }
        }
        let flow = Flow { layers, starts, segments, len, text };
        let fits = |l: &Arc<dyn Layer>| l.context() == 0 || l.context() == flow.context();
        assert!(flow.layers.iter().all(fits), "the layers of a flow read one context");
        flow
    }

    /// This flow, then the other.
    ///
    /// # Panics
    /// Where dimensions or contexts differ.
    pub fn then(&self, next: &Flow) -> Flow {
        let layers = self.layers.iter().chain(&next.layers).cloned().collect();
        Flow::described(layers, format!("{} -> {}", self.text, next.text))
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.layers[0].dim()
    }

    /// Length of the context; 0 where no layer reads one.
    pub fn context(&self) -> usize {
        self.layers.iter().map(|l| l.context()).max().unwrap_or(0)
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without parameters (permutations alone).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The layers, first to last in the forward direction.
    pub fn layers(&self) -> &[Arc<dyn Layer>] {
        &self.layers
    }

    /// The segments of the parameter vector, in order and without gaps.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segments of the k-th layer.
    pub fn layer_segments(&self, k: usize) -> &[Segment] {
        let end = self.starts.get(k + 1).copied().unwrap_or(self.len);
        let inside = |s: &Segment| s.start < self.starts[k];
        let from = self.segments.partition_point(inside);
        let to = self.segments.partition_point(|s| s.start < end);
        &self.segments[from..to]
    }

    /// Initial values of the parameters: layer k draws from the stream `(seed, "flow", k)`.
    pub fn initial(&self, seed: u64) -> Vec<f64> {
        let mut theta = vec![0.0; self.len];
        for (k, layer) in self.layers.iter().enumerate() {
            let end = self.starts.get(k + 1).copied().unwrap_or(self.len);
            layer.initial(&mut Stream::new(seed, "flow", k as u64), &mut theta[self.starts[k]..end]);
        }
        theta
    }

    /// Writes z = T(u) and log |det dz/du|; `theta` is `[len]`, `u` is `[dim]`, `ctx` is `[context]`.
    pub fn forward(&self, g: &mut Graph, theta: Var, u: Var, ctx: Option<Var>) -> (Var, Var) {
        let (mut x, mut total) = (u, g.scalar(0.0));
        for (k, layer) in self.layers.iter().enumerate() {
            let p = Parameters::slices(g, theta, self.starts[k], &layer.parameters());
            let (y, log_det) = layer.forward(g, &p, x, ctx);
            total = g.add(total, log_det);
            x = y;
        }
        (x, total)
    }

    /// [`Flow::forward`] of a point whose law has the score `score` there, with the score of the law of z; none where a layer has no
    /// recursion for it.
    pub fn forward_scored(&self, g: &mut Graph, theta: Var, u: Var, score: Var, ctx: Option<Var>) -> Option<[Var; 3]> {
        let (mut x, mut total, mut score) = (u, g.scalar(0.0), score);
        for (k, layer) in self.layers.iter().enumerate() {
            let p = Parameters::slices(g, theta, self.starts[k], &layer.parameters());
            let [y, log_det, pushed] = layer.forward_scored(g, &p, x, score, ctx)?;
            total = g.add(total, log_det);
            (x, score) = (y, pushed);
        }
        Some([x, total, score])
    }

    /// Writes u = T⁻¹(z) and log |det du/dz|.
    pub fn inverse(&self, g: &mut Graph, theta: Var, z: Var, ctx: Option<Var>) -> (Var, Var) {
        let (mut y, mut total) = (z, g.scalar(0.0));
        for (k, layer) in self.layers.iter().enumerate().rev() {
            let p = Parameters::slices(g, theta, self.starts[k], &layer.parameters());
            let (x, log_det) = layer.inverse(g, &p, y, ctx);
            total = g.add(total, log_det);
            y = x;
        }
        (y, total)
    }
}

/// The text that the flow was parsed from, in its standard form; else its layers in order.
impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
