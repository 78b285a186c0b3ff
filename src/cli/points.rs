//! `thalweg check --at` and `--gradient`: the density at given points, gradients against differences.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::check::table;
use super::common::CliError;
use crate::base::rng::Stream;
use crate::density::{Gradient, LogDensity};
use crate::model::compiled::Compiled;

/// Points of the gradient check, uniform in (-1, 1) per coordinate.
const POINTS: u64 = 3;

/// Points tried before the check gives up.
const TRIES: usize = 100;

/// Difference, relative to 1 + the larger derivative, beyond which a gradient is wrong.
const TOLERANCE: f64 = 1e-6;

/// Largest allowance for differences that do not resolve the derivative.
const NOISE: f64 = 1e-3;

/// Rows of the table.
const SHOWN: usize = 10;

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
        println!("{}", json!({ "names": names, "points": rows }));
        return Ok(());
    }
    println!("coordinates: {}", names.join(", "));
    for (k, row) in rows.iter().enumerate() {
        println!("point {}: lp {}, without Jacobians {}", k + 1, row["lp"], row["lp_nojac"]);
        println!("  gradient {}", row["grad"]);
        for (name, value) in row["constrained"].as_object().into_iter().flatten() {
            println!("  {name} = {value}");
        }
    }
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
    let wrong = |what: String| CliError::Other(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let file: Value = serde_json::from_str(&text).map_err(|e| wrong(format!("not JSON: {e}")))?;
    let points = file["points"].as_array().ok_or_else(|| wrong("expected {\"points\": [[…], …]}".into()))?;
    let point = |(k, p): (usize, &Value)| {
        let list = p.as_array().ok_or_else(|| wrong(format!("point {} is not a list of numbers", k + 1)))?;
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

/// A coordinate of the gradient check.
struct Compared {
    point: u64,
    coordinate: usize,
    gradient: f64,
    difference: f64,
    /// |gradient - difference| / (1 + the larger of both).
    error: f64,
    /// What the differences cannot resolve, in the same unit.
    noise: f64,
}

/// Compares gradients with finite differences at random points.
pub fn gradient(compiled: &Compiled, seed: u64) -> Result<(), CliError> {
    let mut all = vec![];
    for point in 0..POINTS {
        let x = start(compiled, seed, point)?;
        all.extend(compare(compiled, point, &x));
    }
    let failed = all.iter().filter(|c| c.fails()).count();
    all.sort_by(|a, b| b.fails().cmp(&a.fails()).then(b.error.total_cmp(&a.error)));
    let names = compiled.posterior.coordinate_names();
    let row = |c: &Compared| {
        let verdict = if c.fails() { "WRONG" } else { "" };
        vec![
            names[c.coordinate].clone(),
            (c.point + 1).to_string(),
            format!("{:.10e}", c.gradient),
            format!("{:.10e}", c.difference),
            format!("{:.1e}", c.error),
            verdict.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().take(SHOWN).map(row).collect();
    println!("gradient against finite differences, {POINTS} points, worst coordinates first");
    print!("{}", table(&["coordinate", "point", "gradient", "difference", "error", ""], &rows));
    if failed > 0 {
        return Err(CliError::Other(format!("{failed} of {} derivatives differ from finite differences", all.len())));
    }
    println!("all {} derivatives agree", all.len());
    Ok(())
}

impl Compared {
    fn fails(&self) -> bool {
        self.error.is_nan() || self.error > TOLERANCE + self.noise.min(NOISE)
    }
}

/// A random point with a finite density.
fn start(compiled: &Compiled, seed: u64, point: u64) -> Result<Vec<f64>, CliError> {
    let mut rng = Stream::new(seed, "check", point);
    let mut ws = vec![0.0; compiled.scratch()];
    for _ in 0..TRIES {
        let x: Vec<f64> = (0..compiled.dim()).map(|_| 2.0 * rng.uniform() - 1.0).collect();
        if compiled.logp(&x, &mut ws).is_finite() {
            return Ok(x);
        }
    }
    Err(CliError::Other(format!("none of {TRIES} random points has a finite density; look at one with --at")))
}

fn compare(compiled: &Compiled, point: u64, x: &[f64]) -> Vec<Compared> {
    let mut ws = vec![0.0; compiled.scratch()];
    let mut grad = vec![0.0; x.len()];
    compiled.logp_grad(x, &mut grad, &mut ws);
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|j| {
            let mut f = |u: f64| {
                moved[j] = u;
                compiled.logp(&moved, &mut ws)
            };
            let (difference, spread) = richardson(&mut f, x[j]);
            moved[j] = x[j];
            let scale = 1.0 + grad[j].abs().max(difference.abs());
            Compared {
                point,
                coordinate: j,
                gradient: grad[j],
                difference,
                error: (grad[j] - difference).abs() / scale,
                noise: spread / scale,
            }
        })
        .collect()
}

/// Derivative by central differences with steps h, h/2, h/4, …, extrapolated to 0 (Ridders 1982), and how
/// far the last two extrapolations lie apart.
fn richardson(f: &mut dyn FnMut(f64) -> f64, x: f64) -> (f64, f64) {
    const ROWS: usize = 8;
    let mut best = (f64::NAN, f64::INFINITY);
    let mut previous: Vec<f64> = vec![];
    let mut h = 0.05;
    for _ in 0..ROWS {
        let mut row = vec![(f(x + h) - f(x - h)) / (2.0 * h)];
        let mut power = 1.0;
        for (k, old) in previous.iter().enumerate() {
            power *= 4.0;
            let next = (power * row[k] - old) / (power - 1.0);
            let apart = (next - row[k]).abs().max((next - old).abs());
            row.push(next);
            if apart <= best.1 {
                best = (next, apart);
            }
        }
        previous = row;
        h /= 2.0;
    }
    best
}
