//! Refinement on draws of the posterior (forward KL), kept only where it is better on draws held out.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::step::Bound;
use crate::base::rng::Stream;
use crate::base::stats::{mean, variance};
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
    let mut scorer = Scorer::new(guide, settings.draws);
    let (theta, skipped) = scorer.climb(&guide.theta, &fit, &aside, settings);
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

/// log q at many points and the gradient of its mean, in chunks of a fixed size.
struct Scorer {
    batch: Batch,
    dim: usize,
    len: usize,
    /// Buffers of chunks that are treated side by side.
    work: Vec<Work>,
}

/// Buffers of one chunk.
#[derive(Default)]
struct Work {
    ws: Vec<f64>,
    points: Vec<f64>,
    log_q: Vec<f64>,
    gradient: Vec<f64>,
}

impl Scorer {
    /// For steps of `draws` points. How many chunks are treated at once changes no bit.
    fn new(guide: &Guide, draws: usize) -> Scorer {
        let family = guide.family.clone();
        let (dim, len) = (family.dim(), family.flow.len());
        let work = |_| Work { log_q: vec![0.0; CHUNK], gradient: vec![0.0; len], ..Work::default() };
        let at_once = draws.div_ceil(CHUNK).max(rayon::current_num_threads());
        Scorer { dim, len, batch: Batch::new(family, CHUNK), work: (0..at_once).map(work).collect() }
    }

    /// Adam on minibatches; the parameters with the best mean over the draws set aside, and the steps left out.
    fn climb(&mut self, start: &[f64], fit: &[f64], aside: &[f64], settings: &Refine) -> (Vec<f64>, usize) {
        let (mut theta, mut adam, mut skipped) = (start.to_vec(), Adam::new(self.len), 0);
        let (mut best, mut since) = ((mean(&self.log_q(&theta, aside)), theta.clone()), 0);
        let draws = settings.draws.div_ceil(CHUNK).max(1) * CHUNK;
        for step in 0..settings.steps {
            let mut rng = Stream::new(settings.seed, "vi/refine", step as u64);
            let points = self.choose(fit, draws, &mut rng);
            let gradient = self.gradient(&theta, &points);
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / settings.steps as f64).cos());
            let rate = settings.rate * (FLOOR + (1.0 - FLOOR) * cosine);
            skipped += usize::from(adam.step(&mut theta, &gradient, rate).is_err());
            if (step + 1).is_multiple_of(LOOK) || step + 1 == settings.steps {
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

    /// Gradient of the mean of log q over the points, a whole number of chunks. Partial sums are added in order.
    fn gradient(&mut self, theta: &[f64], points: &[f64]) -> Vec<f64> {
        let share = [self.dim as f64 / points.len() as f64; CHUNK];
        let mut total = vec![0.0; self.len];
        self.each(theta, points, &share, |_, work| {
            total.iter_mut().zip(&work.gradient).for_each(|(t, g)| *t += g);
        });
        total
    }

    /// log q at any number of points.
    fn log_q(&mut self, theta: &[f64], points: &[f64]) -> Vec<f64> {
        let mut out = Vec::with_capacity(points.len() / self.dim);
        self.each(theta, points, &[0.0; CHUNK], |n, work| out.extend_from_slice(&work.log_q[..n]));
        out
    }

    /// Scores the points and hands on each chunk with its number of points, in order. The last chunk is filled up with copies
    /// of its last point.
    fn each(&mut self, theta: &[f64], points: &[f64], share: &[f64], mut take: impl FnMut(usize, &Work)) {
        let (batch, dim) = (&self.batch, self.dim);
        for round in points.chunks(CHUNK * dim * self.work.len()) {
            round.par_chunks(CHUNK * dim).zip(self.work.par_iter_mut()).for_each(|(x, w)| {
                w.points.clear();
                w.points.extend_from_slice(x);
                (x.len() / dim..CHUNK).for_each(|_| w.points.extend_from_slice(&x[x.len() - dim..]));
                batch.score_back(theta, &w.points, share, &mut w.log_q, &mut w.gradient, &mut w.ws);
            });
            round.chunks(CHUNK * dim).zip(&self.work).for_each(|(x, w)| take(x.len() / dim, w));
        }
    }
}
