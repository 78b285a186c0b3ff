//! Rules S3 and R40: params and networks, held at a value or inputs of the graph.

use thalweg::base::rng::Stream;
use thalweg::density::LogDensity;
use thalweg::graph::eval::evaluate;
use thalweg::model::compiled::Compiled;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Posterior, Settings};
use thalweg::model::site::NoteKind;

use crate::hand::normal;

fn bind(text: &str, data: &str, settings: &Settings) -> Result<Posterior, String> {
    let model = Model::from_text("m.thal", text).map_err(|e| e.to_string())?;
    model.bind_with(&DataFile::from_json(data).unwrap(), settings).map_err(|e| e.to_string())
}

fn given(params: &[(&str, &[f64])]) -> Settings {
    Settings { params: params.iter().map(|(n, v)| (n.to_string(), v.to_vec())).collect(), ..Settings::default() }
}

/// The log density at a point, with the inputs in the order of the graph.
fn lp(p: &Posterior, inputs: &[&[f64]]) -> f64 {
    evaluate(&p.graph, inputs, &[p.lp])[0][0]
}

const W1: [f64; 6] = [0.5, -0.2, 1.1, 0.3, 0.7, -0.4];
const B1: [f64; 3] = [0.1, -0.3, 0.2];
const W2: [f64; 3] = [0.9, -1.3, 0.6];
const B2: [f64; 1] = [0.25];

/// 2 → 3 → 1 by hand.
fn by_hand(x: [f64; 2], act: fn(f64) -> f64) -> f64 {
    let h = (0..3).map(|k| act(W1[2 * k] * x[0] + W1[2 * k + 1] * x[1] + B1[k]));
    B2[0] + h.zip(W2).map(|(h, w)| h * w).sum::<f64>()
}

/// The standard normal distribution function by its power series (Abramowitz & Stegun 26.2.10).
fn phi(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..60 {
        term *= -x * x / (2 * k) as f64;
        sum += term / (2 * k + 1) as f64;
    }
    0.5 + sum / std::f64::consts::TAU.sqrt()
}

fn weights() -> Settings {
    given(&[("f.W1", &W1), ("f.b1", &B1), ("f.W2", &W2), ("f.b2", &B2)])
}

