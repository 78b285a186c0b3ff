//! Follows what values known at binding are computed from, element by element, back to the data (rule R38).

use std::collections::HashMap;
use std::sync::Arc;

use crate::dsl::ast::{Block, StmtKind};
use crate::graph::{Graph, Index, Shape, Spread, Var};

/// A graph of the values that data determine, with the data as its inputs; kept where a plate has `encode(…)`.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// The graph.
    pub g: Graph,
    /// The data variable of each input, by its place in `Lower::data`.
    pub data: Vec<usize>,
    /// Values that depend on data, by the place of their numbers, which are kept so that the places stay theirs.
    nodes: HashMap<usize, (Arc<[f64]>, Var)>,
}

fn place(c: &Arc<[f64]>) -> usize {
    c.as_ptr() as usize
}

impl Followed {
    /// Follows the values of a model in which a plate says what its encoder reads.
    pub fn of_model(file: &Block) -> Option<Followed> {
        file.stmts.iter().any(|s| encodes(&s.kind)).then(Followed::default)
    }

    /// The node of a value that depends on data.
    pub fn node(&self, c: &Arc<[f64]>) -> Option<Var> {
        self.nodes.get(&place(c)).map(|n| n.1)
    }

    /// These numbers are those of a data variable.
    pub fn enter(&mut self, c: &Arc<[f64]>, data: usize) {
        if !c.is_empty() {
            let v = self.g.input("data", Shape::new(&[c.len()]), Spread::Shared);
            self.data.push(data);
            self.nodes.insert(place(c), (c.clone(), v));
        }
    }

    /// `result` is what `build` makes of these values; nothing to follow where no data are among them.
    pub fn computed(
        &mut self,
        args: &[(&Arc<[f64]>, Shape)],
        result: &Arc<[f64]>,
        build: impl FnOnce(&mut Graph, &[Var]) -> Var,
    ) {
        if result.is_empty() || self.node(result).is_some() || !args.iter().any(|a| self.node(a.0).is_some()) {
            return;
        }
        let vars: Vec<Var> = args.iter().map(|(c, shape)| self.argument(c, *shape)).collect();
        let out = build(&mut self.g, &vars);
        self.set(result, out);
    }

    /// `result` has the elements of `c` at `index`.
    pub fn gathered(&mut self, c: &Arc<[f64]>, index: &Index, result: &Arc<[f64]>) {
        self.computed(&[(c, Shape::new(&[c.len()]))], result, |g, v| {
            g.gather(v[0], index.clone(), Shape::new(&[index.len()]))
        });
    }

    /// The node of these numbers, of this shape.
    pub fn argument(&mut self, c: &Arc<[f64]>, shape: Shape) -> Var {
        match self.node(c) {
            Some(v) => self.g.reshape(v, shape),
            None => self.g.constant(c.clone(), shape),
        }
    }

    /// `result` is the value of a node, repeated where that is a scalar.
    pub fn set(&mut self, result: &Arc<[f64]>, v: Var) {
        let flat = Shape::new(&[result.len()]);
        let v = if self.g.shape(v).count() == flat.count() { self.g.reshape(v, flat) } else { self.g.fill_to(v, flat) };
        self.nodes.insert(place(result), (result.clone(), v));
    }
}

fn encodes(s: &StmtKind) -> bool {
    let within = |b: &Block| b.stmts.iter().any(|s| encodes(&s.kind));
    match s {
        StmtKind::Plate { encode, body, .. } => !encode.is_empty() || within(body),
        StmtKind::For { body, .. } => within(body),
        StmtKind::If { then, otherwise, .. } => within(then) || otherwise.as_ref().is_some_and(within),
        _ => false,
    }
}
