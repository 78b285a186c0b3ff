//! The ladder: families of growing size, climbed only while the fit says that it is not good enough.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::objective::{Estimator, Objective};
use super::step::{Bound, Engine};
use super::train::{Control, Settings, TrainError, Trained, train};
use crate::base::stats::{log_mean_exp, mean};
use crate::density::Gradient;
use crate::flow::{Airworthiness, airworthiness};
use crate::guide::{Base, Family, Scale, Start};

/// k-hat below which importance sampling needs no better guide (Vehtari et al. 2024, section 3.2.4).
const GOOD: f64 = 0.5;
/// Log weights closer together than this are equal: the effective sample is the whole sample to 4 digits.
const EQUAL: f64 = 0.01;
/// Nats below which a larger family has nothing to gain: about 2 % of the effective sample.
const LITTLE: f64 = 0.01;
/// Standard errors by which a rung has to raise the bound to count as a gain.
const GAIN: f64 = 3.0;
/// Coordinates above which factors of the covariance stay diagonal: a full one has dim² / 2 parameters.
const LARGE: usize = 200;
/// Coordinates that 4 coupling layers tell apart: subsets of them but for none and all.
const SHORT: usize = 14;
/// Fresh draws behind k-hat.
const FRESH: usize = 8192;
/// Fresh draws that choose between two affine starts.
const TRIAL: usize = 256;

/// Trainings with other seeds after one that failed or whose flow did not pass its test.
const MORE_SEEDS: usize = 2;

/// One family to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// Name in the table.
    pub name: String,
    /// Layers before the affine one, in the grammar of [`crate::flow::Flow::parse`].
    pub nonlinear: Option<String>,
    /// The affine layer.
    pub scale: Scale,
}

/// Mean field, full rank, flows of 4 and of 8 coupling layers (for one coordinate: of splines); above 200 coordinates
/// without full factors. For a `map` that chains move behind, 4 layers are left out above 14 coordinates: they cannot tell all apart,
/// so some would never decide about others. Weights often need no more than what they can do.
pub fn rungs(dim: usize, map: bool) -> Vec<Rung> {
    let flows: &[&str] = match dim {
        1 => &["nsf(2)", "nsf(4)"],
        _ if map && dim > SHORT => &["realnvp(8)"],
        _ => &["realnvp(4)", "realnvp(8)"],
    };
    let scale = if dim > LARGE { Scale::Diagonal } else { Scale::Full };
    let rung = |name: &str, nonlinear: Option<&str>, scale| Rung {
        name: name.into(),
        nonlinear: nonlinear.map(String::from),
        scale,
    };
    let mut rungs = vec![rung("mean field", None, Scale::Diagonal)];
    if dim > 1 && dim <= LARGE {
        rungs.push(rung("full rank", None, scale));
    }
    rungs.extend(flows.iter().map(|text| rung(text, Some(text), scale)));
    rungs
}

/// How to climb.
pub struct Ladder<'a> {
    /// Whether every rung was asked for: then all are trained, and the last one that is airworthy is taken.
    pub asked: bool,
    /// Families in order.
    pub rungs: Vec<Rung>,
    /// Base of all of them.
    pub base: Base,
    /// Draws behind each bound that training raises: 1 for the ELBO, more for IWAE.
    pub particles: usize,
    /// Where the affine layers begin.
    pub start: Start,
    /// k-hat of log weights.
    pub khat: &'a (dyn Fn(&[f64]) -> f64 + Sync),
    /// Seed of all noise.
    pub seed: u64,
    /// Called after each rung.
    pub progress: Option<&'a (dyn Fn(&Report) + Sync)>,
    /// Set it to end early.
    pub cancel: Option<&'a AtomicBool>,
}

/// One line of the table of a climb.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name of the rung.
    pub name: String,
    /// The flow.
    pub architecture: String,
    /// Number of parameters.
    pub parameters: usize,
    /// Evidence lower bound on fresh draws, also where training raised another; NaN where training failed.
    pub bound: Bound,
    /// k-hat of fresh draws; NaN where training failed.
    pub khat: f64,
    /// Trainings: more than one where the first failed, or its flow did not pass the check.
    pub trainings: usize,
    /// Steps of the last training, and those left out.
    pub steps: usize,
    /// Steps left out because of a number that is not finite.
    pub skipped: usize,
    /// Wall-clock time.
    pub seconds: f64,
    /// The check of the trained flow; a guide that fails it is not chosen. None where training failed.
    pub airworthiness: Option<Airworthiness>,
    /// Why training failed.
    pub failure: Option<String>,
}

