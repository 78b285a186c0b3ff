//! Statistics of slices: sums in a fixed order, mergeable moments, log-sum-exp, quantiles.

use crate::base::simd::{self, Isa};

/// Length of a tile: the unit of every reduction.
pub const TILE: usize = 64;

/// Accumulators per tile.
const LANES: usize = 8;

/// Sum of one tile (at most [`TILE`] terms `term(i)`, `i < n`): 8 accumulators, term `i` into accumulator `i mod 8`,
/// folded as `((0+4)+(2+6)) + ((1+5)+(3+7))`.
#[inline(always)]
fn tile_sum(n: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut acc = [0.0; LANES];
    let whole = n - n % LANES;
    for i in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            acc[lane] += term(i + lane);
        }
    }
    for i in whole..n {
        acc[i - whole] += term(i);
    }
    folded(acc)
}

/// The accumulators of a tile added up.
#[inline(always)]
fn folded(acc: [f64; LANES]) -> f64 {
    let half = [acc[0] + acc[4], acc[1] + acc[5], acc[2] + acc[6], acc[3] + acc[7]];
    (half[0] + half[2]) + (half[1] + half[3])
}

/// Sum of numbers offered one by one as the leaves of a fixed binary tree.
///
/// Leaf `i` is the `i`-th value pushed; nodes of equal height are added as soon as both are there, and what
/// is left at the end is added from the last to the first. The order of additions depends on the
/// number of leaves only: threads that sum whole tiles and push the partial sums in tile order get the bits of
/// the serial sum.
#[derive(Clone, Debug)]
pub struct TreeSum {
    /// Sums of complete subtrees; bit `h` of `count` says whether the one of height `h` is in use.
    levels: [f64; 64],
    count: u64,
}

impl Default for TreeSum {
    fn default() -> Self {
        Self { levels: [0.0; 64], count: 0 }
    }
}

impl TreeSum {
    /// Adds the next leaf.
    #[inline]
    pub fn push(&mut self, leaf: f64) {
        let mut value = leaf;
        let mut height = 0;
        while self.count >> height & 1 == 1 {
            value += self.levels[height];
            height += 1;
        }
        self.levels[height] = value;
        self.count += 1;
    }

    /// Sum of the leaves so far; 0 when there are none.
    pub fn total(&self) -> f64 {
        let mut rest = self.count;
        let mut total = 0.0;
        while rest != 0 {
            total += self.levels[rest.trailing_zeros() as usize];
            rest &= rest - 1;
        }
        total
    }
}

/// `sum_{i < n} term(i)` by tiles of [`TILE`] terms in a [`TreeSum`]. Rounding error grows with
/// `log n`, not with `n`.
#[inline(always)]
pub fn sum_by(n: usize, term: impl Fn(usize) -> f64) -> f64 {
    if n <= TILE {
        return tile_sum(n, term);
    }
    let mut tree = TreeSum::default();
    for start in (0..n).step_by(TILE) {
        tree.push(tile_sum(TILE.min(n - start), |i| term(start + i)));
    }
    tree.total()
}

/// `sum term(x)` over a slice, with the bits of [`sum_by`]; without checks of places, so that loops become vectors.
#[inline(always)]
pub fn sum_of<T>(x: &[T], term: impl Fn(&T) -> f64) -> f64 {
    if x.len() <= TILE {
        return tile_of(x, &term);
    }
    let mut tree = TreeSum::default();
    for tile in x.chunks(TILE) {
        tree.push(tile_of(tile, &term));
    }
    tree.total()
}

/// The sum over a tile. (A closure that the compiler does not inline would be compiled without the caller's instruction set.)
#[inline(always)]
fn tile_of<T>(x: &[T], term: &impl Fn(&T) -> f64) -> f64 {
    let mut acc = [0.0; LANES];
    let whole = x.chunks_exact(LANES);
    let rest = whole.remainder();
    for x in whole {
        for (a, x) in acc.iter_mut().zip(x) {
            *a += term(x);
        }
    }
    for (a, x) in acc.iter_mut().zip(rest) {
        *a += term(x);
    }
    folded(acc)
}

/// Sum of a slice, see [`sum_by`].
pub fn sum(x: &[f64]) -> f64 {
    sum_of(x, |x| *x)
}

