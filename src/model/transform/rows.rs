//! Helper that builds the same event-level operation for one value or for a batch of them.

use crate::graph::{Graph, Index, Shape, Var};

/// An event shape, alone or behind a batch axis.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    batch: Option<usize>,
    /// Shape of one value.
    pub event: &'a [usize],
}

impl<'a> Rows<'a> {
    pub fn new(batch: Option<usize>, event: &'a [usize]) -> Self {
        Rows { batch, event }
    }

    /// `dims`, behind the batch axis if there is one.
    pub fn shape(self, dims: &[usize]) -> Shape {
        match self.batch {
            Some(n) => Shape::new(&[&[n], dims].concat()),
            None => Shape::new(dims),
        }
    }

    /// The same `data` of shape `dims` in every row.
    pub fn constant(self, g: &mut Graph, data: &[f64], dims: &[usize]) -> Var {
        g.constant(data.repeat(self.len()), self.shape(dims))
    }

    /// Positions in every row of `width` elements.
    fn index(self, width: usize, at: &[usize]) -> Index {
        let table = (0..self.len()).flat_map(|row| at.iter().map(move |&p| (row * width + p) as u32));
        Index::from_table(table.collect())
    }

    fn len(self) -> usize {
        self.batch.unwrap_or(1)
    }

    /// Elements `at` of every row of `a`, whose rows have `width` elements.
    pub fn take(self, g: &mut Graph, a: Var, width: usize, at: &[usize]) -> Var {
        let shape = self.shape(&[at.len()]);
        if shape.count() == 0 {
            return g.filled(0.0, shape);
        }
        g.gather(a, self.index(width, at), shape)
    }

    /// Elements of every row of `a` put at `at` in a row of the event's shape, zeros elsewhere.
    pub fn place(self, g: &mut Graph, a: Var, at: &[usize]) -> Var {
        let shape = self.shape(self.event);
        if g.shape(a).count() == 0 {
            return g.filled(0.0, shape);
        }
        let width = self.event.iter().product();
        g.scatter_add(a, self.index(width, at), shape)
    }

    /// Puts the `free` coordinates of every row of `u` into the event: pairs (coordinate, place),
    /// those of `positive` through exp. Also returns the coordinates under exp, in that order.
    pub fn place_exp(
        self,
        g: &mut Graph,
        u: Var,
        free: usize,
        plain: &[(usize, usize)],
        positive: &[(usize, usize)],
    ) -> (Var, Var) {
        let split = |pairs: &[(usize, usize)]| -> (Vec<usize>, Vec<usize>) { pairs.iter().copied().unzip() };
        let (from, to) = split(positive);
        let logs = self.take(g, u, free, &from);
        let e = g.exp(logs);
        let e = self.place(g, e, &to);
        let (from, to) = split(plain);
        let p = self.take(g, u, free, &from);
        let p = self.place(g, p, &to);
        (g.add(p, e), logs)
    }

    /// Weighted sum of every row of `a`: `[n]`, or a scalar.
    pub fn weighted_sum(self, g: &mut Graph, a: Var, weights: &[f64]) -> Var {
        if weights.is_empty() {
            return g.filled(0.0, self.shape(&[]));
        }
        let first = weights[0];
        if weights.iter().all(|w| *w == first) {
            let s = self.sum(g, a, weights.len());
            return g.scale(first, s);
        }
        let w = self.constant(g, weights, &[weights.len()]);
        let a = g.mul(w, a);
        self.sum(g, a, weights.len())
    }

    /// Sum of every row of `width` elements of `a`: `[n]`, or a scalar.
    pub fn sum(self, g: &mut Graph, a: Var, width: usize) -> Var {
        match self.batch {
            None => g.sum(a),
            Some(n) if n * width == 0 => g.filled(0.0, Shape::new(&[n])),
            Some(n) => g.fold_counts(crate::graph::Fold::Sum, a, (n, width, 1), Shape::new(&[n])),
        }
    }
}
