//! The body of a recurrence: carries, values brought in from outside, the finished scan.

use std::collections::HashMap;

use super::fill::{EMPTY, recurrent};
use super::index::Positions;
use super::track::{Lattice, Track};
use super::{Lower, Res};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var, batch_scan};
use crate::model::level::{LevelId, ROOT};
use crate::model::value::{Home, Val};

/// A carry of the scan: the value that a filled array had `lag` steps ago.
#[derive(Clone, Debug)]
struct Carry {
    filled: usize,
    lag: usize,
    input: Var,
}

/// How a value from outside is read in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// The slice of the step, one for each outer row.
    Slice,
    /// The same at every step, one for each outer row.
    Row,
    /// The same everywhere.
    Shared,
}

#[derive(Clone, Debug)]
struct Import {
    outer: Var,
    input: Var,
    read: Read,
    /// Elements of one event.
    count: usize,
}

/// The body of a loop while it is being built: one step of one outer row.
#[derive(Clone, Debug)]
pub struct StepBody {
    /// Nodes of one step.
    pub body: Graph,
    /// The loop's level.
    pub level: LevelId,
    /// The level around the loop.
    outer: LevelId,
    track: Track,
    /// Elements that the loop fills.
    targets: HashMap<usize, Lattice>,
    current: HashMap<usize, Val>,
    carries: Vec<Carry>,
    imports: Vec<Import>,
    /// For each of the loop's rows, whether it takes the branch that is being walked.
    taken: Option<Vec<bool>>,
}

impl StepBody {
    /// The empty body of a loop at `level` under `outer` that fills `targets`.
    pub fn new(level: LevelId, outer: LevelId, track: Track, targets: HashMap<usize, Lattice>) -> StepBody {
        StepBody {
            body: Graph::new(),
            level,
            outer,
            track,
            targets,
            current: HashMap::new(),
            carries: vec![],
            imports: vec![],
            taken: None,
        }
    }

    /// Whether a row of the loop takes the branch that is being walked.
    fn is_taken(&self, row: usize) -> bool {
        self.taken.as_ref().is_none_or(|t| t[row])
    }

    /// True where a filled array is carried from step to step.
    pub fn carries(&self, filled: usize) -> bool {
        self.targets.contains_key(&filled)
    }
}

