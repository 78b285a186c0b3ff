//! Named counter-based random streams: what is drawn depends on the name and the position only.

use std::convert::Infallible;

use rand::{Rng, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;

use crate::base::simd::scalar::{inv_phi, log};
use crate::base::simd::{Isa, inv_phi_in_place};

/// Random stream named by `(seed, stage, index)`: ChaCha with 8 rounds in counter mode.
///
/// Streams of different names are independent, and a position in one is reached in constant time, so
/// results do not depend on lanes, threads or the order of work. [`uniform`](Self::uniform),
/// [`normal`](Self::normal) and [`exponential`](Self::exponential) consume one draw each: 64 bits,
/// two words of the generator. Their values are the same bits on every platform. Samplers
/// that reject consume a varying number and belong in a stream of their own.
///
/// # Key
///
/// With `mix` the finaliser of SplitMix64 (Steele, Lea & Flood 2014; a bijection of 64 bits) and
/// `fnv` the 64-bit FNV-1a hash of the bytes of `stage`, the 256-bit key is the four little-endian words
/// `a = mix(seed + G)`, `b = mix(fnv + 2G)`, `c = mix(index + 3G)` and
/// `mix(a ^ rotl(b, 21) ^ rotl(c, 42))`, `G = 0x9e3779b97f4a7c15`. Names collide
/// only when two stage names have the same hash.
#[derive(Clone, Debug)]
pub struct Stream {
    core: ChaCha8Rng,
}

impl Stream {
    /// The stream of a name, at its start.
    pub fn new(seed: u64, stage: &str, index: u64) -> Self {
        Self { core: ChaCha8Rng::from_seed(key(seed, stage, index)) }
    }

    /// The stream of a name after `position` draws.
    pub fn at(seed: u64, stage: &str, index: u64, position: u64) -> Self {
        let mut stream = Self::new(seed, stage, index);
        stream.seek(position);
        stream
    }

    /// Moves to `position`, counted in draws from the start.
    pub fn seek(&mut self, position: u64) {
        self.core.set_word_pos(2 * u128::from(position));
    }

    /// Draws consumed since the start; a half-used draw (32 bits) counts as one.
    pub fn position(&self) -> u64 {
        self.core.get_word_pos().div_ceil(2) as u64
    }

    /// Uniform on the open interval (0, 1): `(i + 1/2) / 2^52` with `i` the upper 52 bits of a draw,
    /// exact, symmetric about 1/2, at least `2^-53` away from both ends.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        open_unit(self.core.next_u64())
    }

    /// Standard normal by inversion of one uniform: one draw, `|z| < 8.21`.
    #[inline]
    pub fn normal(&mut self) -> f64 {
        inv_phi(self.uniform())
    }

    /// Exponential of rate 1 by inversion, `-log u`: one draw.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        -log::<false>(self.uniform())
    }

    /// Fills `out` with uniforms on (0, 1), one draw each.
    pub fn fill_uniform(&mut self, out: &mut [f64]) {
        let mut bytes = [0; 8 * 64];
        for part in out.chunks_mut(64) {
            let bytes = &mut bytes[..8 * part.len()];
            self.core.fill_bytes(bytes);
            for (x, draw) in part.iter_mut().zip(bytes.as_chunks().0) {
                *x = open_unit(u64::from_le_bytes(*draw));
            }
        }
    }

    /// Fills `out` with standard normals, one draw each: the same values as repeated
    /// [`normal`](Self::normal).
    pub fn fill_normal(&mut self, out: &mut [f64]) {
        self.fill_uniform(out);
        inv_phi_in_place(Isa::detect(), out);
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.core.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.core.try_next_u64()
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.core.try_fill_bytes(dst)
    }
}

