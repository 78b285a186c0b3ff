//! For some elements of a node: which elements of its arguments they need, in which order, and what to do with them.

use super::labels::{Product, folded, last_two, running, square};
use super::recipe::Instr;
use crate::graph::{Binary, Fold, Graph, Index, Node, Op, Var};

/// Elements of a node, in the order in which they are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reads {
    /// All of them in their order; a large matrix that every row reads costs a row nothing.
    All,
    These(Vec<u32>),
}

/// How wanted elements follow from those that were read.
pub(super) struct Layout {
    /// Node and its elements, for each argument of `make`.
    pub reads: Vec<(Var, Reads)>,
    pub make: Make,
    /// Places of the wanted elements in the result, where it has others or another order.
    pub pick: Option<Vec<u32>>,
}

type Write = Box<dyn Fn(&[usize]) -> Instr>;

/// What to do with the arguments.
pub(super) enum Make {
    /// One argument: itself. Several: one after another.
    Join,
    Instr(Write),
    /// Sums of products over rows of this length.
    Dots(usize),
}

fn one(reads: Vec<(Var, Vec<u32>)>, make: impl Fn(&[usize]) -> Instr + 'static) -> Layout {
    Layout { reads: these(reads), make: Make::Instr(Box::new(make)), pick: None }
}

fn these(reads: Vec<(Var, Vec<u32>)>) -> Vec<(Var, Reads)> {
    reads.into_iter().map(|(v, list)| (v, Reads::These(list))).collect()
}

/// The layout of elements `own`, ascending, of a node that is neither a leaf nor a loop.
pub(super) fn layout(g: &Graph, node: &Node, own: &[u32]) -> Layout {
    let args = &node.args;
    let same = || -> Vec<(Var, Vec<u32>)> {
        args.iter().map(|a| (*a, if g.shape(*a).count() == 1 { vec![0] } else { own.to_vec() })).collect()
    };
    match &node.op {
        Op::Unary(u) => {
            let u = *u;
            one(same(), move |a| Instr::Unary(u, a[0]))
        }
        Op::Binary(b) => {
            let b = *b;
            one(same(), move |a| Instr::Binary(b, [a[0], a[1]]))
        }
        Op::Ternary(t) => {
            let t = *t;
            one(same(), move |a| Instr::Ternary(t, [a[0], a[1], a[2]]))
        }
        Op::StopGradient => one(same(), |a| Instr::Stop(a[0])),
        Op::ScaleGrad => one(same(), |a| Instr::ScaleGrad([a[0], a[1]])),
        Op::Reshape => joined(vec![(args[0], own.to_vec())]),
        Op::Gather(index) => joined(vec![(args[0], own.iter().map(|j| index.at(*j as usize) as u32).collect())]),
        Op::Concat => joined(parts(g, args, own)),
        Op::Fold { fold, n, inner, .. } => {
            let (fold, m, n, inner) = (*fold, own.len(), *n, *inner);
            let read = own.iter().flat_map(|j| (0..n).map(move |k| folded(*j as usize, k, n, inner) as u32));
            one(vec![(args[0], read.collect())], move |a| Instr::Fold(fold, a[0], [m, n]))
        }
        Op::ScatterAdd(index) => {
            let hits = (0..index.len()).filter_map(|j| {
                let to = own.binary_search(&(index.at(j) as u32)).ok()?;
                Some((j as u32, to as u32))
            });
            scattered(args[0], hits.collect(), own.len())
        }
        Op::CumSum { reverse } => {
            let width = node.shape.dims().last().copied().unwrap_or(1).max(1);
            let hits = own
                .iter()
                .enumerate()
                .flat_map(|(to, j)| running(*j as usize, width, *reverse).map(move |k| (k as u32, to as u32)));
            scattered(args[0], hits.collect(), own.len())
        }
        Op::MatMul { ta, tb } => product(g, node, *ta, *tb, own),
        Op::Cholesky => {
            let (n, _) = last_two(node);
            let batches = distinct(own.iter().map(|j| *j as usize / (n * n)));
            let read = batches.iter().flat_map(|b| lower(*b, n)).collect();
            let nb = batches.len();
            let pick = own.iter().map(|j| place(&batches, *j as usize / (n * n), n * n) + *j % (n * n) as u32);
            Layout { pick: Some(pick.collect()), ..one(vec![(args[0], read)], move |a| Instr::Cholesky(a[0], [nb, n])) }
        }
        Op::LogAbsDet => {
            let (block, nb) = (square(g, node), own.len());
            let n = *g.shape(args[0]).dims().last().unwrap_or(&1);
            let read = own.iter().flat_map(|b| (0..block).map(move |k| *b * block as u32 + k as u32));
            one(vec![(args[0], read.collect())], move |a| Instr::LogAbsDet(a[0], [nb, n]))
        }
        Op::TriSolve { transposed } => solution(node, own, true, *transposed),
        Op::Solve { transposed } => solution(node, own, false, *transposed),
        Op::Input(_) | Op::Const(_) | Op::Scan(_) | Op::Proj(_) => unreachable!("leaves and loops are taken before"),
    }
}

fn joined(reads: Vec<(Var, Vec<u32>)>) -> Layout {
    Layout { reads: these(reads), make: Make::Join, pick: None }
}

/// Elements of a concatenation, part by part.
fn parts(g: &Graph, args: &[Var], own: &[u32]) -> Vec<(Var, Vec<u32>)> {
    let (mut start, mut out) = (0u32, vec![]);
    for &a in args {
        let end = start + g.shape(a).count() as u32;
        let inside: Vec<u32> = own.iter().filter(|j| (start..end).contains(j)).map(|j| j - start).collect();
        if !inside.is_empty() {
            out.push((a, inside));
        }
        start = end;
    }
    out
}

