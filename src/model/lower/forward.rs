//! The forward algorithm of hidden Markov chains, on logs and on scaled probabilities.

use crate::graph::{Binary, Fold, Graph, Index, Op, Scan, Shape, Spread, Var};

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

/// All steps on logs.
pub fn run_logs(g: &mut Graph, start: Var, back: Var, own: Var) -> Var {
    let mut body = Graph::new();
    let x = input(&mut body, "alpha", g.shape(start));
    let y = input(&mut body, "transition", step_shape(g, back));
    let z = input(&mut body, "emission", step_shape(g, own));
    let next = advance(&mut body, x, y, z);
    let len = g.shape(back).dims()[0];
    let scan = Scan { body, len, xs: 2, next: vec![next], ys: vec![], reverse: false };
    let node = g.scan(scan, &[start], &[back, own], &[]);
    g.proj(node, 0)
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

/// The block that a transition table repeats at each step.
fn same_each_step(g: &mut Graph, transition: Var) -> Option<Var> {
    let shape = step_shape(g, transition);
    let block = shape.count();
    let Op::Gather(index) = &g.node(transition).op else { return None };
    let index = index.clone();
    if !(0..index.len()).all(|j| index.at(j) == index.at(j % block)) {
        return None;
    }
    let src = g.node(transition).args[0];
    let first = Index::from_table((0..block).map(|j| index.at(j) as u32).collect());
    Some(g.gather(src, first, shape))
}

/// All steps on probabilities that are scaled to sum to 1 after each of them (Rabiner 1989, section V.A); the logs
/// of the scales are summed.
pub fn run_scaled(g: &mut Graph, start: Var, back: Var, own: Var) -> Var {
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
    let once = same_each_step(g, back);
    let probability = g.exp(once.unwrap_or(back));
    let (body, next, scale) = scaled_body(rows, before, states);
    let xs = if once.is_some() { 1 } else { 2 };
    let scan = Scan { body, len, xs, next: vec![next], ys: vec![scale], reverse: false };
    let node = match once {
        Some(_) => g.scan(scan, &[from], &[likely], &[probability]),
        None => g.scan(scan, &[from], &[likely, probability], &[]),
    };
    let (last, scales) = (g.proj(node, 0), g.proj(node, 2));
    let logs = g.log(scales);
    let logs = g.add(logs, largest);
    let sums = g.fold(Fold::Sum, logs, 0);
    let sums = g.add(sums, first);
    let wide = g.broadcast_trailing(sums, Shape::new(&[rows, states]));
    let least = g.scalar(f64::MIN_POSITIVE);
    let last = g.binary(Binary::Max, last, least);
    let last = g.log(last);
    g.add(last, wide)
}

/// alpha'_j = Σ_i alpha_i P_ij e_j / c with c the sum over j.
fn scaled_body(rows: usize, before: usize, states: usize) -> (Graph, Var, Var) {
    let mut g = Graph::new();
    let alpha = input(&mut g, "alpha", Shape::new(&[rows, before]));
    let likely = input(&mut g, "likelihood", Shape::new(&[rows, states]));
    let p = input(&mut g, "probability", Shape::new(&[rows, before, states]));
    let wide = g.broadcast_trailing(alpha, Shape::new(&[rows, before, states]));
    let joint = g.mul(wide, p);
    let moved = g.fold(Fold::Sum, joint, 1);
    let mass = g.mul(moved, likely);
    let c = g.fold(Fold::Sum, mass, 1);
    // Nothing is left: c is 0, its log -inf, and the next state stays 0 instead of NaN.
    let least = g.scalar(f64::MIN_POSITIVE);
    let divisor = g.binary(Binary::Max, c, least);
    let wide = g.broadcast_trailing(divisor, Shape::new(&[rows, states]));
    let next = g.div(mass, wide);
    (g, next, c)
}
