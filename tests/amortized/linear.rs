//! The linear decoder with normal noise (`models/gaussian_vae`): log p(x), ELBO, IWAE and both gaps are known.
//!
//! Known values: closed forms and, for IWAE, quadrature, of the collection of exact answers that the model's README names.

use thalweg::base::rng::Stream;
use thalweg::base::stats::{log_mean_exp, mean, variance};
use thalweg::guide::amortized::{Amortized, Plan};
use thalweg::vi::plate::{Evaluator, NormalRow, Target};
use thalweg::workflow::gap::{Freed, gap};

use super::bound;

const MU: [f64; 4] = [5.843333333333335, 3.057333333333334, 3.7580000000000027, 1.199333333333334];
const W: [f64; 8] = [
    0.7807597730006044,
    -0.11997378411109043,
    0.010184520288624526,
    0.3619849235005058,
    1.4734251265966087,
    -0.9380298271456468,
    0.6155891548679934,
    -0.3934388974290659,
];
const SIGMA2: f64 = 0.050682147864796835;
const COVARIANCE: [f64; 4] = [0.06161356348438338, 0.08581712275792282, 0.08581712275792282, 0.16070664133511522];
const MEAN_FIELD: [f64; 2] = [0.0157873393951665, 0.04117811316753041];

/// A0 = Σ W' / σ²
fn exact_map() -> Vec<f64> {
    (0..8).map(|k| (0..2).map(|j| COVARIANCE[k / 4 * 2 + j] * W[k % 4 * 2 + j]).sum::<f64>() / SIGMA2).collect()
}

/// The guide q(z | x) = N(A (x - mu), diag var) with a linear encoder.
pub fn linear(a: &[f64], var: [f64; 2], flow: Option<&str>) -> (Amortized, Vec<f64>) {
    let flow = flow.map(str::to_string);
    let plan = Plan { dim: 2, inputs: 4, sets: vec![], globals: 0, hidden: vec![], flow, inner: vec![] };
    let guide = Amortized::new(plan, vec![(0.0, 1.0); 4]).unwrap();
    let shift = |i: usize| -(0..4).map(|j| a[4 * i + j] * MU[j]).sum::<f64>();
    let bias = [shift(0), shift(1), 0.5 * var[0].ln(), 0.5 * var[1].ln()];
    let mut theta = vec![];
    for (name, shape) in guide.segments() {
        let from = theta.len();
        theta.resize(from + shape.iter().product::<usize>(), 0.0);
        match name.as_str() {
            "encoder/weight0" => theta[from..from + 8].copy_from_slice(a),
            "encoder/bias0" => theta[from..from + 4].copy_from_slice(&bias),
            _ => {}
        }
    }
    (guide, theta)
}

fn rows_mean(t: &Target, f: impl Fn(usize) -> f64) -> f64 {
    (0..t.rows()).map(f).sum::<f64>() / t.rows() as f64
}

/// A linear map, variances, the mean ELBO, IWAE of row 1.
pub type Known = (Vec<f64>, [f64; 2], f64, [f64; 4]);

/// Encoders with their mean ELBO, and of row 1 their IWAE at 2, 10, 50, 500.
pub fn encoders() -> [Known; 3] {
    let a = exact_map();
    let short: Vec<f64> = a.iter().map(|x| 0.9 * x).collect();
    let wide = MEAN_FIELD.map(|v| 1.2 * v);
    let own = [COVARIANCE[0], COVARIANCE[3]];
    [
        (
            a.clone(),
            MEAN_FIELD,
            -3.380588726718902,
            [-2.3072286907465824, -2.1169910733791713, -2.0017431297993795, -1.9068910403036048],
        ),
        (
            short,
            wide,
            -3.8264003744198014,
            [-2.5618601363631113, -2.1230675568104393, -1.9778260288178118, -1.879939935239081],
        ),
        (a, own, -4.921634899752859, [-2.481823065464445, -1.8623607317252031, -1.79575807108662, -1.7790087554854583]),
    ]
}

#[test]
fn elbo_is_the_closed_form_whatever_the_noise() {
    let b = bound("gaussian_vae");
    for (a, var, elbo, _) in encoders() {
        let (guide, theta) = linear(&a, var, None);
        let ev = Evaluator::new(&b.target, &guide, &theta, &[]);
        let found = rows_mean(&b.target, |r| ev.elbo(r, &ev.encode(r), &[3.0, -1.5]).value);
        assert!((found - elbo).abs() < 1e-10, "{found} {elbo}");
    }
}

#[test]
fn evidence_and_posterior_of_rows_are_exact() {
    let b = bound("gaussian_vae");
    let (guide, theta) = linear(&exact_map(), MEAN_FIELD, None);
    let ev = Evaluator::new(&b.target, &guide, &theta, &[]);
    let found = rows_mean(&b.target, |r| NormalRow::of(&ev, r).unwrap().log_evidence);
    assert!((found + 2.699751867707403).abs() < 1e-10, "{found}");
    for (r, known) in [(0, -1.776763203287248), (60, -4.793486931010916), (118, -5.1848356910733795)] {
        assert!((NormalRow::of(&ev, r).unwrap().log_evidence - known).abs() < 1e-10);
    }
}

