//! From one point to many: a graph for one point becomes one for a batch of points.

use std::collections::HashMap;

use super::Graph;
use super::build::Input;
use super::op::{Op, Scan, Spread, Var};
use super::prune::prune;
use super::shape::Shape;
use super::vmap::{self, Value, permuted, stacked};

/// The graph of `outputs` of `g` at `n` points at once.
///
/// Input k gets a leading axis of `n` where `batched[k]`, and is shared by all points else; inputs keep
/// their order and names. Every output has a leading axis of `n` (one of rank 5 or more lies flat behind
/// it). A product of a shared matrix with something of each point is one matrix product for all points,
/// and so is its derivative in the matrix: take derivatives with [`super::reverse::grad`] after batching,
/// and those in shared inputs are sums over the points. A loop runs once, on carries with an axis of points.
///
/// The batch is an ordinary array, all inputs have [`Spread::Shared`]: compile the result for one lane.
///
/// # Panics
/// Where `batched` does not have one entry per input.
pub fn batch(g: &Graph, outputs: &[Var], batched: &[bool], n: usize) -> (Graph, Vec<Var>) {
    assert_eq!(batched.len(), g.inputs().len(), "every input is batched or shared");
    let (source, wanted) = prune(g, outputs);
    let mut built = Graph::new();
    let input = |(input, wide): (&Input, &bool)| {
        let shape = source.shape(input.var);
        let shape = if *wide { stacked(shape, n) } else { shape };
        Value { var: built.input(&input.name, shape, Spread::Shared), stacked: *wide }
    };
    let inputs: Vec<Value> = source.inputs().iter().zip(batched).map(input).collect();
    let values = points(&mut built, &source, &inputs, n);
    let outputs: Vec<Var> = wanted.iter().map(|o| values[o.index()].full(&mut built, n)).collect();
    prune(&built, &outputs)
}

/// Every node of `source` at all points, with a leading axis where points differ.
fn points(g: &mut Graph, source: &Graph, inputs: &[Value], n: usize) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::with_capacity(source.nodes().len());
    let mut loops: HashMap<Var, Vec<bool>> = HashMap::new();
    for node in source.nodes() {
        let args: Vec<Value> = node.args.iter().map(|a| values[a.index()]).collect();
        g.set_origin(node.origin);
        let value = match &node.op {
            Op::Input(k) => inputs[*k as usize],
            Op::Scan(s) => {
                let (at, wide) = scan(g, s, &args, n);
                loops.insert(at, wide);
                Value::fixed(at)
            }
            Op::Proj(k) => {
                let (at, k) = (args[0].var, *k as usize);
                read_off(g, at, k, loops[&at][k], node.shape, n)
            }
            op => vmap::apply(g, op, node.shape, &args, n).expect("every operation on arrays has a form on stacks"),
        };
        values.push(value);
    }
    values
}

/// The loop on all points at once, with which of its outputs differ between points.
fn scan(g: &mut Graph, s: &Scan, args: &[Value], n: usize) -> (Var, Vec<bool>) {
    let slices = s.next.len()..s.next.len() + s.xs;
    let args: Vec<(Var, bool)> = args
        .iter()
        .enumerate()
        .map(|(k, a)| {
            if !(a.stacked && slices.contains(&k)) {
                return (a.var, a.stacked);
            }
            let slice = carried(s.body.shape(s.body.inputs()[k].var), n);
            (swapped(g, a.var, (n, s.len), Shape::new(&[&[s.len], slice.dims()].concat())), true)
        })
        .collect();
    batch_scan(g, s, &args, n)
}

