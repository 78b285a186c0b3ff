//! The graph and its core builder: shape rules, spreads, sharing of equal nodes.

use std::collections::HashMap;
use std::sync::Arc;

use super::op::{Node, Op, Scan, Spread, Var};
use super::shape::{Index, Shape};

/// A named input of a graph.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name, for printing and messages.
    pub name: String,
    /// Its node.
    pub var: Var,
}

/// A static array graph: an append-only list of nodes in which arguments come first.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    inputs: Vec<Input>,
    shared: HashMap<Key, Var>,
    origin: u32,
}

/// What makes two nodes equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    op: OpKey,
    args: Vec<Var>,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum OpKey {
    Const(Vec<u64>),
    Large(usize, usize),
    Plain(std::mem::Discriminant<Op>, [u64; 4]),
    Mapped(std::mem::Discriminant<Op>, Index),
}

const SMALL_CONST: usize = 64;

fn key(op: &Op) -> Option<OpKey> {
    let d = std::mem::discriminant(op);
    let plain = |a: [u64; 4]| Some(OpKey::Plain(d, a));
    match op {
        Op::Input(_) => None,
        Op::Const(c) if c.len() <= SMALL_CONST => Some(OpKey::Const(c.iter().map(|x| x.to_bits()).collect())),
        Op::Const(c) => Some(OpKey::Large(c.as_ptr() as usize, c.len())),
        Op::Unary(u) => plain([*u as u64, 0, 0, 0]),
        Op::Binary(b) => plain([*b as u64, 0, 0, 0]),
        Op::Ternary(t) => plain([*t as u64, 0, 0, 0]),
        Op::Gather(i) | Op::ScatterAdd(i) => Some(OpKey::Mapped(d, i.clone())),
        Op::Fold { fold, outer, n, inner } => plain([*fold as u64, *outer as u64, *n as u64, *inner as u64]),
        Op::CumSum { reverse } => plain([*reverse as u64, 0, 0, 0]),
        Op::MatMul { ta, tb } => plain([*ta as u64, *tb as u64, 0, 0]),
        Op::TriSolve { transposed } | Op::Solve { transposed } => plain([*transposed as u64, 0, 0, 0]),
        Op::Scan(s) => plain([Arc::as_ptr(s) as usize as u64, 0, 0, 0]),
        Op::Proj(k) => plain([*k as u64, 0, 0, 0]),
        Op::Reshape | Op::Concat | Op::Cholesky | Op::LogAbsDet | Op::StopGradient | Op::ScaleGrad => plain([0; 4]),
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Graph::default()
    }

    /// All nodes, arguments before uses.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The inputs in order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The node at a place of the list.
    ///
    /// # Panics
    /// Where the list is shorter.
    pub fn var(&self, place: usize) -> Var {
        assert!(place < self.nodes.len(), "node {place} of {}", self.nodes.len());
        Var(place as u32)
    }

    /// The node of `v`.
    pub fn node(&self, v: Var) -> &Node {
        &self.nodes[v.index()]
    }

    /// Per-lane shape of `v`.
    pub fn shape(&self, v: Var) -> Shape {
        self.nodes[v.index()].shape
    }

    /// Data of `v` where it is a constant.
    pub fn constant_value(&self, v: Var) -> Option<&Arc<[f64]>> {
        match &self.node(v).op {
            Op::Const(c) => Some(c),
            _ => None,
        }
    }

    /// Value of `v` where it is a constant with all elements equal.
    pub fn constant_scalar(&self, v: Var) -> Option<f64> {
        let c = self.constant_value(v)?;
        let first = *c.first()?;
        c.iter().all(|x| x.to_bits() == first.to_bits()).then_some(first)
    }

    /// Label given to the nodes built from now on (see [`Node::origin`]).
    pub fn set_origin(&mut self, origin: u32) {
        self.origin = origin;
    }

    /// The label in force.
    pub fn origin(&self) -> u32 {
        self.origin
    }

    /// A new input.
    pub fn input(&mut self, name: &str, shape: Shape, spread: Spread) -> Var {
        let op = Op::Input(self.inputs.len() as u32);
        let var = self.append(Node { op, args: vec![], shape, spread, origin: self.origin });
        self.inputs.push(Input { name: name.to_string(), var });
        var
    }

    /// Puts the inputs first, in the given order; returns the new place of every node.
    ///
    /// # Panics
    /// Where `order` does not name every input once.
    pub fn order_inputs(&mut self, order: &[Var]) -> Vec<Var> {
        assert_eq!(order.len(), self.inputs.len(), "every input has a place");
        let others = (0..self.nodes.len() as u32).map(Var).filter(|v| !matches!(self.node(*v).op, Op::Input(_)));
        let sequence: Vec<Var> = order.iter().copied().chain(others).collect();
        let mut place = vec![Var(0); self.nodes.len()];
        for (k, v) in sequence.iter().enumerate() {
            place[v.index()] = Var(k as u32);
        }
        let mut nodes: Vec<Node> = sequence.iter().map(|v| self.node(*v).clone()).collect();
        for (k, node) in nodes.iter_mut().enumerate() {
            node.args.iter_mut().for_each(|a| *a = place[a.index()]);
            if let Op::Input(number) = &mut node.op {
                *number = k as u32;
            }
        }
        let name = |v: &Var| self.inputs.iter().find(|i| i.var == *v).map(|i| i.name.clone()).unwrap_or_default();
        self.inputs = order.iter().map(|v| Input { name: name(v), var: place[v.index()] }).collect();
        self.nodes = nodes;
        self.shared.clear();
        place
    }

    /// Data of the given shape, row-major.
    pub fn constant(&mut self, data: impl Into<Arc<[f64]>>, shape: Shape) -> Var {
        let data = data.into();
        debug_assert_eq!(data.len(), shape.count());
        self.push(Op::Const(data), vec![], shape)
    }

    /// A scalar constant.
    pub fn scalar(&mut self, x: f64) -> Var {
        self.constant(vec![x], Shape::SCALAR)
    }

    /// An array with all elements equal to `x`.
    pub fn filled(&mut self, x: f64, shape: Shape) -> Var {
        self.constant(vec![x; shape.count()], shape)
    }

    /// The same value, stored once per particle.
    pub fn per_particle(&mut self, v: Var) -> Var {
        let node = self.node(v);
        let node =
            Node { op: Op::Reshape, args: vec![v], shape: node.shape, spread: Spread::Particle, origin: node.origin };
        self.append(node)
    }

    fn append(&mut self, node: Node) -> Var {
        let v = Var(self.nodes.len() as u32);
        self.nodes.push(node);
        v
    }

    /// Adds a node, or finds the equal one that is there. The spread is the widest of its
    /// arguments'. Shapes are the caller's duty; [`super::check`] verifies every rule.
    pub(super) fn push(&mut self, op: Op, args: Vec<Var>, shape: Shape) -> Var {
        let key = key(&op).map(|op| Key { op, args: args.clone(), shape });
        if let Some(&v) = key.as_ref().and_then(|k| self.shared.get(k)) {
            return v;
        }
        let spread = args.iter().map(|a| self.node(*a).spread).max().unwrap_or(Spread::Shared);
        let v = self.append(Node { op, args, shape, spread, origin: self.origin });
        if let Some(k) = key {
            self.shared.insert(k, v);
        }
        v
    }

    /// Adds a loop; returns its node, whose outputs [`Graph::proj`] reads.
    pub fn scan(&mut self, scan: Scan, init: &[Var], xs: &[Var], each: &[Var]) -> Var {
        let args = [init, xs, each].concat();
        self.push(Op::Scan(Arc::new(scan)), args, Shape::SCALAR)
    }

    /// Shape of the k-th output of a loop.
    pub fn scan_output_shape(scan: &Scan, k: usize) -> Shape {
        let carries = scan.next.len();
        let stack = |s: Shape| Shape::new(&[&[scan.len], s.dims()].concat());
        if k < carries {
            scan.body.shape(scan.next[k])
        } else if k < 2 * carries {
            stack(scan.body.shape(scan.next[k - carries]))
        } else {
            stack(scan.body.shape(scan.ys[k - 2 * carries]))
        }
    }

    /// The k-th output of a loop: final carries, carry-in traces, per-step outputs, in this order.
    pub fn proj(&mut self, scan: Var, k: usize) -> Var {
        let Op::Scan(s) = &self.node(scan).op else { unreachable!("proj of a scan only") };
        let shape = Self::scan_output_shape(s, k);
        self.push(Op::Proj(k as u32), vec![scan], shape)
    }
}
