//! A graph in two halves: what can be computed at once, and what needs inputs that come later.

use super::{Graph, Op, Shape, Spread, Var};

/// Two graphs that compute together what one did.
pub struct Split {
    /// Its inputs are those of the whole that are not late; its outputs those asked for, then what the second half reads of it.
    pub first: Graph,
    /// Outputs of the first half.
    pub first_outputs: Vec<Var>,
    /// Its inputs are those of the whole, then what it reads of the first half.
    pub second: Graph,
    /// Outputs of the second half.
    pub second_outputs: Vec<Var>,
    /// Number of elements of each value that is handed on.
    pub kept: Vec<usize>,
}

/// Splits `g`: `first` are outputs that do not depend on the inputs `late`, `second` outputs that may. The second half computes
/// nothing again that the first one has computed, but for gathers of inputs and what constants alone determine.
pub fn split(g: &Graph, first: &[Var], second: &[Var], late: &[Var]) -> Split {
    let mut after = vec![false; g.nodes().len()];
    let mut given = vec![false; g.nodes().len()];
    late.iter().for_each(|v| after[v.index()] = true);
    // What constants alone determine is computed when a program is compiled, in both halves.
    let mut fixed = vec![false; g.nodes().len()];
    for (i, node) in g.nodes().iter().enumerate() {
        after[i] |= node.args.iter().any(|a| after[a.index()]);
        fixed[i] = !matches!(node.op, Op::Input(_)) && node.args.iter().all(|a| fixed[a.index()]);
        given[i] = match node.op {
            Op::Input(_) => true,
            Op::Reshape | Op::Gather(_) => given[node.args[0].index()],
            _ => fixed[i],
        };
    }
    // From the outputs back to what is given, or known after the first half.
    let mut needed = vec![false; g.nodes().len()];
    second.iter().for_each(|v| needed[v.index()] = true);
    let known = |i: usize| !after[i] && !given[i];
    for i in (0..needed.len()).rev().filter(|i| !known(*i)).collect::<Vec<_>>() {
        if needed[i] {
            g.nodes()[i].args.iter().for_each(|a| needed[a.index()] = true);
        }
    }
    let kept: Vec<Var> = (0..needed.len()).filter(|i| needed[*i] && known(*i)).map(|i| g.var(i)).collect();
    let mut b = Graph::new();
    let mut copies: Vec<Option<Var>> = vec![None; needed.len()];
    for i in g.inputs() {
        copies[i.var.index()] = Some(b.input(&i.name, g.shape(i.var), g.node(i.var).spread));
    }
    for v in &kept {
        copies[v.index()] = Some(b.input("kept", g.shape(*v), Spread::Shared));
    }
    for (i, node) in g.nodes().iter().enumerate().filter(|(i, _)| needed[*i]) {
        if copies[i].is_none() {
            let args = node.args.iter().map(|a| copies[a.index()].expect("arguments come first")).collect();
            copies[i] = Some(b.emit_like(node, args));
        }
    }
    let second_outputs = second.iter().map(|v| copies[v.index()].expect("an output is needed")).collect();
    let mut a = Graph::new();
    let early = |i: &super::build::Input| match late.contains(&i.var) {
        // Nothing of the first half reads it.
        true => a.scalar(0.0),
        false => a.input(&i.name, g.shape(i.var), g.node(i.var).spread),
    };
    let inputs: Vec<Var> = g.inputs().iter().map(early).collect();
    let first_outputs = a.inline(g, &inputs, &[first, &kept[..]].concat());
    let kept = kept.iter().map(|v| Shape::count(&g.shape(*v))).collect();
    Split { first: a, first_outputs, second: b, second_outputs, kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::eval::evaluate;
    use crate::graph::reverse::grad;

    #[test]
    fn halves_compute_what_the_whole_does() {
        let mut g = Graph::new();
        let w = g.input("w", Shape::new(&[3, 2]), Spread::Shared);
        let x = g.input("x", Shape::new(&[4, 3]), Spread::Shared);
        let h = g.matmul(x, w, false, false);
        let h = g.unary(super::super::Unary::Tanh, h);
        let y = g.exp(h);
        let bar = g.input("bar", Shape::new(&[4, 2]), Spread::Shared);
        let back = grad(&mut g, &[y], &[bar], &[w, x]);
        let s = split(&g, &[y], &back, &[bar]);
        let number = |n: usize, k: f64| (0..n).map(|i| (i as f64 * k).sin()).collect::<Vec<f64>>();
        let (w, x, bar) = (number(6, 1.3), number(12, 0.7), number(8, 2.1));
        let whole = evaluate(&g, &[&w, &x, &bar], &[&[y], &back[..]].concat());
        let first = evaluate(&s.first, &[&w, &x], &s.first_outputs);
        assert_eq!(first[0], whole[0]);
        // The tangent and the exponential are handed on, and not computed again.
        assert_eq!(s.kept, [8, 8]);
        let again =
            |n: &super::super::Node| matches!(n.op, Op::Unary(super::super::Unary::Tanh | super::super::Unary::Exp));
        assert!(!s.second.nodes().iter().any(again));
        let mut inputs: Vec<&[f64]> = vec![&w, &x, &bar];
        inputs.extend(first[1..].iter().map(|k| &k[..]));
        let second = evaluate(&s.second, &inputs, &s.second_outputs);
        assert_eq!(second, whole[1..]);
    }
}