/// Sum of products of two slices over their common length, see [`sum_by`].
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len().min(y.len());
    let (x, y) = (&x[..n], &y[..n]);
    sum_by(n, |i| x[i] * y[i])
}

/// Mean of a slice; NaN when empty.
pub fn mean(x: &[f64]) -> f64 {
    sum(x) / x.len() as f64
}

/// Unbiased variance of a slice (divisor `n - 1`), by two passes; NaN for fewer than two values.
pub fn variance(x: &[f64]) -> f64 {
    let centre = mean(x);
    let squares = sum_by(x.len(), |i| (x[i] - centre) * (x[i] - centre));
    squares / (x.len() as f64 - 1.0)
}

/// `log sum_i exp(x_i)`: `-inf` when empty, `inf` when any term is, NaN when any is NaN.
pub fn log_sum_exp(x: &[f64]) -> f64 {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, |m, v| if v > m || v.is_nan() { v } else { m });
    if !top.is_finite() {
        return if x.iter().any(|v| v.is_nan()) { f64::NAN } else { top };
    }
    let total = sum_of_exp(x, top);
    if total.is_nan() { f64::NAN } else { top + total.ln() }
}

/// `sum_i exp(x_i - shift)`, see [`sum_by`].
fn sum_of_exp(x: &[f64], shift: f64) -> f64 {
    let isa = Isa::detect();
    let mut tree = TreeSum::default();
    let (mut shifted, mut terms) = ([0.0; TILE], [0.0; TILE]);
    for tile in x.chunks(TILE) {
        let n = tile.len();
        for (s, v) in shifted.iter_mut().zip(tile) {
            *s = v - shift;
        }
        simd::exp(isa, &shifted[..n], &mut terms[..n]);
        tree.push(tile_sum(n, |i| terms[i]));
    }
    tree.total()
}

/// `log mean_i exp(x_i)`.
pub fn log_mean_exp(x: &[f64]) -> f64 {
    log_sum_exp(x) - (x.len() as f64).ln()
}

/// Quantile of sorted values: Hyndman & Fan (1996) type 7, linear interpolation at position
/// `p (n - 1)`. `p` outside `[0, 1]` is clamped; NaN when empty or `p` is NaN.
pub fn quantile_sorted(sorted: &[f64], p: f64) -> f64 {
    if sorted.is_empty() || p.is_nan() {
        return f64::NAN;
    }
    let position = p.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let (low, weight) = (sorted[below], position - position.floor());
    // Without this an infinite neighbour of weight zero would turn the answer into NaN.
    if weight == 0.0 { low } else { low + weight * (sorted[below + 1] - low) }
}

/// Type 7 quantiles of unsorted values at each `p`; all NaN when a value is NaN.
pub fn quantiles(x: &[f64], ps: &[f64]) -> Vec<f64> {
    if x.iter().any(|v| v.is_nan()) {
        return vec![f64::NAN; ps.len()];
    }
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    ps.iter().map(|&p| quantile_sorted(&sorted, p)).collect()
}

/// Running mean and variance: Welford (1962); merging by Chan, Golub & LeVeque (1983).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Welford {
    count: u64,
    mean: f64,
    /// Sum of squared deviations from the mean.
    squares: f64,
}

impl Welford {
    /// Adds one value.
    #[inline]
    pub fn push(&mut self, x: f64) {
        self.count += 1;
        let delta = x - self.mean;
        self.mean += delta / self.count as f64;
        self.squares += delta * (x - self.mean);
    }

    /// Adds what another accumulator has seen.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * (m / (n + m));
        self.squares += other.squares + delta * delta * (n * m / (n + m));
        self.count += other.count;
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean; NaN before the first value.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }

    /// Unbiased variance (divisor `n - 1`); NaN before the second value.
    pub fn variance(&self) -> f64 {
        if self.count < 2 { f64::NAN } else { self.squares / (self.count - 1) as f64 }
    }
}

