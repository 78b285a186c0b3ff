//! Which plates are separable, what is said of those that are not, and small models of each kind.

use super::bind;
use super::identity::holds;
use thalweg::model::posterior::Posterior;
use thalweg::model::row::RowModel;

/// The line of the factor that couples the rows of a plate, and the message.
fn coupled(source: &str, data: &str, plate: &str) -> (usize, String) {
    let post = bind(source, data);
    let e = post.assign(post.plate(plate).expect("the plate")).expect_err("not separable");
    let line = source[..e.diagnostic.span.start as usize].matches('\n').count() + 1;
    (line, e.to_string())
}

fn rows(post: &Posterior, plate: &str) -> RowModel {
    let plate = post.plate(plate).expect("the plate");
    post.rows(plate, &post.assign(plate).unwrap_or_else(|e| panic!("{e}")))
}

#[test]
fn a_plate_of_schools_has_one_graph() {
    for noncentred in ["", " noncentred"] {
        let source = format!(
            "data y: vector[4]\ndata sigma: vector[4]\nlatent mu ~ normal(0, 5)\nlatent tau ~ half_cauchy(0, 5)\n\
             plate j in 1:4 {{\n  latent theta ~ normal(mu, tau){noncentred}\n  observe y[j] ~ normal(theta, sigma[j])\n}}"
        );
        let post = bind(&source, r#"{"y": [28, 8, -3, 7], "sigma": [15, 10, 16, 11]}"#);
        holds(&post, "j");
        holds(&post, "theta");
        let r = rows(&post, "j");
        assert_eq!((r.groups.len(), r.groups[0].rows.len()), (1, 4));
        assert_eq!(r.groups[0].rows[2].coordinates, [4]);
        assert!(r.groups[0].rows[2].reads.is_empty(), "the globals are the same for all rows");
        let plate = post.plate("j").expect("j");
        let input = post.row_input(plate, &post.assign(plate).expect("separable"));
        assert_eq!(input.names(&post, 1), ["y[2]", "sigma[2]"]);
        assert_eq!(input.values(&post, 1), [8.0, 10.0]);
    }
}

const IRT: &str = "data N: int\ndata item: array[N] int\ndata person: array[N] int\ndata y: array[N] int\n\
    latent s ~ half_normal(0, 1)\nplate i in 1:3 { latent b ~ normal(0, s) }\nplate j in 1:2 { latent theta ~ normal(0, 1) }\n\
    plate n in 1:N { observe y[n] ~ bernoulli_logit(theta[person[n]] - b[item[n]]) }";
const ANSWERS: &str = r#"{"N": 5, "item": [1, 2, 3, 1, 3], "person": [1, 1, 1, 2, 2], "y": [1, 0, 1, 1, 0]}"#;

#[test]
fn persons_and_items_are_separable_given_the_other() {
    let post = bind(IRT, ANSWERS);
    holds(&post, "i");
    holds(&post, "j");
    holds(&post, "n");
    let r = rows(&post, "theta");
    assert_eq!(r.groups.iter().map(|g| g.rows.len()).sum::<usize>(), 2);
    let plate = post.plate("j").expect("j");
    let input = post.row_input(plate, &post.assign(plate).expect("separable"));
    assert_eq!((input.names(&post, 0), input.sizes()), (vec!["y[1]".into(), "y[2]".into(), "y[3]".into()], (2, 3)));
    assert_eq!(input.kind, thalweg::model::row::input::InputKind::Set);
    // A vector statement over the answers is as good as a plate.
    let vector = IRT.replace(
        "plate n in 1:N { observe y[n] ~ bernoulli_logit(theta[person[n]] - b[item[n]]) }",
        "observe y ~ bernoulli_logit(theta[person] - b[item])",
    );
    let post = bind(&vector, ANSWERS);
    holds(&post, "i");
    holds(&post, "j");
}

#[test]
fn ragged_nested_plates_fall_into_groups() {
    let source = "data start: array[5] int\ndata x: vector[7]\ndata y: vector[7]\nlatent m ~ normal(0, 1)\nlatent t ~ half_normal(0, 1)\n\
        plate g in 1:4 {\n  latent a ~ normal(m, t)\n  plate n in start[g]:start[g + 1] - 1 {\n    latent e ~ student_t(4, 0, t)\n\
        observe y[n] ~ normal(a + e * x[n], 1)\n  }\n}";
    let data = r#"{"start": [1, 3, 6, 8, 8], "x": [1, 2, 3, 4, 5, 6, 7], "y": [1, 0, 2, 1, 3, 0, 1]}"#;
    let post = bind(source, data);
    holds(&post, "g");
    holds(&post, "n");
    let sizes: Vec<usize> = rows(&post, "g").groups.iter().map(|g| g.rows.len()).collect();
    assert_eq!(sizes, [2, 1, 1], "two houses twice, three once, none once");
}

#[test]
fn an_array_of_another_plate_is_read_through_a_gather() {
    let source = "data g: array[6] int\ndata y: vector[6]\nplate k in 1:3 {\n  latent m: vector[2] ~ normal(0, 1)\n  let d = m[1] * m[2]\n}\n\
        latent s ~ half_normal(0, 1)\nplate n in 1:6 { observe y[n] ~ normal(d[g[n]], s) }";
    let data = |g: &str| format!(r#"{{"g": {g}, "y": [1, 2, 3, 4, 5, 6]}}"#);
    holds(&bind(source, &data("[3, 1, 1, 2, 3, 3]")), "k");
    let source = source.replace("d[g[n]]", "d[g[n]] + d[1]");
    let (line, message) = coupled(&source, &data("[3, 1, 1, 2, 3, 3]"), "k");
    assert_eq!(line, 8);
    assert!(message.contains("`m`") && message.contains("`k`"), "{message}");
    holds(&bind(&source, &data("[1, 1, 1, 1, 1, 1]")), "k");
}

#[test]
fn a_factor_over_all_rows_couples_them() {
    let source = "data y: vector[3]\ndata K: matrix[3, 3]\nplate n in 1:3 { latent z ~ normal(0, 1) }\nlet L = cholesky_decompose(K)\n\
        latent s ~ half_normal(0, 1)\nobserve y ~ normal(L * z, s)";
    let data = r#"{"y": [1, 2, 3], "K": [[2, 1, 0], [1, 2, 1], [0, 1, 2]]}"#;
    assert_eq!(coupled(source, data, "n").0, 6);
    let sum = "data y: vector[3]\nplate n in 1:3 {\n  latent z ~ normal(0, 1)\n  observe y[n] ~ normal(z, 1)\n}\nfactor -sum(z)^2";
    let (line, message) = coupled(sum, data, "z");
    assert_eq!(line, 6);
    assert!(message.contains("one factor reads `z` of several of its rows"), "{message}");
}

#[test]
fn matrices_in_rows() {
    let source = "data y: matrix[4, 3]\nlatent W: matrix[3, 2] ~ normal(0, 1)\nlatent s ~ half_normal(0, 1)\n\
        latent L: cholesky_factor_corr[2] ~ lkj_corr_cholesky(2)\nplate n in 1:4 {\n  latent z ~ multi_normal_cholesky([0, 0], L)\n\
        latent q ~ dirichlet([1, 2, 3])\n  observe y[n] ~ normal(W * z + q, s)\n}";
    let post = bind(source, r#"{"y": [[1, 0, 2], [0, 1, 1], [2, 2, 0], [1, 1, 1]]}"#);
    holds(&post, "n");
    assert_eq!(rows(&post, "n").groups.len(), 1);
    let own = "data y: matrix[3, 2]\nplate n in 1:3 {\n  latent S ~ inv_wishart(4, [[1, 0], [0, 1]])\n  latent o: ordered[3] ~ normal(0, 1)\n\
        observe y[n] ~ multi_normal([o[1], o[3]], S)\n}";
    holds(&bind(own, r#"{"y": [[1, 2], [0, 1], [1, 1]]}"#), "n");
}

#[test]
fn discrete_latents_in_rows() {
    let source = "data y: vector[4]\nlatent m: ordered[2] ~ normal(0, 2)\nlatent p ~ beta(2, 2)\nplate n in 1:4 {\n  latent z ~ bernoulli(p)\n\
        latent e ~ normal(0, 1)\n  observe y[n] ~ normal(m[z + 1] + e, 1)\n}";
    let post = bind(source, r#"{"y": [1, -1, 2, 0]}"#);
    holds(&post, "n");
    holds(&post, "z");
    let source = "data y: vector[3]\nlatent k ~ bernoulli(0.3)\nplate n in 1:3 {\n  latent e ~ normal(k, 1)\n  observe y[n] ~ normal(e, 1)\n}";
    let (line, message) = coupled(source, r#"{"y": [1, 2, 3]}"#, "n");
    assert_eq!(line, 2);
    assert!(message.contains("summing out `k` joins"), "{message}");
}

#[test]
fn loops_in_rows() {
    let source = "data y: matrix[3, 5]\nlatent s ~ half_normal(0, 1)\nlatent h: matrix[3, 5]\nplate i in 1:3 {\n  latent phi ~ beta(2, 2)\n}\n\
        for t in 1:5 { for i in 1:3 { latent h[i, t] ~ normal(t == 1 ? 0 : phi[i] * h[i, t - 1], s) } }\nobserve y ~ normal(h, 1)";
    let data = r#"{"y": [[1, 2, 3, 4, 5], [0, 0, 1, 1, 0], [2, 1, 2, 1, 2]]}"#;
    holds(&bind(source, data), "i");
}

/// The carry has an element for each row: the loop is cut down to the row's.
#[test]
fn recurrences_with_a_carry_by_row() {
    let source = "data y: matrix[5, 3]\nlatent s ~ half_normal(0, 1)\nplate i in 1:3 { latent phi ~ beta(2, 2) }\nlet h: matrix[5, 3]\n\
        for t in 1:5 {\n  let h[t] = t == 1 ? phi : phi .* h[t - 1] + tanh(s * h[t - 1] + y[t - 1])\n}\nobserve y ~ normal(h, s)";
    let y = "[[1, 2, 3], [0, 0, 1], [2, 1, 2], [1, 2, 1], [0, 1, 0]]";
    let post = bind(source, &format!(r#"{{"y": {y}}}"#));
    assert!(post.graph.nodes().iter().any(|n| matches!(n.op, thalweg::graph::Op::Scan(_))));
    holds(&post, "i");
    assert_eq!(rows(&post, "i").groups.len(), 1);
}

/// The chains of all rows are summed out side by side.
#[test]
fn chains_of_states_in_rows() {
    let source = "data y: matrix[3, 5]\nlatent m ~ normal(0, 1)\nplate i in 1:3 {\n  latent p ~ beta(2, 2)\n\
        latent z: array[5] int<lower=0, upper=1>\n  for t in 1:5 {\n    latent z[t] ~ bernoulli(t == 1 ? 0.5 : z[t - 1] == 1 ? p : 0.3)\n\
        observe y[i, t] ~ normal(m * z[t], 1)\n  }\n}";
    let post = bind(source, r#"{"y": [[1, 2, 3, 4, 5], [0, 0, 1, 1, 0], [2, 1, 2, 1, 2]]}"#);
    assert!(post.graph.nodes().iter().any(|n| matches!(n.op, thalweg::graph::Op::Scan(_))));
    holds(&post, "i");
    let plate = post.plate("z").expect("z");
    let input = post.row_input(plate, &post.assign(plate).expect("separable"));
    assert_eq!((input.kind, input.sizes()), (thalweg::model::row::input::InputKind::Sequence, (5, 5)));
}

#[test]
fn log_likelihood_by_row_is_the_whole() {
    use thalweg::graph::eval::evaluate;
    let source = format!("{IRT}\ndata x: vector[2]\nobserve x ~ normal(0, s)");
    let post = bind(&source, &ANSWERS.replace("\"N\"", "\"x\": [1, 2], \"N\""));
    let p = post.pointwise().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(p.names, ["n[1]", "n[2]", "n[3]", "n[4]", "n[5]", "x[1]", "x[2]"]);
    let inputs: [&[f64]; 3] = [&[0.2], &[0.1, -0.3, 0.5], &[0.7, -0.2]];
    let pieces = evaluate(&p.graph, &inputs, &[p.node]).concat();
    let whole = evaluate(&post.graph, &inputs, &[post.log_likelihood])[0][0];
    assert!((pieces.iter().sum::<f64>() - whole).abs() < 1e-12);
    let first = -(-(0.7f64 - 0.1)).exp().ln_1p();
    assert!((pieces[0] - first).abs() < 1e-12, "{} {first}", pieces[0]);

    let mixture = "data y: vector[3]\nlatent m: ordered[2] ~ normal(0, 2)\nplate n in 1:3 {\n  latent z ~ bernoulli(0.3)\n  observe y[n] ~ normal(m[z + 1], 1)\n}";
    let post = bind(mixture, r#"{"y": [1, -1, 2]}"#);
    let p = post.pointwise().unwrap_or_else(|e| panic!("{e}"));
    let u: [&[f64]; 1] = [&[0.1, 0.4]];
    let pieces = evaluate(&p.graph, &u, &[p.node]).concat();
    let whole = evaluate(&post.graph, &u, &[post.log_likelihood])[0][0];
    assert_eq!(pieces.len(), 3);
    assert!((pieces.iter().sum::<f64>() - whole).abs() < 1e-12);
}

/// `encode(…)` replaces what informs the rows; its lets are those of the rows.
#[test]
fn an_encoder_reads_what_the_plate_says() {
    let source = "data x: vector[3]\ndata y: matrix[3, 2]\ndata c: real\nlatent s ~ half_normal(0, 1)\n\
        plate n in 1:3 encode(r, y[n], c) {\n  latent z ~ normal(0, s)\n  let r = log(x[n]) + 1\n  observe y[n] ~ normal(z * r, 1)\n}";
    let post = bind(source, r#"{"x": [1, 1, 1], "y": [[1, 2], [3, 4], [5, 6]], "c": 7}"#);
    let plate = post.plate_named("z").expect("z");
    let input = post.row_input(plate, &post.assign(plate).expect("separable"));
    assert_eq!((input.kind, input.sizes()), (thalweg::model::row::input::InputKind::Vector, (4, 4)));
    assert_eq!(input.values(&post, 1), [1.0, 3.0, 4.0, 7.0]);
    assert_eq!(input.names(&post, 0), ["r", "y[n][1]", "y[n][2]", "c"]);
    holds(&post, "n");
}

/// What is computed from the data of its own row, from data of no row, or from a row's own line, is its own.
#[test]
fn an_encoder_reads_its_own_row_through_lets() {
    let source = "data y: vector[3]\ndata x: matrix[3, 2]\ndata c: vector[3]\nlet ly = log(y)\nlet sums: vector[3]\n\
        let sums[1] = y[1]\nfor n in 2:3 {\n  let sums[n] = 2 * y[n]\n}\nplate i in 1:3 {\n  let both = x[i, 1] + ly[i]\n}\n\
        let lines = x * [1, 2]\nlet either = [n == 2 ? ly[n] : -ly[n] for n in 1:3]\n\
        plate n in 1:3 encode(ly[n], sums[n], both[n], lines[n] + mean(c), either[n], ly[n] > 0) {\n\
        latent z ~ normal(0, 1)\n  observe y[n] ~ normal(z * x[n, 1] * x[n, 2], 1)\n}";
    let post = bind(source, r#"{"y": [1, 2, 3], "x": [[1, 2], [3, 4], [5, 6]], "c": [1, 2, 3]}"#);
    let plate = post.plate_named("z").expect("z");
    let input = post.row_input(plate, &post.assign(plate).expect("separable"));
    assert_eq!(input.values(&post, 1), [2f64.ln(), 4.0, 3.0 + 2f64.ln(), 13.0, 2f64.ln(), 1.0]);
}

#[test]
fn a_plate_is_chosen_by_index_or_latent() {
    use thalweg::model::row::choose::PlateNameError;
    let post = bind(IRT, ANSWERS);
    let (a, b) = (post.plate_named("theta").expect("theta"), post.plate_named("i").expect("i"));
    assert_eq!(a.base, post.plate("theta").expect("theta").base);
    assert_ne!(a.base, b.base);
    let e = post.plate_named("thetta").expect_err("misspelt").to_string();
    assert!(e.contains("did you mean `theta`?") && e.contains("`i` ("), "{e}");
    assert!(matches!(post.plate_named("n"), Err(PlateNameError::NoLatents { .. })));
    assert_eq!(bind("latent m ~ normal(0, 1)", "{}").plate_named("m").err(), Some(PlateNameError::None));
}

#[test]
fn structured_arrays_filled_in_a_row_belong_to_it() {
    let source = "data y: array[3, 2, 4] int\nlatent a ~ exponential(1)\nplate g in 1:3 {\n  latent p: array[3] simplex[4]\n\
        for k in 1:2 {\n    latent p[k + 1] ~ dirichlet(rep_vector(a, 4))\n    observe y[g, k] ~ multinomial(sum(y[g, k]), p[k + 1])\n  }\n}";
    let data = r#"{"y": [[[1, 0, 2, 3], [4, 1, 1, 0]], [[0, 0, 1, 3], [2, 2, 2, 2]], [[5, 1, 0, 1], [1, 0, 0, 1]]]}"#;
    let post = bind(source, data);
    holds(&post, "g");
    let r = rows(&post, "g");
    assert_eq!((r.groups.len(), r.groups[0].rows.len()), (1, 3));
    assert_eq!(
        r.groups[0].rows[1].coordinates,
        [7, 8, 9, 10, 11, 12],
        "two simplexes of three coordinates in each row"
    );
    // Filled by the rows of a plate, declared outside: known to all of them.
    let outside = "data y: vector[3]\nlatent o: array[3] ordered[2]\nplate g in 1:3 {\n  latent o[g] ~ normal(g, 1)\n\
        latent m ~ normal(o[g, 1], 1)\n  observe y[g] ~ normal(m, 1)\n}";
    let post = bind(outside, r#"{"y": [1, 2, 3]}"#);
    holds(&post, "g");
    assert_eq!(rows(&post, "g").groups[0].rows[2].coordinates, [8]);
}
