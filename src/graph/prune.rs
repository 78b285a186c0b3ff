//! Removal of what no output needs.

use super::Graph;
use super::op::Var;

/// For each node, whether one of `outputs` depends on it (or is it).
pub(super) fn needed(g: &Graph, outputs: &[Var]) -> Vec<bool> {
    let mut needed = vec![false; g.nodes().len()];
    for v in outputs {
        needed[v.index()] = true;
    }
    for i in (0..needed.len()).rev() {
        if needed[i] {
            for a in &g.nodes()[i].args {
                needed[a.index()] = true;
            }
        }
    }
    needed
}
