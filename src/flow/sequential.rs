//! The sequential direction of an autoregressive layer: one loop in which each unit of the network is computed once.

use super::elementwise::Elementwise;
use super::mlp::{Mlp, Weights};
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var};

/// Degrees of the units of a masked network: inputs have their place in the order, 0 what is always known.
pub(super) struct Order<'a> {
    /// Place of each coordinate, from 1.
    pub place: &'a [usize],
    /// Degrees of the units of each hidden layer: the last place that they see.
    pub hidden: &'a [Vec<usize>],
    /// Length of the context; 0 where none is read.
    pub context: usize,
}

/// Rows of a layer that are computed together at step t, and where each unit finds itself among them.
struct Groups {
    /// Rows of the layer by step, `[steps, size]`; filled up with row 0, which nobody reads then.
    rows: Vec<usize>,
    size: usize,
    /// Position of each unit in its group.
    position: Vec<usize>,
    /// 1 where the unit is computed at the step, `[steps, units]`.
    now: Vec<f64>,
}

impl Groups {
    /// Groups of the units by the step at which they are computed.
    fn new(steps: usize, step_of: &[usize]) -> Groups {
        let mut members: Vec<Vec<usize>> = vec![vec![]; steps];
        let mut position = Vec::with_capacity(step_of.len());
        for (unit, &t) in step_of.iter().enumerate() {
            position.push(members[t].len());
            members[t].push(unit);
        }
        let size = members.iter().map(Vec::len).max().unwrap_or(0);
        let filled = |m: Vec<usize>| m.into_iter().chain(std::iter::repeat(0)).take(size);
        let n = step_of.len();
        let now = (0..steps * n).map(|k| f64::from(u8::from(step_of[k % n] == k / n))).collect();
        Groups { rows: members.into_iter().flat_map(filled).collect(), size, position, now }
    }
}

/// What every step of the loop receives, as arguments of the loop.
struct Arguments {
    /// Rows of weights and biases of each layer, and for hidden layers which units they are.
    slices: Vec<Var>,
    groups: Vec<Groups>,
}

/// The x at which `map.forward` with the parameters of the network at x gives `y [d]`, and the sum of the
/// log-derivatives of x in y.
///
/// Step t finishes the coordinate at place t + 1: its parameters read hidden units of degree at most t, and those of
/// degree t read nothing but what is finished. So every unit is computed at one step, and d steps cost about as
/// much arithmetic as one pass. What is not yet known is 0 and never read, so nothing can overflow on the way.
pub(super) fn solve(
    g: &mut Graph,
    (net, map, order): (&Mlp, &Elementwise, &Order),
    weights: &Weights,
    y: Var,
    ctx: Option<Var>,
) -> (Var, Var) {
    let d = order.place.len();
    let ctx = ctx.filter(|_| order.context > 0);
    let steps: Vec<usize> = order.place.iter().map(|p| p - 1).collect();
    let Arguments { slices, groups } = arguments(g, map, order, weights);
    let targets = Groups::new(d, &steps);
    let aligned = by_rows(g, y, &targets.rows, 1);
    let aligned = g.reshape(aligned, Shape::new(&[d, 1]));
    let turn = g.constant(targets.now, Shape::new(&[d, d]));
    let xs: Vec<Var> = [aligned, turn].into_iter().chain(slices).collect();

    let sizes: Vec<usize> = [d].into_iter().chain(order.hidden.iter().map(Vec::len)).collect();
    let init: Vec<Var> = sizes.iter().map(|&n| g.filled(0.0, Shape::new(&[n]))).collect();
    let spreads = xs.iter().chain(&ctx).map(|v| g.node(*v).spread);
    let widest = spreads.max().unwrap_or(Spread::Shared);
    let mut body = Graph::new();
    let carries: Vec<Var> = sizes.iter().map(|&n| body.input("known", Shape::new(&[n]), widest)).collect();
    let slice = |v: &Var| body.input("slice", Shape::new(&g.shape(*v).dims()[1..]), g.node(*v).spread);
    let given: Vec<Var> = xs.iter().map(slice).collect();
    let inner = ctx.map(|c| body.input("context", g.shape(c), g.node(c).spread));
    let (next, log) = step(&mut body, (net, map), &groups, &carries, &given, inner);
    let scan = Scan { body, len: d, xs: xs.len(), next, ys: vec![log], reverse: false };
    let each: Vec<Var> = ctx.into_iter().collect();
    let node = g.scan(scan, &init, &xs, &each);
    let (x, logs) = (g.proj(node, 0), g.proj(node, 2 * sizes.len()));
    (x, g.sum(logs))
}

