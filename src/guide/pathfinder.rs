//! Pathfinder (Zhang, Carpenter, Gelman & Vehtari 2022, JMLR 23:306): the best normal approximation along a path of L-BFGS.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use argmin::core::observers::{Observe, ObserverMode};
use argmin::core::{CostFunction, Error, Executor, Gradient as ArgminGradient, IterState, KV, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::start::Start;
use crate::base::rng::Stream;
use crate::density::Gradient;

/// Settings, at the values of the paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pathfinder {
    /// Paths from different random points.
    pub paths: usize,
    /// Pairs of steps and gradient differences that a curvature estimate remembers (J).
    pub history: usize,
    /// Draws that rate each point of a path (K); the best points get 20 times as many.
    pub draws: usize,
    /// Iterations of L-BFGS at most.
    pub iterations: u64,
    /// Half the width of the cube in which paths begin.
    pub radius: f64,
    /// Seed of the random streams.
    pub seed: u64,
}

impl Default for Pathfinder {
    fn default() -> Self {
        Pathfinder { paths: 4, history: 6, draws: 10, iterations: 1000, radius: 2.0, seed: 0 }
    }
}

/// The best point of a path, with the normal approximation there.
#[derive(Clone, Debug)]
pub struct Approximation {
    /// Location and factor of the covariance.
    pub start: Start,
    /// Estimate of the evidence lower bound.
    pub elbo: f64,
    /// The draws that rated it, point after point.
    pub draws: Vec<f64>,
}

/// Above this many coordinates only every few points of a path are rated: each costs a Cholesky factorisation.
const LARGE: usize = 200;
/// Points of a path that are rated there.
const RATED: usize = 20;

/// The best points of a path by few draws are rated again, with this many times the draws: the best of many noisy ratings is
/// often a lucky one.
const AGAIN: usize = 5;
const MORE: usize = 20;

/// Random points that are tried for one of finite density.
const TRIES: usize = 100;
/// Scale of the start where no path gave an approximation.
const NARROW: f64 = 0.1;

impl Pathfinder {
    /// The approximations of all paths that gave one, best first.
    pub fn run<T: Gradient + ?Sized>(&self, target: &T) -> Vec<Approximation> {
        let path = |k: usize| self.path(target, k as u64);
        let mut found: Vec<Approximation> = (0..self.paths).into_par_iter().filter_map(path).collect();
        found.sort_by(|a, b| b.elbo.total_cmp(&a.elbo));
        found
    }

    /// The best approximation as a start; where no path gave one, a narrow normal at the first random point of finite
    /// density (0 without one), from which a mean field fit sets out.
    pub fn start<T: Gradient + ?Sized>(&self, target: &T) -> Start {
        if let Some(best) = self.run(target).into_iter().next() {
            return best.start;
        }
        let mut ws = vec![0.0; target.scratch()];
        let point = |k| self.random(target, &mut Stream::new(self.seed, "pathfinder/start", k), &mut ws);
        let found = (0..self.paths as u64).find_map(point);
        Start::isotropic(found.map_or_else(|| vec![0.0; target.dim()], |i| i.x), NARROW)
    }

    fn path<T: Gradient + ?Sized>(&self, target: &T, index: u64) -> Option<Approximation> {
        let mut rng = Stream::new(self.seed, "pathfinder/start", index);
        let points = self.climb(target, &mut rng)?;
        let mut rng = Stream::new(self.seed, "pathfinder/draws", index);
        let every = if target.dim() > LARGE { points.len().div_ceil(RATED) } else { 1 };
        let mut curvature = InverseHessian::new(target.dim(), self.history);
        let mut best: Vec<Approximation> = vec![];
        for k in 1..points.len() {
            curvature.update(&points[k - 1], &points[k]);
            if k % every != 0 && k + 1 != points.len() {
                continue;
            }
            best.extend(curvature.at(&points[k]).and_then(|start| rate(target, start, self.draws, &mut rng)));
            best.sort_by(|a, b| b.elbo.total_cmp(&a.elbo));
            best.truncate(AGAIN);
        }
        let again = best.into_iter().filter_map(|a| rate(target, a.start, MORE * self.draws, &mut rng));
        again.max_by(|a, b| a.elbo.total_cmp(&b.elbo))
    }

