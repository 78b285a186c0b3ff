//! Sequences of discrete elements: layers of elements, of which each meets only its neighbours, are summed
//! out by the forward algorithm.

use std::collections::BTreeMap;

use super::Res;
use super::conjoin::MAX_STATES;
use super::eliminate::Net;
use super::forward::{advance, gained, may_vanish, run_logs, run_scaled};
use super::touch::{Lists, Row, Touch};
use crate::graph::{Fold, Shape, Var};

/// Elements of one connected group held fixed at a time, beyond which a net is refused.
const MAX_FIXED: usize = 64;

/// In the layers of elements: none yet.
const OUTSIDE: u32 = u32::MAX;

/// A connected group of elements in layers, and the elements held fixed that it meets.
struct Layers {
    fixed: Vec<u32>,
    layers: Lists<u32>,
    /// For each layer: tables that reach back to the layer before, and those that do not.
    back: Lists<Row>,
    own: Lists<Row>,
}

impl Layers {
    /// Sites of the elements held fixed and of each layer, each list after its length.
    fn shape(&self, touch: &Touch) -> Vec<u32> {
        let mut shape = vec![];
        for list in [&self.fixed[..]].into_iter().chain(self.layers.iter()) {
            shape.push(list.len() as u32);
            shape.extend(list.iter().map(|e| touch.site(*e) as u32));
        }
        shape
    }
}

