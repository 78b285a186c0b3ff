//! Any bytes as a model, as data, as draws: a result or a message, never a panic, and soon.
//!
//! Random bytes rarely get past the first word, so the strategies also join pieces of each format and damage right files.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use thalweg::io::parse_stan_csv;
use thalweg::model::data::{DataFile, Raw};
use thalweg::model::posterior::Model;
use thalweg::workflow::layout::Elements;

/// What the longest text below may take, on a loaded machine and without optimisation.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pieces joined at random.
fn joined(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces), 0..most).prop_map(|v| v.concat())
}

/// A right text with a few of its bytes replaced, left out or doubled.
fn damaged(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let hits = prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, any::<u8>()), 0..6);
    (prop::sample::select(texts), hits).prop_map(|(text, hits)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, how, byte) in hits {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match how {
                0 => bytes[at] = byte,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn bytes() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<u8>(), 0..200).prop_map(|b| String::from_utf8_lossy(&b).into_owned())
}

fn soon<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let out = f();
    assert!(begun.elapsed() < PATIENCE, "{:?} for\n{what}", begun.elapsed());
    out
}

const MODEL: &[&str] = &[
    "data ",
    "const ",
    "param ",
    "latent ",
    "observe ",
    "plate ",
    "for ",
    "let ",
    "report ",
    "factor ",
    "if ",
    "else ",
    "fn ",
    "return ",
    "i",
    "x",
    "y",
    "N",
    " in ",
    "1:3",
    "1:N",
    "1:9007199254740992",
    " { ",
    " }\n",
    "\n",
    "\n",
    ": ",
    " = ",
    " ~ ",
    "int",
    "real",
    "vector[3]",
    "vector[N]",
    "array[2] int",
    "matrix[2, 2]",
    "simplex[2]",
    "ordered[2]",
    "<lower=0>",
    "<upper=1>",
    "normal(0, 1)",
    "normal(x, y)",
    "bernoulli(0.5)",
    "categorical([0.5, 0.5])",
    "dirichlet([1, 1])",
    "poisson(3)",
    "mixture([0.5, 0.5], [normal(0, 1), normal(1, 2)])",
    "flat()",
    "[i]",
    "[i - 1]",
    "[1:2]",
    "[x]",
    "x",
    "y",
    "z",
    "0",
    "1",
    "-1",
    "1e300",
    "1000000000000",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    " ^ ",
    "exp(",
    "sum(",
    ")",
    "(",
    "[",
    "]",
    ", ",
    " ? ",
    " : ",
    " == ",
    " && ",
    "'",
    "noncentred",
    "# ",
    "\"",
];

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    ",",
    ":",
    "\"x\"",
    "\"y\": ",
    "\"N\": ",
    "\"N\": 3",
    "1",
    "-2.5",
    "1e400",
    "1e-400",
    "null",
    "true",
    "\"NaN\"",
    "\"Infinity\"",
    "NaN",
    "\"",
    "\\u0000",
    "\\",
    " ",
    "\n",
    "\u{feff}",
    "99999999999999999999",
];

const CSV: &[&str] = &[
    "x",
    "y",
    "lp__",
    "a.1",
    "a.2",
    "b.1.1",
    ",",
    ",",
    "\n",
    "\n",
    "\r\n",
    "1",
    "-2.5",
    "1e400",
    "NA",
    "nan",
    "inf",
    "\"",
    "# k = v\n",
    "#",
    " ",
    "\u{feff}",
    "0",
];

const MODELS: &[&str] = &[
    include_str!("../models/eight_schools/model.thal"),
    include_str!("../models/hidden_markov/model.thal"),
    include_str!("../models/garch/model.thal"),
    include_str!("../models/radon_hierarchical/model.thal"),
    include_str!("../models/gaussian_mixture/model.thal"),
];

const FILES: &[&str] = &[
    include_str!("../models/eight_schools/data.json"),
    "{\"a\": [[1, 2], [3, 4]], \"b\": null, \"c\": \"-Infinity\", \"d\": true}",
];

