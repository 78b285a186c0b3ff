//! Graphs that break a rule, and what `check` says of them; the form of listings.

use crate::graph::check::{CheckError, check};
use crate::graph::op::{Binary, Fold, Op, Unary};
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var};

/// A graph with an input of 4 elements and one more node.
fn with(op: Op, args: Vec<Var>, shape: &[usize]) -> CheckError {
    let mut g = Graph::new();
    g.input("x", Shape::new(&[4]), Spread::Particle);
    g.input("m", Shape::new(&[2, 2]), Spread::Particle);
    g.push(op, args, Shape::new(shape));
    check(&g).expect_err("a broken rule")
}

#[test]
fn broken_rules_are_found() {
    let (x, m) = (Var(0), Var(1));
    let shape = |e| matches!(e, CheckError::Shape { node: 2, .. });
    assert!(shape(with(Op::Unary(Unary::Exp), vec![x], &[5])));
    assert!(shape(with(Op::Binary(Binary::Add), vec![x, m], &[4])));
    assert!(shape(with(Op::Reshape, vec![x], &[5])));
    assert!(shape(with(Op::Concat, vec![x, m], &[9])));
    assert!(shape(with(Op::Cholesky, vec![x], &[4])));
    assert!(shape(with(Op::LogAbsDet, vec![m], &[2])));
    let matmul = Op::MatMul { ta: false, tb: false };
    assert!(shape(with(matmul, vec![m, x], &[2])));
    let fold = Op::Fold { fold: Fold::Sum, outer: 1, n: 3, inner: 1 };
    assert!(shape(with(fold, vec![x], &[])));
    assert!(shape(with(Op::Proj(0), vec![x], &[4])));
    let arity = with(Op::Binary(Binary::Add), vec![x], &[4]);
    assert!(matches!(arity, CheckError::Arity { expected: 2, found: 1, .. }));
}

#[test]
fn indices_stay_inside() {
    let index = Index::Stride { start: 1, stride: -1, len: 3 };
    let e = with(Op::Gather(index), vec![Var(0)], &[3]);
    assert!(matches!(e, CheckError::Bounds { position: 2, .. }), "{e}");
    let index = Index::Table([0, 1, 9, 2].into());
    let e = with(Op::ScatterAdd(index), vec![Var(0)], &[5]);
    assert!(matches!(e, CheckError::Bounds { target: 9, count: 5, .. }), "{e}");
}

#[test]
fn order_and_spread_are_checked() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::SCALAR, Spread::Particle);
    let y = g.exp(x);
    g.nodes[y.index()].spread = Spread::Shared;
    assert!(matches!(check(&g), Err(CheckError::Spread { node: 1, .. })));
    g.nodes[y.index()].args = vec![y];
    assert!(matches!(check(&g), Err(CheckError::Order { node: 1, arg: 1, .. })));
}

/// A loop over `x` with the given shapes of carry and slice in its body.
fn looped(carry: &[usize], slice: &[usize], spread: Spread) -> Result<(), CheckError> {
    let mut body = Graph::new();
    let c = body.input("c", Shape::new(carry), spread);
    let x = body.input("x", Shape::new(slice), Spread::Particle);
    let s = body.sum(x);
    let next = body.add(c, s);
    let scan = Scan { body, len: 3, xs: 1, next: vec![next], ys: vec![], reverse: false };
    let mut g = Graph::new();
    let c = g.input("c", Shape::SCALAR, Spread::Shared);
    let x = g.input("x", Shape::new(&[3, 2]), Spread::Particle);
    g.scan(scan, &[c], &[x], &[]);
    check(&g)
}

#[test]
fn loops_are_checked() {
    assert_eq!(looped(&[], &[2], Spread::Particle), Ok(()));
    assert!(looped(&[2], &[2], Spread::Particle).is_err());
    assert!(looped(&[], &[3], Spread::Particle).is_err());
    assert!(looped(&[], &[2], Spread::Shared).is_err());
}

#[test]
fn listings_show_bodies() {
    let mut body = Graph::new();
    let c = body.input("c", Shape::SCALAR, Spread::Particle);
    let next = body.scale(2.0, c);
    let scan = Scan { body, len: 3, xs: 0, next: vec![next], ys: vec![], reverse: true };
    let mut g = Graph::new();
    let c = g.input("start", Shape::SCALAR, Spread::Particle);
    let at = g.scan(scan, &[c], &[], &[]);
    g.proj(at, 1);
    let expected = "\
%0 = input \"start\" : [] particle
%1 = scan[3 steps, backwards] (%0) : [] particle
    %0 = input \"c\" : [] particle
    %1 = 2.0 : [] shared
    %2 = mul (%1, %0) : [] particle
    1 carries, 0 slices; next (%2); outputs ()
%2 = output 1 of (%1) : [3] particle
";
    assert_eq!(g.to_string(), expected);
}
