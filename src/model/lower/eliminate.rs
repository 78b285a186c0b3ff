//! Elimination of discrete latents on the graph of factors (rule R27): elements that do not touch one
//! another are summed out side by side, sequences by a scan.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Res;
use super::conjoin::{MAX_STATES, coalesced, names};
use crate::dsl::diagnostic::Diagnostic;
use crate::graph::{Fold, Graph, Index, Shape, Var};
use crate::model::site::{Discrete, Summed};

/// An element of a discrete site.
pub type Element = (usize, u32);

/// Rows of tables: part and row.
pub type Rows = Vec<(usize, usize)>;

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

    fn elements(&self, row: usize) -> impl Iterator<Item = Element> {
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
}

/// Who touches whom.
pub struct Touch {
    /// Tables of each element.
    pub rows: BTreeMap<Element, Rows>,
    /// Neighbours of each element.
    pub near: HashMap<Element, BTreeSet<Element>>,
}

impl<'a> Net<'a> {
    /// The net of these tables.
    pub fn new(g: &'a mut Graph, discrete: &'a [Discrete], parts: Vec<Part>) -> Self {
        let total = g.scalar(0.0);
        let mut net = Net { g, discrete, parts: vec![], total, finished: vec![] };
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
            let touch = self.touch();
            let batch = self.narrow_site(&touch).or_else(|| leaves(&touch));
            match batch {
                Some(elements) => self.sum_out(&touch, &elements)?,
                None => self.sequences(&touch)?,
            }
        }
        Ok((self.total, self.finished))
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
        self.finished.push(Summed { node: each, elements });
        let sum = self.g.sum(each);
        self.total = self.g.add(self.total, sum);
    }

    fn touch(&self) -> Touch {
        let mut rows: BTreeMap<Element, Rows> = BTreeMap::new();
        let mut near: HashMap<Element, BTreeSet<Element>> = HashMap::new();
        for (k, p) in self.parts.iter().enumerate() {
            for r in (0..p.live.len()).filter(|r| p.live[*r]) {
                for a in p.elements(r) {
                    rows.entry(a).or_default().push((k, r));
                    let set = near.entry(a).or_default();
                    set.extend(p.elements(r).filter(|b| *b != a));
                }
            }
        }
        Touch { rows, near }
    }

    /// Number of states of an element.
    pub fn states(&self, e: Element) -> usize {
        self.discrete[e.0].states
    }

    /// Joint states of elements.
    pub fn joint<'e>(&self, elements: impl IntoIterator<Item = &'e Element>) -> usize {
        elements.into_iter().fold(1, |n: usize, e| n.saturating_mul(self.states(*e)))
    }

    /// The site that is cheapest to sum out, where its elements touch none of their own and few others.
    fn narrow_site(&self, touch: &Touch) -> Option<Vec<Element>> {
        let mut cost: BTreeMap<usize, Option<usize>> = BTreeMap::new();
        for &e in touch.rows.keys() {
            let near = &touch.near[&e];
            let narrow = near.len() <= 2 && near.iter().all(|n| n.0 != e.0);
            let c = narrow.then(|| self.joint(near).saturating_mul(self.states(e))).filter(|c| *c <= MAX_STATES);
            let worst = cost.entry(e.0).or_insert(Some(0));
            *worst = worst.zip(c).map(|(a, b)| a.max(b));
        }
        // The later site first: it is the inner one.
        let best = cost.into_iter().filter_map(|(s, c)| c.map(|c| (c, std::cmp::Reverse(s)))).min()?.1.0;
        Some(touch.rows.keys().filter(|e| e.0 == best).copied().collect())
    }

    /// Sums out elements that do not touch one another.
    fn sum_out(&mut self, touch: &Touch, elements: &[Element]) -> Res<()> {
        let mut groups: BTreeMap<Vec<usize>, Vec<Element>> = BTreeMap::new();
        for &e in elements {
            let key = touch.near[&e].iter().map(|n| n.0).chain([e.0]).collect();
            groups.entry(key).or_default().push(e);
        }
        for (mut sites, group) in groups {
            let scopes: Vec<Vec<Element>> =
                group.iter().map(|e| touch.near[e].iter().copied().chain([*e]).collect()).collect();
            let rows: Vec<Rows> = group.iter().map(|e| touch.rows[e].clone()).collect();
            let table = self.assemble(&scopes, &rows);
            sites.pop();
            let outside = scopes.iter().flat_map(|s| s[..s.len() - 1].iter().map(|e| e.1)).collect();
            self.fold_last(table, self.states(group[0]), sites, outside, group);
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

    /// These tables are used up.
    pub fn consume(&mut self, rows: &[Rows]) {
        for (k, r) in rows.iter().flatten() {
            self.parts[*k].live[*r] = false;
        }
    }

    /// Elements of a table.
    pub fn elements(&self, (k, r): (usize, usize)) -> impl Iterator<Item = Element> {
        self.parts[k].elements(r)
    }

    /// Sums of tables over scopes of elements, of the same sites in each scope: `[scopes, states…]`.
    pub fn assemble(&mut self, scopes: &[Vec<Element>], rows: &[Rows]) -> Var {
        type Signature = Vec<(usize, Vec<usize>)>;
        let block = self.joint(&scopes[0]);
        let mut groups: BTreeMap<Signature, Vec<usize>> = BTreeMap::new();
        for (i, (scope, rows)) in scopes.iter().zip(rows).enumerate() {
            let place = |e: Element| scope.iter().position(|s| *s == e).expect("within the scope");
            let signature = rows.iter().map(|r| (r.0, self.elements(*r).map(place).collect())).collect();
            groups.entry(signature).or_default().push(i);
        }
        let sizes: Vec<usize> = scopes[0].iter().map(|e| self.states(*e)).collect();
        let mut tables = vec![];
        let mut order = vec![0u32; scopes.len()];
        let mut done = 0;
        for (signature, items) in groups {
            let shape = Shape::new(&[items.len() * block]);
            let mut sum = None;
            for (j, (part, places)) in signature.iter().enumerate() {
                let (value, width) = (self.parts[*part].value, self.parts[*part].block);
                let offsets = spread(places, &sizes);
                let row = |i: &usize| rows[*i][j].1 * width;
                let table = items.iter().flat_map(|i| offsets.iter().map(move |o| (row(i) + o) as u32)).collect();
                let x = self.g.gather(value, Index::from_table(table), shape);
                sum = Some(sum.map_or(x, |s| self.g.add(s, x)));
            }
            let sum = sum.unwrap_or_else(|| self.g.filled(0.0, shape));
            tables.push(sum);
            for i in items {
                order[i] = done;
                done += 1;
            }
        }
        let shape = Shape::new(&[scopes.len() * block]);
        let all = self.g.concat(&tables, shape);
        let table = order.iter().flat_map(|o| (0..block as u32).map(move |j| o * block as u32 + j)).collect();
        self.g.gather(all, Index::from_table(table), shape)
    }

    /// The refusal of a pattern that has too many joint states.
    pub fn too_wide(&self, elements: &[Element]) -> Diagnostic {
        let mut sites: Vec<usize> = elements.iter().map(|e| e.0).collect();
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
fn spread(places: &[usize], sizes: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; sizes.len()];
    let mut stride = 1;
    for &p in places.iter().rev() {
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

/// Connected elements, without those that are held fixed.
pub fn components(touch: &Touch, fixed: &BTreeSet<Element>) -> Vec<Vec<Element>> {
    let mut seen: BTreeSet<Element> = fixed.clone();
    let mut out = vec![];
    for &e in touch.rows.keys() {
        if !seen.insert(e) {
            continue;
        }
        let mut group = vec![e];
        let mut next = 0;
        while next < group.len() {
            let near = touch.near[&group[next]].iter().copied().filter(|n| seen.insert(*n)).collect::<Vec<_>>();
            group.extend(near);
            next += 1;
        }
        group.sort_unstable();
        out.push(group);
    }
    out
}

/// Leaves of the trees that are not mere paths.
fn leaves(touch: &Touch) -> Option<Vec<Element>> {
    let mut out = vec![];
    for group in components(touch, &BTreeSet::new()) {
        let degree = |e: &Element| touch.near[e].len();
        let edges = group.iter().map(degree).sum::<usize>() / 2;
        if edges + 1 == group.len() && group.iter().any(|e| degree(e) > 2) {
            out.extend(group.iter().filter(|e| degree(e) == 1));
        }
    }
    (!out.is_empty()).then_some(out)
}
