//! Rule 28: exact draws of summed-out latents, against all joint states enumerated by hand.

use std::collections::HashMap;

use thalweg::base::rng::Stream;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Settings};

use crate::hand::{log_sum, normal};

/// Draws of each test; with them the mutants below are far beyond the bound.
const DRAWS: usize = 20_000;
/// False-alarm rate of each test.
const ALPHA: f64 = 1e-6;

type Given = [(&'static str, Vec<f64>)];

/// Draws of all hidden latents, site after site.
fn draws(model: &str, data: &str, given: &Given, names: &[&str]) -> Vec<Vec<i64>> {
    let model = Model::from_text("m.thal", model).unwrap();
    let data = DataFile::from_json(data).unwrap();
    let hidden = model.hidden(&data, &Settings::default()).unwrap().expect("hidden latents");
    let given: HashMap<String, Vec<f64>> = given.iter().map(|(n, v)| (n.to_string(), v.clone())).collect();
    let one = |k: usize| {
        let mut all = given.clone();
        hidden.draw(&mut all, &mut Stream::new(11, "hidden", k as u64)).unwrap();
        names.iter().flat_map(|n| all[*n].iter().map(|x| *x as i64)).collect()
    };
    (0..DRAWS).map(one).collect()
}

/// Whether frequencies of joint states agree with their probabilities. By Bernstein's inequality a count of mean np is
/// off by t with probability at most 2 exp(−t² / (2 np(1 − p) + 2t/3)); the rate is shared by all states.
fn agree(draws: &[Vec<i64>], states: &[Vec<i64>], logs: &[f64]) -> bool {
    let total = log_sum(logs);
    let mut counts: HashMap<&[i64], f64> = HashMap::new();
    draws.iter().for_each(|d| *counts.entry(d).or_default() += 1.0);
    let n = draws.len() as f64;
    let limit = (2.0 * states.len() as f64 / ALPHA).ln();
    states.iter().zip(logs).all(|(s, l)| {
        let p = (l - total).exp();
        let off = (counts.get(&s[..]).copied().unwrap_or(0.0) - n * p).abs();
        if p == 0.0 { off == 0.0 } else { off * off <= limit * (2.0 * n * p * (1.0 - p) + 2.0 * off / 3.0) }
    })
}

/// The right draws agree. Draws with each element from another draw have the right margins only, and must not.
fn exact(draws: &[Vec<i64>], states: &[Vec<i64>], logs: &[f64]) {
    assert!(agree(draws, states, logs));
    let n = draws.len();
    let mixed: Vec<Vec<i64>> =
        (0..n).map(|k| (0..draws[0].len()).map(|i| draws[(k + 7 * i) % n][i]).collect()).collect();
    assert!(!agree(&mixed, states, logs), "independent elements pass: the test has no power");
}

fn all(sizes: &[i64], lower: i64) -> Vec<Vec<i64>> {
    sizes.iter().fold(vec![vec![]], |out, n| {
        out.iter().flat_map(|s| (lower..lower + n).map(|x| [&s[..], &[x]].concat())).collect()
    })
}

const M: [f64; 3] = [-1.0, 0.5, 2.0];
const P: [f64; 3] = [0.2, 0.3, 0.5];
const A: [[f64; 3]; 3] = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.0, 0.2, 0.8]];
const Y: [f64; 5] = [0.3, -0.7, 1.9, 0.4, 1.1];
const CHAIN: &str = "data y: vector[5]\nlatent m: ordered[3] ~ normal(0, 5)\n\
    let A = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0, 0.2, 0.8]]\nlatent z: array[5] int\n\
    for t in 1:5 {\n  latent z[t] ~ categorical(t == 1 ? [0.2, 0.3, 0.5] : A[z[t - 1]])\n  observe y[t] ~ normal(m[z[t]], 1)\n}\n";
const CHAIN_DATA: &str = r#"{"y": [0.3, -0.7, 1.9, 0.4, 1.1]}"#;

fn chain_mass(z: &[i64]) -> f64 {
    let at = |t: usize| z[t] as usize - 1;
    let prior = |t: usize| if t == 0 { P[at(0)].ln() } else { A[at(t - 1)][at(t)].ln() };
    (0..5).map(|t| prior(t) + normal(Y[t], M[at(t)], 1.0)).sum()
}

