//! Rules 27 and 28: discrete latents against enumeration by brute force.

use crate::hand::{bernoulli, binomial, bound, inv_logit, log_sum, lp_of, normal, refused, same};

/// All assignments of `n` variables with `k` states, from 1.
fn assignments(n: usize, k: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..k.pow(n as u32)).map(move |j| (0..n).map(|i| j / k.pow(i as u32) % k + 1).collect())
}

const M: [f64; 3] = [-1.0, 0.5, 2.0];
const Y: [f64; 4] = [0.3, -0.7, 1.9, 0.4];
const DATA: &str = r#"{"y": [0.3, -0.7, 1.9, 0.4], "g": [1, 2, 2, 1]}"#;
const HEAD: &str = "data y: vector[4]\nlatent m: vector[3] ~ flat()\n";
const P: [f64; 3] = [0.2, 0.3, 0.5];
const A: [[f64; 3]; 3] = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]];
const A_TEXT: &str = "let A = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]\n";

fn sum_over(n: usize, k: usize, f: impl Fn(&[usize]) -> f64) -> f64 {
    log_sum(&assignments(n, k).map(|z| f(&z)).collect::<Vec<_>>())
}

#[test]
fn rows_with_several_factors() {
    let model = format!(
        "{HEAD}plate n in 1:4 {{\n  latent z ~ categorical([0.2, 0.3, 0.5])\n  observe y[n] ~ normal(m[z], 1)\n  factor z * 0.1\n}}"
    );
    let expected =
        sum_over(4, 3, |z| (0..4).map(|n| P[z[n] - 1].ln() + normal(Y[n], M[z[n] - 1], 1.0) + 0.1 * z[n] as f64).sum());
    same(&model, DATA, &M, expected);
    // As an array at the top level, read in a plate.
    let array = format!(
        "{HEAD}latent z: array[4] int ~ categorical([0.2, 0.3, 0.5])\nplate n in 1:4 {{ observe y[n] ~ normal(m[z[n]], 1) }}"
    );
    let expected = sum_over(4, 3, |z| (0..4).map(|n| P[z[n] - 1].ln() + normal(Y[n], M[z[n] - 1], 1.0)).sum());
    same(&array, DATA, &M, expected);
    // Declared and filled.
    let filled = format!(
        "{HEAD}latent z: array[4] int<lower=1, upper=3>\nplate n in 1:4 {{ latent z[n] ~ categorical([0.2, 0.3, 0.5])\n observe y[n] ~ normal(m[z[n]], 1) }}"
    );
    same(&filled, DATA, &M, expected);
    let unbounded = filled.replace("<lower=1, upper=3>", "");
    same(&unbounded, DATA, &M, expected);
}

#[test]
fn a_row_without_observations_counts_nothing() {
    same("latent m: real ~ flat()\nplate n in 1:3 { latent z ~ bernoulli(0.3) }\nfactor m", "{}", &[0.5], 0.5);
    same("latent z ~ binomial(5, 0.3)", "{}", &[], 0.0);
    same("latent z: int<lower=2, upper=6> ~ poisson(3)", "{}", &[], 0.0);
}

