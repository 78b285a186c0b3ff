//! Degree of nodes as polynomials in an input: what expectations under a normal law have in closed form.

use crate::graph::{Binary, Fold, Graph, Op, Ternary, Unary, Var};

/// For every node its degree as a polynomial in `input` where that is at most `most`; none where it is higher or the node is
/// no polynomial. An upper bound: x - x counts as degree 1.
pub fn degrees(g: &Graph, input: Var, most: u32) -> Vec<Option<u32>> {
    let mut out: Vec<Option<u32>> = Vec::with_capacity(g.nodes().len());
    for (k, node) in g.nodes().iter().enumerate() {
        let args: Vec<Option<u32>> = node.args.iter().map(|a| out[a.index()]).collect();
        let widest = args.iter().copied().try_fold(0, |a, b| Some(a.max(b?)));
        let fixed = args.iter().all(|a| *a == Some(0));
        let degree = match &node.op {
            _ if k == input.index() => Some(1),
            _ if fixed => Some(0),
            Op::Unary(Unary::Neg) | Op::Reshape | Op::Gather(_) | Op::ScatterAdd(_) | Op::Concat => widest,
            Op::CumSum { .. } | Op::Fold { fold: Fold::Sum, .. } => widest,
            Op::Unary(Unary::Square) => args[0].map(|d| 2 * d),
            Op::Binary(Binary::Add | Binary::Sub) => widest,
            Op::Binary(Binary::Mul | Binary::MulZero) | Op::MatMul { .. } => add(args[0], args[1]),
            Op::Binary(Binary::Div) if args[1] == Some(0) => args[0],
            Op::Ternary(Ternary::Fma) => add(args[0], args[1]).and_then(|p| Some(p.max(args[2]?))),
            Op::Ternary(Ternary::Select) if args[0] == Some(0) => widest,
            Op::TriSolve { .. } | Op::Solve { .. } if args[0] == Some(0) => args[1],
            _ => None,
        };
        out.push(degree.filter(|d| *d <= most));
    }
    out
}

fn add(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    Some(a? + b?)
}

#[cfg(test)]
mod tests {
    use super::degrees;
    use crate::graph::{Graph, Shape, Spread, Unary};

    #[test]
    fn degrees_are_those_of_polynomials() {
        let mut g = Graph::new();
        let x = g.input("x", Shape::new(&[2]), Spread::Shared);
        let w = g.input("w", Shape::new(&[3, 2]), Spread::Shared);
        let y = g.matvec(w, x, false);
        let q = g.square(y);
        let s = g.sum(q);
        let cube = g.mul(q, y);
        let e = g.unary(Unary::Exp, x);
        let known = g.unary(Unary::Exp, w);
        let d = degrees(&g, x, 2);
        let at = |v: crate::graph::Var| d[v.index()];
        assert_eq!([at(x), at(w), at(y), at(q), at(s)], [Some(1), Some(0), Some(1), Some(2), Some(2)]);
        assert_eq!([at(cube), at(e), at(known)], [None, None, Some(0)]);
    }
}
