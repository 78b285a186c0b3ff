//! `encode(…)` of a plate: the numbers that an encoder reads of each row (rule R38).

use std::sync::Arc;

use super::{Lower, Mode, Res, element};
use crate::dsl::ast::Expr;
use crate::dsl::diagnostic::Diagnostic;
use crate::model::level::LevelId;
use crate::model::row::encode::{Encode, Read};

impl Lower<'_> {
    /// Computes the expressions in every row of the plate, where its names are in scope.
    pub fn encode(&mut self, list: &[Expr], level: LevelId) -> Res<()> {
        let (Some(first), Some(last)) = (list.first(), list.last()) else { return Ok(()) };
        if matches!(self.mode, Mode::Simulate { .. }) || self.lets {
            return Ok(());
        }
        if self.levels.below_loop(level) {
            return Err(Diagnostic::new(first.span, "a plate inside a `for` has no latents of its own, so no encoder")
                .help("leave `encode(…)` out, or turn the nest around: the `for` inside the plate"));
        }
        let reads = self.reads.len();
        self.aside += 1;
        let columns: Res<Vec<(Arc<[f64]>, usize)>> = list.iter().map(|e| self.encoded(e, level)).collect();
        self.aside -= 1;
        let reads: Vec<Read> =
            self.reads.split_off(reads).into_iter().map(|(data, p, span)| self.read_of(data, &p, span)).collect();
        let columns = columns?;
        let mut names = vec![];
        for (e, (_, width)) in list.iter().zip(&columns) {
            let text = e.to_string();
            match width {
                1 => names.push(text),
                _ => names.extend((0..*width).map(|j| element(&text, &[*width], j))),
            }
        }
        let row = |r: usize| columns.iter().flat_map(move |(v, w)| v[r * w..(r + 1) * w].iter().copied());
        let values = (0..self.levels.len(level)).flat_map(row).collect();
        let followed = self.followed.clone().unwrap_or_default();
        let columns = list.iter().zip(&columns);
        let columns = columns.filter_map(|(e, (v, width))| Some((e.span, followed.node(v)?, *width))).collect();
        let span = first.span.to(last.span);
        self.encodes.push((level, Encode { span, names, values, reads, columns, followed }));
        Ok(())
    }

    /// An expression in each row, and how many numbers it is.
    fn encoded(&mut self, e: &Expr, level: LevelId) -> Res<(Arc<[f64]>, usize)> {
        let v = self.expr(e)?;
        let dims = v.dims.clone();
        let known = v.known().is_some() && self.levels.axes_of(v.level).is_empty();
        let v = if known { self.lift(&v, level, &dims) } else { v };
        match v.known().filter(|_| known) {
            Some(values) => Ok((values.clone(), dims.iter().product())),
            None => Err(Diagnostic::new(e.span, "an encoder reads data, and this depends on latents or params")
                .label("not known before the model is fitted")
                .help("write what informs the row: `encode(y[n], x[n])`")),
        }
    }

    fn read_of(&self, data: usize, p: &super::index::Positions, span: crate::dsl::span::Span) -> Read {
        Read { data, base: self.levels.base_id(p.level), elements: p.table.clone(), span }
    }
}
