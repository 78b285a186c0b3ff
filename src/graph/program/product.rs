//! Emission of matrix products and operations on square matrices.

use super::code::Loc;
use super::emit::Emitter;
use super::kernels::matmul::{self, Layout};
use super::kernels::square;
use super::lir::{Product, Square, V};

impl Emitter<'_> {
    pub(super) fn matmul(&mut self, v: V, p: Product) {
        let (x, y) = (self.lir.node(v).args[0], self.lir.node(v).args[1]);
        let (a, b) = (self.value(x), self.value(y));
        let d = self.dest(v);
        let (wide_a, wide_b) = (self.lir.node(x).wide, self.lir.node(y).wide);
        if wide_a && wide_b {
            let plain = plain(&p);
            let params = [&plain.params()[..], &[self.lanes]].concat();
            let c = self.code.params(&params);
            self.push(matmul::lanes(self.target), d, [a, b, c], 0);
            return;
        }
        let (layout, swap) = match (wide_a, wide_b) {
            (false, true) => (right_lanes(&p, self.lanes), false),
            (true, false) => (left_lanes(&p, self.lanes), true),
            _ => transposed_vector(&p).map_or((plain(&p), false), |l| (l, true)),
        };
        let (l, r) = if swap { (b, a) } else { (a, b) };
        let c = self.code.params(&layout.params());
        self.push(matmul::choose(&layout, self.target), d, [l, r, c], 0);
    }

    pub(super) fn square(&mut self, v: V, kind: Square, (batch, n, m): (usize, usize, usize)) {
        let node = self.lir.node(v);
        let wide = node.wide;
        let counts = [batch * n * n, batch * n * m];
        let operands: Vec<Loc> = node
            .args
            .iter()
            .enumerate()
            .map(|(k, &x)| {
                // One factor for all lanes: the lanes are further right-hand sides.
                let shared = k == 0 && matches!(kind, Square::TriSolve(_) | Square::Solve(_));
                if wide && !self.lir.node(x).wide && !shared { self.full(x, counts[k], true) } else { self.value(x) }
            })
            .collect();
        let lanes_everywhere = wide && self.lir.node(node.args[0]).wide;
        let (lanes, m) = match (wide, lanes_everywhere) {
            (true, true) => (self.lanes, m),
            (true, false) => (1, m * self.lanes),
            _ => (1, m),
        };
        let a = operands[0];
        let b = operands.get(1).copied();
        let c = self.code.params(&[batch, n, m, lanes]);
        let kernel = square::choose(kind, lanes, self.target);
        let (count, room) = (self.count(v), square::room(kind, n, m));
        match kind {
            Square::Cholesky => {
                let (d, room) = (self.dest(v), self.code.buffer(room));
                self.push(kernel, d, [a, room, c], 0);
            }
            Square::TriSolve(_) => {
                let d = self.dest(v);
                self.push(kernel, d, [a, b.unwrap_or(a), c], 0);
            }
            Square::Solve(_) | Square::LogAbsDet => {
                // Their room is behind the result.
                let d = self.code.buffer(count + room);
                self.push(kernel, d, [a, b.unwrap_or(a), c], 0);
                let to = self.dest(v);
                self.copy(to, d, count);
            }
        }
    }
}

/// Row and column distances of a stored matrix of `r` rows and `c` columns, read transposed if so.
fn distances(transposed: bool, r: usize, c: usize) -> (usize, usize) {
    if transposed { (1, r) } else { (c, 1) }
}

/// Both factors without lanes, or both with (in elements).
fn plain(p: &Product) -> Layout {
    Layout {
        outer: p.batch,
        inner: 1,
        m: p.m,
        n: p.n,
        k: p.k,
        d: p.n,
        l: distances(p.ta, p.m, p.k),
        r: distances(p.tb, p.k, p.n),
        by_outer: (p.m * p.n, p.m * p.k, p.k * p.n),
        by_inner: (0, 0, 0),
    }
}

/// A transposed matrix times a vector, as the vector times the matrix: its rows are neighbours then.
fn transposed_vector(p: &Product) -> Option<Layout> {
    (p.n == 1 && p.ta).then(|| Layout {
        outer: p.batch,
        inner: 1,
        m: 1,
        n: p.m,
        k: p.k,
        d: p.m,
        l: (0, 1),
        r: (p.m, 1),
        by_outer: (p.m, p.k, p.k * p.m),
        by_inner: (0, 0, 0),
    })
}

/// The right factor has lanes: more columns, or one product for each stored row of a transposed one.
fn right_lanes(p: &Product, lanes: usize) -> Layout {
    let l = distances(p.ta, p.m, p.k);
    let by_outer = (p.m * p.n * lanes, p.m * p.k, p.k * p.n * lanes);
    let (inner, n, r, by_inner) = if p.tb {
        (p.n, lanes, (lanes, 1), (lanes, 0, p.k * lanes))
    } else {
        (1, p.n * lanes, (p.n * lanes, 1), (0, 0, 0))
    };
    Layout { outer: p.batch, inner, m: p.m, n, k: p.k, d: p.n * lanes, l, r, by_outer, by_inner }
}

/// The left factor has lanes: each of its rows is a right factor of `k x lanes`, the right one
/// transposed the left factor.
fn left_lanes(p: &Product, lanes: usize) -> Layout {
    let (row, column) = distances(p.ta, p.m, p.k);
    let (k, j) = distances(p.tb, p.k, p.n);
    Layout {
        outer: p.batch,
        inner: p.m,
        m: p.n,
        n: lanes,
        k: p.k,
        d: lanes,
        l: (j, k),
        r: (column * lanes, 1),
        by_outer: (p.m * p.n * lanes, p.k * p.n, p.m * p.k * lanes),
        by_inner: (p.n * lanes, 0, row * lanes),
    }
}