    /// A point of the cube with finite density and gradient.
    fn random<T: Gradient + ?Sized>(&self, target: &T, rng: &mut Stream, ws: &mut [f64]) -> Option<Iterate> {
        (0..TRIES).find_map(|_| {
            let x = (0..target.dim()).map(|_| self.radius * (2.0 * rng.uniform() - 1.0)).collect();
            Iterate::at(target, x, ws)
        })
    }

    /// The iterates of L-BFGS from a random point, with their gradients; an optimisation that fails keeps what it has.
    fn climb<T: Gradient + ?Sized>(&self, target: &T, rng: &mut Stream) -> Option<Vec<Iterate>> {
        let mut ws = vec![0.0; target.scratch()];
        let first = self.random(target, rng, &mut ws)?;
        // The first step is the gradient: a scale keeps it no longer than 1.
        let norm = first.gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let problem = Problem { target, scale: 1.0 / norm.max(1.0), last: RefCell::new((first.clone(), ws)) };
        let seen = Arc::new(Mutex::new(vec![]));
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), self.history).with_tolerance_cost(1e-12).ok()?;
        let x = first.x.clone();
        let run = Executor::new(&problem, solver)
            .configure(|s: Iteration| s.param(x).max_iters(self.iterations))
            .add_observer(Watch(seen.clone()), ObserverMode::Always)
            .run();
        drop(run);
        let mut ws = vec![0.0; target.scratch()];
        let visited = std::mem::take(&mut *seen.lock().unwrap_or_else(|e| e.into_inner()));
        let rest = visited.into_iter().filter_map(|x| Iterate::at(target, x, &mut ws));
        let mut points = vec![first];
        points.extend(rest);
        points.dedup_by(|a, b| a.x == b.x);
        Some(points)
    }
}

type Iteration = IterState<Vec<f64>, Vec<f64>, (), (), (), f64>;

/// A point with the gradient of the log density.
#[derive(Clone, Debug)]
struct Iterate {
    x: Vec<f64>,
    logp: f64,
    gradient: Vec<f64>,
}

impl Iterate {
    /// `None` where density or gradient is not finite.
    fn at<T: Gradient + ?Sized>(target: &T, x: Vec<f64>, ws: &mut [f64]) -> Option<Iterate> {
        let mut gradient = vec![0.0; x.len()];
        let logp = target.logp_grad(&x, &mut gradient, ws);
        let finite = logp.is_finite() && gradient.iter().all(|g| g.is_finite());
        finite.then_some(Iterate { x, logp, gradient })
    }
}

/// Remembers every iterate.
struct Watch(Arc<Mutex<Vec<Vec<f64>>>>);

impl Observe<Iteration> for Watch {
    fn observe_iter(&mut self, state: &Iteration, _: &KV) -> Result<(), Error> {
        if let (Some(x), Ok(mut seen)) = (state.get_param(), self.0.lock()) {
            seen.push(x.clone());
        }
        Ok(())
    }
}

/// A target as argmin's problem; value and gradient of a point are asked for one after the other.
struct Problem<'a, T: ?Sized> {
    target: &'a T,
    scale: f64,
    last: RefCell<(Iterate, Vec<f64>)>,
}

impl<T: Gradient + ?Sized> Problem<'_, T> {
    fn visit<R>(&self, x: &[f64], read: impl Fn(&Iterate) -> R) -> Option<R> {
        let mut last = self.last.borrow_mut();
        let (point, ws) = &mut *last;
        if point.x != x {
            *point = Iterate::at(self.target, x.to_vec(), ws)?;
        }
        Some(read(point))
    }
}

impl<T: Gradient + ?Sized> CostFunction for &Problem<'_, T> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, x: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.visit(x, |p| -p.logp * self.scale).unwrap_or(f64::INFINITY))
    }
}

impl<T: Gradient + ?Sized> ArgminGradient for &Problem<'_, T> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let scaled = |p: &Iterate| p.gradient.iter().map(|g| -g * self.scale).collect();
        Ok(self.visit(x, scaled).unwrap_or_else(|| vec![f64::NAN; x.len()]))
    }
}

