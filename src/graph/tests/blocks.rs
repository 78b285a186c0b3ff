//! Adjoints of loops in blocks are those of the loop at once.

use super::registry::values;
use super::{distance, random};
use crate::graph::check::check;
use crate::graph::eval::evaluate;
use crate::graph::hoist::hoist;
use crate::graph::op::Op;
use crate::graph::reverse::{blocks, gradient, scan};
use crate::graph::{Graph, Scan, Shape, Spread, Unary, Var};

/// Lengths that blocks divide, and lengths that leave steps over, are all among those of the random loops.
#[test]
fn blocks_give_the_cotangents_of_the_loop() {
    let mut seen = [false; 6];
    for seed in 1..200 {
        let (mut g, data, _, _) = random::program(seed);
        let inputs: Vec<&[f64]> = data.iter().map(Vec::as_slice).collect();
        let loops = |g: &Graph| g.nodes().iter().position(|n| matches!(n.op, Op::Scan(_)));
        let at = Var(loops(&g).expect("the program has a loop") as u32);
        let node = g.node(at).clone();
        let Op::Scan(s) = &node.op else { unreachable!("found as a loop") };
        seen[s.len] = true;
        let count = 2 * s.next.len() + s.ys.len();
        let outputs: Vec<Option<Var>> = (0..count)
            .map(|k| {
                let shape = Graph::scan_output_shape(s, k);
                let own = g.constant(values(shape.count(), k, -1.0, 1.0), shape);
                // Some outputs are not read; the same cotangent for every element is a scalar.
                match (k as u64 + seed) % 4 {
                    0 => None,
                    1 => Some(g.scalar(0.7)),
                    _ => Some(own),
                }
            })
            .collect();
        let on = vec![true; node.args.len()];
        let whole = scan::cotangents(&mut g, s, (at, &node.args), &outputs, &on, seed % 2 == 0);
        let parts = blocks::in_blocks(&mut g, s, &node.args, &outputs, &on, seed % 2 == 0);
        if let Err(e) = check(&g) {
            panic!("{seed}: {e}\n{g}");
        }
        let value = |found: &[(usize, Var)]| -> Vec<f64> {
            let mut all: Vec<Vec<f64>> = node.args.iter().map(|a| vec![0.0; g.shape(*a).count()]).collect();
            for (k, v) in found {
                let ct = evaluate(&g, &inputs, &[*v]).concat();
                all[*k].iter_mut().enumerate().for_each(|(j, x)| *x += ct[if ct.len() == 1 { 0 } else { j }]);
            }
            all.concat()
        };
        let error = distance(&value(&parts), &value(&whole));
        assert!(error < 1e-12, "{seed}: {error:e}");
    }
    assert!(seen[1..].iter().all(|s| *s), "{seen:?}");
}

/// A loop with large carries takes blocks by itself: no stack of all its carries is left.
#[test]
fn large_carries_are_not_all_stored() {
    let (len, width) = (1 << 13, 1 << 11);
    let mut body = Graph::new();
    let c = body.input("carry", Shape::new(&[width]), Spread::Particle);
    let x = body.input("slice", Shape::SCALAR, Spread::Shared);
    let s = body.add(c, x);
    let next = body.unary(Unary::Sin, s);
    let mut g = Graph::new();
    let init = g.input("init", Shape::new(&[width]), Spread::Particle);
    let xs = g.input("xs", Shape::new(&[len]), Spread::Shared);
    let at = g.scan(Scan { body, len, xs: 1, next: vec![next], ys: vec![], reverse: false }, &[init], &[xs], &[]);
    let last = g.proj(at, 0);
    let y = g.sum(last);
    let mut grads = gradient(&mut g, y, &[init, xs]);
    grads.push(y);
    let (split, _) = hoist(&g, &grads);
    let largest = split.nodes().iter().map(|n| n.shape.count()).max().unwrap_or(0);
    assert!(largest <= len.isqrt().next_multiple_of(2) * width * 2, "{largest}\n{split}");
}
