//! Tests of the transforms: oracle values, inverses, Jacobians, extremes.

use proptest::prelude::*;

use super::*;
use crate::graph::eval::evaluate;
use crate::graph::{Shape, Spread};

const CASES: [(Structure, &[usize]); 12] = [
    (Structure::Simplex, &[1]),
    (Structure::Simplex, &[5]),
    (Structure::Ordered, &[4]),
    (Structure::PositiveOrdered, &[4]),
    (Structure::UnitVector, &[4]),
    (Structure::CholeskyFactorCorr, &[4, 4]),
    (Structure::CorrMatrix, &[2, 2]),
    (Structure::CorrMatrix, &[4, 4]),
    (Structure::CovMatrix, &[3, 3]),
    (Structure::CholeskyFactorCov, &[3, 3]),
    (Structure::CholeskyFactorCov, &[4, 2]),
    (Structure::CholeskyFactorCorr, &[1, 1]),
];

fn run(s: Structure, u: &[f64], batch: Option<usize>, event: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let free = s.free_dim(event);
    let shape = match batch {
        Some(n) => Shape::new(&[n, free]),
        None => Shape::new(&[free]),
    };
    let mut g = Graph::new();
    let v = g.input("u", shape, Spread::Particle);
    let (x, j) = s.constrain(&mut g, v, batch, event);
    let lead: Vec<usize> = batch.into_iter().collect();
    assert_eq!(g.shape(x).dims(), [&lead, event].concat());
    assert_eq!(g.shape(j).dims(), lead);
    let mut out = evaluate(&g, &[u], &[x, j]);
    let j = out.pop().unwrap();
    (out.pop().unwrap(), j)
}

/// Positions of the entries that describe a value: as many as there are free coordinates.
fn described_by(s: Structure, event: &[usize]) -> Vec<usize> {
    let k = event[0];
    let flat = |at: Vec<(usize, usize)>| at.into_iter().map(|(i, j)| i * event[1] + j).collect();
    match s {
        Structure::Simplex => (0..k - 1).collect(),
        Structure::CholeskyFactorCorr | Structure::CorrMatrix => flat(matrix::below_by_row(k)),
        Structure::CovMatrix | Structure::CholeskyFactorCov => flat(matrix::lower_by_row(k, event[1])),
        _ => (0..k).collect(),
    }
}

/// log |det dx/du| by central differences.
fn log_det(s: Structure, u: &[f64], event: &[usize]) -> f64 {
    let d = u.len();
    let at = described_by(s, event);
    let h = 1e-5;
    let column = |j: usize| -> Vec<f64> {
        let moved = |by: f64| {
            let mut v = u.to_vec();
            v[j] += by;
            run(s, &v, None, event).0
        };
        let (hi, lo) = (moved(h), moved(-h));
        at.iter().map(|&i| (hi[i] - lo[i]) / (2.0 * h)).collect()
    };
    let columns: Vec<f64> = (0..d).flat_map(column).collect();
    nalgebra::DMatrix::from_vec(d, d, columns).determinant().abs().ln()
}

fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= tolerance * (1.0 + y.abs()), "{a:?} is not {b:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn constrained_values_pass_the_check_and_go_back(u in proptest::collection::vec(-2.0..2.0f64, 10)) {
        for (s, event) in CASES {
            let u = &u[..s.free_dim(event)];
            let (x, _) = run(s, u, None, event);
            s.check(&x, event).unwrap_or_else(|e| panic!("{s:?} {event:?} {x:?}: {e}"));
            let back = s.unconstrain(&x, event).unwrap();
            if s == Structure::UnitVector {
                close(&run(s, &back, None, event).0, &x, 1e-14);
            } else {
                close(&back, u, 1e-11);
            }
        }
    }

    // Central differences with h = 1e-5: error ~ h^2 + 1e-16 / h per entry.
    #[test]
    fn log_jacobian_is_the_log_determinant(u in proptest::collection::vec(-2.0..2.0f64, 10)) {
        for (s, event) in CASES {
            let u = &u[..s.free_dim(event)];
            // The map of a unit vector is singular: tested by its radial integral instead.
            if u.is_empty() || s == Structure::UnitVector {
                continue;
            }
            let (_, j) = run(s, u, None, event);
            close(&j, &[log_det(s, u, event)], 1e-6);
        }
    }

    #[test]
    fn a_batch_is_its_rows(u in proptest::collection::vec(-3.0..3.0f64, 30)) {
        for (s, event) in CASES {
            let free = s.free_dim(event);
            let u = &u[..3 * free];
            let (x, j) = run(s, u, Some(3), event);
            let size = event.iter().product::<usize>();
            for row in 0..3 {
                let (x1, j1) = run(s, &u[row * free..(row + 1) * free], None, event);
                prop_assert_eq!(&x[row * size..(row + 1) * size], &x1[..]);
                prop_assert_eq!(j[row].to_bits(), j1[0].to_bits());
            }
        }
    }

    #[test]
    fn extremes_stay_finite(signs in 0u32..1024, size in 20.0..30.0f64) {
        let u: Vec<f64> = (0..10).map(|j| if signs >> j & 1 == 1 { size } else { -size }).collect();
        for (s, event) in CASES {
            let (x, j) = run(s, &u[..s.free_dim(event)], None, event);
            prop_assert!(x.iter().chain(&j).all(|v| v.is_finite()), "{:?}: {:?} {:?}", s, x, j);
        }
    }

    #[test]
    fn intervals_go_back(u in -8.0..8.0f64) {
        let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
        for (a, b) in [(low, high), (-1.5, high), (low, 3.0), (-1.5, 3.0), (0.0, 1.0)] {
            let (x, j) = run_interval(&[u], Some(&[a]), Some(&[b]));
            prop_assert!((interval_inverse(x[0], a, b).unwrap() - u).abs() < 1e-11);
            let h = 1e-5;
            let at = |v: f64| run_interval(&[v], Some(&[a]), Some(&[b])).0[0];
            let slope = (at(u + h) - at(u - h)) / (2.0 * h);
            let j = j.map_or(0.0, |j| j[0]);
            prop_assert!((slope.abs().ln() - j).abs() < 1e-6, "{} {}", slope.abs().ln(), j);
        }
    }
}

