//! What can go wrong before an estimate exists.

use thiserror::Error;

/// An error of an estimator, always with what to do next.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Target, proposal or points have different numbers of coordinates.
    #[error("{what} has {found} coordinates, the target has {expected}; fit the proposal to this target")]
    Dimension {
        /// What does not fit.
        what: &'static str,
        /// Its number of coordinates.
        found: usize,
        /// Those of the target.
        expected: usize,
    },
    /// Fewer weights than an estimate with an error needs.
    #[error("{what}: {found} given, at least {needed} needed; draw more")]
    TooFew {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Chains of different lengths.
    #[error("chains have different lengths ({first} and {other}); hand over the same number of draws of each")]
    Ragged {
        /// Length of the first chain.
        first: usize,
        /// A length that differs.
        other: usize,
    },
    /// A part of a proposal that is no density.
    #[error(
        "the scale of the Student-t proposal must be a lower triangle of {expected} finite numbers with a positive \
         diagonal ({problem}); take it from a fit that ended well"
    )]
    Scale {
        /// Numbers needed.
        expected: usize,
        /// What is wrong.
        problem: String,
    },
    /// A mixture without usable weights.
    #[error("mixture weights must be positive and add up to 1; found {weights:?}")]
    MixtureWeights {
        /// The weights given.
        weights: Vec<f64>,
    },
}
