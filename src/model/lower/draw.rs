//! Draws: latents, reports and observed data in simulation.

use super::dist::LawUse;
use super::index::Positions;
use super::target::{Monotone, Target};
use super::types::Ty;
use super::{Lower, Mode, Res};
use crate::base::rng::Stream;
use crate::dist::{Law, Value};
use crate::dsl::ast::{Dist, Ident};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::Index;
use crate::model::level::{LevelId, ROOT};
use crate::model::site::Report;
use crate::model::transform::Structure;
use crate::model::value::Val;

/// Draws refused by a truncation before the walk gives up.
const MAX_REJECTIONS: usize = 1_000_000;

/// A law with known arguments, expanded to one set per event.
struct Sampler<'a> {
    use_: &'a LawUse,
    events: usize,
    event: Vec<usize>,
}

impl Lower<'_> {
    /// A latent in simulation: the given value, or a draw.
    pub fn drawn(&mut self, id: &Ident, use_: &LawUse, ty: &Ty) -> Res<Val> {
        let here = self.here;
        let count = self.levels.len(here) * ty.dims.iter().product::<usize>();
        if let Mode::Simulate { given: Some(g), .. } = &self.mode
            && let Some(values) = g.get(&id.name)
            && values.len() == count
        {
            let data = values.clone();
            return Ok(Val { level: here, int: ty.int, ..Val::constant(data, ty.dims.clone()) });
        }
        self.sampled(use_, ty)
    }

    /// Records a simulated latent, which has a value for each row of `here`.
    pub fn keep_latent(&mut self, name: &str, v: &Val) {
        let data = v.known().cloned().unwrap_or_default();
        let dims = self.site_dims(&v.dims).unwrap_or_else(|| vec![data.len()]);
        let value = Val { int: v.int, ..Val::constant(data, dims) };
        self.latents.push(Report { name: name.to_string(), value, drawn: true });
    }

    /// Records the simulated latents that statements fill; elements without a law are NaN.
    pub fn keep_filled_latents(&mut self) {
        for f in self.filled.iter().filter(|f| f.latent.is_some()) {
            let Some(data) = f.known_or_nan() else { continue };
            let dims = if f.level == ROOT { f.dims.clone() } else { vec![data.len()] };
            let value = Val { int: f.int, ..Val::constant(data, dims) };
            self.latents.push(Report { name: f.name.clone(), value, drawn: true });
        }
    }

    /// Elements of a filled latent in simulation.
    pub fn drawn_fill(&mut self, id: &Ident, use_: &LawUse, at: usize, targets: &Positions) -> Res<Val> {
        if let Mode::Simulate { given: Some(g), .. } = &self.mode
            && let Some(values) = g.get(&id.name)
            && values.len() == self.filled[at].slots.len()
        {
            let data: Vec<f64> = targets.table.iter().map(|e| values[*e as usize]).collect();
            return Ok(Val { level: targets.level, ..Val::constant(data, targets.dims.clone()) });
        }
        let t = self.filled[at].latent.as_ref().map(|l| l.ty.clone());
        let ty = Ty { dims: targets.dims.clone(), ..t.ok_or_else(|| Diagnostic::new(id.span, "not a latent"))? };
        let v = self.sampled(use_, &ty)?;
        Ok(self.lift(&v, targets.level, &targets.dims.clone()))
    }

    /// A draw of the given type for each row of `here`, within the declared bounds.
    pub fn sampled(&mut self, use_: &LawUse, ty: &Ty) -> Res<Val> {
        let use_ = match (&ty.lower, &ty.upper) {
            (None, None) => use_.clone(),
            (lower, upper) => self.truncated(use_, [lower.as_ref(), upper.as_ref()])?,
        };
        let mut v = self.sample_at(&use_, &ty.dims)?;
        if let Some(s @ (Structure::Ordered | Structure::PositiveOrdered)) = ty.structure {
            v = self.ordered(&use_, v, s)?;
        }
        Ok(Val { int: ty.int, ..v })
    }

    /// Exchangeable components: sorted; others: drawn until they are in order (rule R18).
    fn ordered(&mut self, use_: &LawUse, mut v: Val, s: Structure) -> Res<Val> {
        let n = v.dims.last().copied().unwrap_or(1).max(1);
        let exchangeable = use_.values().iter().all(|a| a.is_scalar());
        for _ in 0..MAX_REJECTIONS {
            let mut data = v.known().map(|c| c.to_vec()).unwrap_or_default();
            if exchangeable {
                data.chunks_mut(n).for_each(|c| c.sort_by(f64::total_cmp));
            }
            let fits = |c: &[f64]| c.windows(2).all(|w| w[0] < w[1]) && (s == Structure::Ordered || c[0] > 0.0);
            if data.chunks(n).all(fits) {
                return Ok(Val { level: v.level, ..Val::constant(data, v.dims) });
            }
            v = self.sample_at(use_, &v.dims)?;
        }
        Err(Diagnostic::new(use_.span(), "no draw came out ordered"))
    }

    /// Draws for each row of `here` and each event of `dims`.
    fn sample_at(&mut self, use_: &LawUse, dims: &[usize]) -> Res<Val> {
        let rank = use_.leading().event_rank();
        let here = self.here;
        let (batch, event) = dims.split_at(dims.len() - rank.min(dims.len()));
        let events = self.levels.len(here) * batch.iter().product::<usize>();
        let expanded = self.expand(use_, here, batch)?;
        let sampler = Sampler { use_: &expanded, events, event: event.to_vec() };
        let Mode::Simulate { rng, .. } = &mut self.mode else { unreachable!("draws are for simulation") };
        let data = sampler.draw(rng)?;
        let int = use_.leading().is_discrete();
        Ok(Val { level: here, int, ..Val::constant(data, dims.to_vec()) })
    }

    /// The law with every argument known and laid out event by event.
    fn expand(&mut self, use_: &LawUse, here: LevelId, batch: &[usize]) -> Res<LawUse> {
        let span = use_.span();
        let lay = |l: &mut Self, v: &Val, rank: usize| -> Res<Val> {
            if v.known().is_none() {
                return Err(Diagnostic::new(span, "this argument is not known in simulation"));
            }
            let own = v.dims.len() - rank;
            let dims = v.dims.clone();
            let v = l.lift(v, here, &dims);
            if own > 0 || batch.is_empty() {
                return Ok(v);
            }
            let (times, count): (usize, usize) = (batch.iter().product(), dims.iter().product());
            let len = l.levels.len(here) * times * count;
            let table = (0..len).map(|j| (j / (times * count).max(1) * count + j % count.max(1)) as u32);
            let full = [batch, &dims[..]].concat();
            Ok(l.gathered(&v, &Index::from_table(table.collect()), here, full))
        };
        Ok(match use_ {
            LawUse::Plain { law, args, lower, upper, span } => {
                let ranks: Vec<usize> = law.params().iter().map(|p| p.event_rank).collect();
                let args = args.iter().zip(ranks).map(|(a, r)| lay(self, a, r)).collect::<Res<Vec<_>>>()?;
                let lower = lower.as_ref().map(|v| lay(self, v, 0)).transpose()?;
                let upper = upper.as_ref().map(|v| lay(self, v, 0)).transpose()?;
                LawUse::Plain { law: *law, args, lower, upper, span: *span }
            }
            LawUse::Mixture { weights, parts, lower, upper, span } => {
                let weights = lay(self, weights, 1)?;
                let parts = parts.iter().map(|p| self.expand(p, here, batch)).collect::<Res<Vec<_>>>()?;
                let lower = lower.as_ref().map(|v| lay(self, v, 0)).transpose()?;
                let upper = upper.as_ref().map(|v| lay(self, v, 0)).transpose()?;
                LawUse::Mixture { weights, parts, lower, upper, span: *span }
            }
            LawUse::Censored { law, lower, upper, span } => {
                let law = Box::new(self.expand(law, here, batch)?);
                let lower = lower.as_ref().map(|v| lay(self, v, 0)).transpose()?;
                let upper = upper.as_ref().map(|v| lay(self, v, 0)).transpose()?;
                LawUse::Censored { law, lower, upper, span: *span }
            }
        })
    }

    /// An observed target in simulation: drawn, and mapped back to the data.
    pub fn simulate_observe(&mut self, span: Span, t: &Target, dist: &Dist) -> Res<()> {
        let use_ = self.law_use(dist)?;
        let mut v = self.sample_at(&use_, &t.positions.dims)?;
        for m in t.maps.iter().rev() {
            v = self.invert_map(span, m, &v)?;
        }
        let data = v.known().cloned().unwrap_or_default();
        let d = &mut self.data[t.data];
        for (&e, x) in t.positions.table.iter().zip(data.iter()) {
            d.simulated[e as usize] = *x;
            d.available[e as usize] = true;
            d.observed[e as usize] = true;
        }
        Ok(())
    }

    fn invert_map(&mut self, span: Span, m: &Monotone, v: &Val) -> Res<Val> {
        let back = match m {
            Monotone::Named(n) => {
                let n = n.clone();
                return self.elementwise(span, &[v], false, &mut |g, a| match n.as_str() {
                    "log" => g.exp(a[0]),
                    "log10" => {
                        let t = g.scale(std::f64::consts::LN_10, a[0]);
                        g.exp(t)
                    }
                    "exp" => g.log(a[0]),
                    "sqrt" => g.square(a[0]),
                    _ => g.unary(crate::graph::Unary::Sigmoid, a[0]),
                });
            }
            Monotone::Reflect(_) => m.clone(),
            Monotone::Shift(c) => Monotone::Shift(self.elementwise(span, &[c], c.int, &mut |g, a| g.neg(a[0]))?),
            Monotone::Scale(c) => {
                return self.elementwise(span, &[v, c], false, &mut |g, a| g.div(a[0], a[1]));
            }
        };
        self.apply_map(span, &back, v)
    }
}

