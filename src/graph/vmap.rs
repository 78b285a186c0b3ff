//! Operations on stacks: the values of an operation at all steps of a loop (or all points of a batch) at
//! once, along a new leading axis.

use super::Graph;
use super::op::{Fold, Op, Var};
use super::shape::{Index, Shape};

/// A value per step, stacked along a leading axis, or one value for all steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub var: Var,
    pub stacked: bool,
}

impl Value {
    /// The same at every step.
    pub fn fixed(var: Var) -> Value {
        Value { var, stacked: false }
    }

    /// One slice per step.
    pub fn stack(var: Var) -> Value {
        Value { var, stacked: true }
    }

    /// Shape at one step.
    pub fn step_shape(self, g: &Graph) -> Shape {
        let s = g.shape(self.var);
        if self.stacked { Shape::new(&s.dims()[1..]) } else { s }
    }

    /// The slices of all `len` steps in one array.
    pub fn full(self, g: &mut Graph, len: usize) -> Var {
        if self.stacked {
            return self.var;
        }
        let shape = stacked(g.shape(self.var), len);
        g.fill_to(self.var, shape)
    }
}

/// Shape of a stack of `len` values of one shape. Values of rank 6 lie flat in it: there is no room for
/// another axis.
pub(super) fn stacked(shape: Shape, len: usize) -> Shape {
    if shape.rank() > 5 {
        return Shape::new(&[len, shape.count()]);
    }
    Shape::new(&[&[len], shape.dims()].concat())
}

/// `op` (result of `shape` at one step) at all `len` steps; `None` for loops, which are no operation on
/// arrays.
pub(super) fn apply(g: &mut Graph, op: &Op, shape: Shape, args: &[Value], len: usize) -> Option<Value> {
    if args.iter().all(|a| !a.stacked) {
        let args = args.iter().map(|a| a.var).collect();
        return Some(Value::fixed(g.emit(op, shape, args)));
    }
    let to = stacked(shape, len);
    let a = args[0];
    let var = match op {
        Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::ScaleGrad => {
            let args = args.iter().map(|a| lifted(g, *a, shape, len)).collect();
            g.emit(op, to, args)
        }
        Op::Reshape => g.reshape(a.var, to),
        Op::StopGradient => g.stop_gradient(a.var),
        Op::Gather(index) => {
            let source = a.step_shape(g).count();
            let index = per_step(index, source, len);
            g.gather(a.var, index, to)
        }
        Op::ScatterAdd(index) => {
            let index = per_step(index, shape.count(), len);
            g.scatter_add(a.var, index, to)
        }
        Op::Concat => concat(g, args, to, len),
        Op::Fold { fold, outer, n, inner } => g.fold_counts(*fold, a.var, (len * outer, *n, *inner), to),
        Op::CumSum { .. } if shape.is_scalar() => a.var,
        Op::CumSum { reverse } => cumsum(g, a.var, *reverse, shape),
        Op::MatMul { ta, tb } if !(a.stacked && args[1].stacked) => {
            let product = Product { ta: *ta, tb: *tb, shape, len };
            if a.stacked { product.of_stack(g, a.var, args[1].var) } else { product.on_stack(g, a.var, args[1].var) }
        }
        Op::TriSolve { .. } | Op::Solve { .. } if !a.stacked => columns(g, op, (a.var, args[1].var), shape, len),
        Op::MatMul { .. } | Op::TriSolve { .. } | Op::Solve { .. } | Op::Cholesky | Op::LogAbsDet => {
            batches(g, op, to, args, len)
        }
        Op::Input(_) | Op::Const(_) | Op::Scan(_) | Op::Proj(_) => return None,
    };
    Some(Value::stack(var))
}

/// An argument of an elementwise operation whose result has `shape` at one step.
fn lifted(g: &mut Graph, a: Value, shape: Shape, len: usize) -> Var {
    let step = a.step_shape(g);
    if !a.stacked && step.is_scalar() {
        return a.var;
    }
    if step.is_scalar() && !shape.is_scalar() {
        return g.broadcast_trailing(a.var, stacked(shape, len));
    }
    let v = a.full(g, len);
    if step.is_scalar() { v } else { g.reshape(v, stacked(shape, len)) }
}

