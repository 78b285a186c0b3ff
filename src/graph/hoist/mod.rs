//! Loop splitting: whatever a loop need not do step by step becomes array operations before or after it.
//!
//! Of a body, nodes that do not depend on the carries are computed before the loop, as stacks over the
//! steps; nodes that do, but that no carry depends on, are computed after it from the carry-in traces.
//! Independent groups of carries get a loop each, in the order of their dependence. A carry that is only
//! handed on or set to something known becomes an array. A group of one carry that is an affine function
//! of itself becomes the body `fma(a, c, b)` of a scan with one carry, or `mulzero(c, a) + b` where a
//! zero adjoint must win over NaN; `a` and `b` are slices, values that every step reads, or constants.

mod affine;
mod body;
mod carries;
mod split;
mod terms;

use std::collections::HashMap;

use super::Graph;
use super::op::{Fold, Op, Var};
use super::prune::{Plan, prune};
use super::vmap::{self, Value};

/// A graph with the same inputs and the values of `outputs`, its loops reduced to bare recurrences.
/// Values agree up to rounding (sums are taken in another order).
pub fn hoist(g: &Graph, outputs: &[Var]) -> (Graph, Vec<Var>) {
    let mut built = Graph::new();
    let inputs: Vec<Var> =
        g.inputs().iter().map(|i| built.input(&i.name, g.shape(i.var), g.node(i.var).spread)).collect();
    let outputs = rebuild(&mut built, g, &inputs, outputs);
    prune(&built, &outputs)
}

fn rebuild(built: &mut Graph, g: &Graph, inputs: &[Var], outputs: &[Var]) -> Vec<Var> {
    let plan = Plan::new(g, outputs);
    let used = used_outputs(g, &plan);
    let mut loops: HashMap<usize, Vec<Option<Var>>> = HashMap::new();
    let mut map: Vec<Option<Var>> = vec![None; g.nodes().len()];
    for (i, node) in g.nodes().iter().enumerate() {
        if !plan.needed[i] {
            continue;
        }
        let find = |v: &Var| map[v.index()].expect("arguments come first");
        let kept = built.origin();
        built.set_origin(node.origin);
        match &node.op {
            Op::Input(k) => map[i] = Some(inputs[*k as usize]),
            Op::Scan(_) => {
                let part = &plan.loops[&i];
                let args: Vec<Var> = part.args.iter().map(find).collect();
                loops.insert(i, split::run(built, &part.scan, &args, &used[&i]));
            }
            Op::Proj(k) => {
                let at = node.args[0].index();
                let k = plan.loops[&at].outputs[*k as usize].expect("a read output is kept");
                map[i] = loops[&at][k as usize];
            }
            op => {
                let args: Vec<Var> = node.args.iter().map(find).collect();
                map[i] = Some(match op {
                    Op::Fold { fold: Fold::Sum, outer: 1, n, .. } => {
                        vmap::sum_steps(built, Value::stack(args[0]), node.shape, *n)
                    }
                    _ => built.emit(op, node.shape, args),
                });
            }
        }
        built.set_origin(kept);
    }
    outputs.iter().map(|o| map[o.index()].expect("an output is needed")).collect()
}

/// Which outputs of each kept loop are read, by their new numbers.
fn used_outputs(g: &Graph, plan: &Plan) -> HashMap<usize, Vec<bool>> {
    let mut used: HashMap<usize, Vec<bool>> = plan
        .loops
        .iter()
        .map(|(i, part)| {
            let s = &part.scan;
            (*i, vec![false; 2 * s.next.len() + s.ys.len()])
        })
        .collect();
    for (i, node) in g.nodes().iter().enumerate() {
        if let Op::Proj(k) = node.op
            && plan.needed[i]
        {
            let at = node.args[0].index();
            if let (Some(number), Some(used)) = (plan.loops[&at].outputs[k as usize], used.get_mut(&at)) {
                used[number as usize] = true;
            }
        }
    }
    used
}
