//! Short chains before the warm-up: they settle starts, show what a map misses, refine it, and compare it with no map.

use crate::density::Transport;
use crate::flow::airworthiness;
use crate::guide::Guide;
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::error::McmcError;
use crate::mcmc::init::{Init, any_of};
use crate::mcmc::pullback::{Pullback, Pushing};
use crate::mcmc::run::Samples;
use crate::mcmc::sink::Memory;
use crate::model::compiled::Compiled;
use crate::workflow::behind::largest_rhat;
use crate::workflow::evidence::refined;
use crate::workflow::ladder::{Fitted, Rung, assess};

/// Iterations of warm-up from which a stage of half the length is worth its time.
const LEAST: usize = 400;
/// Keeps the noise of a stage apart from that of the draws.
const STAGE: u64 = 0x7761_726d;
/// Points tried for each chain.
const TRIES: usize = 100;
/// Iterations that take a prior draw to where the posterior has its mass.
const SETTLING: usize = 100;
/// Doublings of their trajectories: they go downhill, and need not explore.
const SETTLING_DEPTH: usize = 5;
/// Largest R-hat of sound short chains; their few draws alone take it to about 1.05.
const SOUND_RHAT: f64 = 1.1;
/// Sound short chains have at most one divergence in so many draws.
const SOUND_DRAWS: usize = 50;

/// What short chains showed of the coordinates they worked in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// The largest R-hat of an unconstrained coordinate.
    pub rhat: f64,
    /// Divergent transitions.
    pub divergent: usize,
    /// Draws of all chains.
    pub draws: usize,
}

impl Trial {
    /// Whether chains of full length may be expected to do.
    pub fn is_sound(&self) -> bool {
        self.rhat < SOUND_RHAT && self.divergent * SOUND_DRAWS <= self.draws
    }

    /// Whether the chains of `self` did better than those of `other`.
    pub fn beats(&self, other: &Trial) -> bool {
        match (self.is_sound(), other.is_sound()) {
            (true, sound) => !sound,
            (false, true) => false,
            (false, false) => self.rhat < other.rhat && self.divergent <= other.divergent,
        }
    }
}

/// Short chains.
pub struct Short {
    /// Draws in the model's coordinates, draw after draw.
    pub chains: Vec<Vec<f64>>,
    /// Gradients of each chain.
    pub gradients: Vec<u64>,
    /// What they showed.
    pub trial: Trial,
    /// Iterations of each chain.
    pub iterations: usize,
}

/// Half the warm-up as a run of its own: half of it adapts, the other half are its draws. Behind `map` where there is one.
///
/// # Errors
/// Where chains find no start.
pub fn short_chains(
    compiled: &Compiled,
    map: Option<&Guide>,
    nuts: &Nuts,
    init: &Init<'_>,
    control: &Control<'_>,
) -> Result<Short, McmcError> {
    let quarter = nuts.warmup / 4;
    let first =
        Nuts { warmup: quarter, draws: quarter, thin: 1, seed: nuts.seed ^ STAGE, save_warmup: false, ..nuts.clone() };
    // Progress is that of the run itself.
    let watch = Control { cancel: control.cancel, ..Control::default() };
    let (runs, sinks) = match map {
        None => {
            let mut sinks = vec![Memory::default(); nuts.chains];
            (first.run(compiled, init, &mut sinks, &watch)?, sinks)
        }
        Some(map) => {
            let target = Pullback { target: compiled, map };
            let mut sinks: Vec<_> = (0..nuts.chains).map(|_| Pushing::new(map, Memory::default())).collect();
            let runs = first.run(&target, init, &mut sinks, &watch)?;
            (runs, sinks.into_iter().map(|s| s.into_inner()).collect())
        }
    };
    let dim = compiled.posterior.dim;
    let chains: Vec<Vec<f64>> = sinks.into_iter().map(|s| s.positions().to_vec()).collect();
    let trial = Trial {
        rhat: largest_rhat(&chains.iter().map(|c| &c[..]).collect::<Vec<_>>(), dim, quarter),
        divergent: runs.iter().map(|r| r.divergent).sum(),
        draws: runs.iter().map(|r| r.iterations).sum(),
    };
    let gradients = runs.iter().map(|r| r.warmup_gradients + r.gradients).collect();
    Ok(Short { chains, gradients, trial, iterations: 2 * quarter })
}

/// Where chains behind a map start, in the model's coordinates.
pub enum Starts {
    /// One point for each chain, which it starts at.
    Given(Vec<Vec<f64>>),
    /// Points (row-major) among which chains choose, as [`Pullback::starts`] has it.
    Among(Vec<f64>),
}

