//! Normal quantiles of a slice, for random streams: the same bits on every instruction set.

use super::Isa;
use super::scalar::{central, inv_phi, is_central, is_middle, middle, root, tail_of};

/// Elements treated at a time.
const TILE: usize = 64;

/// Replaces each `p` by the standard normal quantile `Phi^-1(p)`: the bits of
/// [`inv_phi`](super::scalar::inv_phi) whatever the level.
pub fn inv_phi_in_place(isa: Isa, p: &mut [f64]) {
    match isa.supported() {
        // SAFETY: the level is supported.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512(p) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma => unsafe { avx2(p) },
        _ => all(p),
    }
}

/// Without fused multiply-add, which would change the bits.
///
/// # Safety
///
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2(p: &mut [f64]) {
    all(p);
}

/// Likewise.
///
/// # Safety
///
/// The processor has AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn avx512(p: &mut [f64]) {
    all(p);
}

#[inline(always)]
fn all(p: &mut [f64]) {
    for tile in p.chunks_mut(TILE) {
        let (mut kept, mut tail, mut place) = ([0.5; TILE], [0.25; TILE], [0u8; TILE]);
        kept[..tile.len()].copy_from_slice(tile);
        for i in 0..tile.len() {
            tile[i] = central(kept[i]);
        }
        // The others, one in seven, next to each other.
        let mut count = 0;
        for i in 0..tile.len() {
            tail[count] = tail_of(kept[i]);
            place[count] = i as u8;
            count += usize::from(!is_central(kept[i]));
        }
        let (mut roots, mut values) = ([0.0; TILE], [0.0; TILE]);
        for i in 0..count.next_multiple_of(4).min(TILE) {
            roots[i] = root(tail[i]);
            values[i] = middle(roots[i]);
        }
        for j in 0..count {
            let i = usize::from(place[j]);
            // Beyond the middle range, and for numbers that are no probability, the scalar code decides.
            let plain = is_middle(roots[j]);
            tile[i] = if plain { values[j].copysign(kept[i] - 0.5) } else { inv_phi(kept[i]) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_scalar_function() {
        let edges = [0.0, 1.0, 0.5, -0.1, 1.1, f64::NAN, 1e-300, 5e-324, 1e-11, 1.5e-11, 0.075, 0.925, 0.0749999];
        let spread = (0..1000).map(|i| (i as f64 * 0.618_033_988_749_895).fract());
        let deep = (0..600).map(|i| 10.0f64.powf(-0.1 * i as f64));
        let p: Vec<f64> = edges.into_iter().chain(spread).chain(deep).collect();
        for isa in [Isa::Baseline, Isa::Avx2Fma, Isa::Avx512] {
            for n in (0..70).chain([p.len()]) {
                for start in [0, p.len() - n] {
                    let mut x = p[start..start + n].to_vec();
                    inv_phi_in_place(isa, &mut x);
                    for (x, &p) in x.iter().zip(&p[start..]) {
                        assert_eq!(x.to_bits(), inv_phi(p).to_bits(), "{p:e} on {isa:?}");
                    }
                }
            }
        }
    }
}
