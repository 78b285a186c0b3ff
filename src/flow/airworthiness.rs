//! The check that trained parameters have to pass before anybody relies on the flow.

use std::fmt;

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::chain::Flow;
use crate::base::rng::Stream;
use crate::base::simd::Isa;
use crate::graph::program::{Options, Program};
use crate::graph::reverse::grad;
use crate::graph::{Graph, Shape, Spread, Var};

/// Distances from the centre of the base at which a flow is tried.
const SIGMAS: [f64; 3] = [0.0, 1.0, 8.0];
/// Points per distance: random signs at each.
const POINTS: usize = 4;
/// Largest error of inverse ∘ forward, relative to 1 + |u|. Rounding alone makes 1e-7 of it where a target lies
/// 1e9 of its standard deviations from the origin.
const ROUND_TRIP: f64 = 1e-6;
/// Largest error of the log-determinant, relative to 1 + its size.
const LOG_DET: f64 = 1e-6;

/// What was found at one distance from the centre of the base; the worst over several points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Station {
    /// |u| of every coordinate.
    pub sigma: f64,
    /// max |T⁻¹(T(u)) − u| / (1 + |u|); `f64::MAX` where that is no number, here and below.
    pub round_trip: f64,
    /// | log-determinant − log |det| of the autodiff Jacobian | / (1 + size)
    pub log_det: f64,
    /// Values, log-determinants and gradients (in point and parameters) that are not finite.
    pub not_finite: usize,
}

impl Station {
    fn passed(&self) -> bool {
        self.round_trip <= ROUND_TRIP && self.log_det <= LOG_DET && self.not_finite == 0
    }
}

/// Airworthiness of given parameter values: inverse ∘ forward, the log-determinant against the autodiff Jacobian,
/// finite gradients; at 0, 1 and 8 standard deviations of the base. Stored with a trained flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Airworthiness {
    /// The flow, as text.
    pub flow: String,
    /// By distance.
    pub stations: Vec<Station>,
}

impl Airworthiness {
    /// True where all of it is as it should be.
    pub fn passed(&self) -> bool {
        self.stations.iter().all(Station::passed)
    }
}

/// One line with the verdict, then one per distance.
impl fmt::Display for Airworthiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = |of: fn(&Station) -> f64| self.stations.iter().map(of).fold(0.0, worse);
        let verdict = if self.passed() { "airworthy" } else { "NOT airworthy" };
        let lost: usize = self.stations.iter().map(|s| s.not_finite).sum();
        let (round_trip, log_det) = (worst(|s| s.round_trip), worst(|s| s.log_det));
        write!(f, "{verdict}: round trip {round_trip:.0e}, log-determinant {log_det:.0e}, {lost} not finite")?;
        for s in &self.stations {
            let mark = if s.passed() { "ok" } else { "FAILED" };
            let (trip, log_det) = (s.round_trip, s.log_det);
            write!(f, "\n  at {} sigma: round trip {trip:.1e} (at most {ROUND_TRIP:.0e}), ", s.sigma)?;
            write!(f, "log-determinant {log_det:.1e} (at most {LOG_DET:.0e}), {} not finite: {mark}", s.not_finite)?;
        }
        Ok(())
    }
}

/// Checks `flow` at the parameters `theta`; where it reads a context, at standard normal contexts.
///
/// # Panics
/// Where `theta` does not have the length of the flow.
pub fn airworthiness(flow: &Flow, theta: &[f64]) -> Airworthiness {
    let checker = Checker::new(flow, theta);
    let stations = SIGMAS.iter().map(|&sigma| checker.station(sigma)).collect();
    Airworthiness { flow: flow.to_string(), stations }
}

/// The programs of a check, of (theta, point, context, seed).
struct Checker<'a> {
    theta: &'a [f64],
    dim: usize,
    context: usize,
    /// x and the log-determinant.
    forward: Program,
    /// u from x.
    inverse: Program,
    /// The row of the Jacobian that a seed chooses.
    row: Program,
    /// Gradient of `sum(x) + log_det` in parameters and point.
    gradient: Program,
}

