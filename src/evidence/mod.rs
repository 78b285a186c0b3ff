//! The marginal likelihood as an interval: estimators from both sides, and their sandwich.