/// `(i + 1/2) / 2^52`, `i` the upper 52 bits: put after the point of a number in `[1, 2)`, of which 1 - 2^-53 is taken.
#[inline(always)]
fn open_unit(draw: u64) -> f64 {
    const HALF_STEP: f64 = 1.0 / 9_007_199_254_740_992.0;
    (f64::from_bits((draw >> 12) | 1.0f64.to_bits()) - 1.0) + HALF_STEP
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The key of a name: see [`Stream`].
fn key(seed: u64, stage: &str, index: u64) -> [u8; 32] {
    let a = mix(seed.wrapping_add(GOLDEN));
    let b = mix(fnv1a(stage).wrapping_add(GOLDEN.wrapping_mul(2)));
    let c = mix(index.wrapping_add(GOLDEN.wrapping_mul(3)));
    let words = [a, b, c, mix(a ^ b.rotate_left(21) ^ c.rotate_left(42))];
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    key
}

/// Finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 64-bit FNV-1a.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(mut stream: Stream, n: usize) -> Vec<u64> {
        (0..n).map(|_| stream.next_u64()).collect()
    }

    #[test]
    fn stream_is_unchanged() {
        let mut s = Stream::new(2024, "chain", 3);
        // From an independent implementation in 40 digits; the normal is 1 ulp off.
        assert_eq!(s.next_u64(), 4_866_706_749_806_602_344);
        assert_eq!(s.uniform(), 0.624703424661463);
        assert_eq!(s.normal(), -0.3773949664979697);
        assert_eq!(s.exponential(), 0.09816959456741944);
    }

    #[test]
    fn hash_functions_match_published_values() {
        // Third output of SplitMix64 from state 0, and the published FNV-1a hash of "foobar".
        assert_eq!(mix(GOLDEN.wrapping_mul(3)), 0x06c4_5d18_8009_454f);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn every_part_of_the_name_counts() {
        let base = draws(Stream::new(1, "warmup", 0), 8);
        assert_eq!(base, draws(Stream::new(1, "warmup", 0), 8));
        for other in [
            Stream::new(2, "warmup", 0),
            Stream::new(1, "warmuq", 0),
            Stream::new(1, "warmup", 1),
            Stream::new(0, "warmup", 1),
        ] {
            let other = draws(other, 8);
            assert!(base.iter().all(|x| !other.contains(x)));
        }
    }

    #[test]
    fn jump_equals_sequential() {
        let mut sequential = Stream::new(7, "noise", 1);
        for position in 0..200 {
            assert_eq!(sequential.position(), position);
            let mut jumped = Stream::at(7, "noise", 1, position);
            let mixed = match position % 3 {
                0 => (sequential.normal(), jumped.normal()),
                1 => (sequential.uniform(), jumped.uniform()),
                _ => (sequential.exponential(), jumped.exponential()),
            };
            assert_eq!(mixed.0.to_bits(), mixed.1.to_bits());
        }
    }

    #[test]
    fn far_positions_do_not_wrap() {
        let far = draws(Stream::at(7, "noise", 1, u64::MAX - 1), 1);
        assert_ne!(far, draws(Stream::new(7, "noise", 1), 1));
        assert_eq!(Stream::at(7, "noise", 1, u64::MAX - 1).position(), u64::MAX - 1);
    }

    #[test]
    fn filling_equals_drawing() {
        let mut one = Stream::new(5, "fill", 0);
        let mut filled = [0.0; 37];
        one.clone().fill_normal(&mut filled);
        filled.iter().for_each(|z| assert_eq!(*z, one.normal()));
        let mut one = Stream::new(5, "fill", 0);
        one.clone().fill_uniform(&mut filled);
        filled.iter().for_each(|u| assert_eq!(*u, one.uniform()));
    }

    /// Means of `f` over n draws within 5.2 standard errors of `mean` (two-sided false alarm 2e-7 each, 8
    /// checks); `sd` is the standard deviation of one term. A wrong quantile tail or a constant shift of 0.01
    /// fails.
    fn check_mean(n: usize, mean: f64, sd: f64, mut f: impl FnMut() -> f64) {
        let average = (0..n).map(|_| f()).sum::<f64>() / n as f64;
        let z = (average - mean) / (sd / (n as f64).sqrt());
        assert!(z.abs() < 5.2, "mean {average}, expected {mean}, z = {z}");
    }

    #[test]
    fn moments() {
        let n = 400_000;
        let mut s = Stream::new(11, "moments", 0);
        check_mean(n, 0.5, (1.0f64 / 12.0).sqrt(), || s.uniform());
        check_mean(n, 1.0 / 3.0, (4.0f64 / 45.0).sqrt(), || s.uniform().powi(2));
        check_mean(n, 0.0, 1.0, || s.normal());
        check_mean(n, 1.0, 2.0f64.sqrt(), || s.normal().powi(2));
        check_mean(n, 0.0, 15.0f64.sqrt(), || s.normal().powi(3));
        check_mean(n, 3.0, 96.0f64.sqrt(), || s.normal().powi(4));
        check_mean(n, 1.0, 1.0, || s.exponential());
        check_mean(n, 2.0, 20.0f64.sqrt(), || s.exponential().powi(2));
        // Successive draws are uncorrelated.
        let mut last = s.normal();
        check_mean(n, 0.0, 1.0, || {
            let z = s.normal();
            std::mem::replace(&mut last, z) * z
        });
    }
}
