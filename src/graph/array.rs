//! Builder of array nodes: moves, reductions, products, factorisations.

use super::Graph;
use super::op::{Binary, Fold, Op, Unary, Var};
use super::shape::{Index, Shape};

impl Graph {
    /// Same elements, other shape.
    ///
    /// # Panics
    /// Where the counts differ.
    pub fn reshape(&mut self, a: Var, shape: Shape) -> Var {
        let from = self.shape(a);
        assert_eq!(from.count(), shape.count(), "reshape of {from:?} to {shape:?}");
        if from == shape {
            return a;
        }
        match &self.node(a).op {
            Op::Reshape => {
                let inner = self.node(a).args[0];
                self.reshape(inner, shape)
            }
            Op::Const(c) => {
                let c = c.clone();
                self.constant(c, shape)
            }
            Op::Gather(i) => {
                let (i, src) = (i.clone(), self.node(a).args[0]);
                self.gather(src, i, shape)
            }
            _ => self.push(Op::Reshape, vec![a], shape),
        }
    }

    /// `out[j] = a[index(j)]` on flat positions.
    pub fn gather(&mut self, a: Var, index: Index, shape: Shape) -> Var {
        debug_assert_eq!(index.len(), shape.count());
        if index.is_identity(self.shape(a).count()) {
            return self.reshape(a, shape);
        }
        match &self.node(a).op {
            Op::Const(c) => {
                let data: Vec<f64> = (0..index.len()).map(|j| c[index.at(j)]).collect();
                return self.constant(data, shape);
            }
            Op::Gather(inner) => {
                let joined = index.then(inner);
                let src = self.node(a).args[0];
                return self.gather(src, joined, shape);
            }
            Op::Reshape => {
                let src = self.node(a).args[0];
                return self.gather(src, index, shape);
            }
            Op::Concat => {
                if let Some((part, index)) = self.within_part(a, &index) {
                    return self.gather(part, index, shape);
                }
            }
            // Small parts are left alone: to look at the whole for each of very many would take forever.
            Op::ScatterAdd(inner) if LEAST * index.len() >= self.shape(a).count() => {
                if let Some(index) = sources(inner, &index, self.shape(a).count()) {
                    let src = self.node(a).args[0];
                    return self.gather(src, index, shape);
                }
            }
            _ => {}
        }
        self.push(Op::Gather(index), vec![a], shape)
    }

    /// The one part of a `Concat` that an index reads, and the index within it.
    fn within_part(&self, concat: Var, index: &Index) -> Option<(Var, Index)> {
        let first = (!index.is_empty()).then(|| index.at(0))?;
        let (mut start, mut found) = (0, None);
        for &p in &self.node(concat).args {
            let n = self.shape(p).count();
            if (start..start + n).contains(&first) {
                found = Some((p, start, n));
            }
            start += n;
        }
        let (part, start, n) = found?;
        let inside = (0..index.len()).all(|j| (start..start + n).contains(&index.at(j)));
        let within = || Index::from_table((0..index.len()).map(|j| (index.at(j) - start) as u32).collect());
        inside.then(|| (part, within()))
    }

    /// `out[index(j)] += a[j]` on flat positions, from zeros of `shape`.
    pub fn scatter_add(&mut self, a: Var, index: Index, shape: Shape) -> Var {
        debug_assert_eq!(index.len(), self.shape(a).count());
        if index.is_identity(shape.count()) {
            return self.reshape(a, shape);
        }
        if self.constant_scalar(a) == Some(0.0) {
            return self.filled(0.0, shape);
        }
        self.push(Op::ScatterAdd(index), vec![a], shape)
    }

    /// A scalar repeated to `shape`, or an array repeated along new leading axes.
    pub fn broadcast(&mut self, a: Var, shape: Shape) -> Var {
        let n = self.shape(a).count();
        let len = shape.count();
        let index = if n == 1 { Index::Stride { start: 0, stride: 0, len } } else { Index::Tile { period: n, len } };
        self.gather(a, index, shape)
    }

    /// An array whose axes are the leading ones of `shape`: each element repeated over the rest.
    pub fn broadcast_trailing(&mut self, a: Var, shape: Shape) -> Var {
        let n = self.shape(a).count();
        let len = shape.count();
        if n == 0 || len == 0 {
            return self.filled(0.0, shape);
        }
        self.gather(a, Index::Repeat { each: len / n, len }, shape)
    }

