//! Cotangents of loops: one loop in the opposite direction.

use super::activity::{ScanActivity, useful_carries};
use super::{blocks, reverse};
use crate::graph::Graph;
use crate::graph::op::{Fold, Op, Scan, Spread, Var};
use crate::graph::shape::Shape;

/// Inputs of a loop's body under construction, with the outer values they read.
pub(in crate::graph) struct Reads {
    pub body: Graph,
    pub args: Vec<Var>,
}

impl Reads {
    /// A body whose carries are still to come.
    pub fn new() -> Reads {
        Reads { body: Graph::new(), args: vec![] }
    }

    /// Adds an input of the body that reads `arg`: all of it, or the step's slice.
    pub fn input(&mut self, g: &Graph, name: &str, arg: Var, shape: Shape) -> Var {
        self.args.push(arg);
        self.body.input(name, shape, g.node(arg).spread)
    }

    /// Adds the inputs of `scan` that stand at `range`, reading `args`.
    pub fn inputs(&mut self, g: &Graph, scan: &Scan, at: std::ops::Range<usize>, args: &[Var]) -> Vec<Var> {
        at.zip(args)
            .map(|(k, arg)| {
                let input = &scan.body.inputs()[k];
                self.input(g, &input.name, *arg, scan.body.shape(input.var))
            })
            .collect()
    }
}

/// The carry-in traces of the loop at `at`.
pub(in crate::graph) fn traces(g: &mut Graph, at: Var, carries: usize) -> Vec<Var> {
    (0..carries).map(|k| g.proj(at, carries + k)).collect()
}

/// Stacks of cotangents with more elements than this are summed in the loop instead.
const LARGEST_STACK: usize = 1 << 22;

/// The adjoint loop runs against the direction of `scan`. It carries the cotangents of the carries,
/// reads the carry-in traces, and recomputes the body; cotangents of slices and of values that every
/// step reads are its per-step outputs, the latter summed afterwards (or in a carry, where large).
/// Where the traces are large, the loop is run again in blocks instead.
pub(in crate::graph) fn cotangents(
    g: &mut Graph,
    scan: &Scan,
    (at, args): (Var, &[Var]),
    outputs: &[Option<Var>],
    on: &[bool],
    guarded: bool,
) -> Vec<(usize, Var)> {
    if blocks::is_long(scan) {
        return blocks::in_blocks(g, scan, args, outputs, on, guarded);
    }
    let n = scan.next.len();
    let activity = ScanActivity::new(scan, on);
    let used: Vec<bool> = outputs.iter().map(Option::is_some).collect();
    let useful = useful_carries(scan, &used);
    let large = |k: usize| scan.len * g.shape(args[k]).count() > LARGEST_STACK;
    let adjoint = Adjoint {
        scan,
        args,
        outputs,
        kept: (0..n).filter(|&k| activity.carries[k] && useful[k]).collect(),
        summed: (n + scan.xs..args.len()).filter(|&k| on[k] && large(k)).collect(),
        read: (n..args.len()).filter(|&k| on[k]).collect(),
        guarded,
    };
    adjoint.emit(g, at)
}

/// The adjoint loop of `scan`.
struct Adjoint<'a> {
    scan: &'a Scan,
    args: &'a [Var],
    /// Cotangents of its outputs, in the order of `Proj`; a scalar stands for every element.
    outputs: &'a [Option<Var>],
    /// Carries with a cotangent.
    kept: Vec<usize>,
    /// Arguments whose cotangents may be summed in a carry.
    summed: Vec<usize>,
    /// Arguments other than carries that want a cotangent.
    read: Vec<usize>,
    guarded: bool,
}

/// What the body of the adjoint loop knows.
struct Known {
    /// Copies of the inputs of the body of the loop.
    inputs: Vec<Var>,
    /// Cotangents of its stacked outputs at this step.
    given: Vec<Option<Var>>,
    /// Number of slices among what it reads.
    slices: usize,
}

/// Where the cotangent of an argument comes out.
enum Exit {
    Carry(usize),
    Stack(usize),
}

