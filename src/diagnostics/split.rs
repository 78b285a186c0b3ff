//! Halving chains, ranks and folds: what R-hat and effective sample size are computed from.

use statrs::distribution::{ContinuousCDF, Normal};

/// Fewest draws per chain for which the diagnostics are defined.
pub const MIN_DRAWS: usize = 4;

/// Whether the draws can be judged at all: at least one chain, equal lengths of at least [`MIN_DRAWS`],
/// all finite, not all equal.
pub fn usable(chains: &[&[f64]]) -> bool {
    let Some(first) = chains.first() else { return false };
    first.len() >= MIN_DRAWS
        && chains.iter().all(|c| c.len() == first.len())
        && chains.iter().all(|c| c.iter().all(|x| x.is_finite()))
        && chains.iter().any(|c| c.iter().any(|&x| x != first[0]))
}

/// First and second half of each chain; the middle draw of an odd number is dropped.
pub fn halves<'a>(chains: &[&'a [f64]]) -> Vec<&'a [f64]> {
    let mut out = Vec::with_capacity(2 * chains.len());
    for c in chains {
        out.push(&c[..c.len() / 2]);
        out.push(&c[c.len() - c.len() / 2..]);
    }
    out
}

/// Replaces all draws by normal scores Phi^-1((r - 3/8) / (S + 1/4)) of their pooled ranks r, ties sharing the mean
/// rank (Vehtari et al. 2021, eq 14). Chains follow one another in the result.
pub fn normal_scores(chains: &[&[f64]]) -> Vec<f64> {
    let pooled: Vec<f64> = chains.iter().flat_map(|c| c.iter().copied()).collect();
    let total = pooled.len();
    let mut order: Vec<(f64, u32)> = pooled.iter().enumerate().map(|(i, &x)| (x, i as u32)).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let normal = Normal::standard();
    let mut scores = pooled;
    let mut i = 0;
    while i < total {
        let mut j = i + 1;
        while j < total && order[j].0 == order[i].0 {
            j += 1;
        }
        // Ranks i+1..=j share their mean.
        let rank = 0.5 * (i + 1 + j) as f64;
        let z = normal.inverse_cdf((rank - 0.375) / (total as f64 + 0.25));
        for &(_, at) in &order[i..j] {
            scores[at as usize] = z;
        }
        i = j;
    }
    scores
}

/// |x - median| of the pooled draws, chains following one another (the folded draws of section 4.1).
pub fn folded(chains: &[&[f64]]) -> Vec<f64> {
    let mut sorted: Vec<f64> = chains.iter().flat_map(|c| c.iter().copied()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = crate::diagnostics::summary::sorted_quantile(&sorted, 0.5);
    chains.iter().flat_map(|c| c.iter().map(move |x| (x - median).abs())).collect()
}

/// Cuts draws that follow one another into chains of `draws`.
pub fn chunks(all: &[f64], draws: usize) -> Vec<&[f64]> {
    all.chunks_exact(draws).collect()
}
