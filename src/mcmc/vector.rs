//! Loops over padded vectors: every length is a multiple of [`PAD`], so there is no scalar remainder.

use std::array::from_fn;

/// Vectors of a trajectory are padded with zeros to a multiple of this many numbers.
pub const PAD: usize = 4;

/// What the loops work on at a time.
pub type Block = [f64; PAD];

/// `dim` rounded up to a multiple of [`PAD`].
pub const fn padded(dim: usize) -> usize {
    dim.next_multiple_of(PAD)
}

/// The blocks of a padded vector.
#[inline]
pub fn blocks(x: &[f64]) -> &[Block] {
    x.as_chunks().0
}

/// The blocks of a padded vector, for writing.
#[inline]
pub fn blocks_mut(x: &mut [f64]) -> &mut [Block] {
    x.as_chunks_mut().0
}

/// Sum of a block, pairs first.
#[inline]
pub fn total(s: Block) -> f64 {
    (s[0] + s[2]) + (s[1] + s[3])
}

/// Inner product of two padded vectors.
#[inline]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = [0.0; PAD];
    for (a, b) in blocks(a).iter().zip(blocks(b)) {
        sum = from_fn(|k| sum[k] + a[k] * b[k]);
    }
    total(sum)
}

/// `y += c x`.
#[inline]
pub fn axpy(c: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += c * x;
    }
}
