//! Broken models and broken data: an error, never a panic and never an endless walk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::golden::models_in;
use thalweg::base::rng::Stream;
use thalweg::model::data::{DataFile, Raw};
use thalweg::model::posterior::Model;

/// Wall time for the whole test; `THALWEG_SEED` chooses other mutants.
const BUDGET: Duration = Duration::from_secs(8);

/// Data that fit a model's data statements well enough: every size is 3, every number a small integer.
fn invented(source: &str) -> DataFile {
    let mut data = DataFile::default();
    for line in source.lines() {
        let Some(rest) = line.trim().strip_prefix("data ") else { continue };
        let Some((name, ty)) = rest.split_once(':') else { continue };
        let ty = ty.split('#').next().unwrap_or_default();
        let axes = ty.matches("vector").count()
            + 2 * ty.matches("matrix").count()
            + ty.matches("array").count()
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
        let joins = |a: char, b: char| {
            (a.is_alphanumeric() || a == '_' || a == '.') && (b.is_alphanumeric() || b == '_' || b == '.')
        };
        match out.last_mut() {
            Some(w) if w.chars().last().is_some_and(|l| joins(l, c)) => w.push(c),
            _ => out.push(c.to_string()),
        }
    }
    out
}

/// Words of one class stand in the same places: names, numbers, signs.
fn class(word: &str) -> u8 {
    match word.chars().next() {
        Some(c) if c.is_alphabetic() || c == '_' => 0,
        Some(c) if c.is_ascii_digit() => 1,
        _ => 2,
    }
}

