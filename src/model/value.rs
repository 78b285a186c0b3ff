//! Values during lowering: numbers known at binding, nodes of the graph, nodes of a loop's body.

use std::sync::Arc;

use super::level::{LevelId, ROOT};
use crate::graph::Var;

/// Where the elements of a value are.
#[derive(Clone, Debug)]
pub enum Home {
    /// Known at binding.
    Const(Arc<[f64]>),
    /// A node of the model's graph.
    Var(Var),
    /// A node of the body of the loop being lowered.
    Step(Var),
}

/// A value: int or real, with an event shape, stored once for each row of its level.
#[derive(Clone, Debug)]
pub struct Val {
    /// Elements, rows of the level first.
    pub home: Home,
    /// Event shape.
    pub dims: Vec<usize>,
    /// Where it varies.
    pub level: LevelId,
    /// Integers.
    pub int: bool,
}

impl Val {
    /// A number at the root.
    pub fn number(x: f64) -> Val {
        Val::constant(vec![x], vec![])
    }

    /// An integer at the root.
    pub fn integer(x: usize) -> Val {
        Val { int: true, ..Val::number(x as f64) }
    }

    /// Known real values at the root.
    pub fn constant(data: impl Into<Arc<[f64]>>, dims: Vec<usize>) -> Val {
        Val { home: Home::Const(data.into()), dims, level: ROOT, int: false }
    }

    /// Elements of one event.
    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// True for event shape `[]`.
    pub fn is_scalar(&self) -> bool {
        self.dims.is_empty()
    }

    /// Elements where they are known at binding.
    pub fn known(&self) -> Option<&Arc<[f64]>> {
        match &self.home {
            Home::Const(c) => Some(c),
            _ => None,
        }
    }

    /// The number, for a known scalar at the root.
    pub fn known_number(&self) -> Option<f64> {
        match &self.home {
            Home::Const(c) if self.level == ROOT && self.dims.is_empty() => Some(c[0]),
            _ => None,
        }
    }

    /// The one number that all elements equal, where they are known.
    pub fn known_uniform(&self) -> Option<f64> {
        let c = self.known()?;
        let first = *c.first()?;
        c.iter().all(|x| *x == first).then_some(first)
    }

    /// Printed type, for messages: `int`, `real`, `array[2, 3] real`.
    pub fn type_name(&self) -> String {
        let base = if self.int { "int" } else { "real" };
        if self.dims.is_empty() {
            return base.to_string();
        }
        let dims: Vec<String> = self.dims.iter().map(|d| d.to_string()).collect();
        format!("array[{}] {base}", dims.join(", "))
    }
}
