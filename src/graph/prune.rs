//! Removal of what no output needs, inside loops too.

use std::collections::HashMap;
use std::sync::Arc;

use super::op::{Op, Scan, Var};
use super::reverse::activity::useful_carries;
use super::{Graph, Shape};

/// A graph with only the nodes that `outputs` need, and the outputs in it. All inputs stay, in order.
/// Loops keep the carries and per-step outputs that somebody reads; equal arguments of a loop become
/// one, and uniform constants move into its body.
pub fn prune(g: &Graph, outputs: &[Var]) -> (Graph, Vec<Var>) {
    let mut pruned = Graph::new();
    let inputs: Vec<Var> =
        g.inputs().iter().map(|i| pruned.input(&i.name, g.shape(i.var), g.node(i.var).spread)).collect();
    let outputs = pruned.inline(g, &inputs, outputs);
    (pruned, outputs)
}

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

/// What a copy of a graph keeps.
pub(super) struct Plan {
    /// Nodes to copy.
    pub needed: Vec<bool>,
    /// The loops among them.
    pub loops: HashMap<usize, Restricted>,
}

/// A loop without its unread parts.
pub(super) struct Restricted {
    pub scan: Arc<Scan>,
    /// Its arguments, in the graph it came from.
    pub args: Vec<Var>,
    /// New number of each output.
    pub outputs: Vec<Option<u32>>,
}

impl Plan {
    /// Everything that `outputs` need.
    pub fn new(g: &Graph, outputs: &[Var]) -> Plan {
        let mut needed = vec![false; g.nodes().len()];
        let mut loops = HashMap::new();
        let mut used: HashMap<usize, Vec<bool>> = HashMap::new();
        for v in outputs {
            needed[v.index()] = true;
        }
        for i in (0..needed.len()).rev() {
            if !needed[i] {
                continue;
            }
            let node = &g.nodes()[i];
            let mut args = &node.args;
            if let Op::Proj(k) = node.op {
                let at = args[0];
                if let Op::Scan(s) = &g.node(at).op {
                    let count = 2 * s.next.len() + s.ys.len();
                    used.entry(at.index()).or_insert_with(|| vec![false; count])[k as usize] = true;
                }
            }
            if let Op::Scan(s) = &node.op {
                let all = || vec![true; 2 * s.next.len() + s.ys.len()];
                let used = used.remove(&i).unwrap_or_else(all);
                loops.insert(i, restrict(g, s, &node.args, &used));
                args = &loops[&i].args;
            }
            for a in args {
                needed[a.index()] = true;
            }
        }
        Plan { needed, loops }
    }
}

/// The loop with every output, without arguments that its body does not read.
pub(super) fn tidy_scan(g: &Graph, scan: Scan, args: &[Var]) -> (Arc<Scan>, Vec<Var>) {
    let all = vec![true; 2 * scan.next.len() + scan.ys.len()];
    let r = restrict(g, &Arc::new(scan), args, &all);
    (r.scan, r.args)
}

/// The part of a loop that computes the outputs in `used` (in the order of `Proj`).
fn restrict(g: &Graph, scan: &Arc<Scan>, args: &[Var], used: &[bool]) -> Restricted {
    let n = scan.next.len();
    let useful = useful_carries(scan, used);
    let kept: Vec<usize> = (0..n).filter(|&k| useful[k]).collect();
    let ys: Vec<usize> = (0..scan.ys.len()).filter(|m| used[2 * n + m]).collect();
    let roots: Vec<Var> = kept.iter().map(|&k| scan.next[k]).chain(ys.iter().map(|&m| scan.ys[m])).collect();
    let plan = Plan::new(&scan.body, &roots);
    let reads = Reads::new(g, scan, args, &kept, &plan);
    let all_kept = kept.len() == n && ys.len() == scan.ys.len() && reads.args == args;
    let same = all_kept && reads.constants == 0 && plan.keeps_all(&scan.body);
    let scan_kept = if same { scan.clone() } else { Arc::new(reads.rebuilt(scan, &roots, kept.len())) };
    Restricted { scan: scan_kept, args: reads.args, outputs: numbers(n, scan.ys.len(), &kept, &ys) }
}

