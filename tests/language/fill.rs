//! Rules 11 to 13: declared arrays, loops, recurrences.

use crate::hand::{bound, lp_of, normal, refused, same};

#[test]
fn r11_declared_and_filled() {
    same(
        "latent u: real ~ flat()\nlet x: vector[3]\nlet x[1] = u\nlet x[2:3] = [2 * u, 5]\nfactor x[1] + 10 * x[2] + sum(x)",
        "{}",
        &[1.0],
        1.0 + 20.0 + 8.0,
    );
    same(
        "let x: matrix[2, 2]\nfor i in 1:2 { for j in 1:2 { let x[i, j] = 10 * i + j } }\nfactor x[2, 1]",
        "{}",
        &[],
        21.0,
    );
    same(
        "let x: matrix[2, 2]\nfor i in 1:2 { let x[:, i] = [i, 2 * i] }\nfactor x[2, 1] + 10 * x[1, 2]",
        "{}",
        &[],
        22.0,
    );
    refused("let x: vector[2]\nlet x[1] = 1\nlet x[1] = 2", "{}", "filled twice");
    refused("let x: vector[2]\nlet x[1] = 1\nfactor x[2]", "{}", "`x[2]` is read before it is filled");
    refused("let x: vector[2]\nlet x[3] = 1", "{}", "index 3");
    refused("let x: vector[2]\nlet x[1] = [1, 2]", "{}", "does not fit");
}

#[test]
fn r11_elements_without_a_law_have_no_coordinate() {
    for (source, dim, about) in [
        ("latent x: vector[2]\nlatent a ~ normal(0, 1)", 1, "nothing gives `x` a law"),
        ("latent x: vector[3]\nlatent x[2] ~ normal(0, 1)", 1, "2 of 3 elements of `x`"),
        ("latent x: vector[2]\nlatent x[:] ~ normal(0, 1)", 2, ""),
    ] {
        let post = bound(source, "{}", &[]).unwrap();
        assert_eq!(post.dim, dim, "{source}");
        assert!(about.is_empty() == post.notes.is_empty(), "{:?}", post.notes);
        assert!(post.notes.iter().all(|n| n.text.contains(about)), "{:?}", post.notes);
    }
    refused("latent x: vector[2]\nfactor x[1]", "{}", "read before it is filled");
}

#[test]
fn r11_each_element_has_one_law_in_long_arrays_too() {
    let filled = "latent x: vector[5000]\nplate i in 1:5000 { latent x[i] ~ normal(0, 1) }";
    assert_eq!(bound(filled, "{}", &[]).unwrap().dim, 5000);
    refused(&format!("{filled}\nlatent x[4999] ~ normal(0, 1)"), "{}", "an element of `x` is filled twice");
}

#[test]
fn r11_latents_filled_in_loops_and_plates() {
    let loop_ =
        "latent x: vector[4]\nlatent x[1] ~ normal(0, 1)\nfor t in 2:4 { latent x[t] ~ normal(0.5 * x[t - 1], 2) }";
    let x = [0.1, -0.4, 0.7, 1.1];
    let chain = normal(x[0], 0.0, 1.0) + (1..4).map(|t| normal(x[t], 0.5 * x[t - 1], 2.0)).sum::<f64>();
    same(loop_, "{}", &x, chain);
    same(
        "latent x: vector[3]\nplate i in 1:3 { latent x[i] ~ normal(i, 1) }\nfactor x[2]",
        "{}",
        &x[..3],
        (0..3).map(|i| normal(x[i], i as f64 + 1.0, 1.0)).sum::<f64>() + x[1],
    );
    // Each element its own support.
    let exp = "latent x: vector[2]\nlatent x[1] ~ exponential(2)\nlatent x[2] ~ normal(x[1], 1)";
    same(exp, "{}", &[0.3, 0.2], 2f64.ln() - 2.0 * 0.3f64.exp() + 0.3 + normal(0.2, 0.3f64.exp(), 1.0));
    // A bound of the type.
    let positive = "latent x: vector<lower=0>[2]\nfor i in 1:2 { latent x[i] ~ normal(0, 1) }";
    same(positive, "{}", &[0.3, 0.2], [0.3f64, 0.2].iter().map(|u| normal(u.exp(), 0.0, 1.0) + 2f64.ln() + u).sum());
    // Elements without a law have no coordinate.
    let some = "latent x: vector[5]\nlatent x[2] ~ normal(0, 1)\nlatent x[4] ~ normal(x[2], 1)";
    same(some, "{}", &[0.3, 0.2], normal(0.3, 0.0, 1.0) + normal(0.2, 0.3, 1.0));
    refused("latent x: vector[2]\nlatent x[1] ~ normal(0, 1)\nlatent x[1] ~ normal(0, 1)", "{}", "filled twice");
    refused("latent x: vector[2]\nlatent x[1] ~ normal(0, 1)\nfactor x[2]", "{}", "x[2]");
    refused("for t in 1:2 { latent x ~ normal(0, 1) }", "{}", "declare");
}