/// Where a climb ended.
pub struct Climb {
    /// All rungs that were tried.
    pub reports: Vec<Report>,
    /// Which of them is best: the highest of the bounds that training raised.
    pub best: usize,
    /// The best guide.
    pub trained: Trained,
    /// log p − log q at the fresh draws of the best guide.
    pub log_weights: Vec<f64>,
}

/// A trained rung with its fresh log weights.
struct Tried {
    trained: Trained,
    elbo: Bound,
    log_weights: Vec<f64>,
    khat: f64,
    airworthiness: Airworthiness,
}

impl Tried {
    /// Whether a next rung is worth its time: k-hat is not below 0.5 (a NaN is not), or there was a gain and there is more to
    /// gain. With k-hat below 0.5 the mean of the weights can be relied on, and what is left to gain is log mean w less the bound,
    /// which is KL(q || p). Weights that are all but equal leave nothing, and no tail that a shape could be fitted to.
    fn asks_for_more(&self, last: Option<Bound>) -> bool {
        if !self.airworthiness.passed() {
            return true;
        }
        let least = self.log_weights.iter().copied().fold(f64::INFINITY, f64::min);
        let equal = self.log_weights.iter().all(|w| w - least < EQUAL);
        let left = log_mean_exp(&self.log_weights) - mean(&self.log_weights);
        let gained = last.is_some_and(|l| gains(self.trained.bound, l));
        !equal && (!(self.khat < GOOD) || (gained && !(left < LITTLE)))
    }
}

/// Climbs while k-hat of fresh draws is at least 0.5, or the last rung raised the bound by more than 3 standard errors and is
/// more than 0.01 nats below log Z; not where the weights are all but equal. Each rung starts from the best affine layer so far, its flow near the identity.
///
/// # Errors
/// Where no rung could be trained (the last failure), or the layers of a rung cannot be built for this target.
///
/// # Panics
/// Where `ladder.rungs` is empty.
pub fn climb<T: Gradient + ?Sized>(target: &T, ladder: &Ladder<'_>) -> Result<Climb, TrainError> {
    assert!(!ladder.rungs.is_empty(), "a ladder has rungs");
    let (mut reports, mut starts) = (Vec::new(), vec![ladder.start.clone()]);
    let (mut best, mut failure): (Option<(usize, Tried)>, Option<TrainError>) = (None, None);
    for rung in &ladder.rungs {
        let began = Instant::now();
        let family = Arc::new(Family::new(target.dim(), ladder.base, rung.nonlinear.as_deref(), rung.scale)?);
        let (tried, trainings) = attempts(target, &family, &starts, ladder);
        let report = Report::new(&rung.name, &family, (&tried, trainings), began.elapsed().as_secs_f64());
        if let Some(progress) = ladder.progress {
            progress(&report);
        }
        reports.push(report);
        let last = best.as_ref().map(|(_, t)| t.trained.bound);
        let mut more = true;
        match tried {
            Err(e) => failure = Some(e),
            Ok(tried) => {
                let bound = tried.trained.bound;
                if family.is_affine() {
                    starts.push(family.affine(&tried.trained.guide.theta));
                }
                more = ladder.asked || tried.asks_for_more(last);
                let better = ladder.asked || last.is_none_or(|l| bound.value > l.value);
                if better && (tried.airworthiness.passed() || best.is_none()) {
                    best = Some((reports.len() - 1, tried));
                }
            }
        }
        if !more || ladder.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
            break;
        }
    }
    match (best, failure) {
        (Some((best, t)), _) => Ok(Climb { reports, best, trained: t.trained, log_weights: t.log_weights }),
        (None, Some(e)) => Err(e),
        (None, None) => unreachable!("a rung is trained or fails"),
    }
}

fn gains(new: Bound, old: Bound) -> bool {
    new.value - old.value > GAIN * (new.se.powi(2) + old.se.powi(2)).sqrt()
}