fn mutate(source: &str, rng: &mut Stream) -> String {
    let mut w = words(source);
    let solid: Vec<usize> = (0..w.len()).filter(|i| !w[*i].trim().is_empty()).collect();
    if solid.is_empty() {
        return source.to_string();
    }
    let spare = [
        "0",
        "1",
        "-1",
        "2",
        "1000000000",
        "1e300",
        "+",
        "*",
        "[",
        "]",
        ":",
        "?",
        "n",
        "normal",
        "~",
        "(",
        ")",
        "'",
        "0.5",
        "for",
        "plate",
    ];
    for _ in 0..1 + pick(rng, 3) {
        let (a, b) = (solid[pick(rng, solid.len())], solid[pick(rng, solid.len())]);
        let alike: Vec<usize> = solid.iter().copied().filter(|i| class(&w[*i]) == class(&w[a])).collect();
        match pick(rng, 9) {
            5.. => w[a] = w[alike[pick(rng, alike.len())]].clone(),
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
    let seed = std::env::var("THALWEG_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let mut rng = Stream::new(seed, "mutants", 0);
    let (mut tried, mut bound) = (0, 0);
    let mut failures: Vec<String> = vec![];
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
    assert!(failures.is_empty(), "{} of {tried}:\n{}", failures.len(), failures.join("\n----\n"));
    assert!(bound > 20, "{bound} of {tried} models were bound: the mutants test nothing");
}

/// Small models that are wrong, or right at an edge.
const EDGES: &[&str] = &[
    "let x = [1, 2][[1, 2][2]]",
    "let x = [][1]",
    "let x = mean([])",
    "let x = max([])",
    "let x = sd([1])",
    "let x = log_sum_exp([])",
    "let x = rep_vector(1, -1)",
    "let x = rep_vector([1, 2], 2)",
    "let x = rep_array(0, 1, 1, 1, 1, 1, 1)",
    "let x = identity_matrix(100000)",
    "let x = linspaced(0, 1, 2)",
    "let x = reshape([1, 2, 3, 4], 2, 3)",
    "let x = reshape([1, 2, 3, 4], 9007199254740992, 9007199254740992)",
    "let x = softmax([])",
    "let x = head([1, 2], 3)",
    "let x = tail([1, 2], -1)",
    "let x = append([[1, 2]], [1])",
    "let x = cholesky_decompose([[1, 2], [3, 4]])",
    "let x = cholesky_decompose([[1, 2]])",
    "let x = inverse([[0, 0], [0, 0]])",
    "let x = [[[[[1]]]]]",
    "let x = [[[[[[[1]]]]]]]",
    "let x = 9007199254740992 * 9007199254740992\nlet y = [1][x]",
    "let x = 1 % 0\nlet y = [1][x]",
    "for i in 1:9007199254740992 { factor i }",
    "for i in (0 - 9007199254740992):9007199254740992 { factor i }",
    "let x = [1, 2, 3][(0 - 9007199254740992 * 9007199254740992):9007199254740992 * 9007199254740992]",
    "plate i in 1:0 { latent x ~ normal(0, 1)\n factor x }\nfactor sum(x)",
    "plate i in 1:0 { plate j in 1:i { latent x ~ normal(0, 1) } }",
    "plate i in 1:2 { plate j in 1:0 { latent x ~ dirichlet([1, 1]) } }\nfactor sum(x)",
    "latent p ~ dirichlet([])",
    "latent p ~ dirichlet(1)",
    "latent p: real ~ dirichlet([1, 1])",
    "latent p: real ~ lkj_corr(2)",
    "latent p: vector[2] ~ lkj_corr(2)",
    "latent p: vector[2] ~ wishart(3, identity_matrix(2))",
    "latent p: simplex[0] ~ flat()",
    "latent p: simplex[1] ~ flat()",
    "latent p: ordered[0] ~ normal(0, 1)",
    "latent p: unit_vector[0] ~ flat()",
    "latent p: corr_matrix[1] ~ lkj_corr(2)",
    "latent p: corr_matrix[0] ~ lkj_corr(2)",
    "latent p: cholesky_factor_cov[2, 3] ~ flat()",
    "latent p: cov_matrix[2] ~ wishart(3, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])",
    "latent p: vector[2] ~ multi_normal([0, 0], [1, 1])",
    "latent p: vector[2] ~ multi_normal([0, 0], [[1, 0]])",
    "latent p: vector[0] ~ multi_normal([], identity_matrix(0))",
    "latent p: matrix[2, 2] ~ multi_normal([[0, 0], [0, 0], [0, 0]], identity_matrix(2))",
    "latent p: real<lower=[1, 2]> ~ normal(0, 1)",
    "latent p: vector<lower=[1, 2, 3]>[2] ~ normal(0, 1)",
    "latent p ~ normal(0, 1)<lower=[1, 2]>",
    "latent p ~ normal(0, 1)<lower=2, upper=1>",
    "latent z ~ categorical([])",
    "latent z ~ categorical([0.5, 0.5])\nfactor [1, 2, 3][z] + [1][z]",
    "latent z ~ categorical([0.5, 0.5])\nif z == 1 { factor 1 }",
    "latent z ~ categorical([0.5, 0.5])\nlet x: vector[z]",
    "latent z ~ categorical([0.5, 0.5])\nfor i in 1:z { factor i }",
    "latent z ~ categorical([0.5, 0.5])\nplate i in 1:3 { factor i == z ? 1 : [4, 5][z] }",
    "latent z ~ binomial(1000000000, 0.5)",
    "latent z ~ binomial(0 - 1, 0.5)",
    "latent z: array[2] int ~ categorical([[0.5, 0.5], [0.1, 0.9]])",
    "latent z: array[2] int ~ multinomial(3, [0.5, 0.5])",
    "latent z: array[3] int\nfor t in 1:3 { latent z[t] ~ bernoulli(t == 1 ? 0.5 : 0.1 + 0.5 * z[t - 1]) }\nfor t in 2:3 { factor z[t] * z[t - 1] * z[1] }",
    "latent z: array[3] int\nfor t in 1:3 { latent z[t] ~ bernoulli(t == 1 ? 0.5 : 0.1 + 0.5 * z[t]) }",
    "latent z: array[3] int\nfactor z[1]",
    "latent z ~ bernoulli(0.5)\nlatent x ~ uniform(0, z)",
    "latent z ~ bernoulli(0.5)\nlatent x ~ normal(z, 1) noncentred",
    "latent z ~ bernoulli(0.5)\nlatent x: ordered[2] ~ normal(z, 1)",
    "latent z ~ bernoulli(0.5)\nlet v: vector[3]\nlet v[1] = z\nfor t in 2:3 { let v[t] = v[t - 1] + z }\nfactor sum(v)",
    "latent z ~ bernoulli(0.5)\nlet v: vector[3]\nfor t in 1:3 { let v[t] = z * t }\nfactor sum(v)",
    "latent x: vector[3]\nfor t in 1:3 { latent x[t] ~ normal(0, t == 1 ? 1 : exp(x[t - 1])) noncentred\n}\nreport s = sum(x)",
    "latent x: vector[3]\nfor t in 1:3 { latent x[4 - t] ~ normal(t == 1 ? 0 : x[5 - t], 1) }",
    "latent x: vector[3]\nfor t in 1:3 { latent x[4 - t] ~ normal(t == 1 ? 0 : x[5 - t], 1) noncentred\n}\nfactor x[1]",
    "latent x: array[2] simplex[3]\nlatent x[1] ~ dirichlet([1, 1, 1])",
    "let v: vector[3]\nfor t in 1:3 { let v[4 - t] = t == 1 ? 1 : v[5 - t] * 2 }\nfactor v[1]",
    "latent a ~ normal(0, 1)\nlet v: vector[4]\nlet v[1] = a\nfor t in 2:4 { let v[t] = sum(v[1:t - 1]) }\nfactor v[4]",
    "latent a ~ normal(0, 1)\nlet v: vector[4]\nlet v[1] = a\nfor t in 2:4 { let v[t] = max(v) }\nfactor v[4]",
    "latent a ~ normal(0, 1)\nlet v: matrix[4, 2]\nlet v[1] = [a, a]\nfor t in 2:4 { let v[t, 1] = v[t - 1, 2]\n let v[t, 2] = v[t, 1] + v[t - 1, 1] }\nfactor sum(v)",
    "latent a ~ normal(0, 1)\nlet v: vector[4]\nfor t in 1:2 { if t == 1 { let v[t] = a } else { plate i in 1:2 { let v[i + 2] = a } } }",
    "latent a ~ normal(0, 1)\nfn f(x: real) -> real { let y: vector[3]\n let y[1] = x\n for i in 2:3 { let y[i] = y[i - 1] * x }\n return y[3] }\nlet v: vector[3]\nlet v[1] = a\nfor t in 2:3 { let v[t] = f(v[t - 1]) }\nfactor v[3]",
    "latent a ~ normal(0, 1)\nlet v: vector[3]\nlet v[1] = a\nfor t in 2:3 { let v[t] = sum([v[t - 1] * k for k in 1:2]) }\nfactor v[3]",
    "latent a ~ normal(0, 1)\nlet v: vector[3]\nlet v[1] = a\nfor t in 2:3 { let v[t] = normal_lpdf(v[t - 1] | 0, 1) }\nfactor v[3]",
    "latent a ~ normal(0, 1)\nlet v: vector[3]\nlet v[1] = a\nfor t in 2:3 { let v[t] = v[t - 1] > 0 ? v[t - 1] : t\n factor v[t] }",
    "factor mixture([1], [normal(0, 1)])",
    "data y: real = 1\nobserve y ~ mixture([], [])",
    "data y: real = 1\nobserve y ~ mixture([1], [mixture([0.5, 0.5], [normal(0, 1), normal(1, 1)])])",
    "data y: real = 1\nobserve y ~ censored(mixture([1], [normal(0, 1)]), upper=2)",
    "data y: real = 1\nobserve y ~ censored(normal(0, 1)<lower=0>, upper=2)",
    "data y: real = 1\nobserve y ~ mixture([0.5, 0.5], [normal(0, 1)<lower=0>, censored(normal(0, 1), upper=1)])",
    "data y: vector[2] = [1, 2]\nobserve y ~ mixture([0.5, 0.5], [normal([1, 2], 1), normal([0, 0, 0], 1)])",
    "data y: vector[2] = [1, 2]\nobserve y ~ dirichlet([1, 1])",
    "data y: array[2] int = [1, 2]\nobserve y ~ multinomial(3, [0.5, 0.5])",
    "data y: array[2] int = [1, 2]\nobserve y ~ multinomial(3, [0.5, 0.5, 0.5])",
    "data y: array[2] int = [1, 9]\nobserve y ~ categorical([0.5, 0.5])",
    "data y: array[2] int = [1, 2]\nobserve y ~ ordered_logistic(0.5, [0, 1])",
    "data y: array[2] int = [1, 2]\nobserve y ~ ordered_logistic([0.5], [[0, 1], [0, 1]])",
    "param s: simplex[3]\nlatent x ~ normal(s[1], 1)",
    "param s: real<lower=0, upper=1>\nparam q: vector[2] = [1, 2, 3]",
    "const c = [1, 2]\nconst d: real = c",
    "fn f(n: int) -> real { for i in 1:n { let a = i } return n }\nfactor f(1)",
    "fn f() -> real { return 1 }\nfactor f()",
    "fn normal(x: real) -> real { return x }",
    "report x: int = 1.5",
    "report x ~ normal([1, 2], 1)",
    "plate i in 1:2 { report x = i }\nreport y = sum(x)",
    "plate i in 1:2 { report x ~ normal(i, 1) }",
];

#[test]
fn edges_never_panic() {
    let mut failures = vec![];
    for source in EDGES {
        let done = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(p) = Model::from_text("m.thal", source).and_then(|m| m.bind(&DataFile::default())) {
                thalweg::graph::check::check(&p.graph).unwrap_or_else(|e| panic!("{e:?}"));
                let x: Vec<Vec<f64>> = p.sites.iter().map(|s| vec![0.1; s.free]).collect();
                let x: Vec<&[f64]> = x.iter().map(|x| &x[..]).collect();
                thalweg::graph::eval::evaluate(&p.graph, &x, &[p.lp]);
            }
        }));
        if let Err(e) = done {
            let why = e.downcast_ref::<String>().cloned().or(e.downcast_ref::<&str>().map(|s| s.to_string()));
            failures.push(format!("{source}\n  {}", why.unwrap_or_default()));
        }
    }
    assert!(failures.is_empty(), "{} panics:\n{}", failures.len(), failures.join("\n"));
}
