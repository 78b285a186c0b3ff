//! Total masses and cumulative functions, by quadrature and by sums.

use super::cases::{Case, cases};
use thalweg::dist::{Limit, Support};

/// Integral of the density from `lo` to `hi` (either may be infinite) by the double exponential rule
/// (Takahasi & Mori 1974): tanh-sinh on an interval, exp-sinh on a half line.
pub fn integral(c: &Case, lo: f64, hi: f64) -> f64 {
    let (h, steps) = (1.0 / 32.0, -160..=160);
    let half_pi = std::f64::consts::FRAC_PI_2;
    let (mut ys, mut weights) = (vec![], vec![]);
    for j in steps {
        let t = f64::from(j) * h;
        let (s, w) = (half_pi * t.sinh(), half_pi * t.cosh() * h);
        let (y, w) = match (lo.is_finite(), hi.is_finite()) {
            (true, true) => {
                // The distance from the nearer end keeps its digits.
                let gap = (hi - lo) / (1.0 + (2.0 * s.abs()).exp());
                let y = if s < 0.0 { lo + gap } else { hi - gap };
                (y, w * 0.5 * (hi - lo) / s.cosh().powi(2))
            }
            (true, false) => (lo + s.exp(), w * s.exp()),
            (false, true) => (hi - s.exp(), w * s.exp()),
            (false, false) => unreachable!("split first"),
        };
        if y > lo && y < hi && w > 0.0 && w.is_finite() {
            ys.push(y);
            weights.push(w);
        }
    }
    let terms = c.lpdf(&ys).into_iter().zip(weights);
    terms.map(|(l, w)| if l.exp() == 0.0 { 0.0 } else { l.exp() * w }).sum()
}

/// Limits of the support, and a point inside to split at: the location, where a density may have a
/// kink, or any number on the whole line.
pub fn limits(c: &Case) -> (f64, f64, f64) {
    let Support::Interval(lo, hi) = c.law().support() else { unreachable!("numbers only") };
    let number = |l: Limit, none: f64| match l {
        Limit::Fixed(x) => x,
        Limit::Arg(k) => c.args[k].data[0],
        _ => none,
    };
    let split = c.law().location_scale().map_or(0.0, |(m, _)| c.args[m].data[0]);
    (number(lo, f64::NEG_INFINITY), number(hi, f64::INFINITY), split)
}

/// P(Y <= y) by quadrature.
pub fn mass_below(c: &Case, y: f64) -> f64 {
    let (lo, _, split) = limits(c);
    if lo < split && split < y { integral(c, lo, split) + integral(c, split, y) } else { integral(c, lo, y) }
}

fn continuous() -> impl Iterator<Item = Case> {
    let scalar = |c: &Case| c.is_scalar() && !c.law().is_discrete() && c.law().is_proper();
    cases().into_iter().filter(scalar)
}

fn discrete() -> impl Iterator<Item = Case> {
    cases().into_iter().filter(|c| c.is_scalar() && c.law().is_discrete())
}

#[test]
fn densities_integrate_to_one() {
    for c in continuous() {
        let (_, hi, split) = limits(&c);
        let split = if hi.is_finite() { 0.5 * (split + hi) } else { split + 1.0 };
        let total = mass_below(&c, split) + integral(&c, split, hi);
        // The last half digit of a singular end at 1 is lost to the rounding of y itself.
        assert!((total - 1.0).abs() < 1e-8, "{} {:?}: {total}", c.law, c.args);
    }
}

