//! Tangents of loops: one loop in the same direction that carries tangents only.

use super::jvp;
use crate::graph::Graph;
use crate::graph::op::{Scan, Spread, Var};
use crate::graph::reverse::activity::ScanActivity;
use crate::graph::reverse::scan::{Reads, traces};

/// Tangents of the outputs of the loop at `at`, in the order of `Proj`; none where nothing moves.
///
/// The tangent loop reads the carries of the given one from its traces, so that it is linear in what it
/// carries, and recomputes the rest of the body.
pub(super) fn tangents(
    g: &mut Graph,
    scan: &Scan,
    (at, args): (Var, &[Var]),
    given: &[Option<Var>],
) -> Vec<Option<Var>> {
    let n = scan.next.len();
    let on: Vec<bool> = given.iter().map(Option::is_some).collect();
    let activity = ScanActivity::new(scan, &on);
    let kept: Vec<usize> = (0..n).filter(|&k| activity.carries[k]).collect();
    let ys: Vec<usize> = (0..scan.ys.len()).filter(|&m| activity.ys[m]).collect();
    let full: Vec<Option<Var>> = given.iter().zip(args).map(|(t, a)| t.map(|t| super::filled(g, t, *a))).collect();
    let widest = args.iter().chain(full.iter().flatten()).map(|v| g.node(*v).spread).max().unwrap_or(Spread::Shared);

    let mut reads = Reads::new();
    let mut moves: Vec<Option<Var>> = vec![None; args.len()];
    for &k in &kept {
        let shape = scan.body.shape(scan.next[k]);
        let init = full[k].unwrap_or_else(|| g.filled(0.0, shape));
        reads.args.push(init);
        moves[k] = Some(reads.body.input("tangent", shape, widest));
    }
    let traces = traces(g, at, n);
    let mut inputs = reads.inputs(g, scan, 0..n, &traces);
    for range in [n..n + scan.xs, n + scan.xs..args.len()] {
        inputs.extend(reads.inputs(g, scan, range.clone(), &args[range.clone()]));
        for k in range.clone() {
            if let Some(t) = full[k] {
                let shape = scan.body.shape(scan.body.inputs()[k].var);
                moves[k] = Some(reads.input(g, "tangent", t, shape));
            }
        }
    }
    let slices = n + scan.xs + full[n..n + scan.xs].iter().flatten().count();

    let wanted: Vec<Var> = kept.iter().map(|&k| scan.next[k]).chain(ys.iter().map(|&m| scan.ys[m])).collect();
    let outputs = reads.body.inline(&scan.body, &inputs, &wanted);
    let (wrt, by): (Vec<Var>, Vec<Var>) = inputs.iter().zip(&moves).filter_map(|(v, t)| t.map(|t| (*v, t))).unzip();
    let mut next = jvp(&mut reads.body, &outputs, &wrt, &by);
    let step = next.split_off(kept.len());
    let moving = Scan { body: reads.body, len: scan.len, xs: slices, next, ys: step, reverse: scan.reverse };
    let moving = g.push_tidy_scan(moving, &reads.args);
    collect(g, scan, &kept, &ys, moving)
}

fn collect(g: &mut Graph, scan: &Scan, kept: &[usize], ys: &[usize], at: Var) -> Vec<Option<Var>> {
    let n = scan.next.len();
    let mut outputs = vec![None; 2 * n + scan.ys.len()];
    for (j, &k) in kept.iter().enumerate() {
        outputs[k] = Some(g.proj(at, j));
        outputs[n + k] = Some(g.proj(at, kept.len() + j));
    }
    for (j, &m) in ys.iter().enumerate() {
        outputs[2 * n + m] = Some(g.proj(at, 2 * kept.len() + j));
    }
    outputs
}
