//! The body of a recurrence: carries, values brought in from outside, the finished scan.

use std::collections::HashMap;

use super::fill::{EMPTY, recurrent};
use super::index::Positions;
use super::{Lower, Res};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Graph, Index, Scan, Shape, Spread, Var};
use crate::model::level::{LevelId, ROOT};
use crate::model::value::{Home, Val};

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
    /// The empty body of `steps` steps that fill `targets`.
    pub fn new(level: LevelId, steps: usize, targets: HashMap<usize, Positions>) -> StepBody {
        StepBody {
            body: Graph::new(),
            level,
            steps,
            targets,
            current: HashMap::new(),
            carries: vec![],
            imports: vec![],
        }
    }

    /// True where a filled array is carried from step to step.
    pub fn carries(&self, filled: usize) -> bool {
        self.targets.contains_key(&filled)
    }
}

impl Lower<'_> {
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

    /// Turns the finished body into a scan and fills the arrays with what its steps gave.
    pub fn finish_scan(&mut self) -> Res<()> {
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
        let order: Vec<Var> = step
            .carries
            .iter()
            .map(|c| c.input)
            .chain(xs.iter().map(|i| i.1))
            .chain(each.iter().map(|i| i.1))
            .collect();
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
