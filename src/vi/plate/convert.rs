//! Moves between doubles and the numbers that rows compute with.

use crate::base::simd::wide;
use crate::graph::program::Real;

/// Writes `from` to `to`, rounded to the numbers of the latter.
pub fn round<T: Real>(from: &[f64], to: &mut [T]) {
    wide(|| to.iter_mut().zip(from).for_each(|(to, x)| *to = T::from_f64(*x)));
}

/// Writes `from` to `to` as doubles.
pub fn widen<T: Real>(from: &[T], to: &mut [f64]) {
    wide(|| to.iter_mut().zip(from).for_each(|(to, x)| *to = x.to_f64()));
}

/// Adds `from` to `to`.
pub fn add<T: Real>(from: &[T], to: &mut [f64]) {
    wide(|| to.iter_mut().zip(from).for_each(|(to, x)| *to += x.to_f64()));
}

/// Places in a vector, as runs of neighbours: networks are read whole.
pub struct Runs(Vec<(usize, usize)>);

impl Runs {
    /// Of the places in their order.
    pub fn new(places: &[u32]) -> Runs {
        let mut runs: Vec<(usize, usize)> = vec![];
        for &p in places {
            match runs.last_mut() {
                Some((start, len)) if *start + *len == p as usize => *len += 1,
                _ => runs.push((p as usize, 1)),
            }
        }
        Runs(runs)
    }

    /// Writes the numbers at the places to `to`, rounded.
    pub fn read<T: Real>(&self, from: &[f64], to: &mut [T]) {
        let mut at = 0;
        for &(start, len) in &self.0 {
            round(&from[start..start + len], &mut to[at..at + len]);
            at += len;
        }
    }

    /// Adds numbers to what is at the places.
    pub fn add<T: Real>(&self, from: &[T], to: &mut [f64]) {
        let mut at = 0;
        for &(start, len) in &self.0 {
            add(&from[at..at + len], &mut to[start..start + len]);
            at += len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_read_and_add_at_their_places() {
        let runs = Runs::new(&[4, 5, 6, 0, 9, 9]);
        assert_eq!(runs.0, [(4, 3), (0, 1), (9, 1), (9, 1)]);
        let from: Vec<f64> = (0..10).map(f64::from).collect();
        let mut to = [0f32; 6];
        runs.read(&from, &mut to);
        assert_eq!(to, [4.0, 5.0, 6.0, 0.0, 9.0, 9.0]);
        let mut sum = [0.0; 10];
        runs.add(&to, &mut sum);
        assert_eq!(sum, [0.0, 0.0, 0.0, 0.0, 4.0, 5.0, 6.0, 0.0, 0.0, 18.0]);
    }
}
