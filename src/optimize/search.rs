//! One search: L-BFGS (Nocedal & Wright 2006, algorithm 7.4) from a random point, then Newton steps.

use std::cell::RefCell;

use argmin::core::{ArgminError, CostFunction, Error, Executor, Gradient as ArgminGradient, LineSearch, Solver};
use argmin::core::{IterState, State};
use argmin::solver::linesearch::condition::ArmijoCondition;
use argmin::solver::linesearch::{BacktrackingLineSearch, MoreThuenteLineSearch};
use argmin::solver::quasinewton::LBFGS;
use nalgebra::DVector;

use super::Options;
use super::curvature::{Curvature, precision_factor};
use crate::base::rng::Stream;
use crate::density::Gradient;
use crate::model::compiled::Compiled;

/// Pairs that L-BFGS keeps.
const MEMORY: usize = 10;

/// Iterations with simple backtracking after a line search that failed.
const DETOUR: u64 = 20;

/// Factor of a step that backtracking refused.
const SHRINK: f64 = 0.3;

/// Norm of the gradient at which L-BFGS stops.
const DERIVATIVE: f64 = 1e-8;

/// Values that a line search may ask for without one that is better than all before.
const PATIENCE: usize = 60;

/// Newton steps at most.
const NEWTON: usize = 20;

/// The best point of a search.
pub struct Search {
    /// The point.
    pub x: Vec<f64>,
    /// The objective there.
    pub logp: f64,
    /// Its gradient there.
    pub gradient: Vec<f64>,
    /// Iterations so far.
    pub iterations: u64,
}

/// A density as argmin's problem, with the best point seen.
struct Problem<'a> {
    target: &'a Compiled,
    /// Factor of the objective that makes the first step, which is the gradient, no longer than 1.
    scale: f64,
    seen: RefCell<Seen>,
}

struct Seen {
    /// The last point: its value and gradient are asked for one after the other.
    last: Search,
    best: Search,
    /// Values asked for since the best one.
    stale: usize,
    ws: Vec<f64>,
}

impl Search {
    /// A random point with a finite density and gradient.
    pub fn begin(target: &Compiled, options: &Options, start: u64, tries: usize) -> Option<Search> {
        let mut rng = Stream::new(options.seed, "optimize", start);
        let dim = target.posterior.dim;
        let mut ws = vec![];
        for _ in 0..tries {
            let x = (0..dim).map(|_| options.radius * (2.0 * rng.uniform() - 1.0)).collect();
            let s = Search::at(target, x, &mut ws);
            if s.is_finite() {
                return Some(s);
            }
        }
        None
    }

    fn at(target: &Compiled, x: Vec<f64>, ws: &mut Vec<f64>) -> Search {
        use crate::density::LogDensity;
        ws.resize(target.scratch(), 0.0);
        let mut gradient = vec![0.0; x.len()];
        let logp = target.logp_grad(&x, &mut gradient, ws);
        Search { x, logp, gradient, iterations: 0 }
    }

    fn is_finite(&self) -> bool {
        self.logp.is_finite() && self.gradient.iter().all(|g| g.is_finite())
    }

    fn copy(&self) -> Search {
        Search { x: self.x.clone(), logp: self.logp, gradient: self.gradient.clone(), iterations: self.iterations }
    }

    /// The coordinate with the largest derivative.
    pub fn worst(&self) -> usize {
        let size = |j: &usize| self.gradient[*j].abs();
        (0..self.x.len()).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(0)
    }

    /// The largest derivative.
    pub fn derivative(&self) -> f64 {
        self.gradient.iter().fold(0.0, |m, g| g.abs().max(m))
    }

    /// L-BFGS until it stops; where a line search fails (it met the edge of the support), a few
    /// iterations that only halve their step lead on.
    pub fn climb(&mut self, target: &Compiled, iterations: u64) {
        if self.x.is_empty() {
            return;
        }
        while self.iterations < iterations {
            let before = self.logp;
            self.run(target, MoreThuenteLineSearch::new(), iterations - self.iterations);
            if self.derivative() <= DERIVATIVE {
                return;
            }
            let armijo = ArmijoCondition::new(1e-4).map(BacktrackingLineSearch::new);
            if let Ok(simple) = armijo.and_then(|b| b.rho(SHRINK)) {
                self.run(target, simple, DETOUR);
            }
            if self.logp <= before + f64::EPSILON * before.abs() {
                return;
            }
        }
    }

