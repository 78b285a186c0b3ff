//! Tests of the kernels: accuracy against libm over sweeps, edges, and equality of bits across lengths.

use super::*;

mod shape;
mod tables;

use tables::{DIGAMMA, LGAMMA, NORMAL_CDF, POW};

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
    Case { name, pick, reference, ranges, ulp }
}

/// Bounds include the error of the reference, below 1 ulp unless noted.
const CASES: [Case; 15] = [
    case("exp", |k| k.exp, libm::exp, &[[-746.0, 710.0], [-1.0, 1.0]], 1.5),
    case("log", |k| k.log, libm::log, &[[0.0, 1e3], [0.5, 2.0], [0.99, 1.01]], 1.5),
    case("log1p", |k| k.log1p, libm::log1p, &[[-1.0, 10.0], [-0.5, 0.5], [-1e-5, 1e-5]], 2.0),
    case("expm1", |k| k.expm1, libm::expm1, &[[-40.0, 710.0], [-1.0, 1.0], [-1e-5, 1e-5]], 2.5),
    case("tanh", |k| k.tanh, libm::tanh, &[[-25.0, 25.0], [-1.0, 1.0], [-1e-5, 1e-5]], 4.0),
    case("sigmoid", |k| k.sigmoid, sigmoid_reference, &[[-40.0, 40.0], [-1.0, 1.0]], 4.0),
    case("softplus", |k| k.softplus, softplus_reference, &[[-40.0, 40.0], [-1.0, 1.0]], 4.0),
    case("sin", |k| k.sin, libm::sin, &[[-1.1e5, 1.1e5], [-7.0, 7.0], [-1e-5, 1e-5]], 1.5),
    case("cos", |k| k.cos, libm::cos, &[[-1.1e5, 1.1e5], [-7.0, 7.0]], 1.5),
    case("atan", |k| k.atan, libm::atan, &[[-10.0, 10.0], [-1e5, 1e5], [-1e-5, 1e-5]], 2.5),
    case("sqrt", |k| k.sqrt, f64::sqrt, &[[0.0, 1e6]], 0.0),
    case("recip", |k| k.recip, f64::recip, &[[-10.0, 10.0]], 0.0),
    case("erf", |k| k.erf, libm::erf, &[[-7.0, 7.0], [-1.5, 1.5], [-1e-5, 1e-5]], 2.5),
    case("erfc", |k| k.erfc, libm::erfc, &[[-7.0, 28.0], [-1.5, 1.5]], 4.5),
    case("lgamma", |k| k.lgamma, libm::lgamma, &[[3.0, 30.0], [0.0, 0.9], [30.0, 1e6]], 5.0),
];

fn sigmoid_reference(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

fn softplus_reference(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn levels() -> impl Iterator<Item = Isa> {
    [Isa::Baseline, Isa::Avx2Fma].into_iter().filter(|isa| isa.is_supported())
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
    if got == want && got == 0.0 { f64::INFINITY } else { (got - want).abs() / unit }
}

/// `n` arguments over the ranges, at irregular places.
fn sweep(ranges: &[[f64; 2]], n: usize) -> Vec<f64> {
    let per = n / ranges.len();
    let place = |i: usize| (i as f64 + 0.5 + 0.4 * (i as f64 * 0.618_033_988_749_895).fract()) / per as f64;
    let each = |&[low, high]: &[f64; 2]| (0..per).map(move |i| low + (high - low) * place(i));
    ranges.iter().flat_map(each).collect()
}

#[test]
fn accuracy_over_sweeps() {
    for isa in levels() {
        for c in &CASES {
            let x = sweep(c.ranges, 200_000);
            let y = apply((c.pick)(kernels(isa)), &x);
            let worst = x.iter().zip(&y).map(|(&x, &y)| (ulps(y, (c.reference)(x)), x));
            let worst = worst.fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a });
            println!("{isa:?} {} {:.2} ulp at {:e}", c.name, worst.0, worst.1);
            assert!(worst.0 <= c.ulp, "{} on {isa:?}: {} ulp at {:e}", c.name, worst.0, worst.1);
        }
    }
}

fn check_table(name: &str, kernel: Unary, table: &[(f64, f64)]) {
    for &(x, want) in table {
        let got = apply(kernel, &[x])[0];
        assert!(ulps(got, want) <= 6.0, "{name}({x:e}) = {got:e}, not {want:e}");
    }
}

