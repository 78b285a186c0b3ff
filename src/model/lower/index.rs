//! Indices: from slots to positions, and reads by position.

use super::{Lower, Res};
use crate::dsl::ast::{Expr, Slot};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::Index;
use crate::model::level::{LevelId, ROOT};
use crate::model::value::{Home, Val};

/// Where an indexed expression points: for each row of `level`, an element of the indexed event for
/// each element of `dims`.
#[derive(Clone, Debug)]
pub struct Positions {
    /// Level of the positions.
    pub level: LevelId,
    /// Shape of what is read.
    pub dims: Vec<usize>,
    /// Row by row, offsets within one event of the indexed value.
    pub table: Vec<u32>,
}

/// One slot, evaluated: indices from 0 for each row of its level.
struct SlotIndex {
    level: LevelId,
    /// None: takes the axis away.
    size: Option<usize>,
    values: Vec<i64>,
    span: Span,
}

impl Lower<'_> {
    fn slot(&mut self, slot: &Slot, size: usize) -> Res<SlotIndex> {
        match slot {
            Slot::At(e) => {
                let v = self.expr(e)?;
                let known = self.known_ints(e.span, &v, "an index")?;
                if v.dims.len() > 1 {
                    return Err(Diagnostic::new(e.span, "an index is an integer or a list of integers"));
                }
                let values = known.iter().map(|x| *x as i64 - 1).collect();
                Ok(SlotIndex { level: v.level, size: v.dims.first().copied(), values, span: e.span })
            }
            Slot::Slice { from, to, span } => {
                let from = self.slice_end(from.as_ref(), 1)?;
                let to = self.slice_end(to.as_ref(), size as i64)?;
                let level = self.join(*span, &[&from, &to])?;
                let (a, b) = (self.lift(&from, level, &[]), self.lift(&to, level, &[]));
                self.slice(*span, level, &a, &b)
            }
        }
    }

    fn slice(&mut self, span: Span, level: LevelId, a: &Val, b: &Val) -> Res<SlotIndex> {
        let (a, b) = (self.known_ints(span, a, "a slice")?, self.known_ints(span, b, "a slice")?);
        let n = a.first().map_or(0, |a0| (b[0] as i64 - *a0 as i64 + 1).max(0));
        self.room(span, level, &[n as usize])?;
        let mut values = Vec::with_capacity(a.len() * n as usize);
        for (a, b) in a.iter().zip(b.iter()) {
            let (a, b) = (*a as i64, *b as i64);
            if (b - a + 1).max(0) != n {
                return Err(Diagnostic::new(span, "this slice has another length in each row")
                    .label("the shape of a local value must not depend on a plate index")
                    .help("read it in an inner plate over the slice's range"));
            }
            values.extend((a..=b).map(|i| i - 1));
        }
        Ok(SlotIndex { level, size: Some(n as usize), values, span })
    }

    fn slice_end(&mut self, e: Option<&Expr>, default: i64) -> Res<Val> {
        match e {
            Some(e) => self.scalar_expr(e, "the end of a slice"),
            None => Ok(Val { int: true, ..Val::number(default as f64) }),
        }
    }

    /// Positions of `slots` within events of shape `dims`, all rows checked against the bounds.
    pub fn positions(&mut self, span: Span, name: &str, dims: &[usize], slots: &[Slot]) -> Res<Positions> {
        let name = &if name.contains(['`', ' ']) { name.to_string() } else { format!("`{name}`") };
        if slots.len() > dims.len() {
            let axes = if dims.len() == 1 { "axis" } else { "axes" };
            return Err(Diagnostic::new(
                span,
                format!("{} indices on {name}, which has {} {axes}", slots.len(), dims.len()),
            ));
        }
        let mut evaluated = Vec::with_capacity(slots.len());
        for (slot, &size) in slots.iter().zip(dims) {
            self.aside += 1;
            let index = self.slot(slot, size);
            self.aside -= 1;
            evaluated.push(index?);
        }
        let mut level = ROOT;
        for s in &evaluated {
            level = self
                .levels
                .join(level, s.level)
                .ok_or_else(|| Diagnostic::new(span, "these indices belong to rows of different plates"))?;
        }
        // Inside a branch only its rows exist, bounds too.
        let here = self.here;
        if self.levels.below_branch(level, here) {
            level = self.levels.with_axes(here, level);
            for s in &mut evaluated {
                let rows = self.levels.lift(s.level, level);
                let width = s.size.unwrap_or(1);
                let row = |r| s.values[rows.at(r) * width..(rows.at(r) + 1) * width].iter().copied();
                s.values = (0..rows.len()).flat_map(row).collect();
                s.level = level;
            }
        }
        for (s, &size) in evaluated.iter_mut().zip(dims) {
            self.spare_untaken(s.level, &mut s.values, s.size.unwrap_or(1), size);
            if let Some(i) = s.values.iter().find(|i| **i < 0 || **i >= size as i64) {
                return Err(Diagnostic::new(s.span, format!("index {} is outside 1:{size} of {name}", i + 1))
                    .label("indices count from 1"));
            }
        }
        let mut out: Vec<usize> = evaluated.iter().filter_map(|s| s.size).collect();
        out.extend_from_slice(&dims[slots.len()..]);
        self.room(span, level, &out)?;
        Ok(self.tabulate(&evaluated, dims, level))
    }

    fn tabulate(&mut self, slots: &[SlotIndex], dims: &[usize], level: LevelId) -> Positions {
        let rest: usize = dims[slots.len()..].iter().product();
        let mut out_dims: Vec<usize> = slots.iter().filter_map(|s| s.size).collect();
        out_dims.extend_from_slice(&dims[slots.len()..]);
        let rows = self.levels.len(level);
        let lifts: Vec<Index> = slots.iter().map(|s| self.levels.lift(s.level, level)).collect();
        let mut table = Vec::with_capacity(rows * out_dims.iter().product::<usize>());
        let mut offsets: Vec<usize> = vec![];
        let mut next: Vec<usize> = vec![];
        for r in 0..rows {
            offsets.clear();
            offsets.push(0);
            for (k, s) in slots.iter().enumerate() {
                let width = s.size.unwrap_or(1);
                let start = lifts[k].at(r) * width;
                next.clear();
                for o in &offsets {
                    next.extend(s.values[start..start + width].iter().map(|i| o * dims[k] + *i as usize));
                }
                std::mem::swap(&mut offsets, &mut next);
            }
            for o in &offsets {
                table.extend((0..rest).map(|j| (o * rest + j) as u32));
            }
        }
        Positions { level, dims: out_dims, table }
    }

    /// Elements of a value at positions.
    pub fn read_at(&mut self, span: Span, v: &Val, p: &Positions) -> Res<Val> {
        if let Home::Step(_) = v.home {
            let width: usize = p.dims.iter().product();
            let same = width == 0 || p.table.chunks(width).all(|c| c == &p.table[..width]);
            if !same {
                return Err(Diagnostic::new(span, "this index changes from step to step inside a recurrence"));
            }
            let index = Index::from_table(p.table[..width].to_vec());
            return Ok(self.gathered(v, &index, v.level, p.dims.clone()));
        }
        let level = self
            .levels
            .join(v.level, p.level)
            .ok_or_else(|| Diagnostic::new(span, "value and index belong to rows of different plates"))?;
        let index = self.flat_index(v.level, v.count(), p, level);
        Ok(self.gathered(v, &index, level, p.dims.clone()))
    }

    /// Flat storage positions, for a value of `from` with events of `count` elements.
    pub fn flat_index(&mut self, from: LevelId, count: usize, p: &Positions, level: LevelId) -> Index {
        let width: usize = p.dims.iter().product();
        if from == ROOT && p.level == level {
            return Index::from_table(p.table.clone());
        }
        let (rows_v, rows_p) = (self.levels.lift(from, level), self.levels.lift(p.level, level));
        let mut table = Vec::with_capacity(rows_v.len() * width);
        for r in 0..rows_v.len() {
            let (start, row) = (rows_v.at(r) * count, rows_p.at(r) * width);
            table.extend(p.table[row..row + width].iter().map(|o| (start + *o as usize) as u32));
        }
        Index::from_table(table)
    }
}
