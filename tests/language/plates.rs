//! Rules 32 to 34, 28 and 31: plates, what is read from them, reports.

use crate::hand::{bound, normal, parts, refused, same};
use thalweg::graph::eval::evaluate;

#[test]
fn r32_rows_and_arrays() {
    let model = "data y: vector[3]\nlatent tau ~ exponential(1)\nplate j in 1:3 {\n  latent t ~ normal(0, tau)\n  let d = t * j\n  observe y[j] ~ normal(d, 1)\n}\nfactor t[2] + dot(d, y)";
    let (u, t, y) = (0.2f64, [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]);
    let rows: f64 = (0..3).map(|j| normal(t[j], 0.0, u.exp()) + normal(y[j], t[j] * (j as f64 + 1.0), 1.0)).sum();
    let d: f64 = (0..3).map(|j| t[j] * (j as f64 + 1.0) * y[j]).sum();
    same(model, r#"{"y": [1, 2, 3]}"#, &[u, t[0], t[1], t[2]], rows - u.exp() + u + t[1] + d);
    refused("plate j in 2:3 { latent t ~ normal(0, 1) }\nfactor t[1]", "{}", "declare an array");
    same(
        "plate j in 2:3 { latent t ~ normal(j, 1) }",
        "{}",
        &[0.1, 0.2],
        normal(0.1, 2.0, 1.0) + normal(0.2, 3.0, 1.0),
    );
}

#[test]
fn r32_nested_plates() {
    let model = "data y: matrix[2, 3]\nplate i in 1:2 {\n  latent a ~ normal(0, 1)\n  plate j in 1:3 {\n    latent b ~ normal(a, i)\n    observe y[i, j] ~ normal(b, j)\n  }\n  factor sum(b)\n}\nfactor b[2, 1]";
    let (a, b) = ([0.1, 0.2], [[0.3, 0.4, 0.5], [0.6, 0.7, 0.8]]);
    let mut expected = b[1][0];
    for i in 0..2 {
        expected += normal(a[i], 0.0, 1.0);
        for j in 0..3 {
            let y = (3 * i + j) as f64;
            expected += normal(b[i][j], a[i], i as f64 + 1.0) + normal(y, b[i][j], j as f64 + 1.0) + b[i][j];
        }
    }
    same(model, r#"{"y": [[0, 1, 2], [3, 4, 5]]}"#, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], expected);
}

#[test]
fn r33_ragged_plates() {
    let model = "data start: array[3] int\ndata y: vector[4]\nplate g in 1:2 {\n  latent m ~ normal(0, 1)\n  plate n in start[g]:start[g + 1] - 1 {\n    latent e ~ normal(0, 2)\n    observe y[n] ~ normal(m + e, 1)\n  }\n}";
    let data = r#"{"start": [1, 2, 5], "y": [1, 2, 3, 4]}"#;
    let (m, e, y, g) = ([0.1, 0.2], [0.3, 0.4, 0.5, 0.6], [1.0, 2.0, 3.0, 4.0], [0, 1, 1, 1]);
    let expected = normal(0.1, 0.0, 1.0)
        + normal(0.2, 0.0, 1.0)
        + (0..4).map(|n| normal(e[n], 0.0, 2.0) + normal(y[n], m[g[n]] + e[n], 1.0)).sum::<f64>();
    same(model, data, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], expected);
    // An empty group.
    same(
        model,
        r#"{"start": [1, 5, 5], "y": [1, 2, 3, 4]}"#,
        &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        normal(0.1, 0.0, 1.0)
            + normal(0.2, 0.0, 1.0)
            + (0..4).map(|n| normal(e[n], 0.0, 2.0) + normal(y[n], m[0] + e[n], 1.0)).sum::<f64>(),
    );
    refused(&format!("{model}\nfactor sum(e)"), data, "cannot be read here");
    refused("data n: array[2] int\nplate g in 1:2 { let s: vector[n[g]] }", r#"{"n": [1, 2]}"#, "plate index");
    // The same number for every group can be an array, slices in rows too.
    same(
        "data y: vector[4]\nlatent s: vector[2] ~ flat()\nplate g in 1:2 { observe y[2 * g - 1:2 * g] ~ normal(s[g], 1) }",
        r#"{"y": [1, 2, 3, 4]}"#,
        &[0.1, 0.2],
        normal(1.0, 0.1, 1.0) + normal(2.0, 0.1, 1.0) + normal(3.0, 0.2, 1.0) + normal(4.0, 0.2, 1.0),
    );
}

#[test]
fn r34_rows_read_earlier_plates() {
    let model = "data y: vector[4]\ndata g: array[4] int\nplate j in 1:2 { latent t ~ normal(0, 1) }\nplate n in 1:4 { observe y[n] ~ normal(t[g[n]], 1) }";
    let t = [0.1, 0.2];
    let expected = normal(0.1, 0.0, 1.0)
        + normal(0.2, 0.0, 1.0)
        + [(1.0, 0), (2.0, 1), (3.0, 1), (4.0, 0)].iter().map(|(y, g)| normal(*y, t[*g], 1.0)).sum::<f64>();
    same(model, r#"{"y": [1, 2, 3, 4], "g": [1, 2, 2, 1]}"#, &t, expected);
    // Neither another row's locals, nor data that another row observes.
    refused("let x: vector[3]\nlet x[1] = 0\nplate i in 2:3 { let x[i] = x[i - 1] + 1 }", "{}", "`for`");
    refused(
        "data y: vector[3]\nobserve y[1] ~ normal(0, 1)\nplate t in 2:3 { observe y[t] ~ normal(y[t - 1], 1) }",
        r#"{"y": [1, 2, 3]}"#,
        "`for`",
    );
    same(
        "data y: vector[3]\nlatent s ~ exponential(1)\nplate t in 1:1 { observe y[t] ~ normal(y[t + 1], s) }",
        r#"{"y": [1, 2, 3]}"#,
        &[0.0],
        normal(1.0, 2.0, 1.0) - 1.0,
    );
}

#[test]
fn plates_of_vectors_and_matrices() {
    let model = "data X: matrix[2, 3]\ndata y: vector[2]\nlatent b: vector[3] ~ flat()\nplate n in 1:2 { observe y[n] ~ normal(dot(X[n], b), 1) }\nobserve_".replace("\nobserve_", "");
    let b = [0.1, 0.2, 0.3];
    let expected = normal(1.0, 0.1 + 0.4 + 0.9, 1.0) + normal(2.0, 0.4 + 1.0 + 1.8, 1.0);
    let data = r#"{"X": [[1, 2, 3], [4, 5, 6]], "y": [1, 2]}"#;
    same(&model, data, &b, expected);
    same(
        "data X: matrix[2, 3]\ndata y: vector[2]\nlatent b: vector[3] ~ flat()\nobserve y ~ normal(X * b, 1)",
        data,
        &b,
        expected,
    );
    let each = "data X: matrix[2, 3]\nplate n in 1:2 {\n  latent B: matrix[2, 3] ~ normal(0, n)\n  let v = B * X[n]\n  factor v[1] * v[2]\n}";
    let x: Vec<f64> = (0..12).map(|i| 0.1 * i as f64).collect();
    let mut expected = 0.0;
    for n in 0..2 {
        let row = |r: usize| (0..3).map(|c| x[6 * n + 3 * r + c] * (3 * n + c + 1) as f64).sum::<f64>();
        expected += row(0) * row(1) + x[6 * n..6 * n + 6].iter().map(|x| normal(*x, 0.0, n as f64 + 1.0)).sum::<f64>();
    }
    same(each, data, &x, expected);
}

/// Values of the reports at a point.
fn reports(source: &str, data: &str, x: &[f64]) -> Vec<(Vec<usize>, Vec<f64>)> {
    let post = bound(source, data, &[]).unwrap_or_else(|e| panic!("{e}"));
    let nodes: Vec<_> = post.reports.iter().map(|r| r.1.node).collect();
    let values = evaluate(&post.graph, &parts(&post, x), &nodes);
    post.reports.iter().map(|r| r.1.dims.clone()).zip(values).collect()
}

#[test]
fn r31_reports() {
    let found = reports(
        "latent m ~ normal(0, 1)\nreport q = m^2\nplate i in 1:3 { latent t ~ normal(m, 1)\n report d = t - m\n report w = [t, m] }\nreport r = sum(d) + q\nlatent z ~ normal(q, 1)",
        "{}",
        &[0.5, 0.1, 0.2, 0.3, 0.0],
    );
    assert_eq!(found[0], (vec![], vec![0.25]));
    let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
    assert!(found[1].0 == [3] && close(&found[1].1, &[-0.4, -0.3, -0.2]), "{found:?}");
    assert!(found[2].0 == [3, 2] && close(&found[2].1, &[0.1, 0.5, 0.2, 0.5, 0.3, 0.5]), "{found:?}");
    assert!(found[3].0.is_empty() && close(&found[3].1, &[-0.65]), "{found:?}");
    refused("latent m ~ normal(0, 1)\nreport p ~ normal(m, 1)\nfactor p", "{}", "drawn after the density");
}
