//! The training loop: a short race of learning rates, Adam, a stop on a plateau of the steps' bounds, a decay to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::adam::{Adam, Moving};
use super::convert::widen;
use super::objective::{Estimator, Objective};
use super::step::{Bound, Engine, Trouble, serves_single};
use crate::base::stats::{mean, variance};
use crate::density::Gradient;
use crate::flow::FlowError;
use crate::graph::program::Real;
use crate::guide::{Family, Guide};

/// Learning rates that race.
const RATES: [f64; 4] = [0.05, 0.02, 0.005, 0.001];
/// Steps at which racers are compared: after the first, the better half goes on.
const RACE: [usize; 2] = [40, 120];
/// Steps between two looks at the bound, which is the mean over them: each has fresh draws, so it costs nothing.
const LOOK: usize = 50;
/// Standard errors by which a look has to gain.
const GAIN: f64 = 1.0;
/// Nats below which a gain is none: the path gradient of a normal near a normal target gains without end.
const LEAST: f64 = 1e-4;
/// Learning rate at the end of its decay, relative to its start.
const FLOOR: f64 = 0.01;
/// Standard errors by which the best look has to be above the end to be taken instead.
const BACK: f64 = 3.0;
/// Troubles that are kept for the report.
const KEPT: usize = 5;

/// When the learning rate begins to fall, and for how long.
struct Schedule {
    /// Looks without a gain that end the plateau.
    patience: usize,
    /// Share of all steps spent on the decay.
    decay: f64,
}

impl Schedule {
    /// Where nothing bends, the best point is found in a few hundred steps, and the path gradient has little noise there. Flows go
    /// on to gain at a falling rate for as long as they did at a constant one.
    fn of(family: &Family) -> Schedule {
        if family.is_affine() { Schedule { patience: 4, decay: 0.25 } } else { Schedule { patience: 6, decay: 0.5 } }
    }
}

/// Settings of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What to raise.
    pub objective: Objective,
    /// Draws of a step, at least.
    pub draws: usize,
    /// Steps at most.
    pub steps: usize,
    /// Learning rate; by a race where none is given.
    pub rate: Option<f64>,
    /// Seed of all noise.
    pub seed: u64,
}

impl Settings {
    /// What serves a family well: path gradients unless its inverse is sequential, more draws for flows. Few trainings
    /// use all steps.
    pub fn of(family: &Family, seed: u64) -> Settings {
        let path = if family.is_autoregressive() { Estimator::Full } else { Estimator::Path };
        let draws = if family.is_affine() { 64 } else { 128 };
        Settings { objective: Objective::Elbo(path), draws, steps: 6000, rate: None, seed }
    }

    /// The same with the bound of `particles` draws, and the same estimator of its gradient: of the path gradient that is
    /// DReG.
    pub fn with_particles(self, particles: usize) -> Settings {
        let objective = match (particles, self.objective.estimator()) {
            (0 | 1, estimator) => Objective::Elbo(estimator),
            (k, estimator) => Objective::Iwae { k, estimator },
        };
        Settings { objective, ..self }
    }
}

/// Where a training is: everything that its rest depends on, so that a stored state goes on to the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: usize,
    /// Parameters.
    pub theta: Vec<f64>,
    /// Learning rate before decay.
    pub rate: f64,
    adam: Adam,
    /// Step at which the decay begins, and its length.
    decay: Option<(usize, usize)>,
    /// Best bound of the plateau, with the look at which it was.
    best: Option<(Bound, usize)>,
    /// Parameters at that look.
    best_theta: Vec<f64>,
    /// Bounds of the steps since the last look.
    recent: Vec<f64>,
    /// Mean bounds of 50 steps each, with the last of them.
    pub history: Vec<(usize, Bound)>,
    /// Steps left out because of a number that is not finite.
    pub skipped: usize,
    /// The first of them.
    pub troubles: Vec<Trouble>,
}

/// How a caller watches, stores and stops a training.
#[derive(Default)]
pub struct Control<'a> {
    /// Called after each look with the state.
    pub progress: Option<&'a (dyn Fn(&State) + Sync)>,
    /// Set it to end early; the state is returned as it is.
    pub cancel: Option<&'a AtomicBool>,
    /// A state to go on from.
    pub resume: Option<State>,
}

/// A trained guide.
pub struct Trained {
    /// The guide.
    pub guide: Guide,
    /// Its bound on fresh draws.
    pub bound: Bound,
    /// Where the training ended.
    pub state: State,
}

