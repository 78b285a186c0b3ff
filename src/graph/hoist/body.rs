//! A loop's body under construction, with the outer values it reads.

use crate::graph::Graph;
use crate::graph::op::{Op, Scan, Spread, Var};
use crate::graph::vmap::Value;

pub(super) struct Body {
    pub graph: Graph,
    carries: Vec<Var>,
    slices: Vec<Var>,
    each: Vec<Var>,
    widest: Spread,
}

impl Body {
    /// An empty body of a loop whose values derive from `args`.
    pub fn new(g: &Graph, args: &[Var]) -> Body {
        let widest = args.iter().map(|a| g.node(*a).spread).max();
        Body {
            graph: Graph::new(),
            carries: vec![],
            slices: vec![],
            each: vec![],
            widest: widest.unwrap_or(Spread::Shared),
        }
    }

    /// Adds a carry that starts at `init`; all carries come before what else is read.
    pub fn carry(&mut self, g: &Graph, init: Var) -> Var {
        self.carries.push(init);
        self.graph.input("carry", g.shape(init), self.widest)
    }

    /// Inputs for outer values, called once: slices first, then values that every step reads. Constants
    /// become constants of the body.
    pub fn reads(&mut self, g: &Graph, values: &[Value]) -> Vec<Var> {
        let mut inputs: Vec<Option<Var>> = vec![None; values.len()];
        for stacked in [true, false] {
            for (input, value) in inputs.iter_mut().zip(values) {
                if value.stacked == stacked {
                    *input = Some(self.read(g, *value));
                }
            }
        }
        inputs.into_iter().flatten().collect()
    }

    fn read(&mut self, g: &Graph, value: Value) -> Var {
        let shape = value.step_shape(g);
        if let Some(c) = g.constant_scalar(value.var) {
            return self.graph.filled(c, shape);
        }
        let node = g.node(value.var);
        if let (Op::Const(c), false) = (&node.op, value.stacked) {
            return self.graph.constant(c.clone(), shape);
        }
        let (list, name) = if value.stacked { (&mut self.slices, "slice") } else { (&mut self.each, "each") };
        list.push(value.var);
        self.graph.input(name, shape, node.spread)
    }

    /// Adds the loop to `g`, with the length and direction of `like`.
    pub fn finish(self, g: &mut Graph, like: &Scan, next: Vec<Var>, ys: Vec<Var>) -> Var {
        let scan = Scan { body: self.graph, len: like.len, xs: self.slices.len(), next, ys, reverse: like.reverse };
        g.scan(scan, &self.carries, &self.slices, &self.each)
    }
}
