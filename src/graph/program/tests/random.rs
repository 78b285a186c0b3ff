//! Random programs: whatever is fused, joined, moved or put together in place, the values stay.

use super::{Numbers, agree_to};
use crate::graph::reverse::grad;
use crate::graph::{Binary, Fold, Graph, Index, Scan, Shape, Spread, Unary, Var};

/// A choice below `n`.
fn below(r: &mut Numbers, n: usize) -> usize {
    (r.unit() * n as f64) as usize
}

/// Values known so far, scalars and arrays of two lengths.
struct Pool {
    g: Graph,
    lengths: [usize; 2],
    known: Vec<Var>,
}

impl Pool {
    fn any(&self, r: &mut Numbers) -> Var {
        // Rather what is new: deep graphs find more.
        let n = self.known.len();
        let back = below(r, n).min(below(r, n));
        self.known[n - 1 - back]
    }

    /// Some value that is a scalar or has the shape of `a`.
    fn mate(&self, r: &mut Numbers, a: Var) -> Var {
        for _ in 0..20 {
            let b = self.any(r);
            let (x, y) = (self.g.shape(a), self.g.shape(b));
            if x == y || x.is_scalar() || y.is_scalar() {
                return b;
            }
        }
        a
    }

    fn elementwise(&mut self, r: &mut Numbers, a: Var) -> Var {
        let b = self.mate(r, a);
        let g = &mut self.g;
        match below(r, 12) {
            0 => g.add(a, b),
            1 | 2 => g.sub(a, b),
            3 | 4 => {
                let p = g.mul(a, b);
                g.unary(Unary::Tanh, p)
            }
            5 => g.unary(Unary::Sin, a),
            6 => {
                let s = g.unary(Unary::Softplus, a);
                let t = g.unary(Unary::Sigmoid, a);
                g.sub(s, t)
            }
            7 => g.scale(-0.5, a),
            8 => g.neg(a),
            9 => {
                let s = g.square(a);
                let s = g.shift(s, 1.0);
                g.log(s)
            }
            10 => {
                let c = g.binary(Binary::Lt, a, b);
                g.select(c, a, b)
            }
            _ => {
                let x = g.unary(Unary::Tanh, a);
                g.exp(x)
            }
        }
    }

    fn move_or_fold(&mut self, r: &mut Numbers, a: Var) -> Var {
        let n = self.g.shape(a).count();
        let len = self.lengths[below(r, 2)];
        let shape = Shape::new(&[len]);
        let g = &mut self.g;
        match below(r, 11) {
            0 => {
                let s = g.sum(a);
                g.unary(Unary::Tanh, s)
            }
            1 => {
                let s = g.dot(a, a);
                g.scale(1.0 / (n as f64), s)
            }
            2 => g.fold_all(Fold::LogSumExp, a),
            3 => {
                let t = (0..len).map(|j| ((j * j + 1) % n) as u32).collect();
                g.gather(a, Index::from_table(t), shape)
            }
            4 => g.gather(a, Index::Tile { period: n, len }, shape),
            5 => {
                let t = (0..n).map(|j| ((j * 3) % len) as u32).collect();
                let s = g.scatter_add(a, Index::from_table(t), shape);
                g.unary(Unary::Sin, s)
            }
            6 if n > 2 => {
                let piece = Index::Stride { start: 1, stride: 1, len: n - 2 };
                let p = g.gather(a, piece, Shape::new(&[n - 2]));
                let ends: Vec<Var> = [0, n - 1]
                    .into_iter()
                    .map(|start| {
                        let end = Index::Stride { start, stride: 1, len: 1 };
                        g.gather(a, end, Shape::new(&[1]))
                    })
                    .collect();
                g.concat(&[ends[1], p, ends[0]], Shape::new(&[n]))
            }
            7 => g.broadcast(a, if n == 1 { shape } else { g.shape(a) }),
            8 | 9 if n > 2 => self.whole_and_parts(r, a),
            _ => self.recurrence(a),
        }
    }

    /// Two pieces of `a`, and the array of both: all three may be read by what comes next.
    fn whole_and_parts(&mut self, r: &mut Numbers, a: Var) -> Var {
        let n = self.g.shape(a).count();
        let cut = 1 + below(r, n - 1);
        let parts = [(0, cut), (cut, n - cut)].map(|(start, len)| {
            let piece = Index::Stride { start, stride: 1, len };
            let p = self.g.gather(a, piece, Shape::new(&[len]));
            self.g.unary(Unary::Sin, p)
        });
        self.known.extend(parts);
        self.g.concat(&parts, Shape::new(&[n]))
    }

    /// A loop over the elements of `a`.
    fn recurrence(&mut self, a: Var) -> Var {
        let n = self.g.shape(a).count();
        if n == 1 || n > 100 {
            return a;
        }
        let spread = self.g.node(a).spread;
        let mut body = Graph::new();
        let c = body.input("c", Shape::SCALAR, spread);
        let x = body.input("x", Shape::SCALAR, spread);
        let p = body.scale(0.5, c);
        let next = body.add(p, x);
        let y = body.mul(next, c);
        let y = body.unary(Unary::Tanh, y);
        let scan = Scan { body, len: n, xs: 1, next: vec![next], ys: vec![y], reverse: n.is_multiple_of(2) };
        let zero = self.g.scalar(0.1);
        let at = self.g.scan(scan, &[zero], &[a], &[]);
        // The last carry, the carries and the outputs may all be read by what comes next.
        let last = self.g.proj(at, 0);
        let traces = [1, 2].map(|k| {
            let trace = self.g.proj(at, k);
            self.g.reshape(trace, Shape::new(&[n]))
        });
        self.known.extend([last, traces[1 - n % 2]]);
        traces[n % 2]
    }
}

fn program(seed: u64) -> (Graph, Vec<Var>) {
    let r = &mut Numbers::new(seed);
    let long = [70, 300, 520][below(r, 3)];
    let lengths = [1 + below(r, 12), long];
    let mut g = Graph::new();
    let mut known = vec![];
    let spreads = [Spread::Particle, Spread::Particle, Spread::Shared];
    for (k, spread) in spreads.into_iter().enumerate() {
        known.push(g.input("s", Shape::SCALAR, spread));
        known.push(g.input("a", Shape::new(&[lengths[k % 2]]), spread));
    }
    for len in lengths {
        let data = r.many(len, -1.0, 1.0);
        known.push(g.constant(data, Shape::new(&[len])));
    }
    let mut p = Pool { g, lengths, known };
    for _ in 0..10 + below(r, 25) {
        let a = p.any(r);
        let v = if below(r, 3) > 0 { p.elementwise(r, a) } else { p.move_or_fold(r, a) };
        p.known.push(v);
    }
    let n = p.known.len();
    let mut out: Vec<Var> = p.known[n - 3..].to_vec();
    let s = p.g.sum(out[0]);
    let t = p.g.sum(out[2]);
    let total = p.g.add(s, t);
    let wrt: Vec<Var> = p.g.inputs().iter().map(|i| i.var).collect();
    let one = p.g.scalar(1.0);
    out.extend(grad(&mut p.g, &[total], &[one], &wrt));
    (p.g, out)
}

#[test]
fn random_programs_and_their_gradients() {
    for seed in 1..=60 {
        let (g, out) = program(seed);
        agree_to(&g, &out, (-1.0, 1.0), 1e-10);
    }
}