#[test]
fn r11_matrix_of_latents_row_by_row() {
    let model =
        "latent x: matrix[3, 2]\nlatent x[1] ~ normal(0, 1)\nfor t in 2:3 { latent x[t] ~ normal(0.5 * x[t - 1], 2) }";
    let x = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let expected =
        normal(0.1, 0.0, 1.0) + normal(0.2, 0.0, 1.0) + (2..6).map(|j| normal(x[j], 0.5 * x[j - 2], 2.0)).sum::<f64>();
    same(model, "{}", &x, expected);
    // Laws of vectors.
    let vectors = "latent x: matrix[3, 2]\nfor t in 1:3 { latent x[t] ~ multi_normal(t == 1 ? [0, 0] : x[t - 1], [[4, 0], [0, 4]]) }";
    let expected =
        normal(0.1, 0.0, 2.0) + normal(0.2, 0.0, 2.0) + (2..6).map(|j| normal(x[j], x[j - 2], 2.0)).sum::<f64>();
    same(vectors, "{}", &x, expected);
}

#[test]
fn r12_lags() {
    let y = [1.0, 0.5, -0.2, 0.7];
    let data = r#"{"y": [1.0, 0.5, -0.2, 0.7]}"#;
    let one = "data y: vector[4]\nlatent a: real ~ flat()\nlet v: vector[4]\nlet v[1] = a\nfor t in 2:4 { let v[t] = 0.3 + a * v[t - 1] + y[t - 1] }\nfactor dot(v, y)";
    let a = 0.4;
    let mut v = vec![a];
    for t in 1..4 {
        v.push(0.3 + a * v[t - 1] + y[t - 1]);
    }
    same(one, data, &[a], v.iter().zip(&y).map(|(v, y)| v * y).sum());
    let two = one
        .replace("let v[1] = a\n", "let v[1] = a\nlet v[2] = 2 * a\n")
        .replace("t in 2:4", "t in 3:4")
        .replace("+ y[t", "* v[t - 2] + y[t");
    let mut v = vec![a, 2.0 * a];
    for t in 2..4 {
        v.push(0.3 + a * v[t - 1] * v[t - 2] + y[t - 1]);
    }
    same(&two, data, &[a], v.iter().zip(&y).map(|(v, y)| v * y).sum());
    // Conditional first step.
    let first = "data y: vector[4]\nlatent a: real ~ flat()\nlet v: vector[4]\nfor t in 1:4 { let v[t] = t == 1 ? a : a * v[t - 1] + y[t] }\nfactor sum(v)";
    let mut v = vec![a];
    for t in 1..4 {
        v.push(a * v[t - 1] + y[t]);
    }
    same(first, data, &[a], v.iter().sum());
    let block = "data y: vector[4]\nlatent a: real ~ flat()\nlet v: vector[4]\nfor t in 1:4 { if t == 1 { let v[t] = a } else { let v[t] = a * v[t - 1] + y[t] } }\nfactor sum(v)";
    same(block, data, &[a], v.iter().sum());
}

#[test]
fn r12_several_carries_and_step_locals() {
    let model = "latent a: real ~ flat()\nlet x: vector[5]\nlet p: vector[5]\nlet x[1] = a\nlet p[1] = 1
for t in 2:5 {
  let step = a * p[t - 1]
  let x[t] = x[t - 1] + step
  let p[t] = p[t - 1] - 0.1 * x[t]
}
factor x[5] + 10 * p[5]";
    let a = 0.7;
    let (mut x, mut p) = (a, 1.0);
    for _ in 1..5 {
        x += a * p;
        p -= 0.1 * x;
    }
    same(model, "{}", &[a], x + 10.0 * p);
}

