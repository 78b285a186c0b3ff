//! Moves, reductions and linear algebra.

use super::{Numbers, agree, agree_to};
use crate::graph::{Fold, Graph, Index, Shape, Spread, Var};

fn sizes() -> impl Iterator<Item = usize> {
    (1..=20).chain([31, 32, 33, 63, 64, 65, 70])
}

#[test]
fn gathers_and_scatters() {
    for n in sizes() {
        let mut g = Graph::new();
        let mut out = vec![];
        for spread in [Spread::Particle, Spread::Shared] {
            let x = g.input("x", Shape::new(&[n]), spread);
            let e = g.exp(x);
            for len in [1, n, 3 * n + 1, 300] {
                let table = (0..len).map(|j| ((j * j + 3 * j) % n) as u32).collect();
                let maps = [
                    Index::from_table(table),
                    Index::Repeat { each: len.div_ceil(n), len },
                    Index::Tile { period: n, len },
                    Index::Stride { start: n - 1, stride: 0, len },
                ];
                for index in maps {
                    let y = g.gather(e, index.clone(), Shape::new(&[len]));
                    let z = g.sin(y);
                    out.push(z);
                    out.push(g.scatter_add(z, index, Shape::new(&[n])));
                }
            }
            let back = Index::Stride { start: n - 1, stride: -1, len: n };
            let y = g.gather(e, back, Shape::new(&[n]));
            out.push(g.add(y, x));
        }
        agree(&g, &out, (-1.0, 1.0));
    }
}

trait Extra {
    fn sin(&mut self, x: Var) -> Var;
}

impl Extra for Graph {
    fn sin(&mut self, x: Var) -> Var {
        self.unary(crate::graph::Unary::Sin, x)
    }
}

#[test]
fn pieces_put_together() {
    for n in [1, 3, 8, 70, 400] {
        let mut g = Graph::new();
        let shape = Shape::new(&[n]);
        let x = g.input("x", shape, Spread::Particle);
        let y = g.input("y", shape, Spread::Shared);
        let e = g.exp(x);
        let s = g.sin(y);
        let m = g.mul(e, s);
        let long = Shape::new(&[3 * n + 2]);
        let part = |start: usize, len: usize| Index::Stride { start, stride: 1, len };
        let joined = g.concat(&[e, s, m], Shape::new(&[3 * n]));
        let a = g.scatter_add(e, part(1, n), long);
        let b = g.scatter_add(s, part(n + 1, n), long);
        let c = g.scatter_add(m, part(n, n), long);
        let ab = g.add(a, b);
        let abc = g.add(ab, c);
        let base = g.input("base", long, Spread::Particle);
        let d = g.scatter_add(m, part(2, n), long);
        let with_base = g.add(d, base);
        let twice = g.sin(joined);
        let piece = g.gather(abc, part(n, n), shape);
        // Parts that stay together, in another order and apart, and one that is turned round.
        let starts = [2 * n + 2, 0, n + 1];
        let places = |turned: bool| {
            let place = |k: usize| (k / n, if turned && k < n { n - 1 - k } else { k % n });
            Index::from_table((0..3 * n).map(|k| (starts[place(k).0] + place(k).1) as u32).collect())
        };
        let [apart, turned] = [false, true].map(|t| g.scatter_add(joined, places(t), long));
        let out = [joined, abc, with_base, twice, piece, apart, turned];
        agree(&g, &out, (-1.0, 1.0));
    }
}

#[test]
fn reductions() {
    for (outer, n, inner) in [
        (1, 5, 1),
        (1, 700, 1),
        (3, 4, 5),
        (40, 2, 1),
        (1, 30, 20),
        (7, 90, 1),
        (5, 1, 3),
        (2, 300, 1),
        (100, 3, 1),
        (2, 3, 130),
    ] {
        let mut g = Graph::new();
        let mut out = vec![];
        for spread in [Spread::Particle, Spread::Shared] {
            let x = g.input("x", Shape::new(&[outer, n, inner]), spread);
            let e = g.sin(x);
            for fold in [Fold::Sum, Fold::Max, Fold::LogSumExp] {
                out.push(g.fold(fold, e, 1));
                out.push(g.fold_all(fold, e));
            }
            out.push(g.cumsum(e, false));
            out.push(g.cumsum(x, true));
            let c = g.filled(2.0, Shape::new(&[outer, n, inner]));
            let s = g.sum(x);
            let b = g.broadcast(s, Shape::new(&[outer, n, inner]));
            out.push(g.fold(Fold::LogSumExp, b, 1));
            out.push(g.fold(Fold::Sum, c, 1));
        }
        agree(&g, &out, (-3.0, 3.0));
    }
}

