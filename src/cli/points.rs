//! `thalweg check --at`: the density and its gradient at given points.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::common::CliError;
use crate::density::{Gradient, LogDensity};
use crate::model::compiled::Compiled;

/// Evaluates at the points of a file.
pub fn at(compiled: &Compiled, path: &Path, json: bool) -> Result<(), CliError> {
    let names = compiled.posterior.coordinate_names();
    let points = read(path, &names)?;
    let mut ws = vec![0.0; compiled.scratch()];
    let mut rows = vec![];
    for x in &points {
        let mut grad = vec![0.0; x.len()];
        let lp = compiled.logp_grad(x, &mut grad, &mut ws);
        rows.push(json!({
            "lp": number(lp),
            "lp_nojac": number(compiled.logp_nojac(x)),
            "grad": grad.iter().map(|g| number(*g)).collect::<Vec<_>>(),
            "constrained": constrained(compiled, x),
        }));
    }
    if json {
        super::out(&format!("{}\n", json!({ "names": names, "points": rows })));
        return Ok(());
    }
    let mut text = format!("coordinates: {}\n", names.join(", "));
    for (k, row) in rows.iter().enumerate() {
        text += &format!("point {}: lp {}, without Jacobians {}\n", k + 1, row["lp"], row["lp_nojac"]);
        text += &format!("  gradient {}\n", row["grad"]);
        for (name, value) in row["constrained"].as_object().into_iter().flatten() {
            text += &format!("  {name} = {value}\n");
        }
    }
    super::out(&text);
    Ok(())
}

/// A number, or the text that stands for it in JSON.
pub fn number(x: f64) -> Value {
    match x {
        x if x.is_finite() => json!(x),
        x if x.is_nan() => json!("NaN"),
        x if x > 0.0 => json!("Infinity"),
        _ => json!("-Infinity"),
    }
}

fn read(path: &Path, names: &[String]) -> Result<Vec<Vec<f64>>, CliError> {
    let wrong = |what: String| CliError::Points { path: path.into(), problem: what };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}; check the path")))?;
    let file: Value =
        serde_json::from_str(&text).map_err(|e| wrong(format!("not JSON: {e}; write {{\"points\": [[…], …]}}")))?;
    let points =
        file["points"].as_array().ok_or_else(|| wrong("no list of points; write {\"points\": [[…], …]}".into()))?;
    let point = |(k, p): (usize, &Value)| {
        let list = p.as_array().ok_or_else(|| {
            wrong(format!("point {} is not a list of numbers; write one number for each coordinate", k + 1))
        })?;
        if list.len() != names.len() {
            let (found, n) = (list.len(), names.len());
            return Err(wrong(format!(
                "point {} has {found} numbers, the model has {n} coordinates: {}",
                k + 1,
                names.join(", ")
            )));
        }
        let numbers = list.iter().enumerate().map(|(j, x)| {
            x.as_f64().ok_or_else(|| wrong(format!("point {}: {} is {x}, not a number", k + 1, names[j])))
        });
        numbers.collect()
    };
    points.iter().enumerate().map(point).collect()
}

/// Constrained values of latents and reports, as numbers or nested arrays; `null` where a filled
/// array has no element.
fn constrained(compiled: &Compiled, x: &[f64]) -> Map<String, Value> {
    let mut flat = vec![0.0; compiled.width()];
    compiled.values(x, &mut flat, &mut vec![]);
    let mut out = Map::new();
    let mut rest = &flat[..];
    let p = &compiled.posterior;
    for s in &p.sites {
        let (own, after) = rest.split_at(p.graph.shape(s.value).count());
        rest = after;
        let numbers: Vec<Value> = match &s.filled {
            None => own.iter().map(|v| number(*v)).collect(),
            Some(places) => {
                let mut all = vec![Value::Null; s.dims.iter().product()];
                places.iter().zip(own).for_each(|(at, v)| all[*at as usize] = number(*v));
                all
            }
        };
        out.insert(s.name.clone(), nested(&numbers, &s.dims));
    }
    for (name, kept) in &p.reports {
        let (own, after) = rest.split_at(kept.dims.iter().product());
        rest = after;
        let numbers: Vec<Value> = own.iter().map(|v| number(*v)).collect();
        out.insert(name.clone(), nested(&numbers, &kept.dims));
    }
    out
}

fn nested(flat: &[Value], dims: &[usize]) -> Value {
    let Some((n, inner)) = dims.split_first() else {
        return flat.first().cloned().unwrap_or(Value::Null);
    };
    let size: usize = inner.iter().product();
    Value::Array((0..*n).map(|i| nested(&flat[i * size..(i + 1) * size], inner)).collect())
}
