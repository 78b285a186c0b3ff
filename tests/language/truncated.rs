//! Rules 16, 17, 29 and 30: bounds on mixtures and on censored laws.

use thalweg::base::rng::Stream;
use thalweg::base::special::normal_cdf;
use thalweg::graph::eval::evaluate;
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Settings};
use thalweg::model::site::NoteKind;

use crate::hand::{bound, inv_logit, log_sum, normal, poisson, refused, same};

/// ∫ exp(log density) from -40 to `end` over the coordinate of the last latent, the others fixed at `rest`, by the trapezoidal rule: for a
/// smooth density that has died out at the ends it converges faster than any power of the step.
fn integral(source: &str, rest: &[f64], end: i32) -> f64 {
    let post = bound(source, "{}", &[]).unwrap_or_else(|e| panic!("{e}"));
    assert!(post.notes.iter().all(|n| n.kind != NoteKind::UpToConstant), "{:?}", post.notes);
    let parts: Vec<&[f64]> = rest.iter().map(std::slice::from_ref).collect();
    let step = 0.05;
    let at = |k: i32| {
        let u = [f64::from(k) * step];
        evaluate(&post.graph, &[&parts[..], &[&u[..]]].concat(), &[post.lp])[0][0].exp() * step
    };
    (-800..=end * 20).map(at).sum()
}

#[test]
fn r17_a_truncated_mixture_is_a_density() {
    let two = "mixture([0.3, 0.7], [normal(-1, 1), normal(3, 0.5)])";
    // The last density jumps half-way between two points of the rule, which there has an error of second order.
    for (source, tolerance) in [
        (format!("latent x: real<lower=0> ~ {two}"), 1e-8),
        (format!("latent x: real<upper=2> ~ {two}"), 1e-8),
        (format!("latent x ~ {two}<lower=-0.5, upper=3.25>"), 1e-8),
        (format!("latent x: real<lower=0> ~ {two}<upper=1>"), 1e-8),
        // Far from both components, where the cumulative functions are 1.
        (format!("latent x ~ {two}<lower=12, upper=14>"), 1e-8),
        ("latent x: real<lower=-1> ~ mixture([0.5, 0.5], [exponential(1), lognormal(0, 1)])".into(), 1e-8),
        ("latent x: real<lower=0.5> ~ mixture([0.5, 0.5], [exponential(1), mixture([0.2, 0.8], [gamma(2, 1), normal(0, 1)])])".into(), 1e-8),
        ("latent x: real<lower=0> ~ mixture([0.4, 0.6], [normal(0, 1)<upper=1.02531512>, student_t(8, 0, 2)<lower=-3>])".into(), 1e-4),
    ] {
        // A half line in logarithms, an interval in log odds.
        let end = if source.contains(", upper") || source.contains(")<upper=1>") { 40 } else { 12 };
        let total = integral(&source, &[], end);
        assert!((total - 1.0).abs() < tolerance, "{source}: {total}");
    }
    let depends = "latent w: real ~ flat()\nlatent m: real ~ flat()\n\
        latent x: real<lower=0> ~ mixture([inv_logit(w), 1 - inv_logit(w)], [normal(m, 1), normal(3, exp(m))])";
    let post = bound(depends, "{}", &[]).unwrap();
    assert!(post.notes.iter().any(|n| n.text.contains("Stan")));
    for rest in [[0.4, -0.3], [-2.0, 1.0], [0.0, -1.5]] {
        let free = depends
            .replace("latent w: real ~ flat()", "latent w ~ normal(0, 1)")
            .replace("m: real ~ flat()", "m ~ normal(0, 1)");
        let total = integral(&free, &rest, 12);
        let prior = (normal(rest[0], 0.0, 1.0) + normal(rest[1], 0.0, 1.0)).exp();
        assert!((total / prior - 1.0).abs() < 1e-8, "{rest:?}: {}", total / prior);
    }
}