impl Adjoint<'_> {
    fn emit(&self, g: &mut Graph, at: Var) -> Vec<(usize, Var)> {
        let mut reads = Reads::new();
        let seeds = self.carries(g, &mut reads);
        let known = self.values(g, &mut reads, at);
        let (next, ys, exits) = self.body(&mut reads.body, &known, &seeds);
        let back =
            Scan { body: reads.body, len: self.scan.len, xs: known.slices, next, ys, reverse: !self.scan.reverse };
        let carries = seeds.len();
        let at = g.push_tidy_scan(back, &reads.args);
        exits.into_iter().map(|(k, exit)| (k, self.read_off(g, at, carries, k, exit))).collect()
    }

    /// Inputs for the cotangents of carries, then for sums.
    fn carries(&self, g: &mut Graph, reads: &mut Reads) -> Vec<Var> {
        let all = self.args.iter().chain(self.outputs.iter().flatten());
        let widest = all.map(|v| g.node(*v).spread).max();
        let widest = widest.unwrap_or(Spread::Shared);
        let mut seeds = vec![];
        for &k in self.kept.iter().chain(&self.summed) {
            let shape = g.shape(self.args[k]);
            let given = self.outputs[..self.scan.next.len()].get(k);
            let init = match given.copied().flatten() {
                Some(v) => g.fill_to(v, shape),
                None => g.filled(0.0, shape),
            };
            reads.args.push(init);
            seeds.push(reads.body.input("adjoint", shape, widest));
        }
        seeds
    }

    /// Inputs for carries, slices, shared values and cotangents of stacked outputs.
    fn values(&self, g: &mut Graph, reads: &mut Reads, at: Var) -> Known {
        let (scan, n) = (self.scan, self.scan.next.len());
        let before = reads.args.len();
        let each_from = n + scan.xs;
        let traces = traces(g, at, n);
        let mut inputs = reads.inputs(g, scan, 0..n, &traces);
        inputs.extend(reads.inputs(g, scan, n..each_from, &self.args[n..]));
        let mut given = vec![None; self.outputs.len()];
        let stacked: Vec<(usize, Var)> =
            (n..self.outputs.len()).filter_map(|k| self.outputs[k].map(|v| (k, v))).collect();
        for &(k, v) in &stacked {
            if !g.shape(v).is_scalar() {
                given[k] = Some(reads.input(g, "cotangent", v, output_slice(scan, k)));
            }
        }
        let slices = reads.args.len() - before;
        let each = each_from..self.args.len();
        inputs.extend(reads.inputs(g, scan, each, &self.args[each_from..]));
        for &(k, v) in &stacked {
            if g.shape(v).is_scalar() {
                given[k] = Some(match g.constant_scalar(v) {
                    Some(c) => reads.body.scalar(c),
                    None => reads.input(g, "cotangent", v, Shape::SCALAR),
                });
            }
        }
        Known { inputs, given, slices }
    }

    /// Appends the body of the loop and its reverse; returns the carries to hand on, the per-step
    /// outputs, and where each cotangent comes out.
    fn body(&self, body: &mut Graph, known: &Known, seeds: &[Var]) -> (Vec<Var>, Vec<Var>, Vec<(usize, Exit)>) {
        let (scan, n) = (self.scan, self.scan.next.len());
        let wanted = [&scan.next[..], &scan.ys].concat();
        let values = body.inline(&scan.body, &known.inputs, &wanted);
        let (adjoints, sums) = seeds.split_at(self.kept.len());
        let mut outputs: Vec<Var> = self.kept.iter().map(|&k| values[k]).collect();
        let mut cts = adjoints.to_vec();
        for m in 0..scan.ys.len() {
            if let Some(ct) = known.given[2 * n + m] {
                outputs.push(values[n + m]);
                cts.push(ct);
            }
        }
        let both = self.kept.iter().chain(&self.read);
        let wrt: Vec<Var> = both.map(|&k| known.inputs[k]).collect();
        let mut next = reverse(body, &outputs, &cts, &wrt, self.guarded);
        let parts = next.split_off(self.kept.len());
        for (v, &k) in next.iter_mut().zip(&self.kept) {
            if let Some(ct) = known.given[n + k] {
                *v = body.add(*v, ct);
            }
        }
        next.extend(sums);
        let mut exits: Vec<(usize, Exit)> = self.kept.iter().enumerate().map(|(j, &k)| (k, Exit::Carry(j))).collect();
        let mut ys = vec![];
        for (&k, v) in self.read.iter().zip(parts) {
            if body.constant_scalar(v) == Some(0.0) {
                continue;
            }
            let sum = self.summed.iter().position(|s| *s == k);
            // Stacks of products of matrices become one product later.
            let product = matches!(body.node(v).op, Op::MatMul { .. });
            match sum.filter(|_| !product) {
                Some(j) => {
                    let j = self.kept.len() + j;
                    next[j] = body.add(seeds[j], v);
                    exits.push((k, Exit::Carry(j)));
                }
                None => {
                    exits.push((k, Exit::Stack(ys.len())));
                    ys.push(flat_if_deep(body, v));
                }
            }
        }
        (next, ys, exits)
    }

    /// The cotangent of argument `k` off the adjoint loop at `at`.
    fn read_off(&self, g: &mut Graph, at: Var, carries: usize, k: usize, exit: Exit) -> Var {
        let shape = g.shape(self.args[k]);
        match exit {
            Exit::Carry(j) => g.proj(at, j),
            Exit::Stack(j) => {
                let stack = g.proj(at, 2 * carries + j);
                if k < self.scan.next.len() + self.scan.xs {
                    return g.reshape(stack, shape);
                }
                let counts = (1, self.scan.len, shape.count());
                g.fold_counts(Fold::Sum, stack, counts, shape)
            }
        }
    }
}

/// Shape per step of an output (in the order of `Proj`) that is stacked.
fn output_slice(scan: &Scan, k: usize) -> Shape {
    let n = scan.next.len();
    let v = if k < 2 * n { scan.next[k - n] } else { scan.ys[k - 2 * n] };
    scan.body.shape(v)
}

/// Rank 4 leaves no room for the axis of steps: such a value is stacked flat.
fn flat_if_deep(body: &mut Graph, y: Var) -> Var {
    let s = body.shape(y);
    if s.rank() < 4 {
        return y;
    }
    body.reshape(y, Shape::new(&[s.count()]))
}
