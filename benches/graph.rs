//! Nanoseconds per particle of value and gradient for hand-built densities, at several numbers of lanes.
//!
//! `cargo bench --bench graph [-- name [lanes]]` also shows where the time goes at that number of lanes; figures are the smallest of many batches.

use std::hint::black_box;
use std::time::Instant;

use thalweg::base::simd::Isa;
use thalweg::graph::program::{Options, Program};
use thalweg::graph::reverse::gradient;
use thalweg::graph::{Fold, Graph, Index, Scan, Shape, Spread, Unary, Var};

/// A density under construction, over one flat vector of parameters.
struct Model {
    g: Graph,
    q: Var,
    used: usize,
    terms: Vec<Var>,
}

impl Model {
    fn new(dim: usize) -> Model {
        let mut g = Graph::new();
        let q = g.input("q", Shape::new(&[dim]), Spread::Particle);
        Model { g, q, used: 0, terms: vec![] }
    }

    fn take(&mut self, n: usize, shape: Shape) -> Var {
        let start = self.used;
        self.used += n;
        let index = Index::Stride { start, stride: 1, len: n };
        self.g.gather(self.q, index, shape)
    }

    fn scalar(&mut self) -> Var {
        self.take(1, Shape::SCALAR)
    }

    fn vector(&mut self, n: usize) -> Var {
        self.take(n, Shape::new(&[n]))
    }

    fn data(&mut self, x: Vec<f64>) -> Var {
        let shape = Shape::new(&[x.len()]);
        self.g.constant(x, shape)
    }

    fn term(&mut self, v: Var) {
        let s = self.g.sum(v);
        self.terms.push(s);
    }

    /// Adds the log density of a normal law, elementwise and summed.
    fn normal(&mut self, x: Var, m: Var, s: Var) {
        let g = &mut self.g;
        let r = g.sub(x, m);
        let z = g.div(r, s);
        let q = g.square(z);
        let h = g.scale(-0.5, q);
        let l = g.log(s);
        let d = g.sub(h, l);
        let d = g.shift(d, -0.918_938_533_204_672_7);
        self.term(d);
    }

    fn normal_at(&mut self, x: Var, m: f64, s: f64) {
        let (m, s) = (self.g.scalar(m), self.g.scalar(s));
        self.normal(x, m, s);
    }

    fn finish(mut self) -> (Graph, Vec<Var>) {
        assert_eq!(self.used, self.g.shape(self.q).count());
        let mut lp = self.terms[0];
        for &t in &self.terms[1..] {
            lp = self.g.add(lp, t);
        }
        let d = gradient(&mut self.g, lp, &[self.q]);
        (self.g, vec![lp, d[0]])
    }
}

fn wave(n: usize, a: f64) -> Vec<f64> {
    (0..n).map(|i| (i as f64 * a + 0.3).sin()).collect()
}

fn eight_schools() -> (Graph, Vec<Var>) {
    let mut m = Model::new(10);
    let y = m.data(vec![28., 8., -3., 7., -1., 1., 18., 12.]);
    let sigma = m.data(vec![15., 10., 16., 11., 9., 11., 10., 18.]);
    let (mu, lt, z) = (m.scalar(), m.scalar(), m.vector(8));
    let tau = m.g.exp(lt);
    m.normal_at(mu, 0.0, 5.0);
    let t = m.g.scale(0.2, tau);
    let t2 = m.g.square(t);
    let c = m.g.unary(Unary::Log1p, t2);
    let c = m.g.neg(c);
    m.term(c);
    m.term(lt);
    m.normal_at(z, 0.0, 1.0);
    let e = m.g.mul(tau, z);
    let theta = m.g.add(mu, e);
    m.normal(y, theta, sigma);
    m.finish()
}

fn garch() -> (Graph, Vec<Var>) {
    let n = 200;
    let mut m = Model::new(4);
    let (mu, la, lb, lc) = (m.scalar(), m.scalar(), m.scalar(), m.scalar());
    let y = m.data(wave(n, 0.77));
    let (a0, a1, b1) = (m.g.exp(la), m.g.unary(Unary::Sigmoid, lb), m.g.unary(Unary::Sigmoid, lc));
    let r = m.g.sub(y, mu);
    let r2 = m.g.square(r);
    let before = m.g.gather(r2, Index::Stride { start: 0, stride: 1, len: n - 1 }, Shape::new(&[n - 1]));
    let e = m.g.mul(a1, before);
    let b = m.g.add(a0, e);
    let mut body = Graph::new();
    let c = body.input("c", Shape::SCALAR, Spread::Particle);
    let x = body.input("x", Shape::SCALAR, Spread::Particle);
    let f = body.input("b1", Shape::SCALAR, Spread::Particle);
    let p = body.mul(f, c);
    let next = body.add(p, x);
    let scan = Scan { body, len: n - 1, xs: 1, next: vec![next], ys: vec![], reverse: false };
    let first = m.g.scalar(0.8);
    let at = m.g.scan(scan, &[first], &[b], &[b1]);
    let (last, trace) = (m.g.proj(at, 0), m.g.proj(at, 1));
    let v = m.g.concat(&[trace, last], Shape::new(&[n]));
    let l = m.g.log(v);
    let l = m.g.scale(-0.5, l);
    m.term(l);
    let q = m.g.div(r2, v);
    let q = m.g.scale(-0.5, q);
    m.term(q);
    m.term(la);
    m.finish()
}

