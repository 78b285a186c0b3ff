//! Reorders the sums of a loop's body, so that terms free of the carries are added up outside.

use crate::graph::Graph;
use crate::graph::op::{Binary, Op, Scan, Var};

/// The loop with `((carry + x) - y) + z` written as `carry + ((x - y) + z)`.
pub(super) fn reordered(scan: &Scan) -> Scan {
    let nodes = scan.body.nodes();
    let roots = [&scan.next[..], &scan.ys].concat();
    let bound = bound(scan);
    let uses = uses(&scan.body, &roots);
    let chained = |i: usize| bound[i] && matches!(nodes[i].op, Op::Binary(Binary::Add | Binary::Sub));
    let mut sums =
        Sums { source: &scan.body, bound: &bound, absorbed: vec![false; nodes.len()], body: Graph::new(), map: vec![] };
    for i in (0..nodes.len()).filter(|&i| chained(i)) {
        for a in &nodes[i].args {
            let j = a.index();
            sums.absorbed[j] |= chained(j) && uses[j] == 1 && nodes[j].shape == nodes[i].shape;
        }
    }
    for i in 0..nodes.len() {
        let v = sums.copy(i, chained(i));
        sums.map.push(v);
    }
    let find = |v: &Var| sums.map[v.index()].expect("a root is copied");
    Scan {
        next: scan.next.iter().map(find).collect(),
        ys: scan.ys.iter().map(find).collect(),
        len: scan.len,
        xs: scan.xs,
        reverse: scan.reverse,
        body: sums.body,
    }
}

/// For each node of the body, whether it depends on a carry.
fn bound(scan: &Scan) -> Vec<bool> {
    let mut bound = vec![false; scan.body.nodes().len()];
    for input in &scan.body.inputs()[..scan.next.len()] {
        bound[input.var.index()] = true;
    }
    for (i, node) in scan.body.nodes().iter().enumerate() {
        bound[i] |= node.args.iter().any(|a| bound[a.index()]);
    }
    bound
}

fn uses(g: &Graph, roots: &[Var]) -> Vec<usize> {
    let mut uses = vec![0; g.nodes().len()];
    let args = g.nodes().iter().flat_map(|n| &n.args);
    for v in args {
        uses[v.index()] += 1;
    }
    // A root stays as it is.
    for v in roots {
        uses[v.index()] += 2;
    }
    uses
}

struct Sums<'a> {
    source: &'a Graph,
    bound: &'a [bool],
    /// Sums that are written out where they are used.
    absorbed: Vec<bool>,
    body: Graph,
    map: Vec<Option<Var>>,
}

impl Sums<'_> {
    fn copy(&mut self, i: usize, chained: bool) -> Option<Var> {
        let node = &self.source.nodes()[i];
        if self.absorbed[i] {
            return None;
        }
        if let Op::Input(k) = node.op {
            let name = &self.source.inputs()[k as usize].name;
            return Some(self.body.input(name, node.shape, node.spread));
        }
        if !chained {
            let args = node.args.iter().map(|a| self.map[a.index()]);
            let args = args.collect::<Option<_>>().expect("only sums are absorbed");
            return Some(self.body.emit_like(node, args));
        }
        let kept = self.body.origin();
        self.body.set_origin(node.origin);
        let mut terms = vec![];
        self.collect(Var(i as u32), true, &mut terms);
        let (bound, free): (Vec<_>, Vec<_>) = terms.into_iter().partition(|t| self.bound[t.1.index()]);
        let bound = self.total(&bound);
        let sum = match self.total(&free) {
            None => bound,
            Some(free) => bound.map(|b| self.body.add(b, free)),
        };
        let sum = sum.map(|v| self.body.fill_to(v, node.shape));
        self.body.set_origin(kept);
        sum
    }

    /// Signed terms of the sum at `v`.
    fn collect(&self, v: Var, positive: bool, terms: &mut Vec<(bool, Var)>) {
        let node = self.source.node(v);
        let negated = matches!(node.op, Op::Binary(Binary::Sub));
        for (k, &a) in node.args.iter().enumerate() {
            let sign = positive != (negated && k == 1);
            if self.absorbed[a.index()] {
                self.collect(a, sign, terms);
            } else {
                terms.push((sign, a));
            }
        }
    }

    fn total(&mut self, terms: &[(bool, Var)]) -> Option<Var> {
        let mut sum: Option<Var> = None;
        for (positive, v) in terms {
            let v = self.map[v.index()].expect("arguments come first");
            sum = Some(match (sum, positive) {
                (None, true) => v,
                (None, false) => self.body.neg(v),
                (Some(s), true) => self.body.add(s, v),
                (Some(s), false) => self.body.sub(s, v),
            });
        }
        sum
    }
}