const TABLES: &[&str] =
    &["a,b\n1,2\nNA,4\n", "# method = nuts\nlp__,a.1,a.2,b.1.1\n-1,2,3,4\n-1.5,2e3,nan,inf\n# end\n"];

/// Data with the names that the pieces above read.
fn some_data() -> DataFile {
    let mut data = DataFile::default();
    data.insert("N", Raw::scalar(3.0));
    data.insert("J", Raw::scalar(3.0));
    data.insert("x", Raw::new(&[3], vec![1.0, 2.0, 3.0]));
    data.insert("y", Raw::new(&[3], vec![0.5, -1.0, 2.0]));
    data.insert("sigma", Raw::new(&[3], vec![1.0; 3]));
    data
}

fn model(text: &str) {
    soon(text, || match Model::from_text("m.thal", text).and_then(|m| m.bind(&some_data())) {
        Ok(p) => thalweg::graph::check::check(&p.graph).unwrap(),
        Err(e) => assert!(e.to_string().starts_with("error: "), "{e}"),
    });
}

/// What was read can be written, and reads back as the same.
fn json(text: &str) {
    match soon(text, || DataFile::from_json(text)) {
        Ok(file) => {
            let again = DataFile::from_json(&file.to_json()).unwrap();
            file.keys().for_each(|k| assert_eq!(file.get(k).unwrap().dims, again.get(k).unwrap().dims, "{text}"));
        }
        Err(e) => assert!(e.to_string().contains("line "), "{e}"),
    }
}

fn csv(text: &str) {
    match soon(text, || DataFile::from_csv(text)) {
        Ok(file) => file.keys().for_each(|k| assert_eq!(file.get(k).unwrap().dims.len(), 1)),
        Err(e) => assert!(e.to_string().contains("line "), "{e}"),
    }
}

