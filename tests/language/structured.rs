//! Rule 11 for arrays of structured values: filled value by value, they have the density that a plate gives them.

use thalweg::base::rng::Stream;
use thalweg::graph::eval::evaluate;
use thalweg::graph::reverse::gradient;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Posterior, Settings};
use thalweg::model::site::NoteKind;
use thalweg::optimize::{Options, maximize};

use crate::hand::{bound, lp_of, parts, refused};

/// Log density and gradient at a point, and the constrained values of all sites.
fn everything(post: &Posterior, x: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let mut g = post.graph.clone();
    let inputs: Vec<_> = post.sites.iter().map(|s| s.input).collect();
    let grads = gradient(&mut g, post.lp, &inputs);
    let values: Vec<_> = post.sites.iter().map(|s| s.value).collect();
    let mut out = evaluate(&g, &parts(post, x), &[&[post.lp][..], &grads, &values].concat());
    let values = out.split_off(1 + grads.len()).concat();
    let gradient = out.split_off(1).concat();
    (out[0][0], gradient, values)
}

/// The filled model has the coordinates, values, density and gradient of the model written with a plate.
#[track_caller]
fn as_in_a_plate(filled: &str, plate: &str, data: &str) {
    let [a, b] = [filled, plate].map(|m| bound(m, data, &[]).unwrap_or_else(|e| panic!("{e}")));
    assert_eq!(a.dim, b.dim, "{filled}");
    assert_eq!(a.value_names(), b.value_names());
    assert_eq!(a.coordinate_names(), b.coordinate_names());
    for k in 0..3 {
        let mut rng = Stream::new(11, "structured fills", k);
        let x: Vec<f64> = (0..a.dim).map(|_| rng.normal()).collect();
        let (one, other) = (everything(&a, &x), everything(&b, &x));
        assert!(one.0.is_finite());
        let close = |p: f64, q: f64| (p - q).abs() <= 1e-12 * (1.0 + p.abs());
        assert!(close(one.0, other.0), "{filled}\n{} {}", one.0, other.0);
        for (p, q) in one.1.iter().chain(&one.2).zip(other.1.iter().chain(&other.2)) {
            assert!(close(*p, *q), "{filled}\n{p} {q}");
        }
        lp_of(a.clone(), &x);
    }
}

const DATA: &str = r#"{"a": [[1, 2, 3], [0.5, 4, 1], [2, 2, 0.7]], "S": [[2, 0.3], [0.3, 1]]}"#;

/// The same law in three forms of fill: steps, rows, statements from the last to the first.
fn three_forms(ty: &str, law: &str, given: &str) {
    let data = "data a: matrix[3, 3]\ndata S: matrix[2, 2]\n";
    let plate = format!("{data}{given}plate k in 1:3 {{ latent p: {ty} ~ {law} }}");
    let declared = format!("{data}{given}latent p: array[3] {ty}\n");
    for around in ["for", "plate"] {
        as_in_a_plate(&format!("{declared}{around} k in 1:3 {{ latent p[k] ~ {law} }}"), &plate, DATA);
    }
    let at = |k: usize| format!("latent p[{k}] ~ {}\n", law.replace("[k]", &format!("[{k}]")));
    as_in_a_plate(&[declared, at(3), at(1), at(2)].concat(), &plate, DATA);
}

#[test]
fn r11_structured_values_have_the_density_of_a_plate() {
    three_forms("simplex[3]", "dirichlet(a[k])", "");
    three_forms("simplex[3]", "flat()", "");
    three_forms("simplex[1]", "dirichlet([2])", "");
    three_forms("ordered[3]", "normal(m[k], s)", "latent m: vector[3] ~ normal(0, 1)\nlatent s ~ exponential(1)\n");
    three_forms(
        "ordered[2]",
        "normal([0, m[k]], [1, s])",
        "latent m: vector[3] ~ normal(0, 1)\nlatent s ~ exponential(1)\n",
    );
    three_forms("positive_ordered[3]", "normal(m[k], 1)", "latent m: vector[3] ~ normal(0, 1)\n");
    three_forms("unit_vector[3]", "flat()", "");
    three_forms("cholesky_factor_corr[3]", "lkj_corr_cholesky(e)", "latent e ~ exponential(1)\n");
    three_forms("corr_matrix[3]", "lkj_corr(2)", "");
    three_forms("cov_matrix[2]", "wishart(5, S)", "");
    three_forms("cholesky_factor_cov[3, 2]", "flat()", "");
}

#[test]
fn r11_several_structured_values_in_one_statement() {
    let data = "data a: matrix[3, 3]\ndata S: matrix[2, 2]\n";
    let plate = format!("{data}plate k in 1:3 {{ latent p: simplex[3] ~ dirichlet(a[k]) }}");
    for fills in
        ["latent p[:] ~ dirichlet(a)", "latent p[[3, 1]] ~ dirichlet(a[[3, 1]])\nlatent p[2] ~ dirichlet(a[2])"]
    {
        as_in_a_plate(&format!("{data}latent p: array[3] simplex[3]\n{fills}"), &plate, DATA);
    }
}

