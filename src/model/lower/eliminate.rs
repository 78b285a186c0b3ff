//! Elimination of discrete latents on the graph of factors (rule R27): elements that do not touch one
//! another are summed out side by side, sequences by a scan.

use std::collections::{BTreeMap, HashMap};

use super::Res;
use super::conjoin::{MAX_STATES, coalesced, names};
use super::touch::{Lists, Row, Touch};
use crate::dsl::diagnostic::Diagnostic;
use crate::graph::{Fold, Graph, Index, Shape, Var};
use crate::model::site::{Discrete, Summed};

/// An element of a discrete site.
pub type Element = (usize, u32);

/// Tables over the states of elements, one for each tuple of elements: `[rows, states of each…]`.
pub struct Part {
    sites: Vec<usize>,
    tuples: Vec<u32>,
    value: Var,
    block: usize,
    live: Vec<bool>,
}

impl Part {
    /// Tables whose tuples are all different.
    pub fn new(sites: Vec<usize>, tuples: Vec<u32>, value: Var, block: usize) -> Part {
        let live = vec![true; tuples.len() / sites.len()];
        Part { sites, tuples, value, block, live }
    }

    /// Sites, tuples of elements, tables, and numbers in a table.
    pub fn into_table(self) -> (Vec<usize>, Vec<u32>, Var, usize) {
        (self.sites, self.tuples, self.value, self.block)
    }

    /// Rows that are not used up.
    pub fn live_rows(&self) -> impl Iterator<Item = usize> {
        (0..self.live.len()).filter(|r| self.live[*r])
    }

    /// Number of elements of a table.
    pub fn arity(&self) -> usize {
        self.sites.len()
    }

    /// Elements of a table.
    pub fn elements(&self, row: usize) -> impl Iterator<Item = Element> {
        let n = self.sites.len();
        self.sites.iter().copied().zip(self.tuples[row * n..(row + 1) * n].iter().copied())
    }
}

/// The factors that are left.
pub struct Net<'a> {
    /// The graph.
    pub g: &'a mut Graph,
    discrete: &'a [Discrete],
    parts: Vec<Part>,
    total: Var,
    finished: Vec<Summed>,
    /// Elements that were summed out while others met them, and these others, in this order.
    before: Vec<(Element, Vec<Element>)>,
}

impl<'a> Net<'a> {
    /// The net of these tables.
    pub fn new(g: &'a mut Graph, discrete: &'a [Discrete], parts: Vec<Part>) -> Self {
        let total = g.scalar(0.0);
        let mut net = Net { g, discrete, parts: vec![], total, finished: vec![], before: vec![] };
        parts.into_iter().for_each(|p| net.push(p));
        net
    }

    /// Adds tables; to others over the same elements where there are any.
    fn push(&mut self, p: Part) {
        let same =
            self.parts.iter().position(|q| q.sites == p.sites && q.tuples == p.tuples && q.live.iter().all(|l| *l));
        match same {
            Some(k) => self.parts[k].value = self.g.add(self.parts[k].value, p.value),
            None => self.parts.push(p),
        }
    }

    /// log Σ over all states, and its addends.
    pub fn eliminate(mut self) -> Res<(Var, Vec<Summed>)> {
        self.lone_sites();
        while self.parts.iter().any(|p| p.live.iter().any(|l| *l)) {
            let touch = Touch::new(&self.parts, self.discrete.len());
            let batch = self.narrow_site(&touch).or_else(|| touch.leaves());
            match batch {
                Some(elements) => self.sum_out(&touch, &elements)?,
                None => self.sequences(&touch)?,
            }
        }
        self.place_inner();
        Ok((self.total, self.finished))
    }

    /// An element that was summed out early belongs to the last layer of those that it met.
    fn place_inner(&mut self) {
        let mut places: HashMap<Element, (usize, u32)> = HashMap::new();
        for (k, s) in self.finished.iter().enumerate() {
            places.extend(s.members.iter().map(|(e, at)| (*e, (k, *at))));
        }
        for (e, near) in self.before.drain(..).rev() {
            let met: Option<Vec<_>> = near.iter().map(|n| places.get(n).copied()).collect();
            if let Some(last) = met.and_then(|m| m.into_iter().max()) {
                places.insert(e, last);
                self.finished[last.0].members.push((e, last.1));
            }
        }
    }

