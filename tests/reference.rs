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

fn load(folder: &Path, p: &Posterior) -> Result<Compiled, String> {
    let data = DataFile::load(&folder.join(&p.data)).map_err(|e| e.to_string())?;
    Ok(Compiled::new(Model::load(&p.model).and_then(|m| m.bind(&data)).map_err(|e| e.to_string())?))
}

fn compare(folder: &Path, p: &Posterior, post: &Compiled, seed: u64) -> Result<Outcome, String> {
    let name = &p.name;
    let reference = read(&folder.join(format!("reference/{name}.json")));
    let names = post.posterior.value_names();
    let (quantities, gradients, divergent) = draws(post, seed)?;
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

/// A posterior of the collection.
struct Posterior {
    name: String,
    model: PathBuf,
    data: String,
    has_reference: bool,
}

/// Those with a model here; `THALWEG_ONLY` keeps the names that contain it.
fn posteriors(folder: &Path) -> Vec<Posterior> {
    let only = std::env::var("THALWEG_ONLY").ok();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/posteriordb");
    let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let index = read(&folder.join("index.json"));
    let all = index.as_array().into_iter().flatten().map(|p| {
        let name = text(&p["posterior"]);
        let model = models.join(format!("{name}.thal"));
        Posterior { name, model, data: text(&p["data_file"]), has_reference: p["has_reference"] == true }
    });
    all.filter(|p| p.model.exists() && only.as_ref().is_none_or(|o| p.name.contains(o.as_str()))).collect()
}

fn collection() -> Option<PathBuf> {
    let folder = std::env::var_os("THALWEG_POSTERIORDB").map(PathBuf::from);
    if folder.is_none() {
        println!("SKIPPED: THALWEG_POSTERIORDB is not set, no reference posterior was compared");
    }
    folder
}

#[test]
fn draws_agree_with_the_reference_posteriors() {
    let Some(folder) = collection() else { return };
    let (mut failures, mut count) = (vec![], 0);
    for p in posteriors(&folder).iter().filter(|p| p.has_reference) {
        count += 1;
        match load(&folder, p).and_then(|post| compare(&folder, p, &post, SEED)) {
            Err(e) => failures.push(format!("{}: {e}", p.name)),
            Ok(o) => {
                println!("{}", o.line);
                if p.name != EXEMPT {
                    failures.extend(o.problems.iter().map(|f| format!("{}: {f}", p.name)));
                }
            }
        }
    }
    assert!(count > 0, "no model was compared");
    assert!(failures.is_empty(), "of {count} posteriors:\n{}", failures.join("\n"));
}

/// Reported, not asserted: on how many of `THALWEG_SEEDS` (20) seeds the test above would fail.
///
/// `THALWEG_POSTERIORDB=… cargo test --release --test reference -- --ignored --nocapture sweep`
#[test]
#[ignore = "many seeds of every posterior take minutes"]
fn sweep_of_seeds() {
    let Some(folder) = collection() else { return };
    let seeds = std::env::var("THALWEG_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20u64);
    for p in posteriors(&folder).iter().filter(|p| p.has_reference) {
        let post = load(&folder, p).unwrap_or_else(|e| panic!("{}: {e}", p.name));
        let (mut failed, mut problems, mut worst) = (0, vec![], 0.0f64);
        for seed in 1..=seeds {
            let o = compare(&folder, p, &post, seed).unwrap_or_else(|e| panic!("{}: {e}", p.name));
            worst = worst.max(o.worst);
            failed += usize::from(!o.problems.is_empty());
            problems.extend(o.problems.iter().map(|what| format!("    seed {seed}: {what}")));
        }
        println!("{:<58} {failed:>2} of {seeds} seeds fail, worst z {worst:.2}", p.name);
        problems.iter().for_each(|line| println!("{line}"));
    }
}
