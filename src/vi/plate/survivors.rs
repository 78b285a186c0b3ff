//! Fewer draws for the gradient than for the bound.
//!
//! The gradient of IWAE-K is Σ_k ŵ_k ∇ log w_k, and each draw's share of it costs twice what its weight costs. So all K draws
//! give the bound, and M of them its gradient, chosen by the selection of Fearnhead & Clifford (2003, section 3): with c the
//! solution of Σ_k min(1, ŵ_k / c) = M a draw survives with probability p_k = min(1, ŵ_k / c) and then counts ŵ_k / p_k =
//! max(ŵ_k, c). Every sum Σ_k ŵ_k f_k keeps its mean, and no unbiased selection of M draws changes the weights by less squared error.

use crate::graph::program::Real;
use crate::vi::objective::Objective;

/// A draw that survives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Survivor {
    /// Its place among the draws of its row.
    pub at: usize,
    /// ŵ, its share of the weights of all draws.
    pub share: f64,
    /// ŵ / p, what it counts.
    pub counts: f64,
}

/// How many of a row's draws give the gradient: of K draws 2 √K where that saves a quarter of the work at least, with a
/// draw's derivative (and its weight, computed again) three times the work of its weight; all of them elsewhere.
pub fn survivors(objective: Objective) -> usize {
    let k = objective.particles();
    let m = (2.0 * (k as f64).sqrt()).ceil() as usize;
    if 4 * (k + 3 * m) <= 3 * (3 * k) { m } else { k }
}

/// Shares of weights, for one row after another.
#[derive(Default)]
pub struct Selection {
    shares: Vec<f64>,
}

impl Selection {
    /// Chooses among draws with log weights `log_w`, with `uniform` from [0, 1), as many as `out` has places. Where fewer have
    /// any weight, the rest are copies that count nothing; so are all where a weight is not a number or none is above zero.
    pub fn choose<T: Real>(&mut self, log_w: &[T], uniform: f64, out: &mut [Survivor]) {
        out.fill(Survivor::default());
        let top = log_w.iter().fold(f64::NEG_INFINITY, |m, w| m.max(w.to_f64()));
        self.shares.clear();
        self.shares.extend(log_w.iter().map(|w| (w.to_f64() - top).exp()));
        let total: f64 = self.shares.iter().sum();
        if !total.is_finite() {
            return;
        }
        self.shares.iter_mut().for_each(|w| *w /= total);
        let (c, sure) = threshold(&self.shares, out.len());
        // Systematic sampling below c: place j falls to the draw in which the running sum of probabilities passes uniform + j.
        let (mut passed, mut below, mut used) = (0.0, 0, 0);
        for (at, &share) in self.shares.iter().enumerate() {
            // By rounding alone shares of nearly c can all be above it; then there is no place for the others.
            if used == out.len() {
                break;
            }
            let counts = share.max(c);
            if share <= c && share > 0.0 {
                passed += share / c;
                if passed <= uniform + below as f64 || sure + below == out.len() {
                    continue;
                }
                below += 1;
            }
            if share > 0.0 {
                out[used] = Survivor { at, share, counts };
                used += 1;
            }
        }
        let spare = Survivor { share: 0.0, counts: 0.0, ..out[0] };
        out[used..].fill(spare);
    }
}

