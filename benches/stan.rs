//! Gradients at width 1 against Stan's in CPU time, scaled by the speed of this machine's `exp`.
//!
//! `THALWEG_POSTERIORDB=… cargo bench --bench stan`. Stan's figures are `grad_full.cpu_min_us` of
//! `stan_timings.json`, taken where glibc's `exp` over 1024 doubles cost 5.55 ns each.

use std::path::{Path, PathBuf};

use thalweg::base::clock::thread_seconds;
use thalweg::density::{Gradient, LogDensity};
use thalweg::model::compiled::Compiled;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;

/// A differential equation is a part of the model there; it is no row of the mean.
const ODE: [&str; 2] = ["hudson_lynx_hare-lotka_volterra", "one_comp_mm_elim_abs-one_comp_mm_elim_abs"];

/// Stan ends there with R-hat 1.03, so the point of its timing is not a typical one; it is no row of the mean.
const CENTRED: &str = "eight_schools-eight_schools_centered";

const EXP_NS_THEN: f64 = 5.55;
const BATCHES: usize = 9;
const BATCH_SECONDS: f64 = 0.15;

/// Smallest CPU time of one call over several batches, in ns.
fn fastest(mut f: impl FnMut(usize)) -> f64 {
    let mut calls = 1;
    loop {
        let t = thread_seconds();
        (0..calls).for_each(&mut f);
        if thread_seconds() - t > BATCH_SECONDS / 4.0 {
            break;
        }
        calls *= 2;
    }
    calls *= 4;
    let batch = |f: &mut dyn FnMut(usize)| {
        let t = thread_seconds();
        (0..calls).for_each(f);
        (thread_seconds() - t) * 1e9 / calls as f64
    };
    (0..BATCHES).map(|_| batch(&mut f)).fold(f64::INFINITY, f64::min)
}

fn exp_ns() -> f64 {
    let x: Vec<f64> = (0..1024).map(|i| i as f64 / 100.0 - 5.0).collect();
    let mut y = vec![0.0; 1024];
    fastest(|_| {
        for (a, b) in x.iter().zip(&mut y) {
            *b = std::hint::black_box(*a).exp();
        }
        std::hint::black_box(&mut y);
    }) / 1024.0
}

fn gradient_ns(model: &Path, data: &Path, oracle: &Path) -> Result<f64, Box<dyn std::error::Error>> {
    let post = Compiled::new(Model::load(model)?.bind(&DataFile::load(data)?)?);
    let oracle: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(oracle)?)?;
    let point = oracle["nuts_points"].get(0).or(oracle["points"].get(0)).ok_or("no point")?;
    let x: Vec<f64> = point["x"].as_array().ok_or("no x")?.iter().filter_map(|v| v.as_f64()).collect();
    let points: Vec<Vec<f64>> = (0..64)
        .map(|k| x.iter().enumerate().map(|(j, v)| v + 1e-3 * ((k * 7 + j * 3) % 11) as f64).collect())
        .collect();
    let mut grad = vec![0.0; post.dim()];
    let mut ws = vec![0.0; post.scratch()];
    let mut sum = 0.0;
    let ns = fastest(|i| sum += post.logp_grad(&points[i % 64], &mut grad, &mut ws));
    std::hint::black_box(sum);
    Ok(ns)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(folder) = std::env::var_os("THALWEG_POSTERIORDB").map(PathBuf::from) else {
        println!("SKIPPED: THALWEG_POSTERIORDB is not set");
        return Ok(());
    };
    let only: Option<String> = std::env::args().nth(1).filter(|a| !a.starts_with("--"));
    let read = |p: PathBuf| -> Result<serde_json::Value, Box<dyn std::error::Error>> {
        Ok(serde_json::from_str(&std::fs::read_to_string(p)?)?)
    };
    let timings = read(folder.join("stan_timings.json"))?;
    let index = read(folder.join("index.json"))?;
    let speed = exp_ns() / EXP_NS_THEN;
    println!(
        "glibc exp here / then: {speed:.3}\n{:<58} {:>10} {:>10} {:>7}",
        "posterior", "ours us", "Stan us", "ratio"
    );
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/posteriordb");
    let mut logs = vec![];
    for row in timings["results"].as_array().or(timings["posteriors"].as_array()).ok_or("no rows")? {
        let name = row["posterior"].as_str().unwrap_or_default();
        let model = models.join(format!("{name}.thal"));
        let row_of_the_mean = name != CENTRED && !ODE.contains(&name);
        if !row_of_the_mean || !model.exists() || only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
            continue;
        }
        let Some(stan) = row["gradient_cpp_loop"]["grad_full"]["cpu_min_us"].as_f64() else { continue };
        let entry =
            index.as_array().and_then(|a| a.iter().find(|p| p["posterior"] == name)).ok_or("not in the index")?;
        let data = folder.join(entry["data_file"].as_str().unwrap_or_default());
        let ours = gradient_ns(&model, &data, &folder.join(format!("oracle/{name}.json")))? / 1e3;
        let ratio = stan * speed / ours;
        logs.push(ratio.ln());
        println!("{name:<58} {ours:>10.3} {:>10.3} {ratio:>7.2}", stan * speed);
    }
    let mean = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
    println!("geometric mean of {} ratios: {mean:.2}", logs.len());
    Ok(())
}
