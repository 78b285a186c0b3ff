//! Arrays that statements fill: `let x: T`, `latent x: T`, then `x[i] = …` or `x[i] ~ …`.

use std::sync::Arc;

use super::follow::Followed;
use super::index::Positions;
use super::{Lower, Res};
use crate::dsl::ast::{Ident, Slot};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Index, Shape};
use crate::model::level::{BaseKind, LevelId};
use crate::model::value::{Home, Val};

/// No value yet.
pub const EMPTY: u32 = u32::MAX;

/// A declared array and the pieces it has received.
#[derive(Clone)]
pub struct Filled {
    /// Name.
    pub name: String,
    /// Place of the declaration.
    pub span: Span,
    /// Shape under its level.
    pub dims: Vec<usize>,
    /// Level of the declaration.
    pub level: LevelId,
    /// Integers.
    pub int: bool,
    /// For each element: where it is in the pieces laid end to end, or [`EMPTY`].
    pub slots: Vec<u32>,
    /// What a declared latent needs to know of itself; `None` for a `let`.
    pub latent: Option<LatentFill>,
    /// Pieces, with the number of elements before each.
    pieces: Vec<(usize, Piece)>,
    total: usize,
    /// Values in the pieces that depend on data, with the number of elements before each.
    followed: Vec<(usize, Arc<[f64]>)>,
}

/// A declared latent: its type, its site, and the elements that have a law so far.
#[derive(Clone)]
pub struct LatentFill {
    /// Declared type.
    pub ty: super::types::Ty,
    /// Place in `Lower::sites`.
    pub site: usize,
    /// For each element, whether a statement has given it a law.
    pub given: Vec<bool>,
}

#[derive(Clone, Debug)]
enum Piece {
    Known(Vec<f64>),
    Node(Val),
}

impl Filled {
    /// An empty array.
    pub fn new(id: &Ident, dims: Vec<usize>, level: LevelId, rows: usize, int: bool) -> Self {
        let count = rows * dims.iter().product::<usize>();
        Filled {
            name: id.name.clone(),
            span: id.span,
            dims,
            level,
            int,
            slots: vec![EMPTY; count],
            latent: None,
            pieces: vec![],
            total: 0,
            followed: vec![],
        }
    }

    /// True where every element so far is known at binding.
    pub fn is_known(&self) -> bool {
        self.pieces.iter().all(|p| matches!(p.1, Piece::Known(_)))
    }

    /// All elements where they are known at binding, NaN for those without a value.
    pub fn known_or_nan(&self) -> Option<Vec<f64>> {
        let mut all = Vec::with_capacity(self.total);
        for (_, piece) in &self.pieces {
            let Piece::Known(k) = piece else { return None };
            all.extend_from_slice(k);
        }
        let value = |s: &u32| all.get(*s as usize).copied().unwrap_or(f64::NAN);
        Some(self.slots.iter().map(value).collect())
    }

    /// Appends a piece of `count` elements; returns the position of its first.
    pub fn push(&mut self, v: &Val, count: usize) -> usize {
        let start = self.total;
        self.total += count;
        match (&v.home, self.pieces.last_mut()) {
            (Home::Const(c), Some((_, Piece::Known(k)))) => k.extend_from_slice(c),
            (Home::Const(c), _) => self.pieces.push((start, Piece::Known(c.to_vec()))),
            _ => self.pieces.push((start, Piece::Node(v.clone()))),
        }
        start
    }

    /// `data` are the elements at `index` of a known piece that begins at `base`.
    fn follow(&self, f: &mut Followed, (base, known): (usize, &[f64]), index: &Index, data: &Arc<[f64]>) {
        let inside = |start: &usize| (base..base + known.len()).contains(start);
        let parts: Vec<_> = self.followed.iter().filter(|(start, _)| inside(start)).collect();
        if parts.is_empty() {
            return;
        }
        let (mut vars, mut at) = (vec![], base);
        for (start, c) in parts {
            vars.push(f.argument(&known[at - base..*start - base].into(), Shape::new(&[*start - at])));
            vars.push(f.argument(c, Shape::new(&[c.len()])));
            at = start + c.len();
        }
        vars.push(f.argument(&known[at - base..].into(), Shape::new(&[known.len() + base - at])));
        let whole = f.g.concat(&vars, Shape::new(&[known.len()]));
        let out = f.g.gather(whole, index.clone(), Shape::new(&[index.len()]));
        f.set(data, out);
    }
}

