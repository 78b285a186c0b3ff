//! Guides: a Gaussian family against the normal density, draws against densities, derivatives against differences.

use std::f64::consts::PI;
use std::sync::Arc;

use super::*;
use crate::base::rng::Stream;
use crate::density::{LogDensity, Proposal, Transport};

fn start() -> Start {
    Start { location: vec![1.0, -2.0, 0.5], factor: vec![2.0, 0.0, 0.0, 0.3, 0.5, 0.0, -1.0, 0.2, 0.1] }
}

fn guides() -> Vec<Guide> {
    let t = Base::StudentT { dof: 4 };
    let text = Some("realnvp(2, hidden=[4])");
    let of = |base, text, scale| Arc::new(Family::new(3, base, text, scale).unwrap());
    let families = [
        of(Base::Normal, None, Scale::Diagonal),
        of(Base::Normal, None, Scale::Full),
        of(t, None, Scale::Full),
        of(Base::Normal, text, Scale::Full),
        of(t, Some("iaf(1, hidden=[4])"), Scale::Diagonal),
    ];
    let guide = |(k, f): (usize, Arc<Family>)| {
        let mut theta = f.initial(&start(), 3);
        let mut rng = Stream::new(1, "test", k as u64);
        let nonlinear = f.flow.layer_segments(f.flow.layers().len() - 1)[0].start;
        theta[..nonlinear].iter_mut().for_each(|x| *x += 0.5 * rng.normal());
        Guide::new(f, theta)
    };
    families.into_iter().enumerate().map(guide).collect()
}

#[test]
fn full_rank_is_the_normal_density() {
    let g = &guides()[1];
    let mut ws = vec![0.0; LogDensity::scratch(g)];
    // x = m + L u at u = (1, 2, -1): the density is that of u over det L.
    let x = [3.0, -2.0 + 0.3 + 1.0, 0.5 - 1.0 + 0.4 - 0.1];
    let expected = -0.5 * 6.0 - 1.5 * (2.0 * PI).ln() - (2.0f64 * 0.5 * 0.1).ln();
    assert!((g.logp(&x, &mut ws) - expected).abs() < 1e-12);
}

#[test]
fn draws_know_their_density() {
    for g in guides() {
        // 130 points: two full groups of lanes and a remainder.
        let n = 130;
        let mut noise = vec![0.0; n * g.noise()];
        Stream::new(5, "test", 0).fill_normal(&mut noise);
        let (mut x, mut log_q, mut again) = (vec![0.0; 3 * n], vec![0.0; n], vec![0.0; n]);
        let mut ws = vec![0.0; g.lanes_scratch()];
        g.draw(&noise, &mut x, &mut log_q, &mut ws);
        g.logp_lanes(&x, &mut again, &mut ws);
        let mut ws = vec![0.0; LogDensity::scratch(&g).max(Transport::scratch(&g))];
        for p in 0..n {
            let point = [x[p], x[n + p], x[2 * n + p]];
            let single = g.logp(&point, &mut ws);
            // Inverse of forward: rounding of a few hundred operations on numbers of this size.
            let slack = 1e-9 * (1.0 + log_q[p].abs());
            assert!((log_q[p] - again[p]).abs() < slack && (single - again[p]).abs() < slack, "{:?}", g.family.flow);
            let (mut u, mut back) = ([0.0; 3], [0.0; 3]);
            let a = g.inverse(&point, &mut u, &mut ws);
            let b = g.forward(&u, &mut back, &mut ws);
            assert!((a - b).abs() < slack);
            assert!(point.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-9 * (1.0 + a.abs())));
        }
    }
}

/// Both derivatives in theta against central differences of the values, extrapolated from steps h and h / 2
/// (Richardson; error of order h⁴: third derivatives reach 1e8 where layers stretch a lot).
#[test]
fn derivatives_are_differences() {
    let n = 5;
    for guide in guides() {
        let batch = Batch::new(guide.family.clone(), n);
        let (mut rng, mut ws) = (Stream::new(9, "test", 0), vec![]);
        let mut normals = |m: usize| (0..m).map(|_| rng.normal()).collect::<Vec<f64>>();
        let (u, x_bar, q_bar) = (normals(3 * n), normals(3 * n), normals(n));
        let (mut x, mut log_q) = (vec![0.0; 3 * n], vec![0.0; n]);
        let mut drawn = vec![0.0; guide.theta.len()];
        let (draws, mut kept, mut score) = (Draws::new(&guide.family, n, false), vec![], vec![0.0; 3 * n]);
        let to = Drawn { x: &mut x, log_q: &mut log_q, score: &mut score, kept: &mut kept };
        draws.draw(&guide.theta, &u, to, &mut ws);
        draws.back(&guide.theta, &u, [&x_bar, &q_bar], &kept, &mut drawn, &mut ws);
        assert!(score.iter().all(|s| *s == 0.0), "nothing along the path");
        let points = x.clone();
        let mut scored = vec![0.0; guide.theta.len()];
        batch.score_back(&guide.theta, &points, &q_bar, &mut scored, &mut ws);
        let mut sum = |theta: &[f64], back: bool| {
            let (mut x, mut q, mut s) = (vec![0.0; 3 * n], vec![0.0; n], vec![0.0; 3 * n]);
            batch.draw(theta, &u, &mut x, &mut q, &mut ws);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            if !back {
                return dot(&x, &x_bar) + dot(&q, &q_bar);
            }
            let alone = {
                batch.density(theta, &points, &mut q, &mut ws);
                q.clone()
            };
            batch.score(theta, &points, &mut q, &mut s, &mut ws);
            assert!(q.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + a.abs())));
            dot(&q, &q_bar)
        };
        let h = 1e-5;
        for k in (0..guide.theta.len()).step_by(1 + guide.theta.len() / 20) {
            for (back, found) in [(false, drawn[k]), (true, scored[k])] {
                let mut theta = guide.theta.clone();
                let mut at = |x: f64| {
                    theta[k] = x;
                    sum(&theta, back)
                };
                let middle = guide.theta[k];
                let mut central = |h: f64| (at(middle + h) - at(middle - h)) / (2.0 * h);
                let difference = (4.0 * central(h / 2.0) - central(h)) / 3.0;
                assert!((found - difference).abs() < 1e-7 * (1.0 + found.abs()), "{k} {found} {difference}");
            }
        }
    }
}
