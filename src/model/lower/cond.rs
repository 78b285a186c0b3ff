//! Conditional expressions and statements (rules 3 and 9 of the language).

use std::sync::Arc;

use super::{Lower, Res};
use crate::dsl::ast::{Block, Expr};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Index, Shape};
use crate::model::level::LevelId;
use crate::model::value::{Home, Val};

impl<'m> Lower<'m> {
    /// `cond ? a : b`
    pub fn conditional(&mut self, span: Span, cond: &Expr, a: &Expr, b: &Expr) -> Res<Val> {
        let c = self.expr(cond)?;
        let lazy = c.is_scalar() && c.known().is_some();
        if lazy && let Some(x) = c.known_uniform() {
            return self.expr(if x != 0.0 { a } else { b });
        }
        if lazy && self.step.is_some() {
            if let Some(taken) = self.step_condition(cond.span, &c)? {
                return self.expr(if taken { a } else { b });
            }
            let a = self.where_taken(&c, true, |l| l.expr(a))?;
            let b = self.where_taken(&c, false, |l| l.expr(b))?;
            return self.elementwise(span, &[&c, &a, &b], a.int && b.int, &mut |g, v| g.select(v[0], v[1], v[2]));
        }
        if lazy && self.levels.axes_of(c.level).is_empty() {
            return self.branches(span, &c, a, b);
        }
        let (a, b) = (self.expr(a)?, self.expr(b)?);
        let int = a.int && b.int;
        self.elementwise(span, &[&c, &a, &b], int, &mut |g, v| g.select(v[0], v[1], v[2]))
    }

    /// Rows of `here` for which a known condition holds, and the others.
    fn split_rows(&mut self, span: Span, c: &Val) -> Res<[Vec<u32>; 2]> {
        let here = self.here;
        if self.levels.join(c.level, here) != Some(here) {
            return Err(Diagnostic::new(span, "this condition depends on a discrete latent")
                .help("use the conditional expression `cond ? a : b`"));
        }
        let c = self.lift(c, here, &[]);
        let known = self.known_ints(span, &c, "a condition")?;
        let rows = |yes: bool| (0..known.len()).filter(|&r| (known[r] != 0.0) == yes).map(|r| r as u32).collect();
        Ok([rows(true), rows(false)])
    }

    fn branches(&mut self, span: Span, c: &Val, a: &Expr, b: &Expr) -> Res<Val> {
        let outer = self.here;
        let rows = self.split_rows(span, c)?;
        let mut vals = vec![];
        for (rows, e) in rows.iter().zip([a, b]) {
            self.here = self.levels.open_branch(outer, rows.clone());
            let level = self.here;
            let v = self.expr(e);
            self.here = outer;
            vals.push((v?, level));
        }
        self.merge(span, outer, &rows, vals)
    }

    /// Joins the values of two branches, row by row.
    fn merge(&mut self, span: Span, at: LevelId, rows: &[Vec<u32>; 2], mut vals: Vec<(Val, LevelId)>) -> Res<Val> {
        for (v, _) in &mut vals {
            *v = self.rebased(v, at);
        }
        let dims = self.joint_dims(span, &[&vals[0].0, &vals[1].0])?;
        let int = vals.iter().all(|(v, _)| v.int);
        let mut to = at;
        for (v, _) in &vals {
            to = self.levels.with_axes(to, v.level);
        }
        let mut parts = vec![];
        for (v, level) in &vals {
            let full = self.levels.with_axes(*level, to);
            parts.push(self.lift(v, full, &dims));
        }
        let count: usize = dims.iter().product();
        let block = count * self.levels.len(to) / self.levels.len(at).max(1);
        let first = rows[0].len() * block;
        let mut table = vec![0u32; self.levels.len(at) * block];
        for (start, rows) in [(0, &rows[0]), (first, &rows[1])] {
            for (p, &r) in rows.iter().enumerate() {
                for j in 0..block {
                    table[r as usize * block + j] = (start + p * block + j) as u32;
                }
            }
        }
        let index = Index::from_table(table);
        let home = match (&parts[0].home, &parts[1].home) {
            (Home::Const(x), Home::Const(y)) => {
                let all: Vec<f64> = x.iter().chain(y.iter()).copied().collect();
                let data: Arc<[f64]> = (0..index.len()).map(|j| all[index.at(j)]).collect();
                if let Some(f) = &mut self.followed {
                    let parts = [(x, Shape::new(&[x.len()])), (y, Shape::new(&[y.len()]))];
                    f.computed(&parts, &data, |g, v| {
                        let both = g.concat(v, Shape::new(&[all.len()]));
                        g.gather(both, index.clone(), Shape::new(&[index.len()]))
                    });
                }
                Home::Const(data)
            }
            _ => {
                let vars = [self.node(&parts[0]), self.node(&parts[1])];
                let all = self.g.concat(&vars, Shape::new(&[index.len()]));
                let shape = self.shape(to, &dims);
                Home::Var(self.g.gather(all, index, shape))
            }
        };
        Ok(Val { home, dims, level: to, int })
    }

    /// A branch's value with its axes known outside the branch.
    fn rebased(&mut self, v: &Val, at: LevelId) -> Val {
        if self.levels.axes_of(v.level).is_empty() {
            return v.clone();
        }
        let old: Vec<usize> = self.levels.axes_of(v.level).iter().map(|a| self.levels.axis(*a).states).collect();
        let (level, places) = self.levels.rebase(v.level, at);
        let states: Vec<usize> = places.iter().map(|&p| old[p]).collect();
        let (block, count): (usize, usize) = (states.iter().product(), v.count());
        let strides: Vec<usize> = (0..old.len()).map(|p| old[p + 1..].iter().product()).collect();
        let source = |j: usize| {
            let (e, rest) = (j % count.max(1), j / count.max(1));
            let (mut s, row) = (rest % block, rest / block);
            let mut at = row * block;
            for (k, &p) in places.iter().enumerate().rev() {
                at += (s % states[k]) * strides[p];
                s /= states[k];
            }
            (at * count + e) as u32
        };
        let len = self.levels.len(level) * count;
        let index = Index::from_table((0..len).map(source).collect());
        self.gathered(v, &index, level, v.dims.clone())
    }

    /// `if cond { … } else { … }`
    pub fn if_stmt(&mut self, cond: &Expr, then: &'m Block, otherwise: Option<&'m Block>) -> Res<()> {
        let c = self.scalar_expr(cond, "a condition")?;
        if c.known().is_none() {
            return Err(Diagnostic::new(cond.span, "the condition of `if` must not depend on latents or params")
                .help("use the conditional expression `cond ? a : b`"));
        }
        if let Some(x) = c.known_uniform() {
            return match (x != 0.0, otherwise) {
                (true, _) => self.block(then),
                (false, Some(b)) => self.block(b),
                (false, None) => Ok(()),
            };
        }
        let outer = self.here;
        let rows = self.split_rows(cond.span, &c)?;
        for (rows, block) in rows.into_iter().zip([Some(then), otherwise]) {
            let Some(block) = block else { continue };
            self.here = self.levels.open_branch(outer, rows);
            self.env.push();
            let done = self.block(block);
            self.env.pop();
            self.here = outer;
            done?;
        }
        Ok(())
    }
}
