//! Elementary kernels against the standard library, at the edges and in every place of a vector.

mod levels;

use super::{Extent, Kernel, Target, function};
use crate::base::simd::Isa;
use crate::graph::op::Unary;

type Truth = fn(f64) -> f64;

const FUNCTIONS: [(Unary, Truth); 7] = [
    (Unary::Exp, f64::exp),
    (Unary::Expm1, f64::exp_m1),
    (Unary::Log, f64::ln),
    (Unary::Log1p, f64::ln_1p),
    (Unary::Tanh, f64::tanh),
    (Unary::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
    (Unary::Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
];

fn run(kernel: Kernel, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    // SAFETY: the slices have the same length, and the kernel is for this processor.
    unsafe { kernel(y.as_mut_ptr(), x.as_ptr(), x.as_ptr(), x.as_ptr(), x.len()) };
    y
}

fn best() -> Target {
    Target { isa: Isa::detect(), single: false }
}

/// Distance in units in the last place of the larger.
fn ulps(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let unit = a.abs().max(b.abs()).max(f64::MIN_POSITIVE) * f64::EPSILON;
    // Subnormal results may be 0.
    if (a - b).abs() < 1.1 * f64::MIN_POSITIVE { 0.0 } else { (a - b).abs() / unit }
}

#[test]
fn errors_are_a_few_units_in_the_last_place() {
    let sweep = (0..40_000).map(|i| {
        let t = f64::from(i) / 20_000.0 - 1.0;
        // Dense near zero, out to the edges of the range.
        t * 10f64.powf(4.0 * t.abs() - 1.2)
    });
    let x: Vec<f64> = sweep.collect();
    for (op, truth) in FUNCTIONS {
        let y = run(function::unary(op, best(), Extent::Many), &x);
        for (x, y) in x.iter().zip(&y) {
            let error = ulps(*y, truth(*x));
            assert!(error <= 5.0, "{op:?}({x}) = {y}, {error} units from {}", truth(*x));
        }
    }
}

#[test]
fn edges_are_right() {
    let x = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e-310,
        f64::MIN_POSITIVE,
        f64::MAX,
        709.7,
        709.9,
        -744.0,
        -746.0,
        1e-20,
        -1e-20,
        -0.999_999_999_999_999_9,
    ];
    for (op, truth) in FUNCTIONS {
        let y = run(function::unary(op, best(), Extent::Many), &x);
        for (x, y) in x.iter().zip(&y) {
            assert!(ulps(*y, truth(*x)) <= 5.0, "{op:?}({x}) = {y}, not {}", truth(*x));
        }
    }
}

#[test]
fn a_result_does_not_depend_on_place_or_company() {
    let x: Vec<f64> = (0..77).map(|i| (f64::from(i) * 0.7).sin() * 3.0 + 3.1).collect();
    for (op, _) in FUNCTIONS {
        let kernel = function::unary(op, best(), Extent::Many);
        let all = run(kernel, &x);
        for start in [0, 1, 3, 10] {
            for len in [1, 2, 5, 33, 60] {
                let mut part = x[start..start + len].to_vec();
                part[len / 2] = f64::NAN;
                let y = run(kernel, &part);
                for i in (0..len).filter(|&i| i != len / 2) {
                    assert_eq!(y[i].to_bits(), all[start + i].to_bits(), "{op:?}");
                }
            }
        }
        let mut here = x.clone();
        // SAFETY: elementwise kernels may write over their operand.
        unsafe { kernel(here.as_mut_ptr(), here.as_ptr(), here.as_ptr(), here.as_ptr(), 77) };
        assert_eq!(here, all, "{op:?} in place");
    }
}

#[test]
fn both_results_of_a_pair_are_those_of_the_single_kernels() {
    let mut x: Vec<f64> = (0..39).map(|i| f64::from(i - 20) * 0.9).collect();
    x.extend([f64::NAN, 800.0, -800.0]);
    let pair = function::softplus_sigmoid(best());
    let (mut y, mut z) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    // SAFETY: all slices have the same length.
    unsafe { pair(y.as_mut_ptr(), x.as_ptr(), x.as_ptr(), z.as_mut_ptr(), x.len()) };
    let soft = run(function::unary(Unary::Softplus, best(), Extent::Many), &x);
    let sigmoid = run(function::unary(Unary::Sigmoid, best(), Extent::Many), &x);
    for i in 0..x.len() {
        assert!(ulps(y[i], soft[i]) <= 4.0 && ulps(z[i], sigmoid[i]) <= 4.0, "at {}", x[i]);
    }
}
