//! Loops on which the laws of derivatives are checked.

use super::registry::{Case, array};
use crate::graph::op::{Fold, Unary};
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var};

type Step = fn(&mut Graph, &[Var]) -> (Vec<Var>, Vec<Var>);

/// A loop whose body has the arguments' shapes (slices for the `xs`).
fn run(g: &mut Graph, args: &[Var], (carries, xs, len): (usize, usize, usize), reverse: bool, step: Step) -> Var {
    let mut body = Graph::new();
    let inputs: Vec<Var> = args
        .iter()
        .enumerate()
        .map(|(k, a)| {
            let s = g.shape(*a);
            let slice = (carries..carries + xs).contains(&k);
            let s = if slice { Shape::new(&s.dims()[1..]) } else { s };
            body.input("in", s, Spread::Particle)
        })
        .collect();
    let (next, ys) = step(&mut body, &inputs);
    let scan = Scan { body, len, xs, next, ys, reverse };
    let (init, rest) = args.split_at(carries);
    let (xs, each) = rest.split_at(xs);
    g.scan(scan, init, xs, each)
}

/// All outputs of a loop in one vector.
fn all_outputs(g: &mut Graph, at: Var, count: usize) -> Var {
    let parts: Vec<Var> = (0..count).map(|k| g.proj(at, k)).collect();
    let n = parts.iter().map(|p| g.shape(*p).count()).sum();
    g.concat(&parts, Shape::new(&[n]))
}

/// h' = w + a e^2 + b h, per-step output log h.
fn garch(g: &mut Graph, i: &[Var]) -> (Vec<Var>, Vec<Var>) {
    let (h, e, w, a, b) = (i[0], i[1], i[2], i[3], i[4]);
    let s = g.square(e);
    let s = g.mul(a, s);
    let s = g.add(w, s);
    let bh = g.mul(b, h);
    let next = g.add(s, bh);
    let y = g.log(h);
    (vec![next], vec![y])
}

/// Two scalar carries that mix, one per-step output.
fn oscillator(g: &mut Graph, i: &[Var]) -> (Vec<Var>, Vec<Var>) {
    let (p, q, x, k) = (i[0], i[1], i[2], i[3]);
    let f = g.unary(Unary::Sin, q);
    let f = g.mul(k, f);
    let p1 = g.sub(p, f);
    let q1 = g.add(q, p1);
    let q1 = g.add(q1, x);
    let y = g.mul(p, q);
    (vec![p1, q1], vec![y])
}

/// h' = tanh(W h + x), a vector carry with a shared matrix.
fn network(g: &mut Graph, i: &[Var]) -> (Vec<Var>, Vec<Var>) {
    let (h, x, w) = (i[0], i[1], i[2]);
    let z = g.matvec(w, h, false);
    let z = g.add(z, x);
    let next = g.unary(Unary::Tanh, z);
    let y = g.dot(h, x);
    (vec![next], vec![y])
}

/// Forward algorithm of a hidden Markov model: a' = logsumexp_i(a_i + T_ij) + b_j.
fn forward_algorithm(g: &mut Graph, i: &[Var]) -> (Vec<Var>, Vec<Var>) {
    let (a, b, t) = (i[0], i[1], i[2]);
    let n = g.shape(a).count();
    let from = g.gather(a, Index::Repeat { each: n, len: n * n }, Shape::new(&[n, n]));
    let s = g.add(from, t);
    let s = g.fold(Fold::LogSumExp, s, 0);
    (vec![g.add(s, b)], vec![])
}

/// Gathers inside: picks an element of a table and of the carry.
fn picker(g: &mut Graph, i: &[Var]) -> (Vec<Var>, Vec<Var>) {
    let (c, x, table) = (i[0], i[1], i[2]);
    let one = |k| Index::Stride { start: k, stride: 1, len: 1 };
    let c1 = g.gather(c, one(1), Shape::SCALAR);
    let t2 = g.gather(table, one(2), Shape::SCALAR);
    let m = g.mul(c1, t2);
    let shifted = g.gather(c, Index::Table([1, 2, 0].into()), Shape::new(&[3]));
    let e = g.unary(Unary::Tanh, x);
    let s = g.mul(shifted, m);
    let s = g.unary(Unary::Sin, s);
    let next = g.add(s, e);
    let y = g.mul(e, table);
    (vec![next], vec![y, m])
}

/// A carry that nothing reads and one that is only handed on.
fn idle(g: &mut Graph, i: &[Var]) -> (Vec<Var>, Vec<Var>) {
    let (a, b, c, x) = (i[0], i[1], i[2], i[3]);
    let next = g.mul(a, x);
    let idle = g.add(b, x);
    (vec![next, idle, c], vec![g.mul(c, x)])
}

