//! Sums of functions of one coordinate each: their expectations need no points where several coordinates move apart.

use crate::graph::{Binary, Fold, Graph, Index, Op, Ternary, Unary, Var};

/// What a number depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum On {
    Nothing,
    /// One coordinate.
    One(usize),
    /// Several, in a sum of functions of one each.
    Sum,
    /// Several.
    Several,
}

impl On {
    fn plus(self, other: On) -> On {
        match (self, other) {
            (On::Nothing, x) | (x, On::Nothing) => x,
            (On::Several, _) | (_, On::Several) => On::Several,
            (a, b) if a == b => a,
            _ => On::Sum,
        }
    }

    /// Any function of two numbers.
    fn with(self, other: On) -> On {
        match (self.through(), other.through()) {
            (On::Nothing, x) | (x, On::Nothing) => x,
            (a, b) if a == b => a,
            _ => On::Several,
        }
    }

    fn times(self, other: On) -> On {
        match (self, other) {
            (On::Nothing, x) | (x, On::Nothing) => x,
            (a, b) => a.with(b),
        }
    }

    /// Any function of one number.
    fn through(self) -> On {
        if self == On::Sum { On::Several } else { self }
    }
}

/// For every node whether all its elements are sums of functions of one element of `input` each. Where it cannot be seen, they are
/// not.
pub fn separable(g: &Graph, input: Var) -> Vec<bool> {
    let mut on: Vec<Vec<On>> = Vec::with_capacity(g.nodes().len());
    for (k, node) in g.nodes().iter().enumerate() {
        let n = node.shape.count();
        let args: Vec<&[On]> = node.args.iter().map(|a| &on[a.index()][..]).collect();
        let found = match &node.op {
            _ if k == input.index() => (0..n).map(On::One).collect(),
            _ if args.iter().all(|a| a.iter().all(|x| *x == On::Nothing)) => vec![On::Nothing; n],
            op => of(op, &args, n).unwrap_or_else(|| vec![On::Several; n]),
        };
        on.push(found);
    }
    on.iter().map(|x| !x.contains(&On::Several)).collect()
}

/// What the elements of a node depend on, by those of its arguments.
fn of(op: &Op, args: &[&[On]], n: usize) -> Option<Vec<On>> {
    let arg = |k: usize, j: usize| args[k][if args[k].len() == 1 { 0 } else { j }];
    let each = |f: &dyn Fn(usize) -> On| Some((0..n).map(f).collect());
    match op {
        Op::Reshape | Op::Unary(Unary::Neg) => each(&|j| arg(0, j)),
        Op::Unary(_) => each(&|j| arg(0, j).through()),
        Op::Gather(index) => each(&|j| args[0][index.at(j)]),
        Op::ScatterAdd(index) => Some(scattered(index, args[0], n)),
        Op::Concat => Some(args.concat()),
        Op::Binary(Binary::Add | Binary::Sub) => each(&|j| arg(0, j).plus(arg(1, j))),
        Op::Binary(Binary::Mul | Binary::MulZero) => each(&|j| arg(0, j).times(arg(1, j))),
        Op::Binary(Binary::Div) => each(&|j| match arg(1, j) {
            On::Nothing => arg(0, j),
            below => arg(0, j).with(below),
        }),
        Op::Ternary(Ternary::Fma) => each(&|j| arg(0, j).times(arg(1, j)).plus(arg(2, j))),
        Op::Fold { fold: Fold::Sum, n: middle, inner, .. } => {
            let term = |j: usize, i: usize| args[0][(j / inner * middle + i) * inner + j % inner];
            each(&|j| (0..*middle).fold(On::Nothing, |sum, i| sum.plus(term(j, i))))
        }
        _ => None,
    }
}

fn scattered(index: &Index, from: &[On], n: usize) -> Vec<On> {
    let mut to = vec![On::Nothing; n];
    for (j, x) in from.iter().enumerate() {
        to[index.at(j)] = to[index.at(j)].plus(*x);
    }
    to
}

#[cfg(test)]
mod tests {
    use super::separable;
    use crate::graph::{Fold, Graph, Index, Shape, Spread, Unary, Var};

    #[test]
    fn sums_of_functions_of_one_coordinate_are_found() {
        let mut g = Graph::new();
        let x = g.input("x", Shape::new(&[3]), Spread::Shared);
        let w = g.input("w", Shape::new(&[3]), Spread::Shared);
        let off = g.sub(x, w);
        let square = g.square(off);
        let normal = g.sum(square);
        let scaled = g.div(normal, w);
        let bent = g.unary(Unary::Exp, x);
        let curve = g.mul(bent, square);
        let curves = g.fold(Fold::Sum, curve, 0);
        let turned = g.gather(x, Index::from_table(vec![1, 2, 0]), Shape::new(&[3]));
        let crossed = g.mul(x, turned);
        let function = g.unary(Unary::Exp, normal);
        let product = g.mul(normal, x);
        let below = g.div(w, normal);
        let weights = g.input("weights", Shape::new(&[2, 3]), Spread::Shared);
        let lines = g.matvec(weights, x, false);
        let found = separable(&g, x);
        let at = |v: Var| found[v.index()];
        assert!([off, square, normal, scaled, bent, curve, curves].into_iter().all(at));
        assert!(![crossed, function, product, below, lines].into_iter().any(at));
    }
}
