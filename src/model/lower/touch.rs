//! Which elements of discrete latents meet in which tables: flat lists, linear in the number of tables.

use super::eliminate::{Element, Part};

/// Takes the number of a list and an item of it.
type Give<'a, T> = dyn FnMut(u32, T) + 'a;

/// Lists laid end to end.
#[derive(Clone, Debug)]
pub struct Lists<T> {
    ends: Vec<u32>,
    items: Vec<T>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Lists { ends: vec![], items: vec![] }
    }
}

impl<T: Copy> Lists<T> {
    /// Appends a list.
    pub fn push(&mut self, list: impl IntoIterator<Item = T>) {
        self.items.extend(list);
        self.ends.push(self.items.len() as u32);
    }

    /// The k-th list.
    pub fn get(&self, k: usize) -> &[T] {
        let start = if k == 0 { 0 } else { self.ends[k - 1] };
        &self.items[start as usize..self.ends[k] as usize]
    }

    /// Number of lists.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// All lists.
    pub fn iter(&self) -> impl Iterator<Item = &[T]> {
        (0..self.len()).map(|k| self.get(k))
    }

    /// Everything in all lists.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// `count` lists from pairs of a list and an item, items in the order in which they come. `pairs` is
    /// run twice.
    fn collected(count: usize, zero: T, pairs: impl Fn(&mut Give<'_, T>)) -> Lists<T> {
        let mut ends = vec![0u32; count];
        pairs(&mut |k, _| ends[k as usize] += 1);
        let mut total = 0;
        for end in &mut ends {
            (*end, total) = (total, total + *end);
        }
        let mut items = vec![zero; total as usize];
        pairs(&mut |k, item| {
            let at = &mut ends[k as usize];
            items[*at as usize] = item;
            *at += 1;
        });
        Lists { ends, items }
    }
}

impl Lists<u32> {
    /// Each list in order, without repetitions.
    fn deduplicated(mut self) -> Self {
        let (mut start, mut kept) = (0, 0);
        for k in 0..self.ends.len() {
            let end = self.ends[k] as usize;
            self.items[start..end].sort_unstable();
            let first = kept;
            for j in start..end {
                if kept == first || self.items[kept - 1] != self.items[j] {
                    self.items[kept] = self.items[j];
                    kept += 1;
                }
            }
            self.ends[k] = kept as u32;
            start = end;
        }
        self.items.truncate(kept);
        self
    }
}

/// A row of a table: part and row.
pub type Row = (u32, u32);

/// Who touches whom. Elements are named by their place in `elements`.
pub struct Touch {
    /// Elements of the tables that are left, in order.
    pub elements: Vec<Element>,
    /// Tables of each element.
    pub rows: Lists<Row>,
    /// Neighbours of each element.
    pub near: Lists<u32>,
    /// For each site, the place of each element.
    places: Vec<Vec<u32>>,
}

/// In `places`: no table has this element.
const ABSENT: u32 = u32::MAX;

impl Touch {
    /// The neighbourhoods of what is left in `parts`, of `sites` discrete sites.
    pub fn new(parts: &[Part], sites: usize) -> Touch {
        let mut places: Vec<Vec<u32>> = vec![vec![]; sites];
        for p in parts {
            for r in p.live_rows() {
                for (site, e) in p.elements(r) {
                    let list = &mut places[site];
                    if list.len() <= e as usize {
                        list.resize(e as usize + 1, ABSENT);
                    }
                    list[e as usize] = 0;
                }
            }
        }
        let mut elements = vec![];
        for (site, list) in places.iter_mut().enumerate() {
            for (e, place) in list.iter_mut().enumerate().filter(|(_, place)| **place != ABSENT) {
                *place = elements.len() as u32;
                elements.push((site, e as u32));
            }
        }
        let place = |(site, e): Element| places[site][e as usize];
        let rows = Lists::collected(elements.len(), (0, 0), |give| {
            for (k, p) in parts.iter().enumerate() {
                for r in p.live_rows() {
                    p.elements(r).for_each(|e| give(place(e), (k as u32, r as u32)));
                }
            }
        });
        let near = Lists::collected(elements.len(), 0, |give| {
            for p in parts.iter().filter(|p| p.arity() > 1) {
                for r in p.live_rows() {
                    for a in p.elements(r) {
                        p.elements(r).filter(|b| *b != a).for_each(|b| give(place(a), place(b)));
                    }
                }
            }
        });
        Touch { elements, rows, near: near.deduplicated(), places }
    }

    /// Place of an element that is left.
    pub fn place(&self, (site, e): Element) -> u32 {
        self.places[site][e as usize]
    }

    /// Site of an element.
    pub fn site(&self, e: u32) -> usize {
        self.elements[e as usize].0
    }

    /// Neighbours of an element.
    pub fn near(&self, e: u32) -> &[u32] {
        self.near.get(e as usize)
    }

    /// Connected elements, without those that are held fixed.
    pub fn components(&self, fixed: &[bool]) -> Lists<u32> {
        let mut seen = fixed.to_vec();
        let mut out = Lists::default();
        for first in 0..self.elements.len() as u32 {
            if std::mem::replace(&mut seen[first as usize], true) {
                continue;
            }
            let mut group = vec![first];
            let mut next = 0;
            while next < group.len() {
                for &n in self.near(group[next]) {
                    if !std::mem::replace(&mut seen[n as usize], true) {
                        group.push(n);
                    }
                }
                next += 1;
            }
            group.sort_unstable();
            out.push(group);
        }
        out
    }

    /// Leaves of the trees that are not mere paths.
    pub fn leaves(&self) -> Option<Vec<u32>> {
        let mut out = vec![];
        let degree = |e: &u32| self.near(*e).len();
        for group in self.components(&vec![false; self.elements.len()]).iter() {
            let edges = group.iter().map(degree).sum::<usize>() / 2;
            if edges + 1 == group.len() && group.iter().any(|e| degree(e) > 2) {
                out.extend(group.iter().filter(|e| degree(e) == 1));
            }
        }
        (!out.is_empty()).then_some(out)
    }
}
