//! `for`: array operations where no step reads an earlier one, else a scan of the bare recurrence.

use std::collections::HashMap;

use super::env::{Binding, DataVar, Env};
use super::fill::{EMPTY, Filled, RECURRENT, recurrent};
use super::index::Positions;
use super::{Lower, Mode, Res};
use crate::dsl::ast::{Block, Ident, LatentKind, LetKind, Range, StmtKind};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var};
use crate::model::level::{BaseKind, LevelId, ROOT};
use crate::model::site::Discrete;
use crate::model::value::{Home, Val};

/// Steps that are written out one by one where no scan can express a loop.
const MAX_UNROLLED: usize = 20_000;

/// Marks a condition that changes along the loop: the loop is cut where it does.
const SPLIT: &str = "this condition changes from step to step";

/// A carry of the scan: the value that a filled array had `lag` steps ago.
#[derive(Clone, Debug)]
struct Carry {
    filled: usize,
    lag: usize,
    input: Var,
}

/// The body of a loop while it is being built.
#[derive(Clone, Debug)]
pub struct StepBody {
    /// Nodes of one step.
    pub body: Graph,
    /// The loop's level.
    pub level: LevelId,
    steps: usize,
    /// Elements that the loop fills, step by step, with the shape of one fill.
    targets: HashMap<usize, Positions>,
    current: HashMap<usize, Val>,
    carries: Vec<Carry>,
    /// Outer node, body input, sliced by step.
    imports: Vec<(Var, Var, bool)>,
}

impl StepBody {
    /// True where a filled array is carried from step to step.
    pub fn carries(&self, filled: usize) -> bool {
        self.targets.contains_key(&filled)
    }
}

