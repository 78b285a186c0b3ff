//! Reference evaluator: one particle, one node at a time, obviously right; the oracle of every executor.

mod array;
mod elementwise;
mod linalg;
mod special;

use super::op::{Op, Scan, Var};
use super::{Graph, Node};

/// Values of `outputs` for one particle; `inputs[k]` holds the k-th input, row-major. Only nodes that
/// the outputs need are computed.
///
/// NaN is a value like any other: it never causes a panic.
///
/// # Panics
/// Where an input is missing or has the wrong number of elements, or an output is a loop itself
/// (read it by [`Graph::proj`]).
pub fn evaluate(g: &Graph, inputs: &[&[f64]], outputs: &[Var]) -> Vec<Vec<f64>> {
    let needed = super::prune::needed(g, outputs);
    let mut values: Vec<Value> = Vec::with_capacity(g.nodes().len());
    for (i, node) in g.nodes().iter().enumerate() {
        let value = if needed[i] { evaluate_node(g, node, inputs, &values) } else { Value::Absent };
        values.push(value);
    }
    outputs.iter().map(|v| values[v.index()].array().to_vec()).collect()
}

/// What a node evaluates to.
enum Value {
    Absent,
    Array(Vec<f64>),
    /// All outputs of a loop, in the order of `Proj`.
    Loop(Vec<Vec<f64>>),
}

impl Value {
    fn array(&self) -> &[f64] {
        match self {
            Value::Array(a) => a,
            _ => unreachable!("arguments are computed before uses and loops are read by Proj"),
        }
    }
}

fn evaluate_node(g: &Graph, node: &Node, inputs: &[&[f64]], values: &[Value]) -> Value {
    let n = node.shape.count();
    match &node.op {
        Op::Input(k) => {
            let data = inputs[*k as usize];
            assert_eq!(data.len(), n, "input {}", g.inputs()[*k as usize].name);
            Value::Array(data.to_vec())
        }
        Op::Scan(s) => {
            let args: Vec<&[f64]> = node.args.iter().map(|a| values[a.index()].array()).collect();
            Value::Loop(run_scan(s, &args))
        }
        Op::Proj(k) => match &values[node.args[0].index()] {
            Value::Loop(outputs) => Value::Array(outputs[*k as usize].clone()),
            _ => unreachable!("Proj reads a loop"),
        },
        _ => {
            let args: Vec<array::Arg> = node.args.iter().map(|a| (values[a.index()].array(), g.shape(*a))).collect();
            Value::Array(array::evaluate(&node.op, &args, node.shape))
        }
    }
}

/// Runs a loop; returns final carries, carry-in traces and per-step outputs.
fn run_scan(scan: &Scan, args: &[&[f64]]) -> Vec<Vec<f64>> {
    let carries = scan.next.len();
    let (init, rest) = args.split_at(carries);
    let (xs, each) = rest.split_at(scan.xs);
    let mut carry: Vec<Vec<f64>> = init.iter().map(|c| c.to_vec()).collect();
    let stacked = |v: &Var| vec![0.0; scan.len * scan.body.shape(*v).count()];
    let mut traces: Vec<Vec<f64>> = scan.next.iter().map(stacked).collect();
    let mut ys: Vec<Vec<f64>> = scan.ys.iter().map(stacked).collect();
    let outputs: Vec<Var> = scan.next.iter().chain(&scan.ys).copied().collect();
    for step in 0..scan.len {
        let t = if scan.reverse { scan.len - 1 - step } else { step };
        for (trace, c) in traces.iter_mut().zip(&carry) {
            trace[t * c.len()..(t + 1) * c.len()].copy_from_slice(c);
        }
        let mut inputs: Vec<&[f64]> = carry.iter().map(|c| c.as_slice()).collect();
        for x in xs {
            let w = x.len() / scan.len;
            inputs.push(&x[t * w..(t + 1) * w]);
        }
        inputs.extend(each);
        let mut results = evaluate(&scan.body, &inputs, &outputs);
        let step_ys = results.split_off(carries);
        for (y, v) in ys.iter_mut().zip(step_ys) {
            y[t * v.len()..(t + 1) * v.len()].copy_from_slice(&v);
        }
        carry = results;
    }
    carry.into_iter().chain(traces).chain(ys).collect()
}

#[cfg(test)]
mod tests;
