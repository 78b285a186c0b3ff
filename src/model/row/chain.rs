//! Sums over discrete latents outside plates, in pieces: p(y_t | y_<t) from the forward algorithm (rule R39).
//!
//! The forward algorithm sums a chain out layer by layer, and Z_l, the mass of the tables of layers up to l, is at hand at
//! each of them. Where these tables hold every law of their latents with all that it reads, the other laws integrate to
//! 1 and Z_l is the density of what the rows in these layers observe; so log Z_l − log Z_{l−1} is the log density of what
//! layer l observes given the layers before.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::likelihood::{Pieces, Scheme};
use crate::model::level::{BaseKind, NONE, rows_above};
use crate::model::lower::element;
use crate::model::posterior::Posterior;
use crate::model::site::{FactorKind, Term};

type Element = (usize, u32);

/// Where the elements of discrete latents are summed out: among the sums, and among the layers of a sum.
type Places = HashMap<Element, (usize, u32)>;

impl Posterior {
    /// The pieces of all sums over discrete latents.
    ///
    /// # Errors
    /// The reason why they have none.
    pub(super) fn in_time(&self, p: &mut Pieces) -> Result<(), &'static str> {
        let mut places = Places::new();
        for (k, s) in self.sums.iter().enumerate() {
            places.extend(s.members.iter().map(|(e, at)| (*e, (k, *at))));
        }
        let mut filled: HashSet<Element> = HashSet::new();
        let discrete = |kind: FactorKind| self.terms.iter().enumerate().filter(move |(_, t)| t.kind == kind);
        for (_, t) in discrete(FactorKind::Prior).filter(|(_, t)| !t.discrete.is_empty()) {
            self.laws(t, &places, &mut filled)?;
        }
        // Place of what is observed, by the layer that it is in.
        let mut observed: BTreeMap<(usize, u32), u32> = BTreeMap::new();
        for (at, t) in discrete(FactorKind::Likelihood).filter(|(_, t)| !t.discrete.is_empty()) {
            for row in 0..t.discrete[0].1.len() {
                let layer = self.last(&elements(t, row), &places)?;
                let piece = self.step(p, at, t, row);
                if *observed.entry(layer).or_insert(piece) != piece {
                    return Err("the latents of several of its steps can only be summed out together");
                }
            }
        }
        for (k, s) in self.sums.iter().enumerate() {
            let width = self.graph.shape(s.node).count();
            let layers = self.graph.shape(s.layers).count() / width.max(1);
            let mut hits = vec![];
            for j in 0..width {
                let at = |l: usize| (l * width + j) as u32;
                let pieces: Vec<Option<u32>> = (0..layers).map(|l| observed.get(&(k, at(l))).copied()).collect();
                hits.extend(in_order(&pieces, p)?.into_iter().enumerate().map(|(l, piece)| (at(l), piece)));
            }
            p.parts.push((s.layers, hits));
        }
        Ok(())
    }

    /// Checks that all that the laws of discrete latents read is summed out with them or before.
    fn laws(&self, t: &Term, places: &Places, filled: &mut HashSet<Element>) -> Result<(), &'static str> {
        let site = self.discrete.iter().position(|d| d.0 == t.about);
        let site = site.ok_or("the law of a latent depends on the discrete latents that are summed out with it")?;
        for row in 0..t.discrete[0].1.len() {
            let read = elements(t, row);
            let mut new = read.iter().filter(|e| e.0 == site && !filled.contains(e));
            let (Some(&own), None) = (new.next(), new.next()) else {
                return Err("the laws of its discrete latents are in no order");
            };
            filled.insert(own);
            if places.get(&own) != Some(&self.last(&read, places)?) {
                return Err("its discrete latents are not summed out in the order of their laws");
            }
        }
        Ok(())
    }

    /// The layer in which the last of these elements is summed out.
    fn last(&self, elements: &[Element], places: &Places) -> Result<(usize, u32), &'static str> {
        let mut last: Option<(usize, u32)> = None;
        for e in elements {
            let &(sum, at) = places.get(e).ok_or("its discrete latents form no chain")?;
            let width = self.graph.shape(self.sums[sum].node).count() as u32;
            if last.is_some_and(|l| l.0 != sum || l.1 % width != at % width) {
                return Err("its discrete latents form no chain");
            }
            last = Some((sum, last.map_or(at, |l| l.1.max(at))));
        }
        last.ok_or("some of its steps read no discrete latent")
    }

    /// The piece of a row of a term: of its row in the outermost plate or loop, or its own.
    fn step(&self, p: &mut Pieces, at: usize, t: &Term, row: usize) -> u32 {
        if let Some(plate) = self.outermost(at) {
            let rows = self.plates[plate].terms.iter().find(|i| i.at == at).map(|i| &i.rows);
            return p.plate(plate, &self.plates[plate]) + rows.map_or(0, |r| r[row]);
        }
        let mut base = t.base;
        let mut outer = None;
        while base != 0 {
            outer = Some(base).filter(|b| self.bases[*b].kind != BaseKind::Branch).or(outer);
            base = self.bases[base].parent;
        }
        let index = self.rows.get(&(t.span.start + 1)).and_then(|i| i.first());
        let up = outer.and_then(|o| rows_above(&self.bases, o, t.base).map(|up| (o, up)));
        if let (Some((base, up)), Some((name, values))) = (up, index) {
            let name = format!("{name}[{}]", values[row]);
            return *p.steps.entry((base, up.at(row))).or_insert_with(|| {
                p.names.push(name);
                p.schemes.push(Scheme::LeaveOneOut);
                p.names.len() as u32 - 1
            });
        }
        p.names.push(element(&t.about, &[t.discrete[0].1.len()], row));
        p.schemes.push(Scheme::LeaveOneOut);
        p.names.len() as u32 - 1
    }
}

/// The discrete elements that a row of a term reads, each once.
fn elements(t: &Term, row: usize) -> Vec<Element> {
    let mut out: Vec<Element> = t.discrete.iter().map(|d| (d.0, d.1[row])).filter(|e| e.1 != NONE).collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// The piece of each layer of one sum. A layer that observes nothing has mass 1, up to rounding, and goes with the next
/// that does.
fn in_order(pieces: &[Option<u32>], p: &mut Pieces) -> Result<Vec<u32>, &'static str> {
    let known: Vec<u32> = pieces.iter().copied().flatten().collect();
    if !known.is_sorted() {
        return Err("its steps are not observed in the order of the chain");
    }
    let Some(&last) = known.last() else { return Ok(vec![]) };
    if known[0] != last {
        known.iter().for_each(|k| p.schemes[*k as usize] = Scheme::LeaveFutureOut);
    }
    let mut next = last;
    let mut out: Vec<u32> = pieces
        .iter()
        .rev()
        .map(|piece| {
            next = piece.unwrap_or(next);
            next
        })
        .collect();
    out.reverse();
    Ok(out)
}
