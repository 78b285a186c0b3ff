//! Rules 1 to 10 and 40: names, shapes, arithmetic, indices, conditionals, lists, functions.

use crate::hand::{bound, lp_of, normal, refused, same};

/// `factor` of an expression of data alone.
#[track_caller]
fn gives(statements: &str, expected: f64) {
    let data = r#"{"v": [1, 2, 3], "w": [10, 20, 30], "m": [[1, 2, 3], [4, 5, 6]], "k": [3, 1], "a": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}"#;
    let head = "data v: vector[3]\ndata w: vector[3]\ndata m: matrix[2, 3]\ndata k: array[2] int\ndata a: array[2] matrix[2, 2]\n";
    same(&format!("{head}{statements}"), data, &[], expected);
}

#[test]
fn r1_functions_and_values_live_apart() {
    same("latent beta ~ beta(2, 3)", "{}", &[0.0], (12.0f64 * 0.5 * 0.25).ln() + 0.25f64.ln());
}

#[test]
fn r2_names() {
    refused("let a = 1\nlet a = 2", "{}", "`a`");
    refused("let b = a\nlet a = 2", "{}", "`a` is not declared");
    refused("plate i in 1:2 { let s = i }\nlet s = 2", "{}", "`s`");
    same("for i in 1:2 { let s = i }\nfor i in 1:2 { let s = i }\nlet s = 3\nfactor s", "{}", &[], 3.0);
}