/// Components with values on different intervals: the support is the smallest interval that holds them all, and each counts where it
/// has values. Densities with jumps need a finer rule, so the sums here are by hand.
#[test]
fn r29_components_on_different_intervals() {
    let pair = "latent x ~ mixture([0.25, 0.75], [normal(0, 1), exponential(2)])";
    let both = |x: f64| log_sum(&[0.25f64.ln() + normal(x, 0.0, 1.0), 1.5f64.ln() - 2.0 * x]);
    same(pair, "{}", &[0.7], both(0.7));
    same(pair, "{}", &[-0.7], 0.25f64.ln() + normal(-0.7, 0.0, 1.0));
    let uniform = "latent a ~ exponential(1)\nlatent x ~ mixture([0.5, 0.5], [uniform(0, a), uniform(2, 3)])";
    let a = 0.4f64;
    let at = |x: f64| ((x / 3.0) / (1.0 - x / 3.0)).ln();
    let jacobian = |x: f64| (x * (3.0 - x) / 3.0).ln();
    let prior = a - a.exp();
    let e = a.exp();
    assert!(e < 2.0);
    for (x, density) in [(1.0, 0.5 / e), (2.5, 0.5)] {
        same(uniform, "{}", &[a, at(x)], prior + jacobian(x) + f64::ln(density));
    }
    let post = bound(uniform, "{}", &[]).unwrap();
    let between = evaluate(&post.graph, &[&[a], &[at(1.9)]], &[post.lp])[0][0];
    assert_eq!(between, f64::NEG_INFINITY);
    let cut = "latent x: real<lower=-1> ~ mixture([0.25, 0.75], [normal(0, 1), exponential(2)])";
    let mass = (0.25 * normal_cdf(1.0) + 0.75).ln();
    same(cut, "{}", &[0.2], both(-1.0 + 0.2f64.exp()) + 0.2 - mass);
    let u = -0.4f64;
    same(cut, "{}", &[u], 0.25f64.ln() + normal(-1.0 + u.exp(), 0.0, 1.0) + u - mass);
}

