//! How far draws and weights can be trusted: R-hat, effective sample sizes, Monte Carlo errors, E-BFMI, PSIS.
//!
//! Input is plain slices, `chains[c][i]` being draw `i` of chain `c` of one scalar quantity. Methods and edge cases
//! are those of Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021) as in the R package posterior.
//! Results are NaN where the quantity has no meaning: draws that are not all finite, constant draws,
//! or fewer than four draws per chain. A chain with an odd number of draws loses its middle one when split.

pub mod autocov;
pub mod energy;
pub mod ess;
pub mod mcse;
pub mod psis;
pub mod rhat;
pub mod split;
pub mod summary;

#[cfg(test)]
mod tests;
