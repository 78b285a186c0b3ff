//! Refinement on draws of the posterior (forward KL), kept only where it is better on draws held out.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::adam::{Adam, Moving};
use super::convert::{add, round, widen};
use super::step::{Bound, serves_single};
use crate::base::rng::Stream;
use crate::base::stats::{mean, variance};
use crate::graph::program::Real;
use crate::guide::{Batch, Guide};

/// Draws that one task treats.
const CHUNK: usize = 32;
/// Every so many draws one is set aside: it chooses the step at which to stop.
const ASIDE: usize = 5;
/// Steps between two looks at the draws set aside.
const LOOK: usize = 25;
/// Looks without a gain that end the fit.
const PATIENCE: usize = 4;
/// Standard errors by which the gain has to exceed zero.
const GAIN: f64 = 2.0;
/// Learning rate at the end, relative to its start.
const FLOOR: f64 = 0.01;

/// Settings of a refinement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refine {
    /// Steps at most: the fit ends where 4 looks of 25 steps at the draws set aside bring nothing.
    pub steps: usize,
    /// Draws of a step, rounded up to whole chunks of 32.
    pub draws: usize,
    /// Learning rate at the start; it goes down half a cosine.
    pub rate: f64,
    /// Seed of the choice of draws.
    pub seed: u64,
}

impl Default for Refine {
    fn default() -> Self {
        Refine { steps: 400, draws: 128, rate: 3e-3, seed: 0 }
    }
}

/// What a refinement gave.
pub struct Refined {
    /// The refined guide where it is better, else the one that was given.
    pub guide: Guide,
    /// Whether it is the refined one.
    pub kept: bool,
    /// Mean of log q_refined − log q_given over the draws held out. Its standard error is that of independent draws.
    pub gain: Bound,
    /// Steps left out because of a number that is not finite.
    pub skipped: usize,
}

/// Why draws cannot refine a guide.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RefineError {
    /// The numbers are no whole draws.
    #[error("{found} numbers are no draws of {dim} coordinates; give draw after draw, unconstrained")]
    Shape {
        /// Numbers given.
        found: usize,
        /// Coordinates of the guide.
        dim: usize,
    },
    /// Too few draws to fit and to judge.
    #[error("{found} {what} draws are too few to refine a guide; give at least {least}")]
    Few {
        /// Which draws.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// A draw that is no point.
    #[error("coordinate {coordinate} of draw {draw} is {value}; leave draws that are not finite out")]
    NotFinite {
        /// Number of the draw, from 0.
        draw: usize,
        /// Number of the coordinate, from 0.
        coordinate: usize,
        /// Its value.
        value: f64,
    },
}

/// Raises the mean of log q over `draws` (draw after draw, unconstrained), which lowers KL(p ‖ q) (forward KL), and judges
/// the result on `held_out`, draws that the fit has not seen. One in five of `draws` chooses where to stop.
///
/// # Errors
/// Where the draws are too few, not finite, or of another dimension.
pub fn refine(guide: &Guide, draws: &[f64], held_out: &[f64], settings: &Refine) -> Result<Refined, RefineError> {
    let dim = guide.family.dim();
    check("fitting", draws, dim, 2 * ASIDE)?;
    check("held-out", held_out, dim, 2)?;
    let each = || draws.chunks_exact(dim).enumerate();
    let part = |aside: bool| each().filter(|(k, _)| (k % ASIDE == 0) == aside).flat_map(|(_, x)| x).copied().collect();
    let (fit, aside): (Vec<f64>, Vec<f64>) = (part(false), part(true));
    let scorer = Scorer::new(guide, settings.draws);
    // From outside its threads, every step would have to wake one up.
    let (theta, skipped) = rayon::scope(|_| {
        if serves_single(&guide.family) {
            scorer.climb::<f32>(&guide.theta, &fit, &aside, settings)
        } else {
            scorer.climb::<f64>(&guide.theta, &fit, &aside, settings)
        }
    });
    let before = scorer.log_q(&guide.theta, held_out);
    let after = scorer.log_q(&theta, held_out);
    let gains: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    let gain = Bound { value: mean(&gains), se: (variance(&gains) / gains.len() as f64).sqrt() };
    // NaN on either side leaves the guide as it was.
    let kept = gain.value > GAIN * gain.se;
    let theta = if kept { theta } else { guide.theta.clone() };
    Ok(Refined { guide: Guide::new(guide.family.clone(), theta), kept, gain, skipped })
}

fn check(what: &'static str, draws: &[f64], dim: usize, least: usize) -> Result<(), RefineError> {
    if !draws.len().is_multiple_of(dim) {
        return Err(RefineError::Shape { found: draws.len(), dim });
    }
    if draws.len() < least * dim {
        return Err(RefineError::Few { what, found: draws.len() / dim, least });
    }
    match draws.iter().position(|x| !x.is_finite()) {
        Some(k) => Err(RefineError::NotFinite { draw: k / dim, coordinate: k % dim, value: draws[k] }),
        None => Ok(()),
    }
}