#[test]
fn cumulative_functions_are_integrals() {
    for c in continuous() {
        let points: Vec<f64> = c.golden.iter().map(|(y, _)| y[0]).collect();
        let lcdf = c.on_batch(&points, |g, y, a| c.law().lcdf(g, y, a));
        let lccdf = c.on_batch(&points, |g, y, a| c.law().lccdf(g, y, a));
        assert_eq!(lcdf.is_some(), lccdf.is_some());
        for (j, &y) in points.iter().enumerate() {
            let below = mass_below(&c, y);
            let above = 1.0 - below;
            if let Some(p) = c.law().cdf(y, &c.numbers()) {
                assert!((p - below).abs() < 1e-8, "{} cdf({y}): {p}, not {below}", c.law);
            }
            if let (Some(l), Some(u)) = (&lcdf, &lccdf) {
                let (l, u) = (l[j].exp(), u[j].exp());
                assert!((l - below).abs() < 1e-8, "{} lcdf({y}): {l}, not {below}", c.law);
                assert!((u - above).abs() < 1e-8, "{} lccdf({y}): {u}, not {above}", c.law);
            }
        }
    }
}

#[test]
fn masses_of_integers_sum_to_one_and_accumulate() {
    for c in discrete() {
        let (lo, hi, _) = limits(&c);
        let ks: Vec<f64> = (0..=400).map(|j| lo + f64::from(j)).take_while(|&k| k <= hi).collect();
        let lpmf = c.lpdf(&ks);
        let lcdf = c.on_batch(&ks, |g, y, a| c.law().lcdf(g, y, a));
        let lccdf = c.on_batch(&ks, |g, y, a| c.law().lccdf(g, y, a));
        let mut below = 0.0;
        for (j, &k) in ks.iter().enumerate() {
            below += lpmf[j].exp();
            let p = c.law().cdf(k, &c.numbers()).expect("cdf");
            assert!((p - below).abs() < 1e-11, "{} cdf({k}): {p}, not {below}", c.law);
            if let (Some(l), Some(u)) = (&lcdf, &lccdf) {
                let (l, u) = (l[j].exp(), u[j].exp());
                assert!((l - below).abs() < 1e-11, "{} lcdf({k}): {l}, not {below}", c.law);
                assert!((u + below - 1.0).abs() < 1e-11, "{} lccdf({k}): {u}", c.law);
            }
        }
        assert!((below - 1.0).abs() < 1e-10, "{}: {below}", c.law);
    }
}

/// Laws of vectors of counts and of categories.
#[test]
fn masses_of_categories_sum_to_one() {
    for c in cases() {
        let values: Vec<f64> = match c.law.as_str() {
            "categorical" | "categorical_logit" => vec![1.0, 2.0, 3.0],
            "ordered_logistic" => vec![1.0, 2.0, 3.0, 4.0],
            "multinomial" => {
                let n = c.args[0].data[0] as i32;
                let pairs = (0..=n).flat_map(|i| (0..=n - i).map(move |j| [i, j, n - i - j]));
                pairs.flatten().map(f64::from).collect()
            }
            _ => continue,
        };
        let total: f64 = c.lpdf(&values).iter().map(|l| l.exp()).sum();
        assert!((total - 1.0).abs() < 1e-12, "{}: {total}", c.law);
    }
}

