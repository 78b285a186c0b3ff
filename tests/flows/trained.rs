//! What is made of a flow with fixed parameters: the compiled map, and its airworthiness.

use super::CHAINS;
use super::bench::{Bench, curved, spread, trained};
use thalweg::base::rng::Stream;
use thalweg::density::Transport;
use thalweg::flow::{Airworthiness, Flow, Map, airworthiness, registry};

/// The map gives what the flow gives; programs with constant parameters are others, so up to rounding.
#[test]
fn maps_are_their_flows() {
    for text in CHAINS {
        for d in [1, 4] {
            let b = Bench::new(Flow::parse(text, d, 0).expect("a good text"));
            let theta = trained(&b);
            let map = Map::new(&b.flow, &theta);
            let mut ws = vec![0.0; map.scratch()];
            let (mut x, mut u, mut gu) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
            for point in b.points() {
                let (y, log_det) = b.map(true, &theta, &point, &[]);
                let gx: Vec<f64> = (0..d).map(|k| 0.4 * k as f64 - 1.0).collect();
                let out = b.run(true, &theta, &point, &[], &gx, 1.0);
                let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-11 * (1.0 + b.abs()), "{text}: {a}, not {b}");
                near(map.forward(&point, &mut x, &mut ws), log_det);
                x.iter().zip(&y).for_each(|(a, b)| near(*a, *b));
                // At its own image, the inverse gives the point and the same log-determinant.
                near(map.inverse(&x, &mut u, &mut ws), log_det);
                u.iter().zip(&point).for_each(|(a, b)| near(*a, *b));
                let mut linear = |x: &[f64], g: &mut [f64]| {
                    g.copy_from_slice(&gx);
                    x.iter().zip(&gx).map(|(x, g)| x * g).sum()
                };
                let value = map.pull(&point, &mut linear, &mut gu, &mut ws);
                near(value, y.iter().zip(&gx).map(|(y, g)| y * g).sum::<f64>() + log_det);
                gu.iter().zip(&out.point).for_each(|(a, b)| near(*a, *b));
            }
        }
    }
}

/// Training moves the flow towards its target: on fresh draws, the log density is higher than at the start by more
/// than 5.4 standard errors of the paired differences (a flow that learned nothing passes with 4e-8).
#[test]
fn training_fits() {
    for text in CHAINS {
        for context in [0, 2] {
            let b = Bench::new(Flow::parse(text, 3, context).expect("a good text"));
            let (start, end) = (b.flow.initial(2), trained(&b));
            let mut rng = Stream::new(8, "fresh", 0);
            let gains: Vec<f64> = (0..400)
                .map(|_| {
                    let ctx = b.context(rng.normal());
                    let x = curved(3, &ctx, &mut rng);
                    let log_q = |theta: &[f64]| {
                        let (u, log_det) = b.map(false, theta, &x, &ctx);
                        log_det - 0.5 * u.iter().map(|u| u * u).sum::<f64>()
                    };
                    log_q(&end) - log_q(&start)
                })
                .collect();
            let n = gains.len() as f64;
            let mean = gains.iter().sum::<f64>() / n;
            let variance = gains.iter().map(|g| (g - mean) * (g - mean)).sum::<f64>() / (n - 1.0);
            let z = mean / (variance / n).sqrt();
            assert!(z > 5.4, "{text}, context {context}: mean gain {mean}, z = {z}");
        }
    }
}

#[test]
fn good_flows_are_airworthy() {
    for text in CHAINS {
        let b = Bench::new(Flow::parse(text, 3, 2).expect("a good text"));
        let report = airworthiness(&b.flow, &trained(&b));
        assert!(report.passed(), "{text}: {report}");
        let stored = serde_json::to_string(&report).expect("plain numbers");
        assert_eq!(serde_json::from_str::<Airworthiness>(&stored).expect("what was written"), report);
    }
    for entry in registry() {
        let flow = Flow::new(vec![(entry.new)(3, 0)]);
        let report = airworthiness(&flow, &spread(&flow, 9));
        assert!(report.passed(), "{}: {report}", entry.name);
    }
}

#[test]
fn parameters_that_are_no_numbers_are_found() {
    let flow = Flow::parse("realnvp", 3, 0).expect("a good text");
    let mut theta = flow.initial(1);
    theta[4] = f64::NAN;
    let report = airworthiness(&flow, &theta);
    assert!(!report.passed() && report.stations[0].not_finite > 0, "{report}");
    let stored = serde_json::to_string(&report).expect("plain numbers");
    assert_eq!(serde_json::from_str::<Airworthiness>(&stored).expect("what was written"), report);
}

/// Scales far apart are no fault.
#[test]
fn scales_far_apart_are_airworthy() {
    let flow = Flow::parse("affine(full)", 3, 0).expect("a good text");
    let mut theta = flow.initial(1);
    for s in flow.segments() {
        let values: &[f64] = match s.name.rsplit('/').next() {
            Some("shift") => &[1e6, -3.0, 0.0],
            Some("log_scale") => &[-7.0, 0.0, 14.0],
            _ => &[0.5, 3e5, 1e6],
        };
        theta[s.start..s.start + s.count()].copy_from_slice(values);
    }
    let report = airworthiness(&flow, &theta);
    assert!(report.passed(), "{report}");
}