#[test]
fn chains_by_backward_sampling() {
    let d = draws(CHAIN, CHAIN_DATA, &[("m", M.to_vec())], &["z"]);
    let states = all(&[3; 5], 1);
    let logs: Vec<f64> = states.iter().map(|z| chain_mass(z)).collect();
    exact(&d, &states, &logs);
}

#[test]
fn rows_that_share_a_top_level_switch() {
    let model = "data y: vector[3]\ndata g: array[3] int\nlatent a ~ normal(0, 1) noncentred\nlatent s ~ bernoulli(0.4)\n\
        plate j in 1:2 { latent c ~ bernoulli(0.3 + 0.4 * s) }\n\
        plate n in 1:3 {\n  latent k ~ binomial(2, 0.5)\n  observe y[n] ~ normal(a * k + c[g[n]] - s, 0.8)\n}\n";
    let (y, g) = ([0.2, 1.4, -0.6], [0, 1, 0]);
    let d = draws(model, r#"{"y": [0.2, 1.4, -0.6], "g": [1, 2, 1]}"#, &[("a", vec![0.9])], &["s", "c", "k"]);
    let states: Vec<Vec<i64>> = all(&[2, 2, 2, 3, 3, 3], 0);
    let mass = |z: &Vec<i64>| {
        let x: Vec<f64> = z.iter().map(|v| *v as f64).collect();
        let flip = |x: f64, p: f64| (x * p + (1.0 - x) * (1.0 - p)).ln();
        let rows = (0..2).map(|j| flip(x[1 + j], 0.3 + 0.4 * x[0])).sum::<f64>();
        let ends = |n: usize| {
            [0.25f64, 0.5, 0.25][z[3 + n] as usize].ln() + normal(y[n], 0.9 * x[3 + n] + x[1 + g[n]] - x[0], 0.8)
        };
        flip(x[0], 0.4) + rows + (0..3).map(ends).sum::<f64>()
    };
    let logs: Vec<f64> = states.iter().map(mass).collect();
    exact(&d, &states, &logs);
}

#[test]
fn a_filled_latent_that_reads_the_state() {
    // The continuous chain is noncentred and its law reads the hidden state; elements 1 and 2 of 3 have laws.
    let model = "latent x: vector[3]\nlatent z: array[2] int\nlatent z[1] ~ bernoulli(0.3)\nlatent x[1] ~ normal(z[1], 1)\n\
        latent z[2] ~ bernoulli(0.2 + 0.5 * z[1])\nlatent x[2] ~ normal(2 * z[2] + x[1], 0.7)\n";
    let x = [0.4, 1.3];
    let d = draws(model, "{}", &[("x", vec![x[0], x[1], f64::NAN])], &["z"]);
    let states = all(&[2, 2], 0);
    let mass = |z: &Vec<i64>| {
        let (a, b) = (z[0] as f64, z[1] as f64);
        let flip = |x: f64, p: f64| (x * p + (1.0 - x) * (1.0 - p)).ln();
        flip(a, 0.3) + flip(b, 0.2 + 0.5 * a) + normal(x[0], a, 1.0) + normal(x[1], 2.0 * b + x[0], 0.7)
    };
    let logs: Vec<f64> = states.iter().map(mass).collect();
    exact(&d, &states, &logs);
}

#[test]
fn an_impossible_draw_is_an_error() {
    let model =
        Model::from_text("m.thal", "data y: int\nlatent z ~ bernoulli(0.5)\nobserve y ~ binomial(z, 0.5)\n").unwrap();
    let hidden = model.hidden(&DataFile::from_json(r#"{"y": 2}"#).unwrap(), &Settings::default()).unwrap().unwrap();
    let e = hidden.draw(&mut HashMap::new(), &mut Stream::new(1, "hidden", 0)).unwrap_err();
    assert_eq!(e.to_string(), "no state of `z` has positive probability given this draw");
    let chain = Model::from_text("m.thal", CHAIN).unwrap();
    let hidden = chain.hidden(&DataFile::from_json(CHAIN_DATA).unwrap(), &Settings::default()).unwrap().unwrap();
    let e = hidden.draw(&mut HashMap::new(), &mut Stream::new(1, "hidden", 0)).unwrap_err();
    assert!(e.to_string().contains("no values of `m`"), "{e}");
}
