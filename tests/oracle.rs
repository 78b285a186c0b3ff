//! Log densities and gradients of the posteriordb models against Stan's, coordinate by coordinate.
//!
//! Reads the folder named by `THALWEG_POSTERIORDB`; says so and passes where it is unset.

use std::path::{Path, PathBuf};

use serde_json::Value;
use thalweg::density::{Gradient, LogDensity};
use thalweg::model::compiled::Compiled;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Posterior};

const TOLERANCE: f64 = 1e-8;

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().map(|a| a.iter().filter_map(|x| x.as_f64()).collect()).unwrap_or_default()
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Position of each of our coordinates in Stan's vector.
fn order(post: &Posterior, source: &str, oracle: &Value) -> Vec<usize> {
    let theirs: Vec<String> = oracle["unconstrained_names"]
        .as_array()
        .map(|a| a.iter().filter_map(|x| x.as_str().map(String::from)).collect())
        .unwrap_or_default();
    let alias = source.lines().find_map(|l| l.strip_prefix("# coordinates: ")).and_then(|l| l.split_once(" = "));
    let find = |ours: &str| {
        let dotted = ours.replace(['[', ','], ".").replace(']', "");
        let dotted = match alias {
            Some((stan, us)) if dotted == us || dotted.starts_with(&format!("{us}.")) => dotted.replacen(us, stan, 1),
            _ => dotted,
        };
        theirs.iter().position(|t| *t == dotted).unwrap_or_else(|| panic!("Stan has no {dotted}, but {theirs:?}"))
    };
    post.coordinate_names().iter().map(|n| find(n)).collect()
}

fn agree(name: &str, folder: &Path, model: &Path, data: &str) -> Result<(), String> {
    let oracle = read(&folder.join(format!("oracle/{name}.json")));
    let source = std::fs::read_to_string(model).map_err(|e| e.to_string())?;
    let data = DataFile::load(&folder.join(data)).map_err(|e| e.to_string())?;
    let post = Model::load(model).and_then(|m| m.bind(&data)).map_err(|e| e.to_string())?;
    thalweg::graph::check::check(&post.graph).map_err(|e| format!("{e:?}"))?;
    let order = order(&post, &source, &oracle);
    if order.len() != oracle["dim_unconstrained"].as_u64().unwrap_or(0) as usize {
        return Err(format!("{} coordinates, Stan has {}", order.len(), oracle["dim_unconstrained"]));
    }
    let post = Compiled::new(post);
    let mut ws = vec![0.0; post.scratch().max(post.lanes_scratch())];
    let stored = |key: &str| oracle[key].as_array().cloned().unwrap_or_default();
    let points = [stored("points"), stored("nuts_points")].concat();
    let mut offset: Option<(f64, f64)> = None;
    for (k, p) in points.iter().enumerate() {
        let (x, grad) = (numbers(&p["x"]), numbers(&p["grad"]));
        let ours: Vec<f64> = order.iter().map(|&i| x[i]).collect();
        let mut flat = vec![0.0; ours.len()];
        let lp = post.logp_grad(&ours, &mut flat, &mut ws);
        lanes_agree(&post, &ours, lp, &flat, &mut ws).map_err(|e| format!("point {k}: {e}"))?;
        let stan = p["lp"].as_f64().ok_or("no lp")?;
        let d = lp - stan;
        // A difference of two sums is known as well as the larger of them.
        let (base, size) = *offset.get_or_insert((d, stan.abs()));
        if !((d - base).abs() <= TOLERANCE * (1.0 + stan.abs()) + 1e-14 * size) {
            return Err(format!("point {k}: lp {} against {stan}, difference {d}, first {base}", lp));
        }
        let scale = 1.0 + grad.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for (j, gj) in flat.iter().enumerate() {
            let s = grad[order[j]];
            if !((gj - s).abs() <= TOLERANCE * scale.min(1.0 + s.abs() * 1e3)) {
                return Err(format!("point {k}: d lp / d {} = {gj} against {s}", post.posterior.coordinate_names()[j]));
            }
        }
    }
    Ok(())
}

/// Programs of different kind: one point at a time, and few or many points in lanes.
fn lanes_agree(post: &Compiled, x: &[f64], lp: f64, grad: &[f64], ws: &mut [f64]) -> Result<(), String> {
    [3, 17].into_iter().try_for_each(|n| batch_agrees(post, x, n, (lp, grad), ws))
}

fn batch_agrees(post: &Compiled, x: &[f64], n: usize, (lp, grad): (f64, &[f64]), ws: &mut [f64]) -> Result<(), String> {
    let spread: Vec<f64> = x.iter().flat_map(|v| vec![*v; n]).collect();
    let (mut out, mut g) = (vec![0.0; n], vec![0.0; n * x.len()]);
    post.logp_grad_lanes(&spread, &mut out, &mut g, ws);
    let close = |a: f64, b: f64, s: f64| (a - b).abs() <= 1e-11 * (1.0 + s) || a.is_nan() && b.is_nan();
    let scale = grad.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for p in 0..n {
        if !close(out[p], lp, lp.abs()) {
            return Err(format!("lanes: lp {} against {lp} at width 1", out[p]));
        }
        for j in 0..x.len() {
            if !close(g[j * n + p], grad[j], scale) {
                return Err(format!("lanes: d lp / d {j} = {} against {}", g[j * n + p], grad[j]));
            }
        }
    }
    Ok(())
}

#[test]
fn posteriordb_models_agree_with_stan() {
    let Some(folder) = std::env::var_os("THALWEG_POSTERIORDB").map(PathBuf::from) else {
        println!("SKIPPED: THALWEG_POSTERIORDB is not set, the Stan oracles were not compared");
        return;
    };
    let only = std::env::var("THALWEG_ONLY").ok();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/posteriordb");
    let index = read(&folder.join("index.json"));
    let mut failures = vec![];
    let mut count = 0;
    for p in index.as_array().into_iter().flatten() {
        let name = p["posterior"].as_str().unwrap_or_default();
        let model = models.join(format!("{name}.thal"));
        if !model.exists() || only.as_ref().is_some_and(|o| !name.contains(o)) {
            continue;
        }
        count += 1;
        if let Err(e) = agree(name, &folder, &model, p["data_file"].as_str().unwrap_or_default()) {
            failures.push(format!("{name}: {e}"));
        }
    }
    assert!(count > 0, "no model was compared");
    assert!(failures.is_empty(), "{} of {count} disagree:\n{}", failures.len(), failures.join("\n"));
}