fn student(n: usize) -> (Graph, Vec<Var>) {
    let groups = 50;
    let mut m = Model::new(groups + 3);
    let (mu, lt, ls) = (m.scalar(), m.scalar(), m.scalar());
    let z = m.vector(groups);
    let (tau, sigma) = (m.g.exp(lt), m.g.exp(ls));
    m.normal_at(z, 0.0, 1.0);
    m.normal_at(mu, 0.0, 5.0);
    m.normal_at(tau, 0.0, 1.0);
    m.normal_at(sigma, 0.0, 1.0);
    let e = m.g.mul(tau, z);
    let theta = m.g.add(mu, e);
    let table = (0..n).map(|i| (i * groups / n) as u32).collect();
    let at = m.g.gather(theta, Index::Table(table), Shape::new(&[n]));
    let y = m.data(wave(n, 1.3));
    let r = m.g.sub(y, at);
    let u = m.g.div(r, sigma);
    let u2 = m.g.square(u);
    let h = m.g.scale(0.25, u2);
    let l = m.g.unary(Unary::Log1p, h);
    let l = m.g.scale(-2.5, l);
    let d = m.g.log(sigma);
    let l = m.g.sub(l, d);
    m.term(l);
    m.finish()
}

fn logistic() -> (Graph, Vec<Var>) {
    let (n, p) = (1000, 25);
    let mut m = Model::new(p);
    let b = m.vector(p);
    m.normal_at(b, 0.0, 1.0);
    let x = m.g.constant(wave(n * p, 0.91), Shape::new(&[n, p]));
    let y = m.data((0..n).map(|i| (i % 2) as f64).collect());
    let eta = m.g.matvec(x, b, false);
    let s = m.g.unary(Unary::Softplus, eta);
    let h = m.g.mul(y, eta);
    let l = m.g.sub(h, s);
    m.term(l);
    m.finish()
}

fn gp(n: usize) -> (Graph, Vec<Var>) {
    let mut m = Model::new(3);
    let (lr, la, ls) = (m.scalar(), m.scalar(), m.scalar());
    for v in [lr, la, ls] {
        m.normal_at(v, 0.0, 1.0);
    }
    let square = Shape::new(&[n, n]);
    let x = wave(n, 0.4);
    let d2: Vec<f64> =
        (0..n * n).map(|k| (x[k / n] - x[k % n]).powi(2) + (k / n).abs_diff(k % n) as f64 * 0.01).collect();
    let d2 = m.g.constant(d2, square);
    let r = m.g.scale(-2.0, lr);
    let r = m.g.exp(r);
    let r = m.g.scale(-0.5, r);
    let e = m.g.mul(d2, r);
    let k = m.g.exp(e);
    let a = m.g.scale(2.0, la);
    let a = m.g.exp(a);
    let k = m.g.mul(a, k);
    let s = m.g.scale(2.0, ls);
    let s = m.g.exp(s);
    let s = m.g.shift(s, 1e-8);
    let s = m.g.broadcast(s, Shape::new(&[n]));
    let diagonal = Index::Stride { start: 0, stride: n as isize + 1, len: n };
    let noise = m.g.scatter_add(s, diagonal, square);
    let k = m.g.add(k, noise);
    let l = m.g.cholesky(k);
    let y = m.g.constant(wave(n, 1.1), Shape::new(&[n, 1]));
    let z = m.g.tri_solve(l, y, false);
    let q = m.g.square(z);
    let q = m.g.scale(-0.5, q);
    m.term(q);
    let d = m.g.diagonal(l);
    let d = m.g.log(d);
    let d = m.g.neg(d);
    m.term(d);
    m.finish()
}