#[test]
fn accuracy_against_tables() {
    for isa in levels() {
        let k = kernels(isa);
        check_table("lgamma", k.lgamma, &LGAMMA);
        check_table("digamma", k.digamma, &DIGAMMA);
        check_table("normal_cdf", k.normal_cdf, &NORMAL_CDF);
        for &(x, y, want) in &POW {
            let mut out = [0.0];
            pow(isa, &[x], &[y], &mut out);
            assert!(ulps(out[0], want) <= 1.0, "{x:e}^{y:e} = {:e}, not {want:e}", out[0]);
        }
    }
}

#[test]
fn accuracy_of_powers_over_a_sweep() {
    let x: Vec<f64> = sweep(&[[-10.0, 10.0]], 200_000).iter().map(|v| v.exp()).collect();
    let y: Vec<f64> = (0..x.len()).map(|i| 70.0 * ((i as f64 * 0.754_877_666).fract() - 0.5)).collect();
    for isa in levels() {
        let mut z = vec![0.0; x.len()];
        pow(isa, &x, &y, &mut z);
        for i in 0..x.len() {
            let want = libm::pow(x[i], y[i]);
            assert!(ulps(z[i], want) <= 2.0, "{:e}^{:e} = {:e}, not {want:e}", x[i], y[i], z[i]);
        }
    }
}

/// Arguments where something special happens.
const EDGES: [f64; 30] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    5e-324,
    -5e-324,
    2e-308,
    -2e-308,
    1e-20,
    -1e-20,
    0.5,
    -0.5,
    708.0,
    -708.0,
    709.782,
    -709.782,
    710.0,
    -745.2,
    -746.0,
    750.0,
    1e5,
    -1e5,
    1e6,
    -1e6,
    1e300,
    -1e300,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

#[test]
fn edges_agree_with_the_reference() {
    for isa in levels() {
        for c in CASES.iter().filter(|c| c.name != "lgamma") {
            for (x, got) in EDGES.iter().zip(apply((c.pick)(kernels(isa)), &EDGES)) {
                let want = (c.reference)(*x);
                assert!(ulps(got, want) <= c.ulp.max(2.0), "{}({x:e}) = {got:e}, not {want:e}", c.name);
            }
        }
        for (x, y) in EDGES.iter().flat_map(|x| EDGES.iter().map(move |y| (*x, *y))) {
            let (mut got, want) = ([0.0], x.powf(y));
            pow(isa, &[x], &[y], &mut got);
            assert!(ulps(got[0], want) <= 2.0, "{x:e}^{y:e} = {:e}, not {want:e}", got[0]);
        }
    }
}

#[test]
fn gamma_functions_at_edges_and_below_zero() {
    let inf = f64::INFINITY;
    for isa in levels() {
        let k = kernels(isa);
        let x = [0.0, -0.0, -1.0, -7.0, inf, -inf, 5e-324, -5e-324, f64::NAN];
        let tiny = 5e-324f64.ln().abs();
        let want = [inf, inf, inf, inf, inf, inf, tiny, tiny, f64::NAN];
        for ((x, got), want) in x.iter().zip(apply(k.lgamma, &x)).zip(want) {
            assert!(ulps(got, want) <= 1.0, "lgamma({x}) = {got}");
        }
        let want = [-inf, inf, f64::NAN, f64::NAN, inf, f64::NAN, -inf, inf, f64::NAN];
        for ((x, got), want) in x.iter().zip(apply(k.digamma, &x)).zip(want) {
            assert!(ulps(got, want) <= 1.0, "digamma({x}) = {got}");
        }
        // mpmath: loggamma (real part) and digamma at negative numbers.
        let x = [-0.5, -1.3, -10.7, -1e-9];
        let want = [1.2655121234846454, 1.2024757863901114, -15.416789096416636, 20.723265837523627];
        for (got, want) in apply(k.lgamma, &x).iter().zip(want) {
            assert!((got / want - 1.0).abs() < 1e-13, "{got} {want}");
        }
        for (got, want) in apply(k.digamma, &x).iter().zip([
            0.03648997397857652,
            2.8825405488661673,
            0.13374481244706443,
            999999999.4227843,
        ]) {
            assert!((got / want - 1.0).abs() < 1e-13, "{got} {want}");
        }
    }
}
