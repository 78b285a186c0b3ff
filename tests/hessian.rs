//! Hessian-vector products (forward over reverse mode) of every model in the repository against differences of gradients.
//!
//! The models of `models/posteriordb` are compared where `THALWEG_POSTERIORDB` names the folder with their data.

use std::path::{Path, PathBuf};

use thalweg::base::rng::Stream;
use thalweg::base::simd::Isa;
use thalweg::density::{Gradient, LogDensity};
use thalweg::graph::jvp::jvp;
use thalweg::graph::program::{Options, Program};
use thalweg::graph::{Spread, Var};
use thalweg::model::compiled::Compiled;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;

/// Relative to the largest component: the truncation of the five-point rule and rounding over the step stay below.
const TOLERANCE: f64 = 1e-6;

fn split<'a>(x: &'a [f64], counts: &[usize]) -> Vec<&'a [f64]> {
    let mut rest = x;
    let mut part = |n: &usize| {
        let (a, b) = rest.split_at(*n);
        rest = b;
        a
    };
    counts.iter().map(&mut part).collect()
}

/// H v at a point by jvp of the gradient.
fn product(c: &Compiled, x: &[f64], v: &[f64]) -> Vec<f64> {
    let (graph, grads) = c.differentiated();
    let mut g = graph.clone();
    let inputs: Vec<Var> = c.posterior.sites.iter().map(|s| s.input).collect();
    let counts: Vec<usize> = c.posterior.sites.iter().map(|s| s.free).collect();
    let mut tangents = vec![];
    for i in &inputs {
        let shape = g.shape(*i);
        tangents.push(g.input("direction", shape, Spread::Particle));
    }
    let mut outputs = jvp(&mut g, grads, &inputs, &tangents);
    for o in &mut outputs {
        *o = g.per_particle(*o);
    }
    let p = Program::compile(&g, &outputs, &Options { lanes: 1, isa: Isa::detect() });
    let mut parts: Vec<Vec<f64>> = counts.iter().map(|n| vec![0.0; *n]).collect();
    let mut out: Vec<&mut [f64]> = parts.iter_mut().map(|p| &mut p[..]).collect();
    let inputs = [split(x, &counts), split(v, &counts)].concat();
    p.run(&inputs, &mut out, &mut vec![0.0; p.scratch()]);
    parts.concat()
}

/// The same by the five-point rule, at the best of some steps: they differ by curvature and rounding.
fn differences(c: &Compiled, x: &[f64], v: &[f64], h: f64) -> Vec<f64> {
    let mut ws = vec![0.0; c.scratch()];
    let mut at = |t: f64| {
        let y: Vec<f64> = x.iter().zip(v).map(|(x, v)| x + t * v).collect();
        let mut grad = vec![0.0; x.len()];
        c.logp_grad(&y, &mut grad, &mut ws);
        grad
    };
    let (a, b, d, e) = (at(-2.0 * h), at(-h), at(h), at(2.0 * h));
    (0..x.len()).map(|j| (8.0 * (d[j] - b[j]) - (e[j] - a[j])) / (12.0 * h)).collect()
}

fn agree(model: &Path, data: &DataFile) -> Result<(), String> {
    let post = Model::load(model).and_then(|m| m.bind(data)).map_err(|e| e.to_string())?;
    let c = Compiled::new(post);
    let n = c.posterior.dim;
    let mut rng = Stream::new(5, "hessian", 0);
    for _ in 0..2 {
        let x: Vec<f64> = (0..n).map(|_| rng.uniform() - 0.5).collect();
        let v: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let v: Vec<f64> = v.iter().map(|v| v / norm).collect();
        let exact = product(&c, &x, &v);
        let size = exact.iter().fold(0.0f64, |m, h| m.max(h.abs()));
        if !size.is_finite() {
            return Err(format!("the product is not finite: {exact:?}"));
        }
        let off = |h: f64| {
            let d = differences(&c, &x, &v, h);
            exact.iter().zip(&d).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / size
        };
        // A wrong product is wrong at every step.
        let best = [1e-2, 2e-3, 5e-4, 1e-4].into_iter().map(off).fold(f64::INFINITY, f64::min);
        if !(best <= TOLERANCE) {
            return Err(format!("relative difference {best:e}"));
        }
    }
    Ok(())
}

/// Folders and files of the repository, in order.
fn listing(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut all: Vec<PathBuf> = std::fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path()).collect();
    all.sort();
    all
}

#[test]
fn models_of_the_repository() {
    let mut wrong = vec![];
    let mut count = 0;
    for folder in listing("models").into_iter().filter(|f| f.join("model.thal").exists()) {
        let data = match folder.join("data.json") {
            p if p.exists() => DataFile::load(&p).unwrap_or_else(|e| panic!("{e}")),
            _ => DataFile::default(),
        };
        let done = agree(&folder.join("model.thal"), &data);
        if done.as_ref().is_err_and(|e| e.starts_with("error: the data file has no")) && data.keys().next().is_none() {
            continue;
        }
        count += 1;
        if let Err(e) = done {
            wrong.push(format!("{}: {e}", folder.display()));
        }
    }
    assert!(count > 20, "{count} models");
    assert!(wrong.is_empty(), "{} of {count} disagree:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn models_of_posteriordb() {
    let Some(folder) = std::env::var_os("THALWEG_POSTERIORDB").map(PathBuf::from) else {
        println!("SKIPPED: THALWEG_POSTERIORDB is not set, the models with Stan's data were not compared");
        return;
    };
    let text = std::fs::read_to_string(folder.join("index.json")).unwrap_or_else(|e| panic!("index.json: {e}"));
    let index: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("index.json: {e}"));
    let mut wrong = vec![];
    for file in listing("models/posteriordb") {
        let Some(name) = file.file_stem().and_then(|s| s.to_str()) else { continue };
        let found = index.as_array().into_iter().flatten().find(|p| p["posterior"] == name);
        let Some(data) = found.and_then(|p| p["data_file"].as_str()) else { continue };
        let data = DataFile::load(&folder.join(data)).unwrap_or_else(|e| panic!("{e}"));
        if let Err(e) = agree(&file, &data) {
            wrong.push(format!("{name}: {e}"));
        }
    }
    assert!(wrong.is_empty(), "{} disagree:\n{}", wrong.len(), wrong.join("\n"));
}
