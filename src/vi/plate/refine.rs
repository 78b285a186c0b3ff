//! The best base and context of a single row: what the encoder could have said; with weights of the flow of its own, what the
//! family could have done.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient as ArgminGradient, IterState};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use super::evaluate::{Elbo, Evaluator};
use crate::base::stats::mean;

/// Pairs that L-BFGS remembers, and its iterations at most.
const MEMORY: usize = 10;
const ITERATIONS: u64 = 100;

/// One row's bound as a function of what the encoder says, with fixed noise.
struct Problem<'a> {
    ev: &'a Evaluator<'a>,
    row: usize,
    noise: &'a [f64],
    judge: Option<&'a [f64]>,
    last: RefCell<Option<(Vec<f64>, Elbo)>>,
    best: RefCell<(f64, Vec<f64>)>,
}

impl Problem<'_> {
    fn visit<R>(&self, e: &[f64], read: impl Fn(&Elbo) -> R) -> R {
        let mut last = self.last.borrow_mut();
        if let Some((at, elbo)) = &*last
            && at == e
        {
            return read(elbo);
        }
        let elbo = self.ev.elbo(self.row, e, self.noise);
        self.hold(e, elbo.value);
        let out = read(&elbo);
        *last = Some((e.to_vec(), elbo));
        out
    }

    /// Keeps the point where it is the best so far: by its bound, or by that under the noise of a judge.
    fn hold(&self, e: &[f64], value: f64) {
        let value = match self.judge {
            Some(noise) if value.is_finite() => mean(&self.ev.weights(self.row, e, noise).log_w),
            _ => value,
        };
        let mut best = self.best.borrow_mut();
        if value > best.0 {
            *best = (value, e.to_vec());
        }
    }
}

impl CostFunction for &Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, e: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.visit(e, |b| if b.value.is_finite() { -b.value } else { f64::INFINITY }))
    }
}

impl ArgminGradient for &Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, e: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.visit(e, |b| b.gradient.iter().map(|g| if g.is_finite() { -g } else { 0.0 }).collect()))
    }
}

/// The location, log scale and context (and weights of the flow, where `start` has them: [`Evaluator::with_flow`]) with the highest
/// ELBO under the given noise (`[draws, d]`), by L-BFGS from `start`; `start` itself where nothing better was found. With a
/// `judge`, other noise, the best of L-BFGS's points is that with the highest ELBO there: many weights follow few draws too closely.
pub fn refine(ev: &Evaluator<'_>, row: usize, start: &[f64], noise: &[f64], judge: Option<&[f64]>) -> Vec<f64> {
    let best = RefCell::new((f64::NEG_INFINITY, start.to_vec()));
    let problem = Problem { ev, row, noise, judge, last: RefCell::new(None), best };
    problem.hold(start, ev.elbo(row, start, noise).value);
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY);
    let solver = solver.with_tolerance_cost(1e-13).and_then(|s| s.with_tolerance_grad(1e-9));
    if let Ok(solver) = solver {
        let begin = start.to_vec();
        type Iteration = IterState<Vec<f64>, Vec<f64>, (), (), (), f64>;
        let run = Executor::new(&problem, solver).configure(|s: Iteration| s.param(begin).max_iters(ITERATIONS)).run();
        // A line search that finds nothing ends the run; the best point so far is kept.
        drop(run);
    }
    problem.best.into_inner().1
}
