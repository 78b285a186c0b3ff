//! The computation of one row as a list of instructions on flat arrays: equal for rows of equal structure.

use crate::graph::{Binary, Fold, Graph, Index, Scan, Shape, Spread, Ternary, Unary, Var};

/// One step; numbers name the results of earlier ones, all flat arrays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Instr {
    /// The next `n` numbers of the row's data.
    Data(usize),
    /// The next `n` values that rows share.
    Shared(usize),
    /// The next `n` coordinates of the row.
    Coordinates(usize),
    /// Input of a loop's body.
    Input(usize),
    Take(usize, Index),
    Join(Vec<usize>),
    Unary(Unary, usize),
    Binary(Binary, [usize; 2]),
    Ternary(Ternary, [usize; 3]),
    /// Over the last axis of `[outer, n]`.
    Fold(Fold, usize, [usize; 2]),
    /// Into an array of the given size.
    Scatter(usize, Index, usize),
    /// `[m, k] x [k, n]`; the second lies transposed where the flag says so.
    MatMul([usize; 2], [usize; 3], bool),
    /// `[batch, n, n]`
    Cholesky(usize, [usize; 2]),
    LogAbsDet(usize, [usize; 2]),
    /// `[batch, n, n]` against `[batch, n, m]`; triangular, transposed.
    Solve([usize; 2], [usize; 3], [bool; 2]),
    Stop(usize),
    ScaleGrad([usize; 2]),
    Scan(Box<Loop>),
    /// Output of a loop, flat.
    Proj(usize, usize),
}

/// A loop on flat arrays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Loop {
    pub len: usize,
    pub reverse: bool,
    /// Initial carries, `xs`, values read by all steps.
    pub args: Vec<usize>,
    /// Sizes of the body's inputs.
    pub sizes: Vec<usize>,
    pub xs: usize,
    pub body: Vec<Instr>,
    pub next: Vec<usize>,
    pub ys: Vec<usize>,
}

fn flat(n: usize) -> Shape {
    Shape::new(&[n])
}

/// Where a recipe's leaves come from.
pub(super) trait Leaves {
    /// A leaf: `Data`, `Shared`, `Coordinates` or `Input`; `at` is its place in the recipe.
    fn leaf(&mut self, g: &mut Graph, at: usize, i: &Instr) -> Var;
}

/// The inputs of a body.
struct Inputs(Vec<Var>);

impl Leaves for Inputs {
    fn leaf(&mut self, _: &mut Graph, _: usize, i: &Instr) -> Var {
        match i {
            Instr::Input(k) => self.0[*k],
            _ => unreachable!("a body reads its inputs only"),
        }
    }
}

/// Writes a recipe into a graph; returns the node of every instruction.
pub(super) fn write(g: &mut Graph, recipe: &[Instr], leaves: &mut impl Leaves) -> Vec<Var> {
    let mut at: Vec<Var> = Vec::with_capacity(recipe.len());
    for (k, i) in recipe.iter().enumerate() {
        let v = match i {
            Instr::Data(_) | Instr::Shared(_) | Instr::Coordinates(_) | Instr::Input(_) => leaves.leaf(g, k, i),
            Instr::Take(a, index) => g.gather(at[*a], index.clone(), flat(index.len())),
            Instr::Join(parts) => {
                let parts: Vec<Var> = parts.iter().map(|p| at[*p]).collect();
                let n = parts.iter().map(|p| g.shape(*p).count()).sum();
                g.concat(&parts, flat(n))
            }
            Instr::Unary(u, a) => g.unary(*u, at[*a]),
            Instr::Binary(b, args) => {
                let a = aligned(g, &args.map(|a| at[a]));
                g.binary(*b, a[0], a[1])
            }
            Instr::Ternary(t, args) => {
                let a = aligned(g, &args.map(|a| at[a]));
                g.ternary(*t, a[0], a[1], a[2])
            }
            Instr::ScaleGrad(args) => {
                let a = aligned(g, &args.map(|a| at[a]));
                g.scale_grad(a[0], a[1])
            }
            Instr::Stop(a) => g.stop_gradient(at[*a]),
            Instr::Fold(f, a, [outer, n]) => g.fold_counts(*f, at[*a], (*outer, *n, 1), flat(*outer)),
            Instr::Scatter(a, index, n) => g.scatter_add(at[*a], index.clone(), flat(*n)),
            Instr::MatMul([a, b], [m, k, n], transposed) => {
                let x = g.reshape(at[*a], Shape::new(&[*m, *k]));
                let y = g.reshape(at[*b], Shape::new(&if *transposed { [*n, *k] } else { [*k, *n] }));
                g.matmul(x, y, false, *transposed)
            }
            Instr::Cholesky(a, [b, n]) => {
                let x = g.reshape(at[*a], Shape::new(&[*b, *n, *n]));
                g.cholesky(x)
            }
            Instr::LogAbsDet(a, [b, n]) => {
                let x = g.reshape(at[*a], Shape::new(&[*b, *n, *n]));
                g.log_abs_det(x)
            }
            Instr::Solve([a, b], [batch, n, m], [triangular, transposed]) => {
                let x = g.reshape(at[*a], Shape::new(&[*batch, *n, *n]));
                let y = g.reshape(at[*b], Shape::new(&[*batch, *n, *m]));
                if *triangular { g.tri_solve(x, y, *transposed) } else { g.solve(x, y, *transposed) }
            }
            Instr::Scan(l) => {
                let v = write_loop(g, l, &at);
                at.push(v);
                continue;
            }
            Instr::Proj(s, k) => g.proj(at[*s], *k),
        };
        let n = g.shape(v).count();
        let v = g.reshape(v, flat(n));
        at.push(v);
    }
    at
}

/// Arguments of an elementwise operation: one number beside arrays is a scalar.
fn aligned(g: &mut Graph, args: &[Var]) -> Vec<Var> {
    let widest = args.iter().map(|a| g.shape(*a).count()).max().unwrap_or(1);
    let one = |g: &mut Graph, a: Var| {
        if g.shape(a).count() == 1 && widest > 1 { g.reshape(a, Shape::SCALAR) } else { a }
    };
    args.iter().map(|a| one(g, *a)).collect()
}

fn write_loop(g: &mut Graph, l: &Loop, at: &[Var]) -> Var {
    let mut body = Graph::new();
    let inputs = l.sizes.iter().enumerate().map(|(k, n)| body.input(&format!("in{k}"), flat(*n), Spread::Particle));
    let mut inputs = Inputs(inputs.collect());
    let made = write(&mut body, &l.body, &mut inputs);
    let next: Vec<Var> = l.next.iter().map(|k| made[*k]).collect();
    let ys = l.ys.iter().map(|k| made[*k]).collect();
    let carries = next.len();
    let scan = Scan { body, len: l.len, xs: l.xs, next, ys, reverse: l.reverse };
    let mut args: Vec<Var> = l.args.iter().map(|a| at[*a]).collect();
    for (a, n) in args[carries..carries + l.xs].iter_mut().zip(&l.sizes[carries..]) {
        *a = g.reshape(*a, Shape::new(&[l.len, *n]));
    }
    let (init, rest) = args.split_at(carries);
    let (xs, each) = rest.split_at(l.xs);
    g.scan(scan, init, xs, each)
}
