//! Verifies the rules that every graph obeys: order, shapes, spreads, index bounds; loops' bodies too.

use thiserror::Error;

use super::Graph;
use super::op::{Node, Op, Scan, Spread, Var};
use super::print::op_name;
use super::shape::{Index, Shape};

/// A broken rule, with the node that breaks it. Print the graph to see it in its place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CheckError {
    /// An argument does not come before its use.
    #[error("node %{node} ({op}) reads %{arg}, which does not come before it")]
    Order { node: usize, op: String, arg: usize },
    /// Wrong number of arguments.
    #[error("node %{node} ({op}) has {found} arguments instead of {expected}")]
    Arity { node: usize, op: String, expected: usize, found: usize },
    /// A shape that the arguments do not give.
    #[error("node %{node} ({op}) has shape {found:?}: {rule}")]
    Shape { node: usize, op: String, found: Shape, rule: String },
    /// A spread other than the widest of the arguments'.
    #[error("node %{node} ({op}) is marked {found:?}, its arguments give {expected:?}")]
    Spread { node: usize, op: String, expected: Spread, found: Spread },
    /// An index map that leaves its source.
    #[error("node %{node} ({op}) maps position {position} to {target}, outside {count} elements")]
    Bounds { node: usize, op: String, position: usize, target: usize, count: usize },
    /// A body that breaks a rule.
    #[error("in the body of the loop %{node}: {error}")]
    Body { node: usize, error: Box<CheckError> },
}

/// Checks every node of `g`, and the bodies of its loops.
pub fn check(g: &Graph) -> Result<(), CheckError> {
    for (i, node) in g.nodes().iter().enumerate() {
        let site = Site { g, i, node };
        site.order()?;
        site.arity()?;
        site.spread()?;
        match &node.op {
            Op::Gather(index) => site.bounds(index, g.shape(node.args[0]).count())?,
            Op::ScatterAdd(index) => site.bounds(index, node.shape.count())?,
            Op::Scan(s) => site.scan(s)?,
            _ => {}
        }
        site.shape()?;
    }
    Ok(())
}

struct Site<'a> {
    g: &'a Graph,
    i: usize,
    node: &'a Node,
}