fn draws(text: &str) {
    match soon(text, || parse_stan_csv(text.as_bytes(), "chain_1.csv".as_ref())) {
        Ok(file) => {
            let lengths: Vec<usize> = file.columns.iter().map(Vec::len).collect();
            assert!(lengths.len() == file.names.len() && lengths.iter().all(|n| *n == lengths[0]), "{text:?}");
            if let Ok(arrays) = Elements::group(&file.names)
                && lengths[0] > 0
            {
                let row: Vec<f64> = file.columns.iter().map(|c| c[0]).collect();
                arrays.iter().for_each(|a| drop(a.collect(&row)));
            }
        }
        Err(e) => assert!(e.to_string().contains("chain_1.csv, line "), "{e}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn models(text in prop_oneof![bytes(), joined(MODEL, 40), damaged(MODELS), damaged(MODELS)]) {
        model(&text);
    }

    #[test]
    fn json_data(text in prop_oneof![bytes(), joined(JSON, 30), damaged(FILES)]) {
        json(&text);
    }

    #[test]
    fn csv_data(text in prop_oneof![bytes(), joined(CSV, 40), damaged(TABLES)]) {
        csv(&text);
    }

    #[test]
    fn stan_csv_draws(text in prop_oneof![bytes(), joined(CSV, 40), damaged(TABLES)]) {
        draws(&text);
    }
}

/// Nested or long beyond reason: the stack and the clock are in danger, not the grammar.
#[test]
fn extremes() {
    const DEEP: usize = 10_000;
    for (open, close) in
        [("(", ")"), ("[", "]"), ("exp(", ")"), ("-", ""), ("!", ""), ("1 + ", ""), ("1 ^ ", ""), ("1 ? 1 : ", "")]
    {
        model(&format!("let x = {}1{}", open.repeat(DEEP), close.repeat(DEEP)));
    }
    model(&format!("let x = [1]\nlet y = x{}", "[1]".repeat(DEEP)));
    model(&format!("let x = 1{}", "'".repeat(DEEP)));
    for head in ["if 1", "plate i in 1:1", "for i in 1:1"] {
        model(&format!("{}{}", format!("{head} {{\n").repeat(DEEP), "}\n".repeat(DEEP)));
    }
    model(&format!("if 1 {{ }}{}", " else if 1 { }".repeat(DEEP)));
    model(&format!("let {} = 1", "x".repeat(1_000_000)));
    model(&format!("let x = {}", "1".repeat(1_000_000)));
    model(&"latent a ~ normal(0, 1) # ".repeat(20_000));
    json(&format!("{{\"x\": {}", "[".repeat(DEEP)));
    json(&format!("{{\"x\": {}{}}}", "[".repeat(DEEP), "]".repeat(DEEP)));
    json(&"{\"x\":".repeat(DEEP));
    json(&format!("{{\"{}\": {}}}", "x".repeat(1_000_000), "1".repeat(100_000)));
    csv(&",".repeat(100_000));
    csv(&"\"".repeat(100_001));
    draws(&format!("{}\n", "a,".repeat(100_000)));
    draws(&"#".repeat(1_000_000));
}

/// Sizes and ranges that no memory holds: a message, no allocation.
#[test]
fn sizes_beyond_memory() {
    for text in [
        "let x: array[1000000000000] real",
        "latent x: vector[1000000000000] ~ normal(0, 1)",
        "latent x: array[9007199254740992, 9007199254740992] real ~ normal(0, 1)",
        "latent x: corr_matrix[1000000] ~ lkj_corr(1)",
        "let x = identity_matrix(1000000000)",
        "for i in 1:9223372036854775807 { factor i }",
        "for i in 1:9007199254740992 { factor i }",
        "plate i in 1:9007199254740992 { latent x ~ normal(0, 1) }",
        "let x = [1, 2, 3][1:9007199254740992]",
        "let x = [[k * j for k in 1:30000] for j in 1:30000]",
        "let x = [1][9007199254740992 * 9007199254740992]",
        "let x = rep_vector(1, 9007199254740992 * 1024)",
        "data y: array[1000000000000] real\nfactor y[1]",
    ] {
        let bound = soon(text, || Model::from_text("m.thal", text).and_then(|m| m.bind(&some_data())).map(|p| p.dim));
        assert!(bound.is_err(), "{text}");
    }
}

/// The deepest model that is accepted is bound, differentiated and run on a thread with the usual stack, also in builds without
/// optimisation, whose frames are several times as large.
#[test]
fn the_deepest_accepted_model_runs_on_an_ordinary_thread() {
    use thalweg::density::Gradient;
    use thalweg::model::compiled::Compiled;
    const USUAL_STACK: usize = 2 * 1024 * 1024;
    let deepest = |head: &str, open: &str, close: &str, tail: &str| {
        let text = |n: usize| format!("{head}{}m{}{tail}", open.repeat(n), close.repeat(n));
        let model = (1..300).rev().find_map(|n| Model::from_text("deep", &text(n)).ok());
        let posterior = model.expect("some depth is accepted").bind(&DataFile::default()).expect("a posterior");
        let compiled = Compiled::new(posterior);
        let (mut g, mut ws) = ([0.0], vec![0.0; thalweg::density::LogDensity::scratch(&compiled)]);
        let logp = compiled.logp_grad(&[0.1], &mut g, &mut ws);
        assert!(logp.is_finite() && g[0].is_finite(), "{head}{open}: {logp} {g:?}");
    };
    let run = std::thread::Builder::new().stack_size(USUAL_STACK).spawn(move || {
        let head = "latent m ~ normal(0, 1)\nlet x = ";
        let tail = "\nobserve 1.0 ~ normal(x, 1)\n";
        for (open, close) in
            [("(", ")"), ("-", ""), ("sin(", ")"), ("1 + (0.5 * ", ")"), ("0.5 + ", ""), ("m > 0 ? 1 : ", "")]
        {
            deepest(head, open, close, tail);
        }
        let ifs = |n: usize| {
            let (open, close) = ("if 1 > 0 {\n".repeat(n), "}\n".repeat(n));
            format!("latent m ~ normal(0, 1)\n{open}observe 1.0 ~ normal(m, 1)\n{close}")
        };
        let model = (1..300).rev().find_map(|n| Model::from_text("deep", &ifs(n)).ok());
        assert!(model.expect("some depth is accepted").bind(&DataFile::default()).is_ok());
    });
    run.expect("a thread").join().expect("no overflow");
}
