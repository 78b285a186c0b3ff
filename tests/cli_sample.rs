//! `sample`, `simulate` and `run` on the built program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::Model;

const SCHOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/eight_schools");

fn thalweg(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thalweg")).args(args).output().unwrap()
}

/// Runs; gives standard output, or panics with the error.
fn ok(args: &[&str]) -> String {
    let o = thalweg(args);
    assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout).unwrap()
}

/// Runs; gives the exit code and the error text.
fn fails(args: &[&str]) -> (i32, String) {
    let o = thalweg(args);
    (o.status.code().unwrap(), String::from_utf8(o.stderr).unwrap())
}

/// An empty folder of this test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn json_has_its_keys() {
    let json: Value =
        serde_json::from_str(&ok(&["sample", SCHOOLS, "--json", "--draws", "300", "--warmup", "300"])).unwrap();
    for key in ["mean", "sd", "mcse_mean", "mcse_sd", "q05", "q50", "q95", "ess_bulk", "ess_tail", "rhat"] {
        assert!(json["parameters"]["theta[8]"][key].is_number(), "{key}");
    }
    for key in ["chains", "draws", "warmup", "divergences", "gradients", "seconds"] {
        assert!(json[key].is_number(), "{key}");
    }
    assert_eq!(json["draws"], 300);
    let names: Vec<&String> = json["parameters"].as_object().unwrap().keys().collect();
    assert_eq!((names.len(), names[0].as_str(), names[10].as_str()), (11, "mu", "shrinkage"));
}

#[test]
fn threads_do_not_matter_and_seeds_do() {
    let dir = folder("threads");
    let run = |name: &str, threads: &str, seed: &str| {
        let out = dir.join(name);
        let args = ["sample", SCHOOLS, "--draws", "50", "--warmup", "60", "--chains", "2", "--threads", threads];
        ok(&[&args[..], &["--seed", seed, "--out", out.to_str().unwrap(), "--quiet"]].concat());
        [1, 2].map(|c| std::fs::read(out.join(format!("chain_{c}.csv"))).unwrap())
    };
    let (a, b, c) = (run("a", "1", "5"), run("b", "2", "5"), run("c", "2", "6"));
    assert_eq!(a, b);
    assert_ne!(a[0], c[0]);
    assert_ne!(a[0], a[1]);
    assert!(dir.join("a/summary.json").exists() && dir.join("a/config.json").exists());
}

#[test]
fn wrong_use_is_explained() {
    let dir = folder("wrong");
    assert_eq!(fails(&["sample", SCHOOLS, "--no-such-flag"]).0, 2);
    assert_eq!(fails(&["sample", SCHOOLS, "--metric", "round"]).0, 2);
    let (code, text) = fails(&["sample", SCHOOLS, "--target-accept", "1.5"]);
    assert!(code == 1 && text.contains("target_accept") && text.contains("between 0 and 1"), "{text}");
    let (code, text) = fails(&["sample", "no_such_model.thal"]);
    assert!(code == 1 && text.contains("no_such_model.thal"), "{text}");
    let model = format!("{SCHOOLS}/model.thal");
    let (code, text) = fails(&["sample", &model]);
    assert!(code == 1 && text.contains("`J`") && text.contains("data file"), "{text}");
    let init = file(&dir, "init.json", "{\"tua\": 1}");
    let (code, text) = fails(&["sample", SCHOOLS, "--init", &init]);
    assert!(code == 1 && text.contains("tua") && text.contains("tau"), "{text}");
    let init = file(&dir, "init2.json", "{\"tau\": -1}");
    let (code, text) = fails(&["sample", SCHOOLS, "--init", &init]);
    assert!(code == 1 && text.contains("tau cannot be -1"), "{text}");
}

#[test]
fn a_density_that_is_no_number_is_located() {
    let dir = folder("nan");
    let model = file(
        &dir,
        "m.thal",
        "data y: real\nlatent a ~ normal(0, 1)\nlet b = log(-1 - a^2)\nobserve y ~ normal(b, 1)\n",
    );
    let data = file(&dir, "d.json", "{\"y\": 1}");
    let (code, text) = fails(&["sample", &model, "--data", &data]);
    assert_eq!(code, 1);
    assert!(text.contains("no usable starting point") && text.contains("not finite in a"), "{text}");
    assert!(text.contains("m.thal:3") && text.contains("log(-1 - a^2)"), "{text}");
}

