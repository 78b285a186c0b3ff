//! Functions of single precision against those of doubles: over sweeps, at edges, in every place of a vector.

use super::*;

type Truth = fn(f64) -> f64;

const FUNCTIONS: [(Unary, Truth); 7] = [
    (Unary::Exp, f64::exp),
    (Unary::Expm1, f64::exp_m1),
    (Unary::Log, f64::ln),
    (Unary::Log1p, f64::ln_1p),
    (Unary::Tanh, f64::tanh),
    (Unary::Sigmoid, |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }),
    (Unary::Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
];

const LEVELS: [Isa; 3] = [Isa::Baseline, Isa::Avx2Fma, Isa::Avx512];

fn kernel(op: Unary, isa: Isa) -> Kernel {
    unary(op, Target { isa, single: true }).expect("a function of this file")
}

fn run(kernel: Kernel, x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0f32; x.len()];
    let a = x.as_ptr().cast();
    // SAFETY: the slices have the same length, and the kernel is for this processor and for these numbers.
    unsafe { kernel(y.as_mut_ptr().cast(), a, a, a, x.len()) };
    y
}

/// Distance in units in the last place of the truth; subnormal results may be 0.
fn ulps(got: f32, truth: f64) -> f64 {
    let rounded = truth as f32;
    if got == rounded || (got.is_nan() && rounded.is_nan()) {
        return 0.0;
    }
    if truth.abs() < f64::from(f32::MIN_POSITIVE) && f64::from(got).abs() < 1.1 * f64::from(f32::MIN_POSITIVE) {
        return 0.0;
    }
    let unit = f64::from(rounded.abs().next_up()) - f64::from(rounded.abs());
    (f64::from(got) - truth).abs() / unit
}

#[test]
fn errors_are_below_four_units_in_the_last_place() {
    let sweep = (0..400_000).map(|i| {
        let t = f64::from(i) / 200_000.0 - 1.0;
        // Dense near zero, out to the edges of the range.
        (t * 10f64.powf(6.0 * t.abs() - 3.8)) as f32
    });
    let x: Vec<f32> = sweep.collect();
    for isa in LEVELS {
        for (op, truth) in FUNCTIONS {
            let y = run(kernel(op, isa), &x);
            let worst = x.iter().zip(&y).map(|(x, y)| (ulps(*y, truth(f64::from(*x))), *x));
            let worst = worst.fold((0.0, 0.0), |a, b| if b.0 > a.0 || b.0.is_nan() { b } else { a });
            println!("{op:?} {isa:?} {worst:?}");
            assert!(worst.0 <= 4.0, "{op:?} on {isa:?}: {} units at {:e}", worst.0, worst.1);
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
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        1e-40,
        -1e-40,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
        88.7,
        88.75,
        -87.3,
        -87.4,
        -103.0,
        -105.0,
        1e-20,
        -1e-20,
        -0.999_999_94,
        16.0,
        -17.4,
        -17.6,
        9.0,
        -9.1,
    ];
    for isa in LEVELS {
        for (op, truth) in FUNCTIONS {
            let y = run(kernel(op, isa), &x);
            for (x, y) in x.iter().zip(&y) {
                let truth = truth(f64::from(*x));
                assert!(ulps(*y, truth) <= 4.0, "{op:?}({x:e}) = {y:e}, not {truth:e}, on {isa:?}");
                let odd = matches!(op, Unary::Expm1 | Unary::Log1p | Unary::Tanh);
                assert!(!odd || *x != 0.0 || y.to_bits() == x.to_bits(), "{op:?} keeps the sign of zero");
            }
        }
    }
}

#[test]
fn a_result_does_not_depend_on_place_or_company() {
    let x: Vec<f32> = (0..77).map(|i| (i as f32 * 0.7).sin() * 3.0 + 3.1).collect();
    for (isa, (op, _)) in LEVELS.into_iter().flat_map(|isa| FUNCTIONS.map(|f| (isa, f))) {
        let kernel = kernel(op, isa);
        let all = run(kernel, &x);
        for start in [0, 1, 3, 10] {
            for len in [1, 2, 5, 8, 33, 60] {
                let mut part = x[start..start + len].to_vec();
                part[len / 2] = f32::NAN;
                let y = run(kernel, &part);
                for i in (0..len).filter(|&i| i != len / 2) {
                    assert_eq!(y[i].to_bits(), all[start + i].to_bits(), "{op:?}");
                }
            }
        }
        let mut here = x.clone();
        let p = here.as_mut_ptr().cast();
        // SAFETY: elementwise kernels may write over their operand.
        unsafe { kernel(p, p, p, p, 77) };
        assert_eq!(here, all, "{op:?} in place");
    }
}

#[test]
fn both_results_of_a_pair_are_those_of_the_single_kernels() {
    let mut x: Vec<f32> = (0..39).map(|i| (i - 20) as f32 * 0.9).collect();
    x.extend([f32::NAN, 800.0, -800.0]);
    for isa in LEVELS {
        let pair = softplus_sigmoid(Target { isa, single: true });
        let (mut y, mut z) = (vec![0.0f32; x.len()], vec![0.0f32; x.len()]);
        let a = x.as_ptr().cast();
        // SAFETY: all slices have the same length.
        unsafe { pair(y.as_mut_ptr().cast(), a, a, z.as_mut_ptr().cast(), x.len()) };
        let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
        assert_eq!(bits(y), bits(run(kernel(Unary::Softplus, isa), &x)));
        assert_eq!(bits(z), bits(run(kernel(Unary::Sigmoid, isa), &x)));
    }
}
