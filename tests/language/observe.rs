//! Rules 20 and 22 to 30: targets, missing values, data files, mixtures, censoring.

use crate::hand::{binomial, bound, inv_logit, log_sum, normal, poisson, refused, same};

const Y: &str = r#"{"N": 2, "y": [1.5, 2.5]}"#;

#[test]
fn r20_a_constraint_on_data_is_a_check() {
    same(
        "data y: real<lower=0>\nlatent m ~ normal(0, 1)\nobserve y ~ normal(m, 1)",
        r#"{"y": 1}"#,
        &[0.5],
        normal(0.5, 0.0, 1.0) + normal(1.0, 0.5, 1.0),
    );
    refused("data y: real<lower=0>", r#"{"y": -1}"#, "below its lower bound");
    refused("data y: array[2] int<lower=1, upper=3>", r#"{"y": [3, 4]}"#, "y[2]");
    refused("data p: simplex[2]", r#"{"p": [0.5, 0.6]}"#, "simplex");
}

#[test]
fn r22_transforms_of_targets() {
    let at = |e: &str| format!("data N: int\ndata y: vector[N]\nlatent m: real ~ flat()\nobserve {e} ~ normal(m, 2)");
    let expected = |f: fn(f64) -> f64| normal(f(1.5), 0.5, 2.0) + normal(f(2.5), 0.5, 2.0);
    same(&at("y"), Y, &[0.5], expected(|y| y));
    same(&at("log(y)"), Y, &[0.5], expected(f64::ln));
    same(&at("log10(y)"), Y, &[0.5], expected(f64::log10));
    same(&at("exp(y)"), Y, &[0.5], expected(f64::exp));
    same(&at("sqrt(y)"), Y, &[0.5], expected(f64::sqrt));
    same(&at("-y"), Y, &[0.5], expected(|y| -y));
    same(&at("3 - y / 2"), Y, &[0.5], expected(|y| 3.0 - y / 2.0));
    same(&at("logit(y / 4)"), Y, &[0.5], expected(|y| (y / 4.0).ln() - (1.0 - y / 4.0).ln()));
    same(&at("y[1:2]"), Y, &[0.5], expected(|y| y));
    let through = "data N: int\ndata y: vector[N]\nlatent m: real ~ flat()\nlet z = log(y)\nobserve z ~ normal(m, 2)";
    same(through, Y, &[0.5], expected(f64::ln));
}

#[test]
fn r23_an_element_is_observed_once() {
    refused("data N: int\ndata y: vector[N]\nobserve y ~ normal(0, 1)\nobserve y[1] ~ normal(0, 1)", Y, "y[1]");
    refused("data N: int\ndata y: vector[N]\nfor n in 1:2 { observe y[1] ~ normal(0, 1) }", Y, "y[1]");
    refused(
        "data N: int\ndata y: vector[N]\nobserve y ~ normal(0, 1)\nlet z = log(y)\nobserve z ~ normal(0, 1)",
        Y,
        "observed",
    );
}

#[test]
fn r24_densities_read_observed_data() {
    let model = "data y: vector[3]\nlatent a: real ~ flat()\nobserve y[1] ~ normal(0, 1)\nfor t in 2:3 { observe y[t] ~ normal(a * y[t - 1], 1) }";
    same(model, r#"{"y": [1, 2, 3]}"#, &[0.5], normal(1.0, 0.0, 1.0) + normal(2.0, 0.5, 1.0) + normal(3.0, 1.0, 1.0));
}

#[test]
fn r25_missing_values() {
    let model = "data y: vector[3]\nlatent m: real ~ flat()\nobserve y ~ normal(m, 1)";
    same(model, r#"{"y": [1, null, 3]}"#, &[0.5], normal(1.0, 0.5, 1.0) + normal(3.0, 0.5, 1.0));
    let rows = "data y: vector[3]\nlatent m: real ~ flat()\nplate n in 1:3 { observe log(y[n]) ~ normal(m, 1) }";
    same(rows, r#"{"y": [1, null, 3]}"#, &[0.5], normal(0.0, 0.5, 1.0) + normal(3f64.ln(), 0.5, 1.0));
    let counts = "data y: array[2] int<lower=0>\nlatent m ~ exponential(1)\nobserve y ~ poisson(m)";
    same(counts, r#"{"y": [2, null]}"#, &[0.0], poisson(2.0, 1.0) - 1.0);
    refused("data y: vector[2]\nlatent m: real ~ flat()\nfactor m * sum(y)", r#"{"y": [1, null]}"#, "latent");
}

#[test]
fn r26_the_data_file() {
    same("data n: int\nfactor n", r#"{"n": 3.0}"#, &[], 3.0);
    refused("data n: int", r#"{"n": 3.5}"#, "integer");
    refused("data v: vector[1]", r#"{"v": 3}"#, "array of one");
    same("data w: real from \"plate.width\"\nfactor w", r#"{"plate.width": 2}"#, &[], 2.0);
    same("data w: real = 4\nfactor w", "{}", &[], 4.0);
    same("data w: real = 4\nfactor w", r#"{"w": 5}"#, &[], 5.0);
    refused("data w: vector[2] = 4", "{}", "shape");
    refused("data w: int = 4.5", "{}", "int");
    refused("data w: real<lower=5> = 4", "{}", "bound");
    same("data m: matrix[2, 3]\nfactor m[1, 3]", r#"{"m": [[1, 2, 3], [4, 5, 6]]}"#, &[], 3.0);
    assert_eq!(bound("data a: real", r#"{"a": 1, "b": 2}"#, &[]).unwrap().unused, ["b"]);
}

#[test]
fn r29_mixtures() {
    let two = "data N: int\ndata y: vector[N]\nlatent w ~ beta(1, 1)\nobserve y ~ mixture([w, 1 - w], [normal(0, 1), normal(3, 2)])";
    let w = inv_logit(0.4);
    let mix = |y: f64| log_sum(&[w.ln() + normal(y, 0.0, 1.0), (1.0 - w).ln() + normal(y, 3.0, 2.0)]);
    same(two, Y, &[0.4], mix(1.5) + mix(2.5) + (w * (1.0 - w)).ln());
    let three = "data N: int\ndata y: vector[N]\nlatent m: vector[3] ~ flat()\nobserve y ~ mixture([0.2, 0.3, 0.5], [normal(m[k], k) for k in 1:3])";
    let m = [0.1, 0.2, 0.3];
    let mix = |y: f64| {
        log_sum(&[
            0.2f64.ln() + normal(y, m[0], 1.0),
            0.3f64.ln() + normal(y, m[1], 2.0),
            0.5f64.ln() + normal(y, m[2], 3.0),
        ])
    };
    same(three, Y, &m, mix(1.5) + mix(2.5));
    // Weights for each value.
    let rows = "data N: int\ndata y: vector[N]\nlatent m: vector[2] ~ flat()\nplate n in 1:N { let w = n / 3\n observe y[n] ~ mixture([w, 1 - w], [normal(m[1], 1), normal(m[2], n)]) }";
    let row =
        |y: f64, n: f64| log_sum(&[(n / 3.0).ln() + normal(y, 0.1, 1.0), (1.0 - n / 3.0).ln() + normal(y, 0.2, n)]);
    same(rows, Y, &[0.1, 0.2], row(1.5, 1.0) + row(2.5, 2.0));
    // Values that are vectors: one choice for each vector.
    let vectors = "data y: array[2] vector[2]\nlatent m: real ~ flat()\nobserve y ~ mixture([0.3, 0.7], [multi_normal([m, m], identity_matrix(2)), multi_normal([1, 2], identity_matrix(2))])";
    let v = |a: f64, b: f64| {
        log_sum(&[
            0.3f64.ln() + normal(a, 0.5, 1.0) + normal(b, 0.5, 1.0),
            0.7f64.ln() + normal(a, 1.0, 1.0) + normal(b, 2.0, 1.0),
        ])
    };
    same(vectors, r#"{"y": [[1, 2], [3, 4]]}"#, &[0.5], v(1.0, 2.0) + v(3.0, 4.0));
    // Zero-inflated, and a component truncated.
    let zero = "data k: array[3] int\nlatent p ~ beta(1, 1)\nlatent m ~ exponential(1)\nobserve k ~ mixture([p, 1 - p], [dirac(0), poisson(m)])";
    let p = inv_logit(0.4);
    let zi =
        |k: f64| if k == 0.0 { log_sum(&[p.ln(), (1.0 - p).ln() - 1.0]) } else { (1.0 - p).ln() + poisson(k, 1.0) };
    same(zero, r#"{"k": [0, 2, 0]}"#, &[0.4, 0.0], 2.0 * zi(0.0) + zi(2.0) + (p * (1.0 - p)).ln() - 1.0);
    let hurdle = zero.replace("poisson(m)", "poisson(m)<lower=1>");
    let h = (1.0 - p).ln() + poisson(2.0, 1.0) - (1.0 - (-1f64).exp()).ln();
    same(&hurdle, r#"{"k": [0, 2, 0]}"#, &[0.4, 0.0], 2.0 * p.ln() + h + (p * (1.0 - p)).ln() - 1.0);
    refused(
        "data k: array[1] int\nobserve k ~ mixture([0.5, 0.5], [poisson(1), normal(0, 1)])",
        r#"{"k": [1]}"#,
        "integers",
    );
    refused(
        "data y: real\nobserve y ~ mixture([0.5, 0.2, 0.3], [normal(0, 1), normal(1, 1)])",
        r#"{"y": 1}"#,
        "weights",
    );
    // As the law of a latent.
    let latent = "latent x: vector[2] ~ mixture([0.5, 0.5], [normal(-1, 1), normal(1, 1)])";
    let m = |x: f64| log_sum(&[0.5f64.ln() + normal(x, -1.0, 1.0), 0.5f64.ln() + normal(x, 1.0, 1.0)]);
    same(latent, "{}", &[0.3, 0.4], m(0.3) + m(0.4));
}

#[test]
fn r30_censored() {
    let model = "data t: vector[3]\nlatent r ~ exponential(1)\nobserve t ~ censored(exponential(r), upper=2)";
    let u = 0.3f64;
    let r = u.exp();
    same(model, r#"{"t": [1, 2, 3]}"#, &[u], r.ln() - r - 4.0 * r - r + u);
    let counts = "data k: array[3] int\nlatent m ~ exponential(1)\nobserve k ~ censored(poisson(m), lower=1, upper=3)";
    let above = (1.0 - (0..3).map(|k| poisson(k as f64, r).exp()).sum::<f64>()).ln();
    let below = (poisson(0.0, r).exp() + poisson(1.0, r).exp()).ln();
    same(counts, r#"{"k": [1, 2, 3]}"#, &[u], below + poisson(2.0, r) + above - r + u);
    let rows = "data t: vector[2]\ndata c: vector[2]\nlatent r ~ exponential(1)\nplate n in 1:2 { observe t[n] ~ censored(exponential(r), upper=c[n]) }";
    same(rows, r#"{"t": [1, 4], "c": [2, 4]}"#, &[u], r.ln() - r - 4.0 * r - r + u);
}

#[test]
fn observed_values_outside_a_support() {
    refused("data k: int\nlatent m ~ exponential(1)\nobserve k ~ poisson(m)", r#"{"k": -1}"#, "outside the support");
    refused("data k: int\nlatent p ~ beta(1, 1)\nobserve k ~ binomial(3, p)", r#"{"k": 4}"#, "outside the support");
    same(
        "data k: array[2] int\ndata n: array[2] int\nlatent p ~ beta(1, 1)\nobserve k ~ binomial(n, p)",
        r#"{"k": [1, 4], "n": [1, 5]}"#,
        &[0.0],
        binomial(1.0, 1.0, 0.5) + binomial(4.0, 5.0, 0.5) + 0.25f64.ln(),
    );
}
