//! Markov chain Monte Carlo on any [`Gradient`](crate::density::Gradient) target: static HMC and NUTS with warm-up.
//!
//! Reading order: [`state`] (points of a trajectory), [`metric`], [`integrator`], [`kernel`], [`hmc`], [`nuts`],
//! then warm-up ([`step_size`], [`estimate`], [`adapt`]) and the driver ([`config`], [`init`], [`sink`], [`account`], `chain`, `turns`, [`run`]).
//! With a flow: [`pullback`] (neural transport) and [`flow_mh`] (global moves between the local ones).

pub mod account;
pub mod adapt;
mod chain;
pub mod config;
pub mod error;
pub mod estimate;
pub mod flow_mh;
pub mod hmc;
pub mod init;
pub mod integrator;
pub mod kernel;
pub mod metric;
pub mod nuts;
pub mod pullback;
pub mod run;
pub mod sink;
pub mod state;
pub mod step_size;
mod turns;
mod vector;

#[cfg(test)]
mod tests;
