//! Refinement of a guide before the warm-up proper: a first stage of half its length is drawn behind the fitted map, and shows what
//! the map misses.

use crate::density::Transport;
use crate::flow::airworthiness;
use crate::guide::Guide;
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::error::McmcError;
use crate::mcmc::init::Init;
use crate::mcmc::pullback::Pullback;
use crate::model::compiled::Compiled;
use crate::workflow::evidence::refined;
use crate::workflow::ladder::Fitted;

/// Iterations of warm-up that are worth dividing.
const LEAST: usize = 400;
/// Keeps the noise of this stage apart from that of the draws.
const STAGE: u64 = 0x7761_726d;
/// Points tried for each chain.
const TRIES: usize = 100;

/// Draws a first stage behind the guide's map, and fits the guide to the first halves of its chains (forward KL);
/// `fitted` has the result where the second halves show that it is better, and its flow passes the test of flows. Says in words whether
/// the guide is another one now.
///
/// `None` where there is nothing to refine, or too short a warm-up.
///
/// # Errors
/// Where chains find no start.
pub fn refine_in_warm_up(
    compiled: &Compiled,
    fitted: &mut Fitted,
    nuts: &Nuts,
    points: &[f64],
    control: &Control<'_>,
) -> Result<Option<String>, McmcError> {
    if fitted.guide.family.is_affine() || nuts.warmup < LEAST {
        return Ok(None);
    }
    let quarter = nuts.warmup / 4;
    let first =
        Nuts { warmup: quarter, draws: quarter, thin: 1, seed: nuts.seed ^ STAGE, save_warmup: false, ..nuts.clone() };
    let chains = behind(compiled, &fitted.guide, &first, points, control)?;
    let remark = match refined(fitted, &chains, nuts.seed) {
        Some((guide, remark)) if airworthiness(&guide.family.flow, &guide.theta).passed() => {
            fitted.guide = guide;
            format!("during warm-up {remark}")
        }
        Some(_) => "a refinement of the guide during warm-up failed the test of flows, and was not kept".into(),
        None => "a refinement of the guide during warm-up was no better on draws held out, and was not kept".into(),
    };
    Ok(Some(remark))
}

/// Draws behind the guide's map, in the model's coordinates, chain by chain.
fn behind(
    compiled: &Compiled,
    map: &Guide,
    nuts: &Nuts,
    points: &[f64],
    control: &Control<'_>,
) -> Result<Vec<Vec<f64>>, McmcError> {
    let target = Pullback { target: compiled, map };
    let starts = target.starts(points);
    // Progress is that of the run itself.
    let watch = Control { cancel: control.cancel, ..Control::default() };
    let samples = nuts.sample(&target, &Init::Draw { draw: &starts, tries: TRIES }, &watch)?;
    let mut ws = vec![0.0; Transport::scratch(map)];
    let mut push = |u: &[f64]| {
        let mut x = vec![0.0; u.len()];
        let dim = map.family.dim();
        for (u, x) in u.chunks_exact(dim).zip(x.chunks_exact_mut(dim)) {
            map.forward(u, x, &mut ws);
        }
        x
    };
    Ok(samples.draws.iter().map(|d| push(d.positions())).collect())
}
