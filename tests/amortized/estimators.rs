//! Gradients of minibatches: against differences, unbiased for the sum of all rows, path and plain estimators with one mean.

use std::sync::Arc;

use thalweg::base::rng::Stream;
use thalweg::guide::amortized::{Amortized, Plan};
use thalweg::guide::encoder::standardise;
use thalweg::guide::{Base, Family, Scale, Start};
use thalweg::vi::plate::engine::Step;
use thalweg::vi::plate::epochs::Epochs;
use thalweg::vi::plate::{Engine, Target, survivors};
use thalweg::vi::{Estimator, Objective};
use thalweg::workflow::amortize::Bound;

use super::from_text;

/// Twelve rows with a nonlinear learned decoder and, where asked for, a global latent.
fn model(global: bool) -> Bound {
    let (prior, mean) = if global { ("latent m ~ normal(0, 1)", "m + f(z)[1]") } else { ("", "f(z)[1]") };
    let source = format!(
        "data N: int\ndata y: vector[N]\nparam f = mlp(2, [3], 1, tanh)\nparam s: real<lower=0> = 0.7\n{prior}\n\
         plate n in 1:N {{\n  latent z: vector[2] ~ normal(0, 1)\n  observe y[n] ~ normal({mean}, s)\n}}\n"
    );
    from_text(&source, r#"{"N": 12, "y": [0.3, -1.2, 0.8, 2.1, -0.4, 0.1, 1.4, -2.0, 0.6, 0.9, -0.7, 1.1]}"#)
}

fn guide(t: &Target, flow: Option<&str>) -> (Arc<Amortized>, Option<Arc<Family>>, Vec<f64>) {
    let flow = flow.map(str::to_string);
    let plan =
        Plan { dim: t.dim, inputs: 1, sets: vec![], globals: t.coordinates, hidden: vec![4], flow, inner: vec![] };
    let guide = Arc::new(Amortized::new(plan, standardise(&t.seen(), 1, &[])).unwrap());
    let global = (t.coordinates > 0).then(|| Family::new(t.coordinates, Base::Normal, None, Scale::Full).unwrap());
    let mut theta = t.params.clone();
    theta.extend(guide.initial(1));
    if let Some(f) = &global {
        theta.extend(f.initial(&Start::isotropic(vec![0.2], 0.5), 1));
    }
    // Away from the start, where the encoder says the same of every row.
    let mut rng = Stream::new(2, "theta", 0);
    theta.iter_mut().for_each(|x| *x += 0.3 * rng.normal());
    (guide, global.map(Arc::new), theta)
}

fn engine<'a>(t: &'a Target, flow: Option<&str>, objective: Objective) -> (Engine<'a>, Vec<f64>) {
    let (guide, global, theta) = guide(t, flow);
    (Engine::new(t, guide, global, objective, 5), theta)
}

fn all(t: &Target) -> Vec<usize> {
    (0..t.rows()).collect()
}

/// Compares the gradient with central differences of the bound in about `n` of the parameters.
pub fn derivatives_agree(engine: &mut Engine<'_>, theta: &[f64], step: &Step<'_>, n: usize, case: &str) {
    let gradient = engine.gradient(theta, step, 4).unwrap().1.to_vec();
    for k in (0..theta.len()).step_by(1 + theta.len() / n) {
        let mut at = |h: f64| {
            let mut x = theta.to_vec();
            x[k] += h;
            engine.gradient(&x, step, 4).unwrap().0
        };
        let h = 1e-5;
        let numeric = (at(h) - at(-h)) / (2.0 * h);
        let error = (gradient[k] - numeric).abs() / (1.0 + numeric.abs());
        assert!(error < 2e-7, "{case} {k}: {} {numeric}", gradient[k]);
    }
}

#[test]
fn plain_gradients_are_the_derivatives_of_the_bound() {
    for global in [false, true] {
        let b = model(global);
        let rows = all(&b.target);
        for flow in [None, Some("realnvp(2, hidden=[4])"), Some("iaf(1, hidden=[4])")] {
            for objective in [Objective::Elbo(Estimator::Full), Objective::Iwae { k: 3, estimator: Estimator::Full }] {
                let (mut engine, theta) = engine(&b.target, flow, objective);
                let step = Step { rows: &rows, of: 12, beta: 0.7, step: 0 };
                derivatives_agree(&mut engine, &theta, &step, 25, &format!("{flow:?} {objective:?}"));
            }
        }
    }
}

