//! Whole densities with gradients, and what a batch must not show.

use super::{agree_to, inputs, run};
use crate::base::simd::Isa;
use crate::graph::program::{Options, Program};
use crate::graph::reverse::grad;
use crate::graph::{Graph, Index, Shape, Spread, Var};

/// Normal log density of `x`, up to the constant, summed.
fn normal(g: &mut Graph, x: Var, m: Var, s: Var) -> Var {
    let r = g.sub(x, m);
    let z = g.div(r, s);
    let q = g.square(z);
    let h = g.scale(-0.5, q);
    let l = g.log(s);
    let d = g.sub(h, l);
    g.sum(d)
}

/// A hierarchical regression of `n` rows in `groups`: value and gradient.
fn grouped(n: usize, groups: usize) -> (Graph, Vec<Var>) {
    let mut g = Graph::new();
    let q = g.input("q", Shape::new(&[groups + 3]), Spread::Particle);
    let at = |g: &mut Graph, start: usize, len: usize, shape: Shape| {
        g.gather(q, Index::Stride { start, stride: 1, len }, shape)
    };
    let mu = at(&mut g, 0, 1, Shape::SCALAR);
    let t = at(&mut g, 1, 1, Shape::SCALAR);
    let s = at(&mut g, 2, 1, Shape::SCALAR);
    let z = at(&mut g, 3, groups, Shape::new(&[groups]));
    let (tau, sigma) = (g.exp(t), g.exp(s));
    let (zero, one) = (g.scalar(0.0), g.scalar(1.0));
    let p1 = normal(&mut g, z, zero, one);
    let e = g.mul(tau, z);
    let theta = g.add(mu, e);
    let table: Vec<u32> = (0..n).map(|i| ((i * 7) % groups) as u32).collect();
    let mean = g.gather(theta, Index::from_table(table), Shape::new(&[n]));
    let y: Vec<f64> = (0..n).map(|i| (i as f64 * 0.37).sin()).collect();
    let y = g.constant(y, Shape::new(&[n]));
    let p2 = normal(&mut g, y, mean, sigma);
    let a = g.add(p1, p2);
    let b = g.add(t, s);
    let lp = g.add(a, b);
    let one = g.scalar(1.0);
    let d = grad(&mut g, &[lp], &[one], &[q]);
    (g, vec![lp, d[0]])
}

#[test]
fn a_hierarchical_regression() {
    for (n, groups) in [(5, 2), (70, 9), (300, 40), (1000, 300)] {
        let (g, out) = grouped(n, groups);
        agree_to(&g, &out, (-1.0, 1.0), 1e-11);
    }
}

/// A logistic regression of `n` rows and `p` columns.
fn logistic(n: usize, p: usize) -> (Graph, Vec<Var>) {
    logistic_with(n, p, |x| x)
}

/// Its data rounded to single precision.
fn rounded_logistic(n: usize, p: usize) -> (Graph, Vec<Var>) {
    logistic_with(n, p, |x| f64::from(x as f32))
}

fn logistic_with(n: usize, p: usize, kept: fn(f64) -> f64) -> (Graph, Vec<Var>) {
    let mut g = Graph::new();
    let b = g.input("b", Shape::new(&[p]), Spread::Particle);
    let x: Vec<f64> = (0..n * p).map(|i| kept(((i * i) as f64 * 0.1).sin())).collect();
    let x = g.constant(x, Shape::new(&[n, p]));
    let y: Vec<f64> = (0..n).map(|i| (i % 2) as f64).collect();
    let y = g.constant(y, Shape::new(&[n]));
    let eta = g.matvec(x, b, false);
    let soft = g.unary(crate::graph::Unary::Softplus, eta);
    let hit = g.mul(y, eta);
    let row = g.sub(hit, soft);
    let like = g.sum(row);
    let (zero, one) = (g.scalar(0.0), g.scalar(1.0));
    let prior = normal(&mut g, b, zero, one);
    let lp = g.add(like, prior);
    let d = grad(&mut g, &[lp], &[one], &[b]);
    (g, vec![lp, d[0]])
}

#[test]
fn a_logistic_regression() {
    for (n, p) in [(3, 2), (65, 25), (400, 7), (1000, 25)] {
        let (g, out) = logistic(n, p);
        agree_to(&g, &out, (-1.0, 1.0), 1e-11);
    }
}

