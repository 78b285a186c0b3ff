//! Loops inside plates: one recurrence on all rows, whatever their lengths, layouts and lags.

use super::hand::{bound, lp_of, normal, same};
use thalweg::graph::Op;
use thalweg::graph::prune::prune;
use thalweg::model::posterior::Posterior;

fn numbers(n: usize, salt: f64) -> Vec<f64> {
    (0..n).map(|k| ((k as f64 + 1.0) * 0.618_034 + salt).fract() - 0.5).collect()
}

fn loops(post: &Posterior) -> usize {
    post.graph.nodes().iter().filter(|n| matches!(n.op, Op::Scan(_))).count()
}

/// The density by hand, from one loop in a graph whose size does not depend on rows and steps.
fn one_loop(source: &str, data: impl Fn(usize, usize) -> String, x: impl Fn(usize, usize) -> (Vec<f64>, f64)) {
    let mut sizes = vec![];
    for (rows, steps) in [(3, 7), (5, 11)] {
        let data = data(rows, steps);
        let (x, expected) = x(rows, steps);
        same(source, &data, &x, expected);
        let post = bound(source, &data, &[]).unwrap();
        assert_eq!(loops(&post), 1, "{source}\n{}", post.graph);
        sizes.push(prune(&post.graph, &[post.lp]).0.nodes().len());
    }
    assert_eq!(sizes[0], sizes[1], "{source}");
}

fn table(rows: usize, steps: usize) -> String {
    let y: Vec<Vec<f64>> = (0..rows).map(|i| numbers(steps, 0.1 * i as f64)).collect();
    format!(r#"{{"N": {rows}, "T": {steps}, "y": {y:?}}}"#)
}

const HEAD: &str = "data N: int\ndata T: int\ndata y: matrix[N, T]\n";

/// An autoregression in each row, with a coefficient of the row, one of all, and a slice of the step.
#[test]
fn a_recurrence_in_each_row() {
    let forms = [
        "let h: matrix[N, T]\nplate i in 1:N {\n  let h[i, 1] = a[i]\n  for t in 2:T { let h[i, t] = tanh(a[i] * h[i, t - 1] + b + y[i, t]) }\n}\nfactor sum(h)",
        "let h: matrix[T, N]\nplate i in 1:N {\n  let h[1, i] = a[i]\n  for t in 2:T { let h[t, i] = tanh(a[i] * h[t - 1, i] + b + y[i, t]) }\n}\nfactor sum(h)",
        "plate i in 1:N {\n  let h: vector[T]\n  let h[1] = a[i]\n  for t in 2:T { let h[t] = tanh(a[i] * h[t - 1] + b + y[i, t]) }\n  factor sum(h)\n}",
        "plate i in 1:N {\n  let h: vector[T]\n  for t in 1:T { let h[t] = t == 1 ? a[i] : tanh(a[i] * h[t - 1] + b + y[i, t]) }\n  factor sum(h)\n}",
        "plate i in 1:N {\n  let h: vector[T]\n  let h[T] = a[i]\n  for t in 1:T - 1 { let h[T - t] = tanh(a[i] * h[T - t + 1] + b + y[i, t + 1]) }\n  factor sum(h)\n}",
    ];
    for form in forms {
        let source = format!("{HEAD}latent a: vector[N] ~ flat()\nlatent b: real ~ flat()\n{form}");
        one_loop(&source, table, |rows, steps| {
            let x = numbers(rows + 1, 0.3);
            let mut total = 0.0;
            for i in 0..rows {
                let (mut h, y) = (x[i], numbers(steps, 0.1 * i as f64));
                total += h;
                for y in &y[1..] {
                    h = (x[i] * h + x[rows] + y).tanh();
                    total += h;
                }
            }
            (x, total)
        });
    }
}

/// Lags 1 and 2 of two arrays that feed each other, one of vectors.
#[test]
fn several_carries_and_lags_in_each_row() {
    let source = format!(
        "{HEAD}latent a: vector[N] ~ flat()\nplate i in 1:N {{
  let v: matrix[T, 2]
  let s: vector[T]
  let v[1] = [a[i], 1]
  let s[1] = a[i]
  let s[2] = 0.5
  let v[2] = [0.1, a[i]]
  for t in 3:T {{
    let s[t] = sin(s[t - 2] + v[t - 1, 2]) + y[i, t]
    let v[t] = 0.5 * v[t - 1] + [s[t], s[t - 1]]
  }}
  factor s[T] + sum(v[T])
}}"
    );
    one_loop(&source, table, |rows, steps| {
        let a = numbers(rows, 0.3);
        let mut total = 0.0;
        for (i, a) in a.iter().enumerate() {
            let y = numbers(steps, 0.1 * i as f64);
            let (mut s, mut v) = (vec![*a, 0.5], [0.1, *a]);
            for t in 2..steps {
                s.push((s[t - 2] + v[1]).sin() + y[t]);
                v = [0.5 * v[0] + s[t], 0.5 * v[1] + s[t - 1]];
            }
            total += s[steps - 1] + v[0] + v[1];
        }
        (a, total)
    });
}