/// log q at many points, and steps that raise its mean, in chunks of a fixed size.
struct Scorer<'a> {
    guide: &'a Guide,
    dim: usize,
    batch: Batch,
    /// Chunks that are treated side by side. How many changes no bit.
    at_once: usize,
}

/// Buffers of one chunk.
#[derive(Default)]
struct Work<T> {
    ws: Vec<T>,
    points: Vec<T>,
    gradient: Vec<T>,
}

impl Scorer<'_> {
    /// For steps of `draws` points.
    fn new(guide: &Guide, draws: usize) -> Scorer<'_> {
        let family = guide.family.clone();
        let at_once = draws.div_ceil(CHUNK).max(rayon::current_num_threads());
        Scorer { guide, dim: family.dim(), batch: Batch::new(family, CHUNK), at_once }
    }

    /// Adam on minibatches, in numbers of type `R`; the parameters with the best mean over the draws set aside, and the steps left
    /// out.
    fn climb<R: Real>(&self, start: &[f64], fit: &[f64], aside: &[f64], settings: &Refine) -> (Vec<f64>, usize) {
        let mut now: Moving<R> = Moving::new(start, &Adam::new(start.len()));
        let batch: Batch<R> = Batch::new(self.guide.family.clone(), CHUNK);
        let tasks = settings.draws.div_ceil(CHUNK).max(1);
        let work = |_| Work { gradient: vec![R::default(); start.len()], ..Work::default() };
        let mut work: Vec<Work<R>> = (0..tasks).map(work).collect();
        let (mut theta, mut skipped) = (start.to_vec(), 0);
        let (mut best, mut since) = ((mean(&self.log_q(&theta, aside)), theta.clone()), 0);
        for step in 0..settings.steps {
            let mut rng = Stream::new(settings.seed, "vi/refine", step as u64);
            let points = self.choose(fit, tasks * CHUNK, &mut rng);
            let gradient = self.gradient(&batch, &now.theta, &points, &mut work);
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / settings.steps as f64).cos());
            let rate = settings.rate * (FLOOR + (1.0 - FLOOR) * cosine);
            skipped += usize::from(now.step(gradient, rate).is_err());
            if (step + 1).is_multiple_of(LOOK) || step + 1 == settings.steps {
                widen(&now.theta, &mut theta);
                let now = mean(&self.log_q(&theta, aside));
                since += 1;
                if now > best.0 || best.0.is_nan() {
                    (best, since) = ((now, theta.clone()), 0);
                }
                if since >= PATIENCE {
                    break;
                }
            }
        }
        (best.1, skipped)
    }

    /// `n` of the points, drawn with replacement.
    fn choose(&self, points: &[f64], n: usize, rng: &mut Stream) -> Vec<f64> {
        let count = points.len() / self.dim;
        let mut out = Vec::with_capacity(n * self.dim);
        for _ in 0..n {
            let k = ((rng.uniform() * count as f64) as usize).min(count - 1);
            out.extend_from_slice(&points[k * self.dim..(k + 1) * self.dim]);
        }
        out
    }

    /// Gradient of the mean of log q over the points, a chunk for each buffer. Partial sums are added in order.
    fn gradient<'w, R: Real>(&self, batch: &Batch<R>, theta: &[R], points: &[f64], work: &'w mut [Work<R>]) -> &'w [R] {
        let share = [R::from_f64(self.dim as f64 / points.len() as f64); CHUNK];
        points.par_chunks(CHUNK * self.dim).zip(work.par_iter_mut()).for_each(|(x, w)| {
            w.points.resize(x.len(), R::default());
            round(x, &mut w.points);
            batch.score_back(theta, &w.points, &share, &mut w.gradient, &mut w.ws);
        });
        let Some((total, others)) = work.split_first_mut() else { return &[] };
        others.iter().for_each(|w| add(&w.gradient, &mut total.gradient));
        &total.gradient
    }

    /// log q at any number of points. The last chunk is filled up with copies of its last point.
    fn log_q(&self, theta: &[f64], points: &[f64]) -> Vec<f64> {
        let (batch, dim) = (&self.batch, self.dim);
        let mut out = Vec::with_capacity(points.len() / dim);
        let mut work: Vec<(Work<f64>, [f64; CHUNK])> =
            (0..self.at_once).map(|_| (Work::default(), [0.0; CHUNK])).collect();
        for round in points.chunks(CHUNK * dim * work.len()) {
            round.par_chunks(CHUNK * dim).zip(work.par_iter_mut()).for_each(|(x, (w, log_q))| {
                w.points.clear();
                w.points.extend_from_slice(x);
                (x.len() / dim..CHUNK).for_each(|_| w.points.extend_from_slice(&x[x.len() - dim..]));
                batch.density(theta, &w.points, log_q, &mut w.ws);
            });
            round
                .chunks(CHUNK * dim)
                .zip(&work)
                .for_each(|(x, (_, log_q))| out.extend_from_slice(&log_q[..x.len() / dim]));
        }
        out
    }
}
