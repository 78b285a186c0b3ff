//! Fitting a guide: the affine start, then families of growing freedom, climbed only while it pays.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::density::Gradient;
use crate::diagnostics::psis::psis;
use crate::flow::{Airworthiness, FlowError, airworthiness};
use crate::guide::pathfinder::Pathfinder;
use crate::guide::{Base, Family, Guide, Scale, Start};
use crate::report::number::{decimals, fixed, significant};
use crate::report::table::Table;
use crate::vi::{Bound, Control, Engine, Settings, TrainError, train};

/// k-hat below which the weights of a guide have a variance, and importance sampling plain errors.
const GOOD: f64 = 0.5;
/// Standard errors by which a rung has to raise the bound for the next one to be tried.
const GAIN: f64 = 3.0;
/// Fresh draws behind the k-hat of a rung.
const FRESH: usize = 4000;
/// Dimension above which a full covariance has too many parameters.
const FULL: usize = 300;

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
    /// Steps at most; by family where not given.
    pub steps: Option<usize>,
    /// Seed.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { choice: Choice::Auto, base: Base::Normal, steps: None, seed: 0 }
    }
}

/// One fitted family.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rung {
    /// Its name.
    pub name: String,
    /// Parameters.
    pub parameters: usize,
    /// Evidence lower bound on fresh draws.
    pub elbo: Bound,
    /// k-hat of fresh weights.
    pub khat: f64,
    /// Effective sample size of these weights, of [`Rung::draws`].
    pub ess: f64,
    /// Fresh draws.
    pub draws: usize,
    /// Steps.
    pub steps: usize,
    /// Learning rate.
    pub rate: f64,
    /// Steps left out because of numbers that are not finite.
    pub skipped: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Whether its flow does what flows promise.
    pub airworthiness: Airworthiness,
}

/// A fitted guide with the way to it.
pub struct Fitted {
    /// The best guide.
    pub guide: Guide,
    /// The affine approximation under it: what a safe proposal is made from.
    pub start: Start,
    /// All rungs, in order.
    pub rungs: Vec<Rung>,
    /// The rung of the guide.
    pub best: usize,
    /// Why the climb ended.
    pub reason: String,
}

impl Fitted {
    /// The ladder as a table.
    pub fn text(&self) -> String {
        let mut t = Table::new(&["guide", "parameters", "ELBO", "± se", "k-hat", "ESS", "steps", "seconds"]);
        for (k, r) in self.rungs.iter().enumerate() {
            let mark = if k == self.best { "*" } else { "" };
            t.row(vec![
                format!("{}{mark}", r.name),
                r.parameters.to_string(),
                fixed(r.elbo.value, decimals(r.elbo.value, r.elbo.se)),
                significant(r.elbo.se, 2),
                fixed(r.khat, 2),
                format!("{:.0} of {}", r.ess, r.draws),
                r.steps.to_string(),
                fixed(r.seconds, 2),
            ]);
        }
        let air = self.rungs[self.best].airworthiness.to_string();
        let air = air.lines().next().unwrap_or_default();
        format!("{t}\nladder: {}; * is used ({air})\n", self.reason)
    }

    /// The ladder as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "rungs": self.rungs, "best": self.best, "reason": self.reason })
    }
}

/// Why no guide was fitted.
#[derive(Debug, thiserror::Error)]
pub enum GuideError {
    /// The text of the flow.
    #[error("--guide: {0}")]
    Flow(#[from] FlowError),
    /// Training.
    #[error("error: {0}")]
    Train(#[from] TrainError),
    /// Nothing to approximate.
    #[error("error: the model has no coordinates, so there is nothing to fit a guide to")]
    NoCoordinates,
}

/// Fits a guide to `target`.
///
/// # Errors
/// Where the flow's text is wrong or no training succeeds.
pub fn fit<T: Gradient + ?Sized>(target: &T, options: &Options, control: &Control<'_>) -> Result<Fitted, GuideError> {
    if target.dim() == 0 {
        return Err(GuideError::NoCoordinates);
    }
    let mut climb = Climb { target, options, control, start: affine_start(target, options.seed), fitted: vec![] };
    let affine = if target.dim() > FULL { Scale::Diagonal } else { Scale::Full };
    let reason = match &options.choice {
        Choice::MeanField => climb.rung(None, Scale::Diagonal)?,
        Choice::FullRank => climb.rung(None, Scale::Full)?,
        Choice::Flow(text) => {
            climb.rung(None, affine)?;
            climb.rung(Some(text), affine)?
        }
        Choice::Auto => climb.all(affine)?,
    };
    Ok(climb.finish(reason))
}

/// Pathfinder's best approximation; a unit scale at the origin where no path gives one.
fn affine_start<T: Gradient + ?Sized>(target: &T, seed: u64) -> Start {
    let found = Pathfinder { seed, ..Pathfinder::default() }.run(target);
    found.into_iter().next().map_or_else(|| Start::isotropic(vec![0.0; target.dim()], 1.0), |a| a.start)
}

struct Climb<'a, T: ?Sized> {
    target: &'a T,
    options: &'a Options,
    control: &'a Control<'a>,
    start: Start,
    fitted: Vec<(Guide, Rung)>,
}

impl<T: Gradient + ?Sized> Climb<'_, T> {
    /// The ladder.
    fn all(&mut self, affine: Scale) -> Result<String, GuideError> {
        self.rung(None, affine)?;
        for text in ["realnvp(4)", "realnvp(8)"] {
            if let Some(reason) = self.enough() {
                return Ok(reason);
            }
            self.rung(Some(text), affine)?;
        }
        Ok(self.enough().unwrap_or_else(|| "the ladder ends here".into()))
    }