impl Lower<'_> {
    /// What the current step has given to the carried arrays so far.
    pub fn current_values(&mut self) -> &mut HashMap<usize, Val> {
        &mut self.step.as_mut().expect("inside a step").current
    }

    /// Walks a branch that rows take where the known condition `c` is as `yes` says.
    pub fn where_taken<T>(&mut self, c: &Val, yes: bool, walk: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        let level = self.step.as_ref().expect("inside a step").level;
        let rows = self.levels.lift(c.level, level);
        let step = self.step.as_mut().expect("inside a step");
        let holds = |j: usize| c.known().is_some_and(|k| (k[rows.at(j)] != 0.0) == yes);
        let taken = (0..rows.len()).map(|j| step.is_taken(j) && holds(j)).collect();
        let outer = step.taken.replace(taken);
        let done = walk(self);
        if let Some(step) = &mut self.step {
            step.taken = outer;
        }
        done
    }

    /// Indices of rows of `level` that no row of the loop needs in the branch being walked come to lie within `0..size`.
    pub fn spare_untaken(&mut self, level: LevelId, values: &mut [i64], width: usize, size: usize) {
        let Some(step) = self.step.as_ref().filter(|s| s.taken.is_some() && size > 0) else { return };
        if self.levels.join(level, step.level) != Some(step.level) {
            return;
        }
        let rows = self.levels.lift(level, step.level);
        let mut needed = vec![false; self.levels.len(level)];
        (0..rows.len()).filter(|j| step.is_taken(*j)).for_each(|j| needed[rows.at(j)] = true);
        for (row, _) in values.chunks_mut(width.max(1)).zip(needed).filter(|(_, needed)| !needed) {
            row.iter_mut().for_each(|i| *i = (*i).clamp(0, size as i64 - 1));
        }
    }

    /// Marks the value that the current step gives to a carried array.
    pub fn fill_step(&mut self, at: usize, span: Span, v: &Val) -> Res<()> {
        let dims = match &self.step {
            Some(s) => s.targets[&at].target.dims.clone(),
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
        let filled = &self.filled[at];
        let not_here = recurrent(&filled.name, span);
        let (from, count) = (filled.level, filled.dims.iter().product());
        let level = self.step.as_ref().expect("inside a step").level;
        if self.levels.join(p.level, level) != Some(level) || self.levels.join(from, level) != Some(level) {
            return Err(not_here);
        }
        let index = self.flat_index(from, count, p, level);
        let elements: Vec<u32> = (0..index.len()).map(|j| index.at(j) as u32).collect();
        let step = self.step.as_ref().expect("inside a step");
        let lattice = &step.targets[&at];
        let (lag, offsets) = lattice
            .lag(&step.track, &elements, p.dims.iter().product(), |j| step.is_taken(j))
            .ok_or(not_here.clone())?;
        let value = match lag {
            0 => step.current.get(&at).cloned().ok_or(not_here)?,
            l if l > 0 => {
                let dims = lattice.target.dims.clone();
                self.carry(at, l as usize, &dims)
            }
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
        let step = self.step.as_ref().expect("inside a step");
        let (level, around) = (step.level, step.outer);
        let (v, read) = match v.level {
            l if l == level => (v.clone(), Read::Slice),
            ROOT => (v.clone(), Read::Shared),
            _ => (self.lift(v, around, &v.dims.clone()), Read::Row),
        };
        let outer = self.node(&v);
        let spread = self.g.node(outer).spread;
        let step = self.step.as_mut().expect("inside a step");
        if let Some(i) = step.imports.iter().find(|i| i.outer == outer && i.read == read) {
            return i.input;
        }
        let name = if read == Read::Slice { "x" } else { "each" };
        let input = step.body.input(name, Shape::new(&v.dims), spread);
        step.imports.push(Import { outer, input, read, count: v.count() });
        input
    }

    /// True where a value of this level is the same at every step, or a slice of it is one step's.
    fn is_readable(&self, from: LevelId) -> bool {
        let step = self.step.as_ref().expect("inside a step");
        let base = |l| self.levels.base_id(l);
        from == step.level
            || self.levels.axes_of(from).is_empty() && self.levels.is_ancestor(base(from), base(step.outer))
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
        if args.iter().any(|v| !self.is_readable(v.level)) {
            return Err(Diagnostic::new(span, "a plate inside a recurrence"));
        }
        let vars: Vec<Var> = args.iter().map(|v| self.import(v)).collect();
        let step = self.step.as_mut().expect("inside a step");
        let x = build(&mut step.body, &vars);
        let x = step.body.fill_to(x, Shape::new(&dims));
        Ok(Val { home: Home::Step(x), dims, level, int })
    }

    /// Turns the finished body into a scan and fills the arrays with what its steps gave.
    pub fn finish_scan(&mut self) -> Res<()> {
        let mut step = self.step.take().expect("inside a step");
        let many = step.outer != ROOT;
        let mut args = vec![];
        let mut next = vec![];
        for c in &step.carries {
            args.push((self.initial(&step, c)?, many));
            next.push(match c.lag {
                1 => step_node(&step.current[&c.filled]),
                l => step.carries.iter().find(|d| d.filled == c.filled && d.lag == l - 1).expect("all lags").input,
            });
        }
        let mut order: Vec<Var> = step.carries.iter().map(|c| c.input).collect();
        if step.track.is_ragged() {
            let (input, outer) = self.hold_ended(&mut step, &mut next);
            order.push(input);
            args.push((outer, true));
        }
        let imports = std::mem::take(&mut step.imports);
        let (slices, each): (Vec<Import>, Vec<Import>) = imports.into_iter().partition(|i| i.read == Read::Slice);
        for i in &slices {
            let outer = if many { self.by_step(&step, i) } else { i.outer };
            args.push((outer, many));
        }
        let xs = args.len() - step.carries.len();
        args.extend(each.iter().map(|i| (i.outer, i.read == Read::Row)));
        order.extend(slices.iter().chain(&each).map(|i| i.input));
        let mut filled: Vec<usize> = step.current.keys().copied().collect();
        filled.sort_unstable();
        let ys: Vec<Var> = filled.iter().map(|f| step_node(&step.current[f])).collect();
        let place = step.body.order_inputs(&order);
        let moved = |v: &Var| place[v.index()];
        let (next, ys) = (next.iter().map(moved).collect(), ys.iter().map(moved).collect());
        let body = std::mem::take(&mut step.body);
        let scan = Scan { body, len: step.track.len, xs, next, ys, reverse: false };
        self.fill_from(scan, &args, &step, &filled)
    }

    /// Lets a row that has ended keep its carries, whatever its steps would make of them. Returns the mark of
    /// running rows in the body and outside.
    fn hold_ended(&mut self, step: &mut StepBody, next: &mut [Var]) -> (Var, Var) {
        let shape = Shape::new(&[step.track.len, step.track.rows()]);
        let outer = self.g.constant(step.track.running(), shape);
        let input = step.body.input("running", Shape::SCALAR, Spread::Shared);
        for (v, c) in next.iter_mut().zip(&step.carries) {
            *v = step.body.select(input, *v, c.input);
        }
        (input, outer)
    }

    /// What a carry holds before the first step, for each outer row.
    fn initial(&mut self, step: &StepBody, c: &Carry) -> Res<Var> {
        let f = &self.filled[c.filled];
        let not_here = recurrent(&f.name, f.span);
        let lattice = &step.targets[&c.filled];
        let there = |e: &u32| f.slots.get(*e as usize).is_some_and(|s| *s != EMPTY);
        let elements = lattice.before(c.lag).filter(|all| all.iter().all(there)).ok_or(not_here)?;
        let v = self.read_elements(c.filled, f.span, &elements, step.outer, lattice.target.dims.clone())?;
        Ok(self.node(&v))
    }

    /// Slices of a value with the steps in front of the outer rows.
    fn by_step(&mut self, step: &StepBody, i: &Import) -> Var {
        let table = step.track.by_step().flat_map(|j| (0..i.count).map(move |o| (j * i.count + o) as u32));
        let dims = &self.g.shape(i.outer).dims()[1..].to_vec();
        let shape = Shape::new(&[&[step.track.len, step.track.rows()], &dims[..]].concat());
        self.g.gather(i.outer, Index::from_table(table.collect()), shape)
    }

    /// Adds the loop and fills the arrays from its per-step outputs.
    fn fill_from(&mut self, scan: Scan, args: &[(Var, bool)], step: &StepBody, filled: &[usize]) -> Res<()> {
        let (carries, rows) = (scan.next.len(), step.track.rows());
        let (node, wide) = if step.outer != ROOT {
            batch_scan(&mut self.g, &scan, args, rows)
        } else {
            let args: Vec<Var> = args.iter().map(|a| a.0).collect();
            let (init, rest) = args.split_at(carries);
            let (xs, each) = rest.split_at(scan.xs);
            let outputs = 2 * carries + filled.len();
            (self.g.scan(scan, init, xs, each), vec![false; outputs])
        };
        for (k, f) in filled.iter().enumerate() {
            let k = 2 * carries + k;
            let target = step.targets[f].target.clone();
            let count: usize = target.dims.iter().product();
            let place = |(t, r): (usize, usize)| if wide[k] { t * rows + r } else { t };
            let table = step.track.by_row().flat_map(|at| (0..count).map(move |o| (place(at) * count + o) as u32));
            let x = self.g.proj(node, k);
            let x = self.g.gather(x, Index::from_table(table.collect()), self.shape(step.level, &target.dims));
            let v = Val { home: Home::Var(x), dims: target.dims.clone(), level: step.level, int: false };
            let span = self.filled[*f].span;
            self.fill(*f, span, &target, &v)?;
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