/// Mean of a gradient over steps with its standard error, per parameter; `rows` of a step are `pick(step)`.
pub fn replicated(
    engine: &mut Engine<'_>,
    theta: &[f64],
    n: usize,
    pick: impl Fn(usize) -> Vec<usize>,
) -> Vec<(f64, f64)> {
    let (mut sum, mut squares) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
    for step in 0..n {
        let rows = pick(step);
        let g = engine.gradient(theta, &Step { rows: &rows, of: 12, beta: 1.0, step }, 9).unwrap().1;
        for (k, g) in g.iter().enumerate() {
            sum[k] += g;
            squares[k] += g * g;
        }
    }
    let n = n as f64;
    let one = |(s, q): (&f64, &f64)| (s / n, ((q / n - (s / n).powi(2)).max(0.0) / (n - 1.0)).sqrt());
    sum.iter().zip(&squares).map(one).collect()
}

/// Largest |z| of the difference of two means, over parameters that differ at all.
fn distance(a: &[(f64, f64)], b: &[(f64, f64)]) -> f64 {
    let z = |((a, sa), (b, sb)): (&(f64, f64), &(f64, f64))| {
        let se = sa.hypot(*sb);
        if (a - b).abs() <= 1e-12 * (1.0 + a.abs()) { 0.0 } else { (a - b).abs() / se }
    };
    a.iter().zip(b).map(z).fold(0.0, f64::max)
}

/// About 60 parameters, 6 comparisons: |z| < 5.4 is a false alarm of 3e-5. Of 40 draws 13 give the gradients.
#[test]
fn path_and_plain_gradients_have_one_mean_for_guide_and_params() {
    let b = model(true);
    let rows = all(&b.target);
    for flow in [None, Some("realnvp(2, hidden=[4])")] {
        for k in [1, 4, 40] {
            let of = |estimator| if k == 1 { Objective::Elbo(estimator) } else { Objective::Iwae { k, estimator } };
            let run = |estimator| {
                let (mut e, theta) = engine(&b.target, flow, of(estimator));
                replicated(&mut e, &theta, 1500, |_| rows.clone())
            };
            let (full, mut path) = (run(Estimator::Full), run(Estimator::Path));
            assert!(distance(&full, &path) < 5.4, "{flow:?} K {k}: {}", distance(&full, &path));
            // A mutant: params and guide confused, as if all draws counted with the squared weights of DReG.
            path.iter_mut().for_each(|p| p.0 *= 1.5);
            assert!(distance(&full, &path) > 5.4, "the test sees a wrong scale");
        }
    }
}

/// The gradient of 40 draws takes 13 of them. Along a fixed direction it has the mean of the bound's own slope, which all 40
/// give (difference quotient on the same noise): paired, 6 comparisons, |z| < 5 is a false alarm of 4e-6.
#[test]
fn gradients_of_chosen_draws_have_the_mean_of_the_slope() {
    for global in [false, true] {
        let b = model(global);
        let rows = all(&b.target);
        for flow in [None, Some("realnvp(2, hidden=[4])"), Some("iaf(1, hidden=[4])")] {
            let objective = Objective::Iwae { k: 40, estimator: Estimator::Full };
            assert_eq!(survivors(objective), 13);
            let (mut engine, theta) = engine(&b.target, flow, objective);
            let mut way = vec![0.0; theta.len()];
            Stream::new(8, "way", 0).fill_normal(&mut way);
            let (n, h) = (1000, 1e-5);
            let (mut off, mut slopes) = (vec![], vec![]);
            for step in 0..n {
                let step = Step { rows: &rows, of: 12, beta: 1.0, step };
                let along: f64 =
                    engine.gradient(&theta, &step, 4).unwrap().1.iter().zip(&way).map(|(g, w)| g * w).sum();
                let mut at = |h: f64| {
                    let x: Vec<f64> = theta.iter().zip(&way).map(|(t, w)| t + h * w).collect();
                    engine.gradient(&x, &step, 4).unwrap().0
                };
                let slope = (at(h) - at(-h)) / (2.0 * h);
                off.push(along - slope);
                slopes.push(slope);
            }
            let z = |off: &[f64]| {
                let m = off.iter().sum::<f64>() / n as f64;
                let v = off.iter().map(|x| (x - m).powi(2)).sum::<f64>() / (n - 1) as f64;
                m / (v / n as f64).sqrt()
            };
            assert!(off.iter().any(|x| x.abs() > 1e-3), "some draws are left out");
            assert!(z(&off).abs() < 5.0, "{global} {flow:?}: {}", z(&off));
            // A mutant: a tenth of what the draws count is lost.
            let lost: Vec<f64> = off.iter().zip(&slopes).map(|(o, s)| o - 0.1 * (o + s)).collect();
            assert!(z(&lost).abs() > 5.0, "the test sees a loss: {global} {flow:?}: {}", z(&lost));
        }
    }
}

