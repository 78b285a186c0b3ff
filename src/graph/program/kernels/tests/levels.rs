//! Kernels of AVX-512 against those of AVX2, bit for bit, at every length around those of their vectors.

use crate::base::simd::Isa;
use crate::graph::op::Unary;
use crate::graph::program::kernels::matmul::{Layout, choose};
use crate::graph::program::kernels::{Extent, Kernel, Number, Target, dataset, function};

const FUNCTIONS: [Unary; 7] =
    [Unary::Exp, Unary::Expm1, Unary::Log, Unary::Log1p, Unary::Tanh, Unary::Sigmoid, Unary::Softplus];

/// Numbers that no sum keeps exactly, and some that are none.
fn numbers<T: Number>(n: usize, seed: u64, odd: bool) -> Vec<T> {
    let number = |i: u64| {
        let z = (i + 1).wrapping_mul(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let u = (z >> 11) as f64 / (1u64 << 53) as f64;
        match z % 61 {
            0 if odd => f64::NAN,
            1 if odd => f64::INFINITY,
            2 if odd => -0.0,
            3 if odd => 1e300,
            _ => (2.0 * u - 1.0) * 10f64.powi((z % 5) as i32 - 2),
        }
    };
    (0..n as u64).map(|i| T::from_f64(number(i))).collect()
}

/// Calls the kernel of both levels on a result that holds `before`, with parameters; the results have the same bits.
fn same<T: Number>(of: impl Fn(Target) -> Kernel, before: &[T], [a, b]: [&[T]; 2], c: &[T], n: usize, what: &str) {
    let [one, other] = [Isa::Avx2Fma, Isa::Avx512].map(|isa| {
        let mut d = before.to_vec();
        let kernel = of(Target { isa, single: T::SINGLE });
        // SAFETY: the callers here give what the kernels ask for; the levels are supported.
        unsafe { kernel(d.as_mut_ptr().cast(), a.as_ptr().cast(), b.as_ptr().cast(), c.as_ptr().cast(), n) };
        d
    });
    for (i, (x, y)) in one.iter().zip(&other).enumerate() {
        let (x, y) = (x.to_f64(), y.to_f64());
        assert!(x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()), "{what}: {x} and {y} at {i}");
    }
}

fn params<T: Number>(p: &[usize]) -> Vec<T> {
    p.iter().map(|k| T::of_param(*k)).collect()
}

fn supported() -> bool {
    let is = Isa::Avx512.is_supported();
    if !is {
        eprintln!("SKIPPED: this machine has no AVX-512");
    }
    is
}

fn functions<T: Number>() {
    for op in FUNCTIONS {
        for n in (1..70).chain([255, 512, 700]) {
            let x: Vec<T> = numbers(n, 77 + n as u64, true);
            let what = format!("{op:?} of {n}");
            same(|t| function::unary(op, t, Extent::Many), &x.clone(), [&x, &x], &x, n, &what);
        }
    }
    for n in 1..70 {
        let x: Vec<T> = numbers(n, 13, true);
        let [one, other] = [Isa::Avx2Fma, Isa::Avx512].map(|isa| {
            let (mut y, mut z) = (x.clone(), x.clone());
            let kernel = function::softplus_sigmoid(Target { isa, single: T::SINGLE });
            // SAFETY: all have n numbers.
            unsafe {
                kernel(y.as_mut_ptr().cast(), x.as_ptr().cast(), x.as_ptr().cast(), z.as_mut_ptr().cast(), n);
            }
            format!("{y:?} {z:?}")
        });
        assert_eq!(one, other, "both of {n}");
    }
}

fn products<T: Number>() {
    let rows = |m: usize, n: usize, k: usize| Layout { outer: 1, inner: 1, m, n, k, d: n, ..Layout::default() };
    for m in [1, 2, 5, 6, 11, 12, 13, 23, 24, 31, 64] {
        for n in (1..36).chain([48, 50, 65]) {
            for k in [1, 7, 16, 33] {
                let (l, r): (Vec<T>, Vec<T>) = (numbers(m * k, 5, false), numbers(k * n, 9, false));
                // The right factor as it stands, its transpose, and the transpose of the left one.
                for (left, right) in [((k, 1), (n, 1)), ((k, 1), (1, k)), ((1, m), (n, 1))] {
                    let layout = Layout { l: left, r: right, ..rows(m, n, k) };
                    let what = format!("{m} x {k} by {k} x {n}, {left:?} {right:?}");
                    same(
                        |t| choose(&layout, t),
                        &numbers(m * n, 3, false),
                        [&l, &r],
                        &params(&layout.params()),
                        0,
                        &what,
                    );
                }
            }
        }
    }
}

fn data<T: Number>() {
    let slots = Target { isa: Isa::Avx2Fma, single: T::SINGLE }.vector();
    for n in (1usize..40).chain([64, 100, 104, 131]) {
        for columns in [1, 3, 4, 8, 13, 32] {
            let e = n.next_multiple_of(slots) + slots;
            // Numbers of single precision in the places of both kinds of tiles.
            let x: Vec<T> =
                numbers::<f32>(2 * columns * e, 21, false).iter().map(|x| T::from_f64(x.to_f64())).collect();
            let paired = |x: &[f32]| {
                let [low, high] = [x[0], x[1]].map(|x| u64::from(x.to_bits()));
                T::from_f64(f64::from_bits(low | high << 32))
            };
            let narrow: Vec<T> = numbers::<f32>(4 * columns * e, 22, false).chunks(2).map(paired).collect();
            let (b, r): (Vec<T>, Vec<T>) = (numbers(columns, 3, false), numbers(n, 4, false));
            let (d, acc) = (numbers(n, 5, false), numbers(slots * columns, 6, false));
            let (c, what) = (params(&[columns, e]), format!("{n} rows of {columns} columns"));
            same(dataset::rows, &d, [&x, &b], &c, n, &what);
            same(dataset::columns, &acc, [&x, &r], &c, n, &what);
            if !T::SINGLE {
                same(dataset::rows_narrow, &d, [&narrow, &b], &c, n, &what);
                same(dataset::columns_narrow, &acc, [&narrow, &r], &c, n, &what);
            }
        }
    }
}

#[test]
fn functions_have_the_same_bits() {
    if supported() {
        functions::<f64>();
        functions::<f32>();
    }
}

#[test]
fn products_have_the_same_bits() {
    if supported() {
        products::<f64>();
        products::<f32>();
    }
}

#[test]
fn products_with_data_have_the_same_bits() {
    if supported() {
        data::<f64>();
        data::<f32>();
    }
}
