//! The marginal likelihood as an interval: estimators from both sides, and their sandwich.
//!
//! Everything rests on log weights log w(x) = log p(x) - log q(x), p being the unnormalised target with mass Z and q a
//! normalised proposal: at draws from q ([`weights::drawn`]) and at draws from the posterior ([`weights::at`]). From
//! these two arrays come importance sampling ([`importance`]), the lower bounds L_K and the upper bounds U_K
//! ([`bounds`]), bridge sampling ([`bridge`]), and the verdict that joins them ([`sandwich`]); [`run`] does all of
//! it. Proposals are defensive mixtures ([`mixture`]) with a Student-t component ([`student`]).

pub mod bounds;
pub mod bridge;
pub mod error;
pub mod estimate;
pub mod importance;
pub mod mixture;
pub mod run;
pub mod sandwich;
pub mod student;
pub mod weights;

#[cfg(test)]
mod tests;