/// Minibatches of 5 of 12 rows, remainder included: the mean over whole epochs is the gradient of all rows.
#[test]
fn minibatches_are_unbiased() {
    let b = model(false);
    let objective = Objective::Iwae { k: 3, estimator: Estimator::Path };
    let (mut e, theta) = engine(&b.target, None, objective);
    let rows = all(&b.target);
    let whole = replicated(&mut e, &theta, 1500, |_| rows.clone());
    // Each row once an epoch; a minibatch of m rows comes with the weight m of the 12 that it has in an epoch.
    let mut minibatches = Epochs::new(&rows, 5, 3);
    let epochs = 1500;
    let (mut sum, mut squares) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
    for epoch in 0..epochs {
        let mut total = vec![0.0; theta.len()];
        for at in 0..3 {
            let step = 3 * epoch + at;
            let batch = minibatches.minibatch(step).to_vec();
            let share = batch.len() as f64 / 12.0;
            let g = e.gradient(&theta, &Step { rows: &batch, of: 12, beta: 1.0, step }, 10).unwrap().1;
            total.iter_mut().zip(g).for_each(|(t, g)| *t += share * g);
        }
        for k in 0..theta.len() {
            sum[k] += total[k];
            squares[k] += total[k] * total[k];
        }
    }
    let n = epochs as f64;
    let mean = |k: usize| (sum[k] / n, ((squares[k] / n - (sum[k] / n).powi(2)) / (n - 1.0)).sqrt());
    let parts: Vec<(f64, f64)> = (0..theta.len()).map(mean).collect();
    assert!(distance(&whole, &parts) < 5.4, "{}", distance(&whole, &parts));
}

/// A linear decoder's ELBO does not depend on the noise, so the minibatches of an epoch, 4 rows and 1, have the gradient of all 5
/// rows between them, each counted by its share of the rows; up to rounding of sums of 5.
#[test]
fn a_remainder_of_one_row_counts_for_all() {
    let source = "data y: vector[5]\nparam w: real = 0.8\nplate n in 1:5 {\n  latent z ~ normal(0, 1)\n  observe y[n] ~ normal(w * z, 1)\n}\n";
    let b = from_text(source, r#"{"y": [0.3, -1.2, 0.8, 2.1, -0.4]}"#);
    let objective = Objective::Elbo(Estimator::Path);
    let (mut e, theta) = engine(&b.target, None, objective);
    let mut of = |rows: &[usize], step: usize| {
        let (bound, g) = e.gradient(&theta, &Step { rows, of: 5, beta: 1.0, step }, 3).unwrap();
        (bound, g.to_vec())
    };
    let (bound, whole) = of(&all(&b.target), 0);
    let rows = all(&b.target);
    let mut epochs = Epochs::new(&rows, 4, 3);
    assert_eq!([0, 1].map(|step| epochs.minibatch(step).len()), [4, 1]);
    let parts = [0, 1].map(|step| of(epochs.minibatch(step), step));
    let joined = |a: f64, b: f64| 0.8 * a + 0.2 * b;
    let [(bound_a, a), (bound_b, b)] = parts;
    assert!((joined(bound_a, bound_b) - bound).abs() < 1e-12 * bound.abs(), "{bound} {bound_a} {bound_b}");
    for (k, g) in whole.iter().enumerate() {
        assert!((joined(a[k], b[k]) - g).abs() < 1e-12 * (1.0 + g.abs()), "{k}: {g} {} {}", a[k], b[k]);
    }
    // A mutant: every minibatch scaled as if it had 4 rows.
    assert!((joined(bound_a, bound_b / 4.0) - bound).abs() > 0.1, "the test sees a wrong scale");
}

#[test]
fn every_row_comes_once_an_epoch() {
    let rows: Vec<usize> = (20..31).collect();
    let mut epochs = Epochs::new(&rows, 5, 3);
    let sizes = [0, 1, 2].map(|k| epochs.minibatch(k).len());
    assert_eq!(sizes, [5, 5, 1], "a remainder of one row");
    let mut all =
        |steps: std::ops::Range<usize>| -> Vec<usize> { steps.flat_map(|k| epochs.minibatch(k).to_vec()).collect() };
    let (first, second) = (all(0..3), all(3..6));
    assert!(first != second && first == all(0..3), "an epoch has an order of its own, and always that");
    let mut epoch = second;
    epoch.sort_unstable();
    assert_eq!(epoch, rows);
}

/// Same bits for 1 and 2 threads.
#[test]
fn gradients_do_not_depend_on_threads() {
    let b = model(false);
    let rows = all(&b.target);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (mut e, theta) = engine(&b.target, None, Objective::Iwae { k: 400, estimator: Estimator::Path });
        pool.install(|| e.gradient(&theta, &Step { rows: &rows, of: 12, beta: 1.0, step: 7 }, 1).unwrap().1.to_vec())
    };
    assert_eq!(run(1), run(2));
}