#[test]
fn r12_seasonal_lag() {
    let model = "latent a: vector[3] ~ flat()\nlet s: vector[9]\nlet s[1:3] = a\nfor t in 4:9 { let s[t] = 0.5 * s[t - 3] + a[1] }\nfactor dot(s, s)";
    let a = [0.3, -0.2, 0.9];
    let mut s = a.to_vec();
    for t in 3..9 {
        s.push(0.5 * s[t - 3] + a[0]);
    }
    same(model, "{}", &a, s.iter().map(|x| x * x).sum());
    // Read and filled by one plate-like loop: latents with a seasonal lag.
    let x: Vec<f64> = (0..8).map(|i| 0.1 * i as f64 - 0.3).collect();
    let latents = "latent x: vector[8]\nfor t in 1:8 { latent x[t] ~ normal(t <= 4 ? 0 : x[t - 4], 1) }";
    let expected = (0..8).map(|t| normal(x[t], if t < 4 { 0.0 } else { x[t - 4] }, 1.0)).sum();
    same(latents, "{}", &x, expected);
}

#[test]
fn r12_matrix_carries() {
    let model = "data F: matrix[2, 2]\nlatent a: vector[2] ~ flat()\nlet m: matrix[4, 2]\nlet m[1] = a\nfor t in 2:4 { let m[t] = F * m[t - 1] + a }\nfactor sum(m)";
    let f = [[0.5, 0.1], [-0.2, 0.3]];
    let a = [1.0, 2.0];
    let (mut m, mut total) = (a, 3.0);
    for _ in 1..4 {
        m = [f[0][0] * m[0] + f[0][1] * m[1] + a[0], f[1][0] * m[0] + f[1][1] * m[1] + a[1]];
        total += m[0] + m[1];
    }
    same(model, r#"{"F": [[0.5, 0.1], [-0.2, 0.3]]}"#, &a, total);
    let whole = "latent a: real ~ flat()\nlet P: array[3] matrix[2, 2]\nlet P[1] = [[a, 0], [0, 1]]\nfor t in 2:3 { let P[t] = P[t - 1] * P[t - 1]' + [[1, a], [a, 2]] }\nfactor P[3, 1, 2]";
    let a = 0.5f64;
    let square = |p: [[f64; 2]; 2]| {
        let dot = |i: usize, j: usize| p[i][0] * p[j][0] + p[i][1] * p[j][1];
        [[dot(0, 0) + 1.0, dot(0, 1) + a], [dot(1, 0) + a, dot(1, 1) + 2.0]]
    };
    same(whole, "{}", &[a], square(square([[a, 0.0], [0.0, 1.0]]))[0][1]);
}

#[test]
fn r12_loops_inside_rows_and_rows_inside_loops() {
    // A recurrence in every row of a plate.
    let rows = "latent a: vector[2] ~ flat()\nplate i in 1:2 {\n  let v: vector[3]\n  let v[1] = a[i]\n  for t in 2:3 { let v[t] = v[t - 1] * a[i] + i }\n  factor v[3]\n}";
    let a = [0.5, 2.0];
    let v = |a: f64, i: f64| (a * a + i) * a + i;
    same(rows, "{}", &a, v(a[0], 1.0) + v(a[1], 2.0));
    // Ragged ones.
    let ragged = "data n: array[2] int\nlatent a: vector[2] ~ flat()\nlet v: matrix[2, 4]\nplate i in 1:2 {\n  let v[i, 1] = a[i]\n  for t in 2:n[i] { let v[i, t] = v[i, t - 1] * a[i] + i }\n}\nfactor v[1, 2] + v[2, 4]";
    let w = ((2.0 * 2.0 + 2.0) * 2.0 + 2.0) * 2.0 + 2.0;
    same(ragged, r#"{"n": [2, 4]}"#, &a, 0.25 + 1.0 + w);
    // Rows inside steps.
    let steps = "latent a: vector[2] ~ flat()\nlet v: matrix[3, 2]\nlet v[1] = a\nfor t in 2:3 { plate i in 1:2 { let v[t, i] = v[t - 1, i] * a[i] + i } }\nfactor sum(v[3])";
    same(steps, "{}", &a, v(a[0], 1.0) + v(a[1], 2.0));
    // A loop inside a loop.
    let nested = "latent a: vector[2] ~ flat()\nlet v: matrix[3, 2]\nlet v[1] = a\nfor t in 2:3 { for i in 1:2 { let v[t, i] = v[t - 1, i] * a[i] + i } }\nfactor sum(v[3])";
    same(nested, "{}", &a, v(a[0], 1.0) + v(a[1], 2.0));
}

#[test]
fn r12_a_loop_without_recurrence_is_an_array_operation() {
    let model = |n: usize| {
        let y: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        let source = "data N: int\ndata y: vector[N]\nlatent a: real ~ flat()\nlet v: vector[N]\nfor t in 1:N { let h = a * y[t]\n let v[t] = exp(h) }\nobserve y ~ normal(v, 1)";
        bound(source, &format!(r#"{{"N": {n}, "y": [{}]}}"#, y.join(",")), &[]).unwrap()
    };
    assert_eq!(model(10).graph.nodes().len(), model(50).graph.nodes().len());
}

#[test]
fn r13_data_recurrences_are_numbers() {
    let model = "data y: vector[100]\nlet v: vector[100]\nlet v[1] = 0\nfor t in 2:100 { let v[t] = 0.5 * v[t - 1] + y[t] }\nlatent s ~ exponential(1)\nobserve y ~ normal(v, s)";
    let y: Vec<f64> = (0..100).map(|i| (i as f64).sin()).collect();
    let data = format!(r#"{{"y": {y:?}}}"#);
    let mut v = vec![0.0];
    for t in 1..100 {
        v.push(0.5 * v[t - 1] + y[t]);
    }
    let u = -0.2f64;
    let expected = (0..100).map(|t| normal(y[t], v[t], u.exp())).sum::<f64>() - u.exp() + u;
    same(model, &data, &[u], expected);
    assert!(bound(model, &data, &[]).unwrap().graph.nodes().len() < 30);
}

/// The noncentred chain is the centred one after the change of variables x_t = 0.8 x_{t-1} + s u_t.
#[test]
fn r41_noncentred_latents_in_a_loop() {
    let model = |noncentred: &str| {
        format!(
            "data y: vector[4]\nlatent s ~ exponential(1)\nlatent x: vector[4]\nlatent x[1] ~ normal(0, s) {noncentred}\nfor t in 2:4 {{ latent x[t] ~ normal(0.8 * x[t - 1], s) {noncentred}\n}}\nobserve y ~ normal(x, 1)"
        )
    };
    let data = r#"{"y": [0.1, 0.2, -0.3, 0.5]}"#;
    let (ls, u) = (0.3f64, [0.5, -0.2, 0.1, 0.9]);
    let mut x = vec![ls.exp() * u[0]];
    for t in 1..4 {
        x.push(0.8 * x[t - 1] + ls.exp() * u[t]);
    }
    let centred = bound(&model(""), data, &[]).unwrap();
    let at = [&[ls][..], &x].concat();
    let noncentred = bound(&model("noncentred"), data, &[]).unwrap();
    let found = lp_of(noncentred, &[&[ls][..], &u].concat());
    let expected = lp_of(centred, &at) + 4.0 * ls;
    assert!((found - expected).abs() < 1e-10, "{found} {expected}");
    // With t == 1 in one loop.
    let single = "data y: vector[4]\nlatent s ~ exponential(1)\nlatent x: vector[4]\nfor t in 1:4 { latent x[t] ~ normal(t == 1 ? 0 : 0.8 * x[t - 1], s) noncentred\n}\nobserve y ~ normal(x, 1)";
    same(single, data, &[&[ls][..], &u].concat(), expected);
}

#[test]
fn noncentred_fills_with_bounds() {
    // x = m + s t with t a standard normal above −m/s: the same density as a whole latent of that law.
    let whole = "latent m ~ normal(0, 1)\nlatent x: vector<lower=0>[2] ~ normal(m, 2) noncentred\n";
    let filled = "latent m ~ normal(0, 1)\nlatent x: vector<lower=0>[2]\nlatent x[2] ~ normal(m, 2) noncentred\nlatent x[1] ~ normal(m, 2) noncentred\n";
    let at = [0.4, -0.7, 1.3];
    let expected = crate::hand::lp(whole, "{}", &at);
    crate::hand::same(filled, "{}", &at, expected);
}
