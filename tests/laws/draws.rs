//! Samplers against the laws: Kolmogorov–Smirnov tests of numbers and of projections, chi-square tests
//! of integers. False alarms: 1e-6 per test, about 60 tests, with a fixed seed. Every case has a mutant,
//! the sampler with one argument changed, that the same test must reject.

use super::cases::{Case, cases};
use super::masses::{limits, mass_below};
use statrs::distribution::{Beta, ChiSquared, ContinuousCDF, InverseGamma, Normal, StudentsT};

const N: usize = 20_000;
const ALPHA: f64 = 1e-6;

/// Kolmogorov's bound for the largest gap between empirical and exact cdf: the limit law's tail is
/// 2 exp(-2 n d^2).
fn ks_passes(mut xs: Vec<f64>, cdf: impl Fn(f64) -> f64) -> bool {
    xs.sort_by(f64::total_cmp);
    let n = xs.len() as f64;
    let gap = |(i, &x): (usize, &f64)| {
        let p = cdf(x);
        (p - i as f64 / n).abs().max((p - (i as f64 + 1.0) / n).abs())
    };
    let d = xs.iter().enumerate().map(gap).fold(0.0, f64::max);
    d < ((2.0 / ALPHA).ln() / (2.0 * n)).sqrt()
}

/// Pearson's test on cells of at least 10 expected counts; `mass[k]` is the probability of `k`, and
/// what is left counts as one more cell.
fn chi_square_passes(xs: &[f64], mass: &[f64]) -> bool {
    let n = xs.len() as f64;
    let mut counts = vec![0.0; mass.len() + 1];
    for &x in xs {
        counts[(x as usize).min(mass.len())] += 1.0;
    }
    let rest = (1.0 - mass.iter().sum::<f64>()).max(0.0);
    let expected = mass.iter().copied().chain([rest]).map(|p| n * p);
    let (mut cells, mut open) = (vec![], (0.0, 0.0));
    for (o, e) in counts.into_iter().zip(expected) {
        open = (open.0 + o, open.1 + e);
        if open.1 >= 10.0 {
            cells.push(std::mem::take(&mut open));
        }
    }
    if let Some(last) = cells.last_mut() {
        *last = (last.0 + open.0, last.1 + open.1);
    }
    let statistic: f64 = cells.iter().map(|(o, e)| (o - e) * (o - e) / e).sum();
    let law = ChiSquared::new(cells.len() as f64 - 1.0).expect("two cells");
    law.sf(statistic) > ALPHA
}

/// True where draws `xs` pass as draws of `c`.
fn passes(c: &Case, xs: &[f64]) -> bool {
    if !c.dims.is_empty() {
        return projections_pass(c, xs);
    }
    if c.law().is_discrete() {
        let (first, last) = match c.law.as_str() {
            "categorical" | "categorical_logit" => (1, 3),
            "ordered_logistic" => (1, 4),
            _ => (0, limits(c).1.min(200.0) as i32),
        };
        let ks: Vec<f64> = (first..=last).map(f64::from).collect();
        let mass = c.lpdf(&ks).into_iter().map(f64::exp);
        let mass: Vec<f64> = vec![0.0; first as usize].into_iter().chain(mass).collect();
        return chi_square_passes(xs, &mass);
    }
    let numbers = c.numbers();
    match c.law().cdf(0.0, &numbers) {
        Some(_) => ks_passes(xs.to_vec(), |x| c.law().cdf(x, &numbers).unwrap_or(f64::NAN)),
        // By quadrature, of fewer draws.
        None => ks_passes(xs[..2000].to_vec(), |x| mass_below(c, x)),
    }
}

/// Directions whose projections determine a law together, up to what the test can see.
const DIRECTIONS: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [1.0, -0.7, 0.4], [0.3, 1.0, 1.0], [-0.5, 0.2, 1.0]];

fn quadratic(a: &[f64; 3], m: &[f64]) -> f64 {
    (0..9).map(|c| a[c / 3] * m[c] * a[c % 3]).sum()
}

fn project(a: &[f64; 3], x: &[f64]) -> f64 {
    (0..3).map(|i| a[i] * x[i]).sum()
}

/// The law of a' Sigma a with its square root as scale of a' y.
fn spread(c: &Case, a: &[f64; 3]) -> f64 {
    let last = &c.args[c.args.len() - 1].data;
    match c.law.as_str() {
        "multi_normal_cholesky" => (0..3).map(|j| (0..3).map(|i| a[i] * last[3 * i + j]).sum::<f64>().powi(2)).sum(),
        "multi_normal_prec" => quadratic(a, &inverse(last)),
        _ => quadratic(a, last),
    }
}

/// Inverse of a 3 x 3 matrix by cofactors.
fn inverse(m: &[f64]) -> Vec<f64> {
    let at = |i: usize, j: usize| m[3 * (i % 3) + j % 3];
    let minor = |i: usize, j: usize| at(i + 1, j + 1) * at(i + 2, j + 2) - at(i + 1, j + 2) * at(i + 2, j + 1);
    let det: f64 = (0..3).map(|j| at(0, j) * minor(0, j)).sum();
    (0..9).map(|c| minor(c % 3, c / 3) / det).collect()
}

