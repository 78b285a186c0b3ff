//! Forward mode, graph to graph: tangents are ordinary nodes appended to the graph. The conventions are
//! those of [`super::reverse`]; `jvp` of `grad` gives Hessian-vector products.

mod array;
mod linalg;
mod scan;

use std::collections::HashMap;

use super::Graph;
use super::op::{Node, Op, Var};
use super::reverse::activity::active;
use super::reverse::partial::{apply, partial, passes};
use super::shape::Shape;

/// Tangents of `outputs` where `wrt_i` moves by `tangents_i`, one node of its shape per output. A
/// tangent has its node's shape, or is a scalar for every element.
///
/// `wrt` may hold any nodes; where one depends on another, its tangent is the sum of the given one and
/// the one that reaches it (the transpose of what [`super::reverse::grad`] does).
pub fn jvp(g: &mut Graph, outputs: &[Var], wrt: &[Var], tangents: &[Var]) -> Vec<Var> {
    let kept = g.origin();
    let on = active(g, wrt);
    let needed = super::prune::needed(g, outputs);
    let mut forward = Forward { tangents: vec![None; on.len()], loops: HashMap::new() };
    for (w, t) in wrt.iter().zip(tangents) {
        forward.add(g, *w, *t);
    }
    for i in 0..on.len() {
        if on[i] && needed[i] {
            g.set_origin(g.nodes()[i].origin);
            forward.visit(g, Var(i as u32));
        }
    }
    g.set_origin(kept);
    outputs
        .iter()
        .map(|o| {
            let shape = g.shape(*o);
            match forward.tangents[o.index()] {
                Some(t) => g.fill_to(t, shape),
                None => g.filled(0.0, shape),
            }
        })
        .collect()
}

struct Forward {
    /// Tangents of the nodes visited so far; a scalar may stand for every element of an array.
    tangents: Vec<Option<Var>>,
    /// Tangents of the outputs of loops, in the order of `Proj`.
    loops: HashMap<Var, Vec<Option<Var>>>,
}

impl Forward {
    fn add(&mut self, g: &mut Graph, of: Var, t: Var) {
        if g.constant_scalar(t) == Some(0.0) {
            return;
        }
        let slot = &mut self.tangents[of.index()];
        *slot = Some(match *slot {
            Some(there) => g.add(there, t),
            None => t,
        });
    }

    fn visit(&mut self, g: &mut Graph, y: Var) {
        let node = g.node(y).clone();
        let given: Vec<Option<Var>> = node.args.iter().map(|a| self.tangents[a.index()]).collect();
        match &node.op {
            Op::Scan(s) => {
                if given.iter().any(Option::is_some) {
                    let outputs = scan::tangents(g, s, (y, &node.args), &given);
                    self.loops.insert(y, outputs);
                }
            }
            Op::Proj(k) => {
                let outputs = self.loops.get(&node.args[0]);
                if let Some(t) = outputs.and_then(|o| o[*k as usize]) {
                    self.add(g, y, t);
                }
            }
            op => {
                for k in 0..given.len() {
                    if let Some(t) = given[k].filter(|_| passes(op, k)) {
                        let part = match op {
                            Op::Concat => continue,
                            _ => tangent(g, y, &node, (k, t)),
                        };
                        self.add(g, y, part);
                    }
                }
                if matches!(op, Op::Concat) && given.iter().any(Option::is_some) {
                    let t = array::concat(g, &node, &given);
                    self.add(g, y, t);
                }
            }
        }
    }
}

/// What the tangent `t` of the k-th argument adds to that of `y`.
fn tangent(g: &mut Graph, y: Var, node: &Node, (k, t): (usize, Var)) -> Var {
    match node.op {
        Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::ScaleGrad => {
            let p = partial(g, y, node, k);
            let t = apply(g, t, &p, false);
            // A scalar argument of an array result: its tangent serves every element.
            if g.shape(t).is_scalar() || g.shape(t) == node.shape { t } else { g.fill_to(t, node.shape) }
        }
        Op::MatMul { .. } | Op::Cholesky | Op::TriSolve { .. } | Op::Solve { .. } | Op::LogAbsDet => {
            let t = filled(g, t, node.args[k]);
            linalg::tangent(g, y, node, (k, t))
        }
        _ => array::tangent(g, y, node, t),
    }
}

/// A tangent in the shape of its node.
fn filled(g: &mut Graph, t: Var, of: Var) -> Var {
    let shape = g.shape(of);
    g.fill_to(t, shape)
}

/// True where a scalar stands for all elements of an array.
fn is_uniform(g: &Graph, t: Var, shape: Shape) -> bool {
    g.shape(t).is_scalar() && !shape.is_scalar()
}