impl Starts {
    /// What `run` makes of these starts in the coordinates of `map`.
    pub fn behind<R>(&self, compiled: &Compiled, map: &Guide, run: impl FnOnce(&Init<'_>) -> R) -> R {
        match self {
            Starts::Given(points) => {
                let back = |x: &Vec<f64>| {
                    let mut u = vec![0.0; x.len()];
                    Transport::inverse(map, x, &mut u, &mut vec![0.0; Transport::scratch(map)]);
                    u
                };
                run(&Init::Given(points.iter().map(back).collect()))
            }
            Starts::Among(points) => {
                let pullback = Pullback { target: compiled, map };
                let starts = pullback.starts(points);
                run(&Init::Draw { draw: &starts, tries: TRIES })
            }
        }
    }
}

/// Where short plain chains end that start at draws from the prior (`points`, row-major), with the gradients of each: a map is
/// trained where the posterior has its mass, and chains that start far outside it would adapt to what they meet there. Without such
/// chains, the points themselves.
pub fn settled(compiled: &Compiled, nuts: &Nuts, points: Vec<f64>, control: &Control<'_>) -> (Vec<f64>, Vec<u64>) {
    let dim = compiled.posterior.dim;
    let none = vec![0; nuts.chains];
    if points.is_empty() {
        return (points, none);
    }
    let settling = Nuts {
        warmup: SETTLING,
        draws: 1,
        thin: 1,
        max_depth: SETTLING_DEPTH.min(nuts.max_depth),
        seed: nuts.seed ^ STAGE,
        save_warmup: false,
        ..nuts.clone()
    };
    let start = |_: usize, rng: &mut crate::base::rng::Stream, x: &mut [f64]| {
        if let Some(point) = any_of(&points, dim, rng) {
            x.copy_from_slice(point);
        }
    };
    let watch = Control { cancel: control.cancel, ..Control::default() };
    match settling.sample(compiled, &Init::Draw { draw: &start, tries: TRIES }, &watch) {
        Ok(Samples { draws, chains }) => (
            draws.iter().flat_map(|d| d.positions()).copied().collect(),
            chains.iter().map(|c| c.warmup_gradients + c.gradients).collect(),
        ),
        Err(_) => (points, none),
    }
}

/// What the stage gave.
#[derive(Default)]
pub struct Stage {
    /// Whether the guide is another one now, in words; nothing where there was no stage.
    pub remark: Option<String>,
    /// Gradients of each chain.
    pub gradients: Vec<u64>,
    /// What the chains showed.
    pub trial: Option<Trial>,
    /// Iterations of each chain, which the warm-up behind the map is shorter by.
    pub iterations: usize,
}

/// Draws behind the guide's map, and fits the guide to the first halves of the chains (forward KL); `fitted` has the result, as a
/// further rung, where the chains are sound, the second halves show that it is better and its flow passes the test of flows. Nothing is done for guides without
/// a nonlinear layer, and before short warm-ups.
///
/// # Errors
/// Where chains find no start.
pub fn refine_before_warm_up(
    compiled: &Compiled,
    fitted: &mut Fitted,
    nuts: &Nuts,
    starts: &Starts,
    control: &Control<'_>,
) -> Result<Stage, McmcError> {
    if fitted.guide.family.is_affine() || nuts.warmup < LEAST {
        return Ok(Stage::default());
    }
    let map = &fitted.guide;
    let Short { chains, gradients, trial, iterations } =
        starts.behind(compiled, map, |init| short_chains(compiled, Some(map), nuts, init, control))?;
    // Where a chain is stuck, its draws are none of the posterior, and a guide that learned them would be worse.
    let refinement = if trial.is_sound() { refined(fitted, &chains, nuts.seed) } else { None };
    let remark = match refinement {
        Some((guide, remark)) => {
            let test = airworthiness(&guide.family.flow, &guide.theta);
            if test.passed() {
                let mut found = assess(compiled, guide, test, nuts.seed);
                let rung = Rung { name: "refined".into(), ..found.rungs.swap_remove(0) };
                fitted.rungs.push(rung);
                (fitted.best, fitted.guide) = (fitted.rungs.len() - 1, found.guide);
                format!("in a stage before the warm-up {remark}")
            } else {
                "a refinement of the guide before the warm-up failed the test of flows, and was not kept".into()
            }
        }
        None if !trial.is_sound() => format!(
            "the guide was not refined before the warm-up: the short chains behind it ended with R-hat {:.2} and {} divergences in {} draws",
            trial.rhat, trial.divergent, trial.draws
        ),
        None => "a refinement of the guide before the warm-up was no better on draws held out, and was not kept".into(),
    };
    Ok(Stage { remark: Some(remark), gradients, trial: Some(trial), iterations })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::data::DataFile;
    use crate::model::posterior::Model;
    use crate::workflow::ladder::{Choice, Options, fit};

    /// Draws of a prior that the posterior is 100 of its standard deviations away from end inside the posterior: of 4 points within
    /// 6 of its standard deviations (false alarms 1e-8); points alone stay where they are.
    #[test]
    fn settled_points_are_where_the_posterior_is() {
        let model = Model::from_text("far", "latent m ~ normal(0, 10)\nobserve 1000.0 ~ normal(m, 1)\n").unwrap();
        let compiled = Compiled::new(model.bind(&DataFile::default()).unwrap());
        // m | x ~ N(1000 / 1.01, 1 / 1.01)
        let (mean, sd) = (1000.0 / 1.01, (1f64 / 1.01).sqrt());
        let (points, gradients) = settled(&compiled, &Nuts::default(), vec![-10.0, 0.0, 10.0], &Control::default());
        assert_eq!(points.len(), 4);
        assert!(gradients.len() == 4 && gradients.iter().all(|g| *g >= SETTLING as u64), "{gradients:?}");
        assert!(points.iter().all(|x| ((x - mean) / sd).abs() < 6.0), "{points:?}");
        assert!(settled(&compiled, &Nuts::default(), vec![], &Control::default()).0.is_empty());
    }

    /// A guide of a posterior half a standard deviation away is refined, becomes the last rung, and has the better bound.
    #[test]
    fn what_the_short_chains_show_of_a_shifted_posterior_is_kept() {
        let compiled = |shift: &str| {
            let text = format!("latent v ~ normal(0, 1)\nlatent w ~ normal(v * v + {shift}, 1)\n");
            Compiled::new(Model::from_text("bent", &text).unwrap().bind(&DataFile::default()).unwrap())
        };
        let flow = Options { choice: Choice::Flow("realnvp(2)".into()), ..Options::default() };
        let mut fitted = fit(&compiled("0"), &flow, None).unwrap();
        let (target, count) = (compiled("0.5"), fitted.rungs.len());
        let same = Guide::new(fitted.guide.family.clone(), fitted.guide.theta.clone());
        let test = airworthiness(&same.family.flow, &same.theta);
        let elbo = assess(&target, same, test, 1).rungs[0].elbo;
        let starts = Starts::Among(vec![]);
        let stage =
            refine_before_warm_up(&target, &mut fitted, &Nuts::default(), &starts, &Control::default()).unwrap();
        assert!(stage.remark.unwrap().contains("was refined") && stage.trial.unwrap().is_sound());
        assert_eq!((fitted.rungs.len(), fitted.best, &fitted.rung().name[..]), (count + 1, count, "refined"));
        // KL(q || p) of a shift by half a standard deviation is 1/8.
        assert!(fitted.rung().elbo.value > elbo.value + 0.08, "{:?} {elbo:?}", fitted.rung().elbo);
    }

    /// Behind the map of a funnel a normal is a funnel upside down: its short chains are unsound, and their draws change no guide.
    #[test]
    fn chains_that_disagree_teach_a_guide_nothing() {
        let compiled = |scale: &str| {
            let text = format!("latent v ~ normal(0, 3)\nlatent x: vector[6] ~ normal(0, {scale})\n");
            Compiled::new(Model::from_text("funnel", &text).unwrap().bind(&DataFile::default()).unwrap())
        };
        let flow = Options { choice: Choice::Flow("realnvp(2)".into()), ..Options::default() };
        let mut fitted = fit(&compiled("exp(v / 2)"), &flow, None).unwrap();
        let (count, theta) = (fitted.rungs.len(), fitted.guide.theta.clone());
        let (target, starts) = (compiled("1"), Starts::Among(vec![]));
        let stage =
            refine_before_warm_up(&target, &mut fitted, &Nuts::default(), &starts, &Control::default()).unwrap();
        assert!(!stage.trial.unwrap().is_sound());
        let remark = stage.remark.unwrap();
        assert!(remark.starts_with("the guide was not refined before the warm-up: the short chains"), "{remark}");
        assert!(fitted.rungs.len() == count && fitted.guide.theta == theta);
    }

    #[test]
    fn sound_chains_beat_unsound_ones_and_nothing_beats_sound_ones() {
        let trial = |rhat, divergent| Trial { rhat, divergent, draws: 1000 };
        let (sound, stuck, split) = (trial(1.02, 3), trial(1.5, 0), trial(1.6, 40));
        assert!(sound.is_sound() && !stuck.is_sound() && !trial(1.02, 21).is_sound() && !trial(f64::NAN, 0).is_sound());
        assert!(sound.beats(&stuck) && !stuck.beats(&sound) && !sound.beats(&sound));
        assert!(stuck.beats(&split) && !split.beats(&stuck) && !trial(1.2, 1).beats(&stuck));
    }
}
