//! Draws of one chain: constrained values in memory, column by column, and on disk as they come.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use crate::io::{IoError, NutsRow, StanCsvWriter};
use crate::mcmc::sink::{Draw, Sink};
use crate::model::compiled::Compiled;
use crate::workflow::layout::Layout;
use crate::workflow::predict::Predict;

/// Time after which draws are handed to the operating system.
const FLUSH: Duration = Duration::from_secs(1);

/// The sink of one chain.
pub struct ChainStore<'a> {
    compiled: &'a Compiled,
    layout: &'a Layout,
    predict: Option<&'a Predict<'a>>,
    /// Positions in the posterior's coordinates, row after row, where they are asked for.
    positions: Option<Vec<f64>>,
    seed: u64,
    scratch: Vec<f64>,
    values: Vec<f64>,
    row: Vec<f64>,
    /// Column-major, `capacity` numbers a column.
    columns: Vec<f64>,
    capacity: usize,
    len: usize,
    writer: Option<StanCsvWriter<File>>,
    flushed: Instant,
}

impl<'a> ChainStore<'a> {
    /// An empty store for at most `capacity` draws; with their unconstrained positions where they are asked for.
    pub fn new(
        compiled: &'a Compiled,
        layout: &'a Layout,
        predict: Option<&'a Predict<'a>>,
        seed: u64,
        capacity: usize,
        positions: bool,
        writer: Option<StanCsvWriter<File>>,
    ) -> Self {
        ChainStore {
            compiled,
            layout,
            predict,
            positions: positions.then(Vec::new),
            seed,
            scratch: vec![],
            values: vec![0.0; layout.width],
            row: vec![0.0; layout.names.len()],
            columns: vec![0.0; capacity * layout.names.len()],
            capacity,
            len: 0,
            writer,
            flushed: Instant::now(),
        }
    }

    /// Number of draws.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no draw.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Closes the file; returns the columns.
    pub fn finish(self) -> Result<Columns, IoError> {
        if let Some(w) = self.writer {
            w.finish()?;
        }
        let (positions, divergent) = (self.positions.unwrap_or_default(), vec![]);
        Ok(Columns { data: self.columns, capacity: self.capacity, len: self.len, positions, divergent })
    }
}

impl Sink for ChainStore<'_> {
    fn draw(&mut self, d: &Draw<'_>) -> io::Result<()> {
        if let Some(positions) = &mut self.positions {
            positions.extend_from_slice(d.x);
        }
        self.compiled.values(d.x, &mut self.values, &mut self.scratch);
        let computed = self.layout.positions.len();
        for (to, &at) in self.row.iter_mut().zip(&self.layout.positions) {
            *to = self.values[at];
        }
        if let Some(p) = self.predict {
            let index = ((d.chain as u64) << 40) + d.iteration as u64;
            let (known, drawn) = self.row.split_at_mut(computed);
            p.draw(self.seed, index, known, drawn).map_err(io::Error::other)?;
        }
        if self.len < self.capacity {
            for (j, v) in self.row.iter().enumerate() {
                self.columns[j * self.capacity + self.len] = *v;
            }
            self.len += 1;
        }
        if let Some(w) = &mut self.writer {
            w.row(&nuts_row(d).to_array(), &self.row).map_err(io::Error::other)?;
            // A run that is killed has lost no more than this.
            if self.flushed.elapsed() > FLUSH {
                w.flush().map_err(io::Error::other)?;
                self.flushed = Instant::now();
            }
        }
        Ok(())
    }
}

fn nuts_row(d: &Draw<'_>) -> NutsRow {
    NutsRow {
        lp: d.logp,
        accept_stat: d.accept,
        stepsize: d.step_size,
        treedepth: d.depth,
        n_leapfrog: d.leapfrogs,
        divergent: d.divergent,
        energy: d.energy,
    }
}

/// Values of one chain, column by column.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    data: Vec<f64>,
    capacity: usize,
    len: usize,
    /// Unconstrained coordinates of the posterior, draw after draw; empty where they were not asked for.
    pub positions: Vec<f64>,
    /// Coordinates behind the map at which trajectories diverged.
    pub divergent: Vec<Vec<f64>>,
}

impl Columns {
    /// From rows of `width` values.
    pub fn of_rows<'a>(width: usize, rows: impl ExactSizeIterator<Item = &'a [f64]>) -> Columns {
        let len = rows.len();
        let mut data = vec![0.0; len * width];
        for (i, row) in rows.enumerate() {
            row.iter().enumerate().for_each(|(j, v)| data[j * len + i] = *v);
        }
        Columns { data, capacity: len, len, ..Columns::default() }
    }

    /// Number of draws.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no draw.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All draws of value `j`.
    pub fn column(&self, j: usize) -> &[f64] {
        &self.data[j * self.capacity..j * self.capacity + self.len]
    }
}
