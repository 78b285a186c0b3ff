//! Fitting a guide: the affine start, then families of growing freedom, climbed only while it pays.

use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::base::rng::Stream;
use crate::base::stats;
use crate::density::{Gradient, LogDensity, Proposal};
use crate::diagnostics::psis::psis;
use crate::flow::{Airworthiness, Flow, FlowError};
use crate::guide::pathfinder::Pathfinder;
use crate::guide::{Base, Guide, Scale, Start};
use crate::report::number::{decimals, fixed, significant};
use crate::report::table::Table;
use crate::vi::{Bound, Engine, Estimator, Ladder, Objective, Report, TrainError, climb, rungs};

/// Dimension above which a full covariance has too many parameters.
const FULL: usize = 300;
/// Draws of a guide whose moments make the safe proposal.
const MOMENTS: usize = 4096;

/// Which guide to fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Choice {
    /// Full rank (mean field in high dimension), then 4 and 8 coupling layers, as far as it pays.
    Auto,
    /// A scale for each coordinate.
    MeanField,
    /// A full covariance.
    FullRank,
    /// Layers in the grammar of [`crate::flow::Flow::parse`], then an affine layer.
    Flow(String),
}

impl Choice {
    /// `auto`, `mean-field`, `full-rank`, or the text of a flow.
    pub fn read(text: &str) -> Choice {
        match text {
            "auto" => Choice::Auto,
            "mean-field" => Choice::MeanField,
            "full-rank" => Choice::FullRank,
            flow => Choice::Flow(flow.into()),
        }
    }
}

/// Settings of a fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    /// Which guide.
    pub choice: Choice,
    /// The law that the flow pushes forward.
    pub base: Base,
    /// Draws behind each bound that training raises: 1 for the ELBO, more for IWAE (with DReG gradients, or plain ones where the
    /// flow's inverse is sequential).
    pub particles: usize,
    /// Seed.
    pub seed: u64,
    /// Whether chains are to move behind the guide whatever its weights say.
    pub map: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { choice: Choice::Auto, base: Base::Normal, particles: 1, seed: 0, map: false }
    }
}

/// One fitted family, as reports show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rung {
    /// Its name.
    pub name: String,
    /// Its flow.
    pub architecture: String,
    /// Parameters.
    pub parameters: usize,
    /// Evidence lower bound on fresh draws.
    pub elbo: Bound,
    /// k-hat of fresh weights.
    pub khat: f64,
    /// Trainings: more than one where the first failed, or its flow did not pass the check.
    pub trainings: usize,
    /// Steps of the last training.
    pub steps: usize,
    /// Steps left out because of numbers that are not finite.
    pub skipped: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Whether its flow does what flows promise; none where training failed.
    pub airworthiness: Option<Airworthiness>,
    /// Why training failed.
    pub failure: Option<String>,
}

/// A fitted guide with the way to it.
pub struct Fitted {
    /// The best guide.
    pub guide: Guide,
    /// All rungs, in order.
    pub rungs: Vec<Rung>,
    /// The rung of the guide.
    pub best: usize,
}

