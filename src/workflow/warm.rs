//! Short chains before the warm-up: they settle starts, show what a map misses, refine it, and compare it with no map.

use crate::flow::airworthiness;
use crate::guide::Guide;
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::error::McmcError;
use crate::mcmc::init::Init;
use crate::mcmc::pullback::{Pullback, Pushing};
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
pub const TRIES: usize = 100;
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
    Ok(Short { chains, gradients: runs.iter().map(|r| r.warmup_gradients + r.gradients).collect(), trial })
}

/// Where short plain chains end that start at draws from the prior (`points`, row-major): a map is trained where the posterior has
/// its mass, and chains that start far outside it would adapt to what they meet there. Without such chains, the points themselves.
pub fn settled(compiled: &Compiled, nuts: &Nuts, points: Vec<f64>, control: &Control<'_>) -> Vec<f64> {
    let dim = compiled.posterior.dim;
    let count = points.len() / dim.max(1);
    if count == 0 {
        return points;
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
        let pick = ((rng.uniform() * count as f64) as usize).min(count - 1);
        x.copy_from_slice(&points[pick * dim..(pick + 1) * dim]);
    };
    let watch = Control { cancel: control.cancel, ..Control::default() };
    match settling.sample(compiled, &Init::Draw { draw: &start, tries: TRIES }, &watch) {
        Ok(done) => done.draws.iter().flat_map(|d| d.positions()).copied().collect(),
        Err(_) => points,
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
}

/// Draws behind the guide's map, and fits the guide to the first halves of the chains (forward KL); `fitted` has the result, as a
/// further rung, where the second halves show that it is better and its flow passes the test of flows. Nothing is done for guides without
/// a nonlinear layer, and before short warm-ups.
///
/// # Errors
/// Where chains find no start.
pub fn refine_before_warm_up(
    compiled: &Compiled,
    fitted: &mut Fitted,
    nuts: &Nuts,
    points: &[f64],
    control: &Control<'_>,
) -> Result<Stage, McmcError> {
    if fitted.guide.family.is_affine() || nuts.warmup < LEAST {
        return Ok(Stage::default());
    }
    let Short { chains, gradients, trial } = {
        let target = Pullback { target: compiled, map: &fitted.guide };
        let starts = target.starts(points);
        let init = Init::Draw { draw: &starts, tries: TRIES };
        short_chains(compiled, Some(&fitted.guide), nuts, &init, control)?
    };
    let remark = match refined(fitted, &chains, nuts.seed) {
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
        None => "a refinement of the guide before the warm-up was no better on draws held out, and was not kept".into(),
    };
    Ok(Stage { remark: Some(remark), gradients, trial: Some(trial) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::data::DataFile;
    use crate::model::posterior::Model;

    /// Draws of a prior that the posterior is 100 of its standard deviations away from end inside the posterior: of 4 points within
    /// 6 of its standard deviations (false alarms 1e-8); points alone stay where they are.
    #[test]
    fn settled_points_are_where_the_posterior_is() {
        let model = Model::from_text("far", "latent m ~ normal(0, 10)\nobserve 1000.0 ~ normal(m, 1)\n").unwrap();
        let compiled = Compiled::new(model.bind(&DataFile::default()).unwrap());
        // m | x ~ N(1000 / 1.01, 1 / 1.01)
        let (mean, sd) = (1000.0 / 1.01, (1f64 / 1.01).sqrt());
        let points = settled(&compiled, &Nuts::default(), vec![-10.0, 0.0, 10.0], &Control::default());
        assert_eq!(points.len(), 4);
        assert!(points.iter().all(|x| ((x - mean) / sd).abs() < 6.0), "{points:?}");
        assert!(settled(&compiled, &Nuts::default(), vec![], &Control::default()).is_empty());
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