#[test]
fn r11_the_law_of_a_simplex_structures_a_plain_array() {
    three_forms("vector[3]", "dirichlet(a[k])", "");
    three_forms("matrix[2, 2]", "inv_wishart(4, S)", "");
    let mixed = "latent x: matrix[2, 2]\nlatent x[1] ~ dirichlet([1, 1])\nlatent x[2] ~ normal(0, 1)";
    refused(mixed, "{}", "`x` is filled with values of type simplex and of type real");
}

#[test]
fn r11_rows_of_vectors_under_laws_of_vectors() {
    let laws = "multi_normal([0, 1], S)";
    three_forms("vector[2]", laws, "");
    three_forms("vector<lower=0>[2]", "normal(0, 2)", "");
}

#[test]
fn r11_structured_values_that_read_one_another() {
    let data = r#"{"y": [1, 0.3, 2, 1.4, 0.6]}"#;
    let chain = "latent p: array[3] simplex[3]\nlatent p[1] ~ dirichlet([1, 2, 3])\nfor t in 2:3 { latent p[t] ~ dirichlet(5 * p[t - 1]) }";
    let by_name = "latent q ~ dirichlet([1, 2, 3])\nlatent r ~ dirichlet(5 * q)\nlatent s ~ dirichlet(5 * r)";
    let x = [0.3, -0.2, 0.5, 0.1, -0.4, 0.2];
    let [a, b] = [chain, by_name].map(|m| lp_of(bound(m, "{}", &[]).unwrap(), &x));
    assert!((a - b).abs() < 1e-12 * a.abs(), "{a} {b}");
    // Rows of the transition matrix of a hidden Markov model, each with its own law.
    let rest = "latent z: array[5] int\nfor t in 1:5 {\n  latent z[t] ~ categorical(t == 1 ? [0.5, 0.5] : A[z[t - 1]])\n  observe y[t] ~ normal(z[t], 1)\n}";
    let filled = format!(
        "data y: vector[5]\nlatent A: array[2] simplex[2]\nplate k in 1:2 {{ latent A[k] ~ dirichlet([k, 2]) }}\n{rest}"
    );
    let plate = format!("data y: vector[5]\nplate k in 1:2 {{ latent A: simplex[2] ~ dirichlet([k, 2]) }}\n{rest}");
    as_in_a_plate(&filled, &plate, data);
}

#[test]
fn r11_structured_arrays_declared_in_a_plate() {
    let filled =
        "plate g in 1:2 {\n  latent p: array[3] ordered[2]\n  for k in 1:3 { latent p[k] ~ normal(g * k, 1) }\n}";
    let whole = "plate g in 1:2 {\n  plate k in 1:3 { latent p: ordered[2] ~ normal(g * k, 1) }\n}";
    as_in_a_plate(filled, whole, "{}");
}

#[test]
fn r11_structured_values_without_a_law_have_no_coordinates() {
    let some = "latent p: array[4] simplex[3]\nlatent p[4] ~ dirichlet([1, 1, 1])\nlatent p[2] ~ dirichlet([1, 2, 3])\nfactor p[2, 1]";
    let post = bound(some, "{}", &[]).unwrap();
    assert_eq!(post.coordinate_names(), ["p[1]", "p[2]", "p[3]", "p[4]"]);
    assert_eq!(post.value_names(), ["p[2,1]", "p[2,2]", "p[2,3]", "p[4,1]", "p[4,2]", "p[4,3]"]);
    assert!(post.notes.iter().any(|n| n.text.contains("6 of 12 elements of `p`")), "{:?}", post.notes);
    let x = [0.1, 0.2, 0.3, 0.4];
    let (lp, _, values) = everything(&post, &x);
    let by_name = "latent q ~ dirichlet([1, 2, 3])\nlatent r ~ dirichlet([1, 1, 1])\nfactor q[1]";
    let (other, _, expected) = everything(&bound(by_name, "{}", &[]).unwrap(), &x);
    assert!((lp - other).abs() < 1e-12 && values == expected, "{lp} {other} {values:?} {expected:?}");
    let none = bound("latent p: array[4] simplex[3]", "{}", &[]).unwrap();
    assert_eq!((none.dim, none.notes[0].kind), (0, NoteKind::Info));
    refused("latent p: array[2] simplex[3]\nlatent p[1] ~ dirichlet([1, 1, 1])\nfactor p[2, 1]", "{}", "read before");
}

