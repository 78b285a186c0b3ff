//! Loops over padded vectors: every length is a multiple of [`PAD`], so there is no scalar remainder.

/// Vectors of a trajectory are padded with zeros to a multiple of this many numbers.
pub const PAD: usize = 4;

/// `dim` rounded up to a multiple of [`PAD`].
pub const fn padded(dim: usize) -> usize {
    dim.next_multiple_of(PAD)
}

/// Inner product of two padded vectors, four partial sums.
#[inline]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut s = [0.0; PAD];
    for (x, y) in a.chunks_exact(PAD).zip(b.chunks_exact(PAD)) {
        for k in 0..PAD {
            s[k] += x[k] * y[k];
        }
    }
    (s[0] + s[1]) + (s[2] + s[3])
}

/// `y += c x` for padded vectors.
#[inline]
pub fn axpy(c: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += c * x;
    }
}
