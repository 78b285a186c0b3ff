//! Minibatches of rows.

use crate::base::rng::Stream;

/// Epochs without replacement, each in an order drawn from (seed, "plate/epoch", epoch); the last minibatch of an epoch
/// holds what remains.
pub struct Epochs<'a> {
    rows: &'a [usize],
    batch: usize,
    seed: u64,
    /// The epoch whose order is known.
    epoch: Option<usize>,
    order: Vec<usize>,
}

impl<'a> Epochs<'a> {
    /// Of minibatches of `batch` of the rows, of which there is at least one.
    pub fn new(rows: &'a [usize], batch: usize, seed: u64) -> Epochs<'a> {
        Epochs { rows, batch: batch.clamp(1, rows.len().max(1)), seed, epoch: None, order: vec![] }
    }

    /// Rows of an epoch.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Rows of minibatch `step`.
    pub fn minibatch(&mut self, step: usize) -> &[usize] {
        let per = self.rows.len().div_ceil(self.batch).max(1);
        let (epoch, at) = (step / per, step % per);
        if self.epoch != Some(epoch) {
            self.shuffle(epoch, per > 1);
        }
        &self.order[at * self.batch..((at + 1) * self.batch).min(self.order.len())]
    }

    fn shuffle(&mut self, epoch: usize, mix: bool) {
        self.epoch = Some(epoch);
        self.order.clear();
        self.order.extend_from_slice(self.rows);
        if mix {
            let mut rng = Stream::new(self.seed, "plate/epoch", epoch as u64);
            for k in (1..self.order.len()).rev() {
                self.order.swap(k, ((k + 1) as f64 * rng.uniform()) as usize);
            }
        }
    }
}
