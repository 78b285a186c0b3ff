//! Rules 14 to 21, 31, 36, 41 and 42: laws, supports, truncation, order, densities as functions.

use crate::hand::{bound, inv_logit, normal, poisson, refused, same};
use thalweg::base::special::{lgamma, normal_cdf};
use thalweg::model::site::NoteKind;

const LN_2: f64 = std::f64::consts::LN_2;

#[test]
fn r14_batches_and_arguments() {
    let x = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let m = r#"{"m": [1, 2, 3], "M": [[1, 2, 3], [4, 5, 6]]}"#;
    same(
        "data m: vector[3]\nlatent x: vector[3] ~ normal(m, 2)",
        m,
        &x[..3],
        (0..3).map(|i| normal(x[i], i as f64 + 1.0, 2.0)).sum(),
    );
    same(
        "data M: matrix[2, 3]\nlatent x: matrix[2, 3] ~ normal(M, 2)",
        m,
        &x,
        (0..6).map(|i| normal(x[i], i as f64 + 1.0, 2.0)).sum(),
    );
    // A vector law over a batch: one argument for all, or one for each.
    let shared = "data m: vector[3]\nlatent x: array[2] vector[3] ~ multi_normal(m, identity_matrix(3))";
    same(shared, m, &x, (0..6).map(|i| normal(x[i], (i % 3) as f64 + 1.0, 1.0)).sum());
    let each = "data M: matrix[2, 3]\nlatent x: array[2] vector[3] ~ multi_normal(M, identity_matrix(3))";
    same(each, m, &x, (0..6).map(|i| normal(x[i], i as f64 + 1.0, 1.0)).sum());
    refused("data M: matrix[2, 3]\nlatent x: matrix[3, 2] ~ normal(M, 1)", m, "shape");
    refused("data m: vector[3]\nlatent x: matrix[2, 3] ~ normal(m, 1)", m, "shape");
    refused("data m: vector[3]\nlatent x: vector[2] ~ multi_normal(m, identity_matrix(3))", m, "shape");
    refused("data m: vector[3]\nlatent x: vector[3] ~ multi_normal(m, identity_matrix(2))", m, "shape");
}

