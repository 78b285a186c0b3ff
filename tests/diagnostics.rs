//! Diagnostics against ArviZ on stored draws, and their edge cases.

use std::collections::BTreeMap;
use thalweg::diagnostics::summary::{quantile, summarize, summarize_all};
use thalweg::diagnostics::{energy, ess, mcse, psis, rhat};

type Stored = BTreeMap<String, Vec<Vec<f64>>>;

fn stored() -> Stored {
    let mut out = Stored::new();
    for line in include_str!("data/diagnostics_draws.csv").lines().skip(1) {
        let (name, rest) = line.split_once(',').unwrap();
        let (_, draws) = rest.split_once(',').unwrap();
        let chain = draws.split(' ').map(|v| v.parse().unwrap()).collect();
        out.entry(name.to_string()).or_default().push(chain);
    }
    out
}

fn slices(chains: &[Vec<f64>]) -> Vec<&[f64]> {
    chains.iter().map(|c| &c[..]).collect()
}

/// ArviZ rounds Phi(-1) to seven digits, which moves no draw here; the rest is rounding in the transform.
const TOLERANCE: f64 = 1e-9;

#[test]
fn agrees_with_arviz() {
    let stored = stored();
    let mut seen = 0;
    for line in include_str!("data/diagnostics_golden.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [name, statistic, value] = fields[..] else { panic!("{line}") };
        let expected: f64 = value.parse().unwrap();
        let chains = slices(&stored[name]);
        let found = match statistic {
            "rhat" => rhat::rhat(&chains),
            "ess_bulk" => ess::bulk(&chains),
            "ess_tail" => ess::tail(&chains),
            "ess_mean" => ess::mean(&chains),
            "ess_sd" => ess::sd(&chains),
            "ess_q10" => ess::quantile(&chains, 0.1),
            "mcse_mean" => mcse::mean(&chains),
            "mcse_sd" => mcse::sd(&chains),
            "mcse_q10" => mcse::quantile(&chains, 0.1),
            "bfmi0" => energy::ebfmi(chains[0]),
            "khat" => psis::psis(chains[0]).khat,
            "psis_max" => psis::psis(chains[0]).log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            "psis_ess" => psis::psis(chains[0]).ess,
            other => panic!("unknown statistic {other}"),
        };
        let close = (found - expected).abs() <= TOLERANCE * (1.0 + expected.abs());
        assert!(close || (found.is_nan() && expected.is_nan()), "{name} {statistic}: {found}, ArviZ {expected}");
        seen += 1;
    }
    assert_eq!(seen, 119);
}

#[test]
fn summaries_are_made_of_the_single_functions() {
    let stored = stored();
    let all: Vec<Vec<&[f64]>> = stored.values().map(|c| slices(c)).collect();
    let rows = summarize_all(&all, &[0.05, 0.5]);
    for (chains, row) in all.iter().zip(&rows) {
        assert_eq!(*row, summarize(chains, &[0.05, 0.5]), "order of work changes nothing");
        let same = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{a} {b}");
        same(row.rhat, rhat::rhat(chains));
        same(row.ess_bulk, ess::bulk(chains));
        same(row.ess_tail, ess::tail(chains));
        same(row.mcse_mean, mcse::mean(chains));
        same(row.mcse_sd, mcse::sd(chains));
        same(row.quantiles[0], quantile(&chains.concat(), 0.05));
    }
}

#[test]
fn undefined_is_nan() {
    let constant = vec![3.0; 50];
    let short = vec![1.0, 2.0, 4.0];
    let mut broken: Vec<f64> = (0..50).map(f64::from).collect();
    broken[7] = f64::INFINITY;
    let cases: [(&str, Vec<&[f64]>); 6] = [
        ("constant", vec![&constant, &constant]),
        ("fewer than four draws", vec![&short, &short]),
        ("infinite", vec![&broken]),
        ("no chains", vec![]),
        ("no draws", vec![&[]]),
        ("unequal lengths", vec![&constant, &short]),
    ];
    for (name, chains) in cases {
        let s = summarize(&chains, &[0.5]);
        for value in [s.rhat, s.ess_bulk, s.ess_tail, s.mcse_mean, s.mcse_sd, mcse::quantile(&chains, 0.5)] {
            assert!(value.is_nan(), "{name}: {s:?}");
        }
    }
    let s = summarize(&[&constant[..]], &[0.5]);
    assert_eq!((s.mean, s.sd, s.quantiles[0]), (3.0, 0.0, 3.0));
    assert!(energy::ebfmi(&constant).is_nan() && energy::ebfmi(&short[..2]).is_nan());
}

