//! What can go wrong before or during a run.

use std::fmt::Write;
use thiserror::Error;

/// An error of the sampler, always with what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum McmcError {
    /// A setting outside its range.
    #[error("setting `{field}` is {value}; expected {expected}")]
    Config {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// A slice of the wrong length was handed over.
    #[error("{what} has length {found}; expected {expected}")]
    Length {
        /// What was handed over.
        what: String,
        /// Its length.
        found: usize,
        /// The length needed.
        expected: usize,
    },
    /// The target has no coordinates.
    #[error("the target has no coordinates, so there is nothing to sample; evaluate its density instead")]
    NoCoordinates,
    /// No starting point with a finite log density and gradient.
    #[error(
        "chain {}: no usable starting point in {tries} tries: log density {logp}, {}; \
         give initial values inside the support or check the model at them",
        .chain + 1,
        list(.coordinates)
    )]
    Init {
        /// Chain number, from 0.
        chain: usize,
        /// Number of points tried.
        tries: usize,
        /// Log density of the last point tried.
        logp: f64,
        /// Coordinates whose gradient was not finite at the last point tried.
        coordinates: Vec<usize>,
    },
    /// The search for a first step size ran away.
    #[error(
        "chain {}: no usable step size (search stopped at {step_size:e}); {}",
        .chain + 1,
        step_hint(*.step_size)
    )]
    StepSize {
        /// Chain number, from 0.
        chain: usize,
        /// Where the search stopped.
        step_size: f64,
    },
    /// A sink refused a draw.
    #[error("chain {}: could not store draw {}: {source}", .chain + 1, .iteration + 1)]
    Sink {
        /// Chain number, from 0.
        chain: usize,
        /// Iteration of the draw, from 0.
        iteration: usize,
        /// The cause.
        source: std::io::Error,
    },
    /// The worker threads could not be started.
    #[error("could not start {threads} worker threads: {message}; ask for fewer threads")]
    Threads {
        /// Number of threads asked for.
        threads: usize,
        /// The system's message.
        message: String,
    },
}

fn list(bad: &[usize]) -> String {
    const SHOWN: usize = 8;
    if bad.is_empty() {
        return "all gradient coordinates finite".into();
    }
    let mut text = String::from("gradient not finite in coordinates");
    for (n, j) in bad.iter().take(SHOWN).enumerate() {
        let _ = write!(text, "{} {j}", if n > 0 { "," } else { "" });
    }
    if bad.len() > SHOWN {
        let _ = write!(text, " and {} more", bad.len() - SHOWN);
    }
    text
}

fn step_hint(step_size: f64) -> &'static str {
    if step_size > 1.0 {
        "the density does not fall off, so it is probably improper: give every parameter a proper prior"
    } else {
        "the density or its gradient is discontinuous or wrong near the starting point: check the gradient there"
    }
}