/// Why a training gave no guide.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Steps fail one after another.
    #[error("training stopped at step {step}: {quantity} is {value} at draw {draw} and so were {skipped} steps before; start elsewhere (--seed), or look for overflow in the model", step = .0.step, quantity = .0.quantity, value = .0.value, draw = .0.draw, skipped = .1)]
    NotFinite(Trouble, usize),
    /// The state to go on from is of another family.
    #[error(
        "the stored training has {found} parameters, `{flow}` has {wanted}; go on with its own architecture, or start anew"
    )]
    OtherFamily {
        /// Parameters of the state.
        found: usize,
        /// Parameters of the family.
        wanted: usize,
        /// The family's flow.
        flow: String,
    },
    /// The architecture cannot be built for this target.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

/// Trains `family` from `theta` towards `target`.
///
/// # Errors
/// Where too many steps meet numbers that are not finite, or the state to resume is of another family.
pub fn train<T: Gradient + ?Sized>(
    target: &T,
    family: &Arc<Family>,
    theta: Vec<f64>,
    settings: &Settings,
    control: &Control<'_>,
) -> Result<Trained, TrainError> {
    // From outside its threads, every step would have to wake one up.
    rayon::scope(|_| {
        if serves_single(family) {
            train_in::<T, f32>(target, family, theta, settings, control)
        } else {
            train_in::<T, f64>(target, family, theta, settings, control)
        }
    })
}

/// Trains with steps in numbers of type `R`.
fn train_in<T: Gradient + ?Sized, R: Real>(
    target: &T,
    family: &Arc<Family>,
    theta: Vec<f64>,
    settings: &Settings,
    control: &Control<'_>,
) -> Result<Trained, TrainError> {
    let mut engine: Engine<'_, T, R> = Engine::new(target, family.clone(), settings.objective, settings.draws);
    let wanted = family.flow.len();
    let mut state = match &control.resume {
        Some(state) if !state.fits(wanted) => {
            return Err(TrainError::OtherFamily { found: state.theta.len(), wanted, flow: family.flow.to_string() });
        }
        Some(state) => state.clone(),
        None => begin(&mut engine, theta, settings),
    };
    let mut now = Moving::new(&state.theta, &state.adam);
    while !state.is_done(settings) && !control.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
        state.advance(&mut now, &mut engine, settings)?;
        if state.step.is_multiple_of(LOOK)
            && let Some(progress) = control.progress
        {
            now.store(&mut state.theta, &mut state.adam);
            progress(&state);
        }
    }
    now.store(&mut state.theta, &mut state.adam);
    let (theta, bound) = state.finish(&mut engine, settings.seed);
    Ok(Trained { guide: Guide::new(family.clone(), theta), bound, state })
}

/// Draws behind the end of a race, and the final bound.
const TRIAL: usize = 256;
const FINAL: usize = 4096;

/// Groups of draws, each with one bound, that a mean needs for an error.
const GROUPS: usize = 8;

fn rounds<T: Gradient + ?Sized, R: Real>(engine: &Engine<'_, T, R>, draws: usize) -> usize {
    draws.max(GROUPS * engine.objective().particles()).div_ceil(engine.draws())
}

/// The state at the start, with the learning rate that won the race.
fn begin<T: Gradient + ?Sized, R: Real>(engine: &mut Engine<'_, T, R>, theta: Vec<f64>, settings: &Settings) -> State {
    let rate = settings.rate.unwrap_or_else(|| race(engine, &theta, settings.seed));
    State {
        step: 0,
        adam: Adam::new(theta.len()),
        theta,
        rate,
        decay: None,
        best: None,
        best_theta: vec![],
        recent: vec![],
        history: vec![],
        skipped: 0,
        troubles: vec![],
    }
}

/// The learning rate with the best bound after a few steps from the same point with the same noise. Flows race on with the better
/// half of the rates (successive halving, Jamieson & Talwalkar 2016): in the first steps the small ones lead that fall behind later.
fn race<T: Gradient + ?Sized, R: Real>(engine: &mut Engine<'_, T, R>, start: &[f64], seed: u64) -> f64 {
    let ends = if engine.family().is_affine() { &RACE[..1] } else { &RACE[..] };
    let racer = |rate: &f64| (*rate, Moving::<R>::new(start, &Adam::new(start.len())));
    let mut racers: Vec<(f64, Moving<R>)> = RATES.iter().map(racer).collect();
    let (mut theta, mut begin) = (vec![0.0; start.len()], 0);
    for &end in ends {
        let mut rated = vec![];
        for (rate, mut now) in racers {
            for step in begin..end {
                if let Ok((_, gradient)) = engine.gradient(&now.theta, seed ^ RACING, step) {
                    // A step that cannot be taken leaves the racer where it is.
                    let _ = now.step(gradient, rate);
                }
            }
            widen(&now.theta, &mut theta);
            let rounds = rounds(engine, TRIAL);
            let bound = engine.bound(&theta, seed, "vi/race", 0, rounds);
            rated.push((bound.value - bound.se, (rate, now)));
        }
        // Where nothing has a bound, the smallest rate is left.
        rated.retain(|r| r.0 > f64::NEG_INFINITY);
        rated.sort_by(|a, b| b.0.total_cmp(&a.0));
        rated.truncate(RATES.len() / 2);
        racers = rated.into_iter().map(|r| r.1).collect();
        begin = end;
    }
    racers.first().map_or(RATES[RATES.len() - 1], |r| r.0)
}