#[test]
fn r3_if_over_data_is_settled_at_binding() {
    let model = "data c: int\nif c == 1 { let a = 2 } else { let a = 1 / 0 * missing }\nfactor a";
    same(model, r#"{"c": 1}"#, &[], 2.0);
    refused(model, r#"{"c": 0}"#, "`missing` is not declared");
    let chain = "data c: int\nif c == 1 { latent u ~ normal(0, 1) } else if c == 2 { latent v ~ normal(0, 2) }";
    same(chain, r#"{"c": 1}"#, &[0.5], normal(0.5, 0.0, 1.0));
    same(chain, r#"{"c": 2}"#, &[0.5], normal(0.5, 0.0, 2.0));
    same(chain, r#"{"c": 3}"#, &[], 0.0);
}

#[test]
fn r3_if_over_an_index_is_settled_row_by_row() {
    let model = "data y: vector[3]\ndata d: array[3] int\nlatent u ~ flat()\n".replace("latent u", "latent u: real")
        + "plate n in 1:3 { if d[n] == 1 { observe y[n] ~ normal(u, 1) } else { factor u * y[n] } }";
    let expected = normal(1.0, 0.3, 1.0) + 0.3 * 2.0 + normal(4.0, 0.3, 1.0);
    same(&model, r#"{"y": [1, 2, 4], "d": [1, 0, 1]}"#, &[0.3], expected);
    let step = model.replace("plate", "for");
    same(&step, r#"{"y": [1, 2, 4], "d": [1, 0, 1]}"#, &[0.3], expected);
}

#[test]
fn r4_one_kind_of_value() {
    gives("factor sum(m[2])", 15.0);
    gives("factor m'[3, 2]", 6.0);
    gives("factor sum(a[2][1])", 11.0);
    gives("factor a[2, 1, 2]", 6.0);
    gives("factor dot(m * v, [1, 1])", 14.0 + 32.0);
}

#[test]
fn r5_sizes_from_data_may_be_zero() {
    same(
        "data N: int\ndata x: vector[N]\ndata q: matrix[N, 3]\nfactor sum(x) + sum(q) + size(x)",
        r#"{"N": 0, "x": [], "q": []}"#,
        &[],
        0.0,
    );
    let model = "data N: int\ndata y: vector[N]\nlatent m ~ normal(0, 1)\nplate n in 1:N { latent t ~ normal(m, 1)\n observe y[n] ~ normal(t, 1) }\nfor n in 1:N { factor y[n] }";
    same(model, r#"{"N": 0, "y": []}"#, &[0.5], normal(0.5, 0.0, 1.0));
    refused("latent k ~ normal(0, 1)\nlet x: vector[k]", "{}", "must not depend on latents");
}

#[test]
fn r6_arithmetic() {
    gives("factor 1 / 2", 0.5);
    gives("factor 7 %/% 2", 3.0);
    gives("factor -7 %/% 2", -3.0);
    gives("factor 7 % -2", 1.0);
    gives("factor -7 % 2", -1.0);
    gives("factor 2^-1", 0.5);
    gives("factor -2^2", -4.0);
    gives("factor 2^3^2", 512.0);
    gives("factor (1 < 2) + (2 <= 2) + (3 > 4) + (3 >= 3) + (1 == 1) + (1 != 1)", 4.0);
    gives("factor (1 && 0) + (1 || 0) + !0 + !3", 2.0);
    refused("factor [1, 2][1.0]", "{}", "must be an integer");
    refused("factor [1, 2][2 / 2]", "{}", "must be an integer");
    refused("for i in 1:2.5 { factor i }", "{}", "must be an integer");
}

#[test]
fn r7_shapes_of_operators() {
    gives("factor sum(v + w)", 66.0);
    gives("factor sum(v .* w)", 140.0);
    gives("factor sum(1 + v)", 9.0);
    gives("factor sum(w ./ v)", 30.0);
    gives("factor sum(v / 2)", 3.0);
    gives("factor sum(v^2)", 14.0);
    gives("factor sum(v .^ v)", 32.0);
    gives("factor sum(m * m')", 14.0 + 32.0 + 32.0 + 77.0);
    gives("factor sum(2 * m)", 42.0);
    gives("factor sum(exp(0 * m))", 6.0);
    for wrong in ["v * w", "v + [1, 2]", "1 / v", "2^v", "v * m", "m * m", "v'", "v[1]'"] {
        let head = "data v: vector[3]\ndata w: vector[3]\ndata m: matrix[2, 3]\n";
        assert!(
            bound(
                &format!("{head}factor sum({wrong})"),
                r#"{"v": [1,2,3], "w": [1,2,3], "m": [[1,2,3],[4,5,6]]}"#,
                &[]
            )
            .is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn r8_indices() {
    gives("factor sum(v[2:3])", 5.0);
    gives("factor sum(v[2:])", 5.0);
    gives("factor sum(v[:2])", 3.0);
    gives("factor sum(v[:])", 6.0);
    gives("factor sum(v[3:1])", 0.0);
    gives("factor size(v[3:2])", 0.0);
    gives("factor dot(v[k], [100, 1])", 301.0);
    gives("factor sum(m[:, 2])", 7.0);
    gives("factor sum(m[2, 2:3])", 11.0);
    gives("factor dot(m[2, k], [10, 1])", 64.0);
    gives("factor sum(m[[2, 1], [3]])", 9.0);
    gives("factor sum(a[:, 1, 2])", 8.0);
    gives("let s = sum([m[i, j] for j in 1:3])\nfactor 0".replace("m[i", "m[1").as_str(), 0.0);
    refused("factor [1, 2][3]", "{}", "index 3");
    refused("factor [1, 2][0]", "{}", "index 0");
    refused("factor sum([1, 2][1:3])", "{}", "index 3");
    refused("let v = [1, 2]\nplate n in 1:3 { factor v[n] }", "{}", "index 3");
}

#[test]
fn r9_conditionals() {
    gives("factor 1 == 1 ? 2 : v[9]", 2.0);
    gives("plate n in 1:3 { factor n == 1 ? 10 : v[n - 1] }", 13.0);
    gives("factor sum(v > 1 ? w : v)", 51.0);
    gives("factor sum([n == 1 ? 10 : v[n - 1] for n in 1:3])", 13.0);
    let symbolic = "latent u: real ~ flat()\nfactor u > 0 ? sqrt(u) : u^2";
    same(symbolic, "{}", &[4.0], 2.0);
    // The branch not chosen is NaN and leaves the gradient alone.
    same(symbolic, "{}", &[-3.0], 9.0);
    let array = "data c: array[2] int\nlatent u: vector[2] ~ flat()\nfactor sum(c ? u : exp(u))";
    same(array, r#"{"c": [1, 0]}"#, &[3.0, 0.0], 4.0);
    same(
        "data c: array[2] int\nlatent u: real ~ flat()\nplate i in 1:2 { let e = c[i] == 1 ? u : exp(u)\n factor e }",
        r#"{"c": [1, 0]}"#,
        &[0.5],
        0.5 + 0.5f64.exp(),
    );
}

#[test]
fn r10_lists() {
    gives("factor sum([2^i for i in 1:3])", 14.0);
    gives("let g = [[i * j for j in 1:3] for i in 1:2]\nfactor g[2, 3]", 6.0);
    gives("factor size([i for i in 3:2])", 0.0);
    gives("factor sum([v, w][2])", 60.0);
    same(
        "latent u: vector[3] ~ flat()\nlet s = [u[i]^2 for i in 1:3]\nfactor s[2] + sum([[u[1], u[2]], [u[3], 1]][2])",
        "{}",
        &[1.0, 2.0, 3.0],
        8.0,
    );
    // Inside a plate, the rows in front.
    same(
        "latent u: vector[2] ~ flat()\nplate i in 1:2 { let s = [u[i] * k for k in 1:3]\n factor s[3] * i }",
        "{}",
        &[1.0, 2.0],
        3.0 + 12.0,
    );
    refused("let a = [[1, 2], [3]]", "{}", "one shape");
}

#[test]
fn s2_consts_and_set() {
    let model = "const K = 3\nconst s: real = 0.5\nlatent u: vector[K] ~ normal(0, s)";
    same(model, "{}", &[0.1, 0.2, 0.3], [0.1, 0.2, 0.3].iter().map(|u| normal(*u, 0.0, 0.5)).sum());
    let post = bound(model, "{}", &[("K", 1.0), ("s", 2.0)]).unwrap();
    assert!((lp_of(post, &[0.7]) - normal(0.7, 0.0, 2.0)).abs() < 1e-12);
    assert!(bound(model, "{}", &[("K", 1.5)]).is_err());
    assert!(bound(model, "{}", &[("Q", 1.0)]).is_err(), "an unknown const");
}

#[test]
fn r40_functions() {
    let model = "data c: real
fn powers(x: real, n: int) -> vector[] {
  let p: vector[n]
  let p[1] = x
  for i in 2:n { let p[i] = p[i - 1] * x + c }
  return p
}
fn total(x: vector[]) -> real { return sum(x .* x) }
latent u: real ~ flat()
factor total(powers(u, 3))
plate i in 1:2 { factor powers(u * i, 2)[2] }";
    let (c, u) = (0.5, 1.5f64);
    let second = u * u + c;
    let expected = u * u + second * second + (second * u + c).powi(2) + second + (4.0 * u * u + c);
    same(model, r#"{"c": 0.5}"#, &[u], expected);
    same(
        "fn f(n: int) -> real { if n > 1 { let a = 2 } else { let a = 3 }\n return a }\nfactor f(1) + f(2)",
        "{}",
        &[],
        5.0,
    );
    refused("latent u ~ normal(0, 1)\nfn f(x: real) -> real { return x + u }\nfactor f(1)", "{}", "`u`");
    refused("fn f(x: real) -> real { return f(x) }\nfactor f(1)", "{}", "calls itself");
    refused("fn f(x: vector[]) -> real { return sum(x) }\nfactor f(1)", "{}", "1 axis");
    refused("fn f(x: real) -> vector[] { return x }\nfactor sum(f(1))", "{}", "axes");
    refused("fn f(n: int) -> real { return n }\nfactor f(1.5)", "{}", "int");
}
