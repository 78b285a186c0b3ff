//! Rank-normalised split R-hat.

use crate::diagnostics::engine::Engine;

/// Potential scale reduction (Vehtari et al. 2021, section 4.1): the larger of the values for the ranks and for the
/// ranks of |x - median|. Above 1.01 the chains do not agree. NaN where undefined (see the module).
pub fn rhat(chains: &[&[f64]]) -> f64 {
    let mut engine = Engine::default();
    engine.load(chains);
    engine.rhat_and_bulk().0
}
