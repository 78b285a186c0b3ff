//! What is left of loops after their split, and the forms of operations on stacks.

use super::registry::{self, values};
use super::{distance, evaluate};
use crate::graph::hoist::hoist;
use crate::graph::op::{Binary, Fold, Op, Ternary, Unary};
use crate::graph::reverse::gradient;
use crate::graph::{Graph, Scan, Shape, Spread, Var};

fn loops(g: &Graph) -> Vec<&Scan> {
    g.nodes()
        .iter()
        .filter_map(|n| match &n.op {
            Op::Scan(s) => Some(&**s),
            _ => None,
        })
        .collect()
}

/// One pair of numbers for `len` steps: input `[len]` and a loop over it from a scalar carry.
fn scalar_loop(
    len: usize,
    carries: usize,
    step: impl Fn(&mut Graph, &[Var], Var) -> (Vec<Var>, Vec<Var>),
) -> (Graph, Vec<Var>, Var) {
    let mut body = Graph::new();
    let c: Vec<Var> = (0..carries).map(|_| body.input("c", Shape::SCALAR, Spread::Particle)).collect();
    let x = body.input("x", Shape::SCALAR, Spread::Particle);
    let (next, ys) = step(&mut body, &c, x);
    let scan = Scan { body, len, xs: 1, next, ys, reverse: false };
    let mut g = Graph::new();
    let init: Vec<Var> = (0..carries).map(|_| g.input("c", Shape::SCALAR, Spread::Particle)).collect();
    let x = g.input("x", Shape::new(&[len]), Spread::Particle);
    let at = g.scan(scan, &init, &[x], &[]);
    let wrt = [init, vec![x]].concat();
    (g, wrt, at)
}

/// True where the body is one multiply-add of its carry.
fn is_bare(s: &Scan) -> bool {
    let node = s.body.node(s.next[0]);
    let input = |v: &Var| matches!(s.body.node(*v).op, Op::Input(_) | Op::Const(_));
    s.next.len() == 1
        && s.ys.is_empty()
        && matches!(node.op, Op::Ternary(Ternary::Fma))
        && node.args.iter().all(input)
        && node.args[1] == s.body.inputs()[0].var
}

#[test]
fn linear_recurrences_become_bare_in_both_directions() {
    let (mut g, wrt, at) = scalar_loop(5, 1, |g, c, x| {
        // (c - 1) tanh(x) / 2 - (x - c) in an awkward order
        let d = g.shift(c[0], -1.0);
        let t = g.unary(Unary::Tanh, x);
        let p = g.mul(d, t);
        let p = g.scale(0.5, p);
        let q = g.sub(x, c[0]);
        (vec![g.sub(p, q)], vec![])
    });
    let trace = g.proj(at, 1);
    let e = g.exp(trace);
    let y = g.sum(e);
    let d = gradient(&mut g, y, &wrt);
    let outputs = [&d[..], &[y]].concat();
    let (split, kept) = hoist(&g, &outputs);
    let left = loops(&split);
    assert_eq!(left.len(), 2, "{split}");
    assert!(left.iter().all(|s| is_bare(s)), "{split}");
    let x = values(5, 1, -1.0, 1.0);
    let inputs: [&[f64]; 2] = [&[0.7], &x];
    let before = evaluate(&g, &inputs, &outputs).concat();
    assert!(distance(&evaluate(&split, &inputs, &kept).concat(), &before) < 1e-14);
}

#[test]
fn carries_without_a_recurrence_vanish() {
    // The previous slice and its predecessor, and a constant.
    let (mut g, wrt, at) = scalar_loop(5, 3, |g, c, x| {
        let y = g.mul(c[0], c[1]);
        let y = g.mul(y, c[2]);
        (vec![x, c[0], c[2]], vec![g.mul(y, x)])
    });
    let y = g.proj(at, 6);
    let last = g.proj(at, 1);
    let s = g.sum(y);
    let s = g.mul(s, last);
    let d = gradient(&mut g, s, &wrt);
    let outputs = [&d[..], &[s]].concat();
    let (split, kept) = hoist(&g, &outputs);
    assert!(loops(&split).is_empty(), "{split}");
    let x = values(5, 1, -1.0, 1.0);
    let inputs: [&[f64]; 4] = [&[0.7], &[-0.4], &[1.3], &x];
    let before = evaluate(&g, &inputs, &outputs).concat();
    assert!(distance(&evaluate(&split, &inputs, &kept).concat(), &before) < 1e-14);
}

#[test]
fn carries_that_feed_each_other_one_way_get_a_loop_each() {
    // A residual, and a variance driven by its square.
    let (mut g, _, at) = scalar_loop(6, 2, |g, c, x| {
        let e = g.scale(0.4, c[0]);
        let e = g.sub(x, e);
        let s = g.square(c[0]);
        let h = g.scale(0.9, c[1]);
        let h = g.add(h, s);
        (vec![e, h], vec![g.log(h)])
    });
    let y = g.proj(at, 4);
    let y = g.sum(y);
    let (split, _) = hoist(&g, &[y]);
    let left = loops(&split);
    assert_eq!(left.len(), 2, "{split}");
    assert!(left.iter().all(|s| is_bare(s)), "{split}");
}

