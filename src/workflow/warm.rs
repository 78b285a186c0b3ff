//! A first stage before the warm-up behind a map: its draws show what the map misses, and refine it.

use crate::flow::airworthiness;
use crate::guide::Guide;
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::error::McmcError;
use crate::mcmc::init::Init;
use crate::mcmc::pullback::{Pullback, Pushing};
use crate::mcmc::sink::Memory;
use crate::model::compiled::Compiled;
use crate::workflow::evidence::refined;
use crate::workflow::ladder::{Fitted, Rung, assess};

/// Iterations of warm-up from which a stage of half the length is worth its time.
const LEAST: usize = 400;
/// Keeps the noise of this stage apart from that of the draws.
const STAGE: u64 = 0x7761_726d;
/// Points tried for each chain.
pub const TRIES: usize = 100;

/// What the stage gave.
#[derive(Default)]
pub struct Stage {
    /// Whether the guide is another one now, in words; nothing where there was no stage.
    pub remark: Option<String>,
    /// Gradients of each chain.
    pub gradients: Vec<u64>,
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
    let (chains, gradients) = draws(compiled, &fitted.guide, nuts, points, control)?;
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
    Ok(Stage { remark: Some(remark), gradients })
}

/// Draws of the stage in the model's coordinates, and the gradients that they took, chain by chain.
fn draws(
    compiled: &Compiled,
    map: &Guide,
    nuts: &Nuts,
    points: &[f64],
    control: &Control<'_>,
) -> Result<(Vec<Vec<f64>>, Vec<u64>), McmcError> {
    let quarter = nuts.warmup / 4;
    let first =
        Nuts { warmup: quarter, draws: quarter, thin: 1, seed: nuts.seed ^ STAGE, save_warmup: false, ..nuts.clone() };
    let target = Pullback { target: compiled, map };
    let starts = target.starts(points);
    // Progress is that of the run itself.
    let watch = Control { cancel: control.cancel, ..Control::default() };
    let mut sinks: Vec<_> = (0..nuts.chains).map(|_| Pushing::new(map, Memory::default())).collect();
    let runs = first.run(&target, &Init::Draw { draw: &starts, tries: TRIES }, &mut sinks, &watch)?;
    let chains = sinks.into_iter().map(|s| s.into_inner().positions().to_vec()).collect();
    Ok((chains, runs.iter().map(|r| r.warmup_gradients + r.gradients).collect()))
}
