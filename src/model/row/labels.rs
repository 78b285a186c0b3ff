//! Which rows each element of each node depends on: tags carried forward through the graph.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::{Fold, Graph, Node, Op, Scan};
use crate::model::separable::{GLOBAL, SEVERAL};

/// A tag for each element of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// The same for all.
    All(u32),
    /// One each; nodes with the same tags share them.
    Each(Arc<[u32]>),
}

impl Tags {
    /// The same tag for every element.
    pub fn all(tag: u32) -> Tags {
        Tags::All(tag)
    }

    /// One tag each.
    pub fn new(tags: Vec<u32>) -> Tags {
        match tags.first() {
            Some(&t) if tags.iter().all(|u| *u == t) => Tags::All(t),
            None => Tags::All(GLOBAL),
            _ => Tags::Each(tags.into()),
        }
    }

    /// Whether both are known to be the same without a look at each.
    fn shared(&self, other: &Tags) -> bool {
        match (self, other) {
            (Tags::All(a), Tags::All(b)) => a == b,
            (Tags::Each(a), Tags::Each(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Tag of an element.
    pub fn at(&self, j: usize) -> u32 {
        match self {
            Tags::All(t) => *t,
            Tags::Each(v) => v[j],
        }
    }
}

/// What touches what both touch.
pub fn join(a: u32, b: u32) -> u32 {
    match (a, b) {
        (GLOBAL, t) | (t, GLOBAL) => t,
        (a, b) if a == b => a,
        _ => SEVERAL,
    }
}

/// Joins the tags of `items`.
pub(super) fn joined(items: impl Iterator<Item = u32>) -> u32 {
    items.fold(GLOBAL, join)
}

/// Tags of every node, given those of the inputs.
pub fn forward(g: &Graph, inputs: &[Tags]) -> Vec<Tags> {
    let mut out: Vec<Tags> = Vec::with_capacity(g.nodes().len());
    let mut loops: HashMap<usize, Vec<Tags>> = HashMap::new();
    for (i, node) in g.nodes().iter().enumerate() {
        let args: Vec<&Tags> = node.args.iter().map(|a| &out[a.index()]).collect();
        let tags = match &node.op {
            Op::Input(k) => inputs[*k as usize].clone(),
            Op::Proj(k) => loops[&node.args[0].index()][*k as usize].clone(),
            Op::Scan(s) => {
                let all = through_loop(s, &args);
                loops.insert(i, all);
                Tags::All(GLOBAL)
            }
            _ => through(g, node, &args),
        };
        out.push(tags);
    }
    out
}

fn through(g: &Graph, node: &Node, args: &[&Tags]) -> Tags {
    if args.iter().all(|a| **a == Tags::All(GLOBAL)) {
        return Tags::All(GLOBAL);
    }
    let n = node.shape.count();
    let counts: Vec<usize> = node.args.iter().map(|a| g.shape(*a).count()).collect();
    let a = args[0];
    let each = |f: &mut dyn FnMut(usize) -> u32| Tags::new((0..n).map(f).collect());
    match &node.op {
        Op::Unary(_) | Op::Reshape | Op::StopGradient => a.clone(),
        Op::Binary(_) | Op::Ternary(_) | Op::ScaleGrad => {
            let touched = || (0..args.len()).filter(|k| *args[*k] != Tags::All(GLOBAL));
            let one = touched().next().filter(|k| counts[*k] == n && touched().all(|l| args[l].shared(args[*k])));
            if let Some(k) = one {
                return args[k].clone();
            }
            let at = |k: usize, j: usize| args[k].at(if counts[k] == 1 { 0 } else { j });
            each(&mut |j| joined((0..args.len()).map(|k| at(k, j))))
        }
        Op::Gather(index) => each(&mut |j| a.at(index.at(j))),
        Op::ScatterAdd(index) => {
            let mut out = vec![GLOBAL; n];
            for j in 0..index.len() {
                out[index.at(j)] = join(out[index.at(j)], a.at(j));
            }
            Tags::new(out)
        }
        Op::Concat => Tags::new(args.iter().zip(&counts).flat_map(|(a, c)| (0..*c).map(|j| a.at(j))).collect()),
        Op::Fold { fold: Fold::Sum | Fold::Max | Fold::LogSumExp, n: m, inner, .. } => {
            each(&mut |j| joined((0..*m).map(|k| a.at(folded(j, k, *m, *inner)))))
        }
        Op::CumSum { reverse } => {
            let width = node.shape.dims().last().copied().unwrap_or(1).max(1);
            each(&mut |j| joined(running(j, width, *reverse).map(|k| a.at(k))))
        }
        Op::MatMul { ta, tb } => {
            let p = Product::new(g, node, *ta, *tb);
            let rows: Vec<u32> =
                (0..p.batch * p.m).map(|i| joined((0..p.k).map(|l| a.at(p.left(i / p.m, i % p.m, l))))).collect();
            let columns: Vec<u32> = (0..p.batch * p.n)
                .map(|j| joined((0..p.k).map(|l| args[1].at(p.right(j / p.n, l, j % p.n)))))
                .collect();
            each(&mut |o| join(rows[o / p.n], columns[o / (p.m * p.n) * p.n + o % p.n]))
        }
        Op::Cholesky | Op::LogAbsDet => {
            let block = square(g, node);
            let per = (n * block / counts[0].max(1)).max(1);
            each(&mut |j| joined((0..block).map(|k| a.at(j / per * block + k))))
        }
        Op::TriSolve { .. } | Op::Solve { .. } => {
            let block = square(g, node);
            let (size, m) = last_two(node);
            let matrices: Vec<u32> =
                (0..counts[0] / block.max(1)).map(|b| joined((0..block).map(|k| a.at(b * block + k)))).collect();
            each(&mut |j| {
                let b = j / (size * m);
                join(matrices[b], joined((0..size).map(|i| args[1].at((b * size + i) * m + j % m))))
            })
        }
        Op::Input(_) | Op::Const(_) | Op::Scan(_) | Op::Proj(_) => Tags::All(GLOBAL),
    }
}

/// Tags of all outputs of a loop, step by step.
fn through_loop(s: &Scan, args: &[&Tags]) -> Vec<Tags> {
    let carries = s.next.len();
    let body = &s.body;
    if args.iter().all(|a| **a == Tags::All(GLOBAL)) {
        return vec![Tags::All(GLOBAL); 2 * carries + s.ys.len()];
    }
    let mut carry: Vec<Tags> = args[..carries].iter().map(|t| (*t).clone()).collect();
    let mut stacks: Vec<Vec<Tags>> = vec![vec![Tags::All(GLOBAL); s.len]; carries + s.ys.len()];
    for step in 0..s.len {
        let t = if s.reverse { s.len - 1 - step } else { step };
        for (c, tags) in carry.iter().enumerate() {
            stacks[c][t] = tags.clone();
        }
        let mut inputs = carry.clone();
        for (k, x) in args[carries..].iter().enumerate() {
            let width = body.shape(body.inputs()[carries + k].var).count();
            let slice = |j: usize| x.at(if k < s.xs { t * width + j } else { j });
            inputs.push(match x {
                Tags::All(t) => Tags::All(*t),
                Tags::Each(_) => Tags::new((0..width).map(slice).collect()),
            });
        }
        let tags = forward(body, &inputs);
        carry = s.next.iter().map(|v| tags[v.index()].clone()).collect();
        for (k, y) in s.ys.iter().enumerate() {
            stacks[carries + k][t] = tags[y.index()].clone();
        }
    }
    let widths = s.next.iter().chain(&s.ys).map(|v| body.shape(*v).count());
    let stacked = stacks
        .iter()
        .zip(widths)
        .map(|(steps, w)| Tags::new(steps.iter().flat_map(|t| (0..w).map(move |j| t.at(j))).collect()));
    carry.into_iter().chain(stacked).collect()
}

/// Source of output `j` of a fold over `n` elements, `inner` behind them.
pub(super) fn folded(j: usize, k: usize, n: usize, inner: usize) -> usize {
    (j / inner * n + k) * inner + j % inner
}

/// What element `j` of a running sum along rows of `width` reads.
pub(super) fn running(j: usize, width: usize, reverse: bool) -> std::ops::RangeInclusive<usize> {
    let start = j / width * width;
    if reverse { j..=start + width - 1 } else { start..=j }
}

/// Elements of one matrix of the first argument.
pub(super) fn square(g: &Graph, node: &Node) -> usize {
    let d = g.shape(node.args[0]);
    d.dims().iter().rev().take(2).product()
}

/// Sizes of the last two axes of a node.
pub(super) fn last_two(node: &Node) -> (usize, usize) {
    let d = node.shape.dims();
    (d[d.len() - 2], d[d.len() - 1])
}

/// Sizes of a batch of matrix products, and where their elements are.
pub(super) struct Product {
    pub batch: usize,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    ta: bool,
    tb: bool,
}

impl Product {
    pub fn new(g: &Graph, node: &Node, ta: bool, tb: bool) -> Product {
        let (m, n) = last_two(node);
        let batch = node.shape.dims()[..node.shape.rank() - 2].iter().product();
        let a = g.shape(node.args[0]);
        let k = a.dims()[a.rank() - if ta { 2 } else { 1 }];
        Product { batch, m, k, n, ta, tb }
    }

    /// Place of element (i, l) of the left matrix `b`.
    pub fn left(&self, b: usize, i: usize, l: usize) -> usize {
        b * self.m * self.k + if self.ta { l * self.m + i } else { i * self.k + l }
    }

    /// Place of element (l, j) of the right matrix `b`.
    pub fn right(&self, b: usize, l: usize, j: usize) -> usize {
        b * self.k * self.n + if self.tb { j * self.k + l } else { l * self.n + j }
    }
}
