//! Gradients against finite differences of the density, at random points.

use serde_json::{Value, json};

use crate::base::rng::Stream;
use crate::density::{Gradient, LogDensity};
use crate::model::compiled::Compiled;
use crate::report::table::columns;

/// Points tried before the test gives up.
const TRIES: usize = 100;

/// Difference, relative to 1 + the larger derivative, beyond which a gradient is wrong.
const TOLERANCE: f64 = 1e-6;

/// Largest allowance for differences that do not resolve the derivative.
const NOISE: f64 = 1e-3;

/// Rows of the table.
const SHOWN: usize = 10;

/// How much is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Points, uniform in (-1, 1) per coordinate.
    pub points: u64,
    /// Coordinates of each; where there are more, as many are taken evenly.
    pub coordinates: usize,
}

impl Extent {
    /// Every coordinate at three points.
    pub const ALL: Extent = Extent { points: 3, coordinates: usize::MAX };

    /// Little enough to precede every run.
    pub const QUICK: Extent = Extent { points: 1, coordinates: 32 };
}

/// One derivative by both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Point, from 1.
    pub point: u64,
    /// The coordinate, or what stands for the derivative along a random direction.
    pub along: String,
    /// By the gradient program.
    pub gradient: f64,
    /// By finite differences.
    pub difference: f64,
    /// |gradient - difference| / (1 + the larger of both).
    pub error: f64,
    /// What the differences cannot resolve, in the same unit.
    pub noise: f64,
}

impl Compared {
    fn fails(&self) -> bool {
        self.error.is_nan() || self.error > TOLERANCE + self.noise.min(NOISE)
    }
}

/// None of the points that were tried has a finite density.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of {TRIES} random points has a finite density; look at one with `thalweg check --at`")]
pub struct NoPoint;

/// A gradient test.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientTest {
    /// The derivatives, wrong ones first, then by error.
    pub compared: Vec<Compared>,
    /// Points.
    pub points: u64,
}

impl GradientTest {
    /// Tests single coordinates, and a random direction, which all coordinates have a part in.
    pub fn new(compiled: &Compiled, seed: u64, extent: Extent) -> Result<GradientTest, NoPoint> {
        let mut compared = vec![];
        for point in 0..extent.points {
            let mut rng = Stream::new(seed, "check", point);
            let x = start(compiled, &mut rng)?;
            compare(compiled, point + 1, &x, extent.coordinates, &mut rng, &mut compared);
        }
        compared.sort_by(|a, b| b.fails().cmp(&a.fails()).then(b.error.total_cmp(&a.error)));
        Ok(GradientTest { compared, points: extent.points })
    }

    /// Derivatives that differ.
    pub fn failed(&self) -> usize {
        self.compared.iter().filter(|c| c.fails()).count()
    }

    /// Largest relative error; NaN where a derivative is not a number.
    pub fn worst(&self) -> f64 {
        self.compared
            .iter()
            .map(|c| c.error)
            .fold(0.0, |a: f64, e| if a.is_nan() || e.is_nan() { f64::NAN } else { a.max(e) })
    }

    /// The worst derivatives as a table.
    pub fn table(&self) -> String {
        let row = |c: &Compared| {
            vec![
                c.along.clone(),
                c.point.to_string(),
                format!("{:.10e}", c.gradient),
                format!("{:.10e}", c.difference),
                format!("{:.1e}", c.error),
                if c.fails() { "WRONG" } else { "" }.to_string(),
            ]
        };
        let rows: Vec<Vec<String>> = self.compared.iter().take(SHOWN).map(row).collect();
        columns(&["coordinate", "point", "gradient", "difference", "error", ""], &rows)
    }

    /// The result in one sentence.
    pub fn sentence(&self) -> String {
        let (n, failed) = (self.compared.len(), self.failed());
        match (self.compared.first(), failed) {
            (None, _) => "there is no coordinate to differentiate by".into(),
            (Some(_), 0) => format!(
                "all {n} derivatives agree with finite differences (largest relative error {:.1e})",
                self.worst()
            ),
            (Some(c), _) => format!(
                "{failed} of {n} derivatives differ from finite differences (along {}: {:.6e} against {:.6e})",
                c.along, c.gradient, c.difference
            ),
        }
    }

    /// The result as JSON.
    pub fn json(&self) -> Value {
        let worst = self.compared.first().map(|c| c.along.clone());
        json!({ "tested": self.compared.len(), "wrong": self.failed(), "worst_error": self.worst(), "worst_along": worst })
    }
}

/// A random point with a finite density.
fn start(compiled: &Compiled, rng: &mut Stream) -> Result<Vec<f64>, NoPoint> {
    let mut ws = vec![0.0; compiled.scratch()];
    for _ in 0..TRIES {
        let x: Vec<f64> = (0..compiled.dim()).map(|_| 2.0 * rng.uniform() - 1.0).collect();
        if compiled.logp(&x, &mut ws).is_finite() {
            return Ok(x);
        }
    }
    Err(NoPoint)
}

fn compare(compiled: &Compiled, point: u64, x: &[f64], most: usize, rng: &mut Stream, out: &mut Vec<Compared>) {
    let n = x.len();
    let mut ws = vec![0.0; compiled.scratch()];
    let mut grad = vec![0.0; n];
    compiled.logp_grad(x, &mut grad, &mut ws);
    let mut moved = x.to_vec();
    let mut push = |along: String, gradient: f64, direction: &dyn Fn(usize) -> f64| {
        let mut f = |u: f64| {
            moved.iter_mut().enumerate().for_each(|(j, m)| *m = x[j] + u * direction(j));
            compiled.logp(&moved, &mut ws)
        };
        let (difference, spread) = richardson(&mut f);
        let scale = 1.0 + gradient.abs().max(difference.abs());
        let error = (gradient - difference).abs() / scale;
        out.push(Compared { point, along, gradient, difference, error, noise: spread / scale });
    };
    let names = compiled.posterior.coordinate_names();
    let count = n.min(most);
    for k in 0..count {
        let j = k * n / count;
        push(names[j].clone(), grad[j], &|i| if i == j { 1.0 } else { 0.0 });
    }
    if n > 1 {
        let direction: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        let gradient = direction.iter().zip(&grad).map(|(d, g)| d / length * g).sum();
        push("a random direction".into(), gradient, &|i| direction[i] / length);
    }
}

/// Derivative at 0 by central differences with steps h, h/2, h/4, …, extrapolated to 0 (Ridders 1982), and how
/// far the last two extrapolations lie apart.
fn richardson(f: &mut dyn FnMut(f64) -> f64) -> (f64, f64) {
    const ROWS: usize = 8;
    let mut best = (f64::NAN, f64::INFINITY);
    let mut previous: Vec<f64> = vec![];
    let mut h = 0.05;
    for _ in 0..ROWS {
        let mut row = vec![(f(h) - f(-h)) / (2.0 * h)];
        let mut power = 1.0;
        for (k, old) in previous.iter().enumerate() {
            power *= 4.0;
            let next = (power * row[k] - old) / (power - 1.0);
            let apart = (next - row[k]).abs().max((next - old).abs());
            row.push(next);
            if apart <= best.1 {
                best = (next, apart);
            }
        }
        previous = row;
        h /= 2.0;
    }
    best
}