impl<'a> Checker<'a> {
    fn new(flow: &Flow, theta: &'a [f64]) -> Checker<'a> {
        assert_eq!(flow.len(), theta.len(), "one value per parameter of the flow");
        let (dim, context) = (flow.dim(), flow.context());
        let mut g = Graph::new();
        let mut input = |name: &str, n: usize| g.input(name, Shape::new(&[n]), Spread::Particle);
        let (t, u, c) = (input("theta", flow.len()), input("u", dim), input("context", context));
        let seed = input("seed", dim);
        let ctx = (context > 0).then_some(c);
        let (x, log_det) = flow.forward(&mut g, t, u, ctx);
        let (back, _) = flow.inverse(&mut g, t, u, ctx);
        let row = grad(&mut g, &[x], &[seed], &[u]);
        let one = g.scalar(1.0);
        let gradient = grad(&mut g, &[x, log_det], &[one, one], &[t, u]);
        let compile = |outputs: &[Var]| Program::compile(&g, outputs, &Options { lanes: 1, isa: Isa::detect() });
        Checker {
            theta,
            dim,
            context,
            forward: compile(&[x, log_det]),
            inverse: compile(&[back]),
            row: compile(&row),
            gradient: compile(&gradient),
        }
    }

    fn run(&self, program: &Program, u: &[f64], ctx: &[f64], seed: &[f64], outputs: &mut [&mut [f64]]) {
        program.run(&[self.theta, u, ctx, seed], outputs, &mut vec![0.0; program.scratch()]);
    }

    fn station(&self, sigma: f64) -> Station {
        let mut station = Station { sigma, round_trip: 0.0, log_det: 0.0, not_finite: 0 };
        for k in 0..if sigma == 0.0 { 1 } else { POINTS } {
            let mut rng = Stream::new(0, "airworthiness", k as u64);
            let u: Vec<f64> = (0..self.dim).map(|_| if rng.uniform() < 0.5 { -sigma } else { sigma }).collect();
            let ctx: Vec<f64> = (0..self.context).map(|_| rng.normal()).collect();
            self.point(&u, &ctx, &mut station);
        }
        station
    }

    fn point(&self, u: &[f64], ctx: &[f64], station: &mut Station) {
        let none = vec![0.0; self.dim];
        let (mut x, mut log_det, mut back) = (none.clone(), [0.0], none.clone());
        self.run(&self.forward, u, ctx, &none, &mut [&mut x, &mut log_det]);
        self.run(&self.inverse, &x, ctx, &none, &mut [&mut back]);
        for (a, b) in u.iter().zip(&back) {
            station.round_trip = worse(station.round_trip, (a - b).abs() / (1.0 + a.abs()));
        }
        let expected = self.log_det_of_jacobian(u, ctx);
        station.log_det = worse(station.log_det, (log_det[0] - expected).abs() / (1.0 + expected.abs()));
        let (mut in_theta, mut in_u) = (vec![0.0; self.theta.len()], none.clone());
        self.run(&self.gradient, u, ctx, &none, &mut [&mut in_theta, &mut in_u]);
        let values = x.iter().chain(&log_det).chain(&in_theta).chain(&in_u);
        station.not_finite += values.filter(|v| !v.is_finite()).count();
    }

    fn log_det_of_jacobian(&self, u: &[f64], ctx: &[f64]) -> f64 {
        let (mut rows, mut seed) = (vec![0.0; self.dim * self.dim], vec![0.0; self.dim]);
        for (k, row) in rows.chunks_mut(self.dim).enumerate() {
            seed.fill(0.0);
            seed[k] = 1.0;
            self.run(&self.row, u, ctx, &seed, &mut [row]);
        }
        // Rows of size 1: scales of coordinates may differ by many orders.
        let mut log_det = 0.0;
        for row in rows.chunks_mut(self.dim) {
            let size = row.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            row.iter_mut().for_each(|x| *x /= size);
            log_det += size.ln();
        }
        let lu = DMatrix::from_row_slice(self.dim, self.dim, &rows).lu();
        log_det + lu.u().diagonal().iter().map(|d| d.abs().ln()).sum::<f64>()
    }
}

/// The larger error. What is no number is the largest finite one, which survives JSON.
fn worse(a: f64, b: f64) -> f64 {
    if b.is_finite() { a.max(b) } else { f64::MAX }
}
