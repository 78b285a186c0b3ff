//! Programs against the reference evaluator: every operation, odd sizes, all numbers of lanes.

mod arrays;
mod elementwise;
mod logadd;
mod loops;
mod models;
mod random;
mod single;

use super::number::Number;
use super::{Options, Program, Real};
use crate::base::simd::Isa;
use crate::graph::eval::evaluate;
use crate::graph::{Graph, Spread, Var};

/// A small generator of inputs: only variety matters here.
pub(super) struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn between(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.unit()
    }

    pub fn many(&mut self, n: usize, lo: f64, hi: f64) -> Vec<f64> {
        (0..n).map(|_| self.between(lo, hi)).collect()
    }
}

/// Inputs of all particles: `[count][lanes]` where they differ, `[count]` where not.
pub(super) fn inputs(g: &Graph, lanes: usize, (lo, hi): (f64, f64), seed: u64) -> Vec<Vec<f64>> {
    let mut numbers = Numbers::new(seed);
    g.inputs()
        .iter()
        .map(|i| {
            let wide = g.node(i.var).spread != Spread::Shared;
            let count = g.shape(i.var).count() * if wide { lanes } else { 1 };
            numbers.many(count, lo, hi)
        })
        .collect()
}

/// Values of one particle out of those of all.
pub(super) fn lane(g: &Graph, v: Var, all: &[f64], lanes: usize, l: usize) -> Vec<f64> {
    if g.node(v).spread == Spread::Shared {
        return all.to_vec();
    }
    all.iter().skip(l).step_by(lanes).copied().collect()
}

/// Runs a program in a dirty workspace.
pub(super) fn run<T: Real>(g: &Graph, outputs: &[Var], p: &Program<T>, x: &[Vec<T>]) -> Vec<Vec<T>> {
    let x: Vec<&[T]> = x.iter().map(|x| &x[..]).collect();
    let nan = T::from_f64(f64::NAN);
    let mut out: Vec<Vec<T>> = outputs
        .iter()
        .map(|v| {
            let wide = g.node(*v).spread != Spread::Shared;
            vec![nan; g.shape(*v).count() * if wide { p.lanes() } else { 1 }]
        })
        .collect();
    let mut slices: Vec<&mut [T]> = out.iter_mut().map(|o| &mut o[..]).collect();
    let mut ws = vec![nan; p.scratch() + 3];
    p.run(&x, &mut slices, &mut ws[3..]);
    out
}

fn same(a: f64, b: f64, scale: f64, tolerance: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * (1.0 + scale)
}

/// Compares all programs of a graph with the reference, inputs between `lo` and `hi`.
pub(super) fn agree(g: &Graph, outputs: &[Var], range: (f64, f64)) {
    agree_to(g, outputs, range, 1e-11);
}

/// Like [`agree`], to a tolerance relative to 1 + the largest value of the output; programs in single precision
/// to what rounding allows.
pub(super) fn agree_to(g: &Graph, outputs: &[Var], range: (f64, f64), tolerance: f64) {
    single::agree(g, outputs, range);
    agree_in_doubles(g, outputs, range, tolerance);
}

/// All levels, whether this machine has them or not.
pub(super) const LEVELS: [Isa; 3] = [Isa::Baseline, Isa::Avx2Fma, Isa::Avx512];

/// Results as bits, all that are no numbers being one.
pub(super) fn bits<T: Number>(out: &[Vec<T>]) -> Vec<u64> {
    let bits = |x: &T| if x.to_f64().is_nan() { f64::NAN } else { x.to_f64() }.to_bits();
    out.iter().flatten().map(bits).collect()
}

/// AVX-512 gives the bits of AVX2; results in the order of [`LEVELS`].
pub(super) fn same_bits(levels: &[Vec<u64>]) {
    assert!(!Isa::Avx512.is_supported() || levels[1] == levels[2], "AVX-512 gives other bits than AVX2");
}

/// [`agree_to`] for programs in double precision alone.
pub(super) fn agree_in_doubles(g: &Graph, outputs: &[Var], range: (f64, f64), tolerance: f64) {
    for lanes in [1, 8, 16, 64] {
        let mut levels = Vec::new();
        for isa in LEVELS {
            let x = inputs(g, lanes, range, 7 + lanes as u64);
            let p = Program::compile(g, outputs, &Options { lanes, isa });
            let out = run(g, outputs, &p, &x);
            levels.push(bits(&out));
            for l in 0..lanes {
                let own: Vec<Vec<f64>> = g.inputs().iter().zip(&x).map(|(i, x)| lane(g, i.var, x, lanes, l)).collect();
                let own: Vec<&[f64]> = own.iter().map(|x| &x[..]).collect();
                let truth = evaluate(g, &own, outputs);
                for ((v, all), truth) in outputs.iter().zip(&out).zip(&truth) {
                    let got = lane(g, *v, all, lanes, l);
                    let scale = truth.iter().filter(|t| t.is_finite()).fold(0.0, |m: f64, t| m.max(t.abs()));
                    for (j, (a, b)) in got.iter().zip(truth).enumerate() {
                        assert!(
                            same(*a, *b, scale, tolerance),
                            "{a} for {b} in element {j} of {v:?} {:?}, lane {l} of {lanes}, {isa:?}",
                            g.node(*v)
                        );
                    }
                }
            }
        }
        same_bits(&levels);
    }
}
