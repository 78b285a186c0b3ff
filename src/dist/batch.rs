//! Batches of vectors and matrices on the graph.

use super::expr::write;
use crate::graph::{Fold, Graph, Index, Shape, Var};

/// Size of the batch of `v`, whose elements have `event_rank` axes; `None` where it is a single one.
pub(super) fn batch_of(g: &Graph, v: Var, event_rank: usize) -> Option<usize> {
    let s = g.shape(v);
    (s.rank() > event_rank).then(|| s.dims()[0])
}

/// `v` repeated to a batch of `n`, unless it is a batch.
pub(super) fn batched(g: &mut Graph, v: Var, event_rank: usize, n: usize) -> Var {
    let s = g.shape(v);
    if s.rank() > event_rank {
        return v;
    }
    g.broadcast(v, Shape::new(&[&[n], s.dims()].concat()))
}

/// Two arguments of event ranks `ra`, `rb` made batches together, unless both are single.
pub(super) fn aligned(g: &mut Graph, (a, ra): (Var, usize), (b, rb): (Var, usize)) -> (Var, Var) {
    match batch_of(g, a, ra).or(batch_of(g, b, rb)) {
        Some(n) => (batched(g, a, ra, n), batched(g, b, rb, n)),
        None => (a, b),
    }
}

/// Sum over the last axis of `[n?, k]`.
pub(super) fn row_sums(g: &mut Graph, v: Var) -> Var {
    if g.shape(v).rank() == 1 { g.sum(v) } else { g.fold(Fold::Sum, v, 1) }
}

/// log of the sum of exponentials over the last axis of `[n?, k]`.
pub(super) fn row_log_sum_exp(g: &mut Graph, v: Var) -> Var {
    let axis = g.shape(v).rank() - 1;
    g.fold(Fold::LogSumExp, v, axis)
}

/// Sums of products over the last axis of `[n?, k]` with `[n?, k]`; one vector against a batch is a
/// matrix product.
pub(super) fn row_dots(g: &mut Graph, a: Var, b: Var) -> Var {
    let (many, one) = match (g.shape(a).rank(), g.shape(b).rank()) {
        (2, 1) => (a, b),
        (1, 2) => (b, a),
        _ => {
            let p = g.mul(a, b);
            return row_sums(g, p);
        }
    };
    g.matvec(many, one, false)
}

/// Sum over all squares of each `[n?, r, c]`.
pub(super) fn square_sums(g: &mut Graph, v: Var) -> Var {
    let s = g.square(v);
    let d = g.shape(s);
    let flat: usize = d.dims()[d.rank() - 2..].iter().product();
    let rows = Shape::new(&[&d.dims()[..d.rank() - 2], &[flat]].concat());
    let s = g.reshape(s, rows);
    row_sums(g, s)
}

/// Sum of the logs of the diagonal of each `[n?, k, k]`, from row `first` on.
pub(super) fn log_diagonal(g: &mut Graph, m: Var, first: usize) -> Var {
    let s = g.shape(m);
    let k = s.dims()[s.rank() - 1];
    let batch = &s.dims()[..s.rank() - 2];
    let (n, width) = (batch.iter().product::<usize>(), k.saturating_sub(first));
    let table = (0..n * width).map(|j| {
        let (row, i) = (j / width, first + j % width);
        (row * k * k + i * (k + 1)) as u32
    });
    let index = Index::from_table(table.collect());
    let d = g.gather(m, index, Shape::new(&[batch, &[width]].concat()));
    write(g, d, &[], |d, _| d.log())
}

/// Element `y + offset - 1` of the last axis of `table [n?, k]`, for integers `y` (`[n]` or a scalar)
/// between `1 - offset` and `k - offset`; the nearest one for others.
pub(super) fn pick(g: &mut Graph, table: Var, y: Var, offset: usize) -> Var {
    let (s, n) = (g.shape(table), batch_of(g, table, 1).or(batch_of(g, y, 0)));
    let k = s.dims()[s.rank() - 1];
    let step = if s.rank() == 2 { k } else { 0 };
    let shape = n.map_or(Shape::SCALAR, |n| Shape::new(&[n]));
    if k == 0 {
        return g.filled(f64::NAN, shape);
    }
    let Some(data) = g.constant_value(y).cloned() else {
        return pick_by_comparison(g, table, y, offset, shape);
    };
    let at = |j: usize| {
        let position = data[if data.len() == 1 { 0 } else { j }] + offset as f64 - 1.0;
        (j * step + (position.max(0.0) as usize).min(k - 1)) as u32
    };
    let index = Index::from_table((0..n.unwrap_or(1)).map(at).collect());
    g.gather(table, index, shape)
}

/// [`pick`] for integers that are not data: every column compared.
fn pick_by_comparison(g: &mut Graph, table: Var, y: Var, offset: usize, shape: Shape) -> Var {
    let s = g.shape(table);
    let k = s.dims()[s.rank() - 1];
    let len = if s.rank() == 2 { s.dims()[0] } else { 1 };
    let column_shape = if s.rank() == 2 { shape } else { Shape::SCALAR };
    let mut picked = g.filled(0.0, shape);
    for start in 0..k {
        let stride = k as isize;
        let column = g.gather(table, Index::Stride { start, stride, len }, column_shape);
        picked = write(g, y, &[picked, column], |y, a| y.eq(start as f64 + 1.0 - offset as f64).choose(a[1], a[0]));
    }
    picked
}
