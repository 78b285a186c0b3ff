//! Empty arrays, loops of no and of one step, interior points of differentiation, origins.

use super::evaluate;
use crate::graph::hoist::hoist;
use crate::graph::jvp::jvp;
use crate::graph::op::{Fold, Op};
use crate::graph::prune::prune;
use crate::graph::reverse::{grad, gradient};
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var};

#[test]
fn empty_arrays_have_empty_gradients() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(&[0]), Spread::Particle);
    let s = g.input("s", Shape::SCALAR, Spread::Particle);
    let y = g.exp(x);
    let y = g.mul(s, y);
    let b = g.broadcast(s, Shape::new(&[0]));
    let y = g.add(y, b);
    let y = g.fold_all(Fold::Sum, y);
    let m = g.fold_all(Fold::LogSumExp, x);
    let d = grad(&mut g, &[y, m], &[s, s], &[x, s]);
    let v = evaluate(&g, &[&[], &[2.0]], &[d[0], d[1], y]);
    assert_eq!(v, [vec![], vec![0.0], vec![0.0]]);
}

/// `c' = c x + k`, with a per-step output.
fn looped(len: usize) -> (Graph, Vec<Var>, Vec<Var>) {
    let mut body = Graph::new();
    let i: Vec<Var> = (0..3).map(|_| body.input("i", Shape::SCALAR, Spread::Particle)).collect();
    let p = body.mul(i[0], i[1]);
    let next = body.add(p, i[2]);
    let y = body.square(i[0]);
    let scan = Scan { body, len, xs: 1, next: vec![next], ys: vec![y], reverse: false };
    let mut g = Graph::new();
    let c = g.input("c", Shape::SCALAR, Spread::Particle);
    let x = g.input("x", Shape::new(&[len]), Spread::Particle);
    let k = g.input("k", Shape::SCALAR, Spread::Particle);
    let at = g.scan(scan, &[c], &[x], &[k]);
    let (last, ys) = (g.proj(at, 0), g.proj(at, 2));
    let total = g.fold_all(Fold::Sum, ys);
    let y = g.add(last, total);
    let mut outputs = gradient(&mut g, y, &[c, x, k]);
    let one = g.scalar(1.0);
    outputs.extend(jvp(&mut g, &[y, outputs[0]], &[c, k], &[one, one]));
    outputs.push(y);
    (g, vec![c, x, k], outputs)
}

#[test]
fn loops_of_no_and_one_step() {
    for (len, expected) in [
        (0, [vec![1.0], vec![], vec![0.0], vec![1.0], vec![0.0], vec![3.0]]),
        (1, [vec![11.0], vec![3.0], vec![1.0], vec![12.0], vec![2.0], vec![25.0]]),
    ] {
        let (g, _, outputs) = looped(len);
        let x = vec![5.0; len];
        let inputs: [&[f64]; 3] = [&[3.0], &x, &[1.0]];
        assert_eq!(evaluate(&g, &inputs, &outputs), expected);
        let (split, kept) = hoist(&g, &outputs);
        assert_eq!(evaluate(&split, &inputs, &kept), expected);
    }
}

#[test]
fn derivatives_in_interior_nodes_flow_on() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::SCALAR, Spread::Particle);
    let y = g.square(x);
    let z = g.exp(y);
    let d = gradient(&mut g, z, &[y, x, z]);
    let (one, two) = (g.scalar(1.0), g.scalar(2.0));
    let t = jvp(&mut g, &[z], &[x, y], &[one, two])[0];
    let v = evaluate(&g, &[&[0.5]], &[d[0], d[1], d[2], t]);
    let e = 0.25f64.exp();
    assert_eq!(v, [[e], [e], [1.0], [3.0 * e]]);
}

#[test]
fn derived_nodes_keep_the_origin_of_their_node() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::SCALAR, Spread::Particle);
    g.set_origin(7);
    let y = g.log(x);
    g.set_origin(8);
    let z = g.square(y);
    g.set_origin(0);
    let d = gradient(&mut g, z, &[x]);
    let (p, _) = prune(&g, &d);
    let origin = |g: &Graph, op: &str| {
        let named = |n: &&crate::graph::Node| format!("{:?}", n.op).contains(op);
        g.nodes().iter().find(named).map(|n| n.origin)
    };
    assert_eq!((origin(&p, "Recip"), origin(&p, "Log")), (Some(7), Some(7)));
    assert_eq!(g.origin(), 0);
}

#[test]
fn pruning_drops_carries_and_outputs_that_nobody_reads() {
    let (g, _, outputs) = looped(4);
    let (p, _) = prune(&g, &outputs[5..]);
    let scan = p.nodes().iter().find_map(|n| match &n.op {
        Op::Scan(s) => Some(s.clone()),
        _ => None,
    });
    assert_eq!(scan.map(|s| (s.next.len(), s.ys.len())), Some((1, 1)));

    let mut body = Graph::new();
    let a = body.input("a", Shape::SCALAR, Spread::Particle);
    let b = body.input("b", Shape::SCALAR, Spread::Particle);
    let (x, k) = (body.scale(2.0, a), body.exp(b));
    let ys = vec![body.square(b), body.square(a)];
    let scan = Scan { body, len: 2, xs: 0, next: vec![x, k], ys, reverse: false };
    let mut g = Graph::new();
    let a = g.input("a", Shape::SCALAR, Spread::Particle);
    let b = g.input("b", Shape::SCALAR, Spread::Particle);
    let at = g.scan(scan, &[a, b], &[], &[]);
    let y = g.proj(at, 5);
    let (p, kept) = prune(&g, &[y]);
    assert_eq!(p.inputs().len(), 2);
    let Op::Scan(s) = &p.nodes()[2].op else { panic!("{p}") };
    assert_eq!((s.next.len(), s.ys.len(), s.body.nodes().len()), (1, 1, 4));
    assert_eq!(evaluate(&p, &[&[3.0], &[0.0]], &kept), [[9.0, 36.0]]);
}

#[test]
fn what_was_scattered_is_read_where_it_came_from() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(&[5]), Spread::Particle);
    // Place 1 has two numbers, place 3 none.
    let all = g.scatter_add(x, Index::from_table(vec![4, 1, 0, 1, 2]), Shape::new(&[5]));
    let of_one = g.gather(all, Index::from_table(vec![2, 0, 4, 0]), Shape::new(&[4]));
    let of_two = g.gather(all, Index::from_table(vec![2, 1]), Shape::new(&[2]));
    let of_none = g.gather(all, Index::from_table(vec![0, 3]), Shape::new(&[2]));
    assert!(g.node(of_one).args == [x] && g.node(of_two).args == [all] && g.node(of_none).args == [all]);
    let v = evaluate(&g, &[&[1.0, 2.0, 3.0, 4.0, 5.0]], &[of_one, of_two, of_none]);
    assert_eq!(v, [vec![5.0, 3.0, 1.0, 3.0], vec![5.0, 6.0], vec![3.0, 0.0]]);
}