#[test]
fn laws_of_integers() {
    let model = "data y: vector[4]\nlatent p ~ beta(1, 1)\nplate n in 1:4 { latent k ~ binomial(3, p)\n observe y[n] ~ normal(k, 1) }";
    let p = inv_logit(0.2);
    let row =
        |y: f64| log_sum(&(0..4).map(|k| binomial(k as f64, 3.0, p) + normal(y, k as f64, 1.0)).collect::<Vec<_>>());
    same(
        model,
        r#"{"y": [0.3, -0.7, 1.9, 0.4]}"#,
        &[0.2],
        Y.iter().map(|y| row(*y)).sum::<f64>() + (p * (1.0 - p)).ln(),
    );
    // Comparisons and arithmetic of a state.
    let logic = "data y: vector[4]\nlatent m: real ~ flat()\nplate n in 1:4 { latent b ~ bernoulli(0.3)\n observe y[n] ~ normal(b == 1 ? m : 2 * m + b, 1 + b) }";
    let row = |y: f64| log_sum(&[bernoulli(0.0, 0.3) + normal(y, 1.0, 1.0), bernoulli(1.0, 0.3) + normal(y, 0.5, 2.0)]);
    same(logic, r#"{"y": [0.3, -0.7, 1.9, 0.4]}"#, &[0.5], Y.iter().map(|y| row(*y)).sum());
    // A truncated law.
    let cut = "latent z: int<lower=1, upper=3> ~ poisson(2)\nfactor 0.5 * z";
    let w: Vec<f64> = (1..4).map(|k| crate::hand::poisson(k as f64, 2.0)).collect();
    same(cut, "{}", &[], log_sum(&[w[0] + 0.5, w[1] + 1.0, w[2] + 1.5]) - log_sum(&w));
}

#[test]
fn read_through_a_gather_in_a_later_plate() {
    let model = format!(
        "data g: array[4] int\n{HEAD}plate j in 1:2 {{ latent z ~ categorical([0.2, 0.3, 0.5]) }}\nplate n in 1:4 {{ observe y[n] ~ normal(m[z[g[n]]], 1) }}"
    );
    let g = [0, 1, 1, 0];
    let expected = sum_over(2, 3, |z| {
        z.iter().map(|z| P[z - 1].ln()).sum::<f64>() + (0..4).map(|n| normal(Y[n], M[z[g[n]] - 1], 1.0)).sum::<f64>()
    });
    same(&model, DATA, &M, expected);
}

#[test]
fn a_change_point() {
    let model = "data y: vector[4]\nlatent m: vector[2] ~ flat()\nlatent tau ~ categorical(rep_vector(1 / 4, 4))\nplate t in 1:4 { observe y[t] ~ normal(t < tau ? m[1] : m[2], 1) }";
    let expected = log_sum(
        &(1..5)
            .map(|tau| {
                0.25f64.ln() + (0..4).map(|t| normal(Y[t], M[if t + 1 < tau { 0 } else { 1 }], 1.0)).sum::<f64>()
            })
            .collect::<Vec<_>>(),
    );
    let data = r#"{"y": [0.3, -0.7, 1.9, 0.4]}"#;
    same(model, data, &M[..2], expected);
    same(&model.replace("plate", "for"), data, &M[..2], expected);
    let whole = "data y: vector[4]\nlatent m: vector[2] ~ flat()\nlatent tau ~ categorical(rep_vector(1 / 4, 4))\nobserve y ~ normal([t < tau ? m[1] : m[2] for t in 1:4], 1)";
    same(whole, data, &M[..2], expected);
}

fn chain(z: &[usize], y: &[f64]) -> f64 {
    let start = P[z[0] - 1].ln() + normal(y[0], M[z[0] - 1], 1.0);
    start + (1..z.len()).map(|t| A[z[t - 1] - 1][z[t] - 1].ln() + normal(y[t], M[z[t] - 1], 1.0)).sum::<f64>()
}

#[test]
fn hidden_markov_models() {
    let expected = sum_over(4, 3, |z| chain(z, &Y));
    let one = format!(
        "{HEAD}{A_TEXT}latent z: array[4] int\nfor t in 1:4 {{\n  latent z[t] ~ categorical(t == 1 ? [0.2, 0.3, 0.5] : A[z[t - 1]])\n  observe y[t] ~ normal(m[z[t]], 1)\n}}"
    );
    same(&one, DATA, &M, expected);
    let two = format!(
        "{HEAD}{A_TEXT}latent z: array[4] int\nlatent z[1] ~ categorical([0.2, 0.3, 0.5])\nfor t in 2:4 {{ latent z[t] ~ categorical(A[z[t - 1]]) }}\nplate t in 1:4 {{ observe y[t] ~ normal(m[z[t]], 1) }}"
    );
    same(&two, DATA, &M, expected);
    let block = format!(
        "{HEAD}{A_TEXT}latent z: array[4] int\nfor t in 1:4 {{\n  if t == 1 {{ latent z[t] ~ categorical([0.2, 0.3, 0.5]) }} else {{ latent z[t] ~ categorical(A[z[t - 1]]) }}\n  observe y[t] ~ normal(m[z[t]], 1)\n}}"
    );
    same(&block, DATA, &M, expected);
    // Emissions that read two steps.
    let pairs = format!("{one}\nfor t in 2:4 {{ factor 0.1 * z[t] * z[t - 1] }}");
    same(
        &pairs,
        DATA,
        &M,
        sum_over(4, 3, |z| chain(z, &Y) + (1..4).map(|t| 0.1 * (z[t] * z[t - 1]) as f64).sum::<f64>()),
    );
}

#[test]
fn chains_in_rows() {
    let model = format!(
        "data w: matrix[2, 3]\nlatent m: vector[3] ~ flat()\n{A_TEXT}plate i in 1:2 {{\n  latent z: array[3] int\n  for t in 1:3 {{\n    latent z[t] ~ categorical(t == 1 ? [0.2, 0.3, 0.5] : A[z[t - 1]])\n    observe w[i, t] ~ normal(m[z[t]], 1)\n  }}\n}}"
    );
    let (a, b) = ([0.3, -0.7, 1.9], [0.4, 0.2, -1.0]);
    let expected = sum_over(3, 3, |z| chain(z, &a)) + sum_over(3, 3, |z| chain(z, &b));
    let data = r#"{"w": [[0.3, -0.7, 1.9], [0.4, 0.2, -1.0]], "n": [3, 2]}"#;
    same(&model, data, &M, expected);
    let matrix = format!(
        "data w: matrix[2, 3]\nlatent m: vector[3] ~ flat()\n{A_TEXT}latent z: array[2, 3] int\nplate i in 1:2 {{\n  for t in 1:3 {{\n    latent z[i, t] ~ categorical(t == 1 ? [0.2, 0.3, 0.5] : A[z[i, t - 1]])\n    observe w[i, t] ~ normal(m[z[i, t]], 1)\n  }}\n}}"
    );
    same(&matrix, data, &M, expected);
    let ragged = matrix.replace("data w", "data n: array[2] int\ndata w").replace("t in 1:3", "t in 1:n[i]");
    same(&ragged, data, &M, sum_over(3, 3, |z| chain(z, &a)) + sum_over(2, 3, |z| chain(z, &b[..2])));
}

#[test]
fn two_latents_in_a_row() {
    let model = format!(
        "{HEAD}plate n in 1:4 {{\n  latent z ~ categorical([0.2, 0.3, 0.5])\n  latent b ~ bernoulli(0.1 * z)\n  observe y[n] ~ normal(m[z] + b, 1)\n}}"
    );
    let row = |y: f64| {
        let mut terms = vec![];
        for z in 0..3 {
            for b in 0..2 {
                let p = 0.1 * (z + 1) as f64;
                terms.push(P[z].ln() + bernoulli(b as f64, p) + normal(y, M[z] + b as f64, 1.0));
            }
        }
        log_sum(&terms)
    };
    same(&model, DATA, &M, Y.iter().map(|y| row(*y)).sum());
}

#[test]
fn nested_latents() {
    let model = "data w: matrix[2, 2]\nlatent m: vector[3] ~ flat()\nplate i in 1:2 {\n  latent z ~ categorical([0.2, 0.3, 0.5])\n  plate j in 1:2 {\n    latent b ~ bernoulli(0.1 * z)\n    observe w[i, j] ~ normal(m[z] + b, 1)\n  }\n}";
    let group = |w: [f64; 2]| {
        log_sum(&[0, 1, 2].map(|z| {
            let cell =
                |y: f64| log_sum(&[0.0, 1.0].map(|b| bernoulli(b, 0.1 * (z + 1) as f64) + normal(y, M[z] + b, 1.0)));
            P[z].ln() + cell(w[0]) + cell(w[1])
        }))
    };
    same(model, r#"{"w": [[0.3, -0.7], [1.9, 0.4]]}"#, &M, group([0.3, -0.7]) + group([1.9, 0.4]));
    // A top-level latent above the rows' latents.
    let top = format!(
        "{HEAD}latent s ~ bernoulli(0.4)\nplate n in 1:4 {{\n  latent z ~ categorical([0.2, 0.3, 0.5])\n  observe y[n] ~ normal(m[z] + s, 1)\n}}"
    );
    let given = |s: f64| {
        bernoulli(s, 0.4)
            + Y.iter().map(|y| log_sum(&[0, 1, 2].map(|z| P[z].ln() + normal(*y, M[z] + s, 1.0)))).sum::<f64>()
    };
    same(&top, DATA, &M, log_sum(&[given(0.0), given(1.0)]));
}

/// Two latents for each step, a factorial hidden Markov model.
#[test]
fn coupled_chains() {
    let model = "data y: vector[4]\nlatent m: real ~ flat()\nlatent a: array[4] int\nlatent b: array[4] int\nfor t in 1:4 {\n  latent a[t] ~ bernoulli(t == 1 ? 0.5 : 0.2 + 0.5 * a[t - 1])\n  latent b[t] ~ bernoulli(t == 1 ? 0.5 : 0.1 + 0.7 * b[t - 1])\n  observe y[t] ~ normal(m * a[t] + b[t], 1)\n}";
    let expected = sum_over(8, 2, |z| {
        let (a, b) = (|t: usize| z[t] as f64 - 1.0, |t: usize| z[t + 4] as f64 - 1.0);
        (0..4)
            .map(|t| {
                let (pa, pb) = if t == 0 { (0.5, 0.5) } else { (0.2 + 0.5 * a(t - 1), 0.1 + 0.7 * b(t - 1)) };
                bernoulli(a(t), pa) + bernoulli(b(t), pb) + normal(Y[t], 0.6 * a(t) + b(t), 1.0)
            })
            .sum()
    });
    same(model, DATA, &[0.6], expected);
    // Second order.
    let second = "data y: vector[4]\nlatent m: real ~ flat()\nlatent a: array[4] int\nfor t in 1:4 {\n  latent a[t] ~ bernoulli(t <= 2 ? 0.5 : 0.2 + 0.3 * a[t - 1] + 0.2 * a[t - 2])\n  observe y[t] ~ normal(m * a[t], 1)\n}";
    let expected = sum_over(4, 2, |z| {
        let a = |t: usize| z[t] as f64 - 1.0;
        (0..4)
            .map(|t| {
                bernoulli(a(t), if t < 2 { 0.5 } else { 0.2 + 0.3 * a(t - 1) + 0.2 * a(t - 2) })
                    + normal(Y[t], 0.6 * a(t), 1.0)
            })
            .sum()
    });
    same(second, DATA, &[0.6], expected);
}

/// A class for each sequence, read at every step, so long that only holding it fixed is narrow.
#[test]
fn a_class_for_each_chain() {
    let (n, t) = (3, 30);
    let model = format!(
        "data w: matrix[{n}, {t}]\nlatent m: real ~ flat()\nplate i in 1:{n} {{\n  latent c ~ bernoulli(0.3)\n  latent z: array[{t}] int\n  for t in 1:{t} {{\n    latent z[t] ~ bernoulli(t == 1 ? 0.5 : 0.2 + 0.3 * z[t - 1] + 0.3 * c)\n    observe w[i, t] ~ normal(m * z[t] + c, 1)\n  }}\n}}"
    );
    let w = |i: usize, s: usize| ((i * t + s) as f64).sin();
    let rows: Vec<Vec<f64>> = (0..n).map(|i| (0..t).map(|s| w(i, s)).collect()).collect();
    let chain = |i: usize, c: f64| {
        let emit = |s: usize, z: f64| normal(w(i, s), 0.6 * z + c, 1.0);
        let mut alpha = [0.0, 1.0].map(|z| 0.5f64.ln() + emit(0, z));
        for s in 1..t {
            alpha = [0.0, 1.0].map(|z| {
                emit(s, z) + log_sum(&[0, 1].map(|b| alpha[b] + bernoulli(z, 0.2 + 0.3 * b as f64 + 0.3 * c)))
            });
        }
        bernoulli(c, 0.3) + log_sum(&alpha)
    };
    let expected = (0..n).map(|i| log_sum(&[chain(i, 0.0), chain(i, 1.0)])).sum();
    same(&model, &format!(r#"{{"w": {rows:?}}}"#), &[0.6], expected);
}

#[test]
fn limits() {
    let wide = "data y: vector[4]\nlatent a: int<lower=1, upper=200> ~ poisson(3)\nlatent b: int<lower=1, upper=200> ~ poisson(3)\nobserve y ~ normal(a + b, 1)";
    refused(wide, DATA, "`a` and `b`");
    refused("latent z ~ poisson(3)", "{}", "two bounds");
    assert!(lp_of(bound("latent a: int<lower=1, upper=90> ~ poisson(3)\nlatent b: int<lower=1, upper=90> ~ poisson(3)\nfactor 0.1 * (a == b)", "{}", &[]).unwrap(), &[]) > 0.0);
}

/// Random nets of scalars and elements of an array, summed by brute force.
#[test]
fn random_nets() {
    use thalweg::base::rng::Stream;
    for case in 0..150 {
        let mut rng = Stream::new(7, "nets", case);
        let mut pick = |n: usize| (rng.uniform() * n as f64) as usize % n;
        let (scalars, elements) = (1 + pick(4), 1 + pick(5));
        let n = scalars + elements;
        let mut model = String::new();
        for i in 0..scalars {
            model += &format!("latent s{i} ~ categorical([0.2, 0.3, 0.5])\n");
        }
        model += &format!("latent w: array[{elements}] int ~ categorical([0.2, 0.3, 0.5])\n");
        let name = |v: usize| if v < scalars { format!("s{v}") } else { format!("w[{}]", v - scalars + 1) };
        let mut factors = vec![];
        for _ in 0..pick(9) {
            let scope: Vec<usize> = (0..1 + pick(3)).map(|_| pick(n)).collect();
            let product: Vec<String> = scope.iter().map(|v| name(*v)).collect();
            model += &format!("factor 0.1 * {}\n", product.join(" * "));
            factors.push(scope);
        }
        let expected = sum_over(n, 3, |z| {
            z.iter().map(|z| P[z - 1].ln()).sum::<f64>()
                + factors.iter().map(|f| 0.1 * f.iter().map(|v| z[*v] as f64).product::<f64>()).sum::<f64>()
        });
        same(&model, "{}", &[], expected);
    }
}

/// A tree in which every node has its parent's index, and a grid that no order makes narrow.
#[test]
fn trees_and_grids() {
    let tree = "data parent: array[7] int\nlatent z: array[7] int\nlatent z[1] ~ categorical([0.2, 0.3, 0.5])\nlet A = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]\nfor i in 2:7 { latent z[i] ~ categorical(A[z[parent[i]]]) }\nfor i in 1:7 { factor 0.1 * i * z[i] }";
    let parent = [1, 1, 1, 1, 2, 2, 4];
    let expected = sum_over(7, 3, |z| {
        P[z[0] - 1].ln()
            + (1..7).map(|i| A[z[parent[i] - 1] - 1][z[i] - 1].ln()).sum::<f64>()
            + (0..7).map(|i| 0.1 * (i + 1) as f64 * z[i] as f64).sum::<f64>()
    });
    same(tree, r#"{"parent": [1, 1, 1, 1, 2, 2, 4]}"#, &[], expected);
    let grid = "latent z: array[30, 30] int ~ bernoulli(0.5)\nfor i in 1:30 { for j in 2:30 { factor z[i, j] * z[i, j - 1] + z[j, i] * z[j - 1, i] } }";
    refused(grid, "{}", "`z` cannot be summed out");
}
