//! The numbers of a group's rows side by side, in the precision of the steps: a minibatch copies whole rows.

use super::target::Group;
use crate::graph::program::Real;
use crate::vi::convert::round;

/// What encoders read of each row of a group, and the data of its density.
pub struct Numbers<T> {
    seen: Table<T>,
    data: Table<T>,
    inner: Table<T>,
}

/// Rows of equal width, one after another.
struct Table<T> {
    all: Vec<T>,
    width: usize,
}

impl<T: Real> Numbers<T> {
    /// Of all rows of a group, rounded.
    pub fn new(group: &Group) -> Numbers<T> {
        Numbers {
            seen: Table::new(group.rows.iter().map(|r| &r.seen[..])),
            data: Table::new(group.rows.iter().map(|r| &r.data[..])),
            inner: Table::new(group.rows.iter().map(|r| &r.inner[..])),
        }
    }

    /// Writes what the encoder reads, the data, and what the encoders of rows inside read, of the rows at `places` of the group, to
    /// tables with room for `n` rows. Empty places hold the first row, whose numbers are fine: a weight of 0 does not undo a NaN.
    pub fn gather(&self, places: impl Iterator<Item = usize> + Clone, [seen, data, inner]: [&mut [T]; 3]) {
        self.seen.gather(places.clone(), seen);
        self.data.gather(places.clone(), data);
        self.inner.gather(places, inner);
    }
}

impl<T: Real> Table<T> {
    fn new<'r>(rows: impl Iterator<Item = &'r [f64]> + Clone) -> Table<T> {
        let width = rows.clone().next().map_or(0, |r| r.len());
        let mut all = vec![T::default(); width * rows.clone().count()];
        all.chunks_exact_mut(width.max(1)).zip(rows).for_each(|(to, row)| round(row, to));
        Table { all, width }
    }

    fn gather(&self, places: impl Iterator<Item = usize>, to: &mut [T]) {
        let rows = to.chunks_exact_mut(self.width.max(1));
        let used =
            rows.zip(places).map(|(to, k)| to.copy_from_slice(&self.all[k * self.width..][..self.width])).count();
        repeat(to, used, self.width);
    }
}

/// Copies the first row to the places behind the first `used`.
pub fn repeat<T: Real>(x: &mut [T], used: usize, width: usize) {
    if width == 0 || used == 0 {
        return;
    }
    let (first, rest) = x.split_at_mut(width);
    rest.chunks_exact_mut(width).skip(used - 1).for_each(|c| c.copy_from_slice(first));
}
