//! The errors of U_K of a row: posterior draws of chains are not independent, and every draw meets the same weights.

use thalweg::base::rng::Stream;
use thalweg::base::stats::{mean, variance};
use thalweg::workflow::gap::{CURVE, FRESH, Value};
use thalweg::workflow::row_bounds::upper;

/// log w at the draws of each chain.
type Chains = Vec<Vec<f64>>;

const REPLICATES: usize = 300;
/// As `gap` has them.
const CHAINS: usize = 8;
const DRAWS: usize = 8;

/// log p(z) - log q(z), p = N(0, 1) and q = N(0, 1.5²): log Z = 0.
fn log_weight(z: f64) -> f64 {
    1.5f64.ln() - 0.5 * z * z * (1.0 - 1.0 / 2.25)
}

/// log w of stationary chains z' = ρ z + √(1 - ρ²) ε, for which z² has autocorrelation ρ^2t, and of draws from q.
fn draw(rho: f64, replicate: u64) -> (Chains, Vec<f64>) {
    let mut rng = Stream::new(1, "chains", replicate);
    let mut chain = |_| {
        let mut z = rng.normal();
        let mut one = |_| {
            z = rho * z + (1.0 - rho * rho).sqrt() * rng.normal();
            log_weight(z)
        };
        (0..DRAWS).map(&mut one).collect()
    };
    let own = (0..CHAINS).map(&mut chain).collect();
    let mut noise = vec![0.0; FRESH];
    Stream::new(1, "weights", replicate).fill_normal(&mut noise);
    (own, noise.iter().map(|e| log_weight(1.5 * e)).collect())
}

/// The same draws dealt to chains at random, so that no order and no chain shows their correlation.
fn shuffled(own: &[Vec<f64>], replicate: u64) -> Chains {
    let mut all = own.concat();
    let mut rng = Stream::new(1, "shuffle", replicate);
    for k in (1..all.len()).rev() {
        all.swap(k, ((k + 1) as f64 * rng.uniform()) as usize);
    }
    all.chunks(DRAWS).map(<[f64]>::to_vec).collect()
}

/// Mean stated squared error of U_K over the variance of U_K between replicates, for each K of the curve.
fn ratios(all: &[Vec<Value>]) -> Vec<f64> {
    let at = |k: usize| {
        let values: Vec<f64> = all.iter().map(|u| u[k].value).collect();
        let stated: Vec<f64> = all.iter().map(|u| u[k].se * u[k].se).collect();
        mean(&stated) / variance(&values)
    };
    (0..CURVE.len()).map(at).collect()
}

/// U_1 = KL(p || q) in closed form, U_10 by plain simulation of its groups; |z| < 5 in 2 comparisons: a false alarm of 1e-6. A
/// mean over K - 1 instead of K is off by log (10 / 9).
#[test]
fn upper_bounds_are_what_they_say() {
    let all: Vec<Vec<Value>> = (0..REPLICATES as u64).map(|r| draw(0.0, r)).map(|(own, w)| upper(&own, &w)).collect();
    let mut rng = Stream::new(2, "groups", 0);
    let mut group = |_| {
        let others = (0..9).map(|_| log_weight(1.5 * rng.normal()).exp()).sum::<f64>();
        ((log_weight(rng.normal()).exp() + others) / 10.0).ln()
    };
    let groups: Vec<f64> = (0..50_000).map(&mut group).collect();
    let known = [(1.5f64.ln() - 0.5 * (1.0 - 1.0 / 2.25), 0.0), (mean(&groups), variance(&groups) / 50_000.0)];
    for (k, (known, error)) in known.into_iter().enumerate() {
        let values: Vec<f64> = all.iter().map(|u| u[k].value).collect();
        let se = (variance(&values) / REPLICATES as f64 + error).sqrt();
        let z = (mean(&values) - known) / se;
        assert!(z.abs() < 5.0, "K {}: {} ± {se}, known {known}", CURVE[k], mean(&values));
        let mutant = (mean(&values) + (10.0 / 9.0f64).ln() - known) / se;
        assert!(mutant.abs() > 5.0, "the test sees a wrong K");
    }
}

/// The ratio is 1 up to the noise of 300 replicates: of their variance √((2 + 1.7) / 299) = 0.11 where correlation leaves 7 of 64 draws
/// of a chi-squared law (excess 12 / 7), of the stated errors 0.53 / √300 = 0.03. Below 0.6 or above 1.67, 4.5 of these on the log scale,
/// one of 15 ratios comes in 1e-4 of the seeds of a correct program.
#[test]
fn errors_of_upper_bounds_count_the_correlation_of_chains() {
    let right = |r: f64| (0.6..1.67).contains(&r);
    for rho in [0.0, 0.7, 0.9] {
        let run = |deal: &dyn Fn(&[Vec<f64>], u64) -> Chains| {
            let one = |r: u64| {
                let (own, log_w) = draw(rho, r);
                upper(&deal(&own, r), &log_w)
            };
            ratios(&(0..REPLICATES as u64).map(one).collect::<Vec<_>>())
        };
        let stated = run(&|own, _| own.to_vec());
        println!("rho {rho}: {stated:.2?}");
        assert!(stated.iter().all(|r| right(*r)), "rho {rho}: {stated:.2?}");
        // A mutant: chains whose correlation is not seen. For K = 1 and 10 the posterior draws' error is the larger part.
        let unseen = run(&|own, r| shuffled(own, r));
        println!("unseen: {unseen:.2?}");
        assert!(rho < 0.9 || !right(unseen[0]) && !right(unseen[1]), "unseen correlation survives: {unseen:.2?}");
    }
}

/// A mutant: the weights, which all posterior draws share, taken as known. From K = 100 on their error is the larger part.
#[test]
fn errors_of_upper_bounds_count_the_weights() {
    let one = |r: u64| {
        let (own, log_w) = draw(0.0, r);
        let mut u = upper(&own, &log_w);
        for (k, u) in u.iter_mut().enumerate() {
            // The posterior draws' part alone: that of K = 1, shrunk by the share of one draw in K.
            u.se = upper(&own, &log_w[..1])[0].se / CURVE[k] as f64;
        }
        u
    };
    let blind = ratios(&(0..REPLICATES as u64).map(one).collect::<Vec<_>>());
    assert!(blind[2..].iter().all(|r| *r < 0.6), "shared weights survive: {blind:.2?}");
}