impl Plan {
    fn keeps_all(&self, g: &Graph) -> bool {
        let same = |i: &usize| match &g.nodes()[*i].op {
            Op::Scan(s) => Arc::ptr_eq(s, &self.loops[i].scan),
            _ => true,
        };
        self.needed.iter().all(|n| *n) && self.loops.keys().all(same)
    }
}

/// New numbers of the outputs of a loop of `n` carries and `y` per-step outputs.
fn numbers(n: usize, y: usize, kept: &[usize], ys: &[usize]) -> Vec<Option<u32>> {
    let mut new = vec![None; 2 * n + y];
    for (j, &k) in kept.iter().enumerate() {
        new[k] = Some(j as u32);
        new[n + k] = Some((kept.len() + j) as u32);
    }
    for (j, &m) in ys.iter().enumerate() {
        new[2 * n + m] = Some((2 * kept.len() + j) as u32);
    }
    new
}

/// Where an input of the old body comes from in the new one.
#[derive(Clone, Copy)]
enum Source {
    Unread,
    Input(usize),
    Uniform(f64),
}

/// The inputs of a restricted body.
struct Reads {
    args: Vec<Var>,
    xs: usize,
    sources: Vec<Source>,
    constants: usize,
}

impl Reads {
    fn new(g: &Graph, scan: &Scan, args: &[Var], kept: &[usize], plan: &Plan) -> Reads {
        let n = scan.next.len();
        let mut reads = Reads {
            args: kept.iter().map(|&k| args[k]).collect(),
            xs: 0,
            sources: vec![Source::Unread; args.len()],
            constants: 0,
        };
        for (j, &k) in kept.iter().enumerate() {
            reads.sources[k] = Source::Input(j);
        }
        let each = n + scan.xs;
        for (from, to, slices) in [(n, each, true), (each, args.len(), false)] {
            let start = reads.args.len();
            for k in from..to {
                if plan.needed[scan.body.inputs()[k].var.index()] {
                    reads.add(g, k, args[k], start);
                }
            }
            if slices {
                reads.xs = reads.args.len() - start;
            }
        }
        reads
    }

    /// Argument `arg` at position `k`: a constant, one that is there since `start`, or a new one.
    fn add(&mut self, g: &Graph, k: usize, arg: Var, start: usize) {
        if let Some(c) = g.constant_scalar(arg) {
            self.sources[k] = Source::Uniform(c);
            self.constants += 1;
            return;
        }
        let there = self.args[start..].iter().position(|a| *a == arg);
        let at = there.map_or(self.args.len(), |p| start + p);
        if there.is_none() {
            self.args.push(arg);
        }
        self.sources[k] = Source::Input(at);
    }

    fn rebuilt(&self, scan: &Scan, roots: &[Var], carries: usize) -> Scan {
        let mut body = Graph::new();
        let old = scan.body.inputs();
        let mut made: Vec<Option<Var>> = vec![None; self.args.len()];
        for (k, source) in self.sources.iter().enumerate() {
            if let Source::Input(j) = *source
                && made[j].is_none()
            {
                let node = scan.body.node(old[k].var);
                made[j] = Some(body.input(&old[k].name, node.shape, node.spread));
            }
        }
        let inputs: Vec<Var> = self
            .sources
            .iter()
            .zip(old)
            .map(|(source, input)| match *source {
                Source::Unread => Var(u32::MAX),
                Source::Input(j) => made[j].expect("every argument has its input"),
                Source::Uniform(c) => body.filled(c, scan.body.shape(input.var)),
            })
            .collect();
        let mut next = body.inline(&scan.body, &inputs, roots);
        let ys = next.split_off(carries);
        Scan { body, len: scan.len, xs: self.xs, next, ys, reverse: scan.reverse }
    }
}

impl Graph {
    /// A loop on its arguments in order, without those that its body does not read.
    pub(super) fn push_tidy_scan(&mut self, scan: Scan, args: &[Var]) -> Var {
        let (scan, args) = tidy_scan(self, scan, args);
        self.push(Op::Scan(scan), args, Shape::SCALAR)
    }
}
