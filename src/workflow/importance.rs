//! Posterior draws by importance sampling from a guide: weighted summaries, resampled rows for files.

use std::fs::File;
use std::time::Instant;

use rayon::prelude::*;

use crate::base::rng::Stream;
use crate::density::LogDensity;
use crate::diagnostics::weighted::WeightSets;
use crate::evidence::estimate::Standing;
use crate::evidence::importance::{BLOCKS, importance as judge};
use crate::evidence::mixture::Mixture;
use crate::evidence::student::StudentT;
use crate::evidence::weights::{Weights, drawn_with_points};
use crate::guide::Guide;
use crate::io::StanCsvWriter;
use crate::mcmc::config::Nuts;
use crate::model::compiled::Compiled;
use crate::workflow::fit::{Fit, Weighting};
use crate::workflow::ladder::moments;
use crate::workflow::layout::Layout;
use crate::workflow::predict::Predict;
use crate::workflow::sample::{Output, QUANTILES, WorkflowError, fits, open};
use crate::workflow::store::Columns;

/// Column of the files in front of the values.
const LEADING: [&str; 1] = ["lp__"];

/// As many draws from the defensive mixture of the guide and a Student-t as `nuts` would keep, weighted by p / q.
///
/// The estimates are weighted ones: plain where k-hat of these draws is below 0.5, Pareto-smoothed with errors widened to the
/// spread of [`BLOCKS`] blocks up to 0.7. The draws that are kept and written are resampled by the weights (systematic
/// resampling, Kitagawa 1996), neighbours to different chains.
///
/// # Errors
/// Where k-hat is above 0.7 or weights are no numbers; and as [`sample`](crate::workflow::sample::sample).
pub fn importance(
    compiled: &Compiled,
    nuts: &Nuts,
    guide: &Guide,
    predict: Option<&Predict<'_>>,
    output: &Output,
) -> Result<Fit, WorkflowError> {
    let start = Instant::now();
    let safe = StudentT::around(&moments(guide, nuts.seed))?;
    let mixture = Mixture::defensive(guide, &safe)?;
    let layout = Layout::with_reports(compiled, predict);
    let draws = nuts.draws.div_ceil(nuts.thin.max(1));
    // The weighted draws and the resampled ones.
    fits(draws, 2 * layout.names.len() + 2 * compiled.posterior.dim, nuts.chains)?;
    let n = draws * nuts.chains;
    let (weights, points) = drawn_with_points(compiled, &mixture, n, nuts.seed, "importance")?;
    let (sets, weighting) = weigh(&weights)?;
    let rows = rows(compiled, &layout, predict, &points, nuts.seed)?;
    let width = layout.names.len();
    let column = |j: usize| rows.iter().skip(j).step_by(width.max(1)).copied().collect::<Vec<f64>>();
    let summaries = (0..width).into_par_iter().map(|j| sets.summarize(&column(j), &QUANTILES)).collect();
    let chosen = resampled(&sets.all, n, Stream::new(nuts.seed, "resample", 0).uniform());
    let mut chains = vec![];
    for c in 0..nuts.chains {
        let own: Vec<usize> = chosen.iter().copied().skip(c).step_by(nuts.chains).collect();
        chains.push(Columns::of_rows(width, own.iter().map(|i| &rows[i * width..(i + 1) * width])));
        if let Some(folder) = &output.folder {
            let mut writer = open(folder, c, output, &layout, &LEADING)?;
            write(&mut writer, compiled, &own, &points, &rows, width)?;
            writer.finish()?;
        }
    }
    Ok(Fit {
        layout,
        summaries,
        runs: vec![],
        used: (0..nuts.chains).collect(),
        draws,
        warmup: 0,
        target_accept: 0.0,
        seconds: start.elapsed().as_secs_f64(),
        chains,
        base_rhat: None,
        weighting: Some(weighting),
    })
}

/// Normalised weights, as far as they can be used.
fn weigh(weights: &Weights) -> Result<(WeightSets, Weighting), WorkflowError> {
    let found = judge(weights)?;
    let khat = found.estimate.khat;
    let (sets, caution) = match found.standing {
        Standing::Sound => (WeightSets::plain(weights.log()), None),
        Standing::Caution(_) => {
            let why =
                format!("k-hat {khat:.2}: the weights are smoothed, and errors are the spread of {BLOCKS} blocks");
            (WeightSets::smoothed(weights.log(), BLOCKS), Some(why))
        }
        Standing::Untrusted(why) => return Err(WorkflowError::Weights(why)),
    };
    let ess = sets.ess();
    Ok((sets, Weighting { khat, ess, caution }))
}

/// The kept values of each point, row after row.
fn rows(
    compiled: &Compiled,
    layout: &Layout,
    predict: Option<&Predict<'_>>,
    points: &[f64],
    seed: u64,
) -> Result<Vec<f64>, WorkflowError> {
    let (width, dim, computed) = (layout.names.len(), compiled.posterior.dim, layout.positions.len());
    let mut rows = vec![0.0; points.len() / dim * width];
    let work = || (vec![0.0; layout.width], vec![]);
    let each = |(values, scratch): &mut (Vec<f64>, Vec<f64>), (i, (row, x)): (usize, (&mut [f64], &[f64]))| {
        compiled.values(x, values, scratch);
        let (known, drawn) = row.split_at_mut(computed);
        known.iter_mut().zip(&layout.positions).for_each(|(to, at)| *to = values[*at]);
        match predict {
            Some(p) => p.draw(seed, i as u64, known, drawn).map_err(WorkflowError::Report),
            None => Ok(()),
        }
    };
    let all = rows.par_chunks_mut(width.max(1)).zip(points.par_chunks(dim)).enumerate();
    all.map_init(work, each).collect::<Result<(), WorkflowError>>()?;
    Ok(rows)
}

/// `n` draws by systematic resampling: draw i about n wᵢ times, in order.
fn resampled(w: &[f64], n: usize, u: f64) -> Vec<usize> {
    let (mut at, mut upto) = (0, w.first().copied().unwrap_or(0.0));
    let pick = |k: usize| {
        while upto < (k as f64 + u) / n as f64 && at + 1 < w.len() {
            at += 1;
            upto += w[at];
        }
        at
    };
    (0..n).map(pick).collect()
}

fn write(
    writer: &mut StanCsvWriter<File>,
    compiled: &Compiled,
    chosen: &[usize],
    points: &[f64],
    rows: &[f64],
    width: usize,
) -> Result<(), WorkflowError> {
    let dim = compiled.posterior.dim;
    let mut ws = vec![0.0; LogDensity::scratch(compiled)];
    for &i in chosen {
        let lp = compiled.logp(&points[i * dim..(i + 1) * dim], &mut ws);
        writer.row(&[lp], &rows[i * width..(i + 1) * width])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::resampled;

    /// Each draw floor(n w) or one time more.
    #[test]
    fn systematic_resampling_keeps_shares() {
        let w = [0.05, 0.5, 0.0, 0.2, 0.25];
        for u in [0.0, 0.3, 0.999] {
            let chosen = resampled(&w, 10, u);
            assert_eq!(chosen.len(), 10);
            for (i, w) in w.iter().enumerate() {
                let count = chosen.iter().filter(|c| **c == i).count() as f64;
                assert!((count - 10.0 * w).abs() < 1.0 + 1e-9, "{i}: {chosen:?}");
            }
            assert!(!chosen.contains(&2) || u == 0.0);
        }
    }
}