/// Scalars where one number is given, else vectors.
fn run_interval(u: &[f64], a: Option<&[f64]>, b: Option<&[f64]>) -> (Vec<f64>, Option<Vec<f64>>) {
    let shape = |n: usize| {
        if n == 1 { Shape::SCALAR } else { Shape::new(&[n]) }
    };
    let mut g = Graph::new();
    let v = g.input("u", shape(u.len()), Spread::Particle);
    let a = a.map(|a| g.constant(a.to_vec(), shape(a.len())));
    let b = b.map(|b| g.constant(b.to_vec(), shape(b.len())));
    let (x, j) = interval(&mut g, v, a, b);
    let x = evaluate(&g, &[u], &[x]).remove(0);
    (x, j.map(|j| evaluate(&g, &[u], &[j]).remove(0)))
}

#[test]
fn bounds_may_be_absent_element_by_element() {
    let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
    let u = [0.3, 0.3, 0.3, 0.3];
    let (x, j) = run_interval(&u, Some(&[0.0, low, 0.0, low]), Some(&[high, high, 2.0, 2.0]));
    let z = 1.0 / (1.0 + (-0.3f64).exp());
    close(&x, &[0.3f64.exp(), 0.3, 2.0 * z, 2.0 - 0.3f64.exp()], 1e-15);
    let both = (2.0 * z * (1.0 - z)).ln();
    close(&j.unwrap(), &[0.3, 0.0, both, 0.3], 1e-14);
    assert!(run_interval(&u, Some(&[low]), Some(&[high])).1.is_none());
}

#[test]
fn intervals_at_extremes() {
    for u in [-700.0, -30.0, 30.0, 700.0] {
        let (x, j) = run_interval(&[u], Some(&[-2.0]), Some(&[5.0]));
        assert!((-2.0..=5.0).contains(&x[0]));
        close(&j.unwrap(), &[7f64.ln() - u.abs()], 1e-12);
    }
    assert!(interval_inverse(1.0, 1.0, 2.0).is_err());
    assert!(interval_inverse(2.0, 1.0, 2.0).is_err());
    assert!(interval_inverse(f64::NAN, f64::NEG_INFINITY, 2.0).is_err());
    assert!(interval_inverse(f64::INFINITY, 0.0, f64::INFINITY).is_err());
}

// Constrained values and log Jacobians (lp - lp_nojac) of Stan 2.35.0, posteriordb models.
#[test]
fn oracle_simplex_and_positive_ordered() {
    // hmm_example: two simplexes of size 2 and a positive_ordered[2].
    let (t1, j1) = run(Structure::Simplex, &[-0.6291086392772807], None, &[2]);
    close(&t1, &[0.3477126786071137, 0.6522873213928864], 1e-15);
    let (t2, j2) = run(Structure::Simplex, &[-0.32713032460033964], None, &[2]);
    close(&t2, &[0.4189390227694815, 0.5810609772305185], 1e-15);
    let mu = [0.6434601727734317, 0.5067861355265835];
    let (mu, j3) = run(Structure::PositiveOrdered, &mu, None, &[2]);
    close(&mu, &[1.9030543970037257, 3.56300216286805], 1e-15);
    let oracle = -1319.7887009733506 - -1318.042368892622;
    assert!((j1[0] + j2[0] + j3[0] - oracle).abs() < 1e-11);
}

