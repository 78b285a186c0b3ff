//! `for`: array operations where no step reads an earlier one, else a scan of the bare recurrence.

use std::collections::HashMap;

use super::env::{Binding, DataVar, Env};
use super::fill::{Filled, RECURRENT, recurrent};
use super::step::StepBody;
use super::track::{Lattice, Track};
use super::{FillPlan, Lower, Mode, Res};
use crate::dsl::ast::{Block, Ident, LatentKind, LetKind, Range, StmtKind};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::model::level::{BaseKind, LevelId};
use crate::model::site::Discrete;
use crate::model::value::Val;

/// Steps that are written out one by one where no scan can express a loop.
const MAX_UNROLLED: usize = 20_000;

/// Changes of a condition along a loop at which it is cut; where there are more, steps choose.
const MAX_CUTS: usize = 8;

/// Marks a condition that changes along the loop: the loop is cut where it does.
const SPLIT: &str = "this condition changes from step to step";

/// What a failed attempt must not leave behind.
struct Snapshot<'m> {
    env: Env<'m>,
    filled: Vec<Filled>,
    data: Vec<DataVar>,
    discrete: Vec<Discrete>,
    planned: HashMap<String, FillPlan>,
    counts: [usize; 4],
    here: LevelId,
}

impl<'m> Lower<'m> {
    fn snapshot(&self) -> Snapshot<'m> {
        Snapshot {
            env: self.env.clone(),
            filled: self.filled.clone(),
            data: self.data.clone(),
            discrete: self.discrete.clone(),
            planned: self.planned.clone(),
            counts: [self.factors.len(), self.reports.len(), self.notes.len(), self.sites.len()],
            here: self.here,
        }
    }

    fn restore(&mut self, s: Snapshot<'m>) {
        self.env = s.env;
        self.filled = s.filled;
        self.data = s.data;
        self.discrete = s.discrete;
        self.planned = s.planned;
        self.factors.truncate(s.counts[0]);
        self.reports.truncate(s.counts[1]);
        self.notes.truncate(s.counts[2]);
        self.sites.truncate(s.counts[3]);
        self.here = s.here;
        self.step = None;
    }

    /// `for index in range { … }`
    pub fn for_stmt(&mut self, span: Span, index: &'m Ident, range: &Range, body: &'m Block) -> Res<()> {
        let (from, counts) = self.range(range)?;
        let longest = counts.iter().copied().max().unwrap_or(0);
        if longest == 0 {
            return Ok(());
        }
        if matches!(self.mode, Mode::Simulate { .. }) {
            return self.sequential(index, &from, &counts, body, false);
        }
        let before = self.snapshot();
        match self.vectorised(index, &from, &counts, body) {
            Err(d) if d.message.contains(RECURRENT) => {
                self.restore(before);
                self.recurrence(span, index, (&from, &counts), body, d)?;
                let done = self.vectorised(index, &from, &counts, body);
                self.prefilled.clear();
                done
            }
            done => done,
        }
    }

    fn vectorised(&mut self, index: &'m Ident, from: &[i64], counts: &[usize], body: &'m Block) -> Res<()> {
        let outer = self.here;
        let (level, i) = self.open_range(from, counts, BaseKind::For);
        self.env.push();
        self.here = level;
        let done = self.declare(index, Binding::Val(i)).and_then(|()| self.block(body));
        self.here = outer;
        self.env.pop();
        done
    }

    /// Runs the steps one after another; with `lets` only the statements that fill arrays.
    fn sequential(&mut self, index: &'m Ident, from: &[i64], counts: &[usize], body: &'m Block, lets: bool) -> Res<()> {
        let outer = self.here;
        for k in 0..counts.iter().copied().max().unwrap_or(0) {
            let rows: Vec<u32> = (0..counts.len()).filter(|&r| counts[r] > k).map(|r| r as u32).collect();
            let data: Vec<f64> = rows.iter().map(|&r| (from[r as usize] + k as i64) as f64).collect();
            if rows.len() < counts.len() {
                self.here = self.levels.open_branch(outer, rows);
            }
            let level = self.here;
            self.env.push();
            let i = Val { level, int: true, ..Val::constant(data, vec![]) };
            let done = self.declare(index, Binding::Val(i)).and_then(|()| match lets {
                true => self.lets_only(body),
                false => self.block(body),
            });
            self.env.pop();
            self.here = outer;
            done?;
        }
        Ok(())
    }

    fn lets_only(&mut self, body: &'m Block) -> Res<()> {
        let outer = std::mem::replace(&mut self.lets, true);
        let done = self.block(body);
        self.lets = outer;
        done
    }

    /// Computes the arrays that a loop fills and reads, before the rest of the loop is vectorised.
    fn recurrence(
        &mut self,
        span: Span,
        index: &'m Ident,
        (from, counts): (&[i64], &[usize]),
        body: &'m Block,
        cause: Diagnostic,
    ) -> Res<()> {
        let mut names = vec![];
        filled_names(body, &mut names);
        let carried: Vec<usize> = names
            .iter()
            .filter_map(|n| match self.lookup(n, span) {
                Ok(Binding::Filled(i)) => Some(i),
                _ => None,
            })
            .collect();
        if carried.is_empty() {
            return Err(cause);
        }
        let before = self.snapshot();
        // Data alone: run it now.
        let first: Vec<usize> = counts.iter().map(|c| (*c).min(2)).collect();
        let trial = self.sequential(index, from, &first, body, true);
        let known = carried.iter().all(|&i| self.filled[i].is_known());
        if trial.is_err() && !known {
            trial?;
        }
        self.restore(before);
        if known {
            self.sequential(index, from, counts, body, true)?;
        } else {
            self.scan_range(index, from, counts, body, &carried)?;
        }
        self.prefilled.extend(carried);
        Ok(())
    }

    fn scan_range(
        &mut self,
        index: &'m Ident,
        from: &[i64],
        counts: &[usize],
        body: &'m Block,
        carried: &[usize],
    ) -> Res<()> {
        let steps = counts.iter().copied().max().unwrap_or(0);
        if steps < 2 {
            return self.sequential(index, from, counts, body, true);
        }
        let before = self.snapshot();
        match self.scan(index, from, counts, body, carried) {
            Ok(()) => Ok(()),
            Err(d) if d.message == SPLIT => {
                self.restore(before);
                let at: usize = d.label.parse().unwrap_or(1);
                let first: Vec<usize> = counts.iter().map(|n| (*n).min(at)).collect();
                let rest: Vec<usize> = counts.iter().map(|n| n.saturating_sub(at)).collect();
                let later: Vec<i64> = from.iter().map(|f| f + at as i64).collect();
                self.scan_range(index, from, &first, body, carried)?;
                self.scan_range(index, &later, &rest, body, carried)
            }
            Err(_) if steps <= MAX_UNROLLED => {
                self.restore(before);
                self.sequential(index, from, counts, body, true)
            }
            Err(d) => Err(d),
        }
    }

    fn scan(
        &mut self,
        index: &'m Ident,
        from: &[i64],
        counts: &[usize],
        body: &'m Block,
        carried: &[usize],
    ) -> Res<()> {
        let outer = self.here;
        let (level, i) = self.open_range(from, counts, BaseKind::For);
        self.env.push();
        self.here = level;
        self.declare(index, Binding::Val(i))?;
        let track = Track::new(counts);
        let mut targets = HashMap::new();
        self.collect_targets(body, carried, &track, &mut targets)?;
        self.step = Some(StepBody::new(level, outer, track, targets));
        self.lets_only(body)?;
        self.here = outer;
        self.env.pop();
        self.finish_scan()
    }

    fn collect_targets(
        &mut self,
        body: &'m Block,
        carried: &[usize],
        track: &Track,
        out: &mut HashMap<usize, Lattice>,
    ) -> Res<()> {
        for s in &body.stmts {
            match &s.kind {
                StmtKind::Let { name, kind: LetKind::Fill { index, .. } }
                | StmtKind::Latent { name, kind: LatentKind::Fill { index, .. } } => {
                    if let Binding::Filled(i) = self.lookup(&name.name, name.span)?
                        && carried.contains(&i)
                    {
                        let p = self.fill_targets(i, s.span, index)?;
                        let lattice = if p.level == self.here { Lattice::new(p, track) } else { None };
                        let lattice = lattice.ok_or_else(|| recurrent(&name.name, s.span))?;
                        if out.insert(i, lattice).is_some() {
                            return Err(recurrent(&name.name, s.span));
                        }
                    }
                }
                StmtKind::If { cond, then, otherwise } => {
                    let c = self.scalar_expr(cond, "a condition")?;
                    let blocks = [Some(then), otherwise.as_ref()];
                    match self.step_condition(cond.span, &c)? {
                        Some(taken) => {
                            if let Some(b) = blocks[usize::from(!taken)] {
                                self.collect_targets(b, carried, track, out)?;
                            }
                        }
                        None => self.common_targets(s.span, blocks, carried, track, out)?,
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What both blocks of a condition that differs between rows fill: the same elements of `let` arrays.
    fn common_targets(
        &mut self,
        span: Span,
        blocks: [Option<&'m Block>; 2],
        carried: &[usize],
        track: &Track,
        out: &mut HashMap<usize, Lattice>,
    ) -> Res<()> {
        let mut both = [HashMap::new(), HashMap::new()];
        for (block, found) in blocks.into_iter().zip(&mut both) {
            if let Some(b) = block {
                self.collect_targets(b, carried, track, found)?;
            }
        }
        let [mut a, mut b] = both;
        for &i in carried {
            let (lattice, other) = match (a.remove(&i), b.remove(&i)) {
                (None, None) => continue,
                (Some(a), Some(b)) => (a, b),
                _ => return Err(recurrent(&self.filled[i].name, span)),
            };
            let same = lattice.target.table == other.target.table && self.filled[i].latent.is_none();
            if !same || out.insert(i, lattice).is_some() {
                return Err(recurrent(&self.filled[i].name, span));
            }
        }
        Ok(())
    }

    /// A condition inside a recurrence: its value where it is the same for all steps, `None` where it differs between rows or
    /// changes often. At the few other changes the loop is cut.
    pub fn step_condition(&mut self, span: Span, c: &Val) -> Res<Option<bool>> {
        if let Some(x) = c.known_uniform() {
            return Ok(Some(x != 0.0));
        }
        let Some(known) = c.known() else {
            return Err(Diagnostic::new(span, "a condition inside a recurrence must be known at binding"));
        };
        let here = self.here;
        if self.levels.join(c.level, here) != Some(here) {
            return Err(Diagnostic::new(span, "a condition inside a recurrence must not depend on a discrete latent"));
        }
        let rows = self.levels.lift(c.level, here);
        match Track::new(&self.levels.counts(here)).changes(|j| known[rows.at(j)]) {
            Some((x, changes)) if changes.is_empty() => Ok(Some(x != 0.0)),
            Some((_, changes)) if changes.len() <= MAX_CUTS => {
                Err(Diagnostic::new(span, SPLIT).label(changes[0].to_string()))
            }
            _ => Ok(None),
        }
    }

    /// `if` inside a recurrence, on a condition that differs between rows: both blocks are computed, and each row takes its own.
    pub fn step_branches(&mut self, span: Span, c: &Val, blocks: [Option<&'m Block>; 2]) -> Res<()> {
        let before = self.current_values().clone();
        let mut made = vec![];
        for (block, yes) in blocks.into_iter().zip([true, false]) {
            if let Some(b) = block {
                self.env.push();
                let done = self.where_taken(c, yes, |l| l.block(b));
                self.env.pop();
                done?;
            }
            made.push(std::mem::replace(self.current_values(), before.clone()));
        }
        let mut filled: Vec<usize> = made.iter().flat_map(|m| m.keys().copied()).collect();
        filled.sort_unstable();
        filled.dedup();
        for i in filled {
            let (Some(a), Some(b)) = (made[0].get(&i), made[1].get(&i)) else {
                return Err(recurrent(&self.filled[i].name, span));
            };
            let v = self.elementwise(span, &[c, a, b], a.int && b.int, &mut |g, v| g.select(v[0], v[1], v[2]))?;
            self.current_values().insert(i, v);
        }
        Ok(())
    }
}

fn filled_names(body: &Block, out: &mut Vec<String>) {
    for s in &body.stmts {
        match &s.kind {
            StmtKind::Let { name, kind: LetKind::Fill { .. } } => out.push(name.name.clone()),
            StmtKind::Latent { name, kind: LatentKind::Fill { dist, .. } } if dist.noncentred => {
                out.push(name.name.clone());
            }
            StmtKind::If { then, otherwise, .. } => {
                filled_names(then, out);
                if let Some(b) = otherwise {
                    filled_names(b, out);
                }
            }
            StmtKind::For { body, .. } | StmtKind::Plate { body, .. } => filled_names(body, out),
            _ => {}
        }
    }
    out.sort();
    out.dedup();
}
