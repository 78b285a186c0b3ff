//! Cotangents of long loops: only every √T-th carry is stored, the steps between are run again (Griewank and
//! Walther 2000, with one level of checkpoints).

use super::activity::ScanActivity;
use super::scan::cotangents;
use crate::graph::Graph;
use crate::graph::op::{Scan, Spread, Var};
use crate::graph::shape::{Index, Shape};

/// Numbers in the carries of all steps, above which they are not all stored: 64 MB.
const STORED: usize = 1 << 23;

/// True where a loop would store too much, and has room for the axes of blocks and of steps.
pub(super) fn is_long(scan: &Scan) -> bool {
    let carries = scan.next.iter().map(|v| scan.body.shape(*v).count()).sum::<usize>();
    let rank = |v: &Var| scan.body.shape(*v).rank();
    let deep = scan.body.inputs().iter().map(|i| rank(&i.var)).chain(scan.ys.iter().map(rank)).any(|r| r > 4);
    scan.len > 3 && scan.len.saturating_mul(carries) > STORED && !deep
}

/// Like [`cotangents`] of the loop, which is run once more, in blocks: a loop over blocks of which each is a loop,
/// and the steps that are left. The adjoint of the outer loop stores the carries between blocks, and runs each
/// block again before it goes back through it.
pub(in crate::graph) fn in_blocks(
    g: &mut Graph,
    scan: &Scan,
    args: &[Var],
    outputs: &[Option<Var>],
    on: &[bool],
    guarded: bool,
) -> Vec<(usize, Var)> {
    let n = scan.next.len();
    let size = (scan.len as f64).sqrt().ceil() as usize;
    let blocks = scan.len / size;
    let rest = scan.len - blocks * size;
    // The steps that are left are the last to run.
    let (first, left) = if scan.reverse { (rest, 0) } else { (0, blocks * size) };
    let many = Run { scan, first, len: blocks * size, blocks: Some(blocks) };
    let few = Run { scan, first: left, len: rest, blocks: None };

    let many_args = many.args(g, args, &args[..n]);
    let outer = many.in_blocks(g, &many_args);
    let at = g.scan(copy(&outer), &many_args[..n], &many_args[n..n + scan.xs], &many_args[n + scan.xs..]);
    let handed: Vec<Var> = (0..n).map(|k| g.proj(at, k)).collect();

    let mut finals: Vec<Option<Var>> = outputs[..n].to_vec();
    let mut parts: Vec<(usize, Var, bool)> = vec![];
    if rest > 0 {
        let few_args = few.args(g, args, &handed);
        let tail = Scan { len: rest, ..copy(scan) };
        let at = g.scan(copy(&tail), &few_args[..n], &few_args[n..n + scan.xs], &few_args[n + scan.xs..]);
        let active = [&ScanActivity::new(scan, on).carries[..], &on[n..]].concat();
        let given: Vec<Option<Var>> = few.outputs(g, outputs, &finals);
        finals = vec![None; n];
        for (k, v) in cotangents(g, &tail, (at, &few_args), &given, &active, guarded) {
            match finals.get_mut(k) {
                Some(slot) => *slot = Some(v),
                None => parts.push((k, v, false)),
            }
        }
    }
    let given = many.outputs(g, outputs, &finals);
    let found = cotangents(g, &outer, (at, &many_args), &given, on, guarded);
    parts.extend(found.into_iter().map(|(k, v)| (k, v, true)));
    joined(g, scan, args, parts, &[many, few])
}

/// Some neighbouring steps of a loop, in blocks of equal size or as they are.
struct Run<'a> {
    scan: &'a Scan,
    first: usize,
    len: usize,
    blocks: Option<usize>,
}

