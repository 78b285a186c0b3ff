//! Log likelihoods by step of chains whose states are summed out: against the sum over all sequences of states, and against
//! the whole.

use thalweg::graph::eval::evaluate;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Posterior};
use thalweg::model::row::likelihood::{Pointwise, Scheme};

use super::{bind, root};

/// Pieces at a point that is not 0, which add up to the whole up to the rounding of the sums.
fn pieces(post: &Posterior) -> (Pointwise, Vec<f64>) {
    let p = post.pointwise().unwrap_or_else(|e| panic!("{e}"));
    let u: Vec<Vec<f64>> =
        post.sites.iter().map(|s| (0..s.free).map(|k| 0.3 * (k as f64 + 1.0).sin()).collect()).collect();
    let u: Vec<&[f64]> = u.iter().map(|x| &x[..]).collect();
    let values = evaluate(&p.graph, &u, &[p.node]).concat();
    let whole = evaluate(&post.graph, &u, &[post.log_likelihood])[0][0];
    let sum: f64 = values.iter().sum();
    assert!((sum - whole).abs() < 1e-12 * (1.0 + whole.abs()), "{sum} {whole}");
    assert_eq!((p.names.len(), p.schemes.len()), (values.len(), values.len()));
    (p, values)
}

fn normal(y: f64, m: f64) -> f64 {
    (-0.5 * (y - m).powi(2)).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// log p(y_t | y_<t) of a chain on 0 and 1 by enumeration; `step(t, z_t, z_{t-1})` is a factor of the joint density.
fn enumerated(steps: usize, step: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let mass = |n: usize| -> f64 {
        let of = |z: usize| -> f64 {
            (0..n).map(|t| step(t, z >> t & 1, if t > 0 { z >> (t - 1) & 1 } else { 0 })).product()
        };
        (0..1 << n).map(of).sum()
    };
    (0..steps).map(|t| (mass(t + 1) / mass(t)).ln()).collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-12, "{found:?} {expected:?}");
    }
}

const Y: [f64; 5] = [1.0, -1.0, 2.0, 0.5, 0.1];

fn two_states(t: usize, z: usize, before: usize) -> f64 {
    let p = if t == 0 { 0.5 } else { 0.2 + 0.5 * before as f64 };
    let p = if z == 1 { p } else { 1.0 - p };
    p * normal(Y[t], z as f64)
}