    /// Sites that no other element meets, all in one table: the rows of a plate.
    fn lone_sites(&mut self) {
        for k in 0..self.parts.len() {
            let [site] = self.parts[k].sites[..] else { continue };
            let others = self.parts.iter().enumerate().any(|(j, p)| j != k && p.sites.contains(&site));
            if !others {
                let (value, block) = (self.parts[k].value, self.parts[k].block);
                let elements = self.parts[k].tuples.iter().map(|e| (site, *e)).collect();
                self.finish(value, block, elements);
                self.parts[k].live.fill(false);
            }
        }
    }

    fn finish(&mut self, value: Var, states: usize, elements: Vec<Element>) {
        let n = self.g.shape(value).count() / states;
        let each = self.g.fold_counts(Fold::LogSumExp, value, (n, states, 1), Shape::new(&[n]));
        let members = elements.iter().copied().zip(0..).collect();
        self.finished.push(Summed { node: each, elements, layers: each, members });
        let sum = self.g.sum(each);
        self.total = self.g.add(self.total, sum);
    }

    /// Number of states of an element.
    pub fn states(&self, touch: &Touch, e: u32) -> usize {
        self.discrete[touch.site(e)].states
    }

    /// Joint states of elements.
    pub fn joint(&self, touch: &Touch, elements: &[u32]) -> usize {
        elements.iter().fold(1, |n: usize, e| n.saturating_mul(self.states(touch, *e)))
    }

    /// The site that is cheapest to sum out, where its elements touch none of their own and few others.
    fn narrow_site(&self, touch: &Touch) -> Option<Vec<u32>> {
        let mut cost: BTreeMap<usize, Option<usize>> = BTreeMap::new();
        let all = 0..touch.elements.len() as u32;
        for e in all.clone() {
            let (site, near) = (touch.site(e), touch.near(e));
            let worst = cost.entry(site).or_insert(Some(0));
            let narrow = worst.is_some() && near.len() <= 2 && near.iter().all(|n| touch.site(*n) != site);
            let joint = || self.joint(touch, near).saturating_mul(self.states(touch, e));
            let c = narrow.then(joint).filter(|c| *c <= MAX_STATES);
            *worst = worst.zip(c).map(|(a, b)| a.max(b));
        }
        // The later site first: it is the inner one.
        let best = cost.into_iter().filter_map(|(s, c)| c.map(|c| (c, std::cmp::Reverse(s)))).min()?.1.0;
        Some(all.filter(|e| touch.site(*e) == best).collect())
    }

    /// Sums out elements that do not touch one another.
    fn sum_out(&mut self, touch: &Touch, elements: &[u32]) -> Res<()> {
        let mut groups: BTreeMap<Vec<usize>, Vec<u32>> = BTreeMap::new();
        let mut key = vec![];
        for &e in elements {
            key.clear();
            key.extend(touch.near(e).iter().chain([&e]).map(|n| touch.site(*n)));
            match groups.get_mut(&key[..]) {
                Some(group) => group.push(e),
                None => _ = groups.insert(key.clone(), vec![e]),
            }
        }
        for (mut sites, group) in groups {
            let (mut scopes, mut rows) = (Lists::default(), Lists::default());
            let mut outside = vec![];
            for &e in &group {
                scopes.push(touch.near(e).iter().copied().chain([e]));
                rows.push(touch.rows.get(e as usize).iter().copied());
                outside.extend(touch.near(e).iter().map(|n| touch.elements[*n as usize].1));
            }
            let table = self.assemble(touch, &scopes, &rows);
            sites.pop();
            let states = self.states(touch, group[0]);
            for &e in group.iter().filter(|e| !touch.near(**e).is_empty()) {
                let near = touch.near(e).iter().map(|n| touch.elements[*n as usize]).collect();
                self.before.push((touch.elements[e as usize], near));
            }
            let group = group.into_iter().map(|e| touch.elements[e as usize]).collect();
            self.fold_last(table, states, sites, outside, group);
            self.consume(&rows);
        }
        Ok(())
    }

    /// Sums the last axis of tables away, to which these elements belong; what is left is a part, or a term.
    pub fn fold_last(
        &mut self,
        table: Var,
        states: usize,
        sites: Vec<usize>,
        tuples: Vec<u32>,
        elements: Vec<Element>,
    ) {
        if sites.is_empty() {
            return self.finish(table, states, elements);
        }
        let n = self.g.shape(table).count() / states;
        let value = self.g.fold_counts(Fold::LogSumExp, table, (n, states, 1), Shape::new(&[n]));
        let part = coalesced(self.g, sites, tuples, value);
        self.push(part);
    }

    /// What is finished last was summed out in these layers.
    pub fn in_layers(&mut self, layers: Var, members: Vec<(Element, u32)>) {
        if let Some(last) = self.finished.last_mut() {
            (last.layers, last.members) = (layers, members);
        }
    }

