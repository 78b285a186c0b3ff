//! Training of an amortized guide and of params: epochs of minibatches, Adam, a decay to the end.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::engine::{Engine, Step};
use super::epochs::Epochs;
use crate::graph::program::Real;
use crate::vi::adam::{Adam, Moving};
use crate::vi::convert::widen;
use crate::vi::objective::Objective;
use crate::vi::step::Trouble;

/// Share of all steps spent on the decay of the learning rate, and its end relative to its start.
const DECAY: f64 = 0.3;
const FLOOR: f64 = 0.01;
/// Trainings of fewer steps end where networks still gain: they keep the rate, and settle over this share alone.
const SHORT: usize = 3000;
const SETTLING: f64 = 0.05;
/// Learning rates that race, the steps of each racer, and those at its end that count.
const RATES: [f64; 5] = [0.1, 0.03, 0.01, 0.003, 0.001];
const RACE: usize = 60;
const COUNTED: usize = 20;
/// Keeps the noise of the race apart from that of the training.
const RACING: u64 = 0x7261_6365;
/// Steps of which the bounds are averaged for the history.
pub const LOOK: usize = 100;
/// Factor of the learning rate at each return to the best look.
const SLOWER: f64 = 0.3;
/// Troubles that are kept for the report.
const KEPT: usize = 5;

/// Settings of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What to raise.
    pub objective: Objective,
    /// Rows of a minibatch.
    pub batch: usize,
    /// Steps.
    pub steps: usize,
    /// Learning rate; by a race where none is given.
    pub rate: Option<f64>,
    /// Steps over which the weight of the KL divergence grows from 0 to 1; 0: none.
    pub warm_up: usize,
    /// Seed of all noise.
    pub seed: u64,
}

/// Where a training is: a stored state goes on to the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: usize,
    /// Params of the model, the amortized guide, the guide of the globals.
    pub theta: Vec<f64>,
    /// Learning rate before the decay.
    pub rate: f64,
    adam: Adam,
    /// Mean bound per row of the last [`LOOK`] steps, those left out aside, with the step.
    pub history: Vec<(usize, f64)>,
    sum: f64,
    count: usize,
    /// Steps left out because of a number that is not finite.
    pub skipped: usize,
    /// The first of them.
    pub troubles: Vec<Trouble>,
    /// Best look, with its step, and the parameters there.
    best: Option<(usize, f64)>,
    best_theta: Vec<f64>,
    /// Steps at which the training had lost its way and went back to the best look, with a lower rate.
    pub returns: Vec<usize>,
}

/// How a caller watches and stops a training.
#[derive(Default)]
pub struct Control<'a> {
    /// Called every [`LOOK`] steps.
    pub progress: Option<&'a (dyn Fn(&State) + Sync)>,
    /// Set it to end early; the state is returned as it is.
    pub cancel: Option<&'a AtomicBool>,
    /// A state to go on from.
    pub resume: Option<State>,
}

/// Why a training gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Steps fail one after another.
    #[error("training stopped at step {step}: {quantity} {row} is {value}, and {skipped} steps before failed too; look at that row's data, or lower the learning rate (--rate)", step = .0.step, quantity = .0.quantity, row = .0.draw + 1, value = .0.value, skipped = .1)]
    NotFinite(Trouble, usize),
    /// No rows.
    #[error("there is no row to train on; give data with rows, or hold fewer of them out (--heldout)")]
    NoRows,
    /// The state to go on from is of another training.
    #[error(
        "the stored training has {found} parameters, this one {wanted}; go on with its own settings, or start anew"
    )]
    Other {
        /// Parameters of the state.
        found: usize,
        /// Parameters here.
        wanted: usize,
    },
}

impl Settings {
    /// Learning rate of a step: constant, then down a half cosine.
    fn rate_at(&self, rate: f64, step: usize) -> f64 {
        let share = if self.steps < SHORT { SETTLING } else { DECAY };
        let len = (share * self.steps as f64).max(1.0);
        let done = ((step as f64 - (self.steps as f64 - len)) / len).clamp(0.0, 1.0);
        rate * (FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()))
    }

    /// Weight of the KL divergence at a step.
    fn beta_at(&self, step: usize) -> f64 {
        if step >= self.warm_up { 1.0 } else { (step + 1) as f64 / (self.warm_up + 1) as f64 }
    }
}

