use thalweg::model::data::{DataFile, Raw};
use thalweg::model::posterior::Model;
use std::time::Instant;
fn rss() -> usize { std::fs::read_to_string("/proc/self/status").unwrap().lines().find(|l| l.starts_with("VmHWM")).unwrap().split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024 }
#[test]
fn timing() {
    let m = Model::load("models/eight_schools").unwrap();
    let d = DataFile::load(std::path::Path::new("models/eight_schools/data.json")).unwrap();
    for _ in 0..3 { let t = Instant::now(); let p = m.bind(&d).unwrap(); println!("eight schools {:?} {}", t.elapsed(), p.graph.nodes().len()); }
    let n = 1_000_000;
    let mut d = DataFile::default();
    d.insert("N", Raw::scalar(n as f64));
    d.insert("x", Raw::new(&[n], (0..n).map(|i| (i as f64).sin()).collect()));
    d.insert("y", Raw::new(&[n], (0..n).map(|i| (i as f64).cos()).collect()));
    d.insert("g", Raw::new(&[n], (0..n).map(|i| (i % 50 + 1) as f64).collect()));
    d.insert("X", Raw::new(&[n, 3], (0..3*n).map(|i| (i as f64).sin()).collect()));
    for (name, s) in [
        ("plate", "data N: int\ndata x: vector[N]\ndata y: vector[N]\nlatent a ~ normal(0, 1)\nlatent b ~ normal(0, 1)\nlatent s ~ exponential(1)\nplate n in 1:N { observe y[n] ~ normal(a + b * x[n], s) }"),
        ("matrix", "data N: int\ndata X: matrix[N, 3]\ndata y: vector[N]\nlatent b: vector[3] ~ normal(0, 1)\nlatent s ~ exponential(1)\nobserve y ~ normal(X * b, s)"),
        ("rows", "data N: int\ndata X: matrix[N, 3]\ndata y: vector[N]\nlatent b: vector[3] ~ normal(0, 1)\nlatent s ~ exponential(1)\nplate n in 1:N { observe y[n] ~ normal(dot(X[n], b), s) }"),
        ("groups", "data N: int\ndata g: array[N] int\ndata y: vector[N]\nlatent s ~ exponential(1)\nplate j in 1:50 { latent t ~ normal(0, 1) }\nplate n in 1:N { observe y[n] ~ normal(t[g[n]], s) }"),
        ("mixture", "data N: int\ndata y: vector[N]\nlatent m: ordered[2] ~ normal(0, 1)\nplate n in 1:N { latent z ~ categorical([0.5, 0.5])\n observe y[n] ~ normal(m[z], 1) }"),
        ("ar", "data N: int\ndata y: vector[N]\nlatent a ~ normal(0, 1)\nlatent s ~ exponential(1)\nfor t in 2:N { observe y[t] ~ normal(a * y[t - 1], s) }"),
        ("garch", "data N: int\ndata y: vector[N]\nlatent a ~ uniform(0, 1)\nlet v: vector[N]\nlet v[1] = a\nfor t in 2:N { let v[t] = 0.1 + a * v[t - 1] + y[t - 1]^2 }\nobserve y ~ normal(0, sqrt(v))"),
        ("hmm", "data N: int\ndata y: vector[N]\nlatent m: ordered[2] ~ normal(0, 1)\nlatent A: array[2] simplex[2] ~ dirichlet([1, 1])\nlatent z: array[N] int\nfor t in 1:N { latent z[t] ~ categorical(t == 1 ? [0.5, 0.5] : A[z[t - 1]])\n observe y[t] ~ normal(m[z[t]], 1) }"),
    ] {
        let m = Model::from_text("m", s).unwrap();
        let t = Instant::now();
        match m.bind(&d) { Ok(p) => println!("{name} {:?} nodes {} peak {} MB", t.elapsed(), p.graph.nodes().len(), rss()), Err(e) => println!("{name}: {e}") }
    }
}