impl Sampler<'_> {
    fn draw(&self, rng: &mut Stream) -> Res<Vec<f64>> {
        let size = self.event.iter().product::<usize>();
        let mut out = vec![0.0; self.events * size];
        if size > 0 {
            for (k, x) in out.chunks_mut(size).enumerate() {
                self.draw_event(self.use_, k, rng, x)?;
            }
        }
        Ok(out)
    }

    fn draw_event(&self, use_: &LawUse, k: usize, rng: &mut Stream, out: &mut [f64]) -> Res<()> {
        let part = |v: &Val, events: usize| -> std::ops::Range<usize> {
            let n = v.known().map_or(0, |c| c.len()) / events.max(1);
            k * n..(k + 1) * n
        };
        let number = |v: &Option<Val>| v.as_ref().and_then(|v| v.known().map(|c| c[part(v, self.events).start]));
        match use_ {
            LawUse::Plain { law, args, lower, upper, span } => {
                let values: Vec<Value<'_>> = args
                    .iter()
                    .zip(law.params())
                    .map(|(a, p)| Value {
                        data: a.known().map_or(&[][..], |c| &c[part(a, self.events)]),
                        dims: &a.dims[a.dims.len() - p.event_rank..],
                    })
                    .collect();
                draw_between(*law, &values, [number(lower), number(upper)], rng, out, *span)
            }
            LawUse::Mixture { weights, parts, lower, upper, span } => {
                let w = weights.known().map_or(&[][..], |c| &c[part(weights, self.events)]);
                let ends = [number(lower), number(upper)];
                // Draws that are refused leave each component its share of what lies between the bounds.
                for _ in 0..MAX_REJECTIONS {
                    self.draw_event(&parts[component(w, parts.len(), rng)], k, rng, out)?;
                    if out.iter().all(|x| between(*x, ends)) {
                        return Ok(());
                    }
                }
                Err(Diagnostic::new(*span, "no draw of the mixture fell between the bounds"))
            }
            LawUse::Censored { law, lower, upper, .. } => {
                self.draw_event(law, k, rng, out)?;
                for x in out.iter_mut() {
                    *x = x.max(number(lower).unwrap_or(f64::NEG_INFINITY)).min(number(upper).unwrap_or(f64::INFINITY));
                }
                Ok(())
            }
        }
    }
}