impl Run<'_> {
    /// Axes of steps.
    fn axes(&self) -> Vec<usize> {
        self.blocks.map_or(vec![self.len], |b| vec![b, self.len / b])
    }

    /// These steps of a stack over all of them.
    fn part(&self, g: &mut Graph, stack: Var) -> Var {
        let step = Shape::new(&g.shape(stack).dims()[1..]);
        let m = step.count();
        let index = Index::Stride { start: self.first * m, stride: 1, len: self.len * m };
        g.gather(stack, index, Shape::new(&[&self.axes()[..], step.dims()].concat()))
    }

    /// Arguments of the loop over these steps.
    fn args(&self, g: &mut Graph, args: &[Var], init: &[Var]) -> Vec<Var> {
        let n = init.len();
        let slices: Vec<Var> = args[n..n + self.scan.xs].iter().map(|x| self.part(g, *x)).collect();
        [init, &slices, &args[n + self.scan.xs..]].concat()
    }

    /// Cotangents of its outputs, from those of the whole loop and of the carries that leave it.
    fn outputs(&self, g: &mut Graph, outputs: &[Option<Var>], finals: &[Option<Var>]) -> Vec<Option<Var>> {
        let stacks = outputs[finals.len()..].iter().map(|ct| {
            let ct = (*ct)?;
            Some(if g.shape(ct).is_scalar() { ct } else { self.part(g, ct) })
        });
        let stacks: Vec<Option<Var>> = stacks.collect();
        let mut all = [finals, &stacks].concat();
        if self.blocks.is_some() {
            // The traces of the steps are per-step outputs of the loop over blocks.
            all.splice(finals.len()..finals.len(), vec![None; finals.len()]);
        }
        all
    }

    /// The loop over blocks: per-step outputs are the carry-in traces of the steps, then their outputs.
    fn in_blocks(&self, g: &Graph, args: &[Var]) -> Scan {
        let (scan, n) = (self.scan, self.scan.next.len());
        let axes = self.axes();
        let mut body = Graph::new();
        let widest = args.iter().map(|a| g.node(*a).spread).max().unwrap_or(Spread::Shared);
        let inputs: Vec<Var> = scan
            .body
            .inputs()
            .iter()
            .enumerate()
            .map(|(k, input)| {
                let step = scan.body.shape(input.var);
                let shape =
                    if (n..n + scan.xs).contains(&k) { Shape::new(&[&axes[1..], step.dims()].concat()) } else { step };
                let spread = if k < n { widest } else { g.node(args[k]).spread };
                body.input(&input.name, shape, spread)
            })
            .collect();
        let steps = Scan { len: axes[1], ..copy(scan) };
        let at = body.scan(steps, &inputs[..n], &inputs[n..n + scan.xs], &inputs[n + scan.xs..]);
        let next = (0..n).map(|k| body.proj(at, k)).collect();
        let ys = (n..2 * n + scan.ys.len()).map(|k| body.proj(at, k)).collect();
        Scan { body, len: axes[0], xs: scan.xs, next, ys, reverse: scan.reverse }
    }
}

fn copy(s: &Scan) -> Scan {
    Scan { body: s.body.clone(), len: s.len, xs: s.xs, next: s.next.clone(), ys: s.ys.clone(), reverse: s.reverse }
}

/// Cotangents of the arguments: those of slices laid end to end, those of what every step reads added up.
fn joined(
    g: &mut Graph,
    scan: &Scan,
    args: &[Var],
    parts: Vec<(usize, Var, bool)>,
    runs: &[Run; 2],
) -> Vec<(usize, Var)> {
    let n = scan.next.len();
    let mut out = vec![];
    for (k, &arg) in args.iter().enumerate() {
        let of = |in_many: bool| parts.iter().find(|p| p.0 == k && p.2 == in_many).map(|p| p.1);
        let (many, few) = (of(true), of(false));
        if many.is_none() && few.is_none() {
            continue;
        }
        let shape = g.shape(arg);
        if !(n..n + scan.xs).contains(&k) {
            let both: Vec<Var> = many.into_iter().chain(few).collect();
            out.push((k, both[1..].iter().fold(both[0], |sum, v| g.add(sum, *v))));
            continue;
        }
        let each = shape.count() / scan.len;
        let mut filled = |run: &Run, v: Option<Var>| {
            let flat = Shape::new(&[run.len * each]);
            match v {
                Some(v) if g.shape(v).count() == flat.count() => g.reshape(v, flat),
                Some(v) => g.fill_to(v, flat),
                None => g.filled(0.0, flat),
            }
        };
        let pieces = [filled(&runs[0], many), filled(&runs[1], few)];
        let pieces = if scan.reverse { [pieces[1], pieces[0]] } else { pieces };
        out.push((k, g.concat(&pieces, shape)));
    }
    out
}