#[test]
fn steps_of_a_chain_are_conditional_on_those_before() {
    let chain = "data y: vector[5]\nlatent z: array[5] int<lower=0, upper=1>\nfor t in 1:5 {\n  \
        latent z[t] ~ bernoulli(t == 1 ? 0.5 : 0.2 + 0.5 * z[t - 1])\n  observe y[t] ~ normal(z[t], 1)\n}";
    let (p, values) = pieces(&bind(chain, r#"{"y": [1, -1, 2, 0.5, 0.1]}"#));
    close(&values, &enumerated(5, two_states));
    assert_eq!(p.names, ["t[1]", "t[2]", "t[3]", "t[4]", "t[5]"]);
    assert!(p.schemes.iter().all(|s| *s == Scheme::LeaveFutureOut));
}

/// Observed in a plate of its own, twice at each step, and with a hidden choice at each step.
#[test]
fn what_a_step_observes_is_one_piece() {
    let chain = "data y: vector[5]\nlatent z: array[5] int<lower=0, upper=1>\nlatent w: array[5] int<lower=0, upper=1>\n\
        for t in 1:5 {\n  latent z[t] ~ bernoulli(t == 1 ? 0.5 : 0.2 + 0.5 * z[t - 1])\n\
        latent w[t] ~ bernoulli(z[t] == 1 ? 0.3 : 0.6)\n  observe y[t] ~ normal(z[t] - w[t], 1)\n}\n";
    let hidden = |t: usize, z: usize, b: usize| {
        let p = if t == 0 { 0.5 } else { 0.2 + 0.5 * b as f64 };
        let w = if z == 1 { 0.3 } else { 0.6 };
        let z_mass = if z == 1 { p } else { 1.0 - p };
        z_mass * (w * normal(Y[t], z as f64 - 1.0) + (1.0 - w) * normal(Y[t], z as f64))
    };
    let (_, values) = pieces(&bind(chain, r#"{"y": [1, -1, 2, 0.5, 0.1]}"#));
    close(&values, &enumerated(5, hidden));

    let twice = "data y: vector[5]\nlatent z: array[5] int<lower=0, upper=1>\nfor t in 1:5 {\n  \
        latent z[t] ~ bernoulli(t == 1 ? 0.5 : 0.2 + 0.5 * z[t - 1])\n  observe y[t] ~ normal(z[t], 1)\n}\n\
        data u: array[5] int\nplate n in 1:5 {\n  observe u[n] ~ bernoulli(0.1 + 0.8 * z[n])\n}";
    let two = bind(twice, r#"{"y": [1, -1, 2, 0.5, 0.1], "u": [1, 0, 0, 1, 1]}"#);
    // A step of the loop and a row of the plate share a layer, and are two pieces.
    let e = two.pointwise().expect_err("two names for one step");
    assert!(e.to_string().contains("only be summed out together"), "{e}");

    let plate = "data y: vector[5]\nlatent z: array[5] int<lower=0, upper=1>\nfor t in 1:5 {\n  \
        latent z[t] ~ bernoulli(t == 1 ? 0.5 : 0.2 + 0.5 * z[t - 1])\n}\nplate n in 1:5 {\n  observe y[n] ~ normal(z[n], 1)\n}";
    let (p, values) = pieces(&bind(plate, r#"{"y": [1, -1, 2, 0.5, 0.1]}"#));
    close(&values, &enumerated(5, two_states));
    assert_eq!((&p.names[4][..], p.schemes[4]), ("n[5]", Scheme::LeaveFutureOut));
}

/// Transitions that are impossible go through logs instead of scaled probabilities.
#[test]
fn a_chain_with_impossible_steps() {
    let chain = "data y: vector[5]\nlatent z: array[5] int<lower=0, upper=1>\nfor t in 1:5 {\n  \
        latent z[t] ~ bernoulli(t == 1 ? 0.25 : z[t - 1] == 1 ? 1.0 : 0.25)\n  observe y[t] ~ normal(z[t], 1)\n}";
    let step = |t: usize, z: usize, before: usize| {
        let p = if t > 0 && before == 1 { 1.0 } else { 0.25 };
        (if z == 1 { p } else { 1.0 - p }) * normal(Y[t], z as f64)
    };
    let (_, values) = pieces(&bind(chain, r#"{"y": [1, -1, 2, 0.5, 0.1]}"#));
    close(&values, &enumerated(5, step));
}

#[test]
fn independent_choices_have_no_order() {
    let source = "data y: vector[3]\nlatent z: array[3] int<lower=0, upper=1>\nfor t in 1:3 {\n  \
        latent z[t] ~ bernoulli(0.3)\n  observe y[t] ~ normal(z[t], 1)\n}";
    let (p, values) = pieces(&bind(source, r#"{"y": [1, -1, 2]}"#));
    let expected: Vec<f64> = Y[..3].iter().map(|y| (0.3 * normal(*y, 1.0) + 0.7 * normal(*y, 0.0)).ln()).collect();
    close(&values, &expected);
    assert!(p.schemes.iter().all(|s| *s == Scheme::LeaveOneOut));
}

#[test]
fn an_autoregression_leaves_the_future_out() {
    let source =
        "data y: vector[3]\nlatent a ~ normal(0, 1)\nfor t in 2:3 {\n  observe y[t] ~ normal(a * y[t - 1], 1)\n}";
    let (p, _) = pieces(&bind(source, r#"{"y": [1, -1, 2]}"#));
    assert_eq!((&p.names[..], p.schemes[1]), (&["y[2]".to_string(), "y[3]".to_string()][..], Scheme::LeaveFutureOut));
}

/// Reversed in time, and with a factor: the mass of a layer is no density of what it observes.
#[test]
fn sums_that_are_no_densities_in_time_are_refused() {
    let back = "data y: vector[3]\nlatent z: array[3] int<lower=0, upper=1>\nfor t in 1:3 {\n  \
        latent z[4 - t] ~ bernoulli(t == 1 ? 0.5 : 0.2 + 0.5 * z[5 - t])\n  observe y[t] ~ normal(z[t], 1)\n}";
    let factor = "data y: vector[3]\nlatent z: array[3] int<lower=0, upper=1>\nfor t in 1:3 {\n  \
        latent z[t] ~ bernoulli(t == 1 ? 0.5 : 0.2 + 0.5 * z[t - 1])\n  observe y[t] ~ normal(z[t], 1)\n  factor 0.1 * z[t]\n}";
    for (source, why) in [(back, "in the order of their laws"), (factor, "a `factor` reads")] {
        let e = bind(source, r#"{"y": [1, -1, 2]}"#).pointwise().expect_err(why);
        assert!(e.to_string().contains(why), "{e}");
    }
}

#[test]
fn the_model_of_the_collection() {
    let folder = root().join("models/hidden_markov");
    let data = DataFile::load(&folder.join("data.json")).unwrap_or_else(|e| panic!("{e}"));
    let post = Model::load(&folder).and_then(|m| m.bind(&data)).unwrap_or_else(|e| panic!("{e}"));
    let (p, values) = pieces(&post);
    assert!(values.len() > 10 && p.schemes.iter().all(|s| *s == Scheme::LeaveFutureOut));
    assert_eq!(p.names[1], "t[2]");
}
