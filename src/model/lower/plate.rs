//! `plate`: the body is walked once, on values that hold all rows.

use super::env::Binding;
use super::{Lower, Mode, Res};
use crate::dsl::ast::{Block, Expr, Ident, Range};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use std::collections::HashMap;

use super::index::Positions;
use crate::model::level::{BaseId, BaseKind, LevelId, ROOT};

impl<'m> Lower<'m> {
    /// `plate index in range { … }`
    pub fn plate_stmt(
        &mut self,
        span: Span,
        index: &'m Ident,
        range: &Range,
        encode: &'m [Expr],
        body: &'m Block,
    ) -> Res<()> {
        if self.step.is_some() {
            return Err(Diagnostic::new(span, "a plate inside a recurrence"));
        }
        let (from, counts) = self.range(range)?;
        let outer = self.here;
        let (level, i) = self.open_range(&from, &counts, BaseKind::Plate);
        if !self.levels.below_loop(level) {
            self.plates.push((index.clone(), level));
        }
        let regular = self.levels.base(level).each.filter(|_| from.iter().all(|f| *f == 1));
        self.env.push();
        self.here = level;
        let (reads, targets) = (self.reads.len(), self.targets.len());
        let done = self.declare(index, Binding::Val(i)).and_then(|()| self.block(body));
        let done = done.and_then(|()| self.encode(encode, level));
        self.here = outer;
        let names = self.env.pop();
        done?;
        self.independent(level, reads, targets)?;
        if outer == ROOT {
            self.reads.clear();
            self.targets.clear();
        }
        for (name, binding, span) in names {
            if name == index.name {
                continue;
            }
            let id = Ident { name, span };
            let exported = self.exported(&id, binding, level, regular)?;
            self.declare(&id, exported)?;
        }
        Ok(())
    }

    /// No row reads data that another row of the plate observes.
    fn independent(&self, level: LevelId, reads: usize, targets: usize) -> Res<()> {
        let plate = self.levels.base_id(level);
        if self.levels.base(level).len < 2 || self.targets.len() == targets {
            return Ok(());
        }
        let mut owner: HashMap<(usize, u32), usize> = HashMap::new();
        for (data, p) in &self.targets[targets..] {
            if !self.reads[reads..].iter().any(|r| r.0 == *data) {
                continue;
            }
            self.each_row(plate, p, &mut |row, e| {
                owner.insert((*data, e), row);
                true
            });
        }
        for (data, p, span) in &self.reads[reads..] {
            let mut own = true;
            self.each_row(plate, p, &mut |row, e| {
                own = owner.get(&(*data, e)).is_none_or(|r| *r == row);
                own
            });
            let shared = p.level == ROOT && p.table.iter().any(|e| owner.contains_key(&(*data, *e)));
            if !own || shared {
                let name = &self.data[*data].name;
                return Err(Diagnostic::new(
                    *span,
                    format!("this row reads elements of `{name}` that other rows of the plate observe"),
                )
                .label("rows of a plate are independent")
                .help("a sequence is written with `for` instead of `plate`"));
            }
        }
        Ok(())
    }

    /// Calls with the plate's row and the element for each position, until the answer is no.
    fn each_row(&self, plate: BaseId, p: &Positions, found: &mut dyn FnMut(usize, u32) -> bool) {
        let base = self.levels.base_id(p.level);
        if !self.levels.is_ancestor(plate, base) {
            return;
        }
        let up = self.levels.ancestor_rows(plate, base);
        let width: usize = p.dims.iter().product();
        let states = (self.levels.len(p.level) / up.len().max(1)).max(1);
        for (r, row) in p.table.chunks(width.max(1)).enumerate() {
            let at = up.at(r / states);
            if !row.iter().all(|e| found(at, *e)) {
                return;
            }
        }
    }

    /// What a row's local name is after its plate: an array with the plate's axis in front.
    fn exported(&mut self, id: &Ident, binding: Binding, level: LevelId, regular: Option<usize>) -> Res<Binding> {
        let Some(n) = regular else {
            return Ok(Binding::Gone(
                "it belongs to the rows of a plate that is ragged or does not begin at 1: declare an array and fill it"
                    .into(),
            ));
        };
        Ok(match binding {
            Binding::Val(v) => Binding::Val(self.collapse(id.span, &v, level, n)?),
            Binding::Filled(i) => match self.read_whole(i, id.span) {
                Ok(v) => Binding::Val(self.collapse(id.span, &v, level, n)?),
                Err(_) => Binding::Gone("some of its elements were never filled".into()),
            },
            Binding::Discrete(d) => {
                if matches!(self.mode, Mode::Density) {
                    self.collapse_discrete(d, level, n);
                }
                Binding::Discrete(d)
            }
            other => other,
        })
    }
}
