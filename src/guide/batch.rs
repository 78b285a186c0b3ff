//! Programs of a family with free parameters on a batch of points: draws, densities, and their derivatives.

use std::sync::{Arc, OnceLock};

use super::family::{Family, compile};
use crate::graph::batch::batch;
use crate::graph::program::{Program, Real};
use crate::graph::reverse::grad;
use crate::graph::split::split;
use crate::graph::{Graph, Shape, Spread, Var};

/// A family at batches of a fixed number of points, stored point after point (`[n][dim]`). Each program is compiled at
/// its first use; a workspace belongs to one thread.
pub struct Batch<T: Real = f64> {
    family: Arc<Family>,
    n: usize,
    draw: OnceLock<Program<T>>,
    density: OnceLock<Program<T>>,
    score: OnceLock<Program<T>>,
    score_back: OnceLock<Program<T>>,
}

impl<T: Real> Batch<T> {
    /// Batches of `n` points.
    pub fn new(family: Arc<Family>, n: usize) -> Batch<T> {
        let unset = OnceLock::new;
        Batch { family, n, draw: unset(), density: unset(), score: unset(), score_back: unset() }
    }

    /// The family.
    pub fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// Points of a batch.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether a batch has no points.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// x = T(u; theta) and log q(x) from points u of the base.
    pub fn draw(&self, theta: &[T], u: &[T], x: &mut [T], log_q: &mut [T], ws: &mut Vec<T>) {
        let program = self.draw.get_or_init(|| {
            let (g, outputs) = self.pushed();
            compile(&g, &outputs, 1)
        });
        run(program, &[theta, u], &mut [x, log_q], ws);
    }

    /// log q(x; theta) at given points.
    pub fn density(&self, theta: &[T], x: &[T], log_q: &mut [T], ws: &mut Vec<T>) {
        let program = self.density.get_or_init(|| {
            let (g, outputs) = self.scored();
            compile(&g, &outputs, 1)
        });
        run(program, &[theta, x], &mut [log_q], ws);
    }

    /// log q(x; theta) at given points, and its gradient in x.
    pub fn score(&self, theta: &[T], x: &[T], log_q: &mut [T], gradient: &mut [T], ws: &mut Vec<T>) {
        let program = self.score.get_or_init(|| {
            let (mut g, mut outputs) = self.scored();
            let point = g.inputs()[1].var;
            let one = g.scalar(1.0);
            outputs.extend(grad(&mut g, &outputs.clone(), &[one], &[point]));
            compile(&g, &outputs, 1)
        });
        run(program, &[theta, x], &mut [log_q, gradient], ws);
    }

    /// The gradient in theta of `sum log_q_bar · log q(x; theta)` at given points.
    pub fn score_back(&self, theta: &[T], x: &[T], log_q_bar: &[T], out: &mut [T], ws: &mut Vec<T>) {
        let program = self.score_back.get_or_init(|| {
            let (mut g, outputs) = self.scored();
            let log_q_bar = g.input("log_q_bar", Shape::new(&[self.n]), Spread::Shared);
            let theta = g.inputs()[0].var;
            let outputs = grad(&mut g, &outputs, &[log_q_bar], &[theta]);
            compile(&g, &outputs, 1)
        });
        run(program, &[theta, x, log_q_bar], &mut [out], ws);
    }

    /// Inputs theta and u; outputs x and log q.
    fn pushed(&self) -> (Graph, Vec<Var>) {
        let (mut g, theta, u) = self.family.one_point(None, Spread::Shared);
        let (x, log_q) = self.family.push(&mut g, theta, u);
        batch(&g, &[x, log_q], &[false, true], self.n)
    }

    /// Inputs theta and x; output log q.
    fn scored(&self) -> (Graph, Vec<Var>) {
        let (mut g, theta, x) = self.family.one_point(None, Spread::Shared);
        let log_q = self.family.score(&mut g, theta, x);
        batch(&g, &[log_q], &[false, true], self.n)
    }
}

fn run<T: Real>(program: &Program<T>, inputs: &[&[T]], outputs: &mut [&mut [T]], ws: &mut Vec<T>) {
    if ws.len() < program.scratch() {
        ws.resize(program.scratch(), T::default());
    }
    program.run(inputs, outputs, ws);
}

