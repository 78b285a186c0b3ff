//! Every law of the registry against reference values and against itself.

#[path = "laws/batches.rs"]
mod batches;
#[path = "laws/cases.rs"]
mod cases;
#[path = "laws/draws.rs"]
mod draws;
#[path = "laws/gradients.rs"]
mod gradients;
#[path = "laws/masses.rs"]
mod masses;

use cases::cases;
use thalweg::base::rng::Stream;
use thalweg::dist::{Value, all, law};

#[test]
fn every_law_has_a_case() {
    let cases = cases();
    for l in all() {
        assert!(cases.iter().any(|c| c.law == l.name()), "{}", l.name());
        assert!(law(l.name()).is_some_and(|found| found.name() == l.name()));
    }
    assert!(law("norma").is_none());
}

#[test]
fn every_law_is_documented() {
    let doc = include_str!("../docs/laws.md");
    for l in all() {
        let names: Vec<&str> = l.params().iter().map(|p| p.name).collect();
        let call = format!("`{}({})`", l.name(), names.join(", "));
        assert!(doc.contains(&call), "docs/laws.md lacks {call}");
        // A bar in a table is escaped.
        let formula = format!("`{}`", l.formula().replace('|', "\\|"));
        assert!(doc.contains(&formula), "docs/laws.md lacks {formula}");
    }
}

/// Differences left to both sides' rounding.
#[test]
fn densities_agree_with_references() {
    for c in cases() {
        for (y, expected) in &c.golden {
            let got = c.lpdf(y)[0];
            let gap = (got - expected).abs() / (1.0 + expected.abs());
            assert!(gap < 1e-11, "{} at {y:?}: {got}, not {expected}", c.law);
        }
    }
}

#[test]
fn event_shapes() {
    for c in cases() {
        let l = c.law();
        let dims: Vec<&[usize]> = c.args.iter().map(|a| a.dims.as_slice()).collect();
        assert_eq!(l.shape_problem(&c.dims, &dims), None, "{}", c.law);
        let sized = !l.name().starts_with("lkj") && l.event_rank() > 0;
        assert_eq!(l.event_dims(&dims), if sized { c.dims } else { vec![] });
    }
    let problem = law("multi_normal").and_then(|l| l.shape_problem(&[2], &[&[2], &[2, 3]]));
    assert_eq!(problem.as_deref(), Some("Sigma of multi_normal has shape [2, 3]; expected [2, 2]"));
}

#[test]
fn arguments_outside_their_domain_draw_nan() {
    let bad: &[(&str, &[&[f64]])] = &[
        ("normal", &[&[0.0], &[-1.0]]),
        ("normal", &[&[f64::NAN], &[1.0]]),
        ("uniform", &[&[2.0], &[1.0]]),
        ("binomial", &[&[2.5], &[0.5]]),
        ("binomial", &[&[2.0], &[1.5]]),
        ("poisson", &[&[-1.0]]),
        ("poisson_log", &[&[800.0]]),
        ("categorical", &[&[0.5, 0.4]]),
        ("dirichlet", &[&[1.0, 0.0]]),
        ("ordered_logistic", &[&[0.0], &[1.0, 0.5]]),
        ("multi_normal", &[&[0.0, 0.0], &[1.0, 2.0, 2.0, 1.0]]),
        ("multi_normal_cholesky", &[&[0.0, 0.0], &[1.0, 2.0, 2.0, 1.0]]),
        ("wishart", &[&[0.5], &[1.0, 0.0, 0.0, 1.0]]),
        ("lkj_corr", &[&[0.0]]),
        ("flat", &[]),
    ];
    for (name, args) in bad {
        let args: Vec<Value> = args.iter().map(|data| Value { data, dims: &[] }).collect();
        let l = law(name).expect(name);
        let mut out = vec![0.0; 2usize.pow(l.event_rank() as u32)];
        l.sample(&mut Stream::new(1, "laws", 0), &args, &mut out);
        assert!(out.iter().all(|y| y.is_nan()), "{name}: {out:?}");
    }
}