/// The inverse Hessian of -log p along a path: a diagonal and a low-rank part (algorithm 3; the diagonal by Gilbert
/// & Lemaréchal 1989).
struct InverseHessian {
    alpha: DVector<f64>,
    /// Steps s and differences y of the gradient of -log p, oldest first.
    pairs: VecDeque<(DVector<f64>, DVector<f64>)>,
    history: usize,
}

impl InverseHessian {
    fn new(dim: usize, history: usize) -> InverseHessian {
        InverseHessian { alpha: DVector::from_element(dim, 1.0), pairs: VecDeque::new(), history }
    }

    /// Takes the step from `a` to `b`, unless the curvature along it is not positive (section 2.2 of the paper).
    fn update(&mut self, a: &Iterate, b: &Iterate) {
        let s = DVector::from_iterator(a.x.len(), b.x.iter().zip(&a.x).map(|(b, a)| b - a));
        let y = DVector::from_iterator(a.x.len(), a.gradient.iter().zip(&b.gradient).map(|(a, b)| a - b));
        let ys = y.dot(&s);
        if !(ys > 0.0 && y.norm_squared() <= 1e12 * ys) {
            return;
        }
        let yay: f64 = y.iter().zip(self.alpha.iter()).map(|(y, a)| y * y * a).sum();
        let sas: f64 = s.iter().zip(self.alpha.iter()).map(|(s, a)| s * s / a).sum();
        for i in 0..self.alpha.len() {
            let a = self.alpha[i];
            let inverse = yay / (ys * a) + y[i] * y[i] / ys - yay * s[i] * s[i] / (ys * sas * a * a);
            self.alpha[i] = 1.0 / inverse;
        }
        if self.pairs.len() == self.history {
            self.pairs.pop_front();
        }
        self.pairs.push_back((s, y));
    }

    /// The normal approximation at a point: location x + H ∇log p, covariance H.
    fn at(&self, point: &Iterate) -> Option<Start> {
        let dim = self.alpha.len();
        let mut h = DMatrix::from_diagonal(&self.alpha);
        let m = self.pairs.len();
        if m > 0 {
            let s = DMatrix::from_fn(dim, m, |i, j| self.pairs[j].0[i]);
            let y = DMatrix::from_fn(dim, m, |i, j| self.pairs[j].1[i]);
            let ay = DMatrix::from_fn(dim, m, |i, j| self.alpha[i] * y[(i, j)]);
            let sy = s.transpose() * &y;
            let upper = DMatrix::from_fn(m, m, |i, j| if i <= j { sy[(i, j)] } else { 0.0 });
            let e = upper.try_inverse()?;
            let mut middle = y.transpose() * &ay;
            (0..m).for_each(|k| middle[(k, k)] += sy[(k, k)]);
            let corner = e.transpose() * middle * &e;
            let cross = &ay * &e * s.transpose();
            h += &s * corner * s.transpose() - &cross - cross.transpose();
        }
        let g = DVector::from_column_slice(&point.gradient);
        let location = DVector::from_column_slice(&point.x) + &h * g;
        let covariance: Vec<f64> = (0..dim * dim).map(|k| h[(k / dim, k % dim)]).collect();
        Start::from_covariance(location.iter().copied().collect(), &covariance)
    }
}

/// Draws from the approximation and estimates its evidence lower bound.
fn rate<T: Gradient + ?Sized>(target: &T, start: Start, n: usize, rng: &mut Stream) -> Option<Approximation> {
    let dim = start.dim();
    let (mut draws, mut elbo) = (vec![0.0; n * dim], 0.0);
    let mut ws = vec![0.0; target.scratch()];
    let log_det: f64 = (0..dim).map(|i| start.factor[i * dim + i].ln()).sum();
    let constant = 0.5 * dim as f64 * (2.0 * std::f64::consts::PI).ln() + log_det;
    for x in draws.chunks_exact_mut(dim) {
        let u: Vec<f64> = (0..dim).map(|_| rng.normal()).collect();
        for i in 0..dim {
            x[i] = start.location[i] + (0..=i).map(|j| start.factor[i * dim + j] * u[j]).sum::<f64>();
        }
        let log_q = -0.5 * u.iter().map(|u| u * u).sum::<f64>() - constant;
        elbo += (target.logp(x, &mut ws) - log_q) / n as f64;
    }
    elbo.is_finite().then_some(Approximation { start, elbo, draws })
}
