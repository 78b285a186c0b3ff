//! Where the steps of a loop lie: rows of the plate around it, steps, elements of the arrays they fill.

use super::index::Positions;

/// The steps of a loop under each row of the plate around it. Rows may have different numbers of steps.
#[derive(Clone, Debug)]
pub struct Track {
    /// First of the loop's rows under each outer row.
    starts: Vec<usize>,
    /// Steps under each outer row.
    counts: Vec<usize>,
    /// Steps of the longest row.
    pub len: usize,
}

impl Track {
    /// A loop with these numbers of steps.
    pub fn new(counts: &[usize]) -> Track {
        let starts = counts.iter().scan(0, |next, n| Some(std::mem::replace(next, *next + n))).collect();
        Track { starts, counts: counts.to_vec(), len: counts.iter().copied().max().unwrap_or(0) }
    }

    /// Rows of the plate around the loop.
    pub fn rows(&self) -> usize {
        self.counts.len()
    }

    /// True where some row ends before others.
    pub fn is_ragged(&self) -> bool {
        self.counts.iter().any(|n| *n != self.len)
    }

    /// For each step the loop's row of each outer row. A row that has ended repeats its last step, one
    /// without steps the first of another.
    pub fn by_step(&self) -> impl Iterator<Item = usize> {
        let row = |t: usize, r: usize| match self.counts[r] {
            0 => 0,
            n => self.starts[r] + t.min(n - 1),
        };
        (0..self.len).flat_map(move |t| (0..self.rows()).map(move |r| row(t, r)))
    }

    /// For each of the loop's rows its step and outer row.
    pub fn by_row(&self) -> impl Iterator<Item = (usize, usize)> {
        self.counts.iter().enumerate().flat_map(|(r, n)| (0..*n).map(move |t| (t, r)))
    }

    /// For each step and outer row, 1 while the row still runs.
    pub fn running(&self) -> Vec<f64> {
        let on = |t: usize| self.counts.iter().map(move |n| if t < *n { 1.0 } else { 0.0 });
        (0..self.len).flat_map(on).collect()
    }

    /// The value that all rows have at the first step, and the steps at which it is another than before; `None`
    /// where rows disagree within a step. `value` gives that of a row of the loop.
    pub fn changes(&self, value: impl Fn(usize) -> f64) -> Option<(f64, Vec<usize>)> {
        let mut by_step: Vec<Option<f64>> = vec![None; self.len];
        for (j, (t, _)) in self.by_row().enumerate() {
            let x = value(j);
            if *by_step[t].get_or_insert(x) != x {
                return None;
            }
        }
        let first = (*by_step.first()?)?;
        Some((first, (1..self.len).filter(|&t| by_step[t] != by_step[t - 1]).collect()))
    }
}

/// The elements of an array that a loop fills: at each step a block of neighbours, `stride` elements after
/// that of the step before.
#[derive(Clone, Debug)]
pub struct Lattice {
    /// As the fill statement names them.
    pub target: Positions,
    /// Element of the first step under each outer row.
    starts: Vec<Option<i64>>,
    stride: i64,
}

impl Lattice {
    /// The lattice of `target`, where its elements form one.
    pub fn new(target: Positions, track: &Track) -> Option<Lattice> {
        let unit: usize = target.dims.iter().product();
        if unit == 0 {
            return None;
        }
        let first = |j: usize| target.table[j * unit] as i64;
        let long = (0..track.rows()).find(|&r| track.counts[r] > 1)?;
        let stride = first(track.starts[long] + 1) - first(track.starts[long]);
        if stride.unsigned_abs() < unit as u64 {
            return None;
        }
        let starts: Vec<Option<i64>> =
            (0..track.rows()).map(|r| (track.counts[r] > 0).then(|| first(track.starts[r]))).collect();
        let mut blocks = track.by_row().zip(target.table.chunks(unit));
        let regular = blocks.all(|((t, r), block)| {
            let at = starts[r].unwrap_or(0) + t as i64 * stride;
            block.iter().enumerate().all(|(o, e)| *e as i64 == at + o as i64)
        });
        regular.then_some(Lattice { target, starts, stride })
    }

    /// How many steps before the current one a read reaches, and the elements within the block that it
    /// reads: the same at every step of every row that is `taken`. `elements` are those of the loop's rows in order.
    pub fn lag(
        &self,
        track: &Track,
        elements: &[u32],
        width: usize,
        taken: impl Fn(usize) -> bool,
    ) -> Option<(i64, Vec<u32>)> {
        let unit: i64 = self.target.dims.iter().product::<usize>() as i64;
        let locate = |e: u32, (t, r): (usize, usize)| {
            let d = e as i64 - self.starts[r].unwrap_or(0);
            (t as i64 - d.div_euclid(self.stride), d.rem_euclid(self.stride))
        };
        let all = track.by_row().zip(elements.chunks(width.max(1))).enumerate();
        let mut rows = all.filter(|(j, _)| taken(*j)).map(|(_, row)| row).peekable();
        let (at, block) = rows.peek()?;
        let lag = locate(*block.first()?, *at).0;
        let offsets: Vec<u32> = block.iter().map(|e| locate(*e, *at).1 as u32).collect();
        let mut fits = |(at, block): ((usize, usize), &[u32])| {
            block.iter().zip(&offsets).all(|(e, o)| locate(*e, at) == (lag, *o as i64) && (*o as i64) < unit)
        };
        rows.all(&mut fits).then_some((lag, offsets))
    }

    /// Elements of the block `lag` steps before the first, for each outer row (another one's where a row
    /// has no steps).
    pub fn before(&self, lag: usize) -> Option<Vec<u32>> {
        let unit: usize = self.target.dims.iter().product();
        let any = self.starts.iter().flatten().next()?;
        let blocks = self.starts.iter().map(|s| s.unwrap_or(*any) - lag as i64 * self.stride);
        blocks.flat_map(|at| (0..unit as i64).map(move |o| u32::try_from(at + o).ok())).collect()
    }
}
