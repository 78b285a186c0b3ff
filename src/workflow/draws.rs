//! The draws of a job: plain, weighted, or behind the map of a guide.

use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::init::Init;
use crate::model::compiled::Compiled;
use crate::workflow::fit::Fit;
use crate::workflow::importance::importance;
use crate::workflow::method::{Method, prior_points};
use crate::workflow::predict::Predict;
use crate::workflow::run::{Guided, Job};
use crate::workflow::sample::{Output, Way, WorkflowError, sample};
use crate::workflow::warm::{Stage, Starts, refine_before_warm_up, settled, short_chains};

/// Mean acceptance statistic that chains behind a map aim at. What a map leaves uneven is narrow, and short chains seldom meet it: with
/// 0.9 some runs on a funnel of 100 coordinates get stuck there for a while, although their short chains hardly diverge.
const ACCEPT_BEHIND: f64 = 0.95;
/// Prior draws among which chains behind a map choose their starts.
const PRIOR_POINTS: usize = 100;

/// The draws, as the method has it. Where the method was left open and short chains do better without the guide's map, they are
/// drawn without, and `guided` says so.
pub(super) fn draw(
    job: &Job<'_>,
    compiled: &Compiled,
    guided: Option<&mut Guided>,
    predict: Option<&Predict<'_>>,
    control: &Control<'_>,
    notes: &mut Vec<String>,
) -> Result<Fit, WorkflowError> {
    let Some(guided) = guided.filter(|g| g.method.needs_guide()) else {
        return plain(job, compiled, predict, control);
    };
    if guided.method == Method::Importance {
        return importance(compiled, &job.nuts, &guided.fitted.guide, predict, &output(job, guided.method));
    }
    let nuts = Nuts { target_accept: job.accept_behind.unwrap_or(ACCEPT_BEHIND), ..job.nuts.clone() };
    let (starts, mut before) = match job.start.given(compiled, nuts.chains, nuts.seed)? {
        Some(given) => (Starts::Given(given), vec![0; nuts.chains]),
        None => {
            let points = prior_points(job.model, job.data, &job.settings, compiled, PRIOR_POINTS, nuts.seed);
            let (points, gradients) = settled(compiled, &nuts, points, control);
            (Starts::Among(points), gradients)
        }
    };
    // Chains without jumps could stay in one mode, and teach the guide to forget the others.
    let mut stage = match guided.method {
        Method::FlowMh => Stage::default(),
        _ => refine_before_warm_up(compiled, &mut guided.fitted, &nuts, &starts, control)?,
    };
    notes.extend(stage.remark.take());
    let switched = job.method == Method::Auto && plain_is_better(job, compiled, guided, &mut stage, control)?;
    let mut fit = if switched {
        plain(job, compiled, predict, control)
    } else {
        let rest = Nuts { warmup: nuts.warmup - stage.iterations, ..nuts };
        let map = &guided.fitted.guide;
        starts.behind(compiled, map, |init| behind(job, compiled, guided, &rest, init, predict, control))
    }?;
    fit.warmup = job.nuts.warmup;
    before.iter_mut().zip(&stage.gradients).for_each(|(g, more)| *g += more);
    fit.runs.iter_mut().zip(&before).for_each(|(r, g)| r.warmup_gradients += g);
    Ok(fit)
}

fn output(job: &Job<'_>, method: Method) -> Output {
    Output { folder: job.folder.clone(), header: job.header(method), positions: job.evidence.is_some() }
}

/// NUTS in the model's coordinates.
fn plain(
    job: &Job<'_>,
    compiled: &Compiled,
    predict: Option<&Predict<'_>>,
    control: &Control<'_>,
) -> Result<Fit, WorkflowError> {
    let init = job.start.init(compiled, job.nuts.chains, job.nuts.seed)?;
    let output = output(job, Method::Nuts);
    sample(job.model, compiled, &job.nuts, &init, predict, Way::Plain, &output, control)
}

/// NUTS in the coordinates of the guide's map.
fn behind(
    job: &Job<'_>,
    compiled: &Compiled,
    guided: &Guided,
    nuts: &Nuts,
    init: &Init<'_>,
    predict: Option<&Predict<'_>>,
    control: &Control<'_>,
) -> Result<Fit, WorkflowError> {
    let (method, guide) = (guided.method, &guided.fitted.guide);
    let way = if method == Method::FlowMh { Way::Jumping(guide) } else { Way::Behind(guide) };
    sample(job.model, compiled, nuts, init, predict, way, &output(job, method), control)
}