#[test]
fn networks_by_hand() {
    type Activation = fn(f64) -> f64;
    let acts: [(&str, Activation); 6] = [
        ("tanh", f64::tanh),
        ("sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
        ("relu", |x| x.max(0.0)),
        ("softplus", |x| x.exp().ln_1p()),
        ("silu", |x| x / (1.0 + (-x).exp())),
        ("gelu", |x| x * phi(x)),
    ];
    for (name, act) in acts {
        let text = format!(
            "data y: vector[3]\nparam f = mlp(2, [3], 1, {name})\n\
             plate n in 1:3 {{\n  latent z: vector[2] ~ normal(0, 1)\n  observe y[n] ~ normal(f(z)[1], 0.5)\n}}\n"
        );
        let p = bind(&text, r#"{"y": [0.4, -1.0, 2.0]}"#, &weights()).unwrap();
        let z = [0.3, -0.8, 1.2, 0.1, -0.5, 0.9];
        let mut expected: f64 = z.iter().map(|z| normal(*z, 0.0, 1.0)).sum();
        for (n, y) in [0.4, -1.0, 2.0].into_iter().enumerate() {
            expected += normal(y, by_hand([z[2 * n], z[2 * n + 1]], act), 0.5);
        }
        // One matrix product a layer, whatever the number of rows.
        let products = p.graph.nodes().iter().filter(|n| format!("{:?}", n.op).starts_with("MatMul")).count();
        assert_eq!(products, 2, "{name}");
        // By the executor: the normal distribution function of the reference evaluator is good to 1e-12 only.
        let program = Compiled::new(p);
        let found = program.logp(&z, &mut vec![0.0; program.scratch()]);
        assert!((found - expected).abs() < 1e-12, "{name}: {found} {expected}");
    }
}

#[test]
fn networks_of_matrices_vectors_and_known_values() {
    let text = "param f = mlp(2, [3], 1, tanh)\nlatent x: matrix[2, 2] ~ normal(0, 1)\nlet both = f(x)\n\
        let known = f([0.3, -0.8])\nfactor both[1, 1] + 2 * both[2, 1] + known[1]\n";
    let p = bind(text, "{}", &weights()).unwrap();
    let x = [0.3, -0.8, 1.2, 0.1];
    let (a, b) = (by_hand([0.3, -0.8], f64::tanh), by_hand([1.2, 0.1], f64::tanh));
    let expected = x.iter().map(|x| normal(*x, 0.0, 1.0)).sum::<f64>() + 2.0 * a + 2.0 * b;
    assert!((lp(&p, &[&x]) - expected).abs() < 1e-12);
    // In a recurrence the network is part of the step.
    let text = "param f = mlp(2, [3], 1, tanh)\nlatent a ~ normal(0, 1)\nlet h: vector[4]\nlet h[1] = a\n\
        for t in 2:4 { let h[t] = f([h[t - 1], 0.5])[1] }\nfactor h[4]\n";
    let p = bind(text, "{}", &weights()).unwrap();
    let h = (0..3).fold(0.7, |h, _| by_hand([h, 0.5], f64::tanh));
    assert!((lp(&p, &[&[0.7]]) - normal(0.7, 0.0, 1.0) - h).abs() < 1e-12);
}

#[test]
fn a_model_with_a_network_can_be_simulated() {
    let text = "data y: vector[3]\nparam f = mlp(2, [3], 1, tanh)\nlet A = [[2, 0], [0, 1]]\n\
        plate n in 1:3 {\n  latent z: vector[2] ~ normal(0, 1)\n  observe y[n] ~ normal(f(A * z)[1], 0.000001)\n}\n";
    let model = Model::from_text("m.thal", text).unwrap();
    let s = model.simulate(&DataFile::default(), &weights(), &mut Stream::new(3, "t", 0)).unwrap();
    let z = &s.latents[0].values;
    let y = &s.data.get("y").unwrap().values;
    for n in 0..3 {
        let mean = by_hand([2.0 * z[2 * n], z[2 * n + 1]], f64::tanh);
        // Six standard deviations of the observation: false alarms below 1e-8.
        assert!((y[n] - mean).abs() < 6e-6, "{} {mean}", y[n]);
    }
}

#[test]
fn initial_weights_come_from_their_stream() {
    let text = "param f = mlp(30, [40, 20], 10, relu)\nparam g = mlp(30, [40], 10, tanh)\n";
    let p = bind(text, "{}", &Settings::default()).unwrap();
    let names: Vec<&str> = p.params.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["f.W1", "f.b1", "f.W2", "f.b2", "f.W3", "f.b3", "g.W1", "g.b1", "g.W2", "g.b2"]);
    assert_eq!(p.params[0].dims, [40, 30]);
    assert!(p.params[1].value.iter().all(|b| *b == 0.0));
    // Mean squares: 2 / inputs for hidden layers of relu, 2 / (inputs + outputs) elsewhere. The relative standard error is
    // √(2/n) for normals and less for uniforms; 5.3 of them are passed with probability 1e-7 at most.
    for (k, expected) in [(0, 2.0 / 30.0), (2, 2.0 / 40.0), (4, 2.0 / 30.0), (6, 2.0 / 70.0), (8, 2.0 / 50.0)] {
        let w = &p.params[k].value;
        let square = w.iter().map(|x| x * x).sum::<f64>() / w.len() as f64;
        let error = (2.0 / w.len() as f64).sqrt();
        assert!((square / expected - 1.0).abs() < 5.3 * error, "{k}: {square} {expected}");
    }
    let same = bind(text, "{}", &Settings::default()).unwrap();
    let other = bind(text, "{}", &Settings { seed: 1, ..Settings::default() }).unwrap();
    assert_eq!(p.params[0].value, same.params[0].value);
    assert_ne!(p.params[0].value, other.params[0].value);
    let held: Vec<&str> = p.notes.iter().filter(|n| n.kind == NoteKind::Info).map(|n| n.text.as_str()).collect();
    assert_eq!(held[0], "the 2270 weights of network `f` are held at their initial values, drawn with seed 0");
}

#[test]
fn a_trainer_gets_params_as_inputs() {
    let text = "data y: vector[2]\nparam s: real<lower=0> = 2\nparam w: simplex[3] = [0.2, 0.3, 0.5]\nparam f = mlp(1, [2], 1, tanh)\n\
        latent z ~ normal(0, s)\nobserve y ~ normal(f([z])[1] + w[1] - w[3], 1)\n";
    let data = r#"{"y": [0.1, 0.6]}"#;
    let folded = bind(text, data, &Settings::default()).unwrap();
    let open = bind(text, data, &Settings { trainable: true, ..Settings::default() }).unwrap();
    assert!(folded.params.iter().all(|p| p.input.is_none()));
    assert!(open.notes.iter().all(|n| !n.text.contains("held")));
    assert_eq!(open.params.iter().map(|p| p.constraint.as_str()).collect::<Vec<_>>()[..2], ["(0, inf)", "simplex"]);
    // Inputs by their place in the graph: params and latents in order of declaration.
    let starts: Vec<Vec<f64>> = open.params.iter().map(|p| p.input.as_ref().unwrap().start.clone()).collect();
    assert_eq!(starts[0], [2f64.ln()]);
    assert_eq!(starts[1].len(), 2);
    let mut inputs: Vec<&[f64]> = starts.iter().map(|s| &s[..]).collect();
    let z = [0.4];
    inputs.push(&z);
    let (a, b) = (lp(&folded, &[&z]), lp(&open, &inputs));
    assert!((a - b).abs() < 1e-12 * a.abs(), "{a} {b}");
    // The density moves with a param: d/ds of the prior alone.
    inputs[0] = &[0.0];
    let moved = lp(&open, &inputs) - b;
    assert!((moved - (normal(0.4, 0.0, 1.0) - normal(0.4, 0.0, 2.0))).abs() < 1e-12);
}
