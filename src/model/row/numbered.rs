//! Shared values, numbered as rows come to read them.

use std::collections::HashMap;

use super::layout::Reads;
use crate::graph::Graph;

/// Place of an element that has none yet.
const UNKNOWN: u32 = u32::MAX;

/// Places among the shared values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Read {
    Range(u32, u32),
    List(Vec<u32>),
}

impl Read {
    pub fn places(&self) -> Vec<u32> {
        match self {
            Read::Range(start, n) => (*start..start + n).collect(),
            Read::List(list) => list.clone(),
        }
    }
}

/// Shared values in order of their first use.
#[derive(Default)]
pub(super) struct Numbered {
    /// By node, the place of each element, [`UNKNOWN`] at first.
    known: HashMap<u32, Vec<u32>>,
    whole: HashMap<u32, u32>,
    /// Nodes with their elements.
    pub order: Vec<(u32, Reads)>,
    count: u32,
}

impl Numbered {
    pub fn number(&mut self, g: &Graph, node: u32, elements: Reads) -> Read {
        match elements {
            Reads::All => {
                let n = g.nodes()[node as usize].shape.count() as u32;
                let next = self.count;
                let start = *self.whole.entry(node).or_insert(next);
                if start == next {
                    self.order.push((node, Reads::All));
                    self.count += n;
                }
                Read::Range(start, n)
            }
            Reads::These(list) => Read::List(self.elements(g, node, list)),
        }
    }

    fn elements(&mut self, g: &Graph, node: u32, mut list: Vec<u32>) -> Vec<u32> {
        if let Some(start) = self.whole.get(&node) {
            list.iter_mut().for_each(|e| *e += start);
            return list;
        }
        let known = self.known.entry(node).or_insert_with(|| vec![UNKNOWN; g.nodes()[node as usize].shape.count()]);
        for e in &mut list {
            let place = &mut known[*e as usize];
            if *place == UNKNOWN {
                match self.order.last_mut() {
                    Some((last, Reads::These(list))) if *last == node => list.push(*e),
                    _ => self.order.push((node, Reads::These(vec![*e]))),
                }
                *place = self.count;
                self.count += 1;
            }
            *e = *place;
        }
        list
    }
}
