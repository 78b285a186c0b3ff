//! `thalweg check --bench`: nanoseconds of the density and its gradient, per particle, by width of the batch.

use std::collections::BTreeMap;

use serde_json::{Map, json};

use super::common::{CliError, ModelArgs};
use crate::base::clock::process_seconds;
use crate::base::rng::Stream;
use crate::density::{Gradient, LogDensity};
use crate::model::compiled::Compiled;
use crate::model::posterior::Model;
use crate::report::table::columns;

/// Particles of one call.
const WIDTHS: [usize; 4] = [1, 8, 64, 512];

/// Distinct points that the calls take in turn.
const POINTS: usize = 64;

/// Batches of one timing, and the CPU seconds of each at least.
const BATCHES: usize = 9;
const SECONDS: f64 = 0.15;

/// Operations of the profile that are shown.
const SHOWN: usize = 25;

/// Points tried for each of the [`POINTS`].
const TRIES: usize = 100;

/// Nanoseconds per particle over the batches.
struct Timing {
    min: f64,
    median: f64,
}

/// Runs the benchmark.
pub fn run(args: &ModelArgs, as_json: bool) -> Result<(), CliError> {
    let text = args.load()?;
    let (data, settings) = (args.load_data()?, args.settings(0)?);
    let begin = process_seconds();
    let posterior = Model::from_text(&text.file, &text.source)?.bind_with(&data, &settings)?;
    let bind_ms = 1e3 * (process_seconds() - begin);
    let compiled = Compiled::new(posterior);
    let dim = compiled.dim();
    let mut grad = vec![0.0; dim];
    let mut ws = vec![0.0; compiled.gradient_program().scratch()];
    let mut checksum = compiled.logp_grad(&vec![0.1; dim], &mut grad, &mut ws);
    let first_gradient_ms = 1e3 * (process_seconds() - begin);

    let points = points(&compiled);
    let mut widths = Map::new();
    let mut rows = vec![];
    for width in WIDTHS {
        let [density, gradient] = time_width(&compiled, &points, width, &mut checksum);
        rows.push(vec![
            width.to_string(),
            format!("{:.1} ({:.1})", density.min, density.median),
            format!("{:.1} ({:.1})", gradient.min, gradient.median),
        ]);
        let entry = json!({
            "density_ns": density.min,
            "gradient_ns": gradient.min,
            "density_ns_median": density.median,
            "gradient_ns_median": gradient.median,
        });
        widths.insert(width.to_string(), entry);
    }
    if as_json {
        let nodes = compiled.nodes();
        let report = json!({ "dim": dim, "nodes": nodes, "bind_ms": bind_ms, "first_gradient_ms": first_gradient_ms, "widths": widths });
        super::out(&format!("{report}\n"));
        eprintln!("checksum {checksum:e}");
        return Ok(());
    }
    let mut out = format!("{}: {dim} coordinates, {} nodes with the gradient\n", text.file, compiled.nodes());
    out += &format!("bound after {bind_ms:.2} ms, first gradient after {first_gradient_ms:.2} ms\n");
    out += &format!("CPU nanoseconds per particle, smallest of {BATCHES} batches (median)\n");
    out += &columns(&["width", "density", "density and gradient"], &rows);
    out += &format!("checksum {checksum:e}\n{}", profile(&compiled, &points[0]));
    super::out(&out);
    Ok(())
}

/// Random points, uniform in (-1, 1) per coordinate, with a finite density where one is found.
fn points(compiled: &Compiled) -> Vec<Vec<f64>> {
    let mut rng = Stream::new(1, "bench", 0);
    let mut ws = vec![0.0; compiled.scratch()];
    let mut draw = || -> Vec<f64> { (0..compiled.dim()).map(|_| 2.0 * rng.uniform() - 1.0).collect() };
    (0..POINTS)
        .map(|_| {
            let mut x = draw();
            for _ in 0..TRIES {
                if compiled.logp(&x, &mut ws).is_finite() {
                    break;
                }
                x = draw();
            }
            x
        })
        .collect()
}

/// Times the density, then the density with its gradient, on blocks of `width` particles.
fn time_width(compiled: &Compiled, points: &[Vec<f64>], width: usize, checksum: &mut f64) -> [Timing; 2] {
    let dim = compiled.dim();
    // Blocks are coordinate-major and take the points in turn.
    let count = POINTS.div_ceil(width);
    let block = |b: usize| -> Vec<f64> {
        (0..dim * width).map(|i| points[(b * width + i % width) % POINTS][i / width]).collect()
    };
    let blocks: Vec<Vec<f64>> = (0..count).map(block).collect();
    let mut ws = vec![0.0; compiled.scratch().max(compiled.lanes_scratch())];
    let (mut lp, mut grad) = (vec![0.0; width], vec![0.0; dim * width]);
    let mut sum = 0.0;
    let density = time(width, &mut |k| {
        let x = &blocks[k % count];
        match width {
            1 => lp[0] = compiled.logp(x, &mut ws),
            _ => compiled.logp_lanes(x, &mut lp, &mut ws),
        }
        sum += lp[k % width];
    });
    let gradient = time(width, &mut |k| {
        let x = &blocks[k % count];
        match width {
            1 => lp[0] = compiled.logp_grad(x, &mut grad, &mut ws),
            _ => compiled.logp_grad_lanes(x, &mut lp, &mut grad, &mut ws),
        }
        sum += lp[k % width] + grad.get(k % grad.len().max(1)).copied().unwrap_or(0.0);
    });
    *checksum += sum;
    [density, gradient]
}

/// Per-particle nanoseconds of a call that treats `width` particles.
fn time(width: usize, call: &mut dyn FnMut(usize)) -> Timing {
    let mut calls = 1;
    // Doubling until a batch is long enough also warms the caches.
    let seconds = loop {
        let begin = process_seconds();
        (0..calls).for_each(&mut *call);
        let seconds = process_seconds() - begin;
        if seconds >= 0.2 * SECONDS {
            break seconds;
        }
        calls *= 2;
    };
    let calls = (calls as f64 * 1.1 * SECONDS / seconds).ceil() as usize;
    let mut times: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let begin = process_seconds();
            (0..calls).for_each(&mut *call);
            1e9 * (process_seconds() - begin) / (calls * width) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    Timing { min: times[0], median: times[BATCHES / 2] }
}

/// The operations of the gradient at one point that take longest.
fn profile(compiled: &Compiled, x: &[f64]) -> String {
    let mut by_name: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    let timings = compiled.profile(x);
    let total: f64 = timings.iter().map(|t| t.nanoseconds).sum();
    for t in timings {
        let entry = by_name.entry(t.name).or_default();
        *entry = (entry.0 + 1, entry.1 + t.nanoseconds);
    }
    let mut all: Vec<(String, (usize, f64))> = by_name.into_iter().collect();
    all.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    let rows: Vec<Vec<String>> = all
        .into_iter()
        .take(SHOWN)
        .map(|(name, (n, ns))| vec![name, n.to_string(), format!("{ns:.1}"), format!("{:.1} %", 100.0 * ns / total)])
        .collect();
    format!(
        "density and gradient at one point, each operation timed alone\n{}",
        columns(&["operation", "count", "ns", "share"], &rows)
    )
}
