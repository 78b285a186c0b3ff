//! Copies of nodes into another graph, through the builder, so that its simplifications apply again.

use super::Graph;
use super::op::{Fold, Node, Op, Var};
use super::prune::{Plan, Restricted};
use super::shape::Shape;

impl Graph {
    /// Adds a node of the given operation and shape through the builder.
    ///
    /// # Panics
    /// On an input: inputs are given, not computed.
    pub(super) fn emit(&mut self, op: &Op, shape: Shape, args: Vec<Var>) -> Var {
        let v = match op {
            Op::Input(_) => unreachable!("inputs are given"),
            Op::Const(c) => self.constant(c.clone(), shape),
            Op::Unary(u) => self.unary(*u, args[0]),
            Op::Binary(b) => self.binary(*b, args[0], args[1]),
            Op::Ternary(t) => self.ternary(*t, args[0], args[1], args[2]),
            Op::Reshape => self.reshape(args[0], shape),
            Op::Gather(i) => self.gather(args[0], i.clone(), shape),
            Op::ScatterAdd(i) => self.scatter_add(args[0], i.clone(), shape),
            Op::Concat => self.concat(&args, shape),
            Op::Fold { fold: Fold::Sum, outer: 1, inner: 1, .. } if shape.is_scalar() => self.sum(args[0]),
            Op::Fold { fold, outer, n, inner } => self.fold_counts(*fold, args[0], (*outer, *n, *inner), shape),
            op => self.push(op.clone(), args, shape),
        };
        debug_assert_eq!(self.shape(v), shape, "{op:?}");
        v
    }

    /// Adds a node like `node` on other arguments, with its origin.
    pub(super) fn emit_like(&mut self, node: &Node, args: Vec<Var>) -> Var {
        let kept = self.origin();
        self.set_origin(node.origin);
        let v = self.emit(&node.op, node.shape, args);
        self.set_origin(kept);
        v
    }

    /// Copies what `outputs` of `source` need, `inputs` standing for its inputs in order; returns the
    /// copies of the outputs.
    pub fn inline(&mut self, source: &Graph, inputs: &[Var], outputs: &[Var]) -> Vec<Var> {
        let map = self.inline_map(source, inputs, outputs);
        outputs.iter().map(|o| map[o.index()].expect("an output is needed")).collect()
    }

    /// Like [`Graph::inline`]; returns the copy of every node that was needed.
    pub(super) fn inline_map(&mut self, source: &Graph, inputs: &[Var], outputs: &[Var]) -> Vec<Option<Var>> {
        let plan = Plan::new(source, outputs);
        let mut map: Vec<Option<Var>> = vec![None; source.nodes().len()];
        let find = |map: &[Option<Var>], args: &[Var]| -> Vec<Var> {
            args.iter().map(|a| map[a.index()].expect("arguments come first")).collect()
        };
        for (i, node) in source.nodes().iter().enumerate() {
            if !plan.needed[i] {
                continue;
            }
            let kept = self.origin();
            self.set_origin(node.origin);
            map[i] = Some(match &node.op {
                Op::Input(k) => inputs[*k as usize],
                Op::Scan(_) => {
                    let Restricted { scan, args, .. } = &plan.loops[&i];
                    let args = find(&map, args);
                    self.push(Op::Scan(scan.clone()), args, node.shape)
                }
                Op::Proj(k) => {
                    let at = node.args[0];
                    let number = plan.loops[&at.index()].outputs[*k as usize];
                    let at = find(&map, &[at])[0];
                    self.proj(at, number.expect("a read output is kept") as usize)
                }
                _ => {
                    let args = find(&map, &node.args);
                    self.emit(&node.op, node.shape, args)
                }
            });
            self.set_origin(kept);
        }
        map
    }
}
