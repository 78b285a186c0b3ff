//! Operations on values: lifting between levels, elementwise and structured functions.

use std::sync::Arc;

use super::{Lower, Res};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::eval::evaluate;
use crate::graph::{Graph, Index, Shape, Var};
use crate::model::level::{LevelId, ROOT};
use crate::model::posterior::ELSEWHERE;
use crate::model::value::{Home, Val};

/// Builds a result from argument nodes.
pub type Build<'f> = &'f mut dyn FnMut(&mut Graph, &[Var]) -> Var;

/// Builds a result from argument nodes that all have the given leading batch axis.
pub type BuildBatched<'f> = &'f mut dyn FnMut(&mut Graph, &[Var], Option<usize>) -> Var;

/// Elements of one value, all rows counted, beyond which a model is refused.
pub const MAX_ELEMENTS: usize = 100_000_000;

/// Axes that a value may have.
pub const MAX_AXES: usize = 4;

/// Integers beyond 2^53 are not exact.
const EXACT: f64 = 9007199254740992.0;

impl Lower<'_> {
    /// Refuses values that are too large to hold, or have too many axes.
    pub fn room(&self, span: Span, level: LevelId, dims: &[usize]) -> Res<()> {
        if dims.len() > MAX_AXES {
            return Err(Diagnostic::new(span, format!("a value has at most {MAX_AXES} axes, here are {}", dims.len())));
        }
        let count = dims.iter().fold(self.levels.len(level), |n, d| n.saturating_mul(*d));
        if count > MAX_ELEMENTS {
            return Err(Diagnostic::new(span, "this value has too many elements")
                .label(format!("more than {MAX_ELEMENTS}, counted over all rows"))
                .help("check the sizes in the data"));
        }
        Ok(())
    }

    /// Shape of the node that stores a value.
    pub fn shape(&self, level: LevelId, dims: &[usize]) -> Shape {
        if level == ROOT {
            return Shape::new(dims);
        }
        Shape::new(&[&[self.levels.len(level)], dims].concat())
    }

    /// The level at which the values meet.
    pub fn join(&mut self, span: Span, vals: &[&Val]) -> Res<LevelId> {
        let mut level = ROOT;
        for v in vals {
            level = self.levels.join(level, v.level).ok_or_else(|| {
                Diagnostic::new(span, "these values belong to rows of different plates")
                    .help("index both by the rows of one plate")
            })?;
        }
        Ok(level)
    }

    /// Equal event shapes, or scalars beside one shape.
    pub fn joint_dims(&self, span: Span, vals: &[&Val]) -> Res<Vec<usize>> {
        let mut dims: Vec<usize> = vec![];
        for v in vals.iter().filter(|v| !v.is_scalar()) {
            if dims.is_empty() {
                dims = v.dims.clone();
            } else if dims != v.dims {
                return Err(Diagnostic::new(span, format!("shapes {:?} and {:?} do not go together", dims, v.dims))
                    .label("elementwise operations need equal shapes or one scalar"));
            }
        }
        Ok(dims)
    }

    /// Index that repeats whole events of `count` elements by a row map.
    fn event_index(rows: &Index, count: usize) -> Index {
        let len = rows.len() * count;
        match rows {
            _ if count == 1 => rows.clone(),
            Index::Stride { start: 0, stride: 1, .. } => Index::Stride { start: 0, stride: 1, len },
            Index::Stride { start: 0, stride: 0, .. } => Index::Tile { period: count, len },
            Index::Repeat { each, .. } if rows.len() == *each => Index::Tile { period: count, len },
            _ => Index::from_table((0..len).map(|j| (rows.at(j / count) * count + j % count) as u32).collect()),
        }
    }

    /// `v` at a level at or below its own, with event shape `dims` (its own, or any for a scalar).
    pub fn lift(&mut self, v: &Val, to: LevelId, dims: &[usize]) -> Val {
        let mut out = v.clone();
        if v.level != to {
            let rows = self.levels.lift(v.level, to);
            let index = Self::event_index(&rows, v.count());
            out = self.gathered(&out, &index, to, v.dims.clone());
        }
        if out.dims != dims {
            let count: usize = dims.iter().product();
            let len = self.levels.len(to) * count;
            let index = match count {
                0 => Index::Stride { start: 0, stride: 1, len: 0 },
                _ => Index::Repeat { each: count, len },
            };
            out = self.gathered(&out, &index, to, dims.to_vec());
        }
        out
    }

    /// Elements of `v`'s storage by a flat index, as a value of the given level and shape.
    pub fn gathered(&mut self, v: &Val, index: &Index, level: LevelId, dims: Vec<usize>) -> Val {
        let home = match &v.home {
            Home::Const(c) if index.is_identity(c.len()) => Home::Const(c.clone()),
            Home::Const(c) => {
                let data: Arc<[f64]> = (0..index.len()).map(|j| c[index.at(j)]).collect();
                if let Some(f) = &mut self.followed {
                    f.gathered(c, index, &data);
                }
                Home::Const(data)
            }
            Home::Var(x) => {
                let shape = self.shape(level, &dims);
                Home::Var(self.g.gather(*x, index.clone(), shape))
            }
            Home::Step(x) => {
                let step = self.step.as_mut().expect("a step value inside a step");
                Home::Step(step.body.gather(*x, index.clone(), Shape::new(&dims)))
            }
        };
        Val { home, dims, level, int: v.int }
    }

    /// Elementwise function; scalars of the root stay scalars.
    pub fn elementwise(&mut self, span: Span, args: &[&Val], int: bool, build: Build<'_>) -> Res<Val> {
        let dims = self.joint_dims(span, args)?;
        let level = self.join(span, args)?;
        self.room(span, level, &dims)?;
        if args.iter().any(|v| matches!(v.home, Home::Step(_))) {
            return self.in_step(span, args, dims, int, build);
        }
        let lifted: Vec<Val> = args
            .iter()
            .map(|v| if v.level == ROOT && v.is_scalar() { (*v).clone() } else { self.lift(v, level, &dims) })
            .collect();
        let shape = self.shape(level, &dims);
        let home = self.labelled(level, |l| l.emit(&lifted, shape, build));
        Ok(Val { home, dims, level, int })
    }

    /// Function of whole events: every argument is brought to the joint level with its own shape.
    pub fn structured(&mut self, span: Span, args: &[&Val], dims: Vec<usize>, build: BuildBatched<'_>) -> Res<Val> {
        let level = self.join(span, args)?;
        self.room(span, level, &dims)?;
        for a in args {
            self.room(span, level, &a.dims)?;
        }
        if args.iter().any(|v| matches!(v.home, Home::Step(_))) {
            return self.in_step(span, args, dims, false, &mut |g, v| build(g, v, None));
        }
        let lifted: Vec<Val> = args
            .iter()
            .map(|v| {
                let own = v.dims.clone();
                self.lift(v, level, &own)
            })
            .collect();
        let batch = (level != ROOT).then(|| self.levels.len(level));
        let shape = self.shape(level, &dims);
        let home = self.labelled(level, |l| l.emit(&lifted, shape, &mut |g, v| build(g, v, batch)));
        Ok(Val { home, dims, level, int: false })
    }

    /// Labels the nodes of a value that does not vary with the rows of the statement: whatever their number, its elements are
    /// not those rows.
    pub fn labelled<T>(&mut self, level: LevelId, build: impl FnOnce(&mut Self) -> T) -> T {
        let label = self.g.origin();
        if self.levels.base_id(level) != self.levels.base_id(self.here) {
            self.g.set_origin(label | ELSEWHERE);
        }
        let out = build(self);
        self.g.set_origin(label);
        out
    }

    /// Runs a builder on the model's graph, or at once where everything is known.
    pub fn emit(&mut self, args: &[Val], shape: Shape, build: Build<'_>) -> Home {
        if let Some(known) = args.iter().map(Val::known).collect::<Option<Vec<_>>>() {
            let shapes: Vec<Shape> = args.iter().map(|v| self.shape(v.level, &v.dims)).collect();
            let data = known_result(args, &shapes, shape, &mut *build);
            if let Some(f) = &mut self.followed {
                let args: Vec<_> = known.into_iter().zip(shapes).collect();
                f.computed(&args, &data, |g, v| build(g, v));
            }
            return Home::Const(data);
        }
        let vars: Vec<Var> = args.iter().map(|v| self.node(v)).collect();
        let out = build(&mut self.g, &vars);
        Home::Var(self.g.fill_to(out, shape))
    }

    /// The node of a value in the model's graph.
    ///
    /// # Panics
    /// On a step value: those live in the body of a loop only.
    pub fn node(&mut self, v: &Val) -> Var {
        let shape = self.shape(v.level, &v.dims);
        match &v.home {
            Home::Var(x) => *x,
            Home::Const(_) => constant_of(&mut self.g, v, shape),
            Home::Step(_) => unreachable!("a step value is read outside its loop"),
        }
    }

    /// Sum of all elements of all rows.
    pub fn total(&mut self, v: &Val) -> Var {
        let x = self.node(v);
        self.g.sum(x)
    }

    /// The number or array of known integers that an index, size or range needs.
    pub fn known_ints(&self, span: Span, v: &Val, what: &str) -> Res<Arc<[f64]>> {
        let Some(c) = v.known() else {
            return Err(Diagnostic::new(span, format!("{what} must not depend on latents or params"))
                .label("known only when the model runs"));
        };
        if !v.int {
            return Err(Diagnostic::new(span, format!("{what} must be an integer, found {}", v.type_name())));
        }
        if let Some(x) = c.iter().find(|x| x.is_nan() || x.abs() > EXACT) {
            return Err(Diagnostic::new(span, format!("{what} of {x}")).label("integers go up to 2^53"));
        }
        Ok(c.clone())
    }

    /// A known integer at the root.
    pub fn known_int(&self, span: Span, v: &Val, what: &str) -> Res<i64> {
        let c = self.known_ints(span, v, what)?;
        if !v.is_scalar() {
            return Err(Diagnostic::new(span, format!("{what} must be one integer, found {}", v.type_name())));
        }
        match v.known_uniform() {
            Some(x) => Ok(x as i64),
            None if c.is_empty() => Ok(0),
            None => Err(Diagnostic::new(span, format!("{what} must not depend on a plate index"))),
        }
    }
}

/// What a builder makes of known values.
fn known_result(args: &[Val], shapes: &[Shape], shape: Shape, build: Build<'_>) -> Arc<[f64]> {
    let mut g = Graph::new();
    let vars: Vec<Var> = args.iter().zip(shapes).map(|(v, s)| constant_of(&mut g, v, *s)).collect();
    let out = build(&mut g, &vars);
    if let Some(c) = g.constant_value(out)
        && c.len() == shape.count()
    {
        return c.clone();
    }
    let mut data = evaluate(&g, &[], &[out]).swap_remove(0);
    if data.len() != shape.count() {
        data = vec![data[0]; shape.count()];
    }
    data.into()
}

fn constant_of(g: &mut Graph, v: &Val, shape: Shape) -> Var {
    match v.known() {
        Some(c) => g.constant(c.clone(), shape),
        None => unreachable!("only known values become constants"),
    }
}