/// A rank-4 value that every step reads.
fn deep(g: &mut Graph, i: &[Var]) -> (Vec<Var>, Vec<Var>) {
    let (c, x, w) = (i[0], i[1], i[2]);
    let s = g.square(w);
    let s = g.sum(s);
    let m = g.mul(s, c);
    (vec![g.add(m, x)], vec![])
}

pub fn cases() -> Vec<Case> {
    let mut all = vec![];
    for reverse in [false, true] {
        let tag = if reverse { "backwards" } else { "forwards" };
        let named = |name: &str| format!("{name} {tag}");
        let number = |salt, lo, hi| array(&[], salt, lo, hi);
        all.push(Case::new(
            named("garch"),
            vec![
                number(1, 0.5, 1.0),
                array(&[6], 2, -1.0, 1.0),
                number(3, 0.1, 0.5),
                number(4, 0.1, 0.5),
                number(5, 0.3, 0.8),
            ],
            move |g, x| {
                let at = run(g, x, (1, 1, 6), reverse, garch);
                all_outputs(g, at, 3)
            },
        ));
        all.push(Case::new(
            named("oscillator"),
            vec![number(1, -1.0, 1.0), number(2, -1.0, 1.0), array(&[5], 3, -0.5, 0.5), number(4, 0.2, 0.5)],
            move |g, x| {
                let at = run(g, x, (2, 1, 5), reverse, oscillator);
                all_outputs(g, at, 5)
            },
        ));
        all.push(Case::new(
            named("network"),
            vec![array(&[3], 1, -1.0, 1.0), array(&[4, 3], 2, -1.0, 1.0), array(&[3, 3], 3, -1.0, 1.0)],
            move |g, x| {
                let at = run(g, x, (1, 1, 4), reverse, network);
                all_outputs(g, at, 3)
            },
        ));
        all.push(Case::new(
            named("forward algorithm"),
            vec![array(&[3], 1, -1.0, 1.0), array(&[4, 3], 2, -1.0, 1.0), array(&[3, 3], 3, -1.0, 1.0)],
            move |g, x| {
                let at = run(g, x, (1, 1, 4), reverse, forward_algorithm);
                let last = g.proj(at, 0);
                g.fold_all(Fold::LogSumExp, last)
            },
        ));
        all.push(Case::new(
            named("picker"),
            vec![array(&[3], 1, -1.0, 1.0), array(&[4, 3], 2, -1.0, 1.0), array(&[3], 3, -1.0, 1.0)],
            move |g, x| {
                let at = run(g, x, (1, 1, 4), reverse, picker);
                all_outputs(g, at, 4)
            },
        ));
        all.push(Case::new(
            named("idle"),
            vec![number(1, 0.5, 1.0), number(2, 0.5, 1.0), number(3, 0.5, 1.0), array(&[4], 4, 0.5, 1.5)],
            move |g, x| {
                let at = run(g, x, (3, 1, 4), reverse, idle);
                let parts = [g.proj(at, 0), g.proj(at, 2), g.proj(at, 6)];
                g.concat(&parts, Shape::new(&[6]))
            },
        ));
        all.push(Case::new(
            named("sum of outputs"),
            vec![
                number(1, 0.5, 1.0),
                array(&[6], 2, -1.0, 1.0),
                number(3, 0.1, 0.5),
                number(4, 0.1, 0.5),
                number(5, 0.3, 0.8),
            ],
            move |g, x| {
                let at = run(g, x, (1, 1, 6), reverse, garch);
                let y = g.proj(at, 2);
                g.fold_all(Fold::Sum, y)
            },
        ));
        all.push(Case::new(
            named("deep"),
            vec![number(1, 0.5, 1.0), array(&[3], 2, -1.0, 1.0), array(&[1, 2, 1, 2], 3, -0.5, 0.5)],
            move |g, x| {
                let at = run(g, x, (1, 1, 3), reverse, deep);
                g.proj(at, 0)
            },
        ));
    }
    all.push(Case::new(
        "loop in a loop",
        vec![array(&[], 1, 0.5, 1.0), array(&[3], 2, -1.0, 1.0), array(&[2], 3, 0.2, 0.6)],
        |g, x| {
            let at = run(g, x, (1, 1, 3), false, |g, i| {
                let inner = run(g, &[i[0], i[2], i[1]], (1, 1, 2), true, |g, j| {
                    let p = g.mul(j[0], j[1]);
                    let p = g.unary(Unary::Sin, p);
                    (vec![g.add(p, j[2])], vec![g.square(p)])
                });
                let last = g.proj(inner, 0);
                let y = g.proj(inner, 2);
                let s = g.sum(y);
                (vec![last], vec![s])
            });
            all_outputs(g, at, 3)
        },
    ));
    all
}
