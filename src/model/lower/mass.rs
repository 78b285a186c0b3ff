//! Probabilities of intervals under laws in use: cumulative functions, truncation, divisors of truncated densities.

use super::dist::LawUse;
use super::{Lower, Res};
use crate::dist::{Law, Support};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Binary, Unary};
use crate::model::site::NoteKind;
use crate::model::value::Val;

/// What a law without a distribution function is told apart by.
const NO_CDF: &str = "has no cumulative distribution function here";

impl Lower<'_> {
    /// The law restricted to an interval.
    pub fn truncated(&mut self, use_: &LawUse, ends: [Option<&Val>; 2]) -> Res<LawUse> {
        if use_.leading().event_rank() > 0 {
            return Err(Diagnostic::new(use_.span(), "only a law of numbers can be truncated"));
        }
        if let LawUse::Censored { law, lower, upper, span } = use_ {
            let (mut limits, mut inner) = ([lower.clone(), upper.clone()], [None, None]);
            for k in 0..2 {
                let reached = self.limit_within(*span, limits[k].as_ref(), ends[k], k == 0)?;
                if reached {
                    continue;
                }
                // No value gets as far as the limit.
                (limits[k], inner[k]) = (None, ends[k]);
            }
            let law = Box::new(self.truncated(law, inner)?);
            let [lower, upper] = limits;
            return Ok(LawUse::Censored { law, lower, upper, span: *span });
        }
        let both = self.common(use_.span(), use_.bounds(), ends)?;
        Ok(use_.with_bounds(both))
    }

    /// True where a bound leaves values at a censoring limit, or is none.
    fn limit_within(&self, span: Span, limit: Option<&Val>, bound: Option<&Val>, lower: bool) -> Res<bool> {
        let (Some(limit), Some(bound)) = (limit, bound) else { return Ok(bound.is_none()) };
        match (limit.known_uniform(), bound.known_uniform()) {
            (Some(l), Some(b)) => Ok(if lower { b <= l } else { b >= l }),
            _ => Err(Diagnostic::new(
                span,
                "a bound on the side of a censoring limit must be one number, and the limit too",
            )
            .help("leave one of the two out")),
        }
    }

    /// The ends of what two intervals have in common.
    fn common(&mut self, span: Span, a: [Option<&Val>; 2], b: [Option<&Val>; 2]) -> Res<[Option<Val>; 2]> {
        let low = self.tighter(span, &a[0].cloned(), &b[0].cloned(), true)?;
        let high = self.tighter(span, &a[1].cloned(), &b[1].cloned(), false)?;
        Ok([low, high])
    }

    /// The smallest interval that holds all values of a law; no ends for laws of arrays.
    pub fn reach(&mut self, use_: &LawUse) -> Res<[Option<Val>; 2]> {
        let (own, ends) = match use_ {
            LawUse::Plain { law, args, .. } => match law.support() {
                Support::Interval(low, high) => ([self.limit(low, args), self.limit(high, args)], use_.bounds()),
                _ => return Ok([None, None]),
            },
            LawUse::Mixture { parts, .. } => (self.hull(parts)?, use_.bounds()),
            LawUse::Censored { law, lower, upper, .. } => (self.reach(law)?, [lower.as_ref(), upper.as_ref()]),
        };
        self.common(use_.span(), [own[0].as_ref(), own[1].as_ref()], ends)
    }

    /// The smallest interval that holds all values of all components.
    pub fn hull(&mut self, parts: &[LawUse]) -> Res<[Option<Val>; 2]> {
        let mut hull = self.reach(&parts[0])?;
        for part in &parts[1..] {
            for (k, end) in self.reach(part)?.into_iter().enumerate() {
                hull[k] = match (hull[k].take(), end) {
                    // The wider end is the tighter one of the other side.
                    (a @ Some(_), b @ Some(_)) => self.tighter(part.span(), &a, &b, k == 1)?,
                    _ => None,
                };
            }
        }
        Ok(hull)
    }

    /// log P(Y <= y), or log P(Y > y), of a law without bounds, elementwise.
    pub fn log_cdf(&mut self, span: Span, law: &'static dyn Law, args: &[Val], y: &Val, above: bool) -> Res<Val> {
        let mut refs: Vec<&Val> = vec![y];
        refs.extend(args.iter());
        let mut known = law.event_rank() == 0;
        let out = self.elementwise(span, &refs, false, &mut |g, v| {
            let r = if above { law.lccdf(g, v[0], &v[1..]) } else { law.lcdf(g, v[0], &v[1..]) };
            known &= r.is_some();
            r.unwrap_or(v[0])
        })?;
        match known {
            true => Ok(out),
            false => Err(Diagnostic::new(span, format!("`{}` {NO_CDF}", law.name()))),
        }
    }

    /// log P(low <= Y <= high).
    pub fn log_mass(&mut self, use_: &LawUse, ends: [Option<&Val>; 2]) -> Res<Val> {
        let (span, own) = (use_.span(), use_.bounds());
        if use_.is_truncated() {
            let whole = use_.with_bounds([None, None]);
            let [low, high] = self.common(span, own, ends)?;
            let part = self.log_mass(&whole, [low.as_ref(), high.as_ref()])?;
            let all = self.log_mass(&whole, own)?;
            return self.elementwise(span, &[&part, &all], false, &mut |g, v| g.sub(v[0], v[1]));
        }
        match use_ {
            LawUse::Plain { law, args, .. } => self.plain_mass(span, *law, args, ends),
            LawUse::Mixture { weights, parts, .. } => {
                let mut terms = vec![];
                for (j, part) in parts.iter().enumerate() {
                    let mass = self.log_mass(part, ends)?;
                    terms.push(self.weighted(span, weights, j, &mass)?);
                }
                let refs: Vec<&Val> = terms.iter().collect();
                self.elementwise(span, &refs, false, &mut |g, v| g.log_sum_exp_of(v))
            }
            LawUse::Censored { law, lower, upper, .. } => {
                let mut behind = ends;
                for (k, limit) in [lower, upper].into_iter().enumerate() {
                    if limit.is_some() && self.limit_within(span, limit.as_ref(), ends[k], k == 0)? {
                        behind[k] = None;
                    }
                }
                self.log_mass(law, behind)
            }
        }
    }

    fn plain_mass(
        &mut self,
        span: Span,
        law: &'static dyn Law,
        args: &[Val],
        [low, high]: [Option<&Val>; 2],
    ) -> Res<Val> {
        let own = match law.support() {
            Support::Interval(low, high) => [self.limit(low, args), self.limit(high, args)],
            _ => [None, None],
        };
        let low = low.filter(|l| cuts(own[0].as_ref(), l, true));
        let high = high.filter(|h| cuts(own[1].as_ref(), h, false));
        // Integers: P(Y >= l) = P(Y > l - 1).
        let below = match low {
            Some(l) if law.is_discrete() => Some(self.elementwise(span, &[l], true, &mut |g, v| g.shift(v[0], -1.0))?),
            l => l.cloned(),
        };
        let (l, h) = match (&below, high) {
            (None, None) => return Ok(Val::number(0.0)),
            (Some(l), None) => return self.log_cdf(span, law, args, l, true),
            (None, Some(h)) => return self.log_cdf(span, law, args, h, false),
            (Some(l), Some(h)) => (l, h),
        };
        let fl = self.log_cdf(span, law, args, l, false)?;
        let fh = self.log_cdf(span, law, args, h, false)?;
        let sl = self.log_cdf(span, law, args, l, true)?;
        let sh = self.log_cdf(span, law, args, h, true)?;
        // F(h) - F(l), or S(l) - S(h) above the median, where the former would be a difference of numbers near 1.
        self.elementwise(span, &[&fl, &fh, &sl, &sh], false, &mut |g, v| {
            let (half, lowest) = (g.scalar(-std::f64::consts::LN_2), g.scalar(f64::NEG_INFINITY));
            let left = g.binary(Binary::Le, v[0], half);
            let more = g.select(left, v[1], v[2]);
            let less = g.select(left, v[0], v[3]);
            let none = g.binary(Binary::Le, more, less);
            let zero = g.scalar(0.0);
            let more = g.select(none, zero, more);
            let less = g.select(none, lowest, less);
            let d = g.sub(less, more);
            let e = g.unary(Unary::Expm1, d);
            let n = g.neg(e);
            let l = g.log(n);
            let mass = g.add(more, l);
            g.select(none, lowest, mass)
        })
    }

    /// log P(low <= Y <= high), by which a truncated density is divided; `None` where it is a constant that no law here has.
    pub fn divisor(&mut self, whole: &LawUse, ends: [Option<&Val>; 2]) -> Res<Option<Val>> {
        let span = whole.span();
        match self.log_mass(whole, ends) {
            Ok(m) => {
                if m.known().is_none() {
                    self.note(NoteKind::Info, span, "the truncated density is divided by a probability that depends on latents; Stan leaves this factor out");
                }
                Ok(Some(m))
            }
            Err(d) if !d.message.contains(NO_CDF) => Err(d),
            Err(_) if whole.values().into_iter().chain(ends.into_iter().flatten()).all(|v| v.known().is_some()) => {
                self.note(NoteKind::UpToConstant, span, "this law has no cumulative distribution function, so the truncated density is known up to a constant");
                Ok(None)
            }
            Err(d) => {
                Err(d.help("truncation with arguments that depend on latents needs a cumulative distribution function"))
            }
        }
    }

    /// Refuses a component whose divisor is not known: its share of the mixture would be another.
    pub fn exact_divisor(&mut self, part: &LawUse) -> Res<()> {
        if part.is_truncated() {
            let mass = self.log_mass(&part.with_bounds([None, None]), part.bounds());
            mass.map_err(|d| d.help("the share of a truncated component depends on the probability of its interval"))?;
        }
        Ok(())
    }
}

/// False where an end is known to lie at or beyond that of the support.
pub fn cuts(own: Option<&Val>, end: &Val, lower: bool) -> bool {
    let none = if lower { f64::NEG_INFINITY } else { f64::INFINITY };
    let own = own.map_or(Some(none), |o| o.known_uniform());
    match (own, end.known_uniform()) {
        (Some(o), Some(e)) => {
            if lower {
                e > o
            } else {
                e < o
            }
        }
        _ => true,
    }
}