#[test]
fn totals_need_no_loop() {
    // A total of what is known, and a total of another carry's course.
    let (mut g, wrt, at) = scalar_loop(6, 3, |g, c, x| {
        let t = g.unary(Unary::Tanh, x);
        let total = g.add(c[0], t);
        let s = g.unary(Unary::Sin, c[1]);
        let z = g.add(s, x);
        let w = g.square(z);
        (vec![total, z, g.sub(c[2], w)], vec![])
    });
    let (a, b) = (g.proj(at, 0), g.proj(at, 2));
    let y = g.mul(a, b);
    let d = gradient(&mut g, y, &wrt);
    let outputs = [&d[..], &[y]].concat();
    let (split, kept) = hoist(&g, &outputs);
    // sin(c) + x in the one direction, its adjoint in the other.
    let left = loops(&split);
    assert_eq!(left.len(), 2, "{split}");
    assert!(!is_bare(left[0]) && is_bare(left[1]), "{split}");
    let x = values(6, 1, -1.0, 1.0);
    let inputs: [&[f64]; 4] = [&[0.7], &[-0.4], &[1.3], &x];
    let before = evaluate(&g, &inputs, &outputs).concat();
    assert!(distance(&evaluate(&split, &inputs, &kept).concat(), &before) < 1e-13);
}

#[test]
fn terms_free_of_the_carry_are_added_outside() {
    let (mut g, _, at) = scalar_loop(4, 1, |g, c, x| {
        let s = g.unary(Unary::Sin, c[0]);
        let e = g.exp(x);
        let a = g.add(s, x);
        let b = g.sub(a, e);
        (vec![g.shift(b, 2.0)], vec![])
    });
    let last = g.proj(at, 0);
    let (split, kept) = hoist(&g, &[last]);
    // Carry, slice, sine, sum.
    assert_eq!(loops(&split)[0].body.nodes().len(), 4, "{split}");
    let inputs: [&[f64]; 2] = [&[0.3], &[0.1, -0.4, 0.9, 0.2]];
    let before = evaluate(&g, &inputs, &[last]);
    assert!(distance(&evaluate(&split, &inputs, &kept)[0], &before[0]) < 1e-14);
}

#[test]
fn zero_adjoints_win_in_bare_loops() {
    // c' = sqrt(x) c where x > 0, else c: the derivative of sqrt at 0 is infinite.
    let (mut g, wrt, at) = scalar_loop(4, 1, |g, c, x| {
        let zero = g.scalar(0.0);
        let positive = g.binary(Binary::Lt, zero, x);
        let r = g.unary(Unary::Sqrt, x);
        let p = g.div(c[0], r);
        (vec![g.select(positive, p, c[0])], vec![])
    });
    let last = g.proj(at, 0);
    let d = gradient(&mut g, last, &wrt);
    let (split, kept) = hoist(&g, &d);
    let inputs: [&[f64]; 2] = [&[2.0], &[4.0, 0.0, 0.25, -1.0]];
    let expected = evaluate(&g, &inputs, &d);
    assert_eq!(expected, [vec![1.0], vec![-0.25, 0.0, -4.0, 0.0]]);
    assert_eq!(evaluate(&split, &inputs, &kept), expected);
}

/// `select(taken, final carry of a loop that divides by 0, 0)`: gradient 0, never NaN.
#[test]
fn loops_below_a_branch() {
    let (mut g, wrt, at) = scalar_loop(3, 1, |g, c, x| {
        let p = g.div(c[0], x);
        (vec![g.log(p)], vec![])
    });
    let last = g.proj(at, 0);
    let taken = g.input("taken", Shape::SCALAR, Spread::Particle);
    let zero = g.scalar(0.0);
    let y = g.select(taken, last, zero);
    let d = gradient(&mut g, y, &wrt);
    let (split, kept) = hoist(&g, &d);
    let inputs: [&[f64]; 3] = [&[2.0], &[1.0, 0.0, -1.0], &[0.0]];
    for (g, d) in [(&g, &d), (&split, &kept)] {
        assert_eq!(evaluate(g, &inputs, d), [vec![0.0], vec![0.0; 3]]);
    }
}