impl Lower<'_> {
    /// Elements of the whole array that `slots` of a fill statement name, for each row of `here`.
    pub fn fill_targets(&mut self, at: usize, span: Span, slots: &[Slot]) -> Res<Positions> {
        let (name, dims, level) = {
            let f = &self.filled[at];
            (f.name.clone(), f.dims.clone(), f.level)
        };
        let p = self.positions(span, &name, &dims, slots)?;
        let here = self.here;
        let joined = self.levels.join(level, p.level).and_then(|l| self.levels.join(l, here));
        let to = joined.ok_or_else(|| Diagnostic::new(span, format!("`{name}` belongs to rows of another plate")))?;
        let count = dims.iter().product();
        let index = self.flat_index(level, count, &p, to);
        let table = (0..index.len()).map(|j| index.at(j) as u32).collect();
        Ok(Positions { level: to, dims: p.dims, table })
    }

    /// Fills elements with a value of the matching shape.
    pub fn fill(&mut self, at: usize, span: Span, targets: &Positions, v: &Val) -> Res<()> {
        if !v.is_scalar() && v.dims != targets.dims {
            return Err(Diagnostic::new(span, format!("shape {:?} does not fit here", v.dims))
                .label(format!("this place has shape {:?}", targets.dims)));
        }
        let v = self.lift(v, targets.level, &targets.dims);
        let filled = &mut self.filled[at];
        let start = filled.push(&v, targets.table.len());
        if let (Some(f), Some(c)) = (&self.followed, v.known())
            && f.node(c).is_some()
        {
            filled.followed.push((start, c.clone()));
        }
        for (j, &e) in targets.table.iter().enumerate() {
            if filled.slots[e as usize] != EMPTY {
                return Err(twice(filled, e as usize, span));
            }
            filled.slots[e as usize] = (start + j) as u32;
        }
        Ok(())
    }

    /// Reads elements of a filled array.
    pub fn read_filled(&mut self, at: usize, span: Span, slots: &[Slot]) -> Res<Val> {
        let (name, dims, level) = {
            let f = &self.filled[at];
            (f.name.clone(), f.dims.clone(), f.level)
        };
        let p = self.positions(span, &name, &dims, slots)?;
        if self.step.as_ref().is_some_and(|s| s.carries(at)) {
            return self.read_carry(at, span, &p);
        }
        let to = self
            .levels
            .join(level, p.level)
            .ok_or_else(|| Diagnostic::new(span, format!("`{name}` belongs to rows of another plate")))?;
        let index = self.flat_index(level, dims.iter().product(), &p, to);
        let elements: Vec<u32> = (0..index.len()).map(|j| index.at(j) as u32).collect();
        self.read_elements(at, span, &elements, to, p.dims)
    }

    /// Reads elements of the whole array by their flat positions.
    pub fn read_elements(
        &mut self,
        at: usize,
        span: Span,
        elements: &[u32],
        level: LevelId,
        dims: Vec<usize>,
    ) -> Res<Val> {
        let filled = &self.filled[at];
        let mut table = Vec::with_capacity(elements.len());
        for &e in elements {
            match filled.slots[e as usize] {
                EMPTY if self.levels.base(self.here).kind == BaseKind::Plate => {
                    return Err(unfilled(filled, e as usize, span)
                        .help("an earlier statement may fill it; rows of a `plate` do not see one another, steps of a `for` do"));
                }
                EMPTY => return Err(unfilled(filled, e as usize, span)),
                s => table.push(s),
            }
        }
        let (lo, hi) = table.iter().fold((u32::MAX, 0), |(l, h), &s| (l.min(s), h.max(s)));
        let int = filled.int;
        let count = |i: usize| filled.pieces.get(i + 1).map_or(filled.total, |p| p.0);
        let used: Vec<usize> =
            (0..filled.pieces.len()).filter(|&i| filled.pieces[i].0 <= hi as usize && count(i) > lo as usize).collect();
        let Some(&first) = used.first() else {
            return Ok(Val { int, level, ..Val::constant(vec![], dims) });
        };
        let base = filled.pieces[first].0 as u32;
        let index = Index::from_table(table.iter().map(|s| s - base).collect());
        if let ([_], (_, Piece::Known(k))) = (used.as_slice(), &filled.pieces[first]) {
            let data: Arc<[f64]> = (0..index.len()).map(|j| k[index.at(j)]).collect();
            if let Some(f) = &mut self.followed {
                filled.follow(f, (base as usize, k), &index, &data);
            }
            return Ok(Val { int, level, ..Val::constant(data, dims) });
        }
        let parts: Vec<(Piece, usize)> =
            used.iter().map(|&i| (filled.pieces[i].1.clone(), count(i) - filled.pieces[i].0)).collect();
        let mut vars = vec![];
        for (piece, n) in &parts {
            vars.push(match piece {
                Piece::Known(k) => self.g.constant(k.clone(), Shape::new(&[*n])),
                Piece::Node(v) => self.node(v),
            });
        }
        let total = parts.iter().map(|p| p.1).sum();
        let all = self.g.concat(&vars, Shape::new(&[total]));
        let shape = self.shape(level, &dims);
        let home = Home::Var(self.g.gather(all, index, shape));
        Ok(Val { home, dims, level, int })
    }

    /// The whole array as a value.
    pub fn read_whole(&mut self, at: usize, span: Span) -> Res<Val> {
        if self.step.as_ref().is_some_and(|s| s.carries(at)) {
            return Err(recurrent(&self.filled[at].name, span));
        }
        let f = &self.filled[at];
        let (level, dims) = (f.level, f.dims.clone());
        let elements: Vec<u32> = (0..f.slots.len() as u32).collect();
        self.read_elements(at, span, &elements, level, dims)
    }
}

/// Marks an error that a recurrence explains: the loop is then lowered step by step.
pub const RECURRENT: &str = "is read before it is filled";

/// A read that only a step-by-step loop can serve.
pub fn recurrent(name: &str, span: Span) -> Diagnostic {
    Diagnostic::new(span, format!("`{name}` {RECURRENT}")).help("fill it in an earlier statement or an earlier step")
}

fn element_name(f: &Filled, element: usize) -> String {
    let count: usize = f.dims.iter().product();
    let (mut rest, mut index) = (element % count.max(1), vec![]);
    for &d in f.dims.iter().rev() {
        index.push((rest % d + 1).to_string());
        rest /= d;
    }
    index.reverse();
    format!("{}[{}]", f.name, index.join(", "))
}

fn unfilled(f: &Filled, element: usize, span: Span) -> Diagnostic {
    Diagnostic::new(span, format!("`{}` {RECURRENT}", element_name(f, element)))
        .note(f.span, "declared here without a value")
        .help("fill it in an earlier statement or an earlier step")
}

fn twice(f: &Filled, element: usize, span: Span) -> Diagnostic {
    Diagnostic::new(span, format!("`{}` is filled twice", element_name(f, element)))
        .note(f.span, "declared here")
        .help("each element gets its value from exactly one statement")
}