/// Cumulative functions outside the support and far out, where 1 - p has no digits left.
#[test]
fn cumulative_functions_reach_the_tails() {
    let at = |law: &str, args: &[f64], y: f64, upper: bool| {
        let args = args.iter().map(|&x| super::cases::Arg { data: vec![x], dims: vec![] });
        let c = Case { law: law.into(), args: args.collect(), dims: vec![], golden: vec![], mutant: None };
        c.on_batch(&[y], |g, y, a| if upper { c.law().lccdf(g, y, a) } else { c.law().lcdf(g, y, a) })
            .expect("closed form")[0]
    };
    let close = |got: f64, expected: f64| {
        assert!((got / expected - 1.0).abs() < 1e-9, "{got}, not {expected}");
    };
    // References: mpmath with 40 digits, and leading terms exact to the tolerance.
    close(at("normal", &[0.0, 1.0], 30.0, true), -454.321_243_975_634_4);
    close(at("normal", &[0.0, 1.0], -30.0, false), -454.321_243_975_634_4);
    close(at("gumbel", &[0.0, 1.0], 60.0, true), -60.0);
    close(at("logistic", &[0.0, 1.0], 60.0, true), -60.0);
    close(at("double_exponential", &[0.0, 1.0], 60.0, true), -60.693_147_180_559_95);
    close(at("weibull", &[2.0, 1.0], 20.0, true), -400.0);
    // 4 x^3 - 3 x^4 with x = 2^-30 above y.
    let y = 1.0 - 2f64.powi(-30);
    close(at("beta", &[2.0, 3.0], y, true), -88.0 * std::f64::consts::LN_2);
    close(at("gamma", &[2.5, 1.0], 50.0, true), -44.386_801_168_872_643);
    close(at("gamma", &[300.0, 2.0], 250.0, true), -50.130_143_337_283_99);
    close(at("inv_gamma", &[2.5, 1.0], 0.02, false), -44.386_801_168_872_643);
    close(at("chi_square", &[5.0], 100.0, true), -44.386_801_168_872_643);
    close(at("poisson", &[100.0], 20.0, false), -50.012_096_777_392_34);
    close(at("exponential", &[2.0], 400.0, true), -800.0);
    assert_eq!(at("exponential", &[1.0], -1.0, true), 0.0);
    assert_eq!(at("exponential", &[1.0], -1.0, false), f64::NEG_INFINITY);
    assert_eq!(at("uniform", &[0.0, 1.0], 2.0, false), 0.0);
    assert_eq!(at("binomial", &[3.0, 0.2], -1.0, true), 0.0);
    assert_eq!(at("binomial", &[3.0, 0.2], 3.0, true), f64::NEG_INFINITY);
}

/// Nodes and weights of the tanh-sinh rule on [-pi/2, pi/2].
fn angles() -> Vec<(f64, f64)> {
    let (h, half_pi) = (0.16, std::f64::consts::FRAC_PI_2);
    (-20..=20)
        .map(|j| {
            let t = f64::from(j) * h;
            let s = half_pi * t.sinh();
            let w = half_pi * t.cosh() * h / s.cosh().powi(2);
            (half_pi * s.tanh(), half_pi * w)
        })
        .collect()
}

/// Factors of 3 x 3 correlation matrices by angles: (1), (sin t, cos t), (sin a, cos a sin b,
/// cos a cos b). The weights hold the volume of the elements below the diagonal.
#[test]
fn correlation_laws_integrate_to_one() {
    let (mut factors, mut matrices) = (vec![], vec![]);
    let (mut weights, mut volumes) = (vec![], vec![]);
    for (t, wt) in angles() {
        for (a, wa) in angles() {
            for (b, wb) in angles() {
                let l = [1.0, 0.0, 0.0, t.sin(), t.cos(), 0.0];
                let row = [a.sin(), a.cos() * b.sin(), a.cos() * b.cos()];
                factors.extend(l.iter().chain(&row));
                let r = [l[3], row[0], l[3] * row[0] + l[4] * row[1]];
                matrices.extend([1.0, r[0], r[1], r[0], 1.0, r[2], r[1], r[2], 1.0]);
                let w = wt * wa * wb * t.cos() * a.cos().powi(2) * b.cos();
                weights.push(w);
                volumes.push(w * t.cos());
            }
        }
    }
    for c in cases() {
        let (lpdf, weights) = match c.law.as_str() {
            "lkj_corr" => (c.lpdf(&matrices), &volumes),
            "lkj_corr_cholesky" => (c.lpdf(&factors), &weights),
            _ => continue,
        };
        // A matrix on the edge that rounding made indefinite has no density.
        let terms = lpdf.iter().zip(weights).filter(|(l, _)| !l.is_nan());
        let total: f64 = terms.map(|(l, w)| l.exp() * w).sum();
        assert!((total - 1.0).abs() < 1e-6, "{} {:?}: {total}", c.law, c.args);
    }
}