    /// These tables are used up.
    pub fn consume(&mut self, rows: &Lists<Row>) {
        for (k, r) in rows.items() {
            self.parts[*k as usize].live[*r as usize] = false;
        }
    }

    /// Places of the elements of a table.
    pub fn places(&self, touch: &Touch, (k, r): Row) -> impl Iterator<Item = u32> {
        self.parts[k as usize].elements(r as usize).map(|e| touch.place(e))
    }

    /// Scopes whose tables are of the same parts with their elements at the same places of the scope:
    /// parts and places of each, one after another, and the scopes.
    fn signatures(&self, touch: &Touch, scopes: &Lists<u32>, rows: &Lists<Row>) -> BTreeMap<Vec<u32>, Vec<u32>> {
        let mut groups: BTreeMap<Vec<u32>, Vec<u32>> = BTreeMap::new();
        let mut key = vec![];
        for i in 0..scopes.len() {
            let scope = scopes.get(i);
            key.clear();
            for &row in rows.get(i) {
                key.push(row.0);
                let place = |e: u32| scope.iter().position(|s| *s == e).expect("within the scope") as u32;
                key.extend(self.places(touch, row).map(place));
            }
            match groups.get_mut(&key[..]) {
                Some(group) => group.push(i as u32),
                None => _ = groups.insert(key.clone(), vec![i as u32]),
            }
        }
        groups
    }

    /// Sums of tables over scopes of elements, of the same sites in each scope: `[scopes, states…]`.
    pub fn assemble(&mut self, touch: &Touch, scopes: &Lists<u32>, rows: &Lists<Row>) -> Var {
        let sizes: Vec<usize> = scopes.get(0).iter().map(|e| self.states(touch, *e)).collect();
        let block: usize = sizes.iter().product();
        let groups = self.signatures(touch, scopes, rows);
        let shape = Shape::new(&[scopes.len() * block]);
        let mut tables = vec![];
        let mut order: Vec<u32> = vec![];
        for (signature, items) in &groups {
            let shape = Shape::new(&[items.len() * block]);
            let mut sum = None;
            let (mut rest, mut j) = (&signature[..], 0);
            while let [part, tail @ ..] = rest {
                let part = &self.parts[*part as usize];
                let (places, tail) = tail.split_at(part.arity());
                let (value, width) = (part.value, part.block);
                let offsets = spread(places, &sizes);
                let row = |i: &u32| rows.get(*i as usize)[j].1 as usize * width;
                let table = items.iter().flat_map(|i| offsets.iter().map(move |o| (row(i) + o) as u32)).collect();
                let x = self.g.gather(value, Index::from_table(table), shape);
                sum = Some(sum.map_or(x, |s| self.g.add(s, x)));
                (rest, j) = (tail, j + 1);
            }
            tables.push(sum.unwrap_or_else(|| self.g.filled(0.0, shape)));
            order.extend(items);
        }
        if let [only] = tables[..] {
            return self.g.reshape(only, shape);
        }
        let mut place = vec![0u32; order.len()];
        for (k, i) in order.iter().enumerate() {
            place[*i as usize] = k as u32;
        }
        let all = self.g.concat(&tables, shape);
        let table = place.iter().flat_map(|o| (0..block as u32).map(move |j| o * block as u32 + j)).collect();
        self.g.gather(all, Index::from_table(table), shape)
    }

    /// The refusal of a pattern that has too many joint states.
    pub fn too_wide(&self, touch: &Touch, elements: &[u32]) -> Diagnostic {
        let mut sites: Vec<usize> = elements.iter().map(|e| touch.site(*e)).collect();
        sites.sort_unstable();
        sites.dedup();
        let span = self.discrete[sites[0]].span;
        Diagnostic::new(
            span,
            format!(
                "{} cannot be summed out: their elements meet in more than {MAX_STATES} joint states",
                names(self.discrete, &sites)
            ),
        )
        .help("chains, trees and independent rows can; let each element depend on fewer others")
    }
}

/// For each joint state of a scope: its place in a table of the axes at `places`.
fn spread(places: &[u32], sizes: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; sizes.len()];
    let mut stride = 1;
    for p in places.iter().rev().map(|p| *p as usize) {
        strides[p] += stride;
        stride *= sizes[p];
    }
    let joint: usize = sizes.iter().product();
    let at = |mut j: usize| {
        let mut place = 0;
        for (size, stride) in sizes.iter().zip(&strides).rev() {
            place += (j % size) * stride;
            j /= size;
        }
        place
    };
    (0..joint).map(at).collect()
}
