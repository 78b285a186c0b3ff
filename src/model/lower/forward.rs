//! The forward algorithm of hidden Markov chains, on logs and on scaled probabilities.

use crate::graph::{Fold, Graph, Index, Op, Scan, Shape, Spread, Unary, Var};

fn input(g: &mut Graph, name: &str, shape: Shape) -> Var {
    g.input(name, shape, Spread::Particle)
}

/// The shape of one step of an array with the steps in front.
fn step_shape(g: &Graph, v: Var) -> Shape {
    Shape::new(&g.shape(v).dims()[1..])
}

/// alpha'_j = emission_j + log Σ_i exp(alpha_i + transition_ij), for each row (Rabiner 1989, section III.A).
pub fn advance(g: &mut Graph, alpha: Var, transition: Var, emission: Var) -> Var {
    let full = g.shape(transition);
    let [n, a, b] = *full.dims() else { unreachable!("rows, states before, states") };
    let wide = g.broadcast_trailing(alpha, full);
    let sum = g.add(wide, transition);
    let folded = g.fold_counts(Fold::LogSumExp, sum, (n, a, b), Shape::new(&[n, b]));
    g.add(folded, emission)
}

/// log Σ exp over the states after a step less that before it, for each row: what the step adds to the log mass.
pub fn gained(g: &mut Graph, before: Var, after: Var) -> Var {
    let rank = g.shape(after).rank();
    let (b, a) = (g.fold(Fold::LogSumExp, before, rank - 1), g.fold(Fold::LogSumExp, after, rank - 1));
    g.sub(a, b)
}

/// All steps on logs: the last alpha, and what each step adds to the log mass, `[steps, rows]`.
pub fn run_logs(g: &mut Graph, start: Var, back: Var, own: Var) -> (Var, Var) {
    let mut body = Graph::new();
    let x = input(&mut body, "alpha", g.shape(start));
    let y = input(&mut body, "transition", step_shape(g, back));
    let z = input(&mut body, "emission", step_shape(g, own));
    let next = advance(&mut body, x, y, z);
    let len = g.shape(back).dims()[0];
    let scan = Scan { body, len, xs: 2, next: vec![next], ys: vec![], reverse: false };
    let node = g.scan(scan, &[start], &[back, own], &[]);
    let (last, before) = (g.proj(node, 0), g.proj(node, 1));
    let [rows, states] = *g.shape(last).dims() else { unreachable!("rows, states") };
    let block = rows * states;
    let index = Index::Stride { start: block, stride: 1, len: (len - 1) * block };
    let inner = g.gather(before, index, Shape::new(&[(len - 1) * block]));
    let after = g.concat(&[inner, last], Shape::new(&[len, rows, states]));
    let gain = gained(g, before, after);
    (last, gain)
}

/// True where a transition is known to be impossible: scaled probabilities could then lose all their mass to
/// rounding, logs cannot.
pub fn may_vanish(g: &Graph, transition: Var) -> bool {
    let mut seen = vec![transition];
    while let Some(v) = seen.pop() {
        let node = g.node(v);
        match &node.op {
            Op::Const(c) if c.contains(&f64::NEG_INFINITY) => return true,
            Op::Gather(_) | Op::Concat | Op::Reshape => seen.extend(&node.args),
            _ => {}
        }
    }
    false
}

/// What a transition table repeats: its block of one row at each step and row, or its block of all rows at
/// each step.
enum Repeated {
    Everywhere(Var),
    EachStep(Var),
    Nowhere,
}

fn repeated(g: &mut Graph, transition: Var) -> Repeated {
    let [_, rows, before, states] = *g.shape(transition).dims() else { return Repeated::Nowhere };
    let Op::Gather(index) = &g.node(transition).op else { return Repeated::Nowhere };
    let index = index.clone();
    let src = g.node(transition).args[0];
    let repeats = |block: usize| (0..index.len()).all(|j| index.at(j) == index.at(j % block));
    let first = |block: usize| Index::from_table((0..block).map(|j| index.at(j) as u32).collect());
    let one = before * states;
    if repeats(one) {
        return Repeated::Everywhere(g.gather(src, first(one), Shape::new(&[before, states])));
    }
    if repeats(rows * one) {
        return Repeated::EachStep(g.gather(src, first(rows * one), Shape::new(&[rows, before, states])));
    }
    Repeated::Nowhere
}

