//! Sequences of discrete elements: layers of elements, of which each meets only its neighbours, are summed
//! out by the forward algorithm.

use std::collections::{BTreeMap, BTreeSet};

use super::Res;
use super::conjoin::MAX_STATES;
use super::eliminate::{Element, Net, Rows, Touch, components};
use super::forward::{advance, may_vanish, run_logs, run_scaled};
use crate::graph::{Shape, Var};

/// Elements of one connected group held fixed at a time, beyond which a net is refused.
const MAX_FIXED: usize = 64;

/// Sites of the elements held fixed, and of each layer.
type Shapes = (Vec<usize>, Vec<Vec<usize>>);

/// A connected group of elements in layers, and the elements held fixed that it meets.
struct Layers {
    fixed: Vec<Element>,
    layers: Vec<Vec<Element>>,
    /// For each layer: tables that reach back to the layer before, and those that do not.
    back: Vec<Rows>,
    own: Vec<Rows>,
}

impl Net<'_> {
    /// Eliminates all elements that are left, but for those held fixed meanwhile.
    pub fn sequences(&mut self, touch: &Touch) -> Res<()> {
        let mut fixed = BTreeSet::new();
        let mut groups: BTreeMap<Shapes, Vec<Layers>> = BTreeMap::new();
        let mut waiting: Vec<_> = components(touch, &fixed).into_iter().map(|g| (g, 0)).collect();
        while let Some((group, held)) = waiting.pop() {
            match self.layers(touch, &group, &fixed) {
                Some(l) => {
                    let sites = |v: &[Element]| v.iter().map(|e| e.0).collect::<Vec<_>>();
                    let key = (sites(&l.fixed), l.layers.iter().map(|l| sites(l)).collect());
                    groups.entry(key).or_default().push(l);
                }
                None => {
                    // The element with most neighbours is held fixed while the others are summed out.
                    let hub = *group.iter().max_by_key(|e| touch.near[e].len()).expect("not empty");
                    if touch.near[&hub].len() <= 2 || group.len() == 1 || held >= MAX_FIXED {
                        return Err(self.too_wide(&group));
                    }
                    fixed.insert(hub);
                    let inside: BTreeSet<Element> = group.iter().copied().collect();
                    let parts = components(touch, &fixed);
                    waiting.extend(parts.into_iter().filter(|p| inside.contains(&p[0])).map(|p| (p, held + 1)));
                }
            }
        }
        groups.into_values().for_each(|g| self.forward(&g));
        Ok(())
    }

    /// Layers by distance from an end; `None` where they are too wide.
    fn layers(&self, touch: &Touch, group: &[Element], fixed: &BTreeSet<Element>) -> Option<Layers> {
        let free = |e: &Element| touch.near[e].iter().copied().filter(|n| !fixed.contains(n)).collect::<Vec<_>>();
        let start = *group.iter().min_by_key(|e| (free(e).len(), e.1, e.0))?;
        let mut place = BTreeMap::from([(start, 0)]);
        let mut layers = vec![vec![start]];
        loop {
            let last = layers.len();
            let mut next: BTreeSet<Element> = BTreeSet::new();
            for e in &layers[last - 1] {
                next.extend(free(e).into_iter().filter(|n| !place.contains_key(n)));
            }
            if next.is_empty() {
                break;
            }
            place.extend(next.iter().map(|e| (*e, last)));
            layers.push(next.into_iter().collect());
        }
        let met: BTreeSet<Element> =
            group.iter().flat_map(|e| touch.near[e].iter().copied()).filter(|n| fixed.contains(n)).collect();
        let outer = self.joint(&met);
        let widest = (0..layers.len()).map(|t| {
            let before = if t > 0 { self.joint(&layers[t - 1]) } else { 1 };
            self.joint(&layers[t]).saturating_mul(before).saturating_mul(outer)
        });
        if widest.max().unwrap_or(0) > MAX_STATES {
            return None;
        }
        let (mut back, mut own) = (vec![vec![]; layers.len()], vec![vec![]; layers.len()]);
        let rows: BTreeSet<(usize, usize)> = group.iter().flat_map(|e| touch.rows[e].iter().copied()).collect();
        for r in rows {
            let places: Vec<usize> = self.elements(r).filter_map(|e| place.get(&e).copied()).collect();
            let last = *places.iter().max()?;
            let list = if places.iter().all(|p| *p == last) { &mut own[last] } else { &mut back[last] };
            list.push(r);
        }
        Some(Layers { fixed: met.into_iter().collect(), layers, back, own })
    }

    /// The forward algorithm on groups whose layers have the same sites.
    fn forward(&mut self, groups: &[Layers]) {
        let first = &groups[0];
        let steps = first.layers.len();
        let outer = groups.len() * self.joint(&first.fixed);
        let sites = |t: usize| first.layers[t].iter().map(|e| e.0).collect::<Vec<_>>();
        let size: Vec<usize> = (0..steps).map(|t| self.joint(&first.layers[t])).collect();
        let mut alpha = self.step_tables(groups, 0..1, false);
        let mut t = 1;
        while t < steps {
            let mut end = t;
            while end < steps && sites(end) == sites(t - 1) {
                end += 1;
            }
            let n = end.max(t + 1) - t;
            let back = self.step_tables(groups, t..t + n, true);
            let own = self.step_tables(groups, t..t + n, false);
            let (a, b) = (size[t - 1], size[t]);
            let shapes = [vec![outer, a], vec![outer, a, b], vec![outer, b]];
            let start = self.g.reshape(alpha, Shape::new(&shapes[0]));
            alpha = if n == 1 {
                let back = self.g.reshape(back, Shape::new(&shapes[1]));
                let own = self.g.reshape(own, Shape::new(&shapes[2]));
                advance(self.g, start, back, own)
            } else {
                let stacked = |d: &[usize]| Shape::new(&[&[n], d].concat());
                let back = self.g.reshape(back, stacked(&shapes[1]));
                let own = self.g.reshape(own, stacked(&shapes[2]));
                match may_vanish(self.g, back) {
                    true => run_logs(self.g, start, back, own),
                    false => run_scaled(self.g, start, back, own),
                }
            };
            t += n;
        }
        let fixed = first.fixed.iter().map(|e| e.0).collect();
        let tuples = groups.iter().flat_map(|l| l.fixed.iter().map(|e| e.1)).collect();
        let count = self.g.shape(alpha).count();
        let flat = self.g.reshape(alpha, Shape::new(&[count]));
        let last = groups.iter().map(|l| l.layers[steps - 1][0]).collect();
        self.fold_last(flat, size[steps - 1], fixed, tuples, last);
        for l in groups {
            self.consume(&l.back);
            self.consume(&l.own);
        }
    }

    /// Tables of layers, step by step: `[steps, groups, fixed…, layer before…, layer…]` or without the layer before.
    fn step_tables(&mut self, groups: &[Layers], steps: std::ops::Range<usize>, back: bool) -> Var {
        let (mut scopes, mut rows) = (vec![], vec![]);
        for t in steps {
            for l in groups {
                let before = if back { &l.layers[t - 1][..] } else { &[] };
                scopes.push([&l.fixed, before, &l.layers[t]].concat());
                rows.push(if back { l.back[t].clone() } else { l.own[t].clone() });
            }
        }
        self.assemble(&scopes, &rows)
    }
}