/// Two normal components; by a log-sum-exp over an axis, or by softplus.
fn mixture(by_axis: bool) -> (Graph, Vec<Var>) {
    let n = 1000;
    let mut m = Model::new(5);
    let (m1, m2, s1, s2, t) = (m.scalar(), m.scalar(), m.scalar(), m.scalar(), m.scalar());
    for v in [m1, m2, s1, s2, t] {
        m.normal_at(v, 0.0, 2.0);
    }
    let y = m.data(wave(n, 2.3));
    let tn = m.g.neg(t);
    let weights = [t, tn];
    let mut parts = vec![];
    for k in 0..2 {
        let (mean, ls) = ([m1, m2][k], [s1, s2][k]);
        let s = m.g.exp(ls);
        let r = m.g.sub(y, mean);
        let u = m.g.div(r, s);
        let q = m.g.square(u);
        let h = m.g.scale(-0.5, q);
        let h = m.g.sub(h, ls);
        let w = m.g.unary(Unary::Softplus, weights[k]);
        parts.push(m.g.sub(h, w));
    }
    let l = if by_axis {
        let both = m.g.concat(&parts, Shape::new(&[2, n]));
        m.g.fold(Fold::LogSumExp, both, 0)
    } else {
        let d = m.g.sub(parts[0], parts[1]);
        let s = m.g.unary(Unary::Softplus, d);
        m.g.add(parts[1], s)
    };
    m.term(l);
    m.finish()
}

fn funnel() -> (Graph, Vec<Var>) {
    let mut m = Model::new(100);
    let (v, x) = (m.scalar(), m.vector(99));
    m.normal_at(v, 0.0, 3.0);
    let h = m.g.scale(0.5, v);
    let s = m.g.exp(h);
    let zero = m.g.scalar(0.0);
    m.normal(x, zero, s);
    m.finish()
}

fn ar5() -> (Graph, Vec<Var>) {
    let n = 195;
    let mut m = Model::new(7);
    let (mu, phi, ls) = (m.scalar(), m.vector(5), m.scalar());
    m.normal_at(mu, 0.0, 1.0);
    m.normal_at(phi, 0.0, 0.5);
    let s = m.g.exp(ls);
    m.normal_at(s, 0.0, 1.0);
    m.term(ls);
    let y = wave(n + 5, 0.7);
    let lags: Vec<f64> = (0..n * 5).map(|k| y[k / 5 + 4 - k % 5]).collect();
    let lags = m.g.constant(lags, Shape::new(&[n, 5]));
    let y = m.data(y[5..].to_vec());
    let f = m.g.matvec(lags, phi, false);
    let f = m.g.add(mu, f);
    m.normal(y, f, s);
    m.finish()
}

fn glmm() -> (Graph, Vec<Var>) {
    let (n, groups) = (200, 40);
    let mut m = Model::new(groups + 4);
    let (a, b1, b2, ls) = (m.scalar(), m.scalar(), m.scalar(), m.scalar());
    let z = m.vector(groups);
    let s = m.g.exp(ls);
    m.normal_at(a, 0.0, 5.0);
    m.normal_at(b1, 0.0, 2.5);
    m.normal_at(b2, 0.0, 2.5);
    m.normal_at(s, 0.0, 1.0);
    m.term(ls);
    m.normal_at(z, 0.0, 1.0);
    let (x1, x2) = (m.data(wave(n, 0.3)), m.data(wave(n, 0.5)));
    let table = (0..n).map(|i| (i * 7 % groups) as u32).collect();
    let zn = m.g.gather(z, Index::Table(table), Shape::new(&[n]));
    let t = m.g.mul(b1, x1);
    let eta = m.g.add(a, t);
    let t = m.g.mul(b2, x2);
    let eta = m.g.add(eta, t);
    let t = m.g.mul(s, zn);
    let eta = m.g.add(eta, t);
    let y = m.data((0..n).map(|i| (i % 5) as f64).collect());
    let h = m.g.mul(y, eta);
    let e = m.g.exp(eta);
    let l = m.g.sub(h, e);
    m.term(l);
    m.finish()
}

