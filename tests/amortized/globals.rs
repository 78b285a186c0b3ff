//! Guides of the latents outside the plate: mean field, full rank, flows.

use thalweg::vi::plate::Control;
use thalweg::workflow::amortize::{Bound, Options, Trained, fit};

use super::from_text;

/// Globals on a parabola, b about a² with an error of 0.3, and rows that hardly tell them.
fn parabola() -> Bound {
    let source = "data N: int\ndata y: vector[N]\nlatent a ~ normal(0, 1)\nlatent b ~ normal(a^2, 0.3)\n\
        plate n in 1:N {\n  latent z ~ normal(0, 1)\n  observe y[n] ~ normal(z + 0.01 * (a + b), 1)\n}\n";
    from_text(source, r#"{"N": 6, "y": [0.3, -1.2, 0.8, 0.1, -0.4, 0.1]}"#)
}

fn trained(b: &Bound, globals: Option<&str>) -> Trained {
    let globals = globals.map(str::to_string);
    let options = Options { globals, steps: 3000, rate: Some(0.01), ..Options::default() };
    fit(&b.target, &options, &Control::default(), None).unwrap()
}

/// Log p(y) is known: without the rows' 0.01 the globals do not matter, y ~ N(0, 2). The best normal law loses more than a
/// nat on the parabola (its best a-marginal is narrow); the flow has to win most of that back.
#[test]
fn a_flow_of_the_globals_follows_what_a_normal_law_cannot() {
    let b = parabola();
    let n = b.target.rows() as f64;
    let bound = |globals| {
        let history = trained(&b, globals).state.history;
        let last = &history[history.len() - 4..];
        n * last.iter().map(|h| h.1).sum::<f64>() / last.len() as f64
    };
    let log_z: f64 = [0.3f64, -1.2, 0.8, 0.1, -0.4, 0.1]
        .iter()
        .map(|y| -0.25 * y * y - 0.5 * (4.0 * std::f64::consts::PI).ln())
        .sum();
    let [normal, flow] = [None, Some("realnvp(4)")].map(bound);
    assert!(log_z - normal > 0.5, "normal: {normal}, log p(y) about {log_z}");
    assert!(log_z - flow < 0.2, "flow: {flow}, log p(y) about {log_z}");
    // Rows are looked at where the flow puts the centre of its base: near the parabola.
    let t = trained(&b, Some("realnvp(4)"));
    let x = t.globals(&b.target);
    assert!((x[1] - x[0] * x[0]).abs() < 0.5, "{x:?}");
}
