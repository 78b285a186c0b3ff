//! Operations on stacks: the values of an operation at all steps of a loop at once, along a new leading
//! axis.

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

/// Shape of a stack of `len` values of one shape.
pub(super) fn stacked(shape: Shape, len: usize) -> Shape {
    Shape::new(&[&[len], shape.dims()].concat())
}

/// `op` (result of `shape` at one step) at all `len` steps; `None` where it has no form on stacks.
pub(super) fn apply(g: &mut Graph, op: &Op, shape: Shape, args: &[Value], len: usize) -> Option<Value> {
    if args.iter().all(|a| !a.stacked) {
        let args = args.iter().map(|a| a.var).collect();
        return Some(Value::fixed(g.emit(op, shape, args)));
    }
    if shape.rank() > 3 {
        return None;
    }
    let to = stacked(shape, len);
    let a = args[0];
    if is_matrix(op) && a.step_shape(g).rank() == 3 {
        return Some(Value::stack(batches(g, op, to, args, len)));
    }
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
        Op::CumSum { reverse } => g.cumsum(a.var, *reverse),
        Op::MatMul { ta, tb } => matmul(g, (a, args[1]), (*ta, *tb), shape, len)?,
        Op::TriSolve { .. } | Op::Solve { .. } => solve(g, op, (a, args[1]), len)?,
        Op::Cholesky | Op::LogAbsDet if a.step_shape(g).rank() == 2 => g.emit(op, to, vec![a.var]),
        _ => return None,
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
    a.full(g, len)
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

fn is_matrix(op: &Op) -> bool {
    matches!(op, Op::MatMul { .. } | Op::Cholesky | Op::LogAbsDet | Op::TriSolve { .. } | Op::Solve { .. })
}

/// Operations on batches of matrices: the batches of all steps make one.
fn batches(g: &mut Graph, op: &Op, to: Shape, args: &[Value], len: usize) -> Var {
    let merged = |s: Shape| {
        let d = s.dims();
        Shape::new(&[&[d[0] * d[1]], &d[2..]].concat())
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

/// Products of matrices; a factor that is the same at every step makes one product of them all.
fn matmul(g: &mut Graph, (a, b): (Value, Value), (ta, tb): (bool, bool), shape: Shape, len: usize) -> Option<Var> {
    let &[m, n] = shape.dims() else { return None };
    if a.stacked && b.stacked {
        return Some(g.matmul(a.var, b.var, ta, tb));
    }
    let rows = |g: &mut Graph, v: Var, swap: bool| {
        let v = if swap { swapped(g, v) } else { v };
        let s = g.shape(v);
        g.reshape(v, Shape::new(&[len * s.dims()[1], s.dims()[2]]))
    };
    if a.stacked {
        let left = rows(g, a.var, ta);
        let p = g.matmul(left, b.var, false, tb);
        return Some(g.reshape(p, stacked(shape, len)));
    }
    // (A B)ᵀ = Bᵀ Aᵀ
    let left = rows(g, b.var, !tb);
    let p = g.matmul(left, a.var, false, !ta);
    let p = g.reshape(p, Shape::new(&[len, n, m]));
    Some(swapped(g, p))
}

/// Solutions of linear systems; a matrix that is the same at every step takes all right-hand sides at
/// once.
fn solve(g: &mut Graph, op: &Op, (a, b): (Value, Value), len: usize) -> Option<Var> {
    let step = b.step_shape(g);
    let &[n, m] = step.dims() else { return None };
    if a.stacked {
        let b = b.full(g, len);
        return Some(g.emit(op, stacked(step, len), vec![a.var, b]));
    }
    let wide = Shape::new(&[n, len * m]);
    let out = |j: usize| (j % (len * m) / m * n * m + j / (len * m) * m + j % m) as u32;
    let back = |j: usize| (j % (n * m) / m * len * m + j / (n * m) * m + j % m) as u32;
    let out = Index::from_table((0..n * m * len).map(out).collect());
    let back = Index::from_table((0..n * m * len).map(back).collect());
    let columns = g.gather(b.var, out, wide);
    let x = g.emit(op, wide, vec![a.var, columns]);
    Some(g.gather(x, back, stacked(step, len)))
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