    /// One run of L-BFGS from the best point.
    fn run<L>(&mut self, target: &Compiled, line: L, iterations: u64)
    where
        L: Clone + LineSearch<Vec<f64>, f64>,
        for<'p, 'a> LBFGS<L, Vec<f64>, Vec<f64>, f64>:
            Solver<&'p Problem<'a>, IterState<Vec<f64>, Vec<f64>, (), (), (), f64>>,
    {
        let seen = Seen { last: self.copy(), best: self.copy(), stale: 0, ws: vec![] };
        let norm = self.gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = 1.0 / norm.max(1.0);
        let problem = Problem { target, scale, seen: RefCell::new(seen) };
        let rounding = f64::EPSILON * (1.0 + self.logp.abs());
        let solver = LBFGS::new(line, MEMORY)
            .with_tolerance_grad(DERIVATIVE * scale)
            .and_then(|s| s.with_tolerance_cost(rounding * scale));
        let Ok(solver) = solver else {
            return;
        };
        let start = |s: IterState<Vec<f64>, Vec<f64>, (), (), (), f64>| s.param(self.x.clone()).max_iters(iterations);
        // An error is a line search that met a value that is not finite: the best point counts.
        let done = Executor::new(&problem, solver).configure(start).run();
        let used = done.map_or(1, |d| d.state().get_iter());
        let total = self.iterations + used.max(1);
        *self = problem.seen.into_inner().best;
        self.iterations = total;
    }

    /// Newton steps while they improve; returns the squared Newton decrement gᵀ(-H)^-1 g at the end, or
    /// `None` where the Hessian is not negative definite.
    pub fn polish(&mut self, target: &Compiled, curvature: &Curvature) -> Option<f64> {
        let mut ws = vec![];
        let mut last = f64::INFINITY;
        for _ in 0..NEWTON {
            let factor = precision_factor(&curvature.at(&self.x).hessian)?;
            let g = DVector::from_column_slice(&self.gradient);
            let step = factor.solve(&g);
            let decrement = g.dot(&step);
            if decrement.is_nan() || decrement <= 0.0 || decrement >= last {
                return Some(decrement.min(last));
            }
            last = decrement;
            let x = self.x.iter().zip(step.iter()).map(|(a, b)| a + b).collect();
            let next = Search::at(target, x, &mut ws);
            // Near the maximum the value only changes by rounding.
            let slack = 1e-12 * (1.0 + self.logp.abs());
            if !next.is_finite() || next.logp < self.logp - slack {
                return Some(decrement);
            }
            *self = Search { iterations: self.iterations, ..next };
        }
        Some(last)
    }
}

impl Problem<'_> {
    /// Value and gradient of the last point asked for.
    fn visit<T>(&self, x: &[f64], read: impl Fn(&Search) -> T) -> T {
        let mut seen = self.seen.borrow_mut();
        let seen = &mut *seen;
        if seen.last.x != x {
            seen.last = Search::at(self.target, x.to_vec(), &mut seen.ws);
            if seen.last.is_finite() && seen.last.logp > seen.best.logp {
                seen.best = seen.last.copy();
                seen.stale = 0;
            }
        }
        read(&seen.last)
    }
}

impl CostFunction for &Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, x: &Vec<f64>) -> Result<f64, Error> {
        let stale = {
            let mut seen = self.seen.borrow_mut();
            seen.stale += 1;
            seen.stale
        };
        if stale > PATIENCE {
            return Err(ArgminError::ConditionViolated { text: "the line search does not advance".into() }.into());
        }
        Ok(self.visit(x, |s| if s.is_finite() { -s.logp * self.scale } else { f64::INFINITY }))
    }
}

impl ArgminGradient for &Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.visit(x, |s| s.gradient.iter().map(|g| -g * self.scale).collect()))
    }
}
