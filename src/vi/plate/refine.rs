//! The best base and context of a single row, the flow's weights shared: what the encoder could have said.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient as ArgminGradient, IterState};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use super::evaluate::{Elbo, Evaluator};

/// Pairs that L-BFGS remembers, and its iterations at most.
const MEMORY: usize = 10;
const ITERATIONS: u64 = 100;

/// One row's bound as a function of what the encoder says, with fixed noise.
struct Problem<'a> {
    ev: &'a Evaluator<'a>,
    row: usize,
    noise: &'a [f64],
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
        let mut best = self.best.borrow_mut();
        if elbo.value > best.0 {
            *best = (elbo.value, e.to_vec());
        }
        let out = read(&elbo);
        *last = Some((e.to_vec(), elbo));
        out
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

/// The location, log scale and context with the highest ELBO under the given noise (`[draws, d]`), by L-BFGS from
/// `start`; `start` itself where nothing better was found.
pub fn refine(ev: &Evaluator<'_>, row: usize, start: &[f64], noise: &[f64]) -> Vec<f64> {
    let first = ev.elbo(row, start, noise).value;
    let best = RefCell::new((if first.is_nan() { f64::NEG_INFINITY } else { first }, start.to_vec()));
    let problem = Problem { ev, row, noise, last: RefCell::new(None), best };
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
