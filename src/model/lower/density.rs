//! Densities of laws in use: truncated, guarded, mixed, censored.

use std::sync::Arc;

use super::dist::LawUse;
use super::{Lower, Res};
use crate::dist::{Law, Support};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::eval::evaluate;
use crate::graph::{Binary, Graph, Index, Shape};
use crate::model::level::{LevelId, ROOT};
use crate::model::value::{Home, Val};

impl Lower<'_> {
    /// Log density of a value, one number per event: the law's event axes go, the batch axes stay.
    pub fn log_density(&mut self, use_: &LawUse, y: &Val) -> Res<Val> {
        let mut lp = match use_ {
            LawUse::Plain { law, args, span, .. } => {
                let lp = self.plain_density(*span, *law, y, args)?;
                self.guard_support(*span, *law, args, y, lp)?
            }
            LawUse::Mixture { weights, parts, span, .. } => self.mixture_density(*span, weights, parts, y)?,
            LawUse::Censored { law, lower, upper, span } => {
                return self.censored_density(*span, law, [lower.as_ref(), upper.as_ref()], y);
            }
        };
        let (span, ends) = (use_.span(), use_.bounds());
        if y.known().is_some() {
            lp = self.inside(span, ends, y, lp)?;
        }
        if !use_.is_truncated() {
            return Ok(lp);
        }
        match self.divisor(&use_.with_bounds([None, None]), ends)? {
            Some(mass) => self.elementwise(span, &[&lp, &mass], false, &mut |g, v| g.sub(v[0], v[1])),
            None => Ok(lp),
        }
    }

    /// The log density of a value that may lie outside the support, where it is -inf.
    pub fn guarded_density(&mut self, use_: &LawUse, y: &Val) -> Res<Val> {
        let lp = self.log_density(use_, y)?;
        if y.known().is_some() || use_.is_censored() {
            return Ok(lp);
        }
        let [low, high] = self.reach(use_)?;
        self.inside(use_.span(), [low.as_ref(), high.as_ref()], y, lp)
    }

    /// A law's argument as a node: `[n, event…]` or, where one serves all, `[event…]`.
    fn law_operand(&mut self, span: Span, v: &Val, rank: usize, level: LevelId, batch: &[usize]) -> Res<(Val, Shape)> {
        let split = v.dims.len() - rank;
        let (own, event) = v.dims.split_at(split);
        if !own.is_empty() && own != batch {
            return Err(Diagnostic::new(
                span,
                format!("an argument of shape {:?} for a target with batch axes {batch:?}", v.dims),
            )
            .label("each argument has its own event shape, alone or behind exactly the target's batch axes")
            .help("write the type of the target"));
        }
        self.room(span, level, &[batch, event].concat())?;
        if v.level == ROOT && own.is_empty() {
            return Ok((v.clone(), Shape::new(event)));
        }
        let dims = v.dims.clone();
        let mut v = self.lift(v, level, &dims);
        let times: usize = batch.iter().product();
        let count: usize = event.iter().product();
        if own.is_empty() && times != 1 {
            let len = self.levels.len(level) * times * count;
            let table = (0..len).map(|j| (j / (times * count).max(1) * count + j % count.max(1)) as u32);
            let dims = [batch, event].concat();
            v = self.gathered(&v, &Index::from_table(table.collect()), level, dims);
        }
        let n = self.levels.len(level) * times;
        Ok((v, Shape::new(&[&[n], event].concat())))
    }

    fn plain_density(&mut self, span: Span, law: &'static dyn Law, y: &Val, args: &[Val]) -> Res<Val> {
        let rank = law.event_rank();
        if y.dims.len() < rank {
            return Err(Diagnostic::new(
                span,
                format!("`{}` is a law of {}", law.name(), ["numbers", "vectors", "matrices"][rank]),
            )
            .label(format!("the target is {}", y.type_name())));
        }
        if law.is_discrete() && !y.int {
            return Err(Diagnostic::new(span, format!("`{}` is a law of integers", law.name()))
                .label("the target is real")
                .help("declare the target with type `int`"));
        }
        let batch = y.dims[..y.dims.len() - rank].to_vec();
        let events: Vec<&[usize]> =
            args.iter().zip(law.params()).map(|(a, p)| &a.dims[a.dims.len() - p.event_rank..]).collect();
        if let Some(problem) = law.shape_problem(&y.dims[batch.len()..], &events) {
            return Err(
                Diagnostic::new(span, problem).help("the axes of the value and of the arguments of a law go together")
            );
        }
        let mut refs: Vec<&Val> = vec![y];
        refs.extend(args.iter());
        if refs.iter().any(|v| matches!(v.home, Home::Step(_))) {
            return self.in_step(span, &refs, batch, false, &mut |g, v| law.lpdf(g, v[0], &v[1..]));
        }
        let level = self.join(span, &refs)?;
        let mut operands = vec![self.law_operand(span, y, rank, level, &batch)?];
        for (a, p) in args.iter().zip(law.params()) {
            operands.push(self.law_operand(span, a, p.event_rank, level, &batch)?);
        }
        let shape = self.shape(level, &batch);
        let home = self.labelled(level, |l| l.density_node(law, &operands, shape));
        Ok(Val { home, dims: batch, level, int: false })
    }

    /// The density of operands that are laid out event by event.
    fn density_node(&mut self, law: &'static dyn Law, operands: &[(Val, Shape)], shape: Shape) -> Home {
        let known = operands.iter().all(|(v, _)| v.known().is_some());
        let mut temporary = Graph::new();
        let mut vars = vec![];
        for (v, s) in operands {
            vars.push(match (&v.home, known) {
                (Home::Const(c), true) => temporary.constant(c.clone(), *s),
                (Home::Const(c), false) => self.g.constant(c.clone(), *s),
                (Home::Var(x), _) => self.g.reshape(*x, *s),
                (Home::Step(_), _) => unreachable!("step values were taken above"),
            });
        }
        let g = if known { &mut temporary } else { &mut self.g };
        let out = law.lpdf(g, vars[0], &vars[1..]);
        let out = if g.shape(out).count() == shape.count() { g.reshape(out, shape) } else { g.fill_to(out, shape) };
        if !known {
            return Home::Var(out);
        }
        let data: Arc<[f64]> = evaluate(&temporary, &[], &[out]).swap_remove(0).into();
        if let Some(f) = &mut self.followed {
            let args: Vec<_> = operands.iter().filter_map(|(v, s)| Some((v.known()?, *s))).collect();
            f.computed(&args, &data, |g, v| law.lpdf(g, v[0], &v[1..]));
        }
        Home::Const(data)
    }

    /// -inf outside a support that the value is not known to respect.
    fn guard_support(&mut self, span: Span, law: &'static dyn Law, args: &[Val], y: &Val, lp: Val) -> Res<Val> {
        let Support::Interval(low, high) = law.support() else { return Ok(lp) };
        if law.event_rank() > 0 || y.known().is_none() {
            return Ok(lp);
        }
        let limits = [self.limit(low, args), self.limit(high, args)];
        self.inside(span, [limits[0].as_ref(), limits[1].as_ref()], y, lp)
    }

    /// `lp` where y lies between the ends, both included, else -inf.
    pub fn inside(&mut self, span: Span, ends: [Option<&Val>; 2], y: &Val, mut lp: Val) -> Res<Val> {
        for (end, below) in ends.into_iter().zip([true, false]) {
            let Some(end) = end else { continue };
            let inside = self.elementwise(span, &[end, y], true, &mut |g, v| {
                let (a, b) = if below { (v[0], v[1]) } else { (v[1], v[0]) };
                g.binary(Binary::Le, a, b)
            })?;
            if inside.known_uniform() == Some(1.0) {
                continue;
            }
            let never = Val::number(f64::NEG_INFINITY);
            lp = self.elementwise(span, &[&inside, &lp, &never], false, &mut |g, v| g.select(v[0], v[1], v[2]))?;
        }
        Ok(lp)
    }

    fn mixture_density(&mut self, span: Span, weights: &Val, parts: &[LawUse], y: &Val) -> Res<Val> {
        let hull = self.hull(parts)?;
        let mut terms = vec![];
        for (j, part) in parts.iter().enumerate() {
            self.exact_divisor(part)?;
            let lp = self.log_density(part, y)?;
            let lp = self.guard_component(part, &hull, y, lp)?;
            terms.push(self.weighted(span, weights, j, &lp)?);
        }
        let refs: Vec<&Val> = terms.iter().collect();
        self.elementwise(span, &refs, false, &mut |g, v| g.log_sum_exp_of(v))
    }

    /// -inf where a component has no values but others have.
    fn guard_component(&mut self, part: &LawUse, hull: &[Option<Val>; 2], y: &Val, lp: Val) -> Res<Val> {
        if y.known().is_some() || part.is_censored() {
            return Ok(lp);
        }
        let own = self.reach(part)?;
        let same = |k: usize| match (&own[k], &hull[k]) {
            (Some(a), Some(b)) => a.known_uniform().is_some() && a.known_uniform() == b.known_uniform(),
            _ => false,
        };
        let end = |k: usize| own[k].as_ref().filter(|_| !same(k));
        self.inside(part.span(), [end(0), end(1)], y, lp)
    }

    /// The logarithm of weight `j`, added.
    pub fn weighted(&mut self, span: Span, weights: &Val, j: usize, lp: &Val) -> Res<Val> {
        let k = weights.dims[weights.dims.len() - 1];
        let len = self.levels.len(weights.level) * weights.count() / k;
        let index = Index::Stride { start: j, stride: k as isize, len };
        let w = self.gathered(weights, &index, weights.level, weights.dims[..weights.dims.len() - 1].to_vec());
        self.elementwise(span, &[lp, &w], false, &mut |g, v| {
            let l = g.log(v[1]);
            g.add(l, v[0])
        })
    }

    fn censored_density(&mut self, span: Span, law: &LawUse, ends: [Option<&Val>; 2], y: &Val) -> Res<Val> {
        let mut lp = self.log_density(law, y)?;
        for (end, above) in ends.iter().zip([false, true]) {
            let Some(end) = end else { continue };
            let mass = self.log_mass(law, if above { [Some(*end), None] } else { [None, Some(*end)] })?;
            let beyond = self.elementwise(span, &[end, y], true, &mut |g, v| {
                let (a, b) = if above { (v[0], v[1]) } else { (v[1], v[0]) };
                g.binary(Binary::Le, a, b)
            })?;
            lp = self.elementwise(span, &[&beyond, &mass, &lp], false, &mut |g, v| g.select(v[0], v[1], v[2]))?;
        }
        Ok(lp)
    }
}