#[test]
fn gaps_are_the_closed_forms() {
    let b = bound("gaussian_vae");
    let rows: Vec<usize> = (0..b.target.rows()).collect();
    for ((a, var, elbo, _), amortization) in encoders().into_iter().zip([0.0, 0.4458116477008993, 1.541046173033958]) {
        let (guide, theta) = linear(&a, var, None);
        let g = gap(&Evaluator::new(&b.target, &guide, &theta, &[]), &rows, Freed::Base, 1);
        let (low, high) = g.approximation();
        assert!((low - 0.680836859011499).abs() < 1e-10 && (high - low).abs() < 1e-10, "{low} {high}");
        assert!((g.amortization().value - amortization).abs() < 1e-10, "{:?}", g.amortization());
        assert!((g.elbo().value - elbo).abs() < 1e-10);
    }
}

/// A guide with a full factor: the exact posterior N(A r, Σ), z = L (e + ε) + 0 with e = L⁻¹ A r.
#[test]
fn weights_of_the_exact_posterior_are_the_evidence() {
    let b = bound("gaussian_vae");
    let l00 = COVARIANCE[0].sqrt();
    let l10 = COVARIANCE[2] / l00;
    let l11 = (COVARIANCE[3] - l10 * l10).sqrt();
    let a = exact_map();
    let e: Vec<f64> = (0..8)
        .map(|k| {
            let first = a[k % 4] / l00;
            if k < 4 { first } else { (a[k] - l10 * first) / l11 }
        })
        .collect();
    let (guide, mut theta) = linear(&e, [1.0, 1.0], Some("affine(full)"));
    let mut at = 0;
    for (name, shape) in guide.segments() {
        let to = &mut theta[at..at + shape.iter().product::<usize>()];
        match name.as_str() {
            "flow/0.affine/log_scale" => to.copy_from_slice(&[l00.ln(), l11.ln()]),
            "flow/0.affine/lower" => to.copy_from_slice(&[l10]),
            _ => {}
        }
        at += to.len();
    }
    let ev = Evaluator::new(&b.target, &guide, &theta, &[]);
    let mut noise = vec![0.0; 200];
    Stream::new(3, "noise", 0).fill_normal(&mut noise);
    for row in [0, 60, 118, 149] {
        let known = NormalRow::of(&ev, row).unwrap().log_evidence;
        for w in ev.weights(row, &ev.encode(row), &noise).log_w {
            assert!((w - known).abs() < 1e-10, "row {row}: {w} {known}");
        }
    }
}

/// |z| < 4.9 in 12 tests: a false alarm in 1e5 runs of a correct program. The groups are few enough for the dev profile;
/// their standard errors stay below 0.02.
#[test]
fn iwae_is_within_its_error_of_quadrature() {
    let b = bound("gaussian_vae");
    for (a, var, _, iwae) in encoders() {
        let (guide, theta) = linear(&a, var, None);
        let ev = Evaluator::new(&b.target, &guide, &theta, &[]);
        let e = ev.encode(0);
        let mut noise = vec![0.0; 2 * 200_000];
        Stream::new(5, "iwae", 0).fill_normal(&mut noise);
        let log_w: Vec<f64> = noise.chunks(2000).flat_map(|n| ev.weights(0, &e, n).log_w).collect();
        for (k, known) in [2, 10, 50, 500].into_iter().zip(iwae) {
            let groups: Vec<f64> = log_w.chunks_exact(k).map(log_mean_exp).collect();
            let se = (variance(&groups) / groups.len() as f64).sqrt();
            let z = (mean(&groups) - known) / se;
            assert!(se < 0.02 && z.abs() < 4.9, "K {k}: {} ± {se}, known {known}", mean(&groups));
        }
    }
}

/// Priors that differ between rows: the divergence of a row is from its own prior.
#[test]
fn divergences_are_from_the_prior_of_the_row() {
    let source = "data x: vector[2]\ndata y: vector[2]\nplate n in 1:2 {\n  latent z ~ normal(3 * x[n], 2)\n  observe y[n] ~ normal(z, 1)\n}\n";
    let b = super::from_text(source, r#"{"x": [1, -2], "y": [0.5, 1.5]}"#);
    let plan = Plan { dim: 1, inputs: 2, sets: vec![], globals: 0, hidden: vec![], flow: None, inner: vec![] };
    let guide = Amortized::new(plan, vec![(0.0, 1.0); 2]).unwrap();
    let (mean, sd) = (0.4, 0.7_f64);
    let g = gap(&Evaluator::new(&b.target, &guide, &[0.0, 0.0, 0.0, 0.0, mean, sd.ln()], &[]), &[0, 1], Freed::Base, 1);
    for (row, centre) in g.rows.iter().zip([3.0, -6.0]) {
        let known = (2.0 / sd).ln() + 0.5 * ((sd * sd + (mean - centre) * (mean - centre)) / 4.0 - 1.0);
        assert!((row.kl - known).abs() < 1e-12, "{} {known}", row.kl);
    }
}
