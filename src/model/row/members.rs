//! The numbers of rows of different sizes as members of sets: what an encoder of sets sees (rule R38).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::input::RowInput;
use crate::model::level::{BaseId, BaseKind, rows_above};
use crate::model::posterior::Posterior;
use crate::model::separable::{Assignment, Plate};
use crate::model::site::DataUse;

/// An element of data: place among the model's data, and element.
type Element = (usize, u32);

/// Sets of members of equal form, and the numbers that belong to a row as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Members {
    /// Data of the numbers that rows have as a whole: as many in each row.
    pub flat: Vec<usize>,
    /// The sets.
    pub sets: Vec<Set>,
    /// For each row, its elements: those of `flat`, then the members of each set, one after another.
    pub rows: Vec<Vec<Element>>,
    /// For each row, how many members each set has.
    pub sizes: Vec<Vec<usize>>,
}

/// Members of equal form.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Data of each of a member's numbers.
    pub features: Vec<usize>,
    /// Whether the members have an order: they are steps of a loop.
    pub ordered: bool,
}

/// Elements of a set's members, by row and place.
type Found = BTreeMap<(usize, u32), Vec<Element>>;

/// Where an element is a member: the set, and the member's place in it. A set is a base, or a statement on vectors.
type Member = ((usize, usize), u32);

impl Posterior {
    /// The input of each row as sets: rows of an inner plate, steps of a loop, or the statements that gather from a row are
    /// members. `None` where members of a set, or what is left of the rows, differ in form.
    pub fn members(&self, plate: &Plate, assigned: &Assignment, input: &RowInput) -> Option<Members> {
        let mut found: BTreeMap<(usize, usize), Found> = BTreeMap::new();
        let mut taken: HashSet<Element> = HashSet::new();
        let rows = owners(&input.elements);
        for u in &self.uses {
            let Some(places) = self.places(plate, assigned, u) else { continue };
            for (e, (set, member)) in u.elements.iter().zip(places) {
                let at = (u.data, *e);
                let Some(row) = rows.get(&at) else { continue };
                let list = found.entry(set).or_default().entry((*row, member)).or_default();
                if !list.contains(&at) {
                    list.push(at);
                }
                taken.insert(at);
            }
        }
        let mut out =
            Members { flat: vec![], sets: vec![], rows: vec![vec![]; plate.rows], sizes: vec![vec![]; plate.rows] };
        for (row, elements) in input.elements.iter().enumerate() {
            out.rows[row].extend(elements.iter().filter(|e| !taken.contains(e)));
            let flat: Vec<usize> = out.rows[row].iter().map(|e| e.0).collect();
            if row == 0 {
                out.flat = flat;
            } else if out.flat != flat {
                return None;
            }
        }
        for ((base, _), members) in found {
            let form = |m: &[Element]| m.iter().map(|e| e.0).collect::<Vec<usize>>();
            let features = form(members.values().next()?);
            if members.values().any(|m| form(m) != features) {
                return None;
            }
            out.sizes.iter_mut().for_each(|s| s.push(0));
            for ((row, _), m) in members {
                out.rows[row].extend(m);
                *out.sizes[row].last_mut()? += 1;
            }
            out.sets.push(Set { features, ordered: self.is_loop(base) });
        }
        Some(out)
    }

    /// The member that each element of a use is in; `None` where it belongs to rows as a whole.
    fn places(&self, plate: &Plate, assigned: &Assignment, u: &DataUse) -> Option<Vec<Member>> {
        let n = u.elements.len();
        let mut base = u.base;
        // Branches are not members; what they hold belongs to the rows that take them.
        while base != plate.base && self.bases[base].kind == BaseKind::Branch {
            base = self.bases[base].parent;
        }
        if base == plate.base {
            return None;
        }
        if base == 0 {
            let term = u.term.filter(|t| assigned.terms.get(*t).is_some_and(Option::is_some))?;
            let width = (n / self.graph.shape(self.terms[term].node).count().max(1)).max(1);
            return Some((0..n).map(|j| ((0, term + 1), (j / width) as u32)).collect());
        }
        let up = rows_above(&self.bases, base, u.base)?;
        let width = (n / self.bases[u.base].len.max(1)).max(1);
        Some((0..n).map(|j| ((base, 0), up.at(j / width) as u32)).collect())
    }

    /// Whether a base is, or lies in, a loop.
    fn is_loop(&self, base: BaseId) -> bool {
        let mut b = base;
        while b != 0 {
            if self.bases[b].kind == BaseKind::For {
                return true;
            }
            b = self.bases[b].parent;
        }
        false
    }
}

/// The row of each element.
fn owners(rows: &[Vec<Element>]) -> HashMap<Element, usize> {
    rows.iter().enumerate().flat_map(|(row, all)| all.iter().map(move |e| (*e, row))).collect()
}