fn projections_pass(c: &Case, xs: &[f64]) -> bool {
    let rows: Vec<&[f64]> = xs.chunks(c.dims.iter().product()).collect();
    let each = |f: &dyn Fn(&[f64]) -> f64| rows.iter().map(|r| f(r)).collect::<Vec<f64>>();
    let number = c.args[0].data[0];
    let along = |test: &dyn Fn(&[f64; 3]) -> bool| DIRECTIONS.iter().all(test);
    match c.law.as_str() {
        "multi_normal" | "multi_normal_cholesky" | "multi_normal_prec" => along(&|a| {
            let (m, s) = (project(a, &c.args[0].data), spread(c, a).sqrt());
            let law = Normal::new(m, s).expect("scale");
            ks_passes(each(&|x| project(a, x)), |x| law.cdf(x))
        }),
        "multi_student_t" => along(&|a| {
            let (m, s) = (project(a, &c.args[1].data), spread(c, a).sqrt());
            let law = StudentsT::new(m, s, number).expect("scale");
            ks_passes(each(&|x| project(a, x)), |x| law.cdf(x))
        }),
        // a' W a / a' S a is chi-square; for the inverse law inverse gamma.
        "wishart" => along(&|a| {
            let (s, law) = (spread(c, a), ChiSquared::new(number).expect("nu"));
            ks_passes(each(&|x| quadratic(a, x) / s), |x| law.cdf(x))
        }),
        "inv_wishart" => along(&|a| {
            let law = InverseGamma::new(0.5 * (number - 2.0), 0.5 * spread(c, a)).expect("nu");
            ks_passes(each(&|x| quadratic(a, x)), |x| law.cdf(x))
        }),
        // Every correlation is 2 B - 1 with B of law Beta(eta + 1/2, eta + 1/2), for K = 3.
        "lkj_corr" | "lkj_corr_cholesky" => {
            let law = Beta::new(number + 0.5, number + 0.5).expect("eta");
            let correlation = |x: &[f64], i: usize, j: usize| {
                if c.law == "lkj_corr" { x[3 * i + j] } else { (0..3).map(|k| x[3 * i + k] * x[3 * j + k]).sum() }
            };
            [(1, 0), (2, 0), (2, 1)].iter().all(|&(i, j)| {
                let shares = each(&|x| 0.5 + 0.5 * correlation(x, i, j));
                ks_passes(shares, |x| law.cdf(x.clamp(0.0, 1.0)))
            })
        }
        // Sums of shares are beta variables.
        "dirichlet" => [&[0][..], &[1], &[2], &[0, 1], &[0, 2]].iter().all(|set| {
            let alpha: f64 = set.iter().map(|&k| c.args[0].data[k]).sum();
            let total: f64 = c.args[0].data.iter().sum();
            let law = Beta::new(alpha, total - alpha).expect("alpha");
            let sums = each(&|x| set.iter().map(|&k| x[k]).sum::<f64>().min(1.0));
            ks_passes(sums, |x| law.cdf(x))
        }),
        // All pairs of the first two counts.
        "multinomial" => {
            let (n, side) = (c.args[0].data[0], 10);
            let pair = |k: usize| [(k / side) as f64, (k % side) as f64];
            let valid = |k: &usize| pair(*k).iter().sum::<f64>() <= n;
            let cells: Vec<usize> = (0..side * side).filter(valid).collect();
            let values = cells.iter().flat_map(|&k| {
                let [i, j] = pair(k);
                [i, j, n - i - j]
            });
            let mut mass = vec![0.0; side * side];
            let lpmf = c.lpdf(&values.collect::<Vec<_>>());
            for (&k, l) in cells.iter().zip(lpmf) {
                mass[k] = l.exp();
            }
            chi_square_passes(&each(&|x| 10.0 * x[0] + x[1]), &mass)
        }
        other => unreachable!("no test for {other}"),
    }
}

#[test]
fn draws_follow_their_laws_and_mutants_do_not() {
    for c in cases().into_iter().filter(|c| c.law().is_proper()) {
        if c.law == "dirac" {
            assert_eq!(c.draws(3), [3.0; 3]);
            continue;
        }
        assert!(passes(&c, &c.draws(N)), "{} {:?}", c.law, c.args);
        if let Some(mutant) = c.mutated() {
            assert!(!passes(&c, &mutant.draws(N)), "mutant of {}", c.law);
        }
    }
}

/// Draws lie in the support where arguments are extreme.
#[test]
fn extreme_arguments() {
    let draw = |name: &str, args: &[f64]| {
        let mut c = cases().into_iter().find(|c| c.law == name).expect("case");
        for (a, &x) in c.args.iter_mut().zip(args) {
            a.data.fill(x);
        }
        c.draws(200)
    };
    for y in draw("dirichlet", &[1e-3]).chunks(3) {
        assert!((y.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{y:?}");
    }
    for (name, args) in
        [("beta", [1e-3, 1e-3]), ("beta", [1e6, 1e-2]), ("beta_binomial", [0.0, 1.0]), ("gamma", [1e-3, 1.0])]
    {
        let ys = draw(name, &args);
        assert!(ys.iter().all(|y| (0.0..f64::INFINITY).contains(y)), "{name}");
    }
    for kappa in [0.0, 1e-9, 1e9, 1e20] {
        let ys = draw("von_mises", &[3.0, kappa]);
        assert!(ys.iter().all(|y| y.abs() <= std::f64::consts::PI), "{kappa}");
    }
}