#[test]
fn products_of_matrices() {
    for (m, k, n) in
        [(1, 1, 1), (3, 4, 5), (7, 9, 1), (1, 6, 11), (25, 30, 2), (70, 65, 66), (26, 192, 17), (26, 193, 17)]
    {
        let mut g = Graph::new();
        let mut out = vec![];
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let left = Shape::new(&if ta { [k, m] } else { [m, k] });
            let right = Shape::new(&if tb { [n, k] } else { [k, n] });
            let mut both =
                |shape: Shape| [g.input("wide", shape, Spread::Particle), g.input("narrow", shape, Spread::Shared)];
            let (a, b) = (both(left), both(right));
            let data = Numbers::new(3).many(m * k, -1.0, 1.0);
            let c = g.constant(data, left);
            for x in [a[0], a[1], c] {
                for y in b {
                    out.push(g.matmul(x, y, ta, tb));
                }
            }
        }
        if k < 65 {
            let x = g.input("x", Shape::new(&[3, m, k]), Spread::Particle);
            let y = g.input("y", Shape::new(&[3, k, n]), Spread::Shared);
            out.push(g.matmul(x, y, false, false));
            let z = g.input("z", Shape::new(&[3, n, k]), Spread::Particle);
            out.push(g.matmul(x, z, false, true));
            out.push(g.matmul(z, x, false, true));
        }
        agree(&g, &out, (-1.0, 1.0));
    }
}

#[test]
fn square_matrices() {
    for n in [1, 2, 3, 5, 8, 11, 17, 33] {
        for batch in [1, 3] {
            let mut g = Graph::new();
            let mut out = vec![];
            let lead: &[usize] = if batch == 1 { &[] } else { &[3] };
            let square = Shape::new(&[lead, &[n, n]].concat());
            let mut matrices = vec![];
            for spread in [Spread::Particle, Spread::Shared] {
                let x = g.input("x", square, spread);
                let p = g.matmul(x, x, false, true);
                let eye = (0..batch * n * n).map(|j| ((j % (n * n)) % (n + 1) == 0) as u8 as f64);
                let eye: Vec<f64> = eye.collect();
                let eye = g.constant(eye, square);
                let a = g.add(p, eye);
                let l = g.cholesky(a);
                out.push(l);
                out.push(g.log_abs_det(a));
                matrices.push((a, l));
            }
            for m in [1, 2, 9] {
                for spread in [Spread::Particle, Spread::Shared] {
                    let b = g.input("b", Shape::new(&[lead, &[n, m]].concat()), spread);
                    for &(a, l) in &matrices {
                        for transposed in [false, true] {
                            out.push(g.tri_solve(l, b, transposed));
                            out.push(g.solve(a, b, transposed));
                        }
                    }
                }
            }
            agree_to(&g, &out, (-1.0, 1.0), 1e-9);
        }
    }
}

#[test]
fn factors_of_indefinite_matrices_are_nan_alone() {
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(&[4, 4]), Spread::Particle);
    let d = g.diagonal(x);
    let l = g.cholesky(x);
    // With entries between -1 and 1 most matrices are indefinite, some lanes' are not.
    let eye: Vec<f64> = (0..16).map(|j| (j % 5 == 0) as u8 as f64 * 1.2).collect();
    let eye = g.constant(eye, Shape::new(&[4, 4]));
    let y = g.add(x, eye);
    let k = g.cholesky(y);
    agree(&g, &[l, d, k], (-1.0, 1.0));
}