impl Site<'_> {
    fn op(&self) -> String {
        op_name(&self.node.op)
    }

    fn arg(&self, k: usize) -> Shape {
        self.g.shape(self.node.args[k])
    }

    fn order(&self) -> Result<(), CheckError> {
        match self.node.args.iter().find(|a| a.index() >= self.i) {
            Some(a) => Err(CheckError::Order { node: self.i, op: self.op(), arg: a.index() }),
            None => Ok(()),
        }
    }

    fn arity(&self) -> Result<(), CheckError> {
        let expected = match &self.node.op {
            Op::Input(_) | Op::Const(_) => 0,
            Op::Unary(_)
            | Op::Reshape
            | Op::Gather(_)
            | Op::ScatterAdd(_)
            | Op::Fold { .. }
            | Op::CumSum { .. }
            | Op::Cholesky
            | Op::LogAbsDet
            | Op::Proj(_)
            | Op::StopGradient => 1,
            Op::Binary(_) | Op::MatMul { .. } | Op::TriSolve { .. } | Op::Solve { .. } | Op::ScaleGrad => 2,
            Op::Ternary(_) => 3,
            Op::Concat => self.node.args.len().max(1),
            Op::Scan(s) => s.body.inputs().len().max(s.next.len() + s.xs),
        };
        let found = self.node.args.len();
        if found == expected {
            return Ok(());
        }
        Err(CheckError::Arity { node: self.i, op: self.op(), expected, found })
    }

    fn spread(&self) -> Result<(), CheckError> {
        if matches!(self.node.op, Op::Input(_)) {
            return Ok(());
        }
        let widest = self.node.args.iter().map(|a| self.g.node(*a).spread).max();
        let expected = widest.unwrap_or(Spread::Shared);
        if self.node.spread == expected {
            return Ok(());
        }
        Err(CheckError::Spread { node: self.i, op: self.op(), expected, found: self.node.spread })
    }

    fn bounds(&self, index: &Index, count: usize) -> Result<(), CheckError> {
        match (0..index.len()).find(|&j| index.at(j) >= count) {
            Some(position) => {
                Err(CheckError::Bounds { node: self.i, op: self.op(), position, target: index.at(position), count })
            }
            None => Ok(()),
        }
    }

    fn wrong(&self, rule: impl Into<String>) -> Result<(), CheckError> {
        Err(CheckError::Shape { node: self.i, op: self.op(), found: self.node.shape, rule: rule.into() })
    }

    fn require(&self, holds: bool, rule: &str) -> Result<(), CheckError> {
        if holds { Ok(()) } else { self.wrong(rule) }
    }

    fn equals(&self, expected: Shape) -> Result<(), CheckError> {
        if self.node.shape == expected {
            return Ok(());
        }
        self.wrong(format!("the arguments give {expected:?}"))
    }

    fn shape(&self) -> Result<(), CheckError> {
        let (count, args) = (self.node.shape.count(), &self.node.args);
        match &self.node.op {
            Op::Input(k) => {
                let listed = self.g.inputs().get(*k as usize);
                let own = listed.is_some_and(|i| i.var.index() == self.i);
                self.require(own, "its number is not its place among the inputs")
            }
            Op::Const(c) => self.require(c.len() == count, "the data have another count"),
            Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::ScaleGrad => self.elementwise(),
            Op::StopGradient | Op::CumSum { .. } => self.equals(self.arg(0)),
            Op::Reshape => self.require(self.arg(0).count() == count, "the count changes"),
            Op::Gather(i) => self.require(i.len() == count, "the index has another count"),
            Op::ScatterAdd(i) => {
                let same = i.len() == self.arg(0).count();
                self.require(same, "the index and the source differ in count")
            }
            Op::Concat => {
                let total: usize = (0..args.len()).map(|k| self.arg(k).count()).sum();
                self.require(total == count, "the parts have another count")
            }
            Op::Fold { outer, n, inner, .. } => {
                let split = outer * n * inner == self.arg(0).count() && outer * inner == count;
                self.require(split, "the counts of the fold do not match")
            }
            Op::MatMul { ta, tb } => self.matmul(*ta, *tb),
            Op::Cholesky | Op::LogAbsDet => self.square(),
            Op::TriSolve { .. } | Op::Solve { .. } => self.solve(),
            Op::Scan(_) => self.equals(Shape::SCALAR),
            Op::Proj(k) => self.proj(*k as usize),
        }
    }

    fn elementwise(&self) -> Result<(), CheckError> {
        let shape = self.node.shape;
        let mut arrays = (0..self.node.args.len()).map(|k| self.arg(k)).filter(|s| !s.is_scalar()).peekable();
        let some = arrays.peek().is_some();
        self.require(
            arrays.all(|s| s == shape) && (some || shape.is_scalar()),
            "every argument must have the result's shape or be a scalar",
        )
    }

    fn matmul(&self, ta: bool, tb: bool) -> Result<(), CheckError> {
        let (a, b) = (self.arg(0), self.arg(1));
        let (a, b) = (a.dims(), b.dims());
        let r = a.len();
        let ranks = (2..=3).contains(&r) && b.len() == r && a[..r - 2] == b[..r - 2];
        self.require(ranks, "the factors must be matrices, or batches of one size")?;
        let side = |d: &[usize], t: bool| {
            if t { (d[r - 1], d[r - 2]) } else { (d[r - 2], d[r - 1]) }
        };
        let ((m, k), (l, n)) = (side(a, ta), side(b, tb));
        self.require(k == l, "the inner sizes of the factors differ")?;
        self.equals(Shape::new(&[&a[..r - 2], &[m, n]].concat()))
    }

    fn square(&self) -> Result<(), CheckError> {
        let s = self.arg(0);
        let d = s.dims();
        let ok = (2..=3).contains(&d.len()) && d[d.len() - 1] == d[d.len() - 2];
        self.require(ok, "the argument must be a square matrix or a batch of them")?;
        match self.node.op {
            Op::LogAbsDet => self.equals(Shape::new(&d[..d.len() - 2])),
            _ => self.equals(s),
        }
    }

    fn solve(&self) -> Result<(), CheckError> {
        let (a, b) = (self.arg(0), self.arg(1));
        let (da, db) = (a.dims(), b.dims());
        let r = da.len();
        let ok = (2..=3).contains(&r) && db.len() == r && da[r - 1] == da[r - 2] && db[..r - 1] == da[..r - 1];
        self.require(ok, "needs a square matrix and as many right-hand rows")?;
        self.equals(b)
    }

    fn proj(&self, k: usize) -> Result<(), CheckError> {
        let Op::Scan(s) = &self.g.node(self.node.args[0]).op else {
            return self.wrong("it must read a loop");
        };
        let there = k < 2 * s.next.len() + s.ys.len();
        self.require(there, "the loop has no such output")?;
        self.equals(Graph::scan_output_shape(s, k))
    }

    fn scan(&self, s: &Scan) -> Result<(), CheckError> {
        check(&s.body).map_err(|error| CheckError::Body { node: self.i, error: Box::new(error) })?;
        let nodes = s.body.nodes().len();
        let inside = s.next.iter().chain(&s.ys).all(|v| v.index() < nodes);
        self.require(inside, "an output of the body does not exist")?;
        let n = s.next.len();
        for (k, input) in s.body.inputs().iter().enumerate() {
            let (given, read) = (self.arg(k), s.body.shape(input.var));
            let fits = if (n..n + s.xs).contains(&k) {
                given.dims().first() == Some(&s.len) && given.dims()[1..] == *read.dims()
            } else {
                given == read
            };
            let name = &input.name;
            self.require(fits, &format!("argument {k} ({name}) is not what the body reads"))?;
            let wide = |v: Var, g: &Graph| g.node(v).spread <= s.body.node(input.var).spread;
            let mut holds = wide(self.node.args[k], self.g);
            if k < n {
                let kept = s.body.shape(s.next[k]) == read;
                self.require(kept, &format!("the carry {name} changes its shape"))?;
                holds &= wide(s.next[k], &s.body);
            }
            self.require(holds, &format!("the input {name} of the body is narrower than its values"))?;
        }
        Ok(())
    }
}
