//! Energy Bayesian fraction of missing information.

use crate::diagnostics::summary::mean;

/// E-BFMI of one chain's energies: sum (E_n - E_(n-1))^2 / sum (E_n - mean)^2 (Betancourt 2016, section 3). Below 0.3
/// the momentum resampling explores the energies too slowly. NaN below three draws or for constant energies.
pub fn ebfmi(energy: &[f64]) -> f64 {
    if energy.len() < 3 {
        return f64::NAN;
    }
    let m = mean(energy);
    let jumps: f64 = energy.windows(2).map(|w| (w[1] - w[0]).powi(2)).sum();
    let spread: f64 = energy.iter().map(|e| (e - m).powi(2)).sum();
    if spread > 0.0 { jumps / spread } else { f64::NAN }
}