#[test]
fn oracle_ordered_and_intervals() {
    // low_dim_gauss_mix: ordered[2], two lower bounds, one unit interval.
    let (mu, j1) = run(Structure::Ordered, &[-0.6291086392772807, -0.32713032460033964], None, &[2]);
    close(&mu, &[-0.6291086392772807, 0.09188113492206296], 1e-14);
    let (sigma, j2) = run_interval(&[0.6434601727734317, 0.5067861355265835], Some(&[0.0]), None);
    close(&sigma, &[1.9030543970037257, 1.6599477658643245], 1e-15);
    let (theta, j3) = run_interval(&[-0.8041743143888993], Some(&[0.0]), Some(&[1.0]));
    close(&theta, &[0.30913330138409867], 1e-15);
    let oracle = -2893.9345603709758 - -2893.213885270977;
    let j = j1[0] + j2.unwrap().iter().sum::<f64>() + j3.unwrap()[0];
    assert!((j - oracle).abs() < 1e-11);
}

#[test]
fn oracle_cholesky_factor_corr() {
    // sat-hier_2pl: cholesky_factor_corr[2] (the oracle prints columns first).
    let (l, _) = run(Structure::CholeskyFactorCorr, &[0.5608873504735372], None, &[2, 2]);
    close(&l, &[1.0, 0.0, 0.5086355136984204, 0.8609819476648416], 1e-15);
    let (l, _) = run(Structure::CholeskyFactorCorr, &[-0.11058343217692013], None, &[2, 2]);
    close(&l, &[1.0, 0.0, -0.1101348625125009, 0.9939166524710975], 1e-15);
}

#[test]
fn corr_matrix_takes_columns_and_its_factor_rows() {
    // The fourth coordinate of size 4 is (3, 2) by column and (4, 1) by row, from 1.
    let mut u = [0.0; 6];
    u[3] = 0.7;
    let z = 0.7f64.tanh();
    let (r, _) = run(Structure::CorrMatrix, &u, None, &[4, 4]);
    assert!((r[9] - z).abs() < 1e-15 && r[12] == 0.0);
    let (l, _) = run(Structure::CholeskyFactorCorr, &u, None, &[4, 4]);
    assert!((l[12] - z).abs() < 1e-15 && l[9] == 0.0);
}

#[test]
fn uniform_simplex_at_zero() {
    let (x, j) = run(Structure::Simplex, &[0.0; 9], None, &[10]);
    close(&x, &[0.1; 10], 1e-15);
    close(&j, &[10.0 * 0.1f64.ln()], 1e-15);
}

// int_0^inf r^{k-1} exp(log J(r)) dr = 1 for every k: the trapezoidal rule on a smooth integrand that
// vanishes at both ends (k > 1) converges faster than any power.
#[test]
fn unit_vector_keeps_the_normalising_constant() {
    for k in [2usize, 3, 4, 7, 12] {
        let h = 0.01;
        let mass: f64 = (1..1500)
            .map(|i| {
                let r = i as f64 * h;
                let mut u = vec![0.0; k];
                u[k / 2] = r;
                let (x, j) = run(Structure::UnitVector, &u, None, &[k]);
                assert_eq!(x[k / 2], 1.0);
                r.powi(k as i32 - 1) * j[0].exp() * h
            })
            .sum();
        let tolerance = if k % 2 == 1 { 1e-10 } else { 2e-5 };
        assert!((mass - 1.0).abs() < tolerance, "k = {k}: {mass}");
    }
}

#[test]
fn sizes_of_zero() {
    for s in [Structure::Ordered, Structure::PositiveOrdered] {
        let (x, j) = run(s, &[], None, &[0]);
        assert_eq!((x, j), (vec![], vec![0.0]));
        assert_eq!(run(s, &[], Some(2), &[0]), (vec![], vec![0.0; 2]));
    }
    for s in [Structure::CorrMatrix, Structure::CovMatrix, Structure::CholeskyFactorCov] {
        assert_eq!(run(s, &[], None, &[0, 0]), (vec![], vec![0.0]));
        assert_eq!(run(s, &[], Some(0), &[2, 2]), (vec![], vec![]));
        assert_eq!(s.unconstrain(&[], &[0, 0]), Ok(vec![]));
    }
    assert!(Structure::Simplex.event_dims(&[0]).is_err());
    assert!(Structure::CholeskyFactorCov.event_dims(&[2, 3]).is_err());
    assert_eq!(Structure::CorrMatrix.event_dims(&[3]), Ok(vec![3, 3]));
    assert!(Structure::CorrMatrix.event_dims(&[3, 3]).is_err());
}

#[test]
fn names_go_back() {
    for (s, _) in CASES {
        assert_eq!(Structure::from_type(s.name()), Some(s));
    }
    assert_eq!(Structure::from_type("vector"), None);
}

/// The graph of a large event is no larger than that of a small one.
#[test]
fn graph_size_does_not_grow() {
    let nodes = |s: Structure, event: &[usize]| {
        let mut g = Graph::new();
        let u = g.input("u", Shape::new(&[s.free_dim(event)]), Spread::Particle);
        s.constrain(&mut g, u, None, event);
        g.nodes().len()
    };
    for (s, event) in CASES {
        if event[0] > 2 {
            let large: Vec<usize> = event.iter().map(|k| k * 5).collect();
            assert_eq!(nodes(s, event), nodes(s, &large), "{s:?}");
        }
    }
}
