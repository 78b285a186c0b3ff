//! What a user does with a model, callable from the library: sample, summarise, judge.

pub mod fit;
pub mod layout;
pub mod locate;
pub mod predict;
pub mod sample;
pub mod simulate;
pub mod store;
pub mod verdict;
