//! Between two rows: latents on a line or a great circle from one row's posterior to the other's, and the data they stand for.

use crate::base::rng::Stream;
use crate::model::compiled::Compiled;
use crate::model::data::DataFile;
use crate::model::posterior::{Model, ModelError, Settings};
use crate::model::simulate::Latents;
use crate::vi::plate::Evaluator;
use crate::workflow::amortize::{AmortizeError, Bound, Trained};
use crate::workflow::layout::{Elements, Layout};
use crate::workflow::plate::choose;

/// Data sets that are drawn and averaged for each point.
const AVERAGED: u64 = 200;

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
    /// stream (seed, "interpolate", draw).
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
        let seed = trained.options.seed;
        let post = self.model.bind_with(self.data, self.settings)?;
        let plate = choose(self.model, &post, trained.options.plate.as_deref()).map_err(AmortizeError::from)?;
        let (plate, at) = (plate.clone(), rows.0);
        let unseparable = |_| AmortizeError::from(crate::workflow::plate::PlateError::NoPlate);
        let assigned = post.assign(&plate).map_err(unseparable)?;
        let seen = post.row_input(&plate, &assigned).elements[at].clone();
        let names: Vec<(String, usize)> = seen.iter().map(|(d, e)| (post.data[*d].name.clone(), *e as usize)).collect();
        let coordinates = post.rows(&plate).map_err(unseparable)?;
        let mine = coordinates.groups.iter().flat_map(|g| &g.rows).find(|r| r.row == at);
        let places = mine.map_or(vec![], |r| r.coordinates.clone());
        let compiled = Compiled::new(post);
        let layout = Layout::new(&compiled);
        let arrays = Elements::group(&layout.names[..layout.latents]).unwrap_or_default();
        let mut points = vec![];
        for k in 0..steps {
            let share = if steps > 1 { k as f64 / (steps - 1) as f64 } else { 0.0 };
            let z = between(way, &a, &b, share);
            let mut x = vec![0.0; compiled.posterior.dim];
            places.iter().zip(&z).for_each(|(p, z)| x[*p as usize] = *z);
            let mut values = vec![0.0; layout.width];
            compiled.values(&x, &mut values, &mut vec![]);
            let row: Vec<f64> = layout.positions.iter().map(|&p| values[p]).collect();
            let given: Latents = arrays.iter().map(|e| (e.name.clone(), e.collect(&row))).collect();
            points.push(Point { share, z, data: self.mean(&given, &names, seed)? });
        }
        Ok(points)
    }

    /// Mean of elements of simulated data.
    fn mean(&self, given: &Latents, names: &[(String, usize)], seed: u64) -> Result<Vec<f64>, WayError> {
        let mut out = vec![0.0; names.len()];
        for draw in 0..AVERAGED {
            let mut rng = Stream::new(seed, "interpolate", draw);
            let s = self.model.predict(self.data, self.settings, &mut rng, given)?;
            for (to, (name, e)) in out.iter_mut().zip(names) {
                *to += s.data.get(name).map_or(f64::NAN, |r| r.values[*e]) / AVERAGED as f64;
            }
        }
        Ok(out)
    }
}

/// Where the encoder's guide of a row puts the centre of its base.
fn centre(ev: &Evaluator<'_>, row: usize) -> Vec<f64> {
    ev.weights(row, &ev.encode(row), &vec![0.0; ev.target.dim]).z
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
