//! `sample --method …` on the built program: importance sampling, jumps, and what `auto` chooses.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SCHOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/eight_schools");
const FUNNEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/funnel_neal_10");
const ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/gaussian_vae");

fn thalweg(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thalweg")).args(args).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let o = thalweg(&[args, &["--json"]].concat());
    assert!(o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    serde_json::from_slice(&o.stdout).unwrap()
}

/// Standardised differences of the means, and of the standard deviations, of all parameters.
fn z(a: &Value, b: &Value) -> Vec<(String, f64)> {
    let mut out = vec![];
    for (name, p) in a["parameters"].as_object().unwrap() {
        for (what, error) in [("mean", "mcse_mean"), ("sd", "mcse_sd")] {
            let [x, y] = [p, &b["parameters"][name]].map(|p| p[what].as_f64().unwrap());
            let [e, f] = [p, &b["parameters"][name]].map(|p| p[error].as_f64().unwrap());
            out.push((format!("{what} of {name}"), (x - y) / (e * e + f * f).sqrt()));
        }
    }
    out
}

/// Weighted draws agree with chains: 2 comparisons at 4.5 errors, false alarms 1.4e-5. Beyond a normal guide only the
/// Student-t of the mixture, with 4 degrees of freedom, reaches the tails of one with 1.1: k-hat is 0.47 to 0.76 with
/// nine seeds. The branch to test is the one from 0.5 to 0.7, where weights are smoothed and errors are the spread of blocks:
/// six of the nine are in it, among them seed 1.
#[test]
fn importance_sampling_agrees_with_chains() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("importance");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("tails.thal");
    std::fs::write(&file, "latent x ~ student_t(1.1, 0, 1)\nreport mu = tanh(x)\n").unwrap();
    let (model, draws) = (file.to_str().unwrap(), ["--draws", "4000", "--seed", "1"]);
    let chains = json(&[&["sample", model][..], &draws].concat());
    let folder = ["--out", dir.to_str().unwrap()];
    let weighted =
        json(&[&["sample", model, "--method", "importance", "--guide", "mean-field"][..], &draws, &folder].concat());
    for (what, z) in z(&weighted, &chains).into_iter().filter(|z| z.0.ends_with("mu")) {
        assert!(z.abs() < 4.5, "{what}: z {z}");
    }
    assert_eq!(weighted["method"]["name"], "importance");
    let khat = weighted["khat"].as_f64().unwrap();
    assert!(khat > 0.5 && khat < 0.7, "{khat}");
    assert!(weighted["warnings"][0].as_str().unwrap().contains("spread of 8 blocks"));
    let ess = weighted["importance_ess"].as_f64().unwrap();
    assert!(ess > 1000.0 && ess < 16000.0, "{ess}");
    let mu = weighted["parameters"]["mu"].as_object().unwrap();
    assert!(!mu.contains_key("rhat") && mu["q05"].is_number() && mu["ess_tail"].is_number());

    // The files hold draws of equal weight: their mean is the weighted one up to the rounding of the resampling.
    let mut all: Vec<f64> = vec![];
    for c in 1..=4 {
        let text = std::fs::read_to_string(dir.join(format!("chain_{c}.csv"))).unwrap();
        assert!(text.contains("# method = importance"));
        let mut rows = text.lines().filter(|l| !l.starts_with('#'));
        assert!(rows.next().unwrap().starts_with("lp__,x,mu"));
        all.extend(rows.map(|r| r.split(',').nth(2).unwrap().parse::<f64>().unwrap()));
    }
    assert_eq!(all.len(), 16000);
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let (expected, error) = (mu["mean"].as_f64().unwrap(), mu["mcse_mean"].as_f64().unwrap());
    assert!((mean - expected).abs() < error, "{mean} {expected}");
}

/// A normal guide of a funnel: its weights carry nothing, and the next step is named.
#[test]
fn weights_with_a_heavy_tail_are_refused() {
    let o = thalweg(&["sample", FUNNEL, "--method", "importance", "--guide", "mean-field"]);
    let text = String::from_utf8_lossy(&o.stderr);
    assert!(!o.status.success() && text.contains("k-hat") && text.contains("--method transport"), "{text}");
}

