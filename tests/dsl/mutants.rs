//! Broken models and broken data: an error, never a panic and never an endless walk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::golden::models_in;
use thalweg::base::rng::Stream;
use thalweg::model::data::{DataFile, Raw};
use thalweg::model::posterior::Model;

/// Wall time for the whole test.
const BUDGET: Duration = Duration::from_secs(8);

/// Data that fit a model's data statements well enough: every size is 3, every number a small integer.
fn invented(source: &str) -> DataFile {
    let mut data = DataFile::default();
    for line in source.lines() {
        let Some(rest) = line.trim().strip_prefix("data ") else { continue };
        let Some((name, ty)) = rest.split_once(':') else { continue };
        let ty = ty.split('#').next().unwrap_or_default();
        let axes = ty.matches("vector").count() + 2 * ty.matches("matrix").count() + ty.matches("array").count()
            + ty.split("array[").nth(1).map_or(0, |a| a.split(']').next().unwrap_or_default().matches(',').count());
        let axes = axes.min(4);
        let n = 3usize.pow(axes as u32);
        let values = (0..n).map(|i| if axes == 0 { 3.0 } else { (i % 3 + 1) as f64 }).collect();
        data.insert(name.trim(), Raw::new(&vec![3; axes], values));
    }
    data
}

fn pick(rng: &mut Stream, n: usize) -> usize {
    ((rng.uniform() * n as f64) as usize).min(n.saturating_sub(1))
}

/// The words of a text, with what stands between them.
fn words(source: &str) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    for c in source.chars() {
        let joins = |a: char, b: char| (a.is_alphanumeric() || a == '_' || a == '.') && (b.is_alphanumeric() || b == '_' || b == '.');
        match out.last_mut() {
            Some(w) if w.chars().last().is_some_and(|l| joins(l, c)) => w.push(c),
            _ => out.push(c.to_string()),
        }
    }
    out
}

fn mutate(source: &str, rng: &mut Stream) -> String {
    let mut w = words(source);
    let solid: Vec<usize> = (0..w.len()).filter(|i| !w[*i].trim().is_empty()).collect();
    if solid.is_empty() {
        return source.to_string();
    }
    let spare = ["0", "1", "-1", "2", "1000000000", "1e300", "+", "*", "[", "]", ":", "?", "n", "normal", "~", "(", ")", "'", "0.5", "for", "plate"];
    for _ in 0..1 + pick(rng, 3) {
        let (a, b) = (solid[pick(rng, solid.len())], solid[pick(rng, solid.len())]);
        match pick(rng, 5) {
            0 => w[a] = String::new(),
            1 => w[a] = format!("{} {}", w[a], w[a]),
            2 => w.swap(a, b),
            3 => w[a] = w[b].clone(),
            _ => w[a] = spare[pick(rng, spare.len())].to_string(),
        }
    }
    w.concat()
}

fn spoil(data: &mut DataFile, rng: &mut Stream) {
    let keys: Vec<String> = data.keys().map(String::from).collect();
    if keys.is_empty() {
        return;
    }
    let key = keys[pick(rng, keys.len())].clone();
    let raw = match pick(rng, 5) {
        0 => Raw::scalar(-1.0),
        1 => Raw::scalar(1e9),
        2 => Raw::new(&[0], vec![]),
        3 => Raw::new(&[2, 2], vec![0.5; 4]),
        _ => Raw::new(&[3], vec![0.0, -2.0, 7.0]),
    };
    data.insert(key, raw);
}

#[test]
fn broken_models_never_panic() {
    let begun = Instant::now();
    let mut models = models_in(Path::new("models"));
    models.extend(models_in(Path::new("tests/dsl/ok")));
    let mut rng = Stream::new(1, "mutants", 0);
    let (mut tried, mut bound) = (0, 0);
    let mut failures: Vec<String> = vec![];
    std::panic::set_hook(Box::new(|_| {}));
    while begun.elapsed() < BUDGET && tried < 4000 && failures.len() < 10 {
        let (path, source) = &models[pick(&mut rng, models.len())];
        let mut data = invented(source);
        let text = if tried % 8 == 0 { source.clone() } else { mutate(source, &mut rng) };
        if tried % 3 == 0 {
            spoil(&mut data, &mut rng);
        }
        let one = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| {
            let post = Model::from_text("m.thal", &text).and_then(|m| m.bind(&data));
            post.is_ok_and(|p| thalweg::graph::check::check(&p.graph).map_err(|e| panic!("{e:?}")).is_ok())
        }));
        tried += 1;
        match done {
            Ok(b) => bound += usize::from(b),
            Err(e) => {
                let why = e.downcast_ref::<String>().cloned().or(e.downcast_ref::<&str>().map(|s| s.to_string()));
                failures.push(format!("{}: {}\n{text}\n{}", path.display(), why.unwrap_or_default(), data.to_json()));
            }
        }
        if one.elapsed() > Duration::from_secs(2) {
            failures.push(format!("{} took {:?}\n{text}", path.display(), one.elapsed()));
        }
    }
    let _ = std::panic::take_hook();
    assert!(failures.is_empty(), "{} of {tried}:\n{}", failures.len(), failures.join("\n----\n"));
    assert!(bound > 20, "{bound} of {tried} models were bound: the mutants test nothing");
}
