//! Long sequences: CPU seconds to bind, CPU milliseconds of a gradient, and peak memory.
//!
//! `cargo bench --bench sequences [-- case [steps]]`; every case runs in a process of its own, because peaks of memory add up.
//! The peak counts everything: the data (8 bytes a number), the graph, the program and its buffers.

use thalweg::base::clock::process_seconds;
use thalweg::density::{Gradient, LogDensity};
use thalweg::model::compiled::Compiled;
use thalweg::model::data::{DataFile, Raw};
use thalweg::model::posterior::Model;

/// Name and model; data are `T`, the number of steps, `N` = 50 rows, and `y` (a vector of T, or a matrix of N rows).
const CASES: [(&str, &str); 7] = [
    (
        "observed",
        "latent phi ~ uniform(-1, 1)\nlatent s ~ half_normal(0, 1)\nfor t in 2:T { observe y[t] ~ normal(phi * y[t - 1], s) }",
    ),
    (
        "garch",
        "latent w ~ half_normal(0, 1)\nlatent a ~ uniform(0, 1)\nlatent b ~ uniform(0, 1)\nlet h: vector[T]\nlet h[1] = w\nfor t in 2:T { let h[t] = w + a * y[t - 1]^2 + b * h[t - 1] }\nobserve y ~ normal(0, sqrt(h))",
    ),
    (
        "tanh",
        "latent a ~ normal(0, 1)\nlatent b ~ normal(0, 1)\nlatent s ~ half_normal(0, 1)\nlet h: vector[T]\nlet h[1] = 0\nfor t in 2:T { let h[t] = tanh(a * h[t - 1] + b * y[t - 1]) }\nobserve y ~ normal(h, s)",
    ),
    (
        "ar",
        "latent phi ~ uniform(-1, 1)\nlatent s ~ half_normal(0, 1)\nlatent x: vector[T]\nfor t in 1:T {\n  latent x[t] ~ normal(t == 1 ? 0 : phi * x[t - 1], s)\n  observe y[t] ~ normal(x[t], 1)\n}",
    ),
    (
        "ar noncentred",
        "latent phi ~ uniform(-1, 1)\nlatent s ~ half_normal(0, 1)\nlatent x: vector[T]\nfor t in 1:T {\n  latent x[t] ~ normal(t == 1 ? 0 : phi * x[t - 1], s) noncentred\n  observe y[t] ~ normal(x[t], 1)\n}",
    ),
    (
        "hidden markov",
        "latent mu: ordered[2] ~ normal(0, 5)\nplate k in 1:2 { latent A ~ dirichlet(rep_vector(1, 2)) }\nlatent z: array[T] int<lower=1, upper=2>\nfor t in 1:T {\n  latent z[t] ~ categorical(t == 1 ? [0.5, 0.5] : A[z[t - 1]])\n  observe y[t] ~ normal(mu[z[t]], 1)\n}",
    ),
    (
        "rows",
        "latent s ~ exponential(1)\nlatent phi: vector[N] ~ normal(0, 1)\nplate i in 1:N {\n  let h: vector[T]\n  let h[1] = 0\n  for t in 2:T { let h[t] = tanh(phi[i] * h[t - 1] + y[i, t - 1]) }\n  for t in 1:T { observe y[i, t] ~ normal(h[t], s) }\n}",
    ),
];

/// Rows of the last case; each has a fiftieth of the steps.
const ROWS: usize = 50;

/// Largest resident size so far in bytes; 0 where the system does not tell.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<usize>().ok()).map_or(0, |kb| kb * 1024)
}

fn data(steps: usize, rows: Option<usize>) -> DataFile {
    let mut state = 0.0;
    let mut next = |k: usize| {
        let noise = ((k as f64 + 1.0) * 0.618_033_988_749_895).fract() - 0.5;
        state = 0.8 * state + noise;
        state
    };
    let mut file = DataFile::default();
    let each = steps / rows.unwrap_or(1);
    file.insert("T", Raw::new(&[], vec![each as f64]));
    let shape = rows.map_or(vec![each], |n| vec![n, each]);
    file.insert("y", Raw::new(&shape, (0..each * rows.unwrap_or(1)).map(&mut next).collect()));
    if let Some(n) = rows {
        file.insert("N", Raw::new(&[], vec![n as f64]));
    }
    file
}

fn measure(name: &str, model: &str, steps: usize) {
    let rows = (name == "rows").then_some(ROWS);
    let head = match rows {
        Some(_) => "data N: int\ndata T: int\ndata y: matrix[N, T]\n",
        None => "data T: int\ndata y: vector[T]\n",
    };
    let data = data(steps, rows);
    let begin = process_seconds();
    let model = Model::from_text(name, &format!("{head}{model}")).expect("the model is right");
    let compiled = Compiled::new(model.bind(&data).expect("the data fit"));
    let bound = process_seconds() - begin;
    let at_bound = peak();
    let x = vec![0.1; compiled.dim()];
    let (mut grad, mut ws) = (vec![0.0; compiled.dim()], vec![0.0; compiled.scratch()]);
    let mut best = f64::INFINITY;
    let mut lp = 0.0;
    for _ in 0..5 {
        let begin = process_seconds();
        lp = compiled.logp_grad(&x, &mut grad, &mut ws);
        best = best.min(1e3 * (process_seconds() - begin));
    }
    let norm = grad.iter().map(|g| g * g).sum::<f64>().sqrt();
    let per = |bytes: usize| bytes as f64 / steps as f64;
    println!(
        "{name:14} {steps:>8} {bound:>8.3} s {best:>9.3} ms {:>7.1} MB {:>7.0} {:>7.0}   {lp:.6e} {norm:.4e}",
        peak() as f64 / 1e6,
        per(at_bound),
        per(peak())
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let steps = args.get(1).and_then(|s| s.parse().ok()).unwrap_or(1_000_000);
    if let Some((name, model)) = args.first().and_then(|a| CASES.iter().find(|c| c.0 == a)) {
        return measure(name, model, steps);
    }
    println!(
        "case              steps      bind     gradient       peak  B/step bound, in all   log density, norm of gradient"
    );
    for (name, _) in CASES {
        let own = std::env::current_exe().expect("this program has a path");
        let run = std::process::Command::new(own).args([name, &steps.to_string()]).status();
        if !run.is_ok_and(|s| s.success()) {
            println!("{name:14} failed");
        }
    }
}