    /// Arguments one after another (flat), as `shape`.
    pub fn concat(&mut self, parts: &[Var], shape: Shape) -> Var {
        let parts: Vec<Var> = parts.iter().copied().filter(|p| self.shape(*p).count() > 0).collect();
        match parts.len() {
            0 => self.constant(vec![], shape),
            1 => self.reshape(parts[0], shape),
            _ => self.push(Op::Concat, parts, shape),
        }
    }

    /// Folds axis `axis` away.
    pub fn fold(&mut self, fold: Fold, a: Var, axis: usize) -> Var {
        let s = self.shape(a);
        let d = s.dims();
        let outer = d[..axis].iter().product();
        let inner = d[axis + 1..].iter().product();
        let shape = Shape::new(&[&d[..axis], &d[axis + 1..]].concat());
        self.push(Op::Fold { fold, outer, n: d[axis], inner }, vec![a], shape)
    }

    /// Folds `[outer, n, inner]` (counts of elements of `a`) to `shape` of `outer * inner`.
    pub fn fold_counts(&mut self, fold: Fold, a: Var, (outer, n, inner): (usize, usize, usize), shape: Shape) -> Var {
        debug_assert_eq!(outer * n * inner, self.shape(a).count());
        debug_assert_eq!(outer * inner, shape.count());
        if n == 1 {
            return self.reshape(a, shape);
        }
        self.push(Op::Fold { fold, outer, n, inner }, vec![a], shape)
    }

    /// Largest (or other fold) over all elements, as a scalar.
    pub fn fold_all(&mut self, fold: Fold, a: Var) -> Var {
        let n = self.shape(a).count();
        self.fold_counts(fold, a, (1, n, 1), Shape::SCALAR)
    }

    /// Sum over all elements. Scalars and data are taken out of the loop: sums of sums split, scalar
    /// factors move in front, so that a plate costs only what differs by row.
    pub fn sum(&mut self, a: Var) -> Var {
        let n = self.shape(a).count();
        if n == 0 {
            return self.scalar(0.0);
        }
        if n == 1 {
            return self.reshape(a, Shape::SCALAR);
        }
        if let Some(c) = self.constant_value(a) {
            let s: f64 = c.iter().sum();
            return self.scalar(s);
        }
        let (op, args) = (self.node(a).op.clone(), self.node(a).args.clone());
        match op {
            Op::Reshape => self.sum(args[0]),
            Op::Gather(Index::Stride { stride: 0, .. }) if self.shape(args[0]).count() == 1 => {
                let s = self.reshape(args[0], Shape::SCALAR);
                self.scale(n as f64, s)
            }
            Op::Unary(Unary::Neg) => {
                let s = self.sum(args[0]);
                self.neg(s)
            }
            Op::Binary(Binary::Mul) if self.shape(args[0]).is_scalar() => {
                let s = self.sum(args[1]);
                self.mul(args[0], s)
            }
            Op::Binary(Binary::Mul) if self.shape(args[1]).is_scalar() => {
                let s = self.sum(args[0]);
                self.mul(args[1], s)
            }
            Op::Binary(Binary::MulZero) if self.shape(args[0]).is_scalar() => {
                let s = self.sum(args[1]);
                self.binary(Binary::MulZero, args[0], s)
            }
            Op::Binary(b @ (Binary::Add | Binary::Sub)) if self.splits(&args) => {
                let l = self.sum_over(args[0], n);
                let r = self.sum_over(args[1], n);
                self.binary(b, l, r)
            }
            _ => self.fold_all(Fold::Sum, a),
        }
    }

    /// Sum of an addend over `n` positions, a scalar addend counting `n` times.
    fn sum_over(&mut self, a: Var, n: usize) -> Var {
        if self.shape(a).is_scalar() { self.scale(n as f64, a) } else { self.sum(a) }
    }

    /// True where an addend is cheaper on its own: a scalar, data, or a sum or scaled array that
    /// itself splits further.
    fn splits(&self, args: &[Var]) -> bool {
        args.iter().any(|&a| {
            let node = self.node(a);
            node.shape.is_scalar()
                || matches!(node.op, Op::Const(_))
                || match node.op {
                    Op::Binary(Binary::Add | Binary::Sub) => self.splits(&node.args),
                    Op::Binary(Binary::Mul) => {
                        node.args.iter().any(|&x| self.shape(x).is_scalar() && self.constant_scalar(x).is_none())
                    }
                    Op::Unary(Unary::Neg) => self.splits(&node.args),
                    _ => false,
                }
        })
    }