/// The index map applied to each of `len` blocks of `source` elements.
fn per_step(index: &Index, source: usize, len: usize) -> Index {
    let m = index.len();
    let at = |j: usize| (j / m * source + index.at(j % m)) as u32;
    Index::from_table((0..len * m).map(at).collect())
}

fn concat(g: &mut Graph, args: &[Value], to: Shape, len: usize) -> Var {
    let counts: Vec<usize> = args.iter().map(|a| a.step_shape(g).count()).collect();
    let flat = |(a, m): (&Value, &usize)| {
        if a.stacked {
            return a.var;
        }
        let one = g.reshape(a.var, Shape::new(&[*m]));
        Value::fixed(one).full(g, len)
    };
    let parts: Vec<Var> = args.iter().zip(&counts).map(flat).collect();
    let total: usize = counts.iter().sum();
    let joined = g.concat(&parts, Shape::new(&[len * total]));
    let mut table = Vec::with_capacity(len * total);
    for t in 0..len {
        let mut before = 0;
        for m in &counts {
            table.extend((0..*m).map(|j| (before * len + t * m + j) as u32));
            before += m;
        }
    }
    g.gather(joined, Index::from_table(table), to)
}

/// Running sums along the last axis of each slice.
fn cumsum(g: &mut Graph, a: Var, reverse: bool, shape: Shape) -> Var {
    let (full, last) = (g.shape(a), shape.dims()[shape.rank() - 1]);
    if full.dims().last() == Some(&last) {
        return g.cumsum(a, reverse);
    }
    let rows = g.reshape(a, Shape::new(&[full.count() / last.max(1), last]));
    let sums = g.cumsum(rows, reverse);
    g.reshape(sums, full)
}

/// Operations on a matrix per step, or on a batch of matrices per step: those of all steps make one batch.
fn batches(g: &mut Graph, op: &Op, to: Shape, args: &[Value], len: usize) -> Var {
    let matrices = args[0].step_shape(g).rank() == 3;
    let merged = |s: Shape| match s.dims() {
        [n, b, rest @ ..] if matrices => Shape::new(&[&[n * b], rest].concat()),
        _ => s,
    };
    let args = args
        .iter()
        .map(|a| {
            let v = a.full(g, len);
            g.reshape(v, merged(g.shape(v)))
        })
        .collect();
    let v = g.emit(op, merged(to), args);
    g.reshape(v, to)
}

/// Sum over the steps.
pub(super) fn sum_steps(g: &mut Graph, v: Value, shape: Shape, len: usize) -> Var {
    if !v.stacked {
        return g.scale(len as f64, v.var);
    }
    if let Some(sum) = contraction(g, v.var, len) {
        return g.reshape(sum, shape);
    }
    if shape.is_scalar() {
        return g.sum(v.var);
    }
    g.fold_counts(Fold::Sum, v.var, (1, len, shape.count()), shape)
}

/// Swaps the last two axes of `[len, r, c]`.
fn swapped(g: &mut Graph, v: Var) -> Var {
    let s = g.shape(v);
    let &[len, r, c] = s.dims() else { unreachable!("stacks of matrices") };
    if r == 1 || c == 1 { g.reshape(v, Shape::new(&[len, c, r])) } else { g.transpose(v) }
}

/// Axes of `dims` in another order, as `to`.
pub(super) fn permuted(g: &mut Graph, v: Var, dims: [usize; 4], order: [usize; 4], to: Shape) -> Var {
    let moving: Vec<usize> = order.into_iter().filter(|k| dims[*k] != 1).collect();
    if moving.is_sorted() {
        return g.reshape(v, to);
    }
    let strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
    let at = |mut j: usize| {
        let mut source = 0;
        for k in order.into_iter().rev() {
            source += j % dims[k] * strides[k];
            j /= dims[k];
        }
        source as u32
    };
    let index = Index::from_table((0..to.count()).map(at).collect());
    g.gather(v, index, to)
}