/// What a failed attempt must not leave behind.
struct Snapshot<'m> {
    env: Env<'m>,
    filled: Vec<Filled>,
    data: Vec<DataVar>,
    discrete: Vec<Discrete>,
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
            counts: [self.factors.len(), self.reports.len(), self.notes.len(), self.sites.len()],
            here: self.here,
        }
    }

    fn restore(&mut self, s: Snapshot<'m>) {
        self.env = s.env;
        self.filled = s.filled;
        self.data = s.data;
        self.discrete = s.discrete;
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
    fn sequential(
        &mut self,
        index: &'m Ident,
        from: &[i64],
        counts: &[usize],
        body: &'m Block,
        lets: bool,
    ) -> Res<()> {
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
        let n = counts[0];
        let regular = self.here == ROOT && n > 1;
        // Data alone: run it now.
        let first: Vec<usize> = counts.iter().map(|c| (*c).min(2)).collect();
        let trial = self.sequential(index, from, &first, body, true);
        let known = carried.iter().all(|&i| self.filled[i].is_known());
        if trial.is_err() && !known {
            trial?;
        }
        self.restore(before);
        if known || !regular {
            let steps: usize = counts.iter().copied().max().unwrap_or(0);
            if !known && steps > MAX_UNROLLED {
                return Err(cause);
            }
            self.sequential(index, from, counts, body, true)?;
        } else {
            self.scan_range(index, from[0], n, body, &carried)?;
        }
        self.prefilled.extend(carried);
        Ok(())
    }

    fn scan_range(&mut self, index: &'m Ident, from: i64, n: usize, body: &'m Block, carried: &[usize]) -> Res<()> {
        if n == 1 {
            return self.sequential(index, &[from], &[1], body, true);
        }
        let before = self.snapshot();
        match self.scan(index, from, n, body, carried) {
            Ok(()) => Ok(()),
            Err(d) if d.message == SPLIT => {
                self.restore(before);
                let at: usize = d.label.parse().unwrap_or(1);
                self.scan_range(index, from, at, body, carried)?;
                self.scan_range(index, from + at as i64, n - at, body, carried)
            }
            Err(_) if n <= MAX_UNROLLED => {
                self.restore(before);
                self.sequential(index, &[from], &[n], body, true)
            }
            Err(d) => Err(d),
        }
    }

    fn scan(&mut self, index: &'m Ident, from: i64, n: usize, body: &'m Block, carried: &[usize]) -> Res<()> {
        let (level, i) = self.open_range(&[from], &[n], BaseKind::For);
        self.env.push();
        self.here = level;
        self.declare(index, Binding::Val(i))?;
        let mut targets = HashMap::new();
        self.collect_targets(body, carried, &mut targets)?;
        self.step = Some(StepBody {
            body: Graph::new(),
            level,
            steps: n,
            targets,
            current: HashMap::new(),
            carries: vec![],
            imports: vec![],
        });
        self.lets_only(body)?;
        self.here = ROOT;
        self.env.pop();
        self.finish_scan()
    }

    fn collect_targets(&mut self, body: &'m Block, carried: &[usize], out: &mut HashMap<usize, Positions>) -> Res<()> {
        for s in &body.stmts {
            match &s.kind {
                StmtKind::Let { name, kind: LetKind::Fill { index, .. } }
                | StmtKind::Latent { name, kind: LatentKind::Fill { index, .. } } => {
                    if let Binding::Filled(i) = self.lookup(&name.name, name.span)?
                        && carried.contains(&i)
                    {
                        let p = self.fill_targets(i, s.span, index)?;
                        if p.level != self.here || out.insert(i, p).is_some() {
                            return Err(recurrent(&name.name, s.span));
                        }
                    }
                }
                StmtKind::If { cond, then, otherwise } => {
                    let c = self.scalar_expr(cond, "a condition")?;
                    let taken = self.step_condition(cond.span, &c)?;
                    let block = if taken { Some(then) } else { otherwise.as_ref() };
                    if let Some(b) = block {
                        self.collect_targets(b, carried, out)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A condition inside a recurrence: the same for all steps, or the loop is cut.
    pub fn step_condition(&mut self, span: Span, c: &Val) -> Res<bool> {
        if let Some(x) = c.known_uniform() {
            return Ok(x != 0.0);
        }
        match c.known() {
            Some(k) => {
                let at = k.iter().position(|x| *x != k[0]).unwrap_or(1);
                Err(Diagnostic::new(span, SPLIT).label(at.to_string()))
            }
            None => Err(Diagnostic::new(span, "a condition inside a recurrence must be known at binding")),
        }
    }

    /// Marks the value that the current step gives to a carried array.
    pub fn fill_step(&mut self, at: usize, span: Span, v: &Val) -> Res<()> {
        let dims = match &self.step {
            Some(s) => s.targets[&at].dims.clone(),
            None => return Ok(()),
        };
        if !v.is_scalar() && v.dims != dims {
            return Err(Diagnostic::new(span, format!("shape {:?} does not fit here", v.dims)));
        }
        let x = self.import(v);
        let step = self.step.as_mut().expect("inside a step");
        let x = step.body.fill_to(x, Shape::new(&dims));
        let level = step.level;
        step.current.insert(at, Val { home: Home::Step(x), dims, level, int: v.int });
        Ok(())
    }

    /// Reads a carried array at positions that lie a fixed number of steps back.
    pub fn read_carry(&mut self, at: usize, span: Span, p: &Positions) -> Res<Val> {
        let not_here = recurrent(&self.filled[at].name, span);
        let step = self.step.as_ref().expect("inside a step");
        let (level, steps) = (step.level, step.steps);
        let target = step.targets[&at].clone();
        let width: usize = p.dims.iter().product();
        let unit: usize = target.dims.iter().product();
        let lifted = self.levels.lift(p.level, level);
        let row = |s: usize| &p.table[lifted.at(s) * width..(lifted.at(s) + 1) * width];
        let start = target.table[0] as i64;
        let stride = target.table[unit] as i64 - start;
        // Element e of the array is offset (e - start) mod stride of virtual step (e - start) / stride.
        let locate = |e: u32| {
            let d = e as i64 - start;
            (d.div_euclid(stride), d.rem_euclid(stride) as usize)
        };
        if stride <= 0 || stride < unit as i64 || width == 0 {
            return Err(not_here);
        }
        let lag = -locate(row(0)[0]).0;
        let offsets: Vec<u32> = row(0).iter().map(|&e| locate(e).1 as u32).collect();
        for s in 0..steps {
            let fits = row(s).iter().zip(&offsets).all(|(&e, &o)| {
                let (v, offset) = locate(e);
                s as i64 - v == lag && offset == o as usize && (o as usize) < unit
            });
            if !fits {
                return Err(not_here);
            }
        }
        let value = match lag {
            0 => step.current.get(&at).cloned().ok_or(not_here)?,
            l if l > 0 => self.carry(at, l as usize, &target.dims),
            _ => return Err(not_here),
        };
        Ok(self.gathered(&value, &Index::from_table(offsets), level, p.dims.clone()))
    }

    fn carry(&mut self, filled: usize, lag: usize, dims: &[usize]) -> Val {
        let step = self.step.as_mut().expect("inside a step");
        for l in 1..=lag {
            if !step.carries.iter().any(|c| c.filled == filled && c.lag == l) {
                let input = step.body.input("carry", Shape::new(dims), Spread::Particle);
                step.carries.push(Carry { filled, lag: l, input });
            }
        }
        let found = step.carries.iter().find(|c| c.filled == filled && c.lag == lag);
        let home = Home::Step(found.expect("just added").input);
        Val { home, dims: dims.to_vec(), level: step.level, int: false }
    }

    /// The body's node of a value: step values as they are, others as inputs of the body.
    fn import(&mut self, v: &Val) -> Var {
        if let Home::Step(x) = v.home {
            return x;
        }
        if let Some(x) = v.known_uniform()
            && v.is_scalar()
        {
            return self.step.as_mut().expect("inside a step").body.scalar(x);
        }
        let level = self.step.as_ref().expect("inside a step").level;
        let sliced = v.level == level;
        let outer = self.node(v);
        let spread = self.g.node(outer).spread;
        let step = self.step.as_mut().expect("inside a step");
        if let Some((_, x, _)) = step.imports.iter().find(|i| i.0 == outer && i.2 == sliced) {
            return *x;
        }
        let x = step.body.input(if sliced { "x" } else { "each" }, Shape::new(&v.dims), spread);
        step.imports.push((outer, x, sliced));
        x
    }

    /// An operation inside the body of a loop.
    pub fn in_step(
        &mut self,
        span: Span,
        args: &[&Val],
        dims: Vec<usize>,
        int: bool,
        build: super::algebra::Build<'_>,
    ) -> Res<Val> {
        let level = self.step.as_ref().expect("inside a step").level;
        if args.iter().any(|v| v.level != level && v.level != ROOT) {
            return Err(Diagnostic::new(span, "a plate inside a recurrence"));
        }
        let vars: Vec<Var> = args.iter().map(|v| self.import(v)).collect();
        let step = self.step.as_mut().expect("inside a step");
        let x = build(&mut step.body, &vars);
        let x = step.body.fill_to(x, Shape::new(&dims));
        Ok(Val { home: Home::Step(x), dims, level, int })
    }

    fn finish_scan(&mut self) -> Res<()> {
        let mut step = self.step.take().expect("inside a step");
        let mut init = vec![];
        let mut next = vec![];
        for c in &step.carries {
            let target = &step.targets[&c.filled];
            let unit: usize = target.dims.iter().product();
            let stride = target.table[unit] as i64 - target.table[0] as i64;
            let elements: Option<Vec<u32>> = target.table[..unit]
                .iter()
                .map(|e| u32::try_from(*e as i64 - stride * c.lag as i64).ok())
                .map(|e| e.filter(|e| self.filled[c.filled].slots[*e as usize] != EMPTY))
                .collect();
            let span = self.filled[c.filled].span;
            let elements = elements.ok_or_else(|| recurrent(&self.filled[c.filled].name, span))?;
            let v = self.read_elements(c.filled, span, &elements, ROOT, target.dims.clone())?;
            init.push(self.node(&v));
            next.push(match c.lag {
                1 => step_node(&step.current[&c.filled]),
                l => step.carries.iter().find(|d| d.filled == c.filled && d.lag == l - 1).expect("all lags").input,
            });
        }
        let mut outputs: Vec<usize> = step.current.keys().copied().collect();
        outputs.sort_unstable();
        let ys: Vec<Var> = outputs.iter().map(|f| step_node(&step.current[f])).collect();
        type Imports = Vec<(Var, Var, bool)>;
        let (xs, each): (Imports, Imports) = step.imports.iter().partition(|i| i.2);
        let order: Vec<Var> =
            step.carries.iter().map(|c| c.input).chain(xs.iter().map(|i| i.1)).chain(each.iter().map(|i| i.1)).collect();
        let place = step.body.order_inputs(&order);
        let moved = |v: &Var| place[v.index()];
        let (next, ys): (Vec<Var>, Vec<Var>) = (next.iter().map(moved).collect(), ys.iter().map(moved).collect());
        let xs: Vec<Var> = xs.iter().map(|i| i.0).collect();
        let each: Vec<Var> = each.iter().map(|i| i.0).collect();
        let carries = next.len();
        let scan = Scan { body: step.body, len: step.steps, xs: xs.len(), next, ys, reverse: false };
        let node = self.g.scan(scan, &init, &xs, &each);
        for (k, f) in outputs.into_iter().enumerate() {
            let x = self.g.proj(node, 2 * carries + k);
            let target = &step.targets[&f];
            let v = Val { home: Home::Var(x), dims: target.dims.clone(), level: step.level, int: false };
            let target = target.clone();
            let span = self.filled[f].span;
            self.fill(f, span, &target, &v)?;
        }
        Ok(())
    }
}

fn step_node(v: &Val) -> Var {
    match v.home {
        Home::Step(x) => x,
        _ => unreachable!("the value of a step is a node of its body"),
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
