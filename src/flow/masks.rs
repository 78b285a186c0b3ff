//! Which coordinates each coupling layer of a chain moves.

/// Layers after which the masks repeat: codes are chosen among 2 to this power.
const PERIOD: usize = 10;

/// What each of `layers` couplings moves. A coordinate has a code with a bit for each layer, set where the layer keeps it;
/// coordinate h decides in some layer what happens to i exactly if the code of h is not contained in that of i.
///
/// Codes are distinct as long as there are enough (2^layers - 2 of them), and sorted by their number of set bits, most first:
/// so every coordinate decides directly about all that come after it, as the parameters of a hierarchical model should
/// about those below them, and about nearly all before it (about all where the number of set bits is the same: Sperner
/// families). Halves in random orders need 14 layers for that in 100 coordinates; here 8 serve. Codes come with their
/// complements, so that each layer keeps half of the coordinates. At least two layers move everything; d = 1 has
/// nothing to keep.
pub(super) fn masks(dim: usize, layers: usize) -> Vec<Vec<bool>> {
    if dim == 1 {
        return vec![vec![true]; layers];
    }
    let period = layers.min(PERIOD);
    let codes = codes(dim, period);
    (0..layers).map(|l| codes.iter().map(|c| c >> (l % period) & 1 == 0).collect()).collect()
}

/// Codes of `bits` bits for the coordinates in their order.
fn codes(dim: usize, bits: usize) -> Vec<u32> {
    let full = (1u32 << bits) - 1;
    let mut chosen = spread(dim.div_ceil(2), bits);
    let count = chosen.len();
    for k in count..dim.div_ceil(2) {
        chosen.push(chosen[k % count]);
    }
    let mut codes: Vec<u32> = chosen.iter().flat_map(|c| [*c, full ^ c]).take(dim).collect();
    codes.sort_by_key(|c| std::cmp::Reverse(c.count_ones()));
    codes
}

/// Up to `pairs` codes, none the complement of another: with half of the bits set before others, each then as far as possible
/// from those before and their complements, and of these the one that changes most often from layer to layer.
fn spread(pairs: usize, bits: usize) -> Vec<u32> {
    let full = (1u32 << bits) - 1;
    // The bit of the first layer tells a code from its complement.
    let mut left: Vec<u32> = (0..=full).filter(|c| c & 1 == 1 && (*c != full || bits == 1)).collect();
    let mut distance = vec![u32::MAX; left.len()];
    let mut chosen = vec![];
    while chosen.len() < pairs && !left.is_empty() {
        let rank = |k: &usize| {
            let c = left[*k];
            let uneven = (2 * c.count_ones()).abs_diff(bits as u32);
            let changes = ((c ^ (c >> 1)) & (full >> 1)).count_ones();
            (std::cmp::Reverse(uneven), distance[*k], changes, std::cmp::Reverse(c))
        };
        let Some(best) = (0..left.len()).max_by_key(rank) else { break };
        let code = left.swap_remove(best);
        distance.swap_remove(best);
        for (d, c) in distance.iter_mut().zip(&left) {
            let apart = (c ^ code).count_ones();
            *d = (*d).min(apart.min(bits as u32 - apart));
        }
        chosen.push(code);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether some layer keeps `h` and moves `i`.
    fn decides(masks: &[Vec<bool>], h: usize, i: usize) -> bool {
        masks.iter().any(|m| !m[h] && m[i])
    }

    #[test]
    fn two_coordinates_alternate() {
        let masks = masks(2, 8);
        assert!((0..8).all(|l| masks[l][0] != masks[l][1]));
        assert!(masks.windows(2).all(|m| m[0] != m[1]));
    }

    #[test]
    fn every_coordinate_decides_about_all_that_come_after_it() {
        for (dim, layers) in [(3, 2), (14, 4), (30, 5), (100, 8), (254, 8), (300, 14)] {
            let masks = masks(dim, layers);
            let distinct = dim <= (1 << layers.min(PERIOD)) - 2;
            for i in 0..dim {
                assert!(masks.iter().any(|m| m[i]), "{dim} {layers}: {i} is never moved");
                assert!((0..i).all(|h| !distinct || decides(&masks, h, i)), "{dim} {layers} {i}");
            }
            let kept = |m: &Vec<bool>| m.iter().filter(|m| !**m).count();
            assert!(masks.iter().all(|m| (kept(m) as f64 - dim as f64 / 2.0).abs() <= 0.5), "{dim} {layers}");
        }
    }

    #[test]
    fn seventy_coordinates_decide_about_each_other_in_eight_layers() {
        let masks = masks(70, 8);
        let pairs = (0..70).flat_map(|h| (0..70).map(move |i| (h, i)));
        assert!(pairs.filter(|(h, i)| h != i).all(|(h, i)| decides(&masks, h, i)));
    }

    #[test]
    fn many_coordinates_and_layers_share_codes() {
        for (dim, layers) in [(1000, 1), (5000, 3), (4000, 40)] {
            let masks = masks(dim, layers);
            assert!(masks.len() == layers && masks.iter().all(|m| m.contains(&true) && m.contains(&false)));
        }
    }
}
