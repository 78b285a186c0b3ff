//! Which nodes take part in a derivative, and where a zero must win over NaN.

use std::collections::HashMap;

use super::partial::passes;
use crate::graph::op::{Binary, Fold, Op, Scan, Ternary, Var};
use crate::graph::{Graph, prune};

/// For each node, whether it depends differentiably on one of `wrt` (or is one).
pub(in crate::graph) fn active(g: &Graph, wrt: &[Var]) -> Vec<bool> {
    let mut active = vec![false; g.nodes().len()];
    let mut loops: HashMap<usize, Vec<bool>> = HashMap::new();
    for w in wrt {
        active[w.index()] = true;
    }
    for (i, node) in g.nodes().iter().enumerate() {
        let args = &node.args;
        let from_args = match &node.op {
            Op::Scan(s) => {
                let given: Vec<bool> = args.iter().map(|a| active[a.index()]).collect();
                let any = given.contains(&true);
                if any {
                    loops.insert(i, ScanActivity::new(s, &given).outputs());
                }
                any
            }
            Op::Proj(k) => loops.get(&args[0].index()).is_some_and(|outputs| outputs[*k as usize]),
            op => (0..args.len()).any(|k| active[args[k].index()] && passes(op, k)),
        };
        active[i] |= from_args;
    }
    active
}

/// Activity inside a loop.
pub(in crate::graph) struct ScanActivity {
    /// Carries that depend on an active argument.
    pub carries: Vec<bool>,
    /// Per-step outputs that do.
    pub ys: Vec<bool>,
}

impl ScanActivity {
    /// From the activity of the loop's arguments.
    pub fn new(scan: &Scan, args: &[bool]) -> ScanActivity {
        let n = scan.next.len();
        let mut carries = args[..n].to_vec();
        loop {
            let wrt: Vec<Var> = scan
                .body
                .inputs()
                .iter()
                .zip(carries.iter().chain(&args[n..]))
                .filter_map(|(input, on)| on.then_some(input.var))
                .collect();
            let body = active(&scan.body, &wrt);
            let grown: Vec<bool> = (0..n).map(|k| carries[k] || body[scan.next[k].index()]).collect();
            if grown == carries {
                let ys = scan.ys.iter().map(|y| body[y.index()]).collect();
                return ScanActivity { carries, ys };
            }
            carries = grown;
        }
    }

    /// In the order of `Proj`.
    fn outputs(&self) -> Vec<bool> {
        [&self.carries[..], &self.carries, &self.ys].concat()
    }
}

/// Carries that matter to an output of a loop: directly (`used`, in the order of `Proj`) or through
/// what they hand on.
pub(in crate::graph) fn useful_carries(scan: &Scan, used: &[bool]) -> Vec<bool> {
    let n = scan.next.len();
    let mut useful: Vec<bool> = (0..n).map(|k| used[k] || used[n + k]).collect();
    loop {
        let ys = scan.ys.iter().zip(&used[2 * n..]);
        let roots: Vec<Var> = scan.next.iter().zip(&useful).chain(ys).filter_map(|(v, on)| on.then_some(*v)).collect();
        let needed = prune::needed(&scan.body, &roots);
        let grown: Vec<bool> = (0..n).map(|k| useful[k] || needed[scan.body.inputs()[k].var.index()]).collect();
        if grown == useful {
            return useful;
        }
        useful = grown;
    }
}

/// Nodes below a branch that may not be taken: there a cotangent of 0 must stay 0 even where the local
/// derivative is inf or NaN. `all` marks every node.
pub(super) fn guarded(g: &Graph, outputs: &[Var], all: bool) -> Vec<bool> {
    let needed = prune::needed(g, outputs);
    let mut guarded = vec![all; needed.len()];
    for i in (0..needed.len()).rev() {
        if !needed[i] {
            continue;
        }
        let node = &g.nodes()[i];
        let branches = match node.op {
            Op::Ternary(Ternary::Select) => &node.args[1..],
            Op::Binary(Binary::Min | Binary::Max) | Op::Fold { fold: Fold::Max, .. } => &node.args[..],
            _ if guarded[i] => &node.args[..],
            _ => continue,
        };
        for a in branches {
            guarded[a.index()] = true;
        }
    }
    guarded
}