/// Whether short plain chains do better than those of the stage, where these did badly; `guided` then says why there is no map.
fn plain_is_better(
    job: &Job<'_>,
    compiled: &Compiled,
    guided: &mut Guided,
    stage: &mut Stage,
    control: &Control<'_>,
) -> Result<bool, WorkflowError> {
    let Some(with) = stage.trial.filter(|t| !t.is_sound()) else {
        return Ok(false);
    };
    let init = job.start.init(compiled, job.nuts.chains, job.nuts.seed)?;
    let short = short_chains(compiled, None, &job.nuts, &init, control)?;
    stage.gradients.iter_mut().zip(&short.gradients).for_each(|(g, more)| *g += more);
    let better = short.trial.beats(&with);
    if better {
        guided.method = Method::Nuts;
        guided.reason = format!(
            "plain NUTS: short chains behind the guide {} ended with R-hat {:.2} and {} divergences in {} draws, plain ones with {:.2} and {}",
            guided.fitted.rung().name,
            with.rhat,
            with.divergent,
            with.draws,
            short.trial.rhat,
            short.trial.divergent
        );
    }
    Ok(better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::data::DataFile;
    use crate::model::posterior::Model;
    use crate::workflow::ladder::{self, Choice, Options};

    const FUNNEL: &str = "latent v ~ normal(0, 3)\nlatent x: vector[6] ~ normal(0, exp(v / 2))\n";

    fn compiled(text: &str) -> (Model, Compiled) {
        let model = Model::from_text("test", text).unwrap();
        let compiled = Compiled::new(model.bind(&DataFile::default()).unwrap());
        (model, compiled)
    }

    /// `auto` with the map of `guide` on the model `text`, short: the method in the end, its reason, and the largest R-hat.
    fn drawn(text: &str, guide: &str) -> (Method, String, f64) {
        let flow = Options { choice: Choice::Flow("realnvp(2)".into()), ..Options::default() };
        let fitted = ladder::fit(&compiled(guide).1, &flow, None).unwrap();
        let (model, compiled) = compiled(text);
        let data = DataFile::default();
        let mut job = Job { method: Method::Auto, ..Job::new(&model, &data) };
        (job.nuts.warmup, job.nuts.draws) = (400, 200);
        let mut guided = Guided { method: Method::Transport, reason: "its gates".into(), fitted };
        let fit = draw(&job, &compiled, Some(&mut guided), None, &Control::default(), &mut vec![]).unwrap();
        (guided.method, guided.reason, fit.summaries.iter().map(|s| s.rhat).fold(0.0, f64::max))
    }

    /// A lower aim means longer steps: each of four chains behind the same map has them, which by chance alone is 1 in 16.
    #[test]
    fn chains_behind_a_map_aim_at_what_is_asked_and_else_high() {
        let (model, compiled) = compiled(FUNNEL);
        let data = DataFile::default();
        let flow = Options { choice: Choice::Flow("realnvp(2)".into()), ..Options::default() };
        let steps = |accept_behind| -> Vec<f64> {
            let fitted = ladder::fit(&compiled, &flow, None).unwrap();
            let mut job = Job { method: Method::Transport, accept_behind, ..Job::new(&model, &data) };
            (job.nuts.warmup, job.nuts.draws) = (200, 20);
            let mut guided = Guided { method: Method::Transport, reason: String::new(), fitted };
            let fit = draw(&job, &compiled, Some(&mut guided), None, &Control::default(), &mut vec![]).unwrap();
            fit.runs.iter().map(|r| r.step_size).collect()
        };
        let (own, asked) = (steps(None), steps(Some(0.6)));
        assert!(own.iter().zip(&asked).all(|(own, asked)| asked > own), "{own:?} {asked:?}");
        assert_eq!(own, steps(Some(ACCEPT_BEHIND)));
    }

    /// Behind the map of a funnel a normal is a funnel upside down, for which short chains show bad R-hat or divergences.
    #[test]
    fn auto_leaves_a_map_that_makes_the_posterior_worse_and_keeps_one_that_makes_it_better() {
        let (method, reason, rhat) = drawn(&FUNNEL.replace("exp(v / 2)", "1"), FUNNEL);
        assert_eq!(method, Method::Nuts, "{reason}");
        assert!(reason.starts_with("plain NUTS: short chains behind the guide") && rhat < 1.05, "{reason} {rhat}");
        let (method, reason, _) = drawn(FUNNEL, FUNNEL);
        assert_eq!((method, &reason[..]), (Method::Transport, "its gates"));
    }
}