impl State {
    /// The start.
    fn new(theta: Vec<f64>, rate: f64) -> State {
        let adam = Adam::new(theta.len());
        State {
            step: 0,
            theta,
            rate,
            adam,
            history: vec![],
            sum: 0.0,
            count: 0,
            skipped: 0,
            troubles: vec![],
            best: None,
            best_theta: vec![],
            returns: vec![],
        }
    }

    /// One step.
    fn advance<T: Real>(
        &mut self,
        now: &mut Moving<T>,
        engine: &mut Engine<'_, T>,
        epochs: &mut Epochs<'_>,
        s: &Settings,
    ) -> Result<(), TrainError> {
        let of = epochs.rows();
        let step = Step { rows: epochs.minibatch(self.step), of, beta: s.beta_at(self.step), step: self.step };
        match climb(now, engine, &step, s.seed, s.rate_at(self.rate, self.step)) {
            Ok(bound) => {
                self.sum += bound / of as f64;
                self.count += 1;
            }
            Err(trouble) => {
                self.skipped += 1;
                if self.troubles.len() < KEPT {
                    self.troubles.push(trouble.clone());
                }
                if self.skipped > 20 + self.step / 2 {
                    return Err(TrainError::NotFinite(trouble, self.skipped - 1));
                }
            }
        }
        self.step += 1;
        if self.step.is_multiple_of(LOOK) {
            let bound = if self.count > 0 { self.sum / self.count as f64 } else { f64::NAN };
            // Where every step was left out there is no bound to tell.
            if self.count > 0 {
                self.history.push((self.step, bound));
            }
            (self.sum, self.count) = (0.0, 0);
            // Bounds under different weights of the KL divergence are not comparable.
            if self.step >= s.warm_up + LOOK {
                self.hold(now, bound);
            }
        }
        Ok(())
    }

    /// Whether the state is of a training with `len` parameters.
    fn fits(&self, len: usize) -> bool {
        let best = if self.best.is_some() { len } else { 0 };
        [self.theta.len(), self.adam.len()] == [len; 2] && self.best_theta.len() == best
    }

    /// Remembers the best look; goes back to it, with a lower rate and Adam anew, where the training has lost its way.
    fn hold<T: Real>(&mut self, now: &mut Moving<T>, bound: f64) {
        match self.best {
            Some((_, best)) if is_lost(bound, best) => {
                *now = Moving::new(&self.best_theta, &Adam::new(self.best_theta.len()));
                self.rate *= SLOWER;
                self.returns.push(self.step);
            }
            Some((_, best)) if !(bound > best) => {}
            _ if bound.is_nan() => {}
            _ => {
                self.best = Some((self.step, bound));
                self.best_theta.resize(now.theta.len(), 0.0);
                widen(&now.theta, &mut self.best_theta);
            }
        }
    }
}

/// Whether a bound per row is far below what it had been: by a nat and a tenth, or no number.
pub fn is_lost(bound: f64, best: f64) -> bool {
    !(bound + 1.0 + 0.1 * best.abs() >= best)
}

/// One step up the bound, which is returned.
fn climb<T: Real>(
    now: &mut Moving<T>,
    engine: &mut Engine<'_, T>,
    s: &Step<'_>,
    seed: u64,
    rate: f64,
) -> Result<f64, Trouble> {
    let (bound, gradient) = engine.gradient(&now.theta, s, seed)?;
    match now.step(gradient, rate) {
        Ok(()) => Ok(bound),
        Err(length) => Err(Trouble::of_length(s.step, length)),
    }
}

