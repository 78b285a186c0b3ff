//! Between two rows: latents on a line or a great circle from one row's posterior to the other's, and the data they stand for.

use crate::base::rng::Stream;
use crate::model::compiled::Compiled;
use crate::model::data::DataFile;
use crate::model::posterior::{Model, ModelError, Settings};
use crate::model::simulate::{Latents, Simulated};
use crate::vi::plate::Evaluator;
use crate::workflow::amortize::{AmortizeError, Bound, Trained};
use crate::workflow::layout::{Elements, Layout};
use crate::workflow::plate::choose;

/// Rows that are drawn and averaged for each point.
const AVERAGED: usize = 100;

/// An element of the data: name and flat place.
type Element = (String, usize);

/// How to go from one row to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Straight.
    Linear,
    /// Along the great circle, with lengths in between (Shoemake 1985; White 2016 for latents): typical points of a normal
    /// prior stay typical.
    Spherical,
}

/// A point on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// From 0 at the first row to 1 at the other.
    pub share: f64,
    /// Latent coordinates.
    pub z: Vec<f64>,
    /// Mean of the row's data given them.
    pub data: Vec<f64>,
}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// A row that does not exist.
    #[error("--between names row {row}, the plate has rows 1 to {rows}")]
    Row {
        /// The row.
        row: usize,
        /// Rows of the plate.
        rows: usize,
    },
    /// Rows with latents of different sizes.
    #[error(
        "--between: the rows have {from} and {to} latent coordinates, so there is no way between them; name rows of one size"
    )]
    Sizes {
        /// Coordinates of the first.
        from: usize,
        /// Coordinates of the other.
        to: usize,
    },
    /// Binding or simulation.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The plate.
    #[error(transparent)]
    Amortize(#[from] AmortizeError),
}