/// Number of matrices in a value, and sizes of one.
fn matrices(shape: Shape) -> (usize, usize, usize) {
    match *shape.dims() {
        [b, r, c] => (b, r, c),
        [r, c] => (1, r, c),
        _ => unreachable!("matrices have two axes, batches of them three"),
    }
}

/// `[b, r, c]`, or `[r, c]` where a single value is a matrix and no batch.
fn like(shape: Shape, (b, r, c): (usize, usize, usize)) -> Shape {
    if shape.rank() == 2 { Shape::new(&[r, c]) } else { Shape::new(&[b, r, c]) }
}

/// A product of which one factor is the same at every step: one product with all rows of the others.
struct Product {
    ta: bool,
    tb: bool,
    /// Shape of the product at one step.
    shape: Shape,
    len: usize,
}

impl Product {
    /// All rows (or columns, where `swap`) of the matrices of a stack, below each other: `[b?, len * rows, k]`.
    fn rows(&self, g: &mut Graph, stack: Var, swap: bool) -> Var {
        let (b, r, c) = matrices(Shape::new(&g.shape(stack).dims()[1..]));
        let (rows, k, order) = if swap { (c, r, [1, 0, 3, 2]) } else { (r, c, [1, 0, 2, 3]) };
        permuted(g, stack, [self.len, b, r, c], order, like(self.shape, (b, self.len * rows, k)))
    }

    /// `A_t B`
    fn of_stack(&self, g: &mut Graph, a: Var, b: Var) -> Var {
        let left = self.rows(g, a, self.ta);
        let p = g.matmul(left, b, false, self.tb);
        let (count, m, n) = matrices(self.shape);
        permuted(g, p, [count, self.len, m, n], [1, 0, 2, 3], stacked(self.shape, self.len))
    }

    /// `A B_t`, from `(A B)ᵀ = Bᵀ Aᵀ`
    fn on_stack(&self, g: &mut Graph, a: Var, b: Var) -> Var {
        let left = self.rows(g, b, !self.tb);
        let p = g.matmul(left, a, false, !self.ta);
        let (count, m, n) = matrices(self.shape);
        permuted(g, p, [count, self.len, n, m], [1, 0, 3, 2], stacked(self.shape, self.len))
    }
}

/// Solutions of linear systems with a matrix that is the same at every step: it takes all right-hand sides
/// at once.
fn columns(g: &mut Graph, op: &Op, (a, b): (Var, Var), shape: Shape, len: usize) -> Var {
    let (count, n, m) = matrices(shape);
    let wide = like(shape, (count, n, len * m));
    let b = permuted(g, b, [len, count, n, m], [1, 2, 0, 3], wide);
    let x = g.emit(op, wide, vec![a, b]);
    permuted(g, x, [count, n, len, m], [2, 0, 1, 3], stacked(shape, len))
}

/// `sum_t A_t B_t` of a product of stacks of `len` matrices (perhaps reshaped), as one product over steps
/// and inner axis.
fn contraction(g: &mut Graph, stack: Var, len: usize) -> Option<Var> {
    let mut node = g.node(stack);
    while let Op::Reshape = node.op {
        node = g.node(node.args[0]);
    }
    let (Op::MatMul { ta, tb }, 3) = (&node.op, node.shape.rank()) else {
        return None;
    };
    if node.shape.dims()[0] != len {
        return None;
    }
    let (ta, tb, a, b) = (*ta, *tb, node.args[0], node.args[1]);
    let rows = |g: &mut Graph, v: Var, swap: bool| {
        let v = if swap { swapped(g, v) } else { v };
        let s = g.shape(v);
        let d = s.dims();
        g.reshape(v, Shape::new(&[d[0] * d[1], d[2]]))
    };
    let (left, right) = (rows(g, a, !ta), rows(g, b, tb));
    Some(g.matmul(left, right, true, false))
}
