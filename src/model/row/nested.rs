//! Plates with latents inside the rows of a plate: which coordinates and addends of a row belong to which inner row.

use std::collections::HashMap;

use super::RowModel;
use super::labels::Tags;
use crate::model::level::{BaseId, rows_above};
use crate::model::posterior::Posterior;
use crate::model::separable::{Assignment, GLOBAL, Plate};

/// The plates with latents in the rows of a plate, as levels: the plate itself first, inner ones behind outer ones.
#[derive(Clone, Debug)]
pub struct Levels {
    /// Place of each level's plate in [`Posterior::plates`].
    pub plates: Vec<usize>,
    /// Level of the next plate outside, for all but the first.
    pub parents: Vec<usize>,
    /// Every row of the plate.
    pub rows: Vec<RowLevels>,
}

/// The levels of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLevels {
    /// For each level the rows of its plate that lie in this row.
    pub inner: Vec<Vec<u32>>,
    /// For each of them the place of its parent among those of the parent's level.
    pub parents: Vec<Vec<u32>>,
    /// Level, and place among its rows, of each coordinate of the row.
    pub coordinates: Vec<(u32, u32)>,
    /// For each part of the row's density, and each of its elements, 0 or 1 + the place among the rows of the levels that have
    /// no level inside, whose latents it reads; all of these levels counted on.
    pub owners: Vec<Vec<u32>>,
}

impl Levels {
    /// Whether no level lies inside.
    pub fn is_leaf(parents: &[usize], level: usize) -> bool {
        !parents.contains(&level)
    }
}

/// A level while it is looked at.
struct Level<'a> {
    at: usize,
    plate: &'a Plate,
    /// Row of the outer plate for each row.
    row: Vec<u32>,
    /// Place of each row among those of its outer row.
    place: Vec<u32>,
}

impl Posterior {
    /// The levels of a plate's rows; none where no plate inside has latents, the rows have no latents of their own, or an addend
    /// reads the latents of several rows of an innermost plate.
    pub fn levels(&self, plate: &Plate, assigned: &Assignment, rows: &RowModel) -> Option<Levels> {
        let levels = self.inside(plate);
        let sites: HashMap<usize, usize> = plate.sites.iter().map(|s| (s.at, innermost(&levels, s.at))).collect();
        let used: Vec<usize> = (0..levels.len()).filter(|l| sites.values().any(|s| s == l)).collect();
        if used.len() < 2 || used[0] != 0 {
            return None;
        }
        let number: HashMap<usize, usize> = used.iter().enumerate().map(|(k, l)| (*l, k)).collect();
        let levels: Vec<Level<'_>> =
            levels.into_iter().enumerate().filter(|(k, _)| number.contains_key(k)).map(|(_, l)| l).collect();
        let parents = self.parents(&levels)?;
        let mut out: Vec<RowLevels> = self.skeleton(plate, &levels, &parents)?;
        self.place_coordinates(plate, &levels, |site| number[&sites[&site]], rows, &mut out);
        self.place_addends(plate, assigned, &levels, &parents, &mut out)?;
        Some(Levels { plates: levels.iter().map(|l| l.at).collect(), parents, rows: out })
    }

