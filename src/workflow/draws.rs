//! The draws of a job: plain, weighted, or behind the map of a guide.

use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::init::Init;
use crate::mcmc::pullback::Pullback;
use crate::model::compiled::Compiled;
use crate::workflow::fit::Fit;
use crate::workflow::importance::importance;
use crate::workflow::method::{Method, prior_points};
use crate::workflow::predict::Predict;
use crate::workflow::run::{Guided, Job};
use crate::workflow::sample::{Output, Way, WorkflowError, sample};
use crate::workflow::warm::{Stage, TRIES, refine_before_warm_up};

/// Mean acceptance statistic behind a map: what a map leaves uneven is narrow, and steps are few anyway.
pub const ACCEPT_BEHIND: f64 = 0.9;
/// Prior draws among which chains behind a map choose their starts.
const PRIOR_POINTS: usize = 100;

/// The draws, as the method has it.
pub(super) fn draw(
    job: &Job<'_>,
    compiled: &Compiled,
    guided: Option<&mut Guided>,
    predict: Option<&Predict<'_>>,
    control: &Control<'_>,
    notes: &mut Vec<String>,
) -> Result<Fit, WorkflowError> {
    let method = guided.as_ref().map_or(Method::Nuts, |g| g.method);
    let output = Output { folder: job.folder.clone(), header: job.header(method), positions: job.evidence.is_some() };
    let fitted = match guided {
        Some(g) if method == Method::Importance => {
            return importance(compiled, &job.nuts, &g.fitted.guide, predict, &output);
        }
        Some(g) if method.needs_guide() => &mut g.fitted,
        _ => {
            let init = job.start.init(compiled, job.nuts.chains, job.nuts.seed)?;
            return sample(job.model, compiled, &job.nuts, &init, predict, Way::Plain, &output, control);
        }
    };
    let nuts = Nuts { target_accept: job.accept_behind, ..job.nuts.clone() };
    let points = prior_points(job.model, job.data, &job.settings, compiled, PRIOR_POINTS, job.nuts.seed);
    // Chains without jumps could stay in one mode, and teach the guide to forget the others.
    let stage = match method {
        Method::FlowMh => Stage::default(),
        _ => refine_before_warm_up(compiled, fitted, &nuts, &points, control)?,
    };
    notes.extend(stage.remark);
    let guide = &fitted.guide;
    let way = if method == Method::FlowMh { Way::Jumping(guide) } else { Way::Behind(guide) };
    let pullback = Pullback { target: compiled, map: guide };
    let starts = pullback.starts(&points);
    let init = Init::Draw { draw: &starts, tries: TRIES };
    let mut fit = sample(job.model, compiled, &nuts, &init, predict, way, &output, control)?;
    fit.runs.iter_mut().zip(&stage.gradients).for_each(|(r, g)| r.warmup_gradients += g);
    Ok(fit)
}
