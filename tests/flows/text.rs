//! The text form of flows: what it stands for, and what is said about wrong texts.

use super::bench::Bench;
use thalweg::base::rng::Stream;
use thalweg::flow::Flow;

#[test]
fn texts_have_a_standard_form() {
    let cases = [
        ("realnvp", 5, "realnvp(layers=8, hidden=[32, 32], activation=elu)"),
        ("realnvp( 10 , hidden = [64,64])", 40, "realnvp(layers=10, hidden=[64, 64], activation=elu)"),
        ("nsf(5, bins=8)", 31, "nsf(layers=5, bins=8, box=10, hidden=[32, 32], activation=elu)"),
        ("iaf(3)", 100, "iaf(layers=3, hidden=[100, 100], activation=elu)"),
        ("maf(5, activation=tanh)", 2, "maf(layers=5, hidden=[32, 32], activation=tanh)"),
        ("iaf(box=2.5)", 2, "iaf(layers=3, hidden=[32, 32], activation=elu, bins=8, box=2.5)"),
        ("affine", 2, "affine(diagonal)"),
        ("affine(full)", 2, "affine(full)"),
        (
            "affine(lu, seed=3)->permutation -> householder",
            3,
            "affine(lu, seed=3) -> permutation(seed=0) -> householder(4)",
        ),
    ];
    for (text, dim, standard) in cases {
        let flow = Flow::parse(text, dim, 2).expect("a good text");
        assert_eq!(flow.to_string(), standard);
        let again = Flow::parse(standard, dim, 2).expect("its own standard form");
        assert_eq!(again.to_string(), standard);
        assert_eq!(again.segments(), flow.segments());
        assert_eq!(again.initial(7), flow.initial(7));
    }
}

#[test]
fn flows_are_joined_like_their_texts() {
    let part = |text: &str| Flow::parse(text, 3, 2).expect("a good text");
    let whole = part("realnvp(2)").then(&part("affine(full)"));
    let read = part(&whole.to_string());
    assert_eq!(read.segments(), whole.segments());
    assert_eq!(read.initial(1), whole.initial(1));
    let names: Vec<&str> = whole.layer_segments(2).iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["2.affine/shift", "2.affine/log_scale", "2.affine/context", "2.affine/lower"]);
    let ends: usize = whole.segments().iter().map(|s| s.count()).sum();
    assert_eq!(ends, whole.len());
}

/// Any text is a flow or an error with a column inside the text, or just behind it.
#[test]
fn no_text_panics() {
    const PIECES: [&str; 20] = [
        "realnvp", "nsf", "iaf", "maf", "affine", "(", ")", "[", "]", ",", "=", "->", "-", "3", "1e9", "hidden",
        "full", "bins", " ", "é",
    ];
    let mut rng = Stream::new(1, "texts", 0);
    for _ in 0..3000 {
        let n = (rng.uniform() * 12.0) as usize;
        let text: String = (0..n).map(|_| PIECES[(rng.uniform() * PIECES.len() as f64) as usize]).collect();
        if let Err(error) = Flow::parse(&text, 2, 0) {
            let message = error.to_string();
            let column = message.split("column ").nth(1).and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
            assert!(column.is_some_and(|c| (1..=text.chars().count() + 1).contains(&c)), "{text}: {message}");
        }
    }
}

#[test]
fn wrong_texts_name_place_and_choices() {
    let cases = [
        ("", "flow, column 1: found the end, expected the name of a flow, like realnvp"),
        (
            "realnpv(8)",
            "flow, column 1: unknown flow `realnpv`; choose one of affine, householder, permutation, realnvp, nsf, iaf, maf",
        ),
        ("realnvp(layer=8)", "flow, column 15: `realnvp` has no option `layer`; it takes layers, hidden, activation"),
        ("realnvp(8, 9)", "flow, column 12: `realnvp` has no option `9`; it takes layers, hidden, activation"),
        ("iaf(3, layers=4)", "flow, column 15: `layers` is given twice; keep one of them"),
        ("realnvp(1)", "flow, column 9: `layers` of `realnvp` is 1; expected a whole number from 2 to 64"),
        ("nsf(bins=2.5)", "flow, column 10: `bins` of `nsf` is 2.5; expected a whole number from 2 to 128"),
        ("nsf(box=-1)", "flow, column 9: `box` of `nsf` is -1; expected a number from 0.1 to 1e6"),
        (
            "maf(hidden=[0])",
            "flow, column 12: `hidden` of `maf` is [0.0]; expected a list of sizes from 1 to 4096, at most 8, like [64, 64]",
        ),
        (
            "maf(activation=gule)",
            "flow, column 16: `activation` of `maf` is `gule`; expected one of tanh, relu, elu, gelu",
        ),
        ("affine(upper)", "flow, column 8: `kind` of `affine` is `upper`; expected one of diagonal, full, lu"),
        ("affine(full, seed=1)", "flow, column 19: `seed` of `affine` is 1; expected none: only `affine(lu)` permutes"),
        ("maf(5", "flow, column 6: found the end, expected `,` and another option, or `)`"),
        ("maf(5))", "flow, column 7: found `)`, expected `->` and another flow, or the end"),
        ("maf(5) - iaf", "flow, column 10: found `i`, expected `>` after `-`"),
        ("maf(hidden=[3,)", "flow, column 15: found `)`, expected a number, or `]`"),
        ("maf(1e999)", "flow, column 5: found `1e999`, expected a number, a word, or a list of numbers in [ ]"),
        ("maf(layers=)", "flow, column 12: found `)`, expected a number, a word, or a list of numbers in [ ]"),
    ];
    for (text, message) in cases {
        let error = Flow::parse(text, 3, 0).expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
    let error = Flow::parse("maf", 0, 0).expect_err("no coordinates").to_string();
    assert!(error.contains("at least 1 coordinate"));
}

/// With every last bias far out, the log-scale of each coordinate is the sum of the bounds of the layers that move it.
#[test]
fn affine_chains_reach_log_scales_of_six() {
    for text in ["realnvp(2)", "realnvp(3)", "realnvp(8)", "iaf(1)", "iaf(3)", "maf(5)"] {
        for d in [1, 2, 3, 8] {
            let Ok(flow) = Flow::parse(text, d, 0) else { panic!("{text}") };
            for sign in [1.0, -1.0] {
                let mut theta = vec![0.0; flow.len()];
                for k in 0..flow.layers().len() {
                    let last = flow.layer_segments(k).last().expect("a network has parameters");
                    theta[last.start..last.start + last.count()].fill(sign * 50.0);
                }
                let b = Bench::new(flow.clone());
                let jacobian = b.jacobian(true, &theta, &vec![0.0; d], &[]);
                for k in 0..d {
                    let log = jacobian[(k, k)].ln().abs();
                    assert!(log >= 6.0, "{text}, d = {d}: log-scale of coordinate {k} reaches {log}");
                }
            }
        }
    }
}

/// Chains start as the identity.
#[test]
fn named_flows_start_as_the_identity() {
    for text in ["realnvp", "nsf", "iaf", "maf", "affine", "affine(full)", "householder"] {
        for d in [1, 4] {
            let b = Bench::new(Flow::parse(text, d, 2).expect("a good text"));
            let theta = b.flow.initial(3);
            for x in b.points() {
                let (y, log_det) = b.map(true, &theta, &x, &b.context(1.0));
                // A few roundings of numbers up to the half side of the splines' box.
                assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-13), "{text}: {x:?} to {y:?}");
                assert!(log_det.abs() < 1e-13, "{text}: {log_det}");
            }
        }
    }
}
