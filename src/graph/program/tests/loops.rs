//! Sequential loops.

use super::agree;
use crate::graph::reverse::grad;
use crate::graph::{Graph, Scan, Shape, Spread, Var};

/// `c' = a c + b_t` and the output `exp(c) + b`, for a carry of `n` elements.
fn scan(g: &mut Graph, n: usize, len: usize, reverse: bool, ys: bool, spread: Spread) -> Vec<Var> {
    let shape = if n == 1 { Shape::SCALAR } else { Shape::new(&[n]) };
    let mut body = Graph::new();
    let c = body.input("c", shape, spread);
    let b = body.input("b", shape, spread);
    let a = body.input("a", Shape::SCALAR, spread);
    let p = body.mul(a, c);
    let next = body.add(p, b);
    let e = body.exp(c);
    let y = body.add(e, b);
    let ys = if ys { vec![y] } else { vec![] };
    let init = g.input("init", shape, spread);
    let xs = g.input("xs", Shape::new(&[&[len], shape.dims()].concat()), Spread::Particle);
    let each = g.input("a", Shape::SCALAR, spread);
    let outputs = 2 + ys.len();
    let s = Scan { body, len, xs: 1, next: vec![next], ys, reverse };
    let at = g.scan(s, &[init], &[xs], &[each]);
    (0..outputs).map(|k| g.proj(at, k)).collect()
}

#[test]
fn recurrences_and_their_gradients() {
    for n in [1, 3, 8] {
        for len in [1, 2, 7, 50] {
            for (reverse, ys) in [(false, false), (true, false), (false, true), (true, true)] {
                let mut g = Graph::new();
                let mut out = scan(&mut g, n, len, reverse, ys, Spread::Particle);
                out.extend(scan(&mut g, n, len, reverse, ys, Spread::Shared));
                let mut total = g.scalar(0.0);
                for &v in &out {
                    let s = g.sum(v);
                    total = g.add(total, s);
                }
                let wrt: Vec<Var> = g.inputs().iter().map(|i| i.var).collect();
                let one = g.scalar(1.0);
                out.extend(grad(&mut g, &[total], &[one], &wrt));
                agree(&g, &out, (-0.9, 0.9));
            }
        }
    }
}

#[test]
fn long_carries_are_not_kept() {
    let mut g = Graph::new();
    let out = scan(&mut g, 300, 40, false, true, Spread::Particle);
    agree(&g, &[out[0], out[2]], (-0.9, 0.9));
    let mut g = Graph::new();
    let out = scan(&mut g, 300, 40, true, true, Spread::Particle);
    agree(&g, &[out[0], out[2]], (-0.9, 0.9));
}

#[test]
fn shift_registers_and_matrices() {
    let mut body = Graph::new();
    let a = body.input("a", Shape::SCALAR, Spread::Particle);
    let b = body.input("b", Shape::SCALAR, Spread::Particle);
    let v = body.input("v", Shape::new(&[3]), Spread::Particle);
    let m = body.input("m", Shape::new(&[3, 3]), Spread::Shared);
    let next = body.sub(a, b);
    let w = body.matvec(m, v, false);
    let top = body.fold_all(crate::graph::Fold::LogSumExp, w);
    let w = body.sub(w, top);
    let two = body.scalar(2.0);
    let scan = Scan { body, len: 9, xs: 0, next: vec![next, a, w], ys: vec![top, two, next], reverse: false };
    let mut g = Graph::new();
    let a = g.input("a", Shape::SCALAR, Spread::Particle);
    let b = g.input("b", Shape::SCALAR, Spread::Shared);
    let v = g.input("v", Shape::new(&[3]), Spread::Particle);
    let m = g.input("m", Shape::new(&[3, 3]), Spread::Shared);
    let at = g.scan(scan, &[a, b, v], &[], &[m]);
    let out: Vec<Var> = (0..9).map(|k| g.proj(at, k)).collect();
    agree(&g, &out, (0.1, 0.9));
}

#[test]
fn loops_in_loops() {
    for (rows, len) in [(1, 1), (3, 4), (5, 9)] {
        for (reverse, spread) in [(false, Spread::Particle), (true, Spread::Shared)] {
            let mut g = Graph::new();
            let mut body = Graph::new();
            let c = body.input("c", Shape::SCALAR, spread);
            let x = body.input("x", Shape::new(&[len]), spread);
            let a = body.input("a", Shape::SCALAR, spread);
            let mut inner = Graph::new();
            let d = inner.input("d", Shape::SCALAR, spread);
            let y = inner.input("y", Shape::SCALAR, spread);
            let b = inner.input("b", Shape::SCALAR, spread);
            let e = inner.mul(d, b);
            let e = inner.unary(crate::graph::Unary::Tanh, e);
            let next = inner.add(e, y);
            let out = inner.mul(next, d);
            let scan = Scan { body: inner, len, xs: 1, next: vec![next], ys: vec![out], reverse };
            let at = body.scan(scan, &[c], &[x], &[a]);
            let parts: Vec<Var> = (0..3).map(|k| body.proj(at, k)).collect();
            let s = body.sum(parts[2]);
            let last = body.add(parts[0], s);
            let ys = vec![parts[1], parts[2], last];
            let scan = Scan { body, len: rows, xs: 1, next: vec![last], ys, reverse: false };
            let c = g.input("c", Shape::SCALAR, spread);
            let x = g.input("x", Shape::new(&[rows, len]), Spread::Particle);
            let a = g.input("a", Shape::SCALAR, spread);
            let at = g.scan(scan, &[c], &[x], &[a]);
            let mut out: Vec<Var> = (0..5).map(|k| g.proj(at, k)).collect();
            let one = g.scalar(1.0);
            let t = g.sum(out[3]);
            let total = g.add(t, out[0]);
            out.extend(grad(&mut g, &[total], &[one], &[c, x, a]));
            agree(&g, &out, (-0.9, 0.9));
        }
    }
}
