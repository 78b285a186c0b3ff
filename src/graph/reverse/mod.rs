//! Reverse mode, graph to graph: cotangents are ordinary nodes appended to the graph.
//!
//! Conventions, chosen where a derivative is not unique:
//! - `Min` and `Max` of two numbers: a tie goes to the first; `Fold::Max`: a tie is split evenly.
//! - `Cholesky` and `TriSolve` read lower triangles, so cotangents of upper triangles are 0.
//! - The branch a `Select` does not take gets 0, never NaN: below a branch (and below `Min`, `Max`),
//!   zero cotangents win over inf and NaN of local derivatives, per element of elementwise operations
//!   and per matrix of matrix operations.
//! - Second derivatives in the shapes of the incomplete gamma and beta functions, and the derivative of
//!   tetragamma, are no operations: they are central differences of fourth order (relative error about
//!   1e-10; the same for what is differentiated again).

pub(in crate::graph) mod activity;
pub(in crate::graph) mod adjoint;
pub(in crate::graph) mod array;
pub(in crate::graph) mod blocks;
pub(in crate::graph) mod linalg;
pub(in crate::graph) mod partial;
pub(in crate::graph) mod scan;

use super::Graph;
use super::op::{Op, Var};
use activity::{active, guarded};
use adjoint::{Adjoints, reduce};

/// Cotangents of `wrt`: the derivative of `sum_i <seeds_i, outputs_i>`, one node of its shape per
/// element of `wrt`. A seed has its output's shape, or is a scalar for every element.
///
/// `wrt` may hold any nodes; where one depends on another, its derivative flows on to the other.
pub fn grad(g: &mut Graph, outputs: &[Var], seeds: &[Var], wrt: &[Var]) -> Vec<Var> {
    reverse(g, outputs, seeds, wrt, false)
}

/// Gradient of one scalar output.
pub fn gradient(g: &mut Graph, output: Var, wrt: &[Var]) -> Vec<Var> {
    let one = g.scalar(1.0);
    grad(g, &[output], &[one], wrt)
}

/// [`grad`], with every node below a branch that may not be taken where `guard` says so.
fn reverse(g: &mut Graph, outputs: &[Var], seeds: &[Var], wrt: &[Var], guard: bool) -> Vec<Var> {
    let kept = g.origin();
    let on = active(g, wrt);
    let guarded = guarded(g, outputs, guard);
    let mut adjoints = Adjoints::new(on.len());
    for (o, s) in outputs.iter().zip(seeds) {
        if on[o.index()] {
            adjoints.add(g, *o, *s);
        }
    }
    let last = outputs.iter().map(|o| o.index() + 1).max().unwrap_or(0);
    let mut totals: Vec<Option<Var>> = vec![None; on.len()];
    for i in (0..last).rev() {
        if on[i] {
            g.set_origin(g.nodes()[i].origin);
            totals[i] = visit(g, &mut adjoints, Var(i as u32), &on, guarded[i]);
        }
    }
    g.set_origin(kept);
    wrt.iter()
        .map(|w| {
            let shape = g.shape(*w);
            match totals[w.index()] {
                Some(v) => g.fill_to(v, shape),
                None => g.filled(0.0, shape),
            }
        })
        .collect()
}

/// Completes the cotangent of `y` and hands it on to the arguments.
fn visit(g: &mut Graph, adjoints: &mut Adjoints, y: Var, on: &[bool], guarded: bool) -> Option<Var> {
    let node = g.node(y).clone();
    let on: Vec<bool> = node.args.iter().map(|a| on[a.index()]).collect();
    if let Op::Scan(s) = &node.op {
        let outputs = adjoints.take_outputs(y)?;
        let parts = scan::cotangents(g, s, (y, &node.args), &outputs, &on, guarded);
        for (k, value) in parts {
            adjoints.add(g, node.args[k], value);
        }
        return None;
    }
    let ct = adjoints.total(g, y)?;
    if !on.contains(&true) {
        return Some(ct);
    }
    match &node.op {
        Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::ScaleGrad => {
            for (k, &a) in node.args.iter().enumerate() {
                if on[k] && partial::passes(&node.op, k) {
                    let p = partial::partial(g, y, &node, k);
                    let part = partial::apply(g, ct, &p, guarded);
                    let part = reduce(g, part, node.shape, g.shape(a));
                    adjoints.add(g, a, part);
                }
            }
        }
        Op::MatMul { .. } | Op::Cholesky | Op::TriSolve { .. } | Op::Solve { .. } | Op::LogAbsDet => {
            for (k, value) in linalg::cotangents(g, y, &node, ct, &on, guarded) {
                adjoints.add(g, node.args[k], value);
            }
        }
        Op::Proj(k) => {
            let Op::Scan(s) = &g.node(node.args[0]).op else { unreachable!("Proj reads a loop") };
            let count = 2 * s.next.len() + s.ys.len();
            adjoints.add_output(g, node.args[0], *k as usize, count, ct);
        }
        Op::Input(_) | Op::Const(_) | Op::StopGradient | Op::Scan(_) => {}
        _ => array::add_cotangents(g, adjoints, y, &node, ct, &on),
    }
    Some(ct)
}