/// A component of a mixture, with the probabilities `w` up to a constant.
fn component(w: &[f64], parts: usize, rng: &mut Stream) -> usize {
    let u = rng.uniform() * w.iter().sum::<f64>();
    let mut at = 0;
    let mut sum = w.first().copied().unwrap_or(1.0);
    while at + 1 < parts && u >= sum {
        at += 1;
        sum += w[at];
    }
    at
}

fn between(x: f64, [lower, upper]: [Option<f64>; 2]) -> bool {
    lower.is_none_or(|l| x >= l) && upper.is_none_or(|u| x <= u)
}

fn draw_between(
    law: &'static dyn Law,
    args: &[Value<'_>],
    ends: [Option<f64>; 2],
    rng: &mut Stream,
    out: &mut [f64],
    span: Span,
) -> Res<()> {
    if !law.is_proper() {
        return Err(Diagnostic::new(span, format!("`{}` is improper: it cannot be simulated", law.name()))
            .help("give the latent a proper law"));
    }
    for _ in 0..MAX_REJECTIONS {
        law.sample(rng, args, out);
        if out.iter().any(|x| x.is_nan()) {
            let given: Vec<String> = law
                .params()
                .iter()
                .zip(args)
                .map(|(p, a)| format!("{} = {:?}", p.name, a.data.first().copied().unwrap_or(f64::NAN)))
                .collect();
            return Err(Diagnostic::new(
                span,
                format!("`{}` cannot be drawn from with {}", law.name(), given.join(", ")),
            ));
        }
        if out.iter().all(|x| between(*x, ends)) {
            return Ok(());
        }
    }
    Err(Diagnostic::new(span, format!("no draw of `{}` fell between the bounds", law.name())))
}