/// Keeps the noise of the race apart from that of the training.
const RACING: u64 = 0x7261_6365;

impl State {
    /// Whether the training is at its end.
    pub fn is_done(&self, settings: &Settings) -> bool {
        self.step >= settings.steps || self.decay.is_some_and(|(from, len)| self.step >= from + len)
    }

    /// The learning rate of the next step: constant, then down a half cosine.
    fn rate_now(&self) -> f64 {
        let Some((from, len)) = self.decay else {
            return self.rate;
        };
        let done = (self.step - from) as f64 / len as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.rate * (FLOOR + (1.0 - FLOOR) * cosine)
    }

    fn advance<T: Gradient + ?Sized, R: Real>(
        &mut self,
        now: &mut Moving<R>,
        engine: &mut Engine<'_, T, R>,
        settings: &Settings,
    ) -> Result<(), TrainError> {
        let rate = self.rate_now();
        let schedule = Schedule::of(engine.family());
        match engine.gradient(&now.theta, settings.seed, self.step) {
            Ok((bound, gradient)) => match now.step(gradient, rate) {
                Ok(()) => self.recent.push(bound),
                Err(length) => self.skip(Trouble::of_length(self.step, length))?,
            },
            Err(trouble) => self.skip(trouble)?,
        }
        self.step += 1;
        let last = settings.steps - (schedule.decay * settings.steps as f64) as usize;
        if self.decay.is_none() && self.step >= last {
            self.decay = Some((self.step, settings.steps - last));
        }
        if self.step.is_multiple_of(LOOK) {
            self.look(&now.theta, &schedule);
        }
        Ok(())
    }

    /// The last parameters, or those of the best look where the end is worse on fresh draws (a training that was
    /// cancelled, or lost its way), with their bound.
    fn finish<T: Gradient + ?Sized, R: Real>(&self, engine: &mut Engine<'_, T, R>, seed: u64) -> (Vec<f64>, Bound) {
        let rounds = rounds(engine, FINAL);
        let mut bound = |theta: &[f64]| engine.bound(theta, seed, "vi/final", 0, rounds);
        let last = bound(&self.theta);
        if !self.best_theta.is_empty() && self.best_theta != self.theta {
            let best = bound(&self.best_theta);
            // By more than noise: where the end is exact, its bound has none, and that of any other point may lie above it.
            if best.value - last.value > BACK * best.se.hypot(last.se) || last.value.is_nan() {
                return (self.best_theta.clone(), best);
            }
        }
        (self.theta.clone(), last)
    }

    /// Whether the state is of a training with `len` parameters.
    fn fits(&self, len: usize) -> bool {
        self.theta.len() == len && self.adam.len() == len && [0, len].contains(&self.best_theta.len())
    }

    /// Leaves a step out; many among few end the training.
    fn skip(&mut self, trouble: Trouble) -> Result<(), TrainError> {
        self.skipped += 1;
        if self.troubles.len() < KEPT {
            self.troubles.push(trouble.clone());
        }
        let limit = 20 + self.step / 2;
        if self.skipped > limit { Err(TrainError::NotFinite(trouble, self.skipped - 1)) } else { Ok(()) }
    }

    /// Looks at the bound; a plateau starts the decay.
    fn look<R: Real>(&mut self, theta: &[R], schedule: &Schedule) {
        let (look, n) = (self.step / LOOK, self.recent.len() as f64);
        let bound = Bound { value: mean(&self.recent), se: (variance(&self.recent) / n).sqrt() };
        self.recent.clear();
        self.history.push((self.step, bound));
        let gains =
            |b: &(Bound, usize)| bound.value > b.0.value + LEAST + GAIN * (bound.se.powi(2) + b.0.se.powi(2)).sqrt();
        // A look without a number is no best one, and none to compare with.
        if bound.value.is_finite() && self.best.as_ref().is_none_or(gains) {
            self.best = Some((bound, look));
            self.best_theta.resize(theta.len(), 0.0);
            widen(theta, &mut self.best_theta);
        }
        let since = self.best.as_ref().map_or(0, |b| look - b.1);
        if self.decay.is_none() && since >= schedule.patience {
            let len = ((self.step as f64) * schedule.decay / (1.0 - schedule.decay)).ceil() as usize;
            self.decay = Some((self.step, len.max(2 * LOOK)));
        }
    }
}