/// The learning rate whose last steps have the best bounds, all racers with the same start, rows and noise.
fn race<T: Real>(engine: &mut Engine<'_, T>, start: &[f64], rows: &[usize], s: &Settings) -> f64 {
    let mut best = (f64::NEG_INFINITY, RATES[RATES.len() - 1]);
    for rate in RATES {
        let mut now = Moving::new(start, &Adam::new(start.len()));
        let (mut last, mut epochs) = (vec![], Epochs::new(rows, s.batch, s.seed));
        for step in 0..RACE {
            let step = Step { rows: epochs.minibatch(step), of: rows.len(), beta: 1.0, step };
            last.push(climb(&mut now, engine, &step, s.seed ^ RACING, rate).unwrap_or(f64::NEG_INFINITY));
        }
        let mean = crate::base::stats::mean(&last[RACE - COUNTED..]);
        if mean > best.0 {
            best = (mean, rate);
        }
    }
    best.1
}

/// Trains from `theta` on the given rows.
///
/// # Errors
/// Where there are no rows, too many steps fail, or the state to resume is of another training.
pub fn train<T: Real>(
    engine: &mut Engine<'_, T>,
    theta: Vec<f64>,
    rows: &[usize],
    settings: &Settings,
    control: &Control<'_>,
) -> Result<State, TrainError> {
    if rows.is_empty() {
        return Err(TrainError::NoRows);
    }
    // From outside its threads, every step would have to wake one up.
    rayon::scope(|_| steps(engine, theta, rows, settings, control))
}

fn steps<T: Real>(
    engine: &mut Engine<'_, T>,
    theta: Vec<f64>,
    rows: &[usize],
    settings: &Settings,
    control: &Control<'_>,
) -> Result<State, TrainError> {
    let wanted = engine.len();
    let mut state = match &control.resume {
        Some(state) => state.clone(),
        None => {
            let rate = settings.rate.unwrap_or_else(|| race(engine, &theta, rows, settings));
            State::new(theta, rate)
        }
    };
    if !state.fits(wanted) {
        return Err(TrainError::Other { found: state.theta.len(), wanted });
    }
    let mut now = Moving::new(&state.theta, &state.adam);
    let mut epochs = Epochs::new(rows, settings.batch, settings.seed);
    while state.step < settings.steps && !control.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
        state.advance(&mut now, engine, &mut epochs, settings)?;
        if state.step.is_multiple_of(LOOK)
            && let Some(progress) = control.progress
        {
            now.store(&mut state.theta, &mut state.adam);
            progress(&state);
        }
    }
    now.store(&mut state.theta, &mut state.adam);
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_that_lost_its_way_goes_back_to_its_best_look() {
        let mut state = State::new(vec![0.0; 2], 0.1);
        let mut now: Moving<f32> = Moving::new(&[1.0, 2.0], &Adam::new(2));
        state.step = 100;
        state.hold(&mut now, -20.0);
        assert!(state.fits(2) && !state.fits(3));
        // Noise, and a nat less, are no reason.
        for bound in [-20.5, -21.0, -22.9] {
            now.theta = vec![5.0, 6.0];
            state.hold(&mut now, bound);
            assert!(now.theta == [5.0, 6.0] && state.returns.is_empty() && state.best == Some((100, -20.0)));
        }
        state.step = 300;
        for (k, bound) in [-23.1, -1e26, f64::NAN, f64::NEG_INFINITY].into_iter().enumerate() {
            now.theta = vec![1e9, f32::NAN];
            state.hold(&mut now, bound);
            assert_eq!(now.theta, [1.0, 2.0], "{bound}");
            assert!(state.returns.len() == k + 1 && (state.rate - 0.1 * 0.3f64.powi(k as i32 + 1)).abs() < 1e-12);
        }
        state.step = 400;
        now.theta = vec![3.0, 4.0];
        state.hold(&mut now, -19.0);
        assert_eq!((state.best, &state.best_theta[..]), (Some((400, -19.0)), &[3.0, 4.0][..]));
        // A first look without a number is no best one.
        let mut fresh = State::new(vec![0.0; 2], 0.1);
        fresh.hold(&mut now, f64::NAN);
        assert!(fresh.best.is_none() && fresh.fits(2));
    }
}
