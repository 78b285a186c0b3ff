//! What a user does with a model, callable from the library: check, sample, summarise, judge; `run` does all of it.

pub mod amortize;
pub mod amortized_file;
pub mod behind;
pub mod collapse;
pub mod describe;
mod draws;
pub mod evidence;
pub mod fit;
pub mod gap;
pub mod gradient;
pub mod guide_file;
pub mod importance;
pub mod interpolate;
pub mod ladder;
pub mod layout;
pub mod locate;
pub mod method;
pub mod plate;
pub mod predict;
pub mod row_bounds;
pub mod run;
pub mod sample;
pub mod simulate;
pub mod start;
pub mod store;
pub mod verdict;
mod warm;