    /// The plate and those with latents inside it, outer ones first.
    fn inside(&self, plate: &Plate) -> Vec<Level<'_>> {
        let depth = |mut b: BaseId| {
            let mut n = 0;
            while b != 0 {
                (b, n) = (self.bases[b].parent, n + 1);
            }
            n
        };
        let with = self.plates.iter().enumerate().filter(|(_, q)| !q.sites.is_empty());
        let mut all: Vec<(usize, &Plate, Vec<u32>)> = with
            .filter_map(|(at, q)| {
                let up = rows_above(&self.bases, plate.base, q.base)?;
                Some((at, q, (0..q.rows).map(|r| up.at(r) as u32).collect()))
            })
            .collect();
        all.sort_by_key(|(at, q, _)| (depth(q.base), *at));
        let made = |(at, plate, row): (usize, _, Vec<u32>)| {
            let mut used: HashMap<u32, u32> = HashMap::new();
            let place = row.iter().map(|r| {
                let n = used.entry(*r).or_default();
                *n += 1;
                *n - 1
            });
            Level { at, plate, place: place.collect(), row }
        };
        all.into_iter().map(made).collect()
    }

    /// For all levels but the first, the deepest level in which they lie.
    fn parents(&self, levels: &[Level<'_>]) -> Option<Vec<usize>> {
        let parent = |k: usize| {
            let outside = |j: &usize| rows_above(&self.bases, levels[*j].plate.base, levels[k].plate.base).is_some();
            (0..k).rev().find(outside)
        };
        (1..levels.len()).map(parent).collect()
    }

    /// Rows without coordinates and owners.
    fn skeleton(&self, plate: &Plate, levels: &[Level<'_>], parents: &[usize]) -> Option<Vec<RowLevels>> {
        let none = || vec![vec![]; levels.len()];
        let empty = RowLevels { inner: none(), parents: none(), coordinates: vec![], owners: vec![] };
        let mut out = vec![empty; plate.rows];
        for (k, level) in levels.iter().enumerate() {
            let up = match k {
                0 => None,
                _ => Some(rows_above(&self.bases, levels[parents[k - 1]].plate.base, level.plate.base)?),
            };
            for (q, row) in level.row.iter().enumerate() {
                let to = &mut out[*row as usize];
                to.inner[k].push(q as u32);
                let parent = up.as_ref().map_or(0, |up| levels[parents[k - 1]].place[up.at(q)]);
                to.parents[k].push(parent);
            }
        }
        Some(out)
    }

    /// Which inner row each coordinate belongs to.
    fn place_coordinates(
        &self,
        plate: &Plate,
        levels: &[Level<'_>],
        level_of: impl Fn(usize) -> usize,
        rows: &RowModel,
        out: &mut [RowLevels],
    ) {
        let mut start = 0;
        let mut places: HashMap<u32, (u32, u32)> = HashMap::new();
        for (at, site) in self.sites.iter().enumerate() {
            if plate.sites.iter().any(|s| s.at == at) {
                let k = level_of(at);
                let own = levels[k].plate.sites.iter().find(|s| s.at == at);
                for (e, q) in own.iter().flat_map(|s| &s.rows).enumerate() {
                    places.insert(start + e as u32, (k as u32, levels[k].place[*q as usize]));
                }
            }
            start += site.free as u32;
        }
        for feed in rows.groups.iter().flat_map(|g| &g.rows) {
            out[feed.row].coordinates = feed.coordinates.iter().map(|c| places[c]).collect();
        }
    }

    /// Which innermost row each element of each addend belongs to; `None` where one reads several.
    fn place_addends(
        &self,
        plate: &Plate,
        assigned: &Assignment,
        levels: &[Level<'_>],
        parents: &[usize],
        out: &mut [RowLevels],
    ) -> Option<()> {
        let addends = self.addends(plate, assigned);
        let mut leaves: Vec<(usize, HashMap<usize, Tags>)> = vec![];
        for (k, level) in levels.iter().enumerate().filter(|(k, _)| Levels::is_leaf(parents, *k)) {
            let own = self.assign(level.plate).ok()?;
            let tags = self.addends(level.plate, &own).all;
            leaves.push((k, tags.into_iter().map(|(v, t)| (v.index(), t)).collect()));
        }
        for (row, to) in out.iter_mut().enumerate() {
            for (node, elements) in &addends.rows[row] {
                let owner = |e: &u32| {
                    let (mut found, mut offset) = (0, 1);
                    for (k, tags) in &leaves {
                        let tag = tags.get(node).map_or(GLOBAL, |t| t.at(*e as usize));
                        if tag != GLOBAL {
                            if found != 0 {
                                return None;
                            }
                            found = offset + levels[*k].place[tag as usize - 1];
                        }
                        offset += to.inner[*k].len() as u32;
                    }
                    Some(found)
                };
                to.owners.push(elements.iter().map(owner).collect::<Option<Vec<u32>>>()?);
            }
        }
        Some(())
    }
}

/// The deepest level with a site.
fn innermost(levels: &[Level<'_>], site: usize) -> usize {
    let has = |l: &Level<'_>| l.plate.sites.iter().any(|s| s.at == site);
    levels.iter().rposition(has).unwrap_or(0)
}