/// Rows of different lengths, laid end to end; one of a single step and one that never begins. Rows that
/// have ended would overflow if they ran on: gradients stay finite.
#[test]
fn ragged_rows() {
    let source = "data N: int
data n: array[N] int
data first: array[N] int
data y: vector[M]
data M: int
latent a: vector[N] ~ flat()
let h: vector[M]
plate i in 1:N {
  if n[i] > 0 { let h[first[i]] = a[i] }
  for k in 2:n[i] { let h[first[i] + k - 1] = exp(h[first[i] + k - 2]) - 1 + y[first[i] + k - 1] }
}
factor sum(h)"
        .replace("data y: vector[M]\ndata M: int", "data M: int\ndata y: vector[M]");
    for lengths in [vec![4, 1, 6, 0, 3], vec![40, 3, 1, 12, 0]] {
        let first: Vec<usize> = (0..5).map(|i| 1 + lengths[..i].iter().sum::<usize>()).collect();
        let m: usize = lengths.iter().sum();
        let y: Vec<f64> = numbers(m, 0.2).iter().map(|y| if m > 20 { y.abs() - 0.9 } else { *y }).collect();
        let data = format!(r#"{{"N": 5, "n": {lengths:?}, "first": {first:?}, "M": {m}, "y": {y:?}}}"#);
        let a: [f64; 5] = [0.3, 1.9, 0.1, 0.7, 0.5];
        let mut total = 0.0;
        for i in 0..5 {
            let mut h = a[i];
            for k in 0..lengths[i] {
                if k > 0 {
                    h = h.exp() - 1.0 + y[first[i] - 1 + k];
                }
                total += h;
            }
        }
        same(&source, &data, &a, total);
        assert_eq!(loops(&bound(&source, &data, &[]).unwrap()), 1);
    }
}

/// Latent autoregressions, noncentred, one for each subject: the centred density after x = phi x' + s u.
#[test]
fn noncentred_chains_of_subjects() {
    let source = |kind: &str| {
        format!(
            "{HEAD}latent s ~ exponential(1)\nlatent phi: vector[N] ~ normal(0, 1)\nlatent x: matrix[N, T]\nplate i in 1:N {{
  for t in 1:T {{
    latent x[i, t] ~ normal(t == 1 ? 0 : phi[i] * x[i, t - 1], s) {kind}
    observe y[i, t] ~ normal(x[i, t], 1)
  }}
}}"
        )
    };
    let mut sizes = vec![];
    for (rows, steps) in [(2, 5), (4, 9)] {
        let data = table(rows, steps);
        let (ls, phi, u) = (0.3f64, numbers(rows, 0.4), numbers(rows * steps, 0.7));
        let mut x = u.clone();
        for i in 0..rows {
            for t in 0..steps {
                let before = if t == 0 { 0.0 } else { phi[i] * x[i * steps + t - 1] };
                x[i * steps + t] = before + ls.exp() * u[i * steps + t];
            }
        }
        let noncentred = bound(&source("noncentred"), &data, &[]).unwrap();
        assert_eq!(loops(&noncentred), 1);
        sizes.push(noncentred.graph.nodes().len());
        let found = lp_of(noncentred, &[&[ls][..], &phi, &u].concat());
        let centred = lp_of(bound(&source(""), &data, &[]).unwrap(), &[&[ls][..], &phi, &x].concat());
        let expected = centred + (rows * steps) as f64 * ls;
        assert!((found - expected).abs() < 1e-10, "{found} {expected}");
    }
    assert_eq!(sizes[0], sizes[1]);
}

