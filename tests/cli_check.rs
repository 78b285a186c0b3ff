//! The commands `check` and `optimize` as a user runs them: outputs, JSON keys, exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const NORMAL: &str = "data n: int\ndata y: vector[n]\nlatent mu ~ normal(1, 3)\nobserve y ~ normal(mu, 2)\n";
const DATA: &str = r#"{"n": 5, "y": [3.1, -0.4, 2.2, 5.0, 1.7]}"#;

/// Files of one test, in a folder of its own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli_check_{name}"));
        std::fs::create_dir_all(&path).expect("folder");
        Folder(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("file");
        path.display().to_string()
    }
}

fn schools() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/eight_schools").display().to_string()
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thalweg")).args(args).output().expect("the binary runs")
}

fn out(args: &[&str]) -> String {
    let o = run(args);
    assert_eq!(o.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout).expect("text")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&out(args)).expect("JSON")
}

/// The message of a run that must fail with exit code 1.
fn failure(args: &[&str]) -> String {
    let o = run(args);
    assert_eq!(o.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&o.stdout));
    String::from_utf8(o.stderr).expect("text")
}

fn keys(v: &Value) -> Vec<&str> {
    v.as_object().expect("object").keys().map(|k| k.as_str()).collect()
}

fn near(v: &Value, x: f64, tolerance: f64) {
    let found = v.as_f64().unwrap_or(f64::NAN);
    assert!((found - x).abs() <= tolerance, "{found} is not {x}");
}