/// Trains; with other seeds again while that fails or the flow does not pass its test. With the number of trainings.
fn attempts<T: Gradient + ?Sized>(
    target: &T,
    family: &Arc<Family>,
    starts: &[Start],
    ladder: &Ladder<'_>,
) -> (Result<Tried, TrainError>, usize) {
    let mut tried = attempt(target, family, starts, ladder, ladder.seed);
    for more in 1..=MORE_SEEDS {
        let passed = tried.as_ref().is_ok_and(|t| t.airworthiness.passed());
        if passed || ladder.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
            return (tried, more);
        }
        let again = attempt(target, family, starts, ladder, ladder.seed ^ (AGAIN + more as u64));
        // A guide that may not be used is still one to look at.
        if again.is_ok() || tried.is_err() {
            tried = again;
        }
    }
    (tried, 1 + MORE_SEEDS)
}

/// Keeps the noise of repeated trainings apart from that of the first.
const AGAIN: u64 = 0x6167_6169_6e00;

fn attempt<T: Gradient + ?Sized>(
    target: &T,
    family: &Arc<Family>,
    starts: &[Start],
    ladder: &Ladder<'_>,
    seed: u64,
) -> Result<Tried, TrainError> {
    let settings = Settings::of(family, seed).with_particles(ladder.particles);
    let mut engine: Engine<'_, T> =
        Engine::new(target, family.clone(), Objective::Elbo(Estimator::Full), settings.draws);
    let mut chosen: Option<(f64, Vec<f64>)> = None;
    for start in starts {
        let theta = family.initial(start, seed);
        let rounds = TRIAL.div_ceil(engine.draws());
        let value = engine.bound(&theta, seed, "vi/trial", 0, rounds).value;
        if chosen.as_ref().is_none_or(|(best, _)| value > *best || best.is_nan()) {
            chosen = Some((value, theta));
        }
    }
    let theta = chosen.expect("there is a start").1;
    let control = Control { cancel: ladder.cancel, ..Control::default() };
    let trained = train(target, family, theta, &settings, &control)?;
    let rounds = FRESH.div_ceil(engine.draws());
    let log_weights = engine.log_weights(&trained.guide.theta, seed, "vi/khat", 0, rounds);
    let khat = (ladder.khat)(&log_weights);
    let airworthiness = airworthiness(&family.flow, &trained.guide.theta);
    let elbo = match settings.objective {
        Objective::Elbo(_) => trained.bound,
        Objective::Iwae { .. } => engine.bound(&trained.guide.theta, seed, "vi/khat", 0, rounds),
    };
    Ok(Tried { trained, elbo, log_weights, khat, airworthiness })
}

impl Report {
    fn new(
        name: &str,
        family: &Family,
        (tried, trainings): (&Result<Tried, TrainError>, usize),
        seconds: f64,
    ) -> Report {
        let nan = Bound { value: f64::NAN, se: f64::NAN };
        let (bound, khat, steps, skipped) = match tried {
            Ok(t) => (t.elbo, t.khat, t.trained.state.step, t.trained.state.skipped),
            Err(_) => (nan, f64::NAN, 0, 0),
        };
        let failure = tried.as_ref().err().map(|e| e.to_string());
        let (architecture, parameters) = (family.flow.to_string(), family.flow.len());
        let airworthiness = tried.as_ref().ok().map(|t| t.airworthiness.clone());
        Report {
            name: name.into(),
            architecture,
            parameters,
            bound,
            khat,
            trainings,
            steps,
            skipped,
            seconds,
            airworthiness,
            failure,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failure) = &self.failure {
            return write!(f, "{}: {failure}", self.name);
        }
        let Bound { value, se } = self.bound;
        write!(f, "{}: ELBO {value:.4} ± {se:.4}, k-hat {:.2}, {} steps", self.name, self.khat, self.steps)?;
        if self.trainings > 1 {
            write!(f, " of training {}", self.trainings)?;
        }
        if self.skipped > 0 {
            write!(f, " ({} left out)", self.skipped)?;
        }
        if self.airworthiness.as_ref().is_some_and(|a| !a.passed()) {
            write!(f, ", NOT airworthy")?;
        }
        write!(f, ", {:.2} s", self.seconds)
    }
}