#[test]
fn r15_shapes_of_latents_without_types() {
    refused("data m: vector[2]\nlatent x ~ normal(m, 1)", r#"{"m": [1, 2]}"#, "type");
    refused("latent L ~ lkj_corr_cholesky(2)", "{}", "type");
    refused("latent x ~ flat()", "{}", "type");
    assert_eq!(bound("latent p ~ dirichlet(rep_vector(1, 3))", "{}", &[]).unwrap().sites[0].dims, [3]);
    assert_eq!(bound("latent x: cholesky_factor_corr[3] ~ lkj_corr_cholesky(2)", "{}", &[]).unwrap().dim, 3);
}

#[test]
fn r16_supports() {
    let u = 0.3f64;
    same(
        "latent s: vector[1] ~ half_cauchy(0, 1)",
        "{}",
        &[u],
        (2.0 / std::f64::consts::PI).ln() - (1.0 + (2.0 * u).exp()).ln() + u,
    );
    // A support that depends on latents.
    let garch = "latent a ~ uniform(0, 1)\nlatent b ~ uniform(0, 1 - a)";
    let (a, b) = (inv_logit(0.3), inv_logit(-0.2));
    let jacobian = (a * (1.0 - a)).ln() + ((1.0 - a) * b * (1.0 - b)).ln();
    same(garch, "{}", &[0.3, -0.2], jacobian - (1.0 - a).ln());
    // The same in a plate, and through declared bounds.
    let rows = "latent a: vector[2] ~ uniform(0, 1)\nplate i in 1:2 { latent b ~ uniform(0, 1 - a[i]) }";
    let (a1, b1) = (inv_logit(0.1), inv_logit(0.5));
    let second = (a1 * (1.0 - a1)).ln() + (b1 * (1.0 - b1)).ln();
    same(rows, "{}", &[0.3, 0.1, -0.2, 0.5], (a * (1.0 - a)).ln() + (b * (1.0 - b)).ln() + second);
    // Bounds of the type and after the law have a part in common.
    let both = "latent x: real<lower=0> ~ normal(0, 1)<lower=-1, upper=2>";
    let p = inv_logit(u);
    same(both, "{}", &[u], normal(2.0 * p, 0.0, 1.0) + (2.0 * p * (1.0 - p)).ln() - (normal_cdf(2.0) - 0.5).ln());
    let above = "latent x ~ exponential(2)<lower=1>";
    same(above, "{}", &[u], LN_2 - 2.0 * u.exp() + u);
    refused("latent x ~ uniform(2, 1)", "{}", "");
}

#[test]
fn r17_truncation() {
    let u = 0.3f64;
    same("latent s: real<lower=0> ~ normal(0, 2)", "{}", &[u], normal(u.exp(), 0.0, 2.0) + LN_2 + u);
    let depends = "latent m ~ normal(0, 1)\nlatent x ~ normal(m, 1)<lower=0.5>";
    let m = 0.2;
    same(
        depends,
        "{}",
        &[m, u],
        normal(m, 0.0, 1.0) + normal(0.5 + u.exp(), m, 1.0) + u - (1.0 - normal_cdf(0.5 - m)).ln(),
    );
    assert!(bound(depends, "{}", &[]).unwrap().notes.iter().any(|n| n.text.contains("Stan")));
    // Integers: both ends count.
    let count = "data k: array[2] int\nlatent m ~ exponential(1)\nobserve k ~ poisson(m)<lower=1>";
    let l = u.exp();
    same(count, r#"{"k": [1, 3]}"#, &[u], poisson(1.0, l) + poisson(3.0, l) - 2.0 * (1.0 - (-l).exp()).ln() - l + u);
    let two = count.replace("<lower=1>", "<lower=1, upper=3>");
    let mass = (1..4).map(|k| poisson(k as f64, l).exp()).sum::<f64>().ln();
    same(&two, r#"{"k": [1, 3]}"#, &[u], poisson(1.0, l) + poisson(3.0, l) - 2.0 * mass - l + u);
    refused(&two, r#"{"k": [1, 4]}"#, "4");
    // No distribution function, fixed arguments.
    let constant = "latent x ~ von_mises(0, 2)<lower=0, upper=1>";
    assert!(bound(constant, "{}", &[]).unwrap().notes.iter().any(|n| n.kind == NoteKind::UpToConstant));
    refused("latent k ~ exponential(1)\nlatent x ~ von_mises(0, k)<lower=0, upper=1>", "{}", "cumulative");
}

#[test]
fn r18_order() {
    let u = [0.3, -0.2, 0.1f64];
    let x = [u[0], u[0] + u[1].exp(), u[0] + u[1].exp() + u[2].exp()];
    let same_law = x.iter().map(|x| normal(*x, 1.0, 2.0)).sum::<f64>() + u[1] + u[2] + 6f64.ln();
    same("latent x: ordered[3] ~ normal(1, 2)", "{}", &u, same_law);
    let p = [u[0].exp(), u[0].exp() + u[1].exp(), u[0].exp() + u[1].exp() + u[2].exp()];
    let above = (1.0 - normal_cdf(-0.5)).ln();
    same(
        "latent x: positive_ordered[3] ~ normal(1, 2)",
        "{}",
        &u,
        p.iter().map(|x| normal(*x, 1.0, 2.0)).sum::<f64>() + u.iter().sum::<f64>() + 6f64.ln() - 3.0 * above,
    );
    // One law per row of a plate.
    let rows = "latent m: vector[2] ~ normal(0, 1)\nplate i in 1:2 { latent x: ordered[2] ~ normal(m[i], 1) }";
    let o = |m: f64, u: [f64; 2]| normal(u[0], m, 1.0) + normal(u[0] + u[1].exp(), m, 1.0) + u[1] + LN_2;
    same(
        rows,
        "{}",
        &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        normal(0.1, 0.0, 1.0) + normal(0.2, 0.0, 1.0) + o(0.1, [0.3, 0.4]) + o(0.2, [0.5, 0.6]),
    );
    let positive = rows.replace("ordered", "positive_ordered");
    let o = |m: f64, u: [f64; 2]| {
        normal(u[0].exp(), m, 1.0) + normal(u[0].exp() + u[1].exp(), m, 1.0) + u[0] + u[1] + LN_2
            - 2.0 * (normal_cdf(m)).ln()
    };
    same(
        &positive,
        "{}",
        &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        normal(0.1, 0.0, 1.0) + normal(0.2, 0.0, 1.0) + o(0.1, [0.3, 0.4]) + o(0.2, [0.5, 0.6]),
    );
    let two = "latent x: ordered[2] ~ normal([0, 1], [1, 2])";
    let z = normal_cdf(1.0 / 5f64.sqrt()).ln();
    same(two, "{}", &u[..2], normal(x[0], 0.0, 1.0) + normal(x[1], 1.0, 2.0) + u[1] - z);
    let rows = "latent m: vector[2] ~ normal(0, 1)\nplate i in 1:2 { latent x: ordered[2] ~ normal([0, m[i]], 1) }";
    let o = |m: f64, u: [f64; 2]| {
        normal(u[0], 0.0, 1.0) + normal(u[0] + u[1].exp(), m, 1.0) + u[1] - normal_cdf(m / 2f64.sqrt()).ln()
    };
    same(
        rows,
        "{}",
        &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        normal(0.1, 0.0, 1.0) + normal(0.2, 0.0, 1.0) + o(0.1, [0.3, 0.4]) + o(0.2, [0.5, 0.6]),
    );
    let fixed = bound("latent x: ordered[3] ~ normal([0, 1, 2], 1)", "{}", &[]).unwrap();
    assert!(fixed.notes.iter().any(|n| n.kind == NoteKind::UpToConstant));
    refused("latent m ~ normal(0, 1)\nlatent x: ordered[3] ~ normal([0, m, 2], 1)", "{}", "normalising constant");
    refused("latent x: simplex[3] ~ normal(0, 1)", "{}", "dirichlet");
}

#[test]
fn r19_flat_and_r42_standing() {
    let flat = bound("latent x: real<lower=0, upper=2> ~ flat()", "{}", &[]).unwrap();
    assert!(flat.notes.iter().any(|n| n.kind == NoteKind::UpToConstant));
    let p = inv_logit(0.3);
    same("latent x: real<lower=0, upper=2> ~ flat()", "{}", &[0.3], (2.0 * p * (1.0 - p)).ln());
    same("latent x: simplex[2] ~ flat()", "{}", &[0.3], (p * (1.0 - p)).ln());
    same("latent x: vector[2] ~ flat()", "{}", &[0.3, 0.4], 0.0);
    let normalised =
        bound("data y: real<lower=0>\nlatent m ~ normal(0, 1)\nobserve y ~ normal(m, 1)", r#"{"y": 1}"#, &[]).unwrap();
    assert!(normalised.notes.iter().all(|n| n.kind != NoteKind::UpToConstant));
}

#[test]
fn r21_half_laws() {
    let u = 0.3f64;
    same("latent s ~ half_normal(1, 2)", "{}", &[u], normal(1.0 + u.exp(), 1.0, 2.0) + LN_2 + u);
}

#[test]
fn r31_densities_as_functions() {
    same(
        "data y: vector[2]\nlatent m: real ~ flat()\nfactor normal_lpdf(y | m, 2)",
        r#"{"y": [1, 2]}"#,
        &[0.5],
        normal(1.0, 0.5, 2.0) + normal(2.0, 0.5, 2.0),
    );
    same("data k: int\nfactor poisson_lpmf(k | 2.5)", r#"{"k": 3}"#, &[], poisson(3.0, 2.5));
    same("factor normal_lcdf(1 | 0, 1)", "{}", &[], normal_cdf(1.0).ln());
    same("latent r ~ exponential(1)\nfactor exponential_lccdf([1, 2] | r)", "{}", &[0.0], -3.0 - 1.0);
    same("factor gamma_lpdf(2 | 3, 1)", "{}", &[], 2.0 * LN_2 - 2.0 - lgamma(3.0));
    same("factor exponential_lpdf(-1 | 1)", "{}", &[], f64::NEG_INFINITY);
    // Symbolic values outside the support, too.
    same("latent x: real ~ flat()\nfactor x < 5 ? 0 : exponential_lpdf(x | 1)", "{}", &[1.0], 0.0);
    same("latent x: real ~ flat()\nfactor exp(exponential_lpdf(x | 1))", "{}", &[-1.0], 0.0);
}

#[test]
fn r41_noncentred() {
    let model = "latent m ~ normal(0, 1)\nlatent s ~ exponential(1)\nlatent x: vector[2] ~ normal(m, s) noncentred\ndata y: vector[2]\nobserve y ~ normal(x, 1)";
    let (m, ls, t) = (0.5, 0.2f64, [0.3, -0.4]);
    let expected = normal(m, 0.0, 1.0) - ls.exp()
        + ls
        + t.iter().zip([1.0, 2.0]).map(|(t, y)| normal(*t, 0.0, 1.0) + normal(y, m + ls.exp() * t, 1.0)).sum::<f64>();
    same(model, r#"{"y": [1, 2]}"#, &[m, ls, t[0], t[1]], expected);
    // Bounds move along: x > 0 is t > -m / s.
    let bounded = "latent m ~ normal(0, 1)\nlatent x: real<lower=0> ~ normal(m, 2) noncentred\nfactor x";
    let u = 0.3f64;
    let t = -m / 2.0 + u.exp();
    same(
        bounded,
        "{}",
        &[m, u],
        normal(m, 0.0, 1.0) + normal(t, 0.0, 1.0) - normal_cdf(m / 2.0).ln() + u + m + 2.0 * t,
    );
    refused("latent p ~ beta(1, 1) noncentred", "{}", "location-scale");
}