/// Adjoints of a large array that every step reads are summed in the loop, not stacked.
#[test]
fn large_shared_adjoints_are_accumulated() {
    let (len, n) = (3000, 1500);
    let mut body = Graph::new();
    let c = body.input("c", Shape::SCALAR, Spread::Particle);
    let w = body.input("w", Shape::new(&[n]), Spread::Particle);
    let s = body.unary(Unary::Sin, w);
    let s = body.mul(c, s);
    let s = body.sum(s);
    let next = body.scale(1e-3, s);
    let next = body.shift(next, 0.5);
    let scan = Scan { body, len, xs: 0, next: vec![next], ys: vec![], reverse: false };
    let mut g = Graph::new();
    let c = g.input("c", Shape::SCALAR, Spread::Particle);
    let w = g.input("w", Shape::new(&[n]), Spread::Particle);
    let at = g.scan(scan, &[c], &[], &[w]);
    let last = g.proj(at, 0);
    let d = gradient(&mut g, last, &[w])[0];
    let largest = g.nodes().iter().map(|v| v.shape.count()).max();
    assert!(largest < Some(10 * len), "{largest:?}");
    let x = values(n, 1, -1.0, 1.0);
    let exact = evaluate(&g, &[&[0.2], &x], &[d]);
    let numeric = super::slope(|h| {
        let mut x = x.clone();
        x[7] += h;
        evaluate(&g, &[&[0.2], &x], &[last]).concat()
    });
    assert!((exact[0][7] - numeric[0]).abs() < 1e-9 * numeric[0].abs());
}

/// Each operation in the body of a loop without carries, on slices and on shared values: the split
/// computes all steps at once, with the same values.
#[test]
fn operations_on_stacks_match_single_steps() {
    let len = 3;
    for case in registry::cases() {
        let k = case.inputs.len();
        for sliced in [vec![true; k], (0..k).map(|j| j == 0).collect(), (0..k).map(|j| j + 1 == k).collect()] {
            let mut order: Vec<usize> = (0..k).filter(|&j| sliced[j]).collect();
            let xs = order.len();
            order.extend((0..k).filter(|&j| !sliced[j]));
            let (mut body, mut g) = (Graph::new(), Graph::new());
            let mut inner = vec![Var(0); k];
            let mut data = vec![];
            let mut args = vec![];
            for &j in &order {
                let (shape, v) = &case.inputs[j];
                inner[j] = body.input("in", *shape, Spread::Particle);
                let (outer, stack) = if sliced[j] {
                    let dims = [&[len], shape.dims()].concat();
                    (Shape::new(&dims), turned(v, len))
                } else {
                    (*shape, v.clone())
                };
                args.push(g.input("x", outer, Spread::Particle));
                data.push(stack);
            }
            let out = (case.build)(&mut body, &inner);
            let scan = Scan { body, len, xs, next: vec![], ys: vec![out], reverse: false };
            let at = g.scan(scan, &[], &args[..xs], &args[xs..]);
            let y = g.proj(at, 0);
            let (split, kept) = hoist(&g, &[y]);
            assert!(loops(&split).is_empty(), "{} {sliced:?}: {split}", case.name);
            crate::graph::check::check(&split).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            let inputs: Vec<&[f64]> = data.iter().map(|d| d.as_slice()).collect();
            let (a, b) = (evaluate(&split, &inputs, &kept), evaluate(&g, &inputs, &[y]));
            let error = distance(&a[0], &b[0]);
            assert!(error < 1e-12, "{} {sliced:?}: {error:e}", case.name);
        }
    }
}

/// `len` copies of `v`, each turned by one more place.
fn turned(v: &[f64], len: usize) -> Vec<f64> {
    let slice = |t: usize| (0..v.len()).map(move |j| v[(j + t) % v.len()]);
    (0..len).flat_map(slice).collect()
}

/// Stacks that would be too large stay in the loop, as inputs of the recurrence or as a loop of their own.
#[test]
fn large_intermediates_stay_in_the_loop() {
    let (len, n) = (1100, 1000);
    let mut body = Graph::new();
    let c = body.input("c", Shape::SCALAR, Spread::Particle);
    let x = body.input("x", Shape::SCALAR, Spread::Particle);
    let w = body.input("w", Shape::new(&[n]), Spread::Particle);
    let p = body.mul(x, w);
    let p = body.unary(Unary::Sin, p);
    let s = body.fold_all(Fold::LogSumExp, p);
    let m = body.mul(s, c);
    let next = body.scale(0.1, m);
    let e = body.fold_all(Fold::Max, p);
    let scan = Scan { body, len, xs: 1, next: vec![next], ys: vec![e], reverse: false };
    let mut g = Graph::new();
    let c = g.input("c", Shape::SCALAR, Spread::Particle);
    let x = g.input("x", Shape::new(&[len]), Spread::Particle);
    let w = g.input("w", Shape::new(&[n]), Spread::Particle);
    let at = g.scan(scan, &[c], &[x], &[w]);
    let outputs = [g.proj(at, 0), g.proj(at, 2)];
    let (split, kept) = hoist(&g, &outputs);
    assert!(split.nodes().iter().all(|v| v.shape.count() <= len), "{split}");
    let (xs, ws) = (values(len, 1, -1.0, 1.0), values(n, 2, -1.0, 1.0));
    let inputs: [&[f64]; 3] = [&[0.4], &xs, &ws];
    let before = evaluate(&g, &inputs, &outputs).concat();
    assert!(distance(&evaluate(&split, &inputs, &kept).concat(), &before) < 1e-13);
}
