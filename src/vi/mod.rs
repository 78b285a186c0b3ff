//! Variational inference: objectives, their gradient estimators, and the training loop.

mod adam;
mod convert;
pub mod ladder;
pub mod objective;
pub mod plate;
pub mod refine;
pub mod step;
mod steps;
pub mod train;

pub use ladder::{Climb, Ladder, Report, Rung, climb, rungs};
pub use objective::{Estimator, Objective};
pub use refine::{Refine, RefineError, Refined, refine};
pub use step::{Bound, Engine, Trouble};
pub use train::{Control, Settings, State, TrainError, Trained, train};

#[cfg(test)]
mod tests;
