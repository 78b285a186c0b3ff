//! Monotonic rational-quadratic splines with the identity outside a box (Durkan, Bekasov, Murray &
//! Papamakarios 2019, Neural spline flows).

use crate::graph::{Binary, Fold, Graph, Index, Shape, Unary, Var};

/// Smallest part of the box that a bin has in either direction.
const LEAST_BIN: f64 = 1e-3;
/// Smallest slope at a knot.
const LEAST_SLOPE: f64 = 1e-3;
/// Below every discriminant of exact arithmetic, and above 0, where the square root has no derivative.
const LEAST_ROOT: f64 = 1e-24;

/// One bin per coordinate, each value `[m]`: left edge and width, lower edge and height, slopes at both ends.
struct Bin {
    x: Var,
    width: Var,
    y: Var,
    height: Var,
    left: Var,
    right: Var,
}

/// The spline of m coordinates; arrays `[bins, m]`, so that what runs over coordinates is contiguous.
struct Spline {
    bins: usize,
    limit: f64,
    /// Lower edges and sizes of the bins, in x and in y.
    x: Var,
    width: Var,
    y: Var,
    height: Var,
    /// Slopes at the left and right ends of the bins.
    left: Var,
    right: Var,
}

impl Spline {
    /// Parameters: widths `[bins, m]`, heights `[bins, m]`, inner slopes `[bins - 1, m]`.
    fn new(g: &mut Graph, raw: Var, m: usize, bins: usize, limit: f64) -> Spline {
        let part = |g: &mut Graph, start: usize, n: usize| {
            g.gather(raw, Index::Stride { start: start * m, stride: 1, len: m * n }, Shape::new(&[n, m]))
        };
        let (w, h) = (part(g, 0, bins), part(g, bins, bins));
        let (x, width) = partition(g, w, limit);
        let (y, height) = partition(g, h, limit);
        let inner = part(g, 2 * bins, bins - 1);
        // softplus(a + c) + least is 1 at a = 0.
        let inner = g.shift(inner, (1.0 - LEAST_SLOPE).exp_m1().ln());
        let inner = g.unary(Unary::Softplus, inner);
        let inner = g.shift(inner, LEAST_SLOPE);
        // Slope 1 at both ends of the box meets the identity outside.
        let (one, shape) = (g.filled(1.0, Shape::new(&[1, m])), Shape::new(&[bins, m]));
        let (left, right) = (g.concat(&[one, inner], shape), g.concat(&[inner, one], shape));
        Spline { bins, limit, x, width, y, height, left, right }
    }

    /// The bin of each coordinate, by the position of `v [m]` among the lower edges of all bins.
    fn bin(&self, g: &mut Graph, v: Var, edges: Var) -> Bin {
        let m = g.shape(v).count();
        let (shape, inner) = (Shape::new(&[self.bins, m]), Shape::new(&[self.bins - 1, m]));
        let edges = g.gather(edges, Index::Stride { start: m, stride: 1, len: (self.bins - 1) * m }, inner);
        let v = g.broadcast(v, inner);
        let above = g.binary(Binary::Le, edges, v);
        // 1 in the bin itself: above its edge, not above the next one. Inside the box every value is above the first.
        let (one, zero) = (g.filled(1.0, Shape::new(&[1, m])), g.filled(0.0, Shape::new(&[1, m])));
        let (this, next) = (g.concat(&[one, above], shape), g.concat(&[above, zero], shape));
        let chosen = g.sub(this, next);
        let mut pick = |values: Var| {
            let p = g.mul(chosen, values);
            g.fold(Fold::Sum, p, 0)
        };
        Bin {
            x: pick(self.x),
            width: pick(self.width),
            y: pick(self.y),
            height: pick(self.height),
            left: pick(self.left),
            right: pick(self.right),
        }
    }

    /// `v` moved into the box before anything is computed from it.
    fn clamped(&self, g: &mut Graph, v: Var) -> Var {
        let (low, high) = (g.scalar(-self.limit), g.scalar(self.limit));
        let v = g.binary(Binary::Max, v, low);
        g.binary(Binary::Min, v, high)
    }

    /// 1 inside the box.
    fn inside(&self, g: &mut Graph, v: Var) -> Var {
        let limit = g.scalar(self.limit);
        let size = g.unary(Unary::Abs, v);
        g.binary(Binary::Lt, size, limit)
    }
}

/// Lower edges and sizes `[bins, m]` of the bins that softmax makes of [-limit, limit].
fn partition(g: &mut Graph, raw: Var, limit: f64) -> (Var, Var) {
    let shape = g.shape(raw);
    let bins = shape.dims()[0];
    let total = g.fold(Fold::LogSumExp, raw, 0);
    let total = g.broadcast(total, shape);
    let share = g.sub(raw, total);
    let share = g.exp(share);
    let free = g.scale(2.0 * limit * (1.0 - LEAST_BIN * bins as f64), share);
    let size = g.shift(free, 2.0 * limit * LEAST_BIN);
    // Running sums over bins, as a product with the strict lower triangle.
    let before = (0..bins * bins).map(|k| f64::from(u8::from(k % bins < k / bins))).collect::<Vec<f64>>();
    let before = g.constant(before, Shape::new(&[bins, bins]));
    let lower = g.matmul(before, size, false, false);
    (g.shift(lower, -limit), size)
}