#[test]
fn check_describes_a_model() {
    let text = out(&["check", &schools()]);
    for part in [
        "10 unconstrained coordinates",
        "normal(mu, tau) noncentred",
        "(0, inf)",
        "data: J, y, sigma",
        "reports: shrinkage",
        "density: normalised",
        "simulation: possible",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn check_names_what_stands_in_the_way() {
    let f = Folder::new("standing");
    let model = f.file(
        "m.thal",
        "data y: real\nlatent a: real ~ flat()\nlatent b ~ normal(0, 1)\nobserve y ~ normal(a, 1)\nfactor -a^2\n",
    );
    let data = f.file("d.json", r#"{"y": 1, "spare": 2}"#);
    let text = out(&["check", &model, "--data", &data]);
    for part in
        ["known up to a constant", "simulation: not possible", "5:1", "`spare` is not used", "warning: 3:8", "`b`"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("reads `a`"), "{text}");
}

#[test]
fn discrete_latents_are_listed() {
    let f = Folder::new("discrete");
    let model = f.file("m.thal", "data y: real\nlatent z ~ bernoulli(0.3)\nobserve y ~ normal(z, 1)\n");
    let data = f.file("d.json", r#"{"y": 1}"#);
    assert!(out(&["check", &model, "--data", &data]).contains("summed out: z"));
    assert!(out(&["check", &model, "--data", &data, "--plan"]).contains("2 states summed out"));
}

#[test]
fn check_without_data_says_what_is_needed() {
    let f = Folder::new("needs");
    let model = f.file("m.thal", NORMAL);
    let text = out(&["check", &model]);
    for part in ["n     int", "y     vector[n]", "2:6", "checked with data"] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(failure(&["check", &model, "--gradient"]).contains("--data"));
}

#[test]
fn gradients_and_plan() {
    let text = out(&["check", &schools(), "--gradient", "--plan"]);
    for part in [
        "all 33 derivatives agree",
        "likelihood  y      8      11:3",
        "j      9:7",
        "yes        vector of 2",
        "jacobian    tau",
        "a batch of points: ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// `round` has derivative 0 almost everywhere, but at a discontinuity every difference is large: the
/// check must tell the two apart, since a wrong derivative looks the same.
#[test]
fn a_gradient_that_differs_fails() {
    let f = Folder::new("gradient");
    let model = f.file("m.thal", "latent x ~ normal(0, 1)\nfactor round(1e9 * x)\n");
    assert!(failure(&["check", &model, "--gradient"]).contains("differ from finite differences"));
}

#[test]
fn points_have_the_documented_keys_and_the_known_density() {
    let f = Folder::new("at");
    let point = ["0.1"; 10].join(",");
    let points = f.file("p.json", &format!("{{\"points\": [[{point}], [{point}]]}}"));
    let v = json(&["check", &schools(), "--at", &points, "--json"]);
    assert_eq!(keys(&v), ["names", "points"]);
    assert_eq!(v["names"][2], "theta[1]");
    assert_eq!(v["points"].as_array().map(Vec::len), Some(2));
    let p = &v["points"][0];
    assert_eq!(keys(p), ["lp", "lp_nojac", "grad", "constrained"]);
    near(&p["lp"], -43.28807157871977, 1e-12);
    near(&p["lp_nojac"], -43.38807157871977, 1e-12);
    near(&p["constrained"]["tau"], 0.1f64.exp(), 1e-15);
    assert_eq!(p["constrained"]["theta"].as_array().map(Vec::len), Some(8));
    assert!(out(&["check", &schools(), "--at", &points]).contains("tau = 1.105"));
}

#[test]
fn malformed_points_are_refused() {
    let f = Folder::new("points");
    let at = |text: &str| failure(&["check", &schools(), "--at", &f.file("p.json", text)]);
    assert!(at("{\"points\": [[1, 2]]}").contains("point 1 has 2 numbers, the model has 10"));
    assert!(at("{\"points\": [[0,0,0,0,\"a\",0,0,0,0,0]]}").contains("theta[3]"));
    assert!(at("[1]").contains("points"));
    assert!(at("{").contains("not JSON"));
    assert!(failure(&["check", &schools(), "--at", "no/such.json"]).contains("no/such.json"));
}

#[test]
fn wrong_arguments_and_files() {
    let f = Folder::new("wrong");
    assert_eq!(run(&["check"]).status.code(), Some(2));
    assert_eq!(run(&["optimize", &schools(), "--starts", "0"]).status.code(), Some(2));
    assert!(failure(&["check", "no/such.thal"]).contains("no/such.thal"));
    assert!(failure(&["check", &schools(), "--data", "no.json"]).contains("no.json"));
    assert_eq!(run(&["check", &schools(), "--json", "--plan"]).status.code(), Some(2));
    let model = f.file("m.thal", NORMAL);
    let data = f.file("d.json", r#"{"n": 5, "yy": [1, 2, 3, 4, 5]}"#);
    let text = failure(&["check", &model, "--data", &data]);
    assert!(text.contains("`y`") && text.contains(":2:"), "{text}");
    let broken = f.file("b.thal", "latent mu ~ normal(0, 5\n");
    assert!(failure(&["check", &broken]).contains(":1:19"));
}

/// Precision n/4 + 1/9, mean (Σy/4 + 1/9) / precision; without the prior the mean and 2/√n.
#[test]
fn optimum_of_a_normal_mean() {
    let f = Folder::new("optimum");
    let (model, data) = (f.file("m.thal", NORMAL), f.file("d.json", DATA));
    let precision: f64 = 5.0 / 4.0 + 1.0 / 9.0;
    let v = json(&["optimize", &model, "--data", &data, "--json"]);
    assert_eq!(v["names"][0], "mu");
    near(&v["estimate"][0], (11.6 / 4.0 + 1.0 / 9.0) / precision, 1e-10);
    near(&v["se"][0], precision.powf(-0.5), 1e-10);
    let v = json(&["optimize", &model, "--data", &data, "--mle", "--json"]);
    near(&v["estimate"][0], 11.6 / 5.0, 1e-10);
    near(&v["se"][0], 2.0 / 5f64.sqrt(), 1e-10);
    let text = out(&["optimize", &model, "--data", &data]);
    assert!(text.contains("2.212245  0.857143") && text.contains("4 of 4 searches"), "{text}");
}

#[test]
fn optimize_refuses_politely() {
    let text = out(&["optimize", &schools(), "--mle"]);
    assert!(text.contains("no standard errors"), "{text}");
    let f = Folder::new("refuse");
    let model = f.file("m.thal", "latent x ~ normal(0, 1)\nfactor x^4\n");
    assert!(failure(&["optimize", &model]).contains("along x"));
}
