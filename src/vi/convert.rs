//! Moves between doubles and the numbers that networks compute with.

use crate::base::simd::{Loop, wide};
use crate::graph::program::Real;

/// `to[i] = f(to[i], from[i])`
struct Pairs<'a, A, B, F> {
    to: &'a mut [A],
    from: &'a [B],
    f: F,
}

impl<A: Copy, B: Copy, F: Fn(A, B) -> A> Loop for Pairs<'_, A, B, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.to.iter_mut().zip(self.from).for_each(|(to, x)| *to = (self.f)(*to, *x));
    }
}

/// Writes `from` to `to`, rounded to the numbers of the latter.
pub fn round<T: Real>(from: &[f64], to: &mut [T]) {
    wide(Pairs { to, from, f: |_, x| T::from_f64(x) });
}

/// Writes `from` to `to` as doubles.
pub fn widen<T: Real>(from: &[T], to: &mut [f64]) {
    wide(Pairs { to, from, f: |_, x: T| x.to_f64() });
}

/// Writes `share · from` to `to`, or adds it to what is there.
pub fn scale<T: Real>(from: &[T], share: T, to: &mut [T], first: bool) {
    if first {
        wide(Pairs { to, from, f: |_, x| share * x });
    } else {
        wide(Pairs { to, from, f: |y, x| y + share * x });
    }
}

/// Adds `from` to `to`.
pub fn add<A: Real, B: Real>(from: &[A], to: &mut [B]) {
    wide(Pairs { to, from, f: |y: B, x: A| y + B::from_f64(x.to_f64()) });
}

/// Places among params and, behind them, shared values, as runs of neighbours: networks are read whole.
pub struct Runs {
    runs: Vec<(usize, usize)>,
    params: usize,
}

impl Runs {
    /// Of the places in their order.
    pub fn new(places: &[u32], params: usize) -> Runs {
        let mut runs: Vec<(usize, usize)> = vec![];
        for p in places.iter().map(|p| *p as usize) {
            match runs.last_mut() {
                Some((start, len)) if *start + *len == p && p != params => *len += 1,
                _ => runs.push((p, 1)),
            }
        }
        Runs { runs, params }
    }

    /// The numbers at the places where these are one run of params, which needs no copy.
    pub fn one<'p, T>(&self, params: &'p [T]) -> Option<&'p [T]> {
        match self.runs[..] {
            [(start, len)] if start < self.params => params.get(start..start + len),
            _ => None,
        }
    }

    /// Whether the places are those of all params, in their order.
    pub fn is_all(&self) -> bool {
        self.runs == [(0, self.params)]
    }

    /// Writes the numbers at the places to `to`, shared values rounded.
    pub fn read<T: Real>(&self, params: &[T], shared: &[f64], mut to: &mut [T]) {
        for &(start, len) in &self.runs {
            let (part, rest) = to.split_at_mut(len);
            match start.checked_sub(self.params) {
                None => part.copy_from_slice(&params[start..start + len]),
                Some(start) => round(&shared[start..start + len], part),
            }
            to = rest;
        }
    }

    /// Adds numbers to what is at the places.
    pub fn add<T: Real>(&self, mut from: &[T], params: &mut [T], shared: &mut [f64]) {
        for &(start, len) in &self.runs {
            let (part, rest) = from.split_at(len);
            match start.checked_sub(self.params) {
                None => add(part, &mut params[start..start + len]),
                Some(start) => add(part, &mut shared[start..start + len]),
            }
            from = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_read_and_add_at_their_places() {
        let runs = Runs::new(&[4, 5, 6, 0, 9, 9], 6);
        assert_eq!(runs.runs, [(4, 2), (6, 1), (0, 1), (9, 1), (9, 1)]);
        let mut to = [0f32; 6];
        assert_eq!(runs.one(&[0f32; 6]), None);
        assert!(
            Runs::new(&[0, 1, 2], 3).is_all()
                && !Runs::new(&[0, 1], 3).is_all()
                && !Runs::new(&[0, 1, 2, 3], 3).is_all()
        );
        assert_eq!(Runs::new(&[2, 3], 6).one(&[0, 1, 2, 3, 4, 5]), Some(&[2, 3][..]));
        assert_eq!(Runs::new(&[6, 7], 6).one(&[0; 6]), None);
        runs.read(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0], &mut to);
        assert_eq!(to, [4.0, 5.0, 6.0, 0.0, 9.0, 9.0]);
        let (mut params, mut shared) = ([0.5f32; 6], [0.0; 4]);
        runs.add(&to, &mut params, &mut shared);
        assert_eq!(params, [0.5, 0.5, 0.5, 0.5, 4.5, 5.5]);
        assert_eq!(shared, [6.0, 0.0, 0.0, 18.0]);
    }
}