/// Values and log-derivatives at a place ξ in [0, 1] of each bin (eqs. 4 and 5).
fn at(g: &mut Graph, b: &Bin, xi: Var) -> (Var, Var) {
    let slope = g.binary(Binary::Div, b.height, b.width);
    let one = g.scalar(1.0);
    let rest = g.sub(one, xi);
    let (xi2, both, rest2) = (g.square(xi), g.mul(xi, rest), g.square(rest));
    let top = g.mul(slope, xi2);
    let more = g.mul(b.left, both);
    let top = g.add(top, more);
    let below = bottom(g, b, slope, both);
    let y = g.binary(Binary::Div, top, below);
    let y = g.mul(b.height, y);
    let y = g.add(b.y, y);
    let parts = [(b.right, xi2, 1.0), (slope, both, 2.0), (b.left, rest2, 1.0)];
    let weighted = parts.map(|(d, w, c)| {
        let p = g.mul(d, w);
        g.scale(c, p)
    });
    let sum = g.add(weighted[0], weighted[1]);
    let sum = g.add(sum, weighted[2]);
    let (ls, ln, lb) = (g.log(slope), g.log(sum), g.log(below));
    let (ls, lb) = (g.scale(2.0, ls), g.scale(2.0, lb));
    let log = g.add(ls, ln);
    (y, g.sub(log, lb))
}

/// s + (d₊ + d₋ − 2s) ξ(1 − ξ), the denominator.
fn bottom(g: &mut Graph, b: &Bin, slope: Var, both: Var) -> Var {
    let bend = bend(g, b, slope);
    let p = g.mul(bend, both);
    g.add(slope, p)
}

/// d₊ + d₋ − 2s
fn bend(g: &mut Graph, b: &Bin, slope: Var) -> Var {
    let ends = g.add(b.left, b.right);
    let twice = g.scale(2.0, slope);
    g.sub(ends, twice)
}

/// Values and log-derivatives `[m]` at `x [m]`.
pub(super) fn forward(g: &mut Graph, x: Var, raw: Var, bins: usize, limit: f64) -> (Var, Var) {
    let m = g.shape(x).count();
    let spline = Spline::new(g, raw, m, bins, limit);
    let near = spline.clamped(g, x);
    let bin = spline.bin(g, near, spline.x);
    let offset = g.sub(near, bin.x);
    let xi = g.binary(Binary::Div, offset, bin.width);
    let (y, log) = at(g, &bin, xi);
    outside_identity(g, &spline, x, y, log)
}

/// The x with the values `y [m]`, and the log-derivatives of x in y (eqs. 6 to 8).
pub(super) fn inverse(g: &mut Graph, y: Var, raw: Var, bins: usize, limit: f64) -> (Var, Var) {
    let m = g.shape(y).count();
    let spline = Spline::new(g, raw, m, bins, limit);
    let near = spline.clamped(g, y);
    let bin = spline.bin(g, near, spline.y);
    let slope = g.binary(Binary::Div, bin.height, bin.width);
    let offset = g.sub(near, bin.y);
    let bend = bend(g, &bin, slope);
    let bent = g.mul(offset, bend);
    let a = g.sub(slope, bin.left);
    let a = g.mul(bin.height, a);
    let a = g.add(a, bent);
    let b = g.mul(bin.height, bin.left);
    let b = g.sub(b, bent);
    let c = g.mul(slope, offset);
    // The root that is stable for small a: ξ = 2c / (b + sqrt(b² + 4ac)).
    let (b2, ac) = (g.square(b), g.mul(a, c));
    let ac = g.scale(4.0, ac);
    let root = g.add(b2, ac);
    let least = g.scalar(LEAST_ROOT);
    let root = g.binary(Binary::Max, root, least);
    let root = g.unary(Unary::Sqrt, root);
    let (below, c) = (g.add(b, root), g.scale(2.0, c));
    let xi = g.binary(Binary::Div, c, below);
    let offset = g.mul(xi, bin.width);
    let x = g.add(bin.x, offset);
    let (_, log) = at(g, &bin, xi);
    let log = g.neg(log);
    outside_identity(g, &spline, y, x, log)
}

/// The identity outside the box.
fn outside_identity(g: &mut Graph, spline: &Spline, from: Var, to: Var, log: Var) -> (Var, Var) {
    let inside = spline.inside(g, from);
    let zero = g.scalar(0.0);
    (g.select(inside, to, from), g.select(inside, log, zero))
}
