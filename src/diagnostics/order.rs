//! Sorting of draws and their normal scores.

use statrs::distribution::{ContinuousCDF, Normal};

/// A number and the place it came from.
pub type Placed = (f64, u32);

/// Bits per pass of the radix sort.
const DIGIT: u32 = 11;

/// Below this many numbers a comparison sort is faster.
const SMALL: usize = 512;

/// Bits of `x` such that unsigned order is the order of `f64::total_cmp`.
fn key(x: f64) -> u64 {
    let bits = x.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Sorts by value; equal values keep their order. `spare` is scratch space.
pub fn sort(items: &mut Vec<Placed>, spare: &mut Vec<Placed>) {
    if items.len() < SMALL {
        items.sort_by(|a, b| a.0.total_cmp(&b.0));
        return;
    }
    spare.clear();
    spare.resize(items.len(), (0.0, 0));
    let mask = (1u64 << DIGIT) - 1;
    let mut counts = vec![0u32; 1 << DIGIT];
    for pass in 0..64u32.div_ceil(DIGIT) {
        let digit = |x: f64| (key(x) >> (pass * DIGIT) & mask) as usize;
        counts.fill(0);
        items.iter().for_each(|i| counts[digit(i.0)] += 1);
        if counts.iter().any(|&c| c as usize == items.len()) {
            continue;
        }
        let mut start = 0;
        for c in &mut counts {
            start += std::mem::replace(c, start);
        }
        for item in items.iter() {
            let c = &mut counts[digit(item.0)];
            spare[*c as usize] = *item;
            *c += 1;
        }
        std::mem::swap(items, spare);
    }
}

/// Normal scores Phi^-1((r - 3/8) / (S + 1/4)) of the ranks r = 1..=S (Vehtari et al. 2021, eq 14; Blom 1958).
#[derive(Clone, Debug, Default)]
pub struct Scores {
    table: Vec<f64>,
}

impl Scores {
    /// Prepares for `size` numbers; cheap when the size stays the same.
    pub fn prepare(&mut self, size: usize) {
        if self.table.len() != size {
            let half: Vec<f64> = (0..size.div_ceil(2)).map(|i| score(i as f64 + 1.0, size)).collect();
            self.table = (0..size).map(|i| if i < half.len() { half[i] } else { -half[size - 1 - i] }).collect();
        }
    }

    /// Writes the score of each of the sorted numbers to the place it came from; ties share their mean rank.
    pub fn write(&self, sorted: &[Placed], out: &mut [f64]) {
        let size = sorted.len();
        let mut i = 0;
        while i < size {
            let mut j = i + 1;
            while j < size && sorted[j].0 == sorted[i].0 {
                j += 1;
            }
            // The mean of ranks i + 1 ..= j.
            let twice = i + 1 + j;
            let z = if twice % 2 == 0 { self.table[twice / 2 - 1] } else { score(0.5 * twice as f64, size) };
            sorted[i..j].iter().for_each(|s| out[s.1 as usize] = z);
            i = j;
        }
    }
}

fn score(rank: f64, size: usize) -> f64 {
    Normal::standard().inverse_cdf((rank - 0.375) / (size as f64 + 0.25))
}

/// |x - centre| of sorted numbers, sorted again: the two sides are merged outwards from the centre.
pub fn fold(sorted: &[Placed], centre: f64, out: &mut Vec<Placed>) {
    let split = sorted.partition_point(|s| s.0 < centre);
    let (left, right) = sorted.split_at(split);
    let mut left = left.iter().rev().map(|s| (centre - s.0, s.1)).peekable();
    let mut right = right.iter().map(|s| (s.0 - centre, s.1)).peekable();
    out.clear();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if a.0 < b.0 { left.next() } else { right.next() };
        out.extend(next);
    }
    out.extend(left);
    out.extend(right);
}
