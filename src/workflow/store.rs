//! Draws of one chain: constrained values in memory, column by column, and on disk as they come.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use crate::density::Transport;
use crate::guide::Guide;
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
    /// The map behind which the sampler works.
    guide: Option<&'a Guide>,
    /// Positions in the posterior's coordinates, and in the map's, row after row.
    positions: Vec<f64>,
    base: Vec<f64>,
    /// Positions in the map's coordinates where trajectories diverged.
    divergent: Vec<Vec<f64>>,
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
    /// An empty store for at most `capacity` draws.
    pub fn new(
        compiled: &'a Compiled,
        layout: &'a Layout,
        predict: Option<&'a Predict<'a>>,
        guide: Option<&'a Guide>,
        seed: u64,
        capacity: usize,
        writer: Option<StanCsvWriter<File>>,
    ) -> Self {
        ChainStore {
            compiled,
            layout,
            predict,
            guide,
            positions: vec![],
            base: vec![],
            divergent: vec![],
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
        let (positions, base, divergent) = (self.positions, self.base, self.divergent);
        Ok(Columns { data: self.columns, capacity: self.capacity, len: self.len, positions, base, divergent })
    }
}

impl Sink for ChainStore<'_> {
    fn draw(&mut self, d: &Draw<'_>) -> io::Result<()> {
        let mut lp = d.logp;
        let start = self.positions.len();
        match self.guide {
            None => self.positions.extend_from_slice(d.x),
            Some(guide) => {
                self.scratch.resize(self.scratch.len().max(Transport::scratch(guide)), 0.0);
                self.positions.resize(start + d.x.len(), 0.0);
                lp -= guide.forward(d.x, &mut self.positions[start..], &mut self.scratch);
                self.base.extend_from_slice(d.x);
                if d.divergent {
                    self.divergent.push(d.x.to_vec());
                }
            }
        }
        self.compiled.values(&self.positions[start..], &mut self.values, &mut self.scratch);
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
            w.row(&nuts_row(&Draw { logp: lp, ..*d }).to_array(), &self.row).map_err(io::Error::other)?;
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
    /// Unconstrained coordinates of the posterior, draw after draw.
    pub positions: Vec<f64>,
    /// Coordinates behind the map, draw after draw; empty without a map.
    pub base: Vec<f64>,
    /// Coordinates behind the map at which trajectories diverged.
    pub divergent: Vec<Vec<f64>>,
}

impl Columns {
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
