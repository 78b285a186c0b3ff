//! NUTS on a model: parallel chains, draws to memory and to disk, a summary.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;

use crate::diagnostics::summary::summarize_all;
use crate::guide::Guide;
use crate::io::{IoError, NUTS_COLUMNS, StanCsvWriter, dotted};
use crate::mcmc::account::ChainRun;
use crate::mcmc::config::{Control, Nuts};
use crate::mcmc::error::McmcError;
use crate::mcmc::init::Init;
use crate::mcmc::pullback::Pullback;
use crate::model::compiled::Compiled;
use crate::model::posterior::{Model, ModelError};
use crate::workflow::behind::{BaseLaw, BasePoints, Behind, largest_rhat};
use crate::workflow::fit::Fit;
use crate::workflow::layout::Layout;
use crate::workflow::predict::Predict;
use crate::workflow::start::StartError;
use crate::workflow::store::{ChainStore, Columns};

/// Why a workflow ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// The sampler.
    #[error("{0}")]
    Mcmc(#[from] McmcError),
    /// No starting point, with the names of the coordinates.
    #[error("{0}")]
    Start(String),
    /// A file.
    #[error("{0}")]
    Io(#[from] IoError),
    /// The output folder.
    #[error("cannot make the folder {path}: {source}; choose another --out", path = path.display())]
    Folder {
        /// Its path.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// More draws than fit into memory.
    #[error(
        "{draws} draws of {values} values by {chains} chains do not fit into memory; draw fewer, or let `sample` keep every n-th (--thin)"
    )]
    Memory {
        /// Draws of each chain.
        draws: usize,
        /// Values of each draw.
        values: usize,
        /// Chains.
        chains: usize,
    },
    /// Weights that carry no estimate.
    #[error(
        "importance sampling: {0}; fit a freer guide (--guide 'realnvp(8)'), or let chains correct it: --method transport"
    )]
    Weights(String),
    /// Estimates from weights.
    #[error("importance sampling: {0}")]
    Importance(#[from] crate::evidence::error::EvidenceError),
    /// A drawn report.
    #[error("{0}")]
    Report(String),
    /// Draws on disk that cannot be used.
    #[error("the draws in {folder}: {problem}; give a folder that `thalweg sample --out` has written for this model", folder = folder.display())]
    Draws {
        /// Their folder.
        folder: PathBuf,
        /// What is wrong with them.
        problem: String,
    },
    /// The starting points that were given.
    #[error("{0}")]
    Init(#[from] StartError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No guide.
    #[error("{0}")]
    Guide(#[from] crate::workflow::ladder::GuideError),
    /// No guide in a file.
    #[error("{0}")]
    GuideFile(#[from] crate::guide::GuideFileError),
}

/// What the table and the JSON show.
pub const QUANTILES: [f64; 3] = [0.05, 0.5, 0.95];

/// In which coordinates chains work.
#[derive(Clone, Copy, Default)]
pub enum Way<'a> {
    /// The model's.
    #[default]
    Plain,
    /// Those of the guide's map (neural transport).
    Behind(&'a Guide),
    /// Those of the guide's map, with independence Metropolis jumps to draws from its base.
    Jumping(&'a Guide),
}

/// Where a run writes.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Folder for `chain_1.csv`, …; nothing is written without.
    pub folder: Option<PathBuf>,
    /// `# key = value` lines of the files.
    pub header: Vec<(String, String)>,
    /// Whether the fit keeps the unconstrained positions of the draws.
    pub positions: bool,
}

/// Samples a posterior from random starts and keeps the draws in memory alone.
pub fn sample_model(model: &Model, compiled: &Compiled, nuts: &Nuts) -> Result<Fit, WorkflowError> {
    sample(model, compiled, nuts, &Init::default(), None, Way::Plain, &Output::default(), &Control::default())
}

/// Samples a posterior and summarises the draws. Behind a guide NUTS works in the coordinates of its map, and so does `init`.
pub fn sample(
    model: &Model,
    compiled: &Compiled,
    nuts: &Nuts,
    init: &Init<'_>,
    predict: Option<&Predict<'_>>,
    way: Way<'_>,
    output: &Output,
    control: &Control<'_>,
) -> Result<Fit, WorkflowError> {
    let start = Instant::now();
    let layout = Layout::with_reports(compiled, predict);
    let capacity = kept(nuts);
    fits(capacity, layout.names.len(), nuts.chains)?;
    let mut stores = vec![];
    for c in 0..nuts.chains {
        let writer = output.folder.as_deref().map(|f| open(f, c, output, &layout, &NUTS_COLUMNS)).transpose()?;
        stores.push(ChainStore::new(compiled, &layout, predict, nuts.seed, capacity, output.positions, writer));
    }
    let (done, stores, base) = chains_of(compiled, nuts, init, way, stores, control);
    let mut chains = stores.into_iter().map(|s| s.finish()).collect::<Result<Vec<Columns>, _>>()?;
    let runs = done.map_err(|e| explain(model, compiled, nuts.seed, e))?;
    let (used, draws) = common(&chains.iter().map(|c| c.len()).collect::<Vec<_>>());
    let quantities: Vec<Vec<&[f64]>> = (0..layout.names.len())
        .into_par_iter()
        .map(|j| used.iter().map(|&c| &chains[c].column(j)[..draws]).collect())
        .collect();
    let summaries = summarize_all(&quantities, &QUANTILES);
    let dim = compiled.posterior.dim;
    let points: Vec<&[f64]> = used.iter().filter_map(|&c| base.get(c)).map(|b| &b.all[..]).collect();
    let base_rhat = (!points.is_empty()).then(|| largest_rhat(&points, dim, draws));
    chains.iter_mut().zip(base).for_each(|(c, b)| c.divergent = b.divergent);
    Ok(Fit {
        layout,
        summaries,
        runs,
        used,
        draws,
        warmup: nuts.warmup,
        target_accept: nuts.target_accept,
        seconds: start.elapsed().as_secs_f64(),
        chains,
        base_rhat,
        weighting: None,
    })
}

type Chains<'a> = (Result<Vec<ChainRun>, McmcError>, Vec<ChainStore<'a>>, Vec<BasePoints>);

/// Runs the chains into their stores; with their points behind the map, where there is one.
fn chains_of<'a>(
    compiled: &Compiled,
    nuts: &Nuts,
    init: &Init<'_>,
    way: Way<'a>,
    mut stores: Vec<ChainStore<'a>>,
    control: &Control<'_>,
) -> Chains<'a> {
    let (map, jumping) = match way {
        Way::Plain => {
            let done = nuts.run(compiled, init, &mut stores, control);
            return (done, stores, vec![]);
        }
        Way::Behind(map) => (map, false),
        Way::Jumping(map) => (map, true),
    };
    let target = Pullback { target: compiled, map };
    let mut sinks: Vec<Behind<'a>> = stores.into_iter().map(|s| Behind::new(map, s)).collect();
    let done = match jumping {
        true => nuts.run_with_jumps(&target, &BaseLaw::new(map), init, &mut sinks, control),
        false => nuts.run(&target, init, &mut sinks, control),
    };
    let (stores, base) = sinks.into_iter().map(Behind::into_parts).unzip();
    (done, stores, base)
}