/// Jumps are tried, accepted, and leave the moments alone; seeds decide.
#[test]
fn chains_that_jump_agree_with_chains() {
    let draws = ["--guide", "full-rank", "--draws", "1500", "--warmup", "500"];
    let jumping = json(&[&["sample", SCHOOLS, "--method", "flow-mh"][..], &draws].concat());
    let chains = json(&["sample", SCHOOLS, "--draws", "4000"]);
    for (what, z) in z(&jumping, &chains) {
        assert!(z.abs() < 4.5, "{what}: z {z}");
    }
    assert!(jumping["base_rhat_max"].as_f64().unwrap() < 1.02);
    let rates = jumping["jump_accept"].as_array().unwrap();
    assert!(rates.len() == 4 && rates.iter().all(|r| r.as_f64().unwrap() > 0.1), "{rates:?}");
}

/// A normal posterior has its exact moments, N(0.5, 0.5), with plain errors: z of 2 numbers below 4.5, false alarms 1.4e-5. (Without
/// weights the draws have the variance 0.675 of the mixture: z of the standard deviation is about 14.)
/// The posterior that weights are good enough for, and the one that asks for chains; the reason names the gate.
#[test]
fn auto_takes_weights_where_they_are_good() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let model = dir.join("normal.thal");
    std::fs::write(&model, "const y = 1\nlatent m ~ normal(0, 1)\nfactor normal_lpdf(y | m, 1)\n").unwrap();
    let found = json(&["sample", model.to_str().unwrap(), "--method", "auto", "--guide", "mean-field"]);
    let (name, reason) = (&found["method"]["name"], found["method"]["reason"].as_str().unwrap());
    assert_eq!(name, "importance", "{reason}");
    assert!(reason.contains("is below 0.5") && reason.contains("no mode was missed"), "{reason}");
    let m = |key: &str| found["parameters"]["m"][key].as_f64().unwrap();
    assert!((m("mean") - 0.5).abs() < 4.5 * m("mcse_mean") && (m("sd") - 0.5f64.sqrt()).abs() < 4.5 * m("mcse_sd"));
    assert!(m("mcse_mean") < 0.02 && m("mcse_mean") > 0.01, "{}", m("mcse_mean"));

    let schools = json(&["sample", SCHOOLS, "--method", "auto", "--guide", "mean-field"]);
    let reason = schools["method"]["reason"].as_str().unwrap();
    assert!(reason.contains("is below 0.7"), "{reason}");
    let hard = json(&["sample", FUNNEL, "--method", "auto", "--guide", "mean-field", "--draws", "200"]);
    assert_eq!(hard["method"]["name"], "transport", "{}", hard["method"]["reason"]);
}