/// What a condition decides may change along the loop, and from row to row.
#[test]
fn conditions_in_rows() {
    let source = |cond: &str| {
        format!(
            "{HEAD}latent a: vector[N] ~ flat()\nplate i in 1:N {{
  let h: vector[T]
  for t in 1:T {{ let h[t] = t == 1 ? a[i] : {cond} ? sin(h[t - 1]) : 2 * h[t - 1] + y[i, t] }}
  factor sum(h)
}}"
        )
    };
    type Rule = fn(usize, usize) -> bool;
    let by_step: Rule = |_, t| t > 4;
    let by_row: Rule = |i, _| i > 1;
    for (cond, rule) in [("t > 4", by_step), ("i > 1", by_row)] {
        let (rows, steps) = (3, 8);
        let a = numbers(rows, 0.3);
        let mut total = 0.0;
        for i in 0..rows {
            let (mut h, y) = (a[i], numbers(steps, 0.1 * i as f64));
            total += h;
            for t in 2..=steps {
                h = if rule(i + 1, t) { h.sin() } else { 2.0 * h + y[t - 1] };
                total += h;
            }
        }
        same(&source(cond), &table(rows, steps), &a, total);
    }
}

/// A condition, and the step where it holds and where not.
struct Choice {
    form: &'static str,
    holds: fn(usize, usize, f64) -> bool,
    steps: [fn(f64, f64) -> f64; 2],
}

/// One loop, of a size that does not grow, where rows and steps choose: by row, by data of the step, by turns, from a step of the
/// row's own; `if` with a local, and indices that exist only in the rows that take the branch. Gradients stay right
/// where the branch not taken has none.
#[test]
fn conditions_that_differ_between_rows_are_one_loop() {
    let falls: fn(f64, f64) -> f64 = |h, _| -0.3 - h * h;
    let choices = [
        Choice {
            form: "let h[t] = i % 2 == 0 ? sqrt(h[t - 1]) : -0.3 - h[t - 1] ^ 2",
            holds: |i, _, _| i % 2 == 0,
            steps: [|h, _| h.sqrt(), falls],
        },
        Choice {
            form: "let h[t] = y[i, t] > 0 ? h[t - 1] * sqrt(y[i, t]) : -0.3 - h[t - 1] ^ 2",
            holds: |_, _, y| y > 0.0,
            steps: [|h, y| h * y.sqrt(), falls],
        },
        Choice {
            form: "if t % 2 == i % 2 { let r = h[t - 1]; let h[t] = sqrt(r) } else { let h[t] = 1.5 + sin(h[t - 1]) }",
            holds: |i, t, _| t % 2 == i % 2,
            steps: [|h, _| h.sqrt(), |h, _| 1.5 + h.sin()],
        },
        Choice {
            form: "if t > i + 1 { let h[t] = sin(h[t - 1]) * w[t - i - 1] } else { let h[t] = h[t - 1] ^ 2 }",
            holds: |i, t, _| t > i + 1,
            steps: [|h, _| h.sin(), |h, _| h * h],
        },
    ];
    for c in choices {
        let source = format!(
            "{HEAD}latent a: vector[N] ~ flat()\nlet w = rep_vector(1, T)\nplate i in 1:N {{\n  let h: vector[T]\n  let h[1] = a[i]\n  \
             for t in 2:T {{ {} }}\n  factor sum(h)\n}}",
            c.form
        );
        one_loop(&source, table, |rows, steps| {
            let a: Vec<f64> = numbers(rows, 0.3).iter().map(|a| 0.1 + a.abs()).collect();
            let mut total = 0.0;
            for i in 0..rows {
                let (mut h, y) = (a[i], numbers(steps, 0.1 * i as f64));
                total += h;
                for t in 2..=steps {
                    let y = y[t - 1];
                    h = c.steps[usize::from(!(c.holds)(i + 1, t, y))](h, y);
                    total += h;
                }
            }
            (a, total)
        });
    }
}

