//! Posterior draws of the posteriordb models against their reference draws: mean, sd, 5 % and 95 % quantiles.
//!
//! Reads the folder named by `THALWEG_POSTERIORDB`; says so and passes where it is unset. One false alarm in
//! about 380,000 comparisons at |z| = 4.7; there are about 1,300, so a sound sampler fails once in 300 seeds.

use std::path::{Path, PathBuf};

use serde_json::Value;
use thalweg::diagnostics::mcse;
use thalweg::diagnostics::summary::{Summary, summarize};
use thalweg::mcmc::config::{Control, Nuts};
use thalweg::mcmc::init::Init;
use thalweg::model::compiled::Compiled;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;

const THRESHOLD: f64 = 4.7;
const SEED: u64 = 1;

/// Stan itself ends there with R-hat 1.03: a funnel in centred coordinates.
const EXEMPT: &str = "eight_schools-eight_schools_centered";

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

struct Outcome {
    worst: f64,
    about: String,
    problems: Vec<String>,
    line: String,
}

/// Draws by quantity and chain.
type Chains = Vec<Vec<Vec<f64>>>;

/// Chains of constrained draws, gradients after warm-up, divergent transitions.
fn draws(post: &Compiled, seed: u64) -> Result<(Chains, u64, usize), String> {
    let nuts = Nuts { seed, ..Nuts::default() };
    let samples = nuts.sample(post, &Init::default(), &Control::default()).map_err(|e| e.to_string())?;
    let dim = post.posterior.dim;
    let mut ws = vec![];
    let mut row = vec![0.0; post.width()];
    let mut out = vec![vec![vec![]; samples.draws.len()]; post.width()];
    for (c, memory) in samples.draws.iter().enumerate() {
        for x in memory.positions().chunks(dim) {
            post.values(x, &mut row, &mut ws);
            for (q, v) in row.iter().enumerate() {
                out[q][c].push(*v);
            }
        }
    }
    let gradients = samples.chains.iter().map(|c| c.gradients).sum();
    Ok((out, gradients, samples.chains.iter().map(|c| c.divergent).sum()))
}

fn compare(name: &str, folder: &Path, model: &Path, data: &str) -> Result<Outcome, String> {
    let reference = read(&folder.join(format!("reference/{name}.json")));
    let data = DataFile::load(&folder.join(data)).map_err(|e| e.to_string())?;
    let post = Model::load(model).and_then(|m| m.bind(&data)).map_err(|e| e.to_string())?;
    let names = post.value_names();
    let post = Compiled::new(post);
    let (quantities, gradients, divergent) = draws(&post, SEED)?;
    let mut outcome = Outcome { worst: 0.0, about: String::new(), problems: vec![], line: String::new() };
    let (mut least, mut worst_rhat) = (f64::INFINITY, 0.0f64);
    for (parameter, r) in reference["parameters"].as_object().into_iter().flatten() {
        let Some(q) = names.iter().position(|n| n == parameter) else {
            outcome.problems.push(format!("no {parameter}"));
            continue;
        };
        let chains: Vec<&[f64]> = quantities[q].iter().map(|c| c.as_slice()).collect();
        let s: Summary = summarize(&chains, &[0.05, 0.95]);
        let ours = [
            ("mean", s.mean, s.mcse_mean),
            ("sd", s.sd, s.mcse_sd),
            ("q05", s.quantiles[0], mcse::quantile(&chains, 0.05)),
            ("q95", s.quantiles[1], mcse::quantile(&chains, 0.95)),
        ];
        for (what, value, error) in ours {
            let (Some(truth), Some(theirs)) = (r[what].as_f64(), r[format!("mcse_{what}")].as_f64()) else { continue };
            let z = (value - truth) / (error * error + theirs * theirs).sqrt();
            if !(z.abs() <= outcome.worst) {
                (outcome.worst, outcome.about) = (z.abs(), format!("{what} of {parameter}"));
            }
            if !(z.abs() < THRESHOLD) {
                outcome.problems.push(format!("{what} of {parameter}: {value} against {truth}, z = {z:.2}"));
            }
        }
        let limit = if s.ess_bulk > 1500.0 { 1.01 } else { 1.03 };
        if !(s.rhat < limit) {
            outcome.problems.push(format!("R-hat of {parameter}: {:.4}, ESS {:.0}", s.rhat, s.ess_bulk));
        }
        least = least.min(s.ess_bulk);
        worst_rhat = worst_rhat.max(s.rhat);
    }
    outcome.line = format!(
        "{name}: worst z {:.2} ({}), R-hat {worst_rhat:.3}, min ESS {least:.0}, {:.1} gradients per effective draw, {divergent} divergent",
        outcome.worst,
        outcome.about,
        gradients as f64 / least
    );
    Ok(outcome)
}

#[test]
fn draws_agree_with_the_reference_posteriors() {
    let Some(folder) = std::env::var_os("THALWEG_POSTERIORDB").map(PathBuf::from) else {
        println!("SKIPPED: THALWEG_POSTERIORDB is not set, no reference posterior was compared");
        return;
    };
    let only = std::env::var("THALWEG_ONLY").ok();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/posteriordb");
    let index = read(&folder.join("index.json"));
    let (mut failures, mut count) = (vec![], 0);
    for p in index.as_array().into_iter().flatten() {
        let name = p["posterior"].as_str().unwrap_or_default();
        let model = models.join(format!("{name}.thal"));
        let wanted = only.as_ref().is_none_or(|o| name.contains(o.as_str()));
        if !model.exists() || !wanted || p["has_reference"] != true {
            continue;
        }
        count += 1;
        match compare(name, &folder, &model, p["data_file"].as_str().unwrap_or_default()) {
            Err(e) => failures.push(format!("{name}: {e}")),
            Ok(o) => {
                println!("{}", o.line);
                if name != EXEMPT {
                    failures.extend(o.problems.iter().map(|f| format!("{name}: {f}")));
                }
            }
        }
    }
    assert!(count > 0, "no model was compared");
    assert!(failures.is_empty(), "of {count} posteriors:\n{}", failures.join("\n"));
}