/// What fills the caches and is exact in single precision is kept in it: half the room, the values of the reference in loops over rows and
/// in products at once, and to the bit what programs with room for doubles give for half of the rows.
#[test]
fn data_in_single_precision() {
    let net = |rows: &[f64], n: usize| {
        let mut g = Graph::new();
        let b = g.input("b", Shape::new(&[130]), Spread::Particle);
        let x = g.constant(rows.to_vec(), Shape::new(&[n, 130]));
        let y = g.matvec(x, b, false);
        let t = g.unary(crate::graph::Unary::Tanh, y);
        let one = g.scalar(1.0);
        let d = grad(&mut g, &[t], &[one], &[b]);
        (g, vec![t, d[0]])
    };
    let x: Vec<f64> = (0..262 * 130).map(|i| f64::from(((i * i) as f32 * 0.1).sin())).collect();
    let mut wide = x.clone();
    wide[7] += 1e-12;
    let (g, out) = net(&x, 262);
    agree_to(&g, &out, (-0.1, 0.1), 1e-11);
    let (half, half_out) = net(&x[..131 * 130], 131);
    let (other, other_out) = net(&wide, 262);
    for isa in [Isa::Baseline, Isa::Avx2Fma] {
        let compile = |g: &Graph, out: &[Var]| Program::<f64>::compile(g, out, &Options { lanes: 1, isa });
        let [p, q, r] = [compile(&g, &out), compile(&half, &half_out), compile(&other, &other_out)];
        let size = |p: &Program| p.code.data.iter().map(|d| d.len()).sum::<usize>();
        assert!(size(&p) < 20_000 && size(&r) >= 262 * 130, "{} {}", size(&p), size(&r));
        let given = inputs(&g, 1, (-0.1, 0.1), 3);
        let (all, first) = (run(&g, &out, &p, &given), run(&half, &half_out, &q, &given));
        assert_eq!(all[0][..131], first[0][..]);
    }
    let (g, out) = rounded_logistic(1400, 25);
    agree_to(&g, &out, (-1.0, 1.0), 1e-11);
}

/// A Gaussian process on `n` points with a Cholesky factor of its covariance.
fn process(n: usize) -> (Graph, Vec<Var>) {
    let mut g = Graph::new();
    let q = g.input("q", Shape::new(&[2]), Spread::Particle);
    let part = |start: usize| Index::Stride { start, stride: 1, len: 1 };
    let r = g.gather(q, part(0), Shape::SCALAR);
    let s = g.gather(q, part(1), Shape::SCALAR);
    let square = Shape::new(&[n, n]);
    let d: Vec<f64> = (0..n * n).map(|k| ((k / n).abs_diff(k % n) as f64 * 0.3).powi(2)).collect();
    let d = g.constant(d, square);
    let r = g.exp(r);
    let e = g.mul(d, r);
    let e = g.neg(e);
    let k = g.exp(e);
    let s = g.exp(s);
    let s = g.broadcast(s, Shape::new(&[n]));
    let diagonal = Index::Stride { start: 0, stride: n as isize + 1, len: n };
    let noise = g.scatter_add(s, diagonal, square);
    let k = g.add(k, noise);
    let l = g.cholesky(k);
    let y: Vec<f64> = (0..n).map(|i| (i as f64 * 0.7).cos()).collect();
    let y = g.constant(y, Shape::new(&[n, 1]));
    let z = g.tri_solve(l, y, false);
    let z2 = g.square(z);
    let a = g.sum(z2);
    let diagonal = g.diagonal(l);
    let logs = g.log(diagonal);
    let b = g.sum(logs);
    let a = g.scale(-0.5, a);
    let lp = g.sub(a, b);
    let one = g.scalar(1.0);
    let d = grad(&mut g, &[lp], &[one], &[q]);
    (g, vec![lp, d[0]])
}

#[test]
fn a_gaussian_process() {
    for n in [3, 11, 30, 50] {
        let (g, out) = process(n);
        agree_to(&g, &out, (-1.0, 1.0), 1e-10);
    }
}