#[test]
fn r17_observations_of_truncated_mixtures() {
    let model = "data y: vector[2]\nlatent m: real ~ flat()\nobserve y ~ mixture([0.3, 0.7], [normal(m, 1), normal(2, m)])<lower=0.5>";
    let m = 1.2;
    let p = |y: f64| log_sum(&[0.3f64.ln() + normal(y, m, 1.0), 0.7f64.ln() + normal(y, 2.0, m)]);
    let mass = (0.3 * normal_cdf(m - 0.5) + 0.7 * normal_cdf(1.5 / m)).ln();
    same(model, r#"{"y": [1, 3]}"#, &[m], p(1.0) + p(3.0) - 2.0 * mass);
    refused(model, r#"{"y": [1, 0.25]}"#, "the observed value 0.25 is outside the support of `mixture`");
    // Integers: both ends count; hurdles and inflated zeros.
    let counts = "data k: array[3] int\nlatent l ~ exponential(1)\nobserve k ~ mixture([0.4, 0.6], [dirac(1), poisson(l)])<lower=1, upper=3>";
    let (u, l) = (0.3, 0.3f64.exp());
    let between = (1..4).map(|k| poisson(f64::from(k), l).exp()).sum::<f64>();
    let zi = |k: f64| (if k == 1.0 { 0.4 } else { 0.0 } + 0.6 * poisson(k, l).exp()).ln() - (0.4 + 0.6 * between).ln();
    same(counts, r#"{"k": [1, 3, 1]}"#, &[u], 2.0 * zi(1.0) + zi(3.0) - l + u);
    // Weights and bounds for each row.
    let rows = "data y: vector[2]\nlatent m: real ~ flat()\nplate n in 1:2 { observe y[n] ~ mixture([n / 3, 1 - n / 3], [normal(m, 1), normal(m, n)])<lower=-n> }";
    let row = |y: f64, n: f64| {
        let w = [n / 3.0, 1.0 - n / 3.0];
        let mass = w[0] * normal_cdf(m + n) + w[1] * normal_cdf((m + n) / n);
        log_sum(&[w[0].ln() + normal(y, m, 1.0), w[1].ln() + normal(y, m, n)]) - mass.ln()
    };
    same(rows, r#"{"y": [0.5, -1.5]}"#, &[m], row(0.5, 1.0) + row(-1.5, 2.0));
}

#[test]
fn r30_censored_mixtures_and_truncated_laws() {
    let model = "data y: vector[3]\nlatent m: real ~ flat()\nobserve y ~ censored(mixture([0.3, 0.7], [normal(m, 1), normal(2, m)]), lower=0, upper=2.5)";
    let m = 1.2;
    let p = log_sum(&[0.3f64.ln() + normal(1.0, m, 1.0), 0.7f64.ln() + normal(1.0, 2.0, m)]);
    let below = 0.3 * normal_cdf(-m) + 0.7 * normal_cdf(-2.0 / m);
    let above = 0.3 * normal_cdf(m - 2.5) + 0.7 * normal_cdf(-0.5 / m);
    same(model, r#"{"y": [0, 1, 2.5]}"#, &[m], p + below.ln() + above.ln());
    // Truncated below, censored above: the mass at the limit is divided, too. Bounds inside or outside say the same.
    let t = "data t: vector[2]\nlatent m: real ~ flat()\nobserve t ~ ";
    let mass = normal_cdf(m - 0.5);
    let expected = normal(1.0, m, 1.0) - mass.ln() + (normal_cdf(m - 2.0) / mass).ln();
    for law in [
        "censored(normal(m, 1)<lower=0.5>, upper=2)",
        "censored(normal(m, 1), upper=2)<lower=0.5>",
        "censored(normal(m, 1), upper=2)<lower=0.5, upper=3>",
    ] {
        same(&format!("{t}{law}"), r#"{"t": [1, 2]}"#, &[m], expected);
    }
    // A bound that no value gets past makes the limit idle.
    let idle = format!("{t}censored(normal(m, 1), upper=2)<upper=1.5>");
    let cut = normal(1.0, m, 1.0) + normal(1.5, m, 1.0) - 2.0 * normal_cdf(1.5 - m).ln();
    same(&idle, r#"{"t": [1, 1.5]}"#, &[m], cut);
    // Within a mixture that is itself cut.
    let mixed = "data y: vector[2]\nlatent m: real ~ flat()\nobserve y ~ mixture([0.5, 0.5], [censored(normal(m, 1), upper=2), normal(0, 1)])<lower=1>";
    let mass = 0.5 * normal_cdf(m - 1.0) + 0.5 * normal_cdf(-1.0);
    let at_limit = 0.5 * normal_cdf(m - 2.0) + 0.5 * normal(2.0, 0.0, 1.0).exp();
    let inside = 0.5 * normal(1.5, m, 1.0).exp() + 0.5 * normal(1.5, 0.0, 1.0).exp();
    same(mixed, r#"{"y": [2, 1.5]}"#, &[m], at_limit.ln() + inside.ln() - 2.0 * mass.ln());
}

#[test]
fn r17_masses_in_both_tails() {
    // log(Q(9) - Q(10)) for the standard normal tail Q: Q(9) = 1.1285884059538e-19, Q(10) = 7.619853024e-24.
    let mass = (1.12858840595384e-19f64 - 7.619853024160527e-24).ln();
    for (bounds, x) in [("<lower=9, upper=10>", 9.5), ("<lower=-10, upper=-9>", -9.5)] {
        let source = format!("latent x ~ normal(0, 1){bounds}");
        let found = crate::hand::lp(&source, "{}", &[0.0]);
        let expected = normal(x, 0.0, 1.0) - mass + 0.25f64.ln();
        assert!((found - expected).abs() < 1e-10 * expected.abs(), "{found} {expected}");
    }
    // A component that has almost no mass between the bounds has a finite gradient.
    let far = "latent m: real ~ flat()\nlatent x: real<lower=18, upper=22> ~ mixture([0.5, 0.5], [normal(m, 1), normal(20, 1)])";
    let found = crate::hand::lp(far, "{}", &[0.0, 0.0]);
    assert!((found - normal(20.0, 20.0, 1.0) + (2.0 * normal_cdf(2.0) - 1.0).ln()).abs() < 1e-10, "{found}");
}

#[test]
fn r27_discrete_latents_of_truncated_mixtures() {
    let model = "data y: real = 1.5\nlatent p ~ beta(1, 1)\nlatent z: int<lower=1, upper=3> ~ mixture([p, 1 - p], [poisson(1), binomial(5, 0.5)])\nobserve y ~ normal(z, 1)";
    let p = inv_logit(0.2);
    let mix = |k: f64| p * poisson(k, 1.0).exp() + (1.0 - p) * crate::hand::binomial(k, 5.0, 0.5).exp();
    let all: f64 = [1.0, 2.0, 3.0].map(mix).iter().sum();
    let lik: f64 = [1.0, 2.0, 3.0].map(|k| mix(k) / all * normal(1.5, k, 1.0).exp()).iter().sum();
    same(model, "{}", &[0.2], (p * (1.0 - p)).ln() + lik.ln());
    // The states are those that any component reaches.
    let whole = "latent z ~ mixture([0.5, 0.5], [binomial(2, 0.5), binomial(4, 0.25)])\nlatent x ~ normal(z, 1)";
    let mix = |k: f64| {
        let two = if k <= 2.0 { crate::hand::binomial(k, 2.0, 0.5).exp() } else { 0.0 };
        0.5 * two + 0.5 * crate::hand::binomial(k, 4.0, 0.25).exp()
    };
    let total: f64 = (0..5).map(|k| mix(f64::from(k)) * normal(0.3, f64::from(k), 1.0).exp()).sum();
    same(whole, "{}", &[0.3], total.ln());
}

#[test]
fn r17_components_without_a_distribution_function() {
    let cut = "latent x ~ mixture([0.5, 0.5], [normal(0, 1), von_mises(0, K)])<lower=0>";
    let known = bound(&cut.replace('K', "1"), "{}", &[]).unwrap();
    assert!(known.notes.iter().any(|n| n.kind == NoteKind::UpToConstant));
    let part = "`von_mises` has no cumulative distribution function here";
    refused(&format!("latent k ~ exponential(1)\n{}", cut.replace('K', "k")), "{}", part);
    refused(
        "latent w ~ beta(1, 1)\nlatent x ~ mixture([w, 1 - w], [normal(0, 1), von_mises(0, 1)])<lower=0>",
        "{}",
        part,
    );
    // Cut by itself, its share is unknown even where all arguments are numbers.
    refused("latent x ~ mixture([0.5, 0.5], [normal(0, 1), von_mises(0, 1)<lower=0>])", "{}", part);
    refused(
        "data y: real = 1\nobserve y ~ censored(mixture([0.5, 0.5], [normal(0, 1), von_mises(0, 1)]), upper=2)",
        "{}",
        part,
    );
    refused("latent x ~ censored(normal(0, 1), lower=0)", "{}", "a latent of a censored law");
}

/// 40,000 draws against the exact cumulative function at 9 points: each count is binomial, and 5 standard errors are exceeded by chance
/// with probability 6e-7, so all 27 comparisons together fail a right sampler in 2 of 100,000 seeds. Weights that are not
/// scaled by the mass of each component between the bounds, the obvious mistake, move the share below 0.9 in the first case from 0.12 to 0.42, by more than 100 standard errors.
#[test]
fn r17_draws_of_truncated_mixtures() {
    const N: usize = 40_000;
    let phi = normal_cdf;
    let pair = |x: f64| 0.5 * phi(x + 1.0) + 0.5 * phi((x - 2.0) / 0.5);
    let exp = |x: f64| 0.5 * phi(x) + if x > 0.0 { 0.5 * (1.0 - (-x).exp()) } else { 0.0 };
    type Cdf<'a> = &'a dyn Fn(f64) -> f64;
    let cases: [(&str, [f64; 2], Cdf<'_>); 3] = [
        ("latent x: vector<lower=0>[40000] ~ mixture([0.5, 0.5], [normal(-1, 1), normal(2, 0.5)])", [0.0, 9.0], &pair),
        (
            "latent x: vector[40000] ~ mixture([0.5, 0.5], [normal(-1, 1), normal(2, 0.5)])<lower=-0.5, upper=2.5>",
            [-0.5, 2.5],
            &pair,
        ),
        (
            "latent x: vector<lower=-0.5>[40000] ~ mixture([0.5, 0.5], [normal(0, 1), exponential(1)])<upper=2>",
            [-0.5, 2.0],
            &exp,
        ),
    ];
    for (source, [low, high], cdf) in cases {
        let model = Model::from_text("m", source).unwrap();
        let mut rng = Stream::new(9, "truncated", 0);
        let drawn = model.simulate(&DataFile::default(), &Settings::default(), &mut rng).unwrap();
        let x = &drawn.latents[0].values;
        assert!(x.len() == N && x.iter().all(|x| (low..=high).contains(x)));
        for k in 1..10 {
            let at = low + (high.min(3.0) - low) * f64::from(k) / 10.0;
            let p = (cdf(at) - cdf(low)) / (cdf(high) - cdf(low));
            let found = x.iter().filter(|x| **x <= at).count() as f64 / N as f64;
            let error = (p * (1.0 - p) / N as f64).sqrt();
            assert!((found - p).abs() < 5.0 * error, "{source} at {at}: {found} {p}");
        }
    }
    let none = "latent x ~ mixture([0.5, 0.5], [uniform(0, 1), uniform(2, 3)])<lower=1.25, upper=1.75>";
    let drawn = Model::from_text("m", none).unwrap().simulate(
        &DataFile::default(),
        &Settings::default(),
        &mut Stream::new(1, "s", 0),
    );
    assert!(drawn.unwrap_err().to_string().contains("no draw of the mixture fell between the bounds"));
}

/// Data drawn from a truncated, censored law lie where the density counts them.
#[test]
fn r30_draws_of_censored_laws_within_bounds() {
    let source = "data N: int\ndata t: vector[N]\nobserve t ~ censored(mixture([0.5, 0.5], [normal(0, 1), exponential(1)]), upper=2)<lower=0.5>";
    let model = Model::from_text("m", source).unwrap();
    let data = DataFile::from_json(r#"{"N": 20000}"#).unwrap();
    let drawn = model.simulate(&data, &Settings::default(), &mut Stream::new(3, "s", 0)).unwrap();
    let t = &drawn.data.get("t").unwrap().values;
    assert!(t.iter().all(|t| (0.5..=2.0).contains(t)));
    let above = |x: f64| 0.5 * normal_cdf(-x) + 0.5 * (-x).exp();
    let p = above(2.0) / above(0.5);
    let found = t.iter().filter(|t| **t == 2.0).count() as f64 / 20000.0;
    // A binomial share: 5 standard errors, false alarms 6e-7.
    assert!((found - p).abs() < 5.0 * (p * (1.0 - p) / 20000.0).sqrt(), "{found} {p}");
}
