//! Cotangents of loops: one loop in the opposite direction.

use super::activity::{ScanActivity, useful_carries};
use super::reverse;
use crate::graph::Graph;
use crate::graph::op::{Fold, Scan, Spread, Var};
use crate::graph::shape::Shape;

/// Inputs of a loop's body under construction, with the outer values they read.
pub(in crate::graph) struct Reads {
    pub body: Graph,
    pub args: Vec<Var>,
}

impl Reads {
    /// A body whose carries are still to come.
    pub fn new() -> Reads {
        Reads {
            body: Graph::new(),
            args: vec![],
        }
    }

    /// Adds an input of the body that reads `arg`: all of it, or the step's slice.
    pub fn input(&mut self, g: &Graph, name: &str, arg: Var, shape: Shape) -> Var {
        self.args.push(arg);
        self.body.input(name, shape, g.node(arg).spread)
    }

    /// Adds the inputs of `scan` that stand at `range`, reading `args`.
    pub fn inputs(
        &mut self,
        g: &Graph,
        scan: &Scan,
        at: std::ops::Range<usize>,
        args: &[Var],
    ) -> Vec<Var> {
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

/// A cotangent (or tangent) of a stacked output: a slice per step, or one value for all of them.
fn stacked(g: &Graph, ct: Option<Var>) -> (Option<Var>, Option<Var>) {
    match ct {
        Some(v) if g.shape(v).is_scalar() => (None, Some(v)),
        other => (other, None),
    }
}

/// The adjoint loop runs against the direction of `scan`. It carries the cotangents of the carries,
/// reads the carry-in traces, and recomputes the body; cotangents of slices and of values that every
/// step reads are its per-step outputs, the latter summed afterwards.
pub(super) fn cotangents(
    g: &mut Graph,
    scan: &Scan,
    (at, args): (Var, &[Var]),
    outputs: &[Option<Var>],
    on: &[bool],
    guarded: bool,
) -> Vec<(usize, Var)> {
    let n = scan.next.len();
    let activity = ScanActivity::new(scan, on);
    let used: Vec<bool> = outputs.iter().map(Option::is_some).collect();
    let useful = useful_carries(scan, &used);
    let kept: Vec<usize> = (0..n)
        .filter(|&k| activity.carries[k] && useful[k])
        .collect();

    let mut reads = Reads::new();
    let widest = args
        .iter()
        .chain(outputs.iter().flatten())
        .map(|v| g.node(*v).spread)
        .max()
        .unwrap_or(Spread::Shared);
    let mut seeds = vec![];
    for &k in &kept {
        let shape = scan.body.shape(scan.next[k]);
        let init = match outputs[k] {
            Some(v) => g.fill_to(v, shape),
            None => g.filled(0.0, shape),
        };
        reads.args.push(init);
        seeds.push(reads.body.input("adjoint", shape, widest));
    }
    let traces = traces(g, at, n);
    let carries = reads.inputs(g, scan, 0..n, &traces);
    let xs = reads.inputs(g, scan, n..n + scan.xs, &args[n..]);
    // Cotangents of traces and per-step outputs: slices first, then what every step reads.
    let mut given = vec![None; outputs.len()];
    for (k, ct) in outputs.iter().enumerate().skip(n) {
        if let (Some(v), _) = stacked(g, *ct) {
            let shape = output_slice(scan, k);
            given[k] = Some(reads.input(g, "cotangent", v, shape));
        }
    }
    let slices = reads.args.len() - kept.len();
    let each = reads.inputs(g, scan, n + scan.xs..args.len(), &args[n + scan.xs..]);
    for (k, ct) in outputs.iter().enumerate().skip(n) {
        if let (_, Some(v)) = stacked(g, *ct) {
            given[k] = Some(match g.constant_scalar(v) {
                Some(c) => reads.body.scalar(c),
                None => reads.input(g, "cotangent", v, Shape::SCALAR),
            });
        }
    }

    let inputs = [carries, xs, each].concat();
    let adjoint = Body {
        scan,
        kept: &kept,
        on,
        guarded,
    }
    .adjoint(&mut reads.body, &inputs, &seeds, &given);
    let scan_back = Scan {
        body: reads.body,
        len: scan.len,
        xs: slices,
        next: adjoint.next,
        ys: adjoint.ys,
        reverse: !scan.reverse,
    };
    let at_back = g.push_tidy_scan(scan_back, &reads.args);
    collect(g, scan, args, &kept, &adjoint.read, at_back)
}

/// Shape per step of an output (in the order of `Proj`) that is stacked.
fn output_slice(scan: &Scan, k: usize) -> Shape {
    let n = scan.next.len();
    let v = if k < 2 * n {
        scan.next[k - n]
    } else {
        scan.ys[k - 2 * n]
    };
    scan.body.shape(v)
}

struct Body<'a> {
    scan: &'a Scan,
    kept: &'a [usize],
    on: &'a [bool],
    guarded: bool,
}

struct AdjointBody {
    next: Vec<Var>,
    ys: Vec<Var>,
    /// Arguments of the loop whose cotangents the `ys` are.
    read: Vec<usize>,
}

impl Body<'_> {
    /// Appends the body of the loop and its reverse to `body`.
    fn adjoint(
        &self,
        body: &mut Graph,
        inputs: &[Var],
        seeds: &[Var],
        given: &[Option<Var>],
    ) -> AdjointBody {
        let (scan, n) = (self.scan, self.scan.next.len());
        let wanted = [&scan.next[..], &scan.ys].concat();
        let values = body.inline(&scan.body, inputs, &wanted);
        let mut outputs: Vec<Var> = self.kept.iter().map(|&k| values[k]).collect();
        let mut cts = seeds.to_vec();
        for m in 0..scan.ys.len() {
            if let Some(ct) = given[2 * n + m] {
                outputs.push(values[n + m]);
                cts.push(ct);
            }
        }
        let read: Vec<usize> = (n..inputs.len()).filter(|&k| self.on[k]).collect();
        let wrt: Vec<Var> = self.kept.iter().chain(&read).map(|&k| inputs[k]).collect();
        let mut next = reverse(body, &outputs, &cts, &wrt, self.guarded);
        let ys = next.split_off(self.kept.len());
        for (v, &k) in next.iter_mut().zip(self.kept) {
            if let Some(ct) = given[n + k] {
                *v = body.add(*v, ct);
            }
        }
        let (read, ys): (Vec<usize>, Vec<Var>) = read
            .into_iter()
            .zip(ys)
            .filter(|(_, y)| body.constant_scalar(*y) != Some(0.0))
            .unzip();
        let ys = ys.into_iter().map(|y| flat_if_deep(body, y)).collect();
        AdjointBody { next, ys, read }
    }
}

/// Rank 4 leaves no room for the axis of steps: such a value is stacked flat.
fn flat_if_deep(body: &mut Graph, y: Var) -> Var {
    let s = body.shape(y);
    if s.rank() < 4 {
        return y;
    }
    body.reshape(y, Shape::new(&[s.count()]))
}

/// Reads the cotangents off the adjoint loop.
fn collect(
    g: &mut Graph,
    scan: &Scan,
    args: &[Var],
    kept: &[usize],
    read: &[usize],
    at: Var,
) -> Vec<(usize, Var)> {
    let m = kept.len();
    let mut parts: Vec<(usize, Var)> = vec![];
    for (j, &k) in kept.iter().enumerate() {
        parts.push((k, g.proj(at, j)));
    }
    for (j, &k) in read.iter().enumerate() {
        let stack = g.proj(at, 2 * m + j);
        let shape = g.shape(args[k]);
        let value = if k < scan.next.len() + scan.xs {
            g.reshape(stack, shape)
        } else {
            let counts = (1, scan.len, shape.count());
            g.fold_counts(Fold::Sum, stack, counts, shape)
        };
        parts.push((k, value));
    }
    parts
}
