//! What an encoder of a row's posterior sees of the data (rule R38).

use super::encode::Encode;
use super::labels::join;
use crate::model::level::{Base, BaseId, BaseKind, rows_above};
use crate::model::lower::element;
use crate::model::posterior::Posterior;
use crate::model::separable::{Assignment, GLOBAL, Plate, SEVERAL};
use crate::model::site::DataUse;

/// How the numbers of a row belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A vector of the same length in every row.
    Vector,
    /// A set: from nested plates or gathers. Its size may differ between rows.
    Set,
    /// A sequence: from a loop.
    Sequence,
}

/// The data that inform a row: observed elements of its factors, then what this row's factors alone read.
#[derive(Clone, Debug)]
pub struct RowInput {
    /// How they belong together.
    pub kind: InputKind,
    /// For each row of the plate, its elements: place among the model's data, and element.
    pub elements: Vec<Vec<(usize, u32)>>,
    /// How many of them are observed, by row; these come first.
    pub observed: Vec<usize>,
    /// What `encode(…)` says instead; `elements` are then empty.
    pub encode: Option<Encode>,
}

impl RowInput {
    /// Smallest and largest number of elements of a row.
    pub fn sizes(&self) -> (usize, usize) {
        if let Some(e) = &self.encode {
            return (e.width(), e.width());
        }
        let sizes = || self.elements.iter().map(|e| e.len());
        (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0))
    }

    /// The numbers of a row.
    pub fn values(&self, post: &Posterior, row: usize) -> Vec<f64> {
        if let Some(e) = &self.encode {
            return e.row(row).to_vec();
        }
        self.elements[row].iter().map(|(d, e)| post.data[*d].values[*e as usize]).collect()
    }

    /// Their names: `y[2,3]`, or the expressions of `encode(…)`.
    pub fn names(&self, post: &Posterior, row: usize) -> Vec<String> {
        if let Some(e) = &self.encode {
            return e.names.clone();
        }
        let name = |(d, e): &(usize, u32)| element(&post.data[*d].name, &post.data[*d].dims, *e as usize);
        self.elements[row].iter().map(name).collect()
    }
}

/// Row of each element of data, by place among the model's data: one, [`SEVERAL`], or [`GLOBAL`] for none.
pub(super) struct Readers(Vec<Vec<u32>>);

impl Readers {
    fn new(post: &Posterior) -> Readers {
        Readers(post.data.iter().map(|d| vec![GLOBAL; d.values.len()]).collect())
    }

    /// The row of an element.
    pub fn at(&self, data: usize, e: u32) -> u32 {
        self.0[data][e as usize]
    }

    /// A row reads an element; the globals count as several rows.
    fn note(&mut self, data: usize, e: u32, row: u32) {
        let tag = &mut self.0[data][e as usize];
        *tag = if row == GLOBAL { SEVERAL } else { join(*tag, row) };
    }
}

impl Posterior {
    /// The input of each row of a separable plate, for encoders: what its `encode(…)` says, else what informs the row.
    ///
    /// Data that the model reads at top level, outside plates and loops, are nobody's alone unless they are observed;
    /// data used only within an index or a range are left out, a `let` of an index counts as reading.
    pub fn row_input(&self, plate: &Plate, assigned: &Assignment) -> RowInput {
        if let Some(encode) = &plate.encode {
            let (elements, observed) = (vec![vec![]; plate.rows], vec![0; plate.rows]);
            return RowInput { kind: InputKind::Vector, elements, observed, encode: Some(encode.clone()) };
        }
        let (observed, read, mut kind) = self.informed(plate, assigned);
        let mut elements = vec![vec![]; plate.rows];
        fill(&mut elements, &observed, None);
        let counts: Vec<usize> = elements.iter().map(|e| e.len()).collect();
        fill(&mut elements, &read, Some(&observed));
        if kind == InputKind::Vector && elements.iter().any(|e| e.len() != elements[0].len()) {
            kind = InputKind::Set;
        }
        RowInput { kind, elements, observed: counts, encode: None }
    }

    /// Rows that observe and that read each element of data, and how the elements of a row belong together.
    pub(super) fn informed(&self, plate: &Plate, assigned: &Assignment) -> (Readers, Readers, InputKind) {
        let (mut observed, mut read) = (Readers::new(self), Readers::new(self));
        let mut kind = InputKind::Vector;
        for u in &self.uses {
            let rows = self.readers(plate, assigned, u);
            let to = if u.term.is_some() { &mut observed } else { &mut read };
            let mut any = false;
            for (e, row) in u.elements.iter().zip(rows) {
                any |= row != GLOBAL && row != SEVERAL;
                to.note(u.data, *e, row);
            }
            if any {
                kind = self.wider(plate, u.base, kind);
            }
        }
        (observed, read, kind)
    }

    /// The row that reads each element of a use.
    fn readers(&self, plate: &Plate, assigned: &Assignment, u: &DataUse) -> Vec<u32> {
        let n = u.elements.len();
        if let Some(up) = rows_above(&self.bases, plate.base, u.base) {
            let width = (n / up.len().max(1)).max(1);
            return (0..n).map(|j| up.at(j / width) as u32 + 1).collect();
        }
        if let Some(tags) = u.term.and_then(|t| assigned.terms.get(t)?.as_ref().map(|tags| (t, tags))) {
            let count = self.graph.shape(self.terms[tags.0].node).count();
            let width = (n / count.max(1)).max(1);
            return (0..n).map(|j| tags.1.at((j / width).min(count.saturating_sub(1)))).collect();
        }
        if u.base == 0 {
            return vec![SEVERAL; n];
        }
        let rows = self.rows_of_base(assigned, u.base);
        let width = (n / rows.len().max(1)).max(1);
        (0..n).map(|j| rows[j / width]).collect()
    }

    /// Tag of each row of a base: what the terms in it belong to.
    fn rows_of_base(&self, assigned: &Assignment, base: BaseId) -> Vec<u32> {
        let mut out = vec![GLOBAL; self.bases[base].len];
        for (t, tags) in self.terms.iter().zip(&assigned.terms) {
            let (Some(tags), Some(up)) = (tags, rows_above(&self.bases, base, t.base)) else { continue };
            let n = self.graph.shape(t.node).count();
            let width = (n / up.len().max(1)).max(1);
            for j in 0..n {
                let at = up.at(j / width);
                out[at] = join(out[at], tags.at(j));
            }
        }
        out
    }

    fn wider(&self, plate: &Plate, base: BaseId, kind: InputKind) -> InputKind {
        let mut b = base;
        while b != plate.base && b != 0 {
            let Base { kind, parent, .. } = &self.bases[b];
            if *kind == BaseKind::For {
                return InputKind::Sequence;
            }
            b = *parent;
        }
        let direct = base == plate.base || self.bases[base].kind == BaseKind::Branch && b == plate.base;
        if direct || kind == InputKind::Sequence { kind } else { InputKind::Set }
    }
}

/// Gives each row the elements that it alone reads, but those that `but` names.
fn fill(rows: &mut [Vec<(usize, u32)>], readers: &Readers, but: Option<&Readers>) {
    for (data, tags) in readers.0.iter().enumerate() {
        for (e, tag) in tags.iter().enumerate() {
            let at = (data, e as u32);
            if *tag != SEVERAL && *tag != GLOBAL && but.is_none_or(|b| b.at(at.0, at.1) == GLOBAL) {
                rows[*tag as usize - 1].push(at);
            }
        }
    }
}