/// Refuses what memory cannot hold.
pub fn fits(draws: usize, values: usize, chains: usize) -> Result<(), WorkflowError> {
    // What a chain or a row of values costs beside its numbers.
    const EXTRA: usize = 8;
    let per_chain = (values + EXTRA).checked_mul(draws.saturating_add(EXTRA));
    let total = per_chain.and_then(|n| n.checked_mul(chains));
    match total.map(|n| Vec::<f64>::new().try_reserve_exact(n)) {
        Some(Ok(())) => Ok(()),
        _ => Err(WorkflowError::Memory { draws, values, chains }),
    }
}

/// Draws that each chain keeps.
fn kept(nuts: &Nuts) -> usize {
    let every = nuts.thin.max(1);
    let warmup = if nuts.save_warmup { nuts.warmup.div_ceil(every) } else { 0 };
    nuts.draws.div_ceil(every).saturating_add(warmup)
}

/// The file of one chain.
pub fn open(
    folder: &Path,
    chain: usize,
    output: &Output,
    layout: &Layout,
    leading: &[&str],
) -> Result<StanCsvWriter<std::fs::File>, IoError> {
    let path = folder.join(format!("chain_{}.csv", chain + 1));
    let mut header: Vec<(&str, String)> = output.header.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    header.push(("chain", (chain + 1).to_string()));
    let names: Vec<String> = layout.names.iter().map(|n| dotted(n)).collect();
    StanCsvWriter::create(&path, &header, leading, &names)
}

/// The chains to summarise and their common length: of all ways to cut unequal chains (after an
/// interrupt) to one length, the one that keeps the most draws.
fn common(lengths: &[usize]) -> (Vec<usize>, usize) {
    let kept = |l: usize| l * lengths.iter().filter(|&&n| n >= l).count();
    let best = lengths.iter().copied().max_by_key(|&l| kept(l)).unwrap_or(0);
    ((0..lengths.len()).filter(|&c| lengths[c] >= best).collect(), best)
}

/// A failed start in the model's words: names of coordinates and the line at fault.
fn explain(model: &Model, compiled: &Compiled, seed: u64, e: McmcError) -> WorkflowError {
    let McmcError::Init { chain, tries, logp, coordinates } = &e else {
        return e.into();
    };
    const SHOWN: usize = 8;
    let names = compiled.posterior.coordinate_names();
    let bad: Vec<&str> = coordinates.iter().take(SHOWN).filter_map(|&j| names.get(j)).map(|n| n.as_str()).collect();
    let mut text = format!("chain {}: no usable starting point in {tries} tries: the log density is {logp}", chain + 1);
    if !bad.is_empty() {
        let more = coordinates.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("; its gradient is not finite in {}{more}", bad.join(", ")));
    }
    if let Some(d) = super::locate::failure(model, compiled, seed) {
        text.push('\n');
        text.push_str(&d.render(&model.file, &model.source));
    } else {
        text.push_str("\nhelp: give other initial values with --init");
    }
    WorkflowError::Start(text)
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn unequal_chains_keep_most_draws() {
        assert_eq!(common(&[100, 100]), (vec![0, 1], 100));
        assert_eq!(common(&[100, 10, 0]), (vec![0], 100));
        assert_eq!(common(&[100, 90, 0]), (vec![0, 1], 90));
        assert_eq!(common(&[0, 0]), (vec![0, 1], 0));
    }
}
