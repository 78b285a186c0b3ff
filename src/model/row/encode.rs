//! What a plate says that its encoder reads, and the checks of it (rule R38).

use super::input::Readers;
use super::labels::{Tags, forward};
use super::owners::Owners;
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Index, Shape, Var};
use crate::model::level::{BaseId, rows_above};
use crate::model::lower::element;
use crate::model::lower::follow::Followed;
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
    /// Expressions that depend on data: place, node of all rows, and numbers of a row.
    pub columns: Vec<(Span, Var, usize)>,
    /// What they are computed from.
    pub followed: Followed,
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
            self.own_sources(plate, encode, &[&observed, &read])?;
        }
        Ok(())
    }

    /// Checks that rows read elements that inform them, or several rows, or none.
    fn own(&self, plate: &Plate, read: &Read, readers: &[&Readers]) -> Result<(), Diagnostic> {
        let up = rows_above(&self.bases, plate.base, read.base);
        let rows = self.bases[read.base].len;
        let width = (read.elements.len() / rows.max(1)).max(1);
        for (k, e) in read.elements.iter().enumerate() {
            let tag = reader(readers, read.data, *e);
            let own = match &up {
                Some(up) => up.at(k / width) as u32 + 1 == tag,
                // Read by all rows alike.
                None => plate.rows == 1,
            };
            if !own && tag != GLOBAL && tag != SEVERAL {
                return Err(self
                    .other_row(plate, (read.data, *e), tag, read.span)
                    .label("an encoder sees the data of its own row, and data that belong to no row")
                    .help(format!("index it by `{}`", plate.name)));
            }
        }
        Ok(())
    }

    /// Checks, through the values between, that the numbers of each row are computed from no data that inform another row.
    fn own_sources(&self, plate: &Plate, encode: &Encode, readers: &[&Readers]) -> Result<(), Diagnostic> {
        let f = &encode.followed;
        // Data that inform several rows belong to none of them.
        let tag = |data: usize, e: usize| {
            let tag = reader(readers, data, e as u32);
            if tag == SEVERAL { GLOBAL } else { tag }
        };
        let counts: Vec<usize> = f.g.inputs().iter().map(|i| f.g.shape(i.var).count()).collect();
        let tags = f.data.iter().zip(&counts).map(|(d, n)| Tags::new((0..*n).map(|e| tag(*d, e)).collect()));
        let labels = forward(&f.g, &tags.collect::<Vec<_>>());
        for (span, node, width) in &encode.columns {
            let tags = &labels[node.index()];
            let mine = |j: usize| tags.at(j) == GLOBAL || tags.at(j) as usize == j / width + 1;
            let Some(j) = (0..plate.rows * width).find(|j| !mine(*j)) else { continue };
            let mut g = f.g.clone();
            let one = g.gather(*node, Index::Stride { start: j, stride: 1, len: 1 }, Shape::SCALAR);
            let needed = Owners::new(&g, &[(one, Tags::all(1))]);
            let other = |(d, e): (usize, usize)| ![GLOBAL, (j / width) as u32 + 1].contains(&tag(d, e));
            let inputs = g.inputs().iter().zip(&f.data).zip(&counts);
            let mut all = inputs.flat_map(|((i, d), n)| (0..*n).map(move |e| (i.var.index(), (*d, e))));
            let Some((_, at)) = all.find(|(v, at)| needed.at(*v, at.1) != GLOBAL && other(*at)) else { continue };
            return Err(self
                .other_row(plate, (at.0, at.1 as u32), tag(at.0, at.1), *span)
                .label("through the values that it is computed from")
                .help("compute it from data of its own row, or leave it out: an encoder sees no data of other rows"));
        }
        Ok(())
    }

    fn other_row(&self, plate: &Plate, (data, e): (usize, u32), tag: u32, span: Span) -> Diagnostic {
        let d = &self.data[data];
        let name = element(&d.name, &d.dims, e as usize);
        let row = element(&plate.name, &[plate.rows], tag as usize - 1);
        Diagnostic::new(span, format!("this encoder reads {name}, which informs another row: {row}"))
    }
}

/// The row that an element informs, by the first readers that know one.
fn reader(readers: &[&Readers], data: usize, e: u32) -> u32 {
    readers.iter().map(|r| r.at(data, e)).find(|t| *t != GLOBAL).unwrap_or(GLOBAL)
}
