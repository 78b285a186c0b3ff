//! How far draws and weights can be trusted: R-hat, effective sample sizes, Monte Carlo errors, E-BFMI, PSIS.
//!
//! Input is plain slices, `chains[c][i]` being draw `i` of chain `c` of one scalar quantity; all chains have the same
//! length. Methods and edge cases are those of Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021) as in the R
//! package posterior and in ArviZ. A result is NaN where the quantity has no meaning: draws that are not all finite,
//! constant draws, chains of different lengths, or fewer than [`MIN_DRAWS`](engine::MIN_DRAWS) draws per chain.
//! A chain with an odd number of draws loses its middle one when it is split.
//!
//! Reading order: [`autocov`], [`order`], [`engine`] (what everything else is computed with), [`rhat`], [`ess`],
//! [`mcse`], [`summary`]; [`energy`] and [`psis`] stand alone, [`weighted`] builds on the latter.

pub mod autocov;
pub mod energy;
pub mod engine;
pub mod ess;
pub mod mcse;
pub mod order;
pub mod psis;
pub mod rhat;
pub mod summary;
pub mod weighted;