/// A guide of one data file looks at all rows of another; its training goes on with its own settings only.
#[test]
fn guides_of_rows_know_their_data() {
    let folder = std::env::temp_dir().join(format!("thalweg_rows_{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let data = |n: usize| {
        let y: Vec<f64> = (0..n).map(|k| (k as f64 * 0.7).sin() * 2.0).collect();
        serde_json::json!({ "N": n, "y": y }).to_string()
    };
    let model = "data N: int\ndata y: vector[N]\nplate n in 1:N {\n  latent z ~ normal(0, 1)\n  observe y[n] ~ normal(z, 1)\n}\n";
    for (name, text) in [("m.thal", model.to_string()), ("a.json", data(60)), ("b.json", data(25))] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let (m, a, b, g) = (path("m.thal"), path("a.json"), path("b.json"), path("g.json"));
    let fit =
        ["fit", &m, "--data", &a, "--amortize", "--steps", "200", "--rate", "0.01", "--heldout", "0.2", "--out", &g];
    assert!(thalweg(&fit).status.success());
    let rows = |more: &[&str]| json(&[&["gap", &m, "--guide", &g], more].concat())["rows"].as_array().unwrap().len();
    assert_eq!(rows(&["--data", &a]), 12, "the rows held out");
    assert_eq!(rows(&["--data", &b]), 25, "all rows of new data");
    for (wrong, word) in [
        (&["gap", &m, "--guide", &g, "--data", &b, "--on", "train"][..], "other data"),
        (&[&fit[..11], &["--resume", &g, "--seed", "7"]].concat()[..], "--seed"),
        (&[&fit[..9], &["--resume", &g]].concat()[..], "--heldout"),
        (&["fit", &m, "--data", &b, "--amortize", "--heldout", "0.2", "--resume", &g][..], "the data"),
    ] {
        let out = thalweg(wrong);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && text.contains(word), "{wrong:?}: {text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Behind a map, with the stage before the warm-up that refines it: equal files for one thread and two, gradients of the stage counted,
/// and words on what became of the refinement.
#[test]
fn the_stage_before_the_warm_up_is_told_and_does_not_depend_on_threads() {
    let folder = std::env::temp_dir().join(format!("thalweg_stage_{}", std::process::id()));
    let runs: Vec<Value> = ["1", "2"]
        .map(|threads| {
            let out = folder.join(threads).display().to_string();
            let guide = ["--transport", "--guide", "realnvp(2, hidden=[8])", "--warmup", "400", "--draws", "200"];
            let more = ["--seed", "3", "--threads", threads, "--out", &out];
            json(&[&["sample", FUNNEL][..], &guide, &more].concat())
        })
        .into();
    for name in ["chain_1.csv", "chain_4.csv", "summary.json"] {
        let [a, b] = ["1", "2"].map(|t| std::fs::read(folder.join(t).join(name)).unwrap());
        assert!(a == b, "{name} differs");
    }
    let notes = runs[0]["notes"].to_string();
    assert!(notes.contains("before the warm-up"), "{notes}");
    // 400 iterations of the stage's and the run's own warm-up, a gradient or more each.
    assert!(runs[0]["warmup_gradients"].as_u64().unwrap() > 4 * (200 + 400), "{}", runs[0]["warmup_gradients"]);
    // A kept refinement is the rung that is used.
    let rungs = runs[0]["guide"]["rungs"].as_array().unwrap();
    let kept = !notes.contains("not kept");
    assert_eq!(kept, rungs[runs[0]["guide"]["best"].as_u64().unwrap() as usize]["name"] == "refined");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The objective that a training names is that of its options and of its guide.
#[test]
fn amortized_fits_name_their_objective() {
    let train = ["fit", ROWS, "--amortize", "--encoder", "linear", "--steps", "5", "--rate", "0.01"];
    for (more, bound, particles, gradient) in [
        (&[][..], "ELBO", 1, "plain"),
        (&["--guide", "realnvp(2)"], "ELBO", 1, "path"),
        (&["--particles", "8"], "IWAE", 8, "DReG"),
        (&["--particles", "50"], "IWAE", 50, "DReG"),
        (&["--particles", "4", "--guide", "iaf(1)"], "IWAE", 4, "plain"),
    ] {
        let objective = &json(&[&train[..], more].concat())["objective"];
        let draws = if particles == 50 { 15 } else { particles };
        let wanted = serde_json::json!({ "bound": bound, "particles": particles, "gradient": gradient, "gradient_draws": draws });
        assert_eq!(*objective, wanted);
    }
    // A guide of what is not there is not passed over in silence, and a wrong one is refused.
    let fitted = json(&[&train[..], &["--globals", "mean-field"]].concat());
    let told = |r: &serde_json::Value| r.as_str().is_some_and(|r| r.contains("no latent lies outside the plate"));
    assert!(fitted["remarks"].as_array().unwrap().iter().any(told), "{}", fitted["remarks"]);
    let refused = thalweg(&[&train[..], &["--globals", "realnpv(2)"]].concat());
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("realnpv"));
}

/// A flow of one coordinate that cannot bend is named, splines are not; values of `--init` are where chains behind a map begin too.
#[test]
fn flows_of_one_latent_and_given_starts() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("one_latent");
    std::fs::create_dir_all(&dir).unwrap();
    let (file, init) = (dir.join("one.thal"), dir.join("init.json"));
    std::fs::write(&file, "latent m ~ student_t(4, 0, 1)\nobserve 1.5 ~ normal(m, 1)\n").unwrap();
    let model = file.to_str().unwrap();
    let text = |guide: &str| String::from_utf8(thalweg(&["fit", model, "--guide", guide]).stdout).unwrap();
    let told = "with one latent, realnvp(2) only shifts and stretches";
    assert!(text("realnvp(2)").contains(told) && text("realnvp(2)").contains("nsf(4)"), "{}", text("realnvp(2)"));
    assert!(!text("nsf(2)").contains("only shifts") && !text("mean-field").contains("only shifts"));
    let first = |value: &str| {
        std::fs::write(&init, format!("{{\"m\": {value}}}")).unwrap();
        let start = ["--init", init.to_str().unwrap(), "--warmup", "0", "--draws", "20", "--seed", "3"];
        json(&[&["sample", model, "--transport", "--guide", "nsf(2)"][..], &start].concat())["parameters"]["m"].clone()
    };
    assert_eq!(first("0.5"), first("0.5"));
    assert_ne!(first("0.5"), first("-0.5"));
}