impl Extend<f64> for Welford {
    fn extend<T: IntoIterator<Item = f64>>(&mut self, values: T) {
        values.into_iter().for_each(|x| self.push(x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Stream;

    fn normals(n: usize) -> Vec<f64> {
        let mut x = vec![0.0; n];
        Stream::new(3, "stats", 0).fill_normal(&mut x);
        x
    }

    #[test]
    fn sums_of_integers_are_exact() {
        for n in (0..300usize).chain([4096, 10_001]) {
            let x: Vec<f64> = (0..n).map(|i| i as f64).collect();
            assert_eq!(sum(&x), (n * n.saturating_sub(1) / 2) as f64);
            assert_eq!(dot(&x, &vec![2.0; n]), (n * n.saturating_sub(1)) as f64);
        }
    }

    #[test]
    fn tree_error_grows_with_the_logarithm() {
        // 0.1 a million times: the naive sum is off by 1.3e-6, a tree of depth 14 over chains of 8 by
        // at most 25 half-ulps of the total.
        let total = sum(&vec![0.1; 1_000_000]);
        assert!((total - 100_000.0).abs() <= 25.0 * 0.5 * 1.5e-11);
    }

    #[test]
    fn sums_over_slices_have_the_bits_of_sums_by_place() {
        for n in [0, 1, 7, 8, 63, 64, 65, 130, 1000] {
            let x: Vec<f32> = (0..n).map(|k| (k as f32 * 0.37).sin()).collect();
            let square = |x: &f32| f64::from(*x) * f64::from(*x);
            assert_eq!(sum_of(&x, square).to_bits(), sum_by(n, |i| square(&x[i])).to_bits(), "{n}");
        }
    }

    #[test]
    fn whole_tiles_summed_apart_give_the_same_bits() {
        let x = normals(10 * TILE + 13);
        let mut tree = TreeSum::default();
        x.chunks(TILE).for_each(|tile| tree.push(sum(tile)));
        assert_eq!(tree.total().to_bits(), sum(&x).to_bits());
    }

    #[test]
    fn welford_agrees_with_two_passes_and_merges() {
        let x: Vec<f64> = normals(1001).iter().map(|z| 1e6 + z).collect();
        let mut whole = Welford::default();
        whole.extend(x.iter().copied());
        // Condition number 1e6 times n eps.
        assert!((whole.mean() - mean(&x)).abs() < 1e-8);
        assert!((whole.variance() / variance(&x) - 1.0).abs() < 1e-9);
        for cut in [0, 1, 500, 1000, 1001] {
            let (mut left, mut right) = (Welford::default(), Welford::default());
            left.extend(x[..cut].iter().copied());
            right.extend(x[cut..].iter().copied());
            left.merge(&right);
            assert_eq!(left.count(), 1001);
            assert!((left.mean() - whole.mean()).abs() < 1e-8);
            assert!((left.variance() / whole.variance() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn too_few_values_have_no_moments() {
        let mut w = Welford::default();
        assert!(w.mean().is_nan() && w.variance().is_nan());
        w.push(2.0);
        assert!(w.mean() == 2.0 && w.variance().is_nan());
        assert!(mean(&[]).is_nan() && variance(&[1.0]).is_nan());
    }

    #[test]
    fn log_sum_exp_shifts_and_handles_infinities() {
        let inf = f64::INFINITY;
        assert_eq!(log_sum_exp(&[]), -inf);
        assert_eq!(log_sum_exp(&[-inf, -inf]), -inf);
        assert_eq!(log_sum_exp(&[-inf, 3.0]), 3.0);
        assert_eq!(log_sum_exp(&[1.0, inf]), inf);
        assert!(log_sum_exp(&[1.0, f64::NAN]).is_nan() && log_sum_exp(&[f64::NAN, inf]).is_nan());
        assert!((log_sum_exp(&[1000.0; 8]) - (1000.0 + 8.0f64.ln())).abs() < 1e-12);
        assert!((log_mean_exp(&[-2000.0; 8]) + 2000.0).abs() < 1e-12);
    }

    #[test]
    fn quantiles_are_of_type_seven() {
        // R: quantile(c(1, 2, 4, 8), c(0, .1, .5, .9, 1), type = 7).
        let q = quantiles(&[8.0, 1.0, 4.0, 2.0], &[0.0, 0.1, 0.5, 0.9, 1.0]);
        for (got, want) in q.iter().zip([1.0, 1.3, 3.0, 6.8, 8.0]) {
            assert!((got - want).abs() < 1e-14);
        }
        assert_eq!(quantiles(&[1.0, f64::INFINITY], &[0.0]), [1.0]);
        assert!(quantile_sorted(&[], 0.5).is_nan() && quantiles(&[f64::NAN], &[0.5])[0].is_nan());
    }
}
