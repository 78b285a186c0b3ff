//! Equality of bits across lengths, places and aliasing.

use super::*;

/// Kernels of all kinds as functions of one slice, for the tests of shape.
fn shapes(isa: Isa) -> Vec<(&'static str, Unary)> {
    let k = kernels(isa);
    let rest = [("digamma", k.digamma), ("normal_cdf", k.normal_cdf)];
    CASES.iter().map(|c| (c.name, (c.pick)(k))).chain(rest).collect()
}

#[test]
fn bits_do_not_depend_on_length_or_place() {
    // Some arguments take the second pass.
    let x: Vec<f64> = (0..150).map(|i| if i % 13 == 5 { -2.5e5 - i as f64 } else { 0.37 * i as f64 - 5.0 }).collect();
    for isa in levels() {
        for (name, kernel) in shapes(isa) {
            let alone: Vec<f64> = x.iter().map(|&v| apply(kernel, &[v])[0]).collect();
            for n in 0..=70 {
                for start in [0, 1, 7] {
                    let together = apply(kernel, &x[start..start + n]);
                    let same = together.iter().zip(&alone[start..]).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{name} on {isa:?}, {n} elements from {start}");
                }
            }
            assert!(apply(kernel, &x).iter().zip(&alone).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
        }
    }
}

#[test]
fn nothing_is_written_past_the_end_and_in_place_is_the_same() {
    let x: Vec<f64> = (0..70).map(|i| 0.37 * i as f64 - 5.0).collect();
    for isa in levels() {
        for (name, kernel) in shapes(isa) {
            for n in 0..=70 {
                let mut y = x.clone();
                // SAFETY: n <= 70 values, read and written at the same place.
                unsafe { kernel(y.as_ptr(), y.as_mut_ptr(), n) };
                let want = apply(kernel, &x[..n]);
                let done = y[..n].iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(done && y[n..] == x[n..], "{name} on {isa:?}, {n} elements");
            }
        }
    }
}

#[test]
fn kernels_of_two_arguments_or_results_agree_with_single_elements() {
    let x: Vec<f64> = (0..70).map(|i| if i % 11 == 3 { -2.0 } else { 0.1 + 0.2 * i as f64 }).collect();
    let y: Vec<f64> = (0..70).map(|i| 3.0 - 0.1 * i as f64).collect();
    for isa in levels() {
        for n in 0..=70 {
            let (mut p, mut a, mut b) = (x.clone(), y.clone(), y.clone());
            // SAFETY: n <= 70 values; the output is the first input, or disjoint from it.
            unsafe {
                (kernels(isa).pow)(p.as_ptr(), y.as_ptr(), p.as_mut_ptr(), n);
                (kernels(isa).softplus_sigmoid)(b.as_ptr(), a.as_mut_ptr(), b.as_mut_ptr(), n);
            }
            assert!(p[n..] == x[n..] && a[n..] == y[n..] && b[n..] == y[n..]);
            for i in 0..n {
                let mut one = [0.0];
                pow(isa, &x[i..=i], &y[i..=i], &mut one);
                assert_eq!(one[0].to_bits(), p[i].to_bits());
                assert_eq!(apply(kernels(isa).softplus, &y[i..=i])[0].to_bits(), a[i].to_bits());
                assert_eq!(apply(kernels(isa).sigmoid, &y[i..=i])[0].to_bits(), b[i].to_bits());
            }
        }
    }
}