/// c with Σ min(1, ŵ_k / c) = m, and how many shares are above it. Each round lowers c by the shares that are above it.
fn threshold(shares: &[f64], m: usize) -> (f64, usize) {
    let (mut c, mut sure) = (f64::INFINITY, 0);
    loop {
        let above = shares.iter().filter(|w| **w > c).count();
        let rest: f64 = shares.iter().filter(|w| **w <= c).sum();
        if above >= m || (above == sure && c.is_finite()) {
            return (c, sure);
        }
        (c, sure) = (rest / (m - above) as f64, above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Stream;
    use crate::vi::objective::Estimator;

    fn weights(k: usize, spread: f64) -> Vec<f64> {
        let mut x = vec![0.0; k];
        Stream::new(3, "weights", k as u64).fill_normal(&mut x);
        x.iter().map(|x| spread * x - 1000.0).collect()
    }

    fn shares(log_w: &[f64]) -> Vec<f64> {
        let total: f64 = log_w.iter().map(|w| (w + 1000.0).exp()).sum();
        log_w.iter().map(|w| (w + 1000.0).exp() / total).collect()
    }

    /// Over a fine grid of the uniform number the mean count of every draw is its share: exact up to the grid.
    #[test]
    fn what_draws_count_has_their_shares_as_its_mean() {
        for (k, m, spread) in [(50, 15, 0.1), (50, 15, 1.0), (50, 15, 4.0), (25, 10, 2.0), (400, 40, 3.0)] {
            let log_w = weights(k, spread);
            let (mut mean, mut s) = (vec![0.0; k], Selection::default());
            let mut out = vec![Survivor::default(); m];
            let n = 4000;
            for j in 0..n {
                s.choose(&log_w, (j as f64 + 0.5) / n as f64, &mut out);
                let full = out.iter().filter(|o| o.counts > 0.0).count();
                assert_eq!(full, m, "as many as asked for, K {k} spread {spread}");
                assert!(out.windows(2).all(|o| o[0].at < o[1].at), "none twice");
                out.iter().for_each(|o| mean[o.at] += o.counts / n as f64);
            }
            for (mean, share) in mean.iter().zip(shares(&log_w)) {
                assert!((mean - share).abs() < 1e-3 / m as f64, "K {k} spread {spread}: {mean} {share}");
            }
        }
    }

    #[test]
    fn the_threshold_solves_its_equation() {
        for (k, m, spread) in [(50, 15, 0.1), (50, 15, 2.0), (50, 15, 9.0), (400, 40, 3.0), (7, 1, 1.0)] {
            let w = shares(&weights(k, spread));
            let c = threshold(&w, m).0;
            let sum: f64 = w.iter().map(|w| (w / c).min(1.0)).sum();
            assert!((sum - m as f64).abs() < 1e-9, "K {k} M {m} spread {spread}: {sum}");
        }
    }

    #[test]
    fn few_weights_and_no_weights_leave_places_that_count_nothing() {
        let mut out = [Survivor::default(); 3];
        let mut s = Selection::default();
        let none = f64::NEG_INFINITY;
        s.choose(&[none, 2.0, none, none, 2.0], 0.3, &mut out);
        assert_eq!(out.map(|o| (o.at, o.counts)), [(1, 0.5), (4, 0.5), (1, 0.0)]);
        for bad in [none, f64::NAN, f64::INFINITY] {
            s.choose(&[bad; 5], 0.3, &mut out);
            assert!(out.iter().all(|o| o.counts == 0.0 && o.share == 0.0));
        }
    }

    /// As many equal weights as places, and others that are next to nothing: the threshold is a weight up to rounding.
    #[test]
    fn equal_weights_fill_the_places_and_no_more() {
        for m in 1..40 {
            for tiny in [-25.0, -33.0, -36.0] {
                let mut log_w = vec![0.1; m];
                log_w.extend([tiny; 60]);
                let mut out = vec![Survivor::default(); m];
                for uniform in [1e-16, 1e-12, 0.3, 1.0 - 1e-16] {
                    Selection::default().choose(&log_w, uniform, &mut out);
                    // A place that rounding leaves empty is worth 1/m.
                    let total: f64 = out.iter().map(|o| o.counts).sum();
                    assert!((total - 1.0).abs() < 1e-6 + 1.0 / m as f64, "{m} {tiny} {uniform}: {total}");
                }
            }
        }
    }

    #[test]
    fn a_few_draws_all_give_the_gradient() {
        let of = |k| survivors(Objective::Iwae { k, estimator: Estimator::Path });
        assert_eq!([1, 5, 20, 25, 50, 100, 5000].map(of), [1, 5, 20, 10, 15, 20, 142]);
        assert_eq!(survivors(Objective::Elbo(Estimator::Path)), 1);
    }
}