    /// Why there is no need to climb on, if so.
    fn enough(&self) -> Option<String> {
        let rung = &self.fitted.last()?.1;
        if rung.khat < GOOD {
            return Some(format!("k-hat of fresh weights is below {GOOD}"));
        }
        let [.., before, last] = &self.fitted[..] else {
            return None;
        };
        let (a, b) = (before.1.elbo, last.1.elbo);
        let gain = b.value - a.value;
        (gain <= GAIN * (a.se.powi(2) + b.se.powi(2)).sqrt())
            .then(|| format!("the last rung raised the bound by {gain:.2} only, within {GAIN} standard errors"))
    }

    /// Trains one family from the affine approximation so far.
    fn rung(&mut self, text: Option<&str>, scale: Scale) -> Result<String, GuideError> {
        let begun = Instant::now();
        let family = Arc::new(Family::new(self.target.dim(), self.options.base, text, scale)?);
        let mut settings = Settings::of(&family, self.options.seed);
        settings.steps = self.options.steps.unwrap_or(settings.steps);
        let theta = family.initial(&self.start, self.options.seed);
        let trained = train(self.target, &family, theta, &settings, self.control)?;
        let mut engine = Engine::new(self.target, family.clone(), settings.objective, settings.draws);
        let rounds = FRESH.div_ceil(engine.draws());
        let weights = engine.log_weights(&trained.guide.theta, self.options.seed, "fit/weights", 0, rounds);
        let smoothed = psis(&weights);
        if text.is_none() && trained.bound.value.is_finite() {
            self.start = affine_part(&trained.guide, scale);
        }
        let name = text.map_or_else(|| if scale == Scale::Full { "full rank" } else { "mean field" }, |t| t);
        let rung = Rung {
            name: name.into(),
            parameters: family.flow.len(),
            elbo: trained.bound,
            khat: smoothed.khat,
            ess: smoothed.ess,
            draws: weights.len(),
            steps: trained.state.step,
            rate: trained.state.rate,
            skipped: trained.state.skipped,
            seconds: begun.elapsed().as_secs_f64(),
            airworthiness: airworthiness(&family.flow, &trained.guide.theta),
        };
        self.fitted.push((trained.guide, rung));
        Ok("asked for".into())
    }

    /// The rung with the best bound among those that are airworthy.
    fn finish(self, reason: String) -> Fitted {
        let worth = |(_, r): &(Guide, Rung)| if r.airworthiness.passed() { r.elbo.value } else { f64::NEG_INFINITY };
        let order = |a: &usize, b: &usize| worth(&self.fitted[*a]).total_cmp(&worth(&self.fitted[*b]));
        let best = (0..self.fitted.len()).max_by(order).unwrap_or(0);
        let (mut guides, rungs): (Vec<Guide>, Vec<Rung>) = self.fitted.into_iter().unzip();
        Fitted { guide: guides.swap_remove(best), start: self.start, rungs, best, reason }
    }
}

/// Location and factor of a guide without nonlinear layers: where T maps 0 and the unit vectors.
fn affine_part(guide: &Guide, scale: Scale) -> Start {
    use crate::density::Transport;
    let dim = guide.family.dim();
    let mut ws = vec![0.0; Transport::scratch(guide)];
    let (mut u, mut location) = (vec![0.0; dim], vec![0.0; dim]);
    guide.forward(&u, &mut location, &mut ws);
    let (mut factor, mut x) = (vec![0.0; dim * dim], vec![0.0; dim]);
    for j in 0..dim {
        u[j] = 1.0;
        guide.forward(&u, &mut x, &mut ws);
        u[j] = 0.0;
        let rows = if scale == Scale::Full { j..dim } else { j..j + 1 };
        rows.for_each(|i| factor[i * dim + j] = x[i] - location[i]);
    }
    Start { location, factor }
}