/// Why no guide was fitted.
#[derive(Debug, thiserror::Error)]
pub enum GuideError {
    /// The text of the flow.
    #[error("--guide: {0}")]
    Flow(#[from] FlowError),
    /// Training.
    #[error("{0}")]
    Train(#[from] TrainError),
    /// Nothing to approximate.
    #[error("the model has no coordinates, so there is nothing to fit a guide to")]
    NoCoordinates,
}

/// Fits a guide to `target`.
///
/// # Errors
/// Where the flow's text is wrong or no training succeeds.
pub fn fit<T: Gradient + ?Sized>(
    target: &T,
    options: &Options,
    cancel: Option<&AtomicBool>,
) -> Result<Fitted, GuideError> {
    let dim = target.dim();
    if dim == 0 {
        return Err(GuideError::NoCoordinates);
    }
    let all = rungs(dim, options.map);
    let affine = all.iter().rposition(|r| r.nonlinear.is_none()).unwrap_or(0);
    let rungs = match &options.choice {
        Choice::Auto => all[affine..].to_vec(),
        Choice::MeanField => all[..1].to_vec(),
        Choice::FullRank => vec![named("full rank", None, Scale::Full)],
        Choice::Flow(text) => {
            // A wrong text is refused before anything is trained.
            Flow::parse(text, dim, 0)?;
            vec![all[affine].clone(), named(text, Some(text), if dim > FULL { Scale::Diagonal } else { Scale::Full })]
        }
    };
    let climbed = climb(
        target,
        &Ladder {
            asked: !matches!(options.choice, Choice::Auto),
            rungs,
            base: options.base,
            particles: options.particles,
            start: Pathfinder { seed: options.seed, ..Pathfinder::default() }.start(target),
            khat: &|w| psis(w).khat,
            seed: options.seed,
            progress: None,
            cancel,
        },
    )?;
    let guide = climbed.trained.guide;
    Ok(Fitted { guide, rungs: climbed.reports.into_iter().map(Rung::of).collect(), best: climbed.best })
}

/// A guide that is there already, rated on fresh draws as a ladder of one rung.
pub fn assess<T: Gradient + ?Sized>(target: &T, guide: Guide, airworthiness: Airworthiness, seed: u64) -> Fitted {
    let family = guide.family.clone();
    let mut engine: Engine<'_, T> = Engine::new(target, family.clone(), Objective::Elbo(Estimator::Full), MOMENTS);
    let weights = engine.log_weights(&guide.theta, seed, "fit/assess", 0, 1);
    let n = weights.len() as f64;
    let elbo = Bound { value: stats::mean(&weights), se: (stats::variance(&weights) / n).sqrt() };
    let rung = Rung {
        name: "from file".into(),
        architecture: family.flow.to_string(),
        parameters: family.flow.len(),
        elbo,
        khat: psis(&weights).khat,
        trainings: 0,
        steps: 0,
        skipped: 0,
        seconds: 0.0,
        airworthiness: Some(airworthiness),
        failure: None,
    };
    Fitted { guide, rungs: vec![rung], best: 0 }
}

fn named(name: &str, nonlinear: Option<&str>, scale: Scale) -> crate::vi::Rung {
    crate::vi::Rung { name: name.into(), nonlinear: nonlinear.map(str::to_string), scale }
}

/// Mean and covariance of draws from a guide; the affine layer's where they are no covariance.
pub fn moments(guide: &Guide, seed: u64) -> Start {
    let dim = guide.family.dim();
    let mut noise = vec![0.0; MOMENTS * guide.noise()];
    Stream::new(seed, "fit/moments", 0).fill_normal(&mut noise);
    let (mut x, mut log_q) = (vec![0.0; MOMENTS * dim], vec![0.0; MOMENTS]);
    guide.draw(&noise, &mut x, &mut log_q, &mut vec![0.0; guide.lanes_scratch()]);
    let column = |j: usize| &x[j * MOMENTS..(j + 1) * MOMENTS];
    let mean: Vec<f64> = (0..dim).map(|j| stats::mean(column(j))).collect();
    let product = |i: usize, j: usize| {
        stats::sum_by(MOMENTS, |p| (column(i)[p] - mean[i]) * (column(j)[p] - mean[j])) / (MOMENTS - 1) as f64
    };
    let covariance: Vec<f64> =
        (0..dim * dim).map(|k| product((k / dim).max(k % dim), (k / dim).min(k % dim))).collect();
    Start::from_covariance(mean, &covariance).unwrap_or_else(|| guide.family.affine(&guide.theta))
}

impl Rung {
    fn of(r: Report) -> Rung {
        Rung {
            name: r.name,
            architecture: r.architecture,
            parameters: r.parameters,
            elbo: r.bound,
            khat: r.khat,
            trainings: r.trainings,
            steps: r.steps,
            skipped: r.skipped,
            seconds: r.seconds,
            airworthiness: r.airworthiness,
            failure: r.failure,
        }
    }

    /// What went wrong with its trainings, if anything did.
    fn trouble(&self) -> Option<String> {
        let lost = match (&self.failure, &self.airworthiness) {
            (Some(why), _) => Some(why.clone()),
            (None, Some(a)) if !a.passed() => a.to_string().lines().next().map(str::to_string),
            _ => None,
        };
        let trainings = match (self.trainings, &lost) {
            (0 | 1, _) => return lost,
            (n, Some(_)) => format!("{n} trainings with different seeds failed"),
            (n, None) => format!("this is training {n}; those before, with other seeds, failed"),
        };
        Some(lost.map_or(trainings.clone(), |why| format!("{trainings}; the last: {why}")))
    }

    /// Whether its flow passed the test.
    pub fn is_airworthy(&self) -> bool {
        self.airworthiness.as_ref().is_some_and(|a| a.passed())
    }
}

impl Fitted {
    /// The rung of the guide.
    pub fn rung(&self) -> &Rung {
        &self.rungs[self.best]
    }

    /// That a flow of one coordinate bends nothing, in words.
    fn idle(&self) -> Option<String> {
        let (family, rung) = (&self.guide.family, self.rung());
        let idle = !family.is_affine() && Flow::only_stretches(&rung.architecture, family.dim()).unwrap_or(false);
        idle.then(|| {
            format!(
                "with one latent, {} only shifts and stretches: the guide is normal, as it is without; give a flow of splines \
                 (--guide 'nsf(4)'), or leave --guide out",
                rung.name
            )
        })
    }

    /// The ladder as a table.
    pub fn text(&self) -> String {
        let mut t = Table::new(&["guide", "parameters", "ELBO", "± se", "k-hat", "steps", "seconds"]);
        for (k, r) in self.rungs.iter().enumerate() {
            let mark = if k == self.best { " *" } else { "" };
            t.row(vec![
                format!("{}{mark}", r.name),
                r.parameters.to_string(),
                fixed(r.elbo.value, decimals(r.elbo.value, r.elbo.se)),
                significant(r.elbo.se, 2),
                fixed(r.khat, 2),
                r.steps.to_string(),
                fixed(r.seconds, 2),
            ]);
            if let Some(why) = r.trouble() {
                t.note(format!("{}: {why}", r.name));
            }
        }
        if let Some(why) = self.idle() {
            t.note(why);
        }
        let air = self.rung().airworthiness.as_ref().map_or(String::new(), |a| a.to_string());
        format!("{t}\n* is used: {}, {}\n", self.rung().architecture, air.lines().next().unwrap_or_default())
    }

    /// The ladder as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "rungs": self.rungs, "best": self.best })
    }
}