/// Sums of elements: pairs of an element and the place it is added to.
fn scattered(arg: Var, hits: Vec<(u32, u32)>, n: usize) -> Layout {
    let index = Index::from_table(hits.iter().map(|h| h.1).collect());
    one(vec![(arg, hits.iter().map(|h| h.0).collect())], move |a| Instr::Scatter(a[0], index.clone(), n))
}

fn distinct(items: impl Iterator<Item = usize>) -> Vec<usize> {
    let set: std::collections::BTreeSet<usize> = items.collect();
    set.into_iter().collect()
}

/// Start of a block among the chosen ones.
fn place(chosen: &[usize], b: usize, block: usize) -> u32 {
    (chosen.partition_point(|c| *c < b) * block) as u32
}

/// Matrix `b` of size n, its lower triangle mirrored: the upper one is not read.
fn lower(b: usize, n: usize) -> impl Iterator<Item = u32> {
    (0..n * n).map(move |k| {
        let (i, j) = (k / n, k % n);
        (b * n * n + i.max(j) * n + i.min(j)) as u32
    })
}

/// A block of rows and columns of one product is a product; other elements are sums of products each.
fn product(g: &Graph, node: &Node, ta: bool, tb: bool, own: &[u32]) -> Layout {
    let p = Product::new(g, node, ta, tb);
    let at = |j: u32| (j as usize / (p.m * p.n), j as usize / p.n % p.m, j as usize % p.n);
    let batches = distinct(own.iter().map(|j| at(*j).0));
    let rows = distinct(own.iter().map(|j| at(*j).1));
    let columns = distinct(own.iter().map(|j| at(*j).2));
    let (a, b) = (node.args[0], node.args[1]);
    let k = p.k;
    if batches.len() == 1 && own.len() == rows.len() * columns.len() {
        let left = rows.iter().flat_map(|i| (0..k).map(|l| p.left(batches[0], *i, l) as u32).collect::<Vec<_>>());
        let size = [rows.len(), k, columns.len()];
        let whole = p.batch == 1 && columns.len() == p.n;
        let transposed = whole && tb;
        let right = || (0..k).flat_map(|l| columns.iter().map(move |j| (l, *j)));
        let right = || right().map(|(l, j)| p.right(batches[0], l, j) as u32).collect();
        let right = if whole { Reads::All } else { Reads::These(right()) };
        let make = move |v: &[usize]| Instr::MatMul([v[0], v[1]], size, transposed);
        let reads = vec![(a, Reads::These(left.collect())), (b, right)];
        return Layout { reads, make: Make::Instr(Box::new(make)), pick: None };
    }
    let each = |f: &dyn Fn((usize, usize, usize), usize) -> usize| -> Vec<u32> {
        own.iter().flat_map(|j| (0..k).map(|l| f(at(*j), l) as u32).collect::<Vec<_>>()).collect()
    };
    let left = each(&|(s, i, _), l| p.left(s, i, l));
    let right = each(&|(s, _, j), l| p.right(s, l, j));
    Layout { reads: these(vec![(a, left), (b, right)]), make: Make::Dots(k), pick: None }
}

/// Solutions of linear systems: each wanted column with its matrix.
fn solution(node: &Node, own: &[u32], triangular: bool, transposed: bool) -> Layout {
    let (n, m) = last_two(node);
    let column = |j: u32| j as usize / (n * m) * m + j as usize % m;
    let columns = distinct(own.iter().map(|j| column(*j)));
    let batches = distinct(columns.iter().map(|c| c / m));
    // One matrix with several columns, or a matrix for each column.
    let (matrices, width) =
        if batches.len() == 1 { (batches, columns.len()) } else { (columns.iter().map(|c| c / m).collect(), 1) };
    let nb = matrices.len();
    let full = |b: usize| (0..n * n).map(move |k| (b * n * n + k) as u32);
    let read = |b: &usize| -> Vec<u32> { if triangular { lower(*b, n).collect() } else { full(*b).collect() } };
    let left = matrices.iter().flat_map(read).collect();
    let right = (0..nb).flat_map(|s| {
        let columns = &columns[s * width..(s + 1) * width];
        (0..n).flat_map(move |i| columns.iter().map(move |c| ((c / m * n + i) * m + c % m) as u32))
    });
    let pick = own.iter().map(|j| {
        let (c, i) = (columns.partition_point(|c| *c < column(*j)), *j as usize / m % n);
        ((c / width * n + i) * width + c % width) as u32
    });
    let pick = Some(pick.collect());
    let reads = vec![(node.args[0], left), (node.args[1], right.collect())];
    let size = [nb, n, width];
    Layout { pick, ..one(reads, move |v| Instr::Solve([v[0], v[1]], size, [triangular, transposed])) }
}

impl Make {
    /// Appends the instructions; returns the place of the result.
    pub fn write(&self, args: &[usize], out: &mut Vec<Instr>, count: usize) -> usize {
        let mut push = |i: Instr| {
            out.push(i);
            out.len() - 1
        };
        match self {
            Make::Join if args.len() == 1 => args[0],
            Make::Join => push(Instr::Join(args.to_vec())),
            Make::Instr(f) => push(f(args)),
            Make::Dots(k) => {
                let p = push(Instr::Binary(Binary::Mul, [args[0], args[1]]));
                push(Instr::Fold(Fold::Sum, p, [count, *k]))
            }
        }
    }
}