    /// Running sum along the last axis.
    pub fn cumsum(&mut self, a: Var, reverse: bool) -> Var {
        let shape = self.shape(a);
        self.push(Op::CumSum { reverse }, vec![a], shape)
    }

    /// Transposes the last two axes.
    pub fn transpose(&mut self, a: Var) -> Var {
        let s = self.shape(a);
        let d = s.dims();
        let (r, c) = (d[d.len() - 2], d[d.len() - 1]);
        let batch: usize = d[..d.len() - 2].iter().product();
        let mut dims = d.to_vec();
        dims.swap(d.len() - 2, d.len() - 1);
        let table = (0..batch * r * c).map(|j| {
            let (b, rest) = (j / (r * c), j % (r * c));
            (b * r * c + (rest % r) * c + rest / r) as u32
        });
        let index = Index::from_table(table.collect());
        self.gather(a, index, Shape::new(&dims))
    }

    /// Matrix product; `[b?, m, k] x [b?, k, n]` after the flagged transpositions.
    pub fn matmul(&mut self, a: Var, b: Var, ta: bool, tb: bool) -> Var {
        let (sa, sb) = (self.shape(a), self.shape(b));
        let (da, db) = (sa.dims(), sb.dims());
        let r = da.len();
        let m = if ta { da[r - 1] } else { da[r - 2] };
        let n = if tb { db[r - 2] } else { db[r - 1] };
        let shape = Shape::new(&[&da[..r - 2], &[m, n]].concat());
        self.push(Op::MatMul { ta, tb }, vec![a, b], shape)
    }

    /// Matrix `[m, k]` (or its transpose) times vector `[k]`: a vector.
    pub fn matvec(&mut self, a: Var, x: Var, ta: bool) -> Var {
        let k = self.shape(x).count();
        let column = self.reshape(x, Shape::new(&[k, 1]));
        let y = self.matmul(a, column, ta, false);
        let m = self.shape(y).dims()[0];
        self.reshape(y, Shape::new(&[m]))
    }

    /// Sum of products of two arrays of one shape.
    pub fn dot(&mut self, a: Var, b: Var) -> Var {
        let p = self.mul(a, b);
        self.sum(p)
    }

    /// Lower Cholesky factor of `[b?, n, n]`.
    pub fn cholesky(&mut self, a: Var) -> Var {
        let shape = self.shape(a);
        self.push(Op::Cholesky, vec![a], shape)
    }

    /// X with L X = B, or Lᵀ X = B.
    pub fn tri_solve(&mut self, l: Var, b: Var, transposed: bool) -> Var {
        let shape = self.shape(b);
        self.push(Op::TriSolve { transposed }, vec![l, b], shape)
    }

    /// X with A X = B, or Aᵀ X = B.
    pub fn solve(&mut self, a: Var, b: Var, transposed: bool) -> Var {
        let shape = self.shape(b);
        self.push(Op::Solve { transposed }, vec![a, b], shape)
    }

    /// log |det A| of `[b?, n, n]`.
    pub fn log_abs_det(&mut self, a: Var) -> Var {
        let s = self.shape(a);
        let shape = Shape::new(&s.dims()[..s.rank() - 2]);
        self.push(Op::LogAbsDet, vec![a], shape)
    }

    /// Diagonal of `[b?, n, n]`: `[b?, n]`.
    pub fn diagonal(&mut self, a: Var) -> Var {
        let s = self.shape(a);
        let d = s.dims();
        let n = d[d.len() - 1];
        let batch: usize = d[..d.len() - 2].iter().product();
        let table = (0..batch * n).map(|j| ((j / n) * n * n + (j % n) * (n + 1)) as u32);
        let index = Index::from_table(table.collect());
        self.gather(a, index, Shape::new(&d[..d.len() - 1]))
    }
}

/// Part of what was scattered, 1 in so many, from which a read is worth finding its sources.
const LEAST: usize = 16;

/// Where the elements that `read` reads come from, if each of them is one of those that were scattered to `count` places.
fn sources(scattered: &Index, read: &Index, count: usize) -> Option<Index> {
    const NONE: u32 = u32::MAX;
    let mut from = vec![NONE; count];
    let mut several = vec![false; count];
    for j in 0..scattered.len() {
        let to = scattered.at(j);
        several[to] |= from[to] != NONE;
        from[to] = j as u32;
    }
    let one = |j: usize| Some(read.at(j)).filter(|k| from[*k] != NONE && !several[*k]).map(|k| from[k]);
    (0..read.len()).map(one).collect::<Option<Vec<u32>>>().map(Index::from_table)
}
