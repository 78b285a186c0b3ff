//! How to draw: which method, why, and where chains start.

use serde::Serialize;

use crate::base::rng::Stream;
use crate::density::LogDensity;
use crate::evidence::importance::{BLOCKS, PLAIN_KHAT};
use crate::model::compiled::Compiled;
use crate::model::data::{DataFile, Raw};
use crate::model::posterior::{Model, Settings};
use crate::workflow::ladder::Fitted;
use crate::workflow::start::coordinates;

/// A way to posterior draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Chosen from what the guide shows.
    Auto,
    /// NUTS in the model's coordinates.
    #[default]
    Nuts,
    /// NUTS in the coordinates of a guide's map (neural transport).
    Transport,
    /// Weighted draws from a guide, without chains.
    Importance,
    /// [`Transport`](Method::Transport) with independence Metropolis jumps to draws from the guide, between modes.
    FlowMh,
}

impl Method {
    /// Whether there is no way without a guide.
    pub fn needs_guide(self) -> bool {
        matches!(self, Method::Transport | Method::Importance | Method::FlowMh)
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Auto => "auto",
            Method::Nuts => "nuts",
            Method::Transport => "transport",
            Method::Importance => "importance",
            Method::FlowMh => "flow-mh",
        }
    }

    /// The reason where the method was asked for.
    pub fn asked(self) -> &'static str {
        match self {
            Method::Auto => "chosen from what the guide shows",
            Method::Nuts => "NUTS in the coordinates of the model; --method auto lets the guide decide",
            Method::Transport => "NUTS behind the guide, as asked for",
            Method::Importance => "importance sampling from the guide, as asked for",
            Method::FlowMh => "NUTS behind the guide with jumps to its draws, as asked for",
        }
    }
}

/// k-hat up to which weights carry estimates (Vehtari et al. 2024), and a guide of no nonlinear layer shows a posterior close to
/// normal, where NUTS needs no map.
const CLOSE: f64 = 0.7;

/// The method that the diagnostics of a guide call for, and the reason in words. `chains` says that chains are wanted
/// whatever weights could do: the evidence is bounded from above by draws of chains.
pub fn choose(fitted: &Fitted, chains: bool) -> (Method, String) {
    let rung = fitted.rung();
    let (name, khat) = (&rung.name, rung.khat);
    if !rung.is_airworthy() {
        return (Method::Nuts, format!("plain NUTS: the flow {name} is not airworthy, so nothing is sent through it"));
    }
    if khat < CLOSE && !chains {
        let how = match khat < PLAIN_KHAT {
            true => "is below 0.5, so plain weighted means and their errors hold".to_string(),
            false => format!("is below 0.7: Pareto-smoothed weights, errors widened to the spread of {BLOCKS} blocks"),
        };
        return (
            Method::Importance,
            format!(
                "importance sampling from the guide {name}: its k-hat {khat:.2} on fresh draws {how}, given that no mode was missed"
            ),
        );
    }
    if fitted.guide.family.is_gaussian() && khat < CLOSE {
        return (
            Method::Nuts,
            format!("plain NUTS: a normal guide has k-hat {khat:.2}, so a map has little to straighten"),
        );
    }
    let gain = rung.elbo.value - fitted.rungs[0].elbo.value;
    (
        Method::Transport,
        format!(
            "NUTS behind the guide {name}: it raises the bound by {gain:.2} over the normal guide (k-hat {khat:.2})"
        ),
    )
}

/// One in so many prior draws is a start.
const BEST: usize = 4;

/// Draws from the prior in unconstrained coordinates, row-major: of `n` the quarter with the highest posterior density, since a
/// diffuse prior puts most of its draws where no chain comes back from. Fewer (perhaps none) where the model does not simulate,
/// or has latents that cannot be brought back one by one.
pub fn prior_points(
    model: &Model,
    data: &DataFile,
    settings: &Settings,
    compiled: &Compiled,
    n: usize,
    seed: u64,
) -> Vec<f64> {
    let mut points: Vec<(f64, Vec<f64>)> = vec![];
    let mut ws = vec![0.0; compiled.scratch()];
    for k in 0..n {
        let mut rng = Stream::new(seed, "prior", k as u64);
        let Ok(draw) = model.simulate(data, settings, &mut rng) else { break };
        let mut latents = DataFile::default();
        for l in draw.latents {
            let raw = Raw::new(&[l.values.len()], l.values);
            latents.insert(l.name, raw);
        }
        match coordinates(&latents, compiled) {
            Ok(x) if x.iter().all(|v| v.is_finite()) => points.push((compiled.logp(&x, &mut ws), x)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    points.retain(|p| p.0.is_finite());
    points.sort_by(|a, b| b.0.total_cmp(&a.0));
    points.truncate(points.len().div_ceil(BEST));
    points.into_iter().flat_map(|p| p.1).collect()
}