/// The loop `s` of one point on `n` points at once, and for each of its outputs whether it differs between
/// points.
///
/// Arguments are those of the loop for one point with an axis of points where the flag says so: in front,
/// or behind the steps for slices `[len, n, …]`. Outputs that differ have it at the same places. (An event
/// of rank 5 or more lies flat behind the axis of points.)
pub fn batch_scan(g: &mut Graph, s: &Scan, args: &[(Var, bool)], n: usize) -> (Var, Vec<bool>) {
    let wide = wide_inputs(s, args);
    let carries = s.next.len();
    let widest = args.iter().map(|a| g.node(a.0).spread).max().unwrap_or(Spread::Shared);
    let mut body = Graph::new();
    let mut inputs = vec![];
    for (k, (input, &stacked)) in s.body.inputs().iter().zip(&wide).enumerate() {
        let shape = s.body.shape(input.var);
        let shape = if stacked { carried(shape, n) } else { shape };
        let spread = if k < carries { widest } else { g.node(args[k].0).spread };
        inputs.push(Value { var: body.input(&input.name, shape, spread), stacked });
    }
    let values = points(&mut body, &s.body, &inputs, n);
    let mut next = vec![];
    for (v, input) in s.next.iter().zip(&inputs) {
        let v = values[v.index()];
        let v = if input.stacked { v.full(&mut body, n) } else { v.var };
        next.push(body.reshape(v, body.shape(input.var)));
    }
    let mut ys = vec![];
    let mut outputs = [&wide[..carries], &wide[..carries]].concat();
    for y in &s.ys {
        let v = values[y.index()];
        let shape = s.body.shape(*y);
        ys.push(if v.stacked { body.reshape(v.var, carried(shape, n)) } else { v.var });
        outputs.push(v.stacked);
    }
    let mut outer = vec![];
    for (k, &(v, stacked)) in args.iter().enumerate() {
        let shape = body.shape(inputs[k].var);
        let slice = (carries..carries + s.xs).contains(&k);
        outer.push(match (k < carries && wide[k] && !stacked, slice) {
            (true, _) => g.fill_to(v, shape),
            (_, true) => v,
            _ => g.reshape(v, shape),
        });
    }
    let s = Scan { body, len: s.len, xs: s.xs, next, ys, reverse: s.reverse };
    let (init, rest) = outer.split_at(carries);
    let (xs, each) = rest.split_at(s.xs);
    (g.scan(s, init, xs, each), outputs)
}

/// Shape of `n` events beside each other inside a loop, which needs room for an axis of steps in front.
fn carried(shape: Shape, n: usize) -> Shape {
    if shape.rank() > 4 { Shape::new(&[n, shape.count()]) } else { stacked(shape, n) }
}

/// Which inputs of the body differ between points: those given so, and carries that come to.
fn wide_inputs(s: &Scan, args: &[(Var, bool)]) -> Vec<bool> {
    let mut wide: Vec<bool> = args.iter().map(|a| a.1).collect();
    loop {
        let mut nodes: Vec<bool> = Vec::with_capacity(s.body.nodes().len());
        for node in s.body.nodes() {
            nodes.push(match node.op {
                Op::Input(k) => wide[k as usize],
                _ => node.args.iter().any(|a| nodes[a.index()]),
            });
        }
        let found = (0..s.next.len()).filter(|&k| nodes[s.next[k].index()] && !wide[k]).collect::<Vec<_>>();
        if found.is_empty() {
            return wide;
        }
        found.into_iter().for_each(|k| wide[k] = true);
    }
}

/// Output `k` of a loop on all points, points in front of steps; of `shape` at one point.
fn read_off(g: &mut Graph, at: Var, k: usize, wide: bool, shape: Shape, n: usize) -> Value {
    let v = g.proj(at, k);
    let Op::Scan(s) = &g.node(at).op else { unreachable!("Proj reads a loop") };
    let (len, carries) = (s.len, s.next.len());
    if !wide || k < carries {
        return Value { var: v, stacked: wide };
    }
    Value::stack(swapped(g, v, (len, n), stacked(shape, n)))
}

/// `[a, b, …]` as `[b, a, …]`
fn swapped(g: &mut Graph, v: Var, (a, b): (usize, usize), to: Shape) -> Var {
    let inner = to.count() / (a * b).max(1);
    permuted(g, v, [1, a, b, inner], [0, 2, 1, 3], to)
}