impl Net<'_> {
    /// Eliminates all elements that are left, but for those held fixed meanwhile.
    pub fn sequences(&mut self, touch: &Touch) -> Res<()> {
        let count = touch.elements.len();
        let (mut fixed, mut layer) = (vec![false; count], vec![OUTSIDE; count]);
        let mut groups: BTreeMap<Vec<u32>, Vec<Layers>> = BTreeMap::new();
        let mut waiting: Vec<_> = touch.components(&fixed).iter().map(|g| (g.to_vec(), 0)).collect();
        while let Some((group, held)) = waiting.pop() {
            let found = self.layers(touch, &group, &fixed, &mut layer);
            group.iter().for_each(|e| layer[*e as usize] = OUTSIDE);
            match found {
                Some(l) => groups.entry(l.shape(touch)).or_default().push(l),
                None => {
                    // The element with most neighbours is held fixed while the others are summed out.
                    let hub = *group.iter().max_by_key(|e| touch.near(**e).len()).expect("not empty");
                    if touch.near(hub).len() <= 2 || group.len() == 1 || held >= MAX_FIXED {
                        return Err(self.too_wide(touch, &group));
                    }
                    fixed[hub as usize] = true;
                    let parts = touch.components(&fixed);
                    let inside = |p: &&[u32]| group.binary_search(&p[0]).is_ok();
                    waiting.extend(parts.iter().filter(inside).map(|p| (p.to_vec(), held + 1)));
                }
            }
        }
        groups.into_values().for_each(|g| self.forward(touch, &g));
        Ok(())
    }

    /// Layers by distance from an end; `None` where they are too wide. `layer` is [`OUTSIDE`] for all of
    /// the group, and holds their layers afterwards.
    fn layers(&self, touch: &Touch, group: &[u32], fixed: &[bool], layer: &mut [u32]) -> Option<Layers> {
        let free = |e: u32| touch.near(e).iter().copied().filter(|n| !fixed[*n as usize]);
        let end = |e: &&u32| (free(**e).count(), touch.elements[**e as usize].1, touch.site(**e));
        let start = *group.iter().min_by_key(end)?;
        layer[start as usize] = 0;
        let mut layers = Lists::default();
        let mut next = vec![start];
        while !next.is_empty() {
            next.sort_unstable();
            layers.push(next.drain(..));
            let last = layers.len();
            for e in layers.get(last - 1) {
                for n in free(*e) {
                    if layer[n as usize] == OUTSIDE {
                        layer[n as usize] = last as u32;
                        next.push(n);
                    }
                }
            }
        }
        let mut met: Vec<u32> =
            group.iter().flat_map(|e| touch.near(*e)).copied().filter(|n| fixed[*n as usize]).collect();
        met.sort_unstable();
        met.dedup();
        let outer = self.joint(touch, &met);
        let joint = |t: usize| self.joint(touch, layers.get(t));
        let with_before = |t: usize| joint(t).saturating_mul(if t > 0 { joint(t - 1) } else { 1 });
        let widest = (0..layers.len()).map(|t| with_before(t).saturating_mul(outer)).max();
        if widest.unwrap_or(0) > MAX_STATES {
            return None;
        }
        let (back, own) = self.by_layer(touch, &layers, layer);
        Some(Layers { fixed: met, layers, back, own })
    }

    /// Tables of each layer: those that reach back to the layer before, and those that do not.
    fn by_layer(&self, touch: &Touch, layers: &Lists<u32>, layer: &[u32]) -> (Lists<Row>, Lists<Row>) {
        let (mut back, mut own) = (Lists::default(), Lists::default());
        let (mut reaching, mut staying): (Vec<Row>, Vec<Row>) = (vec![], vec![]);
        for (t, elements) in layers.iter().enumerate() {
            for &row in elements.iter().flat_map(|e| touch.rows.get(*e as usize)) {
                let places = || self.places(touch, row).map(|e| layer[e as usize]).filter(|l| *l != OUTSIDE);
                if places().max() == Some(t as u32) {
                    let here = places().all(|l| l == t as u32);
                    if here { staying.push(row) } else { reaching.push(row) }
                }
            }
            for (list, rows) in [(&mut back, &mut reaching), (&mut own, &mut staying)] {
                rows.sort_unstable();
                rows.dedup();
                list.push(rows.drain(..));
            }
        }
        (back, own)
    }

    /// The forward algorithm on groups whose layers have the same sites.
    fn forward(&mut self, touch: &Touch, groups: &[Layers]) {
        let first = &groups[0];
        let steps = first.layers.len();
        let outer = groups.len() * self.joint(touch, &first.fixed);
        let sites = |t: usize| first.layers.get(t).iter().map(|e| touch.site(*e));
        let size: Vec<usize> = (0..steps).map(|t| self.joint(touch, first.layers.get(t))).collect();
        let first_table = self.step_tables(touch, groups, 0..1, false);
        let mut alpha = self.g.reshape(first_table, Shape::new(&[outer, size[0]]));
        let mut gains = vec![self.g.fold(Fold::LogSumExp, alpha, 1)];
        let mut t = 1;
        while t < steps {
            let mut end = t;
            while end < steps && sites(end).eq(sites(t - 1)) {
                end += 1;
            }
            let n = end.max(t + 1) - t;
            let back = self.step_tables(touch, groups, t..t + n, true);
            let own = self.step_tables(touch, groups, t..t + n, false);
            let (a, b) = (size[t - 1], size[t]);
            let shapes = [vec![outer, a], vec![outer, a, b], vec![outer, b]];
            let start = self.g.reshape(alpha, Shape::new(&shapes[0]));
            let (next, gain) = if n == 1 {
                let back = self.g.reshape(back, Shape::new(&shapes[1]));
                let own = self.g.reshape(own, Shape::new(&shapes[2]));
                let next = advance(self.g, start, back, own);
                (next, gained(self.g, start, next))
            } else {
                let stacked = |d: &[usize]| Shape::new(&[&[n], d].concat());
                let back = self.g.reshape(back, stacked(&shapes[1]));
                let own = self.g.reshape(own, stacked(&shapes[2]));
                match may_vanish(self.g, back) {
                    true => run_logs(self.g, start, back, own),
                    false => run_scaled(self.g, start, back, own),
                }
            };
            alpha = next;
            gains.push(gain);
            t += n;
        }
        let fixed = first.fixed.iter().map(|e| touch.site(*e)).collect();
        let tuples = groups.iter().flat_map(|l| l.fixed.iter().map(|e| touch.elements[*e as usize].1)).collect();
        let count = self.g.shape(alpha).count();
        let flat = self.g.reshape(alpha, Shape::new(&[count]));
        let last = groups.iter().map(|l| touch.elements[l.layers.get(steps - 1)[0] as usize]).collect();
        self.fold_last(flat, size[steps - 1], fixed, tuples, last);
        if first.fixed.is_empty() {
            let layers = self.g.concat(&gains, Shape::new(&[steps * outer]));
            let place = |t: usize, k: usize| (t * outer + k) as u32;
            let all =
                groups.iter().enumerate().flat_map(|(k, l)| l.layers.iter().enumerate().map(move |(t, e)| (k, t, e)));
            let members = all.flat_map(|(k, t, e)| e.iter().map(move |e| (touch.elements[*e as usize], place(t, k))));
            self.in_layers(layers, members.collect());
        }
        for l in groups {
            self.consume(&l.back);
            self.consume(&l.own);
        }
    }

    /// Tables of layers, step by step: `[steps, groups, fixed…, layer before…, layer…]` or without the layer before.
    fn step_tables(&mut self, touch: &Touch, groups: &[Layers], steps: std::ops::Range<usize>, back: bool) -> Var {
        let (mut scopes, mut rows) = (Lists::default(), Lists::default());
        for t in steps {
            for l in groups {
                let before = if back { l.layers.get(t - 1) } else { &[] };
                scopes.push(l.fixed.iter().chain(before).chain(l.layers.get(t)).copied());
                rows.push(if back { &l.back } else { &l.own }.get(t).iter().copied());
            }
        }
        self.assemble(touch, &scopes, &rows)
    }
}