/// One step: the hidden units of its degree, layer by layer, then its coordinate. Returns what is known then, and
/// the log-derivative of the coordinate.
fn step(
    g: &mut Graph,
    (net, map): (&Mlp, &Elementwise),
    groups: &[Groups],
    carries: &[Var],
    given: &[Var],
    ctx: Option<Var>,
) -> (Vec<Var>, Var) {
    let (y, turn) = (given[0], given[1]);
    let known = g.shape(carries[0]).count() + ctx.map_or(0, |c| g.shape(c).count());
    let inputs: Vec<Var> = [carries[0]].into_iter().chain(ctx).collect();
    let mut inputs = g.concat(&inputs, Shape::new(&[known]));
    let (mut next, mut rest) = (vec![], &given[2..]);
    for (group, &old) in groups.iter().zip(&carries[1..]) {
        let (weight, bias, now) = (rest[0], rest[1], rest[2]);
        let units = g.matvec(weight, inputs, false);
        let units = g.add(units, bias);
        let units = net.activate(g, units);
        let index = Index::from_table(group.position.iter().map(|&q| q as u32).collect());
        let placed = g.gather(units, index, Shape::new(&[group.position.len()]));
        inputs = g.select(now, placed, old);
        next.push(inputs);
        rest = &rest[3..];
    }
    let raw = g.matvec(rest[0], inputs, false);
    let raw = g.add(raw, rest[1]);
    let (found, log) = map.inverse(g, y, raw);
    let found = g.reshape(found, Shape::SCALAR);
    let x = g.select(turn, found, carries[0]);
    (vec![x].into_iter().chain(next).collect(), g.reshape(log, Shape::SCALAR))
}

/// Weights and biases by step: for hidden layers the rows of the degree of the step, for the last layer those of the
/// step's coordinate.
fn arguments(g: &mut Graph, map: &Elementwise, order: &Order, weights: &Weights) -> Arguments {
    let d = order.place.len();
    let (mut slices, mut groups) = (vec![], vec![]);
    for (degrees, &(weight, bias)) in order.hidden.iter().zip(weights) {
        let group = Groups::new(d, degrees);
        slices.extend(sliced(g, weight, bias, &group, d));
        slices.push(g.constant(group.now.clone(), Shape::new(&[d, degrees.len()])));
        groups.push(group);
    }
    let owners: Vec<usize> = map.owners(d).into_iter().map(|k| order.place[k] - 1).collect();
    let (weight, bias) = weights[order.hidden.len()];
    slices.extend(sliced(g, weight, bias, &Groups::new(d, &owners), d));
    Arguments { slices, groups }
}

/// Weight `[steps, size, inputs]` and bias `[steps, size]` of the rows of each step.
fn sliced(g: &mut Graph, weight: Var, bias: Var, group: &Groups, steps: usize) -> [Var; 2] {
    let n = g.shape(weight).dims()[1];
    let (w, b) = (by_rows(g, weight, &group.rows, n), by_rows(g, bias, &group.rows, 1));
    [g.reshape(w, Shape::new(&[steps, group.size, n])), g.reshape(b, Shape::new(&[steps, group.size]))]
}

/// The given rows of `n` elements, one after another.
fn by_rows(g: &mut Graph, v: Var, rows: &[usize], n: usize) -> Var {
    let table: Vec<u32> = rows.iter().flat_map(|r| (r * n..(r + 1) * n).map(|k| k as u32)).collect();
    let len = table.len();
    g.gather(v, Index::from_table(table), Shape::new(&[len]))
}
