//! Densities by hand, and the density that a model gives.

use thalweg::base::special::{lgamma, log_sum_exp as pair};
use thalweg::graph::check::check;
use thalweg::graph::eval::evaluate;
use thalweg::graph::reverse::gradient;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Posterior, Settings};

/// log normal(y | m, s)
pub fn normal(y: f64, m: f64, s: f64) -> f64 {
    let z = (y - m) / s;
    -0.5 * z * z - s.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
}

/// log poisson(k | l)
pub fn poisson(k: f64, l: f64) -> f64 {
    k * l.ln() - l - lgamma(k + 1.0)
}

/// log bernoulli(k | p)
pub fn bernoulli(k: f64, p: f64) -> f64 {
    if k == 1.0 { p.ln() } else { (1.0 - p).ln() }
}

/// log binomial(k | n, p)
pub fn binomial(k: f64, n: f64, p: f64) -> f64 {
    lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) + k * p.ln() + (n - k) * (1.0 - p).ln()
}

/// 1 / (1 + exp(-u))
pub fn inv_logit(u: f64) -> f64 {
    1.0 / (1.0 + (-u).exp())
}

/// log Σ exp
pub fn log_sum(terms: &[f64]) -> f64 {
    terms.iter().fold(f64::NEG_INFINITY, |s, t| if s.is_infinite() { *t } else { pair(s, *t) })
}

/// A model bound to data in JSON.
pub fn bound(source: &str, data: &str, set: &[(&str, f64)]) -> Result<Posterior, String> {
    let data = DataFile::from_json(data).map_err(|e| e.to_string())?;
    let set = set.iter().map(|(k, v)| (k.to_string(), *v)).collect();
    let settings = Settings { set, ..Settings::default() };
    Model::from_text("m.thal", source).and_then(|m| m.bind_with(&data, &settings)).map_err(|e| e.to_string())
}

/// Coordinates of each site from one vector.
pub fn parts<'a>(post: &Posterior, x: &'a [f64]) -> Vec<&'a [f64]> {
    assert_eq!(post.dim, x.len(), "{:?}", post.coordinate_names());
    let mut rest = x;
    let mut out = vec![];
    for s in &post.sites {
        let (a, b) = rest.split_at(s.free);
        out.push(a);
        rest = b;
    }
    out
}

/// The log density on coordinates, its gradient compared with differences.
pub fn lp_of(mut post: Posterior, x: &[f64]) -> f64 {
    check(&post.graph).unwrap_or_else(|e| panic!("{e:?}\n{}", post.graph));
    let value = evaluate(&post.graph, &parts(&post, x), &[post.lp])[0][0];
    let inputs: Vec<_> = post.sites.iter().map(|s| s.input).collect();
    let (lp, mut g) = (post.lp, std::mem::take(&mut post.graph));
    let grads = gradient(&mut g, lp, &inputs);
    let grad = evaluate(&g, &parts(&post, x), &grads).concat();
    let h = 1e-5;
    for j in 0..x.len() {
        let at = |d: f64| {
            let mut y = x.to_vec();
            y[j] += d;
            evaluate(&g, &parts(&post, &y), &[lp])[0][0]
        };
        let slope = (at(h) - at(-h)) / (2.0 * h);
        assert!((slope - grad[j]).abs() <= 1e-5 * (1.0 + slope.abs()), "gradient {j}: {} against {slope}", grad[j]);
    }
    value
}

/// The log density of a model on coordinates.
pub fn lp(source: &str, data: &str, x: &[f64]) -> f64 {
    lp_of(bound(source, data, &[]).unwrap_or_else(|e| panic!("{e}")), x)
}

/// Asserts that a model has the log density computed by hand.
#[track_caller]
pub fn same(source: &str, data: &str, x: &[f64], expected: f64) {
    let found = lp(source, data, x);
    let close = found == expected || (found - expected).abs() <= 1e-10 * (1.0 + expected.abs());
    assert!(close, "{source}\nfound {found}, by hand {expected}");
}

/// The message of a model that is refused.
#[track_caller]
pub fn refused(source: &str, data: &str, part: &str) {
    match bound(source, data, &[]) {
        Ok(_) => panic!("accepted:\n{source}"),
        Err(m) => assert!(m.contains(part), "{m}"),
    }
}
