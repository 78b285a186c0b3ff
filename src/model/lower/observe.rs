//! Data: binding, reading, observing.

use super::dist::LawUse;
use super::env::{Binding, DataVar};
use super::index::Positions;
use super::target::Target;
use super::types::Ty;
use super::{Lower, Mode, Res};
use crate::dsl::ast::{Dist, Expr, Ident, Type};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::model::level::ROOT;
use crate::model::site::{Factor, FactorKind, NoteKind};
use crate::model::value::Val;

impl Lower<'_> {
    /// `data name: type [from "key"] [= default]`
    pub fn data_stmt(&mut self, id: &Ident, ty: &Type, from: Option<&str>, default: Option<&Expr>) -> Res<()> {
        if self.here != ROOT {
            return Err(Diagnostic::new(id.span, "data are declared outside plates and loops"));
        }
        let t = self.ty(ty)?;
        let key = from.unwrap_or(&id.name);
        self.asked.push(key.to_string());
        let count: usize = t.dims.iter().product();
        let (value, nulls, missing) = match (self.file.get(key), default) {
            (Some(raw), _) => {
                let fits = raw.dims == t.dims || raw.values.is_empty() && count == 0;
                if !fits {
                    return Err(self.wrong_shape(id, key, &raw.dims, &t.dims));
                }
                if t.int && !raw.integral {
                    let at = raw.values.iter().position(|x| x.fract() != 0.0 && !x.is_nan()).unwrap_or(0);
                    return Err(Diagnostic::new(
                        id.span,
                        format!("{} is not an integer: {}", element(key, &t.dims, at), raw.values[at]),
                    )
                    .label("declared int"));
                }
                let v = Val { int: t.int, ..Val::constant(raw.values.clone(), t.dims.clone()) };
                (v, raw.nulls.clone(), false)
            }
            (None, Some(e)) => {
                let v = self.expr(e)?;
                self.fits(&id.name, e.span, &v, &t)?;
                if v.known().is_none() {
                    return Err(Diagnostic::new(e.span, "the default of data must not depend on latents or params"));
                }
                (Val { int: t.int, dims: t.dims.clone(), ..v }, vec![], false)
            }
            (None, None) if matches!(self.mode, Mode::Simulate { .. }) => {
                let v = Val { int: t.int, ..Val::constant(vec![f64::NAN; count], t.dims.clone()) };
                (v, vec![], true)
            }
            (None, None) => {
                let d = Diagnostic::new(id.span, format!("the data file has no `{key}`"));
                return Err(match crate::dsl::diagnostic::did_you_mean(key, self.file.keys()) {
                    Some(k) => d.help(format!("did you mean `{k}`? write `data {}: … from \"{k}\"`", id.name)),
                    None => d.help("add it to the data file, or give it a default: `data x: T = …`"),
                });
            }
        };
        if !missing {
            self.check_constraint(key, id.span, &value, &t)?;
        }
        let mut available = vec![!missing; count];
        for n in &nulls {
            available[*n] = false;
        }
        if let (Some(f), Some(c)) = (&mut self.followed, value.known()) {
            f.enter(c, self.data.len());
        }
        self.data.push(DataVar {
            name: id.name.clone(),
            span: id.span,
            simulated: match self.mode {
                Mode::Simulate { .. } => value.known().map(|c| c.to_vec()).unwrap_or_default(),
                Mode::Density => vec![],
            },
            value,
            has_nulls: !nulls.is_empty(),
            observed: vec![false; count],
            available,
        });
        self.declare(id, Binding::Data(self.data.len() - 1))
    }

    fn wrong_shape(&self, id: &Ident, key: &str, found: &[usize], expected: &[usize]) -> Diagnostic {
        let d =
            Diagnostic::new(id.span, format!("`{key}` has shape {found:?} in the data file, {expected:?} by its type"));
        if found.is_empty() && expected == [1] {
            return d.help("a number is not an array of one: write it as `[x]` in the data file");
        }
        d.help("check the sizes in the model and in the file")
    }

    /// Checks known values against a declared constraint.
    pub fn check_constraint(&mut self, name: &str, span: Span, v: &Val, t: &Ty) -> Res<()> {
        let Some(c) = v.known().cloned() else { return Ok(()) };
        for (bound, lower) in [(&t.lower, true), (&t.upper, false)] {
            let Some(b) = bound else { continue };
            let b = self.lift(b, ROOT, &t.dims);
            let Some(b) = b.known() else {
                return Err(Diagnostic::new(span, format!("the bounds of `{name}` must not depend on latents")));
            };
            let outside = |j: usize| if lower { c[j] < b[j] } else { c[j] > b[j] };
            if let Some(j) = (0..c.len()).find(|&j| outside(j)) {
                let (word, end) = if lower { ("below", "lower") } else { ("above", "upper") };
                return Err(Diagnostic::new(
                    span,
                    format!("{} = {} is {word} its {end} bound {}", element(name, &t.dims, j), c[j], b[j]),
                )
                .label("the declared constraint"));
            }
        }
        if let Some(s) = t.structure {
            let split = t.dims.len() - s.event_rank();
            let event = &t.dims[split..];
            let size = event.iter().product::<usize>().max(1);
            for (k, part) in c.chunks(size).enumerate() {
                s.check(part, event).map_err(|m| {
                    let at = if split == 0 { name.to_string() } else { element(name, &t.dims[..split], k) };
                    Diagnostic::new(span, format!("{at} is not a {}: {m}", s.name()))
                })?;
            }
        }
        Ok(())
    }

    /// Elements of a data variable.
    pub fn read_data(&mut self, i: usize, span: Span, p: &Positions) -> Res<Val> {
        let simulate = matches!(self.mode, Mode::Simulate { .. });
        if !simulate && self.here != ROOT {
            self.reads.push((i, p.clone(), span));
        }
        if !simulate && self.aside == 0 {
            self.data_uses.push((i, p.clone(), None));
        }
        let d = &self.data[i];
        if (simulate || d.has_nulls)
            && let Some(&e) = p.table.iter().find(|e| !d.available[**e as usize])
        {
            let name = element(&d.name, &d.value.dims, e as usize);
            return Err(match simulate {
                true => Diagnostic::new(
                    span,
                    format!("{name} is read before it is simulated, and the data file does not have it"),
                ),
                false => Diagnostic::new(span, format!("{name} is missing (null)"))
                    .help("a missing value may only be the target of an `observe`; make it a latent instead"),
            });
        }
        if simulate {
            let data: Vec<f64> = p.table.iter().map(|e| d.simulated[*e as usize]).collect();
            let int = d.value.int;
            return Ok(Val { int, level: p.level, ..Val::constant(data, p.dims.clone()) });
        }
        let v = d.value.clone();
        self.read_at(span, &v, p)
    }

    /// `observe target ~ law`
    pub fn observe_stmt(&mut self, span: Span, target: &Expr, dist: &Dist) -> Res<()> {
        let found = self.target(target)?;
        if let Mode::Simulate { .. } = self.mode {
            if self.keep_data {
                return Ok(());
            }
            let t = found.ok_or_else(|| {
                Diagnostic::new(target.span, "this target cannot be simulated")
                    .help("observe a data name, an element, a slice, or a monotone function of one")
            })?;
            return self.simulate_observe(span, &t, dist);
        }
        if found.is_none() {
            self.note(
                NoteKind::NoSimulator,
                target.span,
                "this target is not data or a monotone function of data: the model cannot be simulated from",
            );
        }
        if found.as_ref().is_some_and(|t| !t.maps.is_empty()) {
            self.note(
                NoteKind::Info,
                target.span,
                "a function of the data is observed: the evidence is that of the transformed data",
            );
        }
        let use_ = self.law_use(dist)?;
        let missing = match &found {
            Some(t) => self.mark_observed(t, span)?,
            None => None,
        };
        let mut y = match (&missing, &found) {
            (Some(filler), Some(t)) => self.without_nulls(t, *filler, span)?,
            _ => {
                let before = (self.reads.len(), self.data_uses.len());
                let y = self.expr(target)?;
                if found.is_some() {
                    self.reads.truncate(before.0);
                    self.data_uses.truncate(before.1);
                }
                y
            }
        };
        let here = self.here;
        let dims = y.dims.clone();
        let level = self.levels.with_axes(here, y.level);
        y = self.lift(&y, level, &dims);
        self.check_support(&use_, &y, target)?;
        let mut value = self.guarded_density(&use_, &y)?;
        if let (Some(_), Some(t)) = (&missing, &found) {
            value = self.masked(t, value, span)?;
        }
        if let Some(t) = &found {
            // A loop that is walked again has left its first attempt here.
            let term = self.factors.len();
            self.data_uses.retain(|u| u.2.is_none_or(|t| t < term));
            self.data_uses.push((t.data, t.positions.clone(), Some(term)));
        }
        let about = found.map_or("observe".to_string(), |t| self.data[t.data].name.clone());
        let (dims, level) = (value.dims.clone(), self.levels.with_axes(here, value.level));
        let value = self.lift(&value, level, &dims);
        self.factors.push(Factor { value, kind: FactorKind::Likelihood, span, about });
        Ok(())
    }

    /// Marks elements as observed; gives a stand-in for missing values where there are any.
    fn mark_observed(&mut self, t: &Target, span: Span) -> Res<Option<f64>> {
        let d = &mut self.data[t.data];
        for &e in &t.positions.table {
            if std::mem::replace(&mut d.observed[e as usize], true) {
                let name = element(&d.name, &d.value.dims, e as usize);
                return Err(Diagnostic::new(span, format!("{name} is observed twice"))
                    .note(d.span, "declared here")
                    .help("an element of data is the target of one `observe`"));
            }
        }
        if self.here != ROOT {
            self.targets.push((t.data, t.positions.clone()));
        }
        let d = &self.data[t.data];
        if !t.positions.table.iter().any(|e| !d.available[*e as usize]) {
            return Ok(None);
        }
        let known = d.value.known().and_then(|c| c.iter().copied().find(|x| !x.is_nan()));
        Ok(Some(known.unwrap_or(1.0)))
    }

    /// The target with a stand-in for each missing element.
    fn without_nulls(&mut self, t: &Target, filler: f64, span: Span) -> Res<Val> {
        let d = &self.data[t.data];
        let c = d.value.known().cloned().unwrap_or_default();
        let data: Vec<f64> =
            t.positions.table.iter().map(|e| if c[*e as usize].is_nan() { filler } else { c[*e as usize] }).collect();
        let mut v = Val { int: d.value.int, level: t.positions.level, ..Val::constant(data, t.positions.dims.clone()) };
        for m in t.maps.clone() {
            v = self.apply_map(span, &m, &v)?;
        }
        Ok(v)
    }

    fn masked(&mut self, t: &Target, lp: Val, span: Span) -> Res<Val> {
        if lp.dims != t.positions.dims {
            return Err(Diagnostic::new(span, "a vector with missing elements cannot be observed by a law of vectors")
                .help("make the missing elements latents"));
        }
        let d = &self.data[t.data];
        let mask: Vec<f64> = t.positions.table.iter().map(|e| d.available[*e as usize] as u8 as f64).collect();
        let mask = Val { level: t.positions.level, int: true, ..Val::constant(mask, t.positions.dims.clone()) };
        let zero = Val::number(0.0);
        self.elementwise(span, &[&mask, &lp, &zero], false, &mut |g, v| g.select(v[0], v[1], v[2]))
    }

    /// Observed values that no argument could make possible.
    fn check_support(&mut self, use_: &LawUse, y: &Val, target: &Expr) -> Res<()> {
        let Some(c) = y.known().cloned().filter(|_| !use_.is_censored()) else { return Ok(()) };
        let own = self.reach(&use_.with_bounds([None, None]))?;
        let bounds = use_.bounds();
        for (limit, lower) in [(own[0].as_ref(), true), (own[1].as_ref(), false), (bounds[0], true), (bounds[1], false)]
        {
            let Some(x) = limit.and_then(|l| l.known_uniform()) else { continue };
            if let Some(v) = c.iter().find(|v| if lower { **v < x } else { **v > x }) {
                return Err(Diagnostic::new(
                    target.span,
                    format!("the observed value {v} is outside the support of `{}`", use_.name()),
                )
                .label(format!("its values are {} {x}", if lower { "not below" } else { "not above" })));
            }
        }
        Ok(())
    }
}

/// `name[2,3]` for a flat position.
pub fn element(name: &str, dims: &[usize], at: usize) -> String {
    if dims.is_empty() {
        return name.to_string();
    }
    let (mut rest, mut index) = (at, vec![]);
    for &d in dims.iter().rev() {
        index.push((rest % d.max(1) + 1).to_string());
        rest /= d.max(1);
    }
    index.reverse();
    format!("{name}[{}]", index.join(","))
}