#[test]
fn the_row_and_the_operation_that_fail_are_named() {
    let dir = folder("nan_row");
    let text = "data N: int\ndata y: vector[N]\nlatent a ~ normal(0, 1)\nplate n in 1:N {\n  observe y[n] ~ normal(sqrt(a^2 + 5 - n), 1)\n}\n";
    let (model, data) =
        (file(&dir, "m.thal", text), file(&dir, "d.json", "{\"N\": 12, \"y\": [1,1,1,1,1,1,1,1,1,1,1,1]}"));
    let (code, text) = fails(&["sample", &model, "--data", &data, "--seed", "1"]);
    assert_eq!(code, 1);
    let message = text[text.find("\nerror: ").map_or(0, |k| k + 1)..].replace(&model, "m.thal");
    assert_eq!(message.trim_end(), GOLDEN, "{text}");
}

#[test]
fn a_value_that_all_rows_share_names_none_of_them() {
    let dir = folder("nan_shared");
    // As many elements as rows, and element 1 is read by the last row.
    let text = "data y: vector[4]\nlatent v: vector[4] ~ normal(0, 1)\nplate n in 1:4 {\n  observe y[n] ~ normal(log(-1 - v .* v)[5 - n], 1)\n}\n";
    let (model, data) = (file(&dir, "m.thal", text), file(&dir, "d.json", "{\"y\": [1, 1, 1, 1]}"));
    let (_, text) = fails(&["sample", &model, "--data", &data, "--seed", "1"]);
    assert!(text.contains(" is NaN in the law of `y`\n"), "{text}");
    // Rows of the outer plate within a statement of the inner one.
    let text = "data y: matrix[3, 2]\nlatent v: matrix[3, 6] ~ normal(0, 1)\nplate i in 1:3 {\n  let w = v[i]\n  plate j in 1:2 {\n    observe y[i, j] ~ normal(log(-1 - w .* w)[j], 1)\n  }\n}\n";
    let (model, data) = (file(&dir, "n.thal", text), file(&dir, "e.json", "{\"y\": [[1, 1], [1, 1], [1, 1]]}"));
    let (_, text) = fails(&["sample", &model, "--data", &data, "--seed", "1"]);
    assert!(text.contains(" is NaN in the law of `y`\n"), "{text}");
}

const GOLDEN: &str = "\
error: sqrt(-0.3267) is NaN in the law of `y`, at n = 6
 --> m.thal:5:3
  |
5 |   observe y[n] ~ normal(sqrt(a^2 + 5 - n), 1)
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the log density is not finite because of this
  = help: keep arguments inside their domain: a bound on the latent (`real<lower=0>`), a proper law, or other initial values (--init)";

#[test]
fn reports_of_a_summed_out_latent_are_drawn() {
    let dir = folder("discrete");
    let text = "data y: real\nlatent m: ordered[2] ~ normal(0, 5)\nlatent z: int<lower=1, upper=2> ~ categorical([0.5, 0.5])\n\
        observe y ~ normal(m[z], 1)\nreport last = z\nreport n ~ normal(m[z], 1)\n";
    let (model, data) = (file(&dir, "m.thal", text), file(&dir, "d.json", "{\"y\": 1}"));
    let out = dir.join("draws").display().to_string();
    let text = ok(&["sample", &model, "--data", &data, "--draws", "50", "--warmup", "100", "--out", &out]);
    assert!(text.lines().any(|l| l.trim().starts_with("last ")), "{text}");
    assert!(text.lines().any(|l| l.trim().starts_with("n ")), "{text}");
    let text = ok(&["simulate", &model, "--data", &data, "--posterior", &out, "--draws", "20"]);
    assert!(text.lines().any(|l| l.trim().starts_with("z ")), "{text}");
}