#[test]
fn r11_structured_values_are_filled_whole_and_once() {
    let simplex = "latent p: array[2] simplex[3]\n";
    let law = "~ dirichlet([1, 1, 1])\n";
    let part = "components of a simplex cannot be filled on their own";
    refused(&format!("{simplex}latent p[1] {law}latent p[1] {law}"), "{}", "filled twice");
    refused(&format!("{simplex}latent p[:] {law}for k in 1:2 {{ latent p[k] {law} }}"), "{}", "filled twice");
    refused(&format!("{simplex}latent p[1, 1:2] ~ dirichlet([1, 1])"), "{}", part);
    refused(&format!("{simplex}latent p[1, 2] ~ flat()"), "{}", part);
    refused(&format!("{simplex}latent p[1, [3, 1, 2]] {law}"), "{}", part);
    refused("latent p: array[3] simplex[3]\nlatent p[:, 1] ~ dirichlet([1, 1, 1])", "{}", part);
    refused("latent p: array[2] ordered[3]\nlatent p[1, 1] ~ normal(0, 1)", "{}", "components of an ordered vector");
    refused(
        "latent p: array[2] cov_matrix[2]\nlatent p[1, 1] ~ normal(0, 1)",
        "{}",
        "components of a covariance matrix",
    );
    refused(
        "latent x: vector[2]\nlatent x[1:2] ~ wishart(3, [[1, 0], [0, 1]])",
        "{}",
        "a covariance matrix has 2 axes",
    );
    refused(&format!("{simplex}latent p[1] ~ dirichlet([1, 1, 1]) noncentred"), "{}", "`noncentred`");
    refused(&format!("{simplex}latent p[1] ~ normal(0, 1)"), "{}", "is not a law of simplex");
    // Refused in simulation, too.
    let model = Model::from_text("m", &format!("{simplex}latent p[1, 1:2] ~ dirichlet([1, 1])")).unwrap();
    let drawn = model.simulate(&DataFile::default(), &Settings::default(), &mut Stream::new(1, "simulate", 0));
    assert!(drawn.unwrap_err().to_string().contains(part));
}

#[test]
fn r11_structured_fills_are_drawn() {
    let filled = "latent p: array[3] simplex[3]\nfor k in 1:3 { latent p[k] ~ dirichlet([k, 2, 3]) }\nlatent o: array[2] ordered[4]\nlatent o[2] ~ normal(0, 1)";
    let model = Model::from_text("m", filled).unwrap();
    let mut rng = Stream::new(4, "simulate", 0);
    let drawn = model.simulate(&DataFile::default(), &Settings::default(), &mut rng).unwrap();
    let [p, o] = &drawn.latents[..] else { panic!("{:?}", drawn.latents) };
    assert_eq!((&p.dims[..], &o.dims[..]), (&[3, 3][..], &[2, 4][..]));
    assert!(p.values.chunks(3).all(|c| (c.iter().sum::<f64>() - 1.0).abs() < 1e-12));
    assert!(o.values[..4].iter().all(|x| x.is_nan()) && o.values[4..].is_sorted());
    // Given values come back where they belong.
    let given = [("p".to_string(), p.values.clone()), ("o".to_string(), o.values.clone())].into();
    let again = model.predict(&DataFile::default(), &Settings::default(), &mut rng, &given).unwrap();
    assert_eq!(again.latents[0].values, p.values);
}

#[test]
fn r11_maxima_of_structured_fills() {
    // The mode of a Dirichlet law is (a - 1) / Σ(a - 1); it has its place among values and reports.
    let filled = "latent p: array[3] simplex[2]\nlatent p[3] ~ dirichlet([2, 4])\nlatent p[1] ~ dirichlet([3, 2])\nlatent m ~ normal(5, 1)\nreport d = p[3, 1] + m";
    let post = bound(filled, "{}", &[]).unwrap();
    let best = maximize(&post, &Options::default()).unwrap();
    let expected =
        [("p[1,1]", 2.0 / 3.0), ("p[1,2]", 1.0 / 3.0), ("p[3,1]", 0.25), ("p[3,2]", 0.75), ("m", 5.0), ("d", 5.25)];
    assert_eq!(post.value_names(), expected.map(|e| e.0));
    for (v, e) in best.values.iter().zip(expected) {
        assert!((v - e.1).abs() < 1e-6, "{} {v}", e.0);
    }
    assert_eq!(best.standard_errors.unwrap().len(), 6);
}

#[test]
fn r11_a_loop_that_is_walked_again_plans_its_latents_once() {
    let model = "latent x: vector[4]\nlet v: vector[4]\nlet v[1] = 0\nlatent x[1] ~ normal(0, 1)\nfor t in 2:4 {\n  latent x[t] ~ normal(0, 1)\n  let v[t] = 0.5 * v[t - 1] + x[t]\n}\nfactor v[4]";
    let post = bound(model, "{}", &[]).unwrap();
    assert_eq!(post.coordinate_names(), ["x[1]", "x[2]", "x[3]", "x[4]"]);
    let x = [0.1, 0.4, -0.3, 0.7f64];
    let expected = x.iter().map(|x| crate::hand::normal(*x, 0.0, 1.0)).sum::<f64>() + 0.25 * x[1] + 0.5 * x[2] + x[3];
    let found = lp_of(post, &x);
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}