/// A hidden Markov model of `k` states over `n` steps by the forward algorithm in log space.
fn hmm(k: usize, n: usize) -> (Graph, Vec<Var>) {
    let mut m = Model::new(k * k + k);
    let (raw, mu) = (m.take(k * k, Shape::new(&[k, k])), m.vector(k));
    m.normal_at(mu, 0.0, 3.0);
    let norm = m.g.fold(Fold::LogSumExp, raw, 1);
    let norm = m.g.broadcast_trailing(norm, Shape::new(&[k, k]));
    let trans = m.g.sub(raw, norm);
    let y = wave(n, 0.5);
    let rows: Vec<f64> = (0..n * k).map(|i| y[i / k]).collect();
    let rows = m.g.constant(rows, Shape::new(&[n, k]));
    let means = m.g.broadcast(mu, Shape::new(&[n, k]));
    let r = m.g.sub(rows, means);
    let r = m.g.square(r);
    let emit = m.g.scale(-0.5, r);
    let mut body = Graph::new();
    let a = body.input("alpha", Shape::new(&[k]), Spread::Particle);
    let e = body.input("emit", Shape::new(&[k]), Spread::Particle);
    let t = body.input("trans", Shape::new(&[k, k]), Spread::Particle);
    let from = body.broadcast_trailing(a, Shape::new(&[k, k]));
    let both = body.add(from, t);
    let next = body.fold(Fold::LogSumExp, both, 0);
    let next = body.add(next, e);
    let scan = Scan { body, len: n, xs: 1, next: vec![next], ys: vec![], reverse: false };
    let first = m.g.filled(-(k as f64).ln(), Shape::new(&[k]));
    let at = m.g.scan(scan, &[first], &[emit], &[trans]);
    let last = m.g.proj(at, 0);
    let lp = m.g.fold_all(Fold::LogSumExp, last);
    m.terms.push(lp);
    m.finish()
}

/// Item response: 20 items, 100 persons, a row for each pair.
fn irt() -> (Graph, Vec<Var>) {
    let (items, persons) = (20, 100);
    let n = items * persons;
    let mut m = Model::new(persons + 2 * items);
    let theta = m.vector(persons);
    let (la, b) = (m.vector(items), m.vector(items));
    for v in [theta, la, b] {
        m.normal_at(v, 0.0, 1.0);
    }
    let a = m.g.exp(la);
    let shape = Shape::new(&[n]);
    let item = Index::Repeat { each: persons, len: n };
    let person = Index::Tile { period: persons, len: n };
    let a = m.g.gather(a, item.clone(), shape);
    let b = m.g.gather(b, item, shape);
    let t = m.g.gather(theta, person, shape);
    let d = m.g.sub(t, b);
    let eta = m.g.mul(a, d);
    let y = m.data((0..n).map(|i| (i * 7 % 3 == 0) as u8 as f64).collect());
    let h = m.g.mul(y, eta);
    let s = m.g.unary(Unary::Softplus, eta);
    let l = m.g.sub(h, s);
    m.term(l);
    m.finish()
}

/// A linear regression of `n` rows and `p` columns with unknown scale.
fn linear(n: usize, p: usize) -> (Graph, Vec<Var>) {
    let mut m = Model::new(p + 1);
    let (b, ls) = (m.vector(p), m.scalar());
    m.normal_at(b, 0.0, 1.0);
    let s = m.g.exp(ls);
    let x = m.g.constant(wave(n * p, 0.37), Shape::new(&[n, p]));
    let y = m.data(wave(n, 0.61));
    let f = m.g.matvec(x, b, false);
    m.normal(y, f, s);
    m.finish()
}

/// Moving average of order one with an autoregressive part, by a loop over its errors.
fn arma() -> (Graph, Vec<Var>) {
    let n = 200;
    let mut m = Model::new(4);
    let (mu, phi, theta, ls) = (m.scalar(), m.scalar(), m.scalar(), m.scalar());
    for v in [mu, phi, theta] {
        m.normal_at(v, 0.0, 2.0);
    }
    let s = m.g.exp(ls);
    let y = wave(n + 1, 0.9);
    let before = m.data(y[..n].to_vec());
    let now = m.data(y[1..].to_vec());
    let mut body = Graph::new();
    let e = body.input("e", Shape::SCALAR, Spread::Particle);
    let now_t = body.input("now", Shape::SCALAR, Spread::Shared);
    let before_t = body.input("before", Shape::SCALAR, Spread::Shared);
    let [mu_t, phi_t, theta_t] = ["mu", "phi", "theta"].map(|n| body.input(n, Shape::SCALAR, Spread::Particle));
    let ar = body.mul(phi_t, before_t);
    let ma = body.mul(theta_t, e);
    let nu = body.add(mu_t, ar);
    let nu = body.add(nu, ma);
    let next = body.sub(now_t, nu);
    let scan = Scan { body, len: n, xs: 2, next: vec![next], ys: vec![next], reverse: false };
    let zero = m.g.scalar(0.0);
    let at = m.g.scan(scan, &[zero], &[now, before], &[mu, phi, theta]);
    let errors = m.g.proj(at, 2);
    m.normal(errors, zero, s);
    m.finish()
}