#[test]
fn draws_of_arrays_filled_in_part_are_read_back() {
    let dir = folder("partly");
    let text = "data y: real\nlatent p: array[3, 2] simplex[2]\nlatent p[1, 1] ~ dirichlet([900, 100])\nlatent p[2, 1] ~ dirichlet([100, 900])\n\
        latent x: matrix[3, 3]\nlatent x[2, 2] ~ normal(7, 0.001)\nlatent z ~ bernoulli(0.5)\nobserve y ~ normal(p[2, 1, 1] + z, 0.01)\n\
        report d = z + x[2, 2]\nreport e ~ normal(p[1, 1, 1], 0.001)\n";
    let (model, data) = (file(&dir, "m.thal", text), file(&dir, "d.json", "{\"y\": 1.1}"));
    let out = dir.join("draws").display().to_string();
    let near = |text: &str, name: &str, value: f64| {
        let line = text.lines().find(|l| l.trim().starts_with(name)).unwrap_or_else(|| panic!("no {name}\n{text}"));
        let mean: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!((mean - value).abs() < 0.05, "{line}");
    };
    let text =
        ok(&["sample", &model, "--data", &data, "--draws", "100", "--warmup", "200", "--seed", "1", "--out", &out]);
    let again = ok(&["simulate", &model, "--data", &data, "--posterior", &out, "--draws", "50"]);
    for text in [&text, &again] {
        for (name, value) in [("p[1,1,1]", 0.9), ("p[2,1,1]", 0.1), ("x[2,2]", 7.0), ("d ", 8.0), ("e ", 0.9)] {
            near(text, name, value);
        }
    }
}

#[test]
fn data_read_before_they_are_simulated_are_refused() {
    let dir = folder("early");
    let text = "data N: int\ndata y: vector[N]\nlatent a ~ normal(0, 1)\nobserve y[2:N] ~ normal(a * y[1:N - 1], 1)\n";
    let (model, data) = (file(&dir, "m.thal", text), file(&dir, "d.json", "{\"N\": 3, \"y\": [1, 2, 3]}"));
    let (code, text) = fails(&["simulate", &model, "--data", &data]);
    assert!(code == 1 && text.contains("y[2]") && text.contains("before it is simulated"), "{text}");
}

const LINE: &str = "data N: int\ndata x: vector[N]\ndata y: vector[N]\nlatent a ~ normal(3, 2)\nlatent s ~ gamma(9, 3)\n\
    observe y ~ normal(a + x, s)\nreport r = 2 * a\nreport next ~ normal(a, s)\n";

#[test]
fn simulated_data_bind_and_prior_means_match() {
    let dir = folder("simulate");
    let model = file(&dir, "m.thal", LINE);
    let data = file(&dir, "d.json", "{\"N\": 3, \"x\": [0, 1, 2]}");
    let out = dir.join("out");
    let args = ["simulate", &model, "--data", &data, "--draws", "4000", "--json", "--seed", "3"];
    let text = ok(&args);
    assert_eq!(text, ok(&args));
    let json: Value = serde_json::from_str(&text).unwrap();
    // Means of 4000 draws within 5 standard errors (false alarm 6e-7 each); y = a + x + s z has variance
    // 4 + E s^2 = 4 + 10. A law's parameters read in another order fail.
    let near = |name: &str, mean: f64, sd: f64| {
        let found = json["values"][name]["mean"].as_f64().unwrap();
        assert!((found - mean).abs() < 5.0 * sd / 4000f64.sqrt(), "{name}: {found}, expected {mean}");
    };
    near("a", 3.0, 2.0);
    near("s", 3.0, 1.0);
    near("r", 6.0, 4.0);
    near("y[3]", 5.0, 14f64.sqrt());
    near("next", 3.0, 14f64.sqrt());
    ok(&["simulate", &model, "--data", &data, "--draws", "2", "--out", out.to_str().unwrap()]);
    let simulated = out.join("data_2.json");
    let bound = Model::load(&model).unwrap().bind(&DataFile::load(&simulated).unwrap()).unwrap();
    assert_eq!(bound.dim, 2);
    let fit = dir.join("fit");
    let text = ok(&[
        "sample",
        &model,
        "--data",
        simulated.to_str().unwrap(),
        "--draws",
        "200",
        "--warmup",
        "300",
        "--out",
        fit.to_str().unwrap(),
    ]);
    assert!(text.contains("next") && text.contains("R-hat"), "{text}");
    // Predictions at new covariates: y - a - x has mean 0.
    let new = file(&dir, "new.json", "{\"N\": 1, \"x\": [100]}");
    let json: Value = serde_json::from_str(&ok(&[
        "simulate",
        &model,
        "--data",
        &new,
        "--posterior",
        fit.to_str().unwrap(),
        "--draws",
        "400",
        "--json",
    ]))
    .unwrap();
    let mean = |n: &str| json["values"][n]["mean"].as_f64().unwrap();
    let sd = json["values"]["y[1]"]["sd"].as_f64().unwrap();
    assert!((mean("y[1]") - mean("a") - 100.0).abs() < 5.0 * sd / 20.0);
}

