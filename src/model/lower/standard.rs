//! Latents by their standard law (rule R41), and constants of ordered ones (rule R18).

use super::dist::LawUse;
use super::types::Ty;
use super::{Lower, Res};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Index, Unary};
use crate::model::site::{Factor, FactorKind, NoteKind};
use crate::model::transform::Structure;
use crate::model::value::Val;

impl Lower<'_> {
    /// t = (x - m) / s is the coordinate: its density is the standard law's.
    pub fn noncentred(&mut self, about: &str, use_: &LawUse, u: Val, ends: [Option<Val>; 2], span: Span) -> Res<Val> {
        let (mean, scale, standard) = self.location_scale(use_, span)?;
        let mut std_ends = [None, None];
        for (k, end) in ends.iter().enumerate() {
            if let Some(end) = end {
                std_ends[k] = Some(self.elementwise(span, &[end, &mean, &scale], false, &mut |g, v| {
                    if v[0] == v[1] {
                        return g.scalar(0.0);
                    }
                    let d = g.sub(v[0], v[1]);
                    g.div(d, v[2])
                })?);
            }
        }
        let standard = match standard {
            LawUse::Plain { law, args, lower, upper, span } => LawUse::Plain {
                lower: lower.and(std_ends[0].clone()),
                upper: upper.and(std_ends[1].clone()),
                law,
                args,
                span,
            },
            other => other,
        };
        let t = self.interval(about, &u, std_ends, span)?;
        self.prior(about, &standard, &t, span)?;
        self.elementwise(span, &[&mean, &scale, &t], false, &mut |g, v| {
            let p = g.mul(v[1], v[2]);
            g.add(v[0], p)
        })
    }

    /// Location, scale, and the law with location 0 and scale 1.
    pub fn location_scale(&self, use_: &LawUse, span: Span) -> Res<(Val, Val, LawUse)> {
        let refuse = || {
            Diagnostic::new(span, format!("`{}` is not a location-scale law", use_.leading().name()))
                .help("`noncentred` needs one, such as normal or student_t")
        };
        let LawUse::Plain { law, args, lower, upper, span } = use_ else { return Err(refuse()) };
        let (m, s) = law.location_scale().ok_or_else(refuse)?;
        let mut standard = args.clone();
        standard[m] = Val::number(0.0);
        standard[s] = Val::number(1.0);
        let standard =
            LawUse::Plain { law: *law, args: standard, lower: lower.clone(), upper: upper.clone(), span: *span };
        Ok((args[m].clone(), args[s].clone(), standard))
    }

    /// Normalisation of a density on ordered vectors (rule R18).
    pub fn order_constant(&mut self, about: &str, s: Structure, use_: &LawUse, ty: &Ty, span: Span) -> Res<()> {
        if !matches!(s, Structure::Ordered | Structure::PositiveOrdered) || use_.leading().name() == "flat" {
            return Ok(());
        }
        let n = ty.dims.last().copied().unwrap_or(0);
        let vectors = self.levels.len(self.here) * ty.dims[..ty.dims.len() - 1].iter().product::<usize>();
        let exchangeable = match use_ {
            LawUse::Plain { law, args, .. } => args.iter().zip(law.params()).all(|(a, p)| a.dims.len() == p.event_rank),
            _ => false,
        };
        if exchangeable {
            let log_factorial: f64 = (1..=n).map(|k| (k as f64).ln()).sum();
            let mut constant = Val::number(log_factorial * vectors as f64);
            if s == Structure::PositiveOrdered {
                let above = self.log_mass(use_, [Some(&Val::number(0.0)), None])?;
                // One divisor for each row, where the law differs by row.
                let each = (vectors / self.levels.len(above.level).max(1)) as f64;
                let (times, c) = (n as f64 * each, log_factorial * each);
                constant = self.elementwise(span, &[&above], false, &mut |g, v| {
                    let t = g.scale(-times, v[0]);
                    g.shift(t, c)
                })?;
            }
            self.factors.push(Factor { value: constant, kind: FactorKind::Prior, span, about: about.to_string() });
            return Ok(());
        }
        let LawUse::Plain { law, args, .. } = use_ else { return Err(self.unordered(span)) };
        if law.name() == "normal" && ty.dims == [2] && s == Structure::Ordered {
            return self.two_normals(about, args, span);
        }
        if args.iter().all(|a| a.known().is_some()) {
            self.note(
                NoteKind::UpToConstant,
                span,
                "ordered components of different laws: the density is known up to a constant",
            );
            return Ok(());
        }
        Err(self.unordered(span))
    }

    fn unordered(&self, span: Span) -> Diagnostic {
        Diagnostic::new(
            span,
            "the normalising constant of these ordered components depends on latents and has no closed form",
        )
        .help("give all components one law, or fixed arguments")
    }

    /// P(x1 < x2) = Phi((m2 - m1) / sqrt(s1² + s2²)).
    fn two_normals(&mut self, about: &str, args: &[Val], span: Span) -> Res<()> {
        let pair = |l: &mut Self, v: &Val| {
            let v = l.lift(v, v.level, &[2]);
            let part = |l: &mut Self, k| {
                l.gathered(&v, &Index::Stride { start: k, stride: 2, len: l.levels.len(v.level) }, v.level, vec![])
            };
            (part(l, 0), part(l, 1))
        };
        let ((m1, m2), (s1, s2)) = (pair(self, &args[0]), pair(self, &args[1]));
        let value = self.elementwise(span, &[&m1, &m2, &s1, &s2], false, &mut |g, v| {
            let d = g.sub(v[1], v[0]);
            let (a, b) = (g.square(v[2]), g.square(v[3]));
            let s = g.add(a, b);
            let s = g.unary(Unary::Sqrt, s);
            let z = g.div(d, s);
            let p = g.unary(Unary::LogPhi, z);
            g.neg(p)
        })?;
        let here = self.here;
        let value = self.lift(&value, here, &[]);
        self.factors.push(Factor { value, kind: FactorKind::Prior, span, about: about.to_string() });
        Ok(())
    }
}