/// Doubles from a cache line on.
struct Line(Vec<f64>, usize);

impl Line {
    fn new(n: usize) -> Line {
        Line(vec![0.0; n + 8], n)
    }

    fn slice(&mut self) -> &mut [f64] {
        let start = self.0.as_ptr().align_offset(64);
        &mut self.0[start..start + self.1]
    }
}

/// Nanoseconds that this process has run, where the system says so.
fn cpu() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// Smallest nanoseconds of a call over many short batches; processor time over a long one for a long call,
/// which other programs would interrupt.
fn time(mut f: impl FnMut()) -> f64 {
    let mut calls = 1;
    let wall = |calls: u32, f: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed().as_secs_f64() * 1e9
    };
    while wall(calls, &mut f) < 2e5 {
        calls *= 2;
    }
    let first = wall(calls, &mut f) / f64::from(calls);
    if first > 1e6
        && let Some(start) = cpu()
    {
        let calls = (2e8 / first).ceil();
        (0..calls as u32).for_each(|_| f());
        return (cpu().unwrap_or(start) - start) / calls;
    }
    (0..300).map(|_| wall(calls, &mut f) / f64::from(calls)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    type Build = fn() -> (Graph, Vec<Var>);
    // Name, target at one lane, target per particle at 64.
    let models: [(&str, Build, f64, f64); 18] = [
        ("eight schools", eight_schools, 150.0, 20.0),
        ("garch 200", garch, 3000.0, 0.0),
        ("student 1000", || student(1000), 10_000.0, 0.0),
        ("student 50000", || student(50_000), 500_000.0, 0.0),
        ("logistic 1000x25", logistic, 14_000.0, 10_500.0),
        ("gp 11", || gp(11), 2500.0, 0.0),
        ("gp 100", || gp(100), 0.0, 200_000.0),
        ("mixture axis", || mixture(true), 25_000.0, 0.0),
        ("mixture softplus", || mixture(false), 25_000.0, 0.0),
        ("funnel 100", funnel, 0.0, 60.0),
        ("ar5 200", ar5, 0.0, 480.0),
        ("poisson glmm 200", glmm, 0.0, 1250.0),
        ("hmm 2x100", || hmm(2, 100), 14_000.0, 0.0),
        ("hmm 4x400", || hmm(4, 400), 80_000.0, 0.0),
        ("irt 20x100", irt, 25_000.0, 0.0),
        ("linear 1200x10", || linear(1200, 10), 20_000.0, 0.0),
        ("linear 5000x24", || linear(5000, 24), 17_000.0, 0.0),
        ("arma 200", arma, 3300.0, 0.0),
    ];
    println!("model               | compile us |    1 lane (target) |      8 |     16 |     64 (target)");
    for (name, build, one, many) in &models {
        if args.first().is_some_and(|a| !name.contains(a.as_str())) {
            continue;
        }
        let (g, out) = build();
        let mut line = format!("{name:19} ");
        let only = args.get(1).and_then(|a| a.parse().ok());
        for lanes in [1, 8, 16, 64] {
            if only.is_some_and(|o| o != lanes) {
                continue;
            }
            let options = Options { lanes, isa: Isa::detect() };
            if lanes == 1 && only.is_none() {
                let t = time(|| {
                    black_box(Program::<f64>::compile(&g, &out, &options));
                });
                line += &format!("| {:10.1} ", t / 1e3);
            }
            let p = Program::compile(&g, &out, &options);
            let dim = g.shape(g.inputs()[0].var).count();
            let mut q = Line::new(dim * lanes);
            let q = q.slice();
            for (i, x) in q.iter_mut().enumerate() {
                *x = 0.1 + 0.01 * (i % 7) as f64;
            }
            let (mut lp, mut d) = (Line::new(lanes), Line::new(dim * lanes));
            let (lp, d) = (lp.slice(), d.slice());
            let mut ws = vec![0.0; p.scratch()];
            if only == Some(lanes) && p.width() == lanes {
                print!("{}", p.describe());
                for t in p.profile(&[&*q], &mut [&mut *lp, &mut *d], &mut ws) {
                    println!("{:3} {:16} {:10.1}", t.stage, t.name, t.nanoseconds);
                }
            }
            let mut call = || p.run(&[black_box(&*q)], &mut [&mut *lp, &mut *d], &mut ws);
            let t = time(&mut call) / lanes as f64;
            line += &match lanes {
                1 => format!("| {t:10.1} ({one:6}) "),
                64 => format!("| {t:8.1} ({many})"),
                _ => format!("| {t:8.1} "),
            };
        }
        println!("{line}");
    }
}