#[test]
fn drawn_reports_have_the_predictive_moments() {
    let dir = folder("reports");
    let model = file(&dir, "m.thal", "latent a ~ normal(1, 2)\nreport n ~ normal(a, 3)\n");
    let json: Value = serde_json::from_str(&ok(&["sample", &model, "--json"])).unwrap();
    let n = &json["parameters"]["n"];
    let at = |k: &str| n[k].as_f64().unwrap();
    // Five standard errors each (false alarm 6e-7): mean 1, variance 4 + 9.
    assert!((at("mean") - 1.0).abs() < 5.0 * at("mcse_mean"), "{n}");
    assert!((at("sd") - 13f64.sqrt()).abs() < 5.0 * at("mcse_sd"), "{n}");
}

#[test]
fn densities_without_a_simulator_are_refused() {
    let dir = folder("refused");
    let flat = file(&dir, "flat.thal", "latent a: real ~ flat()\nobserve 0.5 ~ normal(a, 1)\n");
    let (code, text) = fails(&["simulate", &flat]);
    assert!(code == 1 && text.contains("flat.thal:1") && text.contains("improper"), "{text}");
    let factor = file(&dir, "factor.thal", "latent a ~ normal(0, 1)\nfactor -a^2\n");
    let (code, text) = fails(&["simulate", &factor]);
    assert!(code == 1 && text.contains("factor.thal:2"), "{text}");
}

#[test]
fn run_gives_a_verdict() {
    let dir = folder("run");
    let good = file(&dir, "good.thal", "latent a ~ normal(0, 1)\n");
    assert!(ok(&["run", &good]).contains("verdict: the draws can be trusted"));
    let bad = file(&dir, "bad.thal", "latent m ~ mixture([0.5, 0.5], [normal(-30, 1), normal(30, 1)])\n");
    let text = ok(&["run", &bad, "--init", "40", "--draws", "200", "--warmup", "200"]);
    assert!(text.contains("verdict: do not use") && text.contains("R-hat"), "{text}");
}

#[test]
fn the_instruction_set_can_be_chosen() {
    let quick = ["sample", SCHOOLS, "--draws", "20", "--warmup", "50", "--json"];
    let with = |more: &[&str]| ok(&[&quick[..], more].concat());
    // The same level twice gives the same bits; the option may stand before or behind the command.
    let plain = with(&["--isa", "baseline"]);
    let before = ok(&[&["--isa", "baseline"], &quick[..]].concat());
    let strip = |t: &str| t.lines().filter(|l| !l.contains("seconds")).collect::<Vec<_>>().join("\n");
    assert_eq!(strip(&plain), strip(&before));
    let (code, text) = fails(&["check", SCHOOLS, "--isa", "z80"]);
    assert!(code == 2 && text.contains("baseline") && text.contains("avx2"), "{text}");
}

