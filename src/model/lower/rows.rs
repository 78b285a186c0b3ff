//! What lies in the rows of each plate: coordinates, discrete latents, terms.

use super::Lower;
use crate::model::level::{BaseId, LevelId};
use crate::model::separable::{Inside, Plate};
use crate::model::site::{BoundData, DataUse, Site, Term};

impl Lower<'_> {
    /// The plates of the walk with what is in them; terms with discrete latents by their rows.
    pub fn plate_list(&self, terms: &[Term]) -> Vec<Plate> {
        self.plates.iter().map(|(id, level)| self.plate_contents(id, *level, terms)).collect()
    }

    /// What of the data the statements read and observe.
    pub fn data_read(&self) -> Vec<DataUse> {
        let used = |(data, p, term): &(usize, super::index::Positions, Option<usize>)| DataUse {
            data: *data,
            base: self.levels.base_id(p.level),
            elements: p.table.clone(),
            term: *term,
        };
        self.data_uses.iter().map(used).collect()
    }

    /// The data with their values.
    pub fn bound_data(&self) -> Vec<BoundData> {
        let bound = |d: &super::DataVar| BoundData {
            name: d.name.clone(),
            dims: d.value.dims.clone(),
            values: d.value.known().cloned().unwrap_or_default(),
        };
        self.data.iter().map(bound).collect()
    }

    fn plate_contents(&self, id: &crate::dsl::ast::Ident, level: LevelId, terms: &[Term]) -> Plate {
        let plate = self.levels.base_id(level);
        let inside = |at: usize, base: BaseId, each: &dyn Fn(usize) -> Vec<u32>| {
            if !self.levels.is_ancestor(plate, base) {
                return None;
            }
            let up = self.levels.ancestor_rows(plate, base);
            Some(Inside { at, rows: each(up.len()).into_iter().map(|r| up.at(r as usize) as u32).collect() })
        };
        let spread = |n: usize, rows: usize| (0..n).map(|j| (j / (n / rows.max(1)).max(1)) as u32).collect();
        let sites = self.sites.iter().enumerate();
        let discrete = self.discrete.iter().enumerate();
        let terms = terms.iter().enumerate();
        Plate {
            name: id.name.clone(),
            span: id.span,
            base: plate,
            encode: self.encodes.iter().find(|e| e.0 == level).map(|e| e.1.clone()),
            rows: self.levels.base_at(plate).len,
            sites: sites.filter_map(|(at, s)| inside(at, s.base, &|rows| coordinate_rows(s, rows))).collect(),
            discrete: discrete.filter_map(|(at, d)| inside(at, d.base, &|rows| spread(d.filled.len(), rows))).collect(),
            terms: terms.filter_map(|(at, t)| inside(at, t.base, &|rows| (0..rows as u32).collect())).collect(),
        }
    }
}

/// Row of its base for each coordinate of a site.
fn coordinate_rows(s: &Site, rows: usize) -> Vec<u32> {
    let total: usize = s.dims.iter().product();
    let row = |j: usize, n: usize| (j * rows / n.max(1)) as u32;
    match &s.filled {
        // A value of several elements may have fewer coordinates; both are laid out value after value.
        Some(elements) => (0..s.free).map(|j| row(elements[j * elements.len() / s.free] as usize, total)).collect(),
        None => (0..s.free).map(|j| row(j, s.free)).collect(),
    }
}
