//! `plate`: the body is walked once, on values that hold all rows.

use super::env::Binding;
use super::{Lower, Mode, Res};
use crate::dsl::ast::{Block, Ident, Range};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::model::level::{BaseKind, LevelId};

impl<'m> Lower<'m> {
    /// `plate index in range { … }`
    pub fn plate_stmt(&mut self, span: Span, index: &'m Ident, range: &Range, body: &'m Block) -> Res<()> {
        if self.step.is_some() {
            return Err(Diagnostic::new(span, "a plate inside a recurrence"));
        }
        let (from, counts) = self.range(range)?;
        let outer = self.here;
        let (level, i) = self.open_range(&from, &counts, BaseKind::Plate);
        let regular = self.levels.base(level).each.filter(|_| from.iter().all(|f| *f == 1));
        self.env.push();
        self.here = level;
        let done = self.declare(index, Binding::Val(i)).and_then(|()| self.block(body));
        self.here = outer;
        let names = self.env.pop();
        done?;
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

    /// What a row's local name is after its plate: an array with the plate's axis in front.
    fn exported(&mut self, id: &Ident, binding: Binding, level: LevelId, regular: Option<usize>) -> Res<Binding> {
        let Some(n) = regular else {
            return Ok(Binding::Gone("it belongs to the rows of a plate that is ragged or does not begin at 1: declare an array and fill it".into()));
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
