//! Random loops: derivatives and rewrites against each other.

use super::registry::values;
use super::{distance, evaluate};
use crate::graph::check::check;
use crate::graph::hoist::hoist;
use crate::graph::jvp::jvp;
use crate::graph::op::{Binary, Fold, Unary};
use crate::graph::prune::prune;
use crate::graph::reverse::gradient;
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var};

/// A small multiplicative generator (Lehmer's), enough to choose shapes of programs.
struct Choice(u64);

impl Choice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0 * 48_271 % 2_147_483_647;
        self.0 as usize % n
    }
}

const VECTOR: usize = 3;

fn shape(vector: bool) -> Shape {
    if vector { Shape::new(&[VECTOR]) } else { Shape::SCALAR }
}

/// One more node on nodes chosen at random, bounded so that long loops stay tame.
fn grow(g: &mut Graph, c: &mut Choice, nodes: &[Var]) -> Var {
    let (a, b) = (nodes[c.below(nodes.len())], nodes[c.below(nodes.len())]);
    let vector = Shape::new(&[VECTOR]);
    match c.below(13) {
        0 => g.add(a, b),
        1 => g.sub(a, b),
        2 => g.mul(a, b),
        3 => g.scale(0.7, a),
        4 => g.unary(Unary::Tanh, a),
        5 => g.unary(Unary::Sin, a),
        6 => {
            let cond = g.binary(Binary::Lt, a, b);
            let s = g.unary(Unary::Softplus, a);
            let s = g.log(s);
            g.select(cond, s, b)
        }
        7 if g.shape(a) == vector => g.gather(a, Index::Table([2, 0, 1].into()), vector),
        8 => g.sum(a),
        9 => g.broadcast_if_scalar(a),
        10 if g.shape(a) == vector => g.cumsum(a, false),
        11 if g.shape(a) == vector => g.fold_all(Fold::LogSumExp, a),
        _ => g.binary(Binary::Max, a, b),
    }
}

impl Graph {
    fn broadcast_if_scalar(&mut self, a: Var) -> Var {
        if self.shape(a).is_scalar() { self.broadcast(a, Shape::new(&[VECTOR])) } else { a }
    }
}

/// A loop with random carries and body, and the sum of the sines of all its outputs.
pub fn program(seed: u64) -> (Graph, Vec<Vec<f64>>, Vec<Var>, Var) {
    let c = &mut Choice(seed * 7919 + 17);
    for _ in 0..5 {
        c.below(2);
    }
    let (len, carries, xs, each) = (1 + c.below(5), 1 + c.below(3), c.below(3), c.below(3));
    let (mut body, mut g) = (Graph::new(), Graph::new());
    let (mut nodes, mut args, mut data) = (vec![], vec![], vec![]);
    for k in 0..carries + xs + each {
        let s = shape(c.below(2) == 0);
        nodes.push(body.input("in", s, Spread::Particle));
        let slice = (carries..carries + xs).contains(&k);
        let outer = if slice { Shape::new(&[&[len], s.dims()].concat()) } else { s };
        args.push(g.input("x", outer, Spread::Particle));
        data.push(values(outer.count(), k + seed as usize, -1.0, 1.0));
    }
    for _ in 0..6 + c.below(10) {
        let v = grow(&mut body, c, &nodes);
        nodes.push(v);
    }
    let next = (0..carries)
        .map(|k| {
            let s = body.shape(nodes[k]);
            let fitting: Vec<Var> = nodes.iter().copied().filter(|v| body.shape(*v) == s).collect();
            let v = fitting[c.below(fitting.len())];
            // Most recurrences are damped, some are left as they are.
            if c.below(3) == 0 { v } else { body.scale(0.5, v) }
        })
        .collect();
    let ys = (0..c.below(3)).map(|_| nodes[c.below(nodes.len())]).collect::<Vec<_>>();
    let count = 2 * carries + ys.len();
    let scan = Scan { body, len, xs, next, ys, reverse: c.below(2) == 0 };
    let (init, rest) = args.split_at(carries);
    let (slices, shared) = rest.split_at(xs);
    let at = g.scan(scan, init, slices, shared);
    let mut total = g.scalar(0.0);
    for k in 0..count {
        if c.below(3) > 0 {
            let v = g.proj(at, k);
            let v = g.unary(Unary::Sin, v);
            let v = g.sum(v);
            total = g.add(total, v);
        }
    }
    (g, data, args, total)
}

#[test]
fn random_loops_survive_every_rewrite() {
    for seed in 1..400 {
        let (mut g, data, args, y) = program(seed);
        let inputs: Vec<&[f64]> = data.iter().map(|d| d.as_slice()).collect();
        let mut outputs = gradient(&mut g, y, &args);
        let forward = jvp(&mut g, &[y], &args, &args)[0];
        let products = jvp(&mut g, &outputs, &args, &args);
        outputs.push(y);
        // <gradient, x> both ways.
        let grads = evaluate(&g, &inputs, &outputs[..args.len()]).concat();
        let along: f64 = grads.iter().zip(data.concat()).map(|(d, x)| d * x).sum();
        let forward = evaluate(&g, &inputs, &[forward]).concat();
        assert!(distance(&[along], &forward) < 1e-11, "{seed}: {along} {forward:?}\n{g}");
        outputs.extend(products);
        let before = evaluate(&g, &inputs, &outputs).concat();
        assert!(before.iter().all(|x| x.is_finite()), "{seed}: {before:?}");
        for (rewritten, kept) in [prune(&g, &outputs), hoist(&g, &outputs)] {
            if let Err(e) = check(&rewritten) {
                panic!("{seed}: {e}\n{rewritten}");
            }
            let after = evaluate(&rewritten, &inputs, &kept).concat();
            let error = distance(&after, &before);
            assert!(error < 1e-11, "{seed}: {error:e}\n{g}\n{rewritten}");
        }
    }
}