#[test]
fn any_split_of_a_batch_gives_the_same_bits() {
    for (g, out) in [grouped(70, 9), logistic(400, 7), process(6), process(50)] {
        for lanes in [1, 8, 64] {
            let p = Program::compile(&g, &out, &Options { lanes, isa: Isa::detect() });
            let dim = g.shape(g.inputs()[0].var).count();
            let n = 70;
            let x = super::Numbers::new(3).many(dim * n, -1.0, 1.0);
            let mut ws = vec![f64::NAN; p.scratch()];
            let mut run = |n: usize, x: &[f64]| {
                let (mut lp, mut d) = (vec![0.0; n], vec![0.0; dim * n]);
                p.run_many(n, &[x], &mut [&mut lp, &mut d], &mut ws);
                (lp, d)
            };
            let (lp, d) = run(n, &x);
            for (first, some) in [(0, 1), (3, 8), (17, 13), (5, 64)] {
                let part: Vec<f64> = (0..dim * some).map(|k| x[k / some * n + first + k % some]).collect();
                let (a, b) = run(some, &part);
                for i in 0..some {
                    assert_eq!(a[i].to_bits(), lp[first + i].to_bits());
                    for j in 0..dim {
                        assert_eq!(b[j * some + i].to_bits(), d[j * n + first + i].to_bits());
                    }
                }
            }
        }
    }
}

/// An autoregression of order `k` over `n` rows, its means written out as sums of products.
fn autoregression(n: usize, k: usize) -> (Graph, Vec<Var>) {
    let mut g = Graph::new();
    let b = g.input("b", Shape::new(&[k]), Spread::Particle);
    let s = g.input("s", Shape::SCALAR, Spread::Particle);
    let both = Shape::new(&[n, k]);
    let lags: Vec<f64> = (0..n * k).map(|i| ((i / k + i % k) as f64 * 0.7).sin()).collect();
    let lags = g.constant(lags, both);
    let rows = g.gather(b, Index::Tile { period: k, len: n * k }, both);
    let terms = g.mul(rows, lags);
    let mean = g.fold(crate::graph::Fold::Sum, terms, 1);
    let y: Vec<f64> = (0..n).map(|i| (i as f64 * 0.9).cos()).collect();
    let y = g.constant(y, Shape::new(&[n]));
    let sigma = g.exp(s);
    let lp = normal(&mut g, y, mean, sigma);
    let one = g.scalar(1.0);
    let d = grad(&mut g, &[lp], &[one], &[b, s]);
    (g, vec![lp, d[0], d[1]])
}

#[test]
fn an_autoregression() {
    for (n, k) in [(2, 3), (9, 2), (33, 5), (200, 5), (700, 3)] {
        let (g, out) = autoregression(n, k);
        agree_to(&g, &out, (-1.0, 1.0), 1e-11);
        let p = Program::<f64>::compile(&g, &out, &Options { lanes: 1, isa: Isa::Baseline });
        assert_eq!(p.describe().contains("data rows"), n >= 8, "{}", p.describe());
    }
}

#[test]
fn arguments_may_follow_one_another() {
    let (g, out) = grouped(70, 9);
    for lanes in [1, 16] {
        let p = Program::compile(&g, &out, &Options { lanes, isa: Isa::detect() });
        let x = inputs(&g, lanes, (-1.0, 1.0), 5);
        let apart = run(&g, &out, &p, &x);
        let (mut lp, mut d) = (vec![0.0; lanes], vec![0.0; apart[1].len()]);
        p.run_flat(lanes, &x[0], &mut lp, &mut d, &mut vec![f64::NAN; p.scratch()]);
        assert_eq!(vec![lp, d], apart);
    }
}

#[test]
fn a_particle_has_the_same_bits_in_every_lane_and_company() {
    for (g, out) in [grouped(70, 9), grouped(300, 40), logistic(65, 25), logistic(400, 7)] {
        for lanes in [8, 16, 64] {
            let options = Options { lanes, isa: Isa::detect() };
            let p = Program::compile(&g, &out, &options);
            let x = inputs(&g, lanes, (-1.0, 1.0), 5);
            let first = run(&g, &out, &p, &x);
            for shift in [1, 5] {
                // Lane l of the second run is lane l + shift of the first, but one lane is NaN.
                let moved: Vec<Vec<f64>> = x
                    .iter()
                    .map(|x| {
                        (0..x.len())
                            .map(|i| match i % lanes {
                                0 => f64::NAN,
                                l => x[i - l + (l + shift) % lanes],
                            })
                            .collect()
                    })
                    .collect();
                let second = run(&g, &out, &p, &moved);
                for (a, b) in first.iter().zip(&second) {
                    for i in 0..a.len() {
                        let l = i % lanes;
                        if l != 0 {
                            let from = i - l + (l + shift) % lanes;
                            assert_eq!(b[i].to_bits(), a[from].to_bits(), "lane {l} of {lanes}");
                        }
                    }
                }
            }
        }
    }
}
