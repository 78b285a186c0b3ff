//! Batch levels: where in the nest of plates, loops and enumerations a value varies.
//!
//! A *base* is a flattened index space: the root has one row, a plate or loop has a row for each of
//! its indices under each row of its parent (ragged ones too), a branch has the rows that take it.
//! An *axis* enumerates a discrete latent. A level is a base with a set of axes behind it, and a
//! value at a level stores `len` events, base rows first, axes in their order.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::Index;

/// In an axis: no element in this row, whose values do not depend on the axis.
pub const NONE: u32 = u32::MAX;

/// A level, by its place in [`Levels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LevelId(u32);

/// The root level: one row.
pub const ROOT: LevelId = LevelId(0);

/// A base, by its place in [`Levels`].
pub type BaseId = usize;

/// An axis, by its place in [`Levels`].
pub type AxisId = usize;

/// What made a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseKind {
    /// The model itself.
    Root,
    /// Rows of a plate (or elements of a comprehension).
    Plate,
    /// Steps of a loop.
    For,
    /// The rows that take a branch.
    Branch,
}

/// A flattened index space.
#[derive(Clone, Debug)]
pub struct Base {
    /// The base it was opened in; itself for the root.
    pub parent: BaseId,
    /// Row of the parent for each row.
    pub parent_row: Index,
    /// Number of rows.
    pub len: usize,
    /// What made it.
    pub kind: BaseKind,
    /// Rows per parent row, where it is the same for all.
    pub each: Option<usize>,
}

/// An enumerated discrete latent as one read sees it.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The discrete site.
    pub site: usize,
    /// Base at which it was read.
    pub base: BaseId,
    /// Element of the site for each row of the base.
    pub elements: Arc<[u32]>,
    /// Number of states.
    pub states: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Level {
    base: BaseId,
    axes: Vec<AxisId>,
}

/// The table of levels of one lowering.
#[derive(Debug)]
pub struct Levels {
    bases: Vec<Base>,
    axes: Vec<Axis>,
    levels: Vec<Level>,
    known: HashMap<Level, LevelId>,
    lifts: HashMap<(LevelId, LevelId), Index>,
}

impl Default for Levels {
    fn default() -> Self {
        let parent_row = Index::Stride { start: 0, stride: 1, len: 1 };
        let root = Base { parent: 0, parent_row, len: 1, kind: BaseKind::Root, each: None };
        let level = Level { base: 0, axes: vec![] };
        Levels {
            bases: vec![root],
            axes: vec![],
            known: HashMap::from([(level.clone(), ROOT)]),
            levels: vec![level],
            lifts: HashMap::new(),
        }
    }
}

impl Levels {
    fn intern(&mut self, level: Level) -> LevelId {
        if let Some(&id) = self.known.get(&level) {
            return id;
        }
        let id = LevelId(self.levels.len() as u32);
        self.levels.push(level.clone());
        self.known.insert(level, id);
        id
    }

    /// Opens a base under the base of `parent`; `counts[r]` rows for row r of the parent.
    pub fn open(&mut self, parent: LevelId, counts: &[usize], kind: BaseKind) -> LevelId {
        let each = counts.first().copied().filter(|c| counts.iter().all(|d| d == c));
        let len = counts.iter().sum();
        let parent_row = match each {
            Some(each) if each > 0 => Index::Repeat { each, len },
            _ => {
                let rows = counts.iter().enumerate();
                Index::from_table(rows.flat_map(|(r, &c)| std::iter::repeat_n(r as u32, c)).collect())
            }
        };
        self.open_rows(parent, parent_row, each, kind)
    }

    /// Opens a base that holds the given rows of the parent's base.
    pub fn open_branch(&mut self, parent: LevelId, rows: Vec<u32>) -> LevelId {
        self.open_rows(parent, Index::from_table(rows), None, BaseKind::Branch)
    }

