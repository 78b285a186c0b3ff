//! Variational inference: objectives, their gradient estimators, and the training loop.

mod adam;
pub mod objective;
pub mod step;
pub mod train;

pub use objective::{Estimator, Objective};
pub use step::{Bound, Engine, Trouble};
pub use train::{Control, Settings, State, TrainError, Trained, train};

#[cfg(test)]
mod tests;