/// A loop outside plates whose condition changes at every step is one loop too.
#[test]
fn a_condition_that_changes_at_every_step() {
    let source = "data T: int\nlatent a: real ~ flat()\nlet h: vector[T]\nlet h[1] = a\nfor t in 2:T { let h[t] = t % 2 == 0 ? sin(h[t - 1]) : h[t - 1] + 1 }\nfactor sum(h)";
    let mut sizes = vec![];
    for steps in [20usize, 61] {
        let (mut h, mut total) = (0.4f64, 0.4);
        for t in 2..=steps {
            h = if t % 2 == 0 { h.sin() } else { h + 1.0 };
            total += h;
        }
        let data = format!(r#"{{"T": {steps}}}"#);
        same(source, &data, &[0.4], total);
        let post = bound(source, &data, &[]).unwrap();
        sizes.push((loops(&post), post.graph.nodes().len()));
    }
    assert_eq!((sizes[0].0, sizes[0]), (1, sizes[1]));
}

/// Elements filled in another order than their own, and reads of another row: both are no lag.
#[test]
fn what_is_no_lag_is_written_out() {
    let source = "latent a: real ~ flat()\nlet p = [1, 2, 5, 3, 4]\nlet v: vector[5]\nlet v[1] = a\nfor t in 2:5 { let v[p[t]] = 0.5 * v[p[t - 1]] + t }\nfactor dot(v, p)";
    let a = 0.7;
    let (p, mut v) = ([1usize, 2, 5, 3, 4], [a, 0.0, 0.0, 0.0, 0.0]);
    for t in 1..5 {
        v[p[t] - 1] = 0.5 * v[p[t - 1] - 1] + (t + 1) as f64;
    }
    let expected = (0..5).map(|k| v[k] * p[k] as f64).sum();
    same(source, "{}", &[a], expected);
    // Positions t - 1 of an array that is filled in another order.
    let stale = "latent a: real ~ flat()\nlet p = [1, 2, 5, 3, 4]\nlet v: vector[5]\nlet v[1] = a\nlet v[5] = 2\nfor t in 2:3 { let v[t] = 0.5 * v[t - 1] + t }\nlet v[4] = v[3]\nfactor sum(v)";
    let (v2, v3) = (0.5 * a + 2.0, 0.25 * a + 4.0);
    same(stale, "{}", &[a], a + 2.0 + v2 + 2.0 * v3);
}

/// A loop in a plate of a plate, its data a level of observed rows.
#[test]
fn nested_plates() {
    let source = "data y: array[2, 3] vector[6]\nlatent a: matrix[2, 3] ~ flat()\nlatent b: vector[2] ~ flat()\nplate g in 1:2 {\n  plate i in 1:3 {\n    let h: vector[6]\n    let h[1] = a[g, i]\n    for t in 2:6 { let h[t] = b[g] * sin(h[t - 1]) }\n    for t in 1:6 { observe y[g, i, t] ~ normal(h[t], 1) }\n  }\n}";
    let y = numbers(36, 0.2);
    let nested: Vec<Vec<&[f64]>> = y.chunks(18).map(|g| g.chunks(6).collect()).collect();
    let x = numbers(8, 0.6);
    let mut total = 0.0;
    for r in 0..6 {
        let mut h = x[r];
        for t in 0..6 {
            if t > 0 {
                h = x[6 + r / 3] * h.sin();
            }
            total += normal(y[r * 6 + t], h, 1.0);
        }
    }
    let data = format!(r#"{{"y": {nested:?}}}"#);
    same(source, &data, &x, total);
    assert_eq!(loops(&bound(source, &data, &[]).unwrap()), 1);
}