#[test]
fn two_valued_draws_are_judged_by_their_ranks() {
    // |x - median| is constant, so the folded R-hat does not exist.
    let x: Vec<f64> = (0..100).map(|i| if (i * 7) % 10 < 5 { -1.0 } else { 1.0 }).collect();
    let r = rhat::rhat(&[&x[..50], &x[50..]]);
    assert!(r.is_finite() && r < 1.05, "{r}");
}

#[test]
fn large_samples_use_the_radix_sort_and_give_the_same() {
    // Ranks do not change under an increasing map, so neither do R-hat and bulk ESS.
    let x: Vec<f64> = (0..4000).map(|i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 8) - 8e6).collect();
    let y: Vec<f64> = x.iter().map(|x| x / 4e6 + (x / 4e6).powi(3)).collect();
    let (a, b) = (vec![&x[..2000], &x[2000..]], vec![&y[..2000], &y[2000..]]);
    assert_eq!(ess::bulk(&a).to_bits(), ess::bulk(&b).to_bits());
    let mut sorted = x.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    assert_eq!(quantile(&x, 0.25), sorted[999] + 0.75 * (sorted[1000] - sorted[999]));
    assert_eq!(summarize(&a, &[0.25]).quantiles[0], quantile(&x, 0.25));
}

#[test]
fn quantiles_are_type_seven() {
    let x = [4.0, 1.0, 3.0, 2.0];
    assert_eq!([0.0, 0.25, 0.5, 1.0].map(|p| quantile(&x, p)), [1.0, 1.75, 2.5, 4.0]);
    assert!(quantile(&[], 0.5).is_nan() && quantile(&x, 1.5).is_nan() && quantile(&[1.0, f64::NAN], 0.5).is_nan());
    assert_eq!(quantile(&[f64::NEG_INFINITY, 0.0], 0.0), f64::NEG_INFINITY);
}

#[test]
fn zero_and_unusable_weights() {
    // Weights exp(-u / 2) with zeros among them; only the finite ones matter.
    let w: Vec<f64> =
        (0..500).map(|i| if i % 5 == 0 { f64::NEG_INFINITY } else { -0.5 * f64::from(i % 83) / 20.0 }).collect();
    let p = psis::psis(&w);
    assert!(p.khat.is_finite() && p.log_weights[0] == f64::NEG_INFINITY);
    assert!((p.log_weights.iter().map(|l| l.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(psis::psis(&[f64::NEG_INFINITY; 40]).khat.is_nan());
    assert!(psis::psis(&[0.0, f64::NAN]).khat.is_nan() && psis::psis(&[]).khat.is_nan());
    // Equal weights have no tail to fit.
    let equal = psis::psis(&[1.0; 40]);
    assert_eq!((equal.khat, equal.tail), (f64::INFINITY, 0));
    assert!((equal.ess - 40.0).abs() < 1e-9);
    assert_eq!(psis::required_size(0.5), 100.0);
    assert_eq!(psis::khat_threshold(100), 0.5);
}

#[test]
fn pareto_fit_finds_the_shape_of_exact_quantiles() {
    for k in [-0.3, 0.2, 0.7, 1.2] {
        let law = psis::Pareto { k, sigma: 2.0 };
        let x: Vec<f64> = (0..4000).map(|i| law.quantile((f64::from(i) + 0.5) / 4000.0)).collect();
        let fit = psis::fit_pareto(&x);
        // Quantile midpoints replace sampling noise; what is left is the prior's pull of at most 10/4010 and the
        // finite spacing in the tail.
        assert!((fit.k - k).abs() < 0.02 && (fit.sigma - 2.0).abs() < 0.06, "{k}: {fit:?}");
    }
}
