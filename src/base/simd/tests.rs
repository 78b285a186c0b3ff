//! Tests of the kernels: accuracy against libm over sweeps, edges, and equality of bits across lengths.

use super::*;

/// One kernel with its reference, the sweep of arguments and the bound in units in the last place.
struct Case {
    name: &'static str,
    pick: fn(&Kernels) -> Unary,
    reference: fn(f64) -> f64,
    ranges: &'static [[f64; 2]],
    ulp: f64,
}

const fn case(
    name: &'static str,
    pick: fn(&Kernels) -> Unary,
    reference: fn(f64) -> f64,
    ranges: &'static [[f64; 2]],
    ulp: f64,
) -> Case {
    Case {
        name,
        pick,
        reference,
        ranges,
        ulp,
    }
}

/// Bounds include the error of the reference, below 1 ulp unless noted.
const CASES: [Case; 15] = [
    case(
        "exp",
        |k| k.exp,
        libm::exp,
        &[[-746.0, 710.0], [-1.0, 1.0]],
        1.5,
    ),
    case(
        "log",
        |k| k.log,
        libm::log,
        &[[0.0, 1e3], [0.5, 2.0], [0.99, 1.01]],
        1.5,
    ),
    case(
        "log1p",
        |k| k.log1p,
        libm::log1p,
        &[[-1.0, 10.0], [-0.5, 0.5], [-1e-5, 1e-5]],
        2.0,
    ),
    case(
        "expm1",
        |k| k.expm1,
        libm::expm1,
        &[[-40.0, 710.0], [-1.0, 1.0], [-1e-5, 1e-5]],
        2.5,
    ),
    case(
        "tanh",
        |k| k.tanh,
        libm::tanh,
        &[[-25.0, 25.0], [-1.0, 1.0], [-1e-5, 1e-5]],
        4.0,
    ),
    case(
        "sigmoid",
        |k| k.sigmoid,
        sigmoid_reference,
        &[[-40.0, 40.0], [-1.0, 1.0]],
        4.0,
    ),
    case(
        "softplus",
        |k| k.softplus,
        softplus_reference,
        &[[-40.0, 40.0], [-1.0, 1.0]],
        4.0,
    ),
    case(
        "sin",
        |k| k.sin,
        libm::sin,
        &[[-1.1e5, 1.1e5], [-7.0, 7.0], [-1e-5, 1e-5]],
        1.5,
    ),
    case(
        "cos",
        |k| k.cos,
        libm::cos,
        &[[-1.1e5, 1.1e5], [-7.0, 7.0]],
        1.5,
    ),
    case(
        "atan",
        |k| k.atan,
        libm::atan,
        &[[-10.0, 10.0], [-1e5, 1e5], [-1e-5, 1e-5]],
        2.5,
    ),
    case("sqrt", |k| k.sqrt, f64::sqrt, &[[0.0, 1e6]], 0.0),
    case("recip", |k| k.recip, f64::recip, &[[-10.0, 10.0]], 0.0),
    case(
        "erf",
        |k| k.erf,
        libm::erf,
        &[[-7.0, 7.0], [-1.5, 1.5], [-1e-5, 1e-5]],
        2.5,
    ),
    case(
        "erfc",
        |k| k.erfc,
        libm::erfc,
        &[[-7.0, 28.0], [-1.5, 1.5]],
        5.0,
    ),
    case(
        "lgamma",
        |k| k.lgamma,
        libm::lgamma,
        &[[3.0, 30.0], [0.0, 0.9], [30.0, 1e6]],
        5.0,
    ),
];

fn sigmoid_reference(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 {
        e / (1.0 + e)
    } else {
        1.0 / (1.0 + e)
    }
}

fn softplus_reference(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn levels() -> impl Iterator<Item = Isa> {
    [Isa::Baseline, Isa::Avx2Fma]
        .into_iter()
        .filter(|isa| isa.is_supported())
}

fn apply(kernel: Unary, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    // SAFETY: both hold x.len() values and are disjoint.
    unsafe { kernel(x.as_ptr(), y.as_mut_ptr(), x.len()) };
    y
}

/// Distance to the reference in units of its last place; 0 when both are NaN or equal in sign and value.
fn ulps(got: f64, want: f64) -> f64 {
    if got.is_nan() && want.is_nan() || got.to_bits() == want.to_bits() {
        return 0.0;
    }
    let unit = (want.abs().next_up() - want.abs()).max(f64::from_bits(1));
    if got == want && got == 0.0 {
        f64::INFINITY
    } else {
        (got - want).abs() / unit
    }
}

/// `n` arguments over the ranges, at irregular places.
fn sweep(ranges: &[[f64; 2]], n: usize) -> Vec<f64> {
    let per = n / ranges.len();
    let place =
        |i: usize| (i as f64 + 0.5 + 0.4 * (i as f64 * 0.618_033_988_749_895).fract()) / per as f64;
    let each = |&[low, high]: &[f64; 2]| (0..per).map(move |i| low + (high - low) * place(i));
    ranges.iter().flat_map(each).collect()
}

#[test]
fn accuracy_over_sweeps() {
    for isa in levels() {
        for c in &CASES {
            let x = sweep(c.ranges, 200_000);
            let y = apply((c.pick)(kernels(isa)), &x);
            let worst = x
                .iter()
                .zip(&y)
                .map(|(&x, &y)| (ulps(y, (c.reference)(x)), x));
            let worst = worst.fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a });
            println!("{isa:?} {} {:.2} ulp at {:e}", c.name, worst.0, worst.1);
            assert!(
                worst.0 <= c.ulp,
                "{} on {isa:?}: {} ulp at {:e}",
                c.name,
                worst.0,
                worst.1
            );
        }
    }
}