    fn open_rows(&mut self, parent: LevelId, parent_row: Index, each: Option<usize>, kind: BaseKind) -> LevelId {
        let (parent, len) = (self.base_id(parent), parent_row.len());
        self.bases.push(Base { parent, parent_row, len, kind, each });
        self.intern(Level { base: self.bases.len() - 1, axes: vec![] })
    }

    /// Base of a level.
    pub fn base_id(&self, l: LevelId) -> BaseId {
        self.levels[l.0 as usize].base
    }

    /// A base.
    pub fn base_at(&self, b: BaseId) -> &Base {
        &self.bases[b]
    }

    /// All bases.
    pub fn bases(&self) -> &[Base] {
        &self.bases
    }

    /// Base of a level.
    pub fn base(&self, l: LevelId) -> &Base {
        &self.bases[self.base_id(l)]
    }

    /// Rows of a level's base under each row of its parent.
    pub fn counts(&self, l: LevelId) -> Vec<usize> {
        let base = self.base(l);
        let mut counts = vec![0; self.bases[base.parent].len];
        (0..base.len).for_each(|r| counts[base.parent_row.at(r)] += 1);
        counts
    }

    /// The level of the base alone.
    pub fn without_axes(&mut self, l: LevelId) -> LevelId {
        self.intern(Level { base: self.base_id(l), axes: vec![] })
    }

    /// The level of the parent's base.
    pub fn parent(&mut self, l: LevelId) -> LevelId {
        self.intern(Level { base: self.base(l).parent, axes: vec![] })
    }

    /// Axes of a level.
    pub fn axes_of(&self, l: LevelId) -> &[AxisId] {
        &self.levels[l.0 as usize].axes
    }

    /// An axis.
    pub fn axis(&self, a: AxisId) -> &Axis {
        &self.axes[a]
    }

    /// The axis that reads these elements of a site, and the level of the base with it alone.
    pub fn enumerate(&mut self, at: LevelId, site: usize, elements: Arc<[u32]>, states: usize) -> LevelId {
        let base = self.base_id(at);
        let found = self
            .axes
            .iter()
            .position(|a| a.site == site && a.base == base && a.states == states && a.elements == elements);
        let id = found.unwrap_or_else(|| {
            self.axes.push(Axis { site, base, elements, states });
            self.axes.len() - 1
        });
        self.intern(Level { base, axes: vec![id] })
    }

    /// `base` of `at` with the axes of `from` beside its own.
    pub fn with_axes(&mut self, at: LevelId, from: LevelId) -> LevelId {
        let mut axes = self.axes_of(at).to_vec();
        axes.extend_from_slice(self.axes_of(from));
        axes.sort_unstable();
        axes.dedup();
        self.intern(Level { base: self.base_id(at), axes })
    }

    /// Number of events a value at this level stores.
    pub fn len(&self, l: LevelId) -> usize {
        let level = &self.levels[l.0 as usize];
        let states: usize = level.axes.iter().map(|&a| self.axes[a].states).product();
        self.bases[level.base].len * states
    }

    /// True where `below` lies in `above`, or is it.
    pub fn is_ancestor(&self, above: BaseId, mut below: BaseId) -> bool {
        loop {
            if above == below {
                return true;
            }
            if below == 0 {
                return false;
            }
            below = self.bases[below].parent;
        }
    }

    /// A branch's level seen from the level it was opened in: its axes get rows without an element.
    /// Returns the level of the branch with the new axes, and the places of its axes among them.
    pub fn rebase(&mut self, level: LevelId, at: LevelId) -> (LevelId, Vec<usize>) {
        let (branch, base) = (self.base_id(level), self.base_id(at));
        let rows = self.bases[branch].parent_row.clone();
        let mut axes = vec![];
        for a in self.axes_of(level).to_vec() {
            if self.axes[a].base != branch {
                axes.push(a);
                continue;
            }
            let mut elements = vec![NONE; self.bases[base].len];
            for (r, e) in self.axes[a].elements.iter().enumerate() {
                elements[rows.at(r)] = *e;
            }
            let (site, states) = (self.axes[a].site, self.axes[a].states);
            let wide = self.enumerate(at, site, elements.into(), states);
            axes.push(self.axes_of(wide)[0]);
        }
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        let places = sorted.iter().map(|a| axes.iter().position(|b| b == a).unwrap_or(0)).collect();
        (self.intern(Level { base: branch, axes: sorted }), places)
    }