/// The point at `share` between `a` and `b`.
pub fn between(way: Way, a: &[f64], b: &[f64], share: f64) -> Vec<f64> {
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (na, nb) = (norm(a), norm(b));
    let cos = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / (na * nb);
    let angle = cos.clamp(-1.0, 1.0).acos();
    let mut weights = (1.0 - share, share);
    if way == Way::Spherical && angle.sin() > 1e-6 {
        weights = (((1.0 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin());
    }
    a.iter().zip(b).map(|(a, b)| weights.0 * a + weights.1 * b).collect()
}

/// The model with its data and settings, params at their trained values.
pub struct Scene<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its data.
    pub data: &'a DataFile,
    /// Its settings.
    pub settings: &'a Settings,
}

impl Scene<'_> {
    /// `steps` points from row `rows.0` to `rows.1` (from 0), both included. Data are means of simulated ones, drawn from the
    /// streams (seed, "interpolate", call).
    ///
    /// # Errors
    /// Where a row does not exist, or the model is no simulator.
    pub fn way(
        &self,
        bound: &Bound,
        trained: &Trained,
        rows: (usize, usize),
        steps: usize,
        way: Way,
    ) -> Result<Vec<Point>, WayError> {
        let all = bound.target.rows();
        if let Some(row) = [rows.0, rows.1].into_iter().find(|r| *r >= all) {
            return Err(WayError::Row { row: row + 1, rows: all });
        }
        let ev = trained.evaluator(&bound.target);
        let (a, b) = (centre(&ev, rows.0), centre(&ev, rows.1));
        if a.len() != b.len() {
            return Err(WayError::Sizes { from: a.len(), to: b.len() });
        }
        let seed = trained.options.seed;
        let post = self.model.bind_with(self.data, self.settings)?;
        let chosen = choose(self.model, &post, trained.options.plate.as_deref()).map_err(AmortizeError::from)?;
        let ((plate, assigned), at) = (chosen, rows.0);
        let input = post.row_input(plate, &assigned);
        // Rows without covariates of their own are alike: each call draws all points many times.
        let own = input.elements[at].len();
        let alike = input.elements.iter().zip(&input.observed).all(|(e, n)| e.len() == *n && *n == own);
        let used: Vec<usize> = if alike { (0..all).collect() } else { vec![at] };
        let cut = post.rows(plate, &assigned);
        let mut places = vec![vec![]; all];
        cut.groups.into_iter().flat_map(|g| g.rows).for_each(|r| places[r.row] = r.coordinates);
        let element = |(d, e): &(usize, u32)| (post.data[*d].name.clone(), *e as usize);
        let names: Vec<Vec<Element>> = input.elements.iter().map(|row| row.iter().map(element).collect()).collect();
        let share = |k: usize| if steps > 1 { k as f64 / (steps - 1) as f64 } else { 0.0 };
        let point =
            |k: usize| Point { share: share(k), z: between(way, &a, &b, share(k)), data: vec![0.0; names[at].len()] };
        let mut points: Vec<Point> = (0..steps).map(point).collect();
        let mut counts = vec![0.0; steps];
        let compiled = Compiled::new(post);
        for call in 0..(AVERAGED * steps).div_ceil(used.len()) {
            let first = call * used.len();
            let mut x = vec![0.0; compiled.posterior.dim];
            for (k, r) in used.iter().enumerate() {
                let z = &points[(first + k) % steps].z;
                places[*r].iter().zip(z).for_each(|(p, z)| x[*p as usize] = *z);
            }
            let s = self.draw(&compiled, &x, seed, call as u64)?;
            for (k, r) in used.iter().enumerate() {
                let to = &mut points[(first + k) % steps].data;
                let value = |(name, e): &Element| s.data.get(name).map_or(f64::NAN, |raw| raw.values[*e]);
                to.iter_mut().zip(&names[*r]).for_each(|(to, n)| *to += value(n));
                counts[(first + k) % steps] += 1.0;
            }
        }
        points.iter_mut().zip(&counts).for_each(|(p, n)| p.data.iter_mut().for_each(|d| *d /= n));
        Ok(points)
    }

    /// Data simulated at unconstrained coordinates of all latents.
    fn draw(&self, compiled: &Compiled, x: &[f64], seed: u64, call: u64) -> Result<Simulated, WayError> {
        let layout = Layout::new(compiled);
        let arrays = Elements::group(&layout.names[..layout.latents]).unwrap_or_default();
        let mut values = vec![0.0; layout.width];
        compiled.values(x, &mut values, &mut vec![]);
        let row: Vec<f64> = layout.positions.iter().map(|&p| values[p]).collect();
        let given: Latents = arrays.iter().map(|e| (e.name.clone(), e.collect(&row))).collect();
        Ok(self.model.predict(self.data, self.settings, &mut Stream::new(seed, "interpolate", call), &given)?)
    }
}

/// Where the encoder's guide of a row puts the centre of its base.
fn centre(ev: &Evaluator<'_>, row: usize) -> Vec<f64> {
    ev.weights(row, &ev.encode(row), &vec![0.0; ev.dim(row)]).z
}

#[cfg(test)]
mod tests {
    use super::{Way, between};

    #[test]
    fn ways_begin_and_end_at_the_rows_and_the_circle_keeps_lengths() {
        let (a, b) = ([1.0, 0.0], [0.0, 1.0]);
        for way in [Way::Linear, Way::Spherical] {
            let ends = [between(way, &a, &b, 0.0), between(way, &a, &b, 1.0)].concat();
            let error = ends.iter().zip([1.0, 0.0, 0.0, 1.0]).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(error < 1e-15, "{ends:?}");
        }
        let half = between(Way::Spherical, &a, &b, 0.5);
        assert!((half[0].hypot(half[1]) - 1.0).abs() < 1e-15);
        assert_eq!(between(Way::Linear, &a, &b, 0.5), [0.5, 0.5]);
        assert_eq!(between(Way::Spherical, &a, &a, 0.5), a, "one direction: a straight line");
    }
}
