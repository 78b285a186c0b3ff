//! Maxima with closed forms.

use super::*;
use crate::model::data::DataFile;
use crate::model::posterior::Model;

const NORMAL: &str = "data n: int\ndata y: vector[n]\nlatent mu ~ normal(1, 3)\nobserve y ~ normal(mu, 2)\n";
const DATA: &str = r#"{"n": 5, "y": [3.1, -0.4, 2.2, 5.0, 1.7]}"#;

fn bind(model: &str, data: &str) -> Posterior {
    let data = DataFile::from_json(data).expect("data");
    Model::from_text("m", model).and_then(|m| m.bind(&data)).unwrap_or_else(|e| panic!("{e}"))
}

fn best(model: &str, data: &str, options: &Options) -> Optimum {
    maximize(&bind(model, data), options).unwrap_or_else(|e| panic!("{e}"))
}

/// Precision n/4 + 1/9, mean (Σy/4 + 1/9) / precision.
#[test]
fn normal_mean_has_its_closed_form() {
    let o = best(NORMAL, DATA, &Options::default());
    let precision = 5.0 / 4.0 + 1.0 / 9.0;
    assert!((o.values[0] - (11.6 / 4.0 + 1.0 / 9.0) / precision).abs() < 1e-12);
    let se = o.standard_errors.expect("definite");
    assert!((se[0] - precision.powf(-0.5)).abs() < 1e-12);
    assert_eq!(o.reached.len(), 4);
}

#[test]
fn likelihood_drops_the_prior() {
    let o = best(NORMAL, DATA, &Options { objective: Objective::Likelihood, ..Options::default() });
    assert!((o.values[0] - 11.6 / 5.0).abs() < 1e-12);
    assert!((o.standard_errors.expect("definite")[0] - (4.0f64 / 5.0).sqrt()).abs() < 1e-12);
}

/// gamma(a, b): mode (a - 1) / b and curvature b² / (a - 1) without the Jacobian; a / b in log x with it,
/// where the curvature in log x is a and the delta method gives sqrt(a) / b.
#[test]
fn gamma_modes_with_and_without_jacobian() {
    let model = "latent s ~ gamma(4, 2)\nfactor 0\nreport twice = 2 * s\n";
    let o = best(model, "{}", &Options::default());
    let se = o.standard_errors.expect("definite");
    assert!((o.values[0] - 1.5).abs() < 1e-12 && (o.values[1] - 3.0).abs() < 1e-12);
    assert!((se[0] - 3.0f64.sqrt() / 2.0).abs() < 1e-11, "{se:?}");
    assert!((se[1] - 3.0f64.sqrt()).abs() < 1e-11, "{se:?}");
    let o = best(model, "{}", &Options { objective: Objective::Unconstrained, ..Options::default() });
    assert!((o.values[0] - 2.0).abs() < 1e-12);
    assert!((o.standard_errors.expect("definite")[0] - 1.0).abs() < 1e-11);
}

/// Two correlated coordinates: y ~ N(a + b, 1), a, b ~ N(0, 1): -H = [[2, 1], [1, 2]].
#[test]
fn correlated_coordinates_have_marginal_errors() {
    let o = best(
        "data y: real\nlatent a ~ normal(0, 1)\nlatent b ~ normal(0, 1)\nobserve y ~ normal(a + b, 1)\n",
        r#"{"y": 3}"#,
        &Options::default(),
    );
    let se = o.standard_errors.expect("definite");
    for k in 0..2 {
        assert!((o.values[k] - 1.0).abs() < 1e-12);
        assert!((se[k] - (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}

#[test]
fn a_flat_direction_is_named() {
    let model = "data y: real\nlatent a ~ normal(0, 1)\nlatent b ~ normal(0, 1)\nobserve y ~ normal(a, 1)\n";
    let o = best(model, r#"{"y": 3}"#, &Options { objective: Objective::Likelihood, ..Options::default() });
    assert_eq!(o.standard_errors, Err(OptimizeError::NotDefinite { coordinate: "b".into() }));
    let both = model.replace("normal(a, 1)", "normal(a + b, 1)");
    let o = best(&both, r#"{"y": 3}"#, &Options { objective: Objective::Likelihood, ..Options::default() });
    assert!(matches!(o.standard_errors, Err(OptimizeError::NotDefinite { .. })));
}

#[test]
fn an_unbounded_density_is_refused() {
    let e = maximize(&bind("latent x ~ normal(0, 1)\nfactor x^4\n", "{}"), &Options::default());
    assert!(matches!(e, Err(OptimizeError::NotConverged { .. } | OptimizeError::NoStart { .. })), "{e:?}");
    let e = maximize(
        &bind("latent x ~ normal(0, 1)\n", "{}"),
        &Options { objective: Objective::Likelihood, ..Options::default() },
    );
    assert_eq!(e.err(), Some(OptimizeError::NoLikelihood));
}

/// half_normal(0, 1) has its mode at 0, which no coordinate reaches.
#[test]
fn a_mode_at_the_edge_has_no_standard_error() {
    let o = best("latent s ~ half_normal(0, 1)\nfactor 0\n", "{}", &Options::default());
    assert!(o.values[0].abs() < 1e-3);
    assert_eq!(o.standard_errors, Err(OptimizeError::AtEdge { coordinate: "s".into() }));
}

/// Data far from every start, where the first gradient is of the order 1e8: mean and root mean square
/// deviation s, with the errors s / √n and s / √(2n).
#[test]
fn normal_with_unknown_scale_far_from_the_start() {
    let model =
        "data y: vector[4]\nlatent mu: real ~ flat()\nlatent s: real<lower=0> ~ flat()\nobserve y ~ normal(mu, s)\n";
    let o = best(model, r#"{"y": [5000, 5100, 5300, 5400]}"#, &Options::default());
    let s = 25_000f64.sqrt();
    assert!((o.values[0] / 5200.0 - 1.0).abs() < 1e-10, "{:?}", o.values);
    assert!((o.values[1] / s - 1.0).abs() < 1e-10, "{:?}", o.values);
    let se = o.standard_errors.expect("definite");
    assert!((se[0] / (s / 2.0) - 1.0).abs() < 1e-8 && (se[1] / (s / 8f64.sqrt()) - 1.0).abs() < 1e-8, "{se:?}");
}