/// Draws of a family and their derivatives, where the way back reads what the way there has computed.
pub struct Draws<T: Real> {
    family: Arc<Family>,
    there: Program<T>,
    back: Program<T>,
    kept: Vec<usize>,
    way: Way<T>,
}

/// What the way back differentiates.
enum Way<T: Real> {
    /// The draws, and log q at them.
    Full,
    /// The draws alone; their score comes along on the way there.
    Path,
    /// The same, the score by way of the inverse.
    Inverse(Box<Batch<T>>),
}

/// What a batch of draws gives, point after point.
pub struct Drawn<'a, T> {
    /// x = T(u).
    pub x: &'a mut [T],
    /// log q(x).
    pub log_q: &'a mut [T],
    /// Its gradient in x, parameters fixed; written where derivatives are along the path alone.
    pub score: &'a mut [T],
    /// What [`Draws::back`] reads.
    pub kept: &'a mut Vec<T>,
}

impl<T: Real> Draws<T> {
    /// Batches of `n` points, with derivatives along the path alone or in full.
    pub fn new(family: &Arc<Family>, n: usize, path: bool) -> Draws<T> {
        let (mut g, theta, u) = family.one_point(None, Spread::Shared);
        let scored = if path { family.push_scored(&mut g, theta, u) } else { None };
        let (one, way) = match scored {
            Some(scored) => (scored.to_vec(), Way::Path),
            None => {
                let (x, log_q) = family.push(&mut g, theta, u);
                let way = if path { Way::Inverse(Box::new(Batch::new(family.clone(), n))) } else { Way::Full };
                (vec![x, log_q], way)
            }
        };
        let (mut g, outputs) = batch(&g, &one, &[false, true], n);
        let differentiated = if path { 1 } else { 2 };
        let bar = |v: &Var| g.input("bar", g.shape(*v), Spread::Shared);
        let bars: Vec<Var> = outputs[..differentiated].iter().map(bar).collect();
        let theta = g.inputs()[0].var;
        let out = grad(&mut g, &outputs[..differentiated], &bars, &[theta]);
        let s = split(&g, &outputs, &out, &bars);
        let (there, back) = (compile(&s.first, &s.first_outputs, 1), compile(&s.second, &s.second_outputs, 1));
        Draws { family: family.clone(), there, back, kept: s.kept, way }
    }

    /// The family.
    pub fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// Draws from points u of the base.
    pub fn draw(&self, theta: &[T], u: &[T], to: Drawn<'_, T>, ws: &mut Vec<T>) {
        let Drawn { x, log_q, score, kept } = to;
        kept.resize(self.kept.iter().sum(), T::default());
        {
            let mut outputs: Vec<&mut [T]> = vec![&mut *x, &mut *log_q];
            if matches!(self.way, Way::Path) {
                outputs.push(&mut *score);
            }
            let mut rest = &mut kept[..];
            for n in &self.kept {
                let (part, tail) = rest.split_at_mut(*n);
                outputs.push(part);
                rest = tail;
            }
            run(&self.there, &[theta, u], &mut outputs, ws);
        }
        if let Way::Inverse(inverse) = &self.way {
            inverse.score(theta, x, log_q, score, ws);
        }
    }

    /// Gradient in theta of `sum <x_bar, T(u)>`, in full also of `log_q_bar · log q(T(u))`, with u held fixed, after [`Draws::draw`]
    /// at the same theta and u.
    pub fn back(
        &self,
        theta: &[T],
        u: &[T],
        [x_bar, log_q_bar]: [&[T]; 2],
        kept: &[T],
        out: &mut [T],
        ws: &mut Vec<T>,
    ) {
        let mut inputs = vec![theta, u, x_bar];
        if matches!(self.way, Way::Full) {
            inputs.push(log_q_bar);
        }
        let mut rest = kept;
        for n in &self.kept {
            let (part, tail) = rest.split_at(*n);
            inputs.push(part);
            rest = tail;
        }
        run(&self.back, &inputs, &mut [out], ws);
    }
}
