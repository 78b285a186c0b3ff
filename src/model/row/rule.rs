//! What a row computes itself and what it reads.

use super::labels::Tags;
use super::owners::Owners;
use super::slice::{Class, Rule};
use crate::graph::{Graph, Op};
use crate::model::separable::{GLOBAL, SEVERAL};

/// What a row computes itself: what depends on its block, and what it alone needs.
pub(super) struct RowRule<'a> {
    pub g: &'a Graph,
    pub labels: &'a [Tags],
    pub owners: &'a Owners,
    /// Nodes of which all elements are shared.
    pub whole: &'a [bool],
    pub tag: u32,
}

impl Rule for RowRule<'_> {
    fn class(&self, node: usize, element: usize) -> Class {
        let mine = self.labels[node].at(element) == self.tag;
        match &self.g.nodes()[node].op {
            Op::Const(_) => Class::Data,
            Op::Input(_) if mine => Class::Coordinate,
            _ if mine => Class::Own,
            Op::Input(_) | Op::Proj(_) => Class::Shared,
            _ if self.owners.at(node, element) == self.tag => Class::Own,
            _ => Class::Shared,
        }
    }

    fn is_shared(&self, node: usize) -> bool {
        self.whole[node]
    }
}

impl RowRule<'_> {
    /// Whether elements of a node, moved by `d`, are all of one class: [`Rule::class`] of each, with the node looked at once.
    pub fn are(&self, node: usize, elements: &[u32], d: i64, class: Class) -> bool {
        let at = |j: &u32| (i64::from(*j) + d) as usize;
        let (tags, owners) = (&self.labels[node], self.owners.of(node));
        let mine = |j: usize| tags.at(j) == self.tag;
        let owned = |j: usize| owners.is_some_and(|o| o[j] == self.tag);
        match (&self.g.nodes()[node].op, class) {
            (Op::Const(_), _) => elements.is_empty() || class == Class::Data,
            (Op::Input(_) | Op::Proj(_), Class::Shared) => elements.iter().all(|j| !mine(at(j))),
            (Op::Input(_), Class::Coordinate) | (Op::Proj(_), Class::Own) => elements.iter().all(|j| mine(at(j))),
            (Op::Input(_), _) => elements.is_empty(),
            (_, Class::Own) => elements.iter().all(|j| mine(at(j)) || owned(at(j))),
            (_, Class::Shared) => elements.iter().all(|j| !mine(at(j)) && !owned(at(j))),
            _ => elements.is_empty(),
        }
    }
}

/// Which nodes rows share as a whole.
pub(super) fn shared_nodes(g: &Graph, labels: &[Tags], owners: &Owners) -> Vec<bool> {
    let shared = |(k, node): (usize, &crate::graph::Node)| {
        let mut all = 0..node.shape.count();
        let free = all.all(|j| labels[k].at(j) == GLOBAL && [GLOBAL, SEVERAL].contains(&owners.at(k, j)));
        free && !matches!(node.op, Op::Const(_) | Op::Scan(_))
    };
    g.nodes().iter().enumerate().map(shared).collect()
}