#[test]
fn run_checks_before_it_samples() {
    let dir = folder("run_check");
    let model = file(&dir, "m.thal", "latent a ~ normal(0, 1)\nlatent b: vector[2] ~ normal(a, 1)\n");
    let text = ok(&["run", &model, "--draws", "200", "--warmup", "200"]);
    let order =
        ["3 unconstrained coordinates", "normalised", "gradient: all 4 derivatives agree", "R-hat", "verdict: "];
    let places: Vec<_> = order.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"))).collect();
    assert!(places.is_sorted(), "{text}");
    let json: Value = serde_json::from_str(&ok(&["run", &model, "--draws", "200", "--json"])).unwrap();
    assert_eq!(json["check"]["gradient"]["wrong"], 0);
    assert!(json["check"]["latents"][1]["shape"] == "[2]" && json["verdict"].is_string());
    // A density with steps: its gradient is wrong, and the verdict says so whatever the draws look like.
    let model = file(&dir, "steps.thal", "latent a ~ normal(0, 1)\nfactor round(1e9 * a) / 1e9\n");
    let text = ok(&["run", &model, "--draws", "200", "--warmup", "200"]);
    assert!(text.contains("differ from finite differences") && text.contains("verdict: do not use"), "{text}");
}

/// The settings that are written beside the draws give the same bits again, also in another order of flags.
#[test]
fn a_run_is_repeated_from_its_configuration() {
    let dir = folder("config");
    let text = "const k = 1.0\nlatent a ~ normal(k, 1)\nlatent b ~ exponential(2)\n";
    let model = file(&dir, "m.thal", text);
    let init = file(&dir, "i.json", "{\"b\": 0.25}");
    let (a, b, c) = (dir.join("a"), dir.join("b"), dir.join("c"));
    let path = |p: &Path| p.to_str().unwrap().to_string();
    let given = ["--set", "k=0.1", "--init", &init, "--metric", "dense", "--target-accept", "0.93", "--seed", "11"];
    let sizes = ["--chains", "2", "--draws", "40", "--warmup", "50", "--thin", "2", "--out"];
    ok(&[&["sample", &model][..], &given, &sizes, &[&path(&a)]].concat());
    let config = path(&a.join("config.json"));
    ok(&["sample", "--config", &config, "--threads", "1", "--out", &path(&b)]);
    ok(&["run", "--config", &config, "--seed", "12", "--out", &path(&c)]);
    for name in ["chain_1.csv", "chain_2.csv", "config.json", "summary.json"] {
        let read = |p: &Path| std::fs::read(p.join(name)).unwrap();
        assert_eq!(read(&a), read(&b), "{name}");
        assert_ne!(read(&a), read(&c), "{name}");
    }
}

/// Ctrl-C: the draws so far are whole rows, with a summary that says that the run was interrupted.
#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_its_draws() {
    let dir = folder("interrupted");
    let model = file(&dir, "m.thal", "latent a ~ normal(0, 1)\nlatent b: vector[5] ~ normal(a, 1)\n");
    let out = dir.join("out");
    let args = [
        "sample", &model, "--draws", "20000000", "--thin", "1000", "--warmup", "100", "--chains", "2", "--json",
        "--out",
    ];
    let child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .args(args)
        .arg(&out)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let read = |c: usize| thalweg::io::read_stan_csv(&out.join(format!("chain_{c}.csv")));
    let rows = |c: usize| read(c).map_or(0, |f| f.columns.first().map_or(0, |x| x.len()));
    // Rows come to the disk while the run goes on.
    let begun = std::time::Instant::now();
    while rows(1).min(rows(2)) < 5 {
        assert!(begun.elapsed().as_secs() < 60, "no draws on disk");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    let json: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(json["interrupted"], true);
    assert!(json["warnings"].to_string().contains("interrupted"), "{json}");
    // A chain that has twice the draws of the other is summarised alone: that keeps more of them.
    let (least, most) = (rows(1).min(rows(2)) as u64, rows(1).max(rows(2)) as u64);
    let draws = json["draws"].as_u64().unwrap();
    assert!(draws >= 5 && (draws <= least || (draws <= most && 2 * least <= most)), "{draws} of {least} and {most}");
    let file = std::fs::read_to_string(out.join("summary.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap()["interrupted"], true);
}