/// All steps on probabilities that are scaled to sum to 1 after each of them (Rabiner 1989, section V.A); the logs
/// of the scales are summed. The last alpha, and these logs.
pub fn run_scaled(g: &mut Graph, start: Var, back: Var, own: Var) -> (Var, Var) {
    let [rows, before] = *g.shape(start).dims() else { unreachable!("rows, states") };
    let [len, _, _, states] = *g.shape(back).dims() else { unreachable!("steps, rows, states before, states") };
    let first = g.fold(Fold::LogSumExp, start, 1);
    let wide = g.broadcast_trailing(first, Shape::new(&[rows, before]));
    let from = g.sub(start, wide);
    let from = g.exp(from);
    let largest = g.fold(Fold::Max, own, 2);
    let largest = g.stop_gradient(largest);
    let wide = g.broadcast_trailing(largest, Shape::new(&[len, rows, states]));
    let likely = g.sub(own, wide);
    let likely = g.exp(likely);
    let (log, same) = match repeated(g, back) {
        Repeated::Everywhere(v) | Repeated::EachStep(v) => (v, true),
        Repeated::Nowhere => (back, false),
    };
    let probability = g.exp(log);
    let shape = if same { g.shape(probability) } else { step_shape(g, probability) };
    let (body, next, scale) = scaled_body(rows, before, states, shape);
    let scan = Scan { body, len, xs: if same { 1 } else { 2 }, next: vec![next], ys: vec![scale], reverse: false };
    let node = match same {
        true => g.scan(scan, &[from], &[likely], &[probability]),
        false => g.scan(scan, &[from], &[likely, probability], &[]),
    };
    let (last, scales) = (g.proj(node, 0), g.proj(node, 2));
    let scales = g.reshape(scales, Shape::new(&[len, rows]));
    let logs = g.log(scales);
    let logs = g.add(logs, largest);
    let sums = g.fold(Fold::Sum, logs, 0);
    let sums = g.add(sums, first);
    let wide = g.broadcast_trailing(sums, Shape::new(&[rows, states]));
    let last = g.shift(last, f64::MIN_POSITIVE);
    let last = g.log(last);
    (g.add(last, wide), logs)
}

/// alpha'_j = Σ_i alpha_i P_ij e_j / c with c the sum over j. P is one matrix, or one for each row.
///
/// The least positive number beside c changes nothing but a c of 0, whose log is -inf: the next state is then 0
/// instead of NaN. (A maximum would do the same, but adjoints below a branch cost more.)
fn scaled_body(rows: usize, before: usize, states: usize, transition: Shape) -> (Graph, Var, Var) {
    let mut g = Graph::new();
    let full = Shape::new(&[rows, states]);
    let alpha = input(&mut g, "alpha", Shape::new(&[rows, before]));
    let likely = input(&mut g, "likelihood", full);
    let p = input(&mut g, "probability", transition);
    let moved = if transition.rank() == 2 {
        g.matmul(alpha, p, false, false)
    } else {
        let each = g.reshape(alpha, Shape::new(&[rows, 1, before]));
        let moved = g.matmul(each, p, false, false);
        g.reshape(moved, full)
    };
    let mass = g.mul(moved, likely);
    let c = if rows == 1 { g.fold_all(Fold::Sum, mass) } else { g.fold(Fold::Sum, mass, 1) };
    let divisor = g.shift(c, f64::MIN_POSITIVE);
    let factor = g.unary(Unary::Recip, divisor);
    let factor = if rows == 1 { factor } else { g.broadcast_trailing(factor, full) };
    let next = g.mul(mass, factor);
    (g, next, c)
}