    /// True where a loop encloses the level.
    pub fn below_loop(&self, level: LevelId) -> bool {
        let mut b = self.base_id(level);
        while b != 0 && self.bases[b].kind != BaseKind::For {
            b = self.bases[b].parent;
        }
        b != 0
    }

    /// True where `below` lies in a branch opened under the base of `above`.
    pub fn below_branch(&self, above: LevelId, below: LevelId) -> bool {
        let (above, mut b) = (self.base_id(above), self.base_id(below));
        let mut branch = false;
        while b != above {
            if b == 0 {
                return false;
            }
            branch |= self.bases[b].kind == BaseKind::Branch;
            b = self.bases[b].parent;
        }
        branch && above != 0
    }

    /// The level at which values of both levels meet: the deeper base, all axes. `None` where
    /// neither base lies in the other.
    pub fn join(&mut self, a: LevelId, b: LevelId) -> Option<LevelId> {
        if a == b || b == ROOT {
            return Some(a);
        }
        if a == ROOT {
            return Some(b);
        }
        let (ba, bb) = (self.base_id(a), self.base_id(b));
        if self.is_ancestor(bb, ba) {
            Some(self.with_axes(a, b))
        } else if self.is_ancestor(ba, bb) {
            Some(self.with_axes(b, a))
        } else {
            None
        }
    }

    /// Row of `above` for each row of base `below`.
    pub fn ancestor_rows(&self, above: BaseId, below: BaseId) -> Index {
        rows_above(&self.bases, above, below).expect("a base lies in the other")
    }

    /// Stored event of `from` for each stored event of `to`, a level at or below it.
    pub fn lift(&mut self, from: LevelId, to: LevelId) -> Index {
        if let Some(i) = self.lifts.get(&(from, to)) {
            return i.clone();
        }
        let index = self.compute_lift(from, to);
        self.lifts.insert((from, to), index.clone());
        index
    }

    fn compute_lift(&self, from: LevelId, to: LevelId) -> Index {
        let (f, t) = (&self.levels[from.0 as usize], &self.levels[to.0 as usize]);
        let rows = self.ancestor_rows(f.base, t.base);
        if t.axes.is_empty() {
            return rows;
        }
        // Stride of each axis of `to` within the block of a row of `from`.
        let mut strides = vec![0usize; t.axes.len()];
        let mut block_from = 1;
        for &a in f.axes.iter().rev() {
            let at = t.axes.iter().position(|&x| x == a).unwrap_or(0);
            strides[at] = block_from;
            block_from *= self.axes[a].states;
        }
        let block: usize = t.axes.iter().map(|&a| self.axes[a].states).product();
        let offsets: Vec<usize> = (0..block)
            .map(|j| {
                let (mut rest, mut at) = (j, 0);
                for (k, &a) in t.axes.iter().enumerate().rev() {
                    at += (rest % self.axes[a].states) * strides[k];
                    rest /= self.axes[a].states;
                }
                at
            })
            .collect();
        let mut table = Vec::with_capacity(rows.len() * block);
        for r in 0..rows.len() {
            let start = rows.at(r) * block_from;
            table.extend(offsets.iter().map(|o| (start + o) as u32));
        }
        Index::from_table(table)
    }
}

/// Row of `above` for each row of base `below`; `None` where it does not lie in `above`.
pub fn rows_above(bases: &[Base], above: BaseId, below: BaseId) -> Option<Index> {
    let mut index = Index::Stride { start: 0, stride: 1, len: bases[below].len };
    let mut b = below;
    while b != above {
        if b == 0 {
            return None;
        }
        index = index.then(&bases[b].parent_row);
        b = bases[b].parent;
    }
    Some(index)
}
