//! What a plate says that its encoder reads, and the checks of it (rule R38).

use super::input::Readers;
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::model::level::{BaseId, rows_above};
use crate::model::lower::element;
use crate::model::posterior::Posterior;
use crate::model::separable::{GLOBAL, Plate, SEVERAL};

/// The numbers that the expressions of `encode(…)` have in each row.
#[derive(Clone, Debug)]
pub struct Encode {
    /// Place of the expressions.
    pub span: Span,
    /// Their texts; an array counts as its elements.
    pub names: Vec<String>,
    /// Their values, row after row.
    pub values: Vec<f64>,
    /// Elements of data that they read.
    pub reads: Vec<Read>,
}

/// Elements of data that an expression reads.
#[derive(Clone, Debug)]
pub struct Read {
    /// Place in [`Posterior::data`].
    pub data: usize,
    /// Base of the rows that read them.
    pub base: BaseId,
    /// The elements, rows of the base first.
    pub elements: Vec<u32>,
    /// The expression.
    pub span: Span,
}

impl Encode {
    /// Numbers of one row.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// The numbers of a row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width()..(row + 1) * self.width()]
    }
}

impl Posterior {
    /// Checks that the encoders of plates have latents to encode, and that each row reads no data of another row. (Of plates
    /// that are not separable the rows have no data of their own.)
    pub(in crate::model) fn check_encoders(&self) -> Result<(), Diagnostic> {
        for plate in &self.plates {
            let Some(encode) = &plate.encode else { continue };
            if plate.sites.is_empty() && plate.discrete.is_empty() {
                return Err(Diagnostic::new(
                    encode.span,
                    format!("the plate over `{}` has no latents, so there is nothing to encode", plate.name),
                )
                .label("an encoder turns the data of a row into a guide of its latents")
                .help("leave `encode(…)` out, or write it at the plate whose rows have the latents"));
            }
            let Ok(assigned) = self.assign(plate) else { continue };
            let (observed, read, _) = self.informed(plate, &assigned);
            for r in &encode.reads {
                self.own(plate, r, &[&observed, &read])?;
            }
        }
        Ok(())
    }

    /// Checks that rows read elements that inform them, or several rows, or none.
    fn own(&self, plate: &Plate, read: &Read, readers: &[&Readers]) -> Result<(), Diagnostic> {
        let up = rows_above(&self.bases, plate.base, read.base);
        let rows = self.bases[read.base].len;
        let width = (read.elements.len() / rows.max(1)).max(1);
        for (k, e) in read.elements.iter().enumerate() {
            let tag = readers.iter().find_map(|r| r.get(&(read.data, *e)).copied()).unwrap_or(GLOBAL);
            let own = match &up {
                Some(up) => up.at(k / width) as u32 + 1 == tag,
                // Read by all rows alike.
                None => plate.rows == 1,
            };
            if !own && tag != GLOBAL && tag != SEVERAL {
                let d = &self.data[read.data];
                let name = element(&d.name, &d.dims, *e as usize);
                let row = element(&plate.name, &[plate.rows], tag as usize - 1);
                return Err(Diagnostic::new(
                    read.span,
                    format!("this encoder reads {name}, which informs another row: {row}"),
                )
                .label("an encoder sees the data of its own row, and data that belong to no row")
                .help(format!("index it by `{}`", plate.name)));
            }
        }
        Ok(())
    }
}
