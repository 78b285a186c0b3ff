//! Tests of the data readers: conventions, named errors, round trip, no panic.

use proptest::prelude::*;

use super::*;

fn json(text: &str) -> DataFile {
    DataFile::from_json(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn message(text: &str) -> String {
    DataFile::from_json(text).expect_err(text).to_string()
}

#[test]
fn numbers_and_arrays() {
    let d = json(r#"{"N": 3, "x": [[1, 2.5, 3], [4, 5, 6]], "b": [true, false], "e": 3.0, "z": -1e3}"#);
    assert_eq!(d.keys().collect::<Vec<_>>(), ["N", "x", "b", "e", "z"]);
    assert_eq!(d.get("N"), Some(&Raw::scalar(3.0)));
    let x = d.get("x").unwrap();
    assert_eq!(x.dims, [2, 3]);
    assert_eq!(x.values, [1.0, 2.5, 3.0, 4.0, 5.0, 6.0]);
    assert!(!x.integral && d.get("N").unwrap().integral && d.get("e").unwrap().integral);
    assert_eq!(d.get("b").unwrap().values, [1.0, 0.0]);
    assert!(d.get("missing").is_none());
}

#[test]
fn nulls_and_infinities() {
    let d = json(r#"{"y": [1, null, 3], "u": ["Infinity", "-Infinity", "Inf"], "n": null}"#);
    let y = d.get("y").unwrap();
    assert!(y.values[1].is_nan() && y.integral);
    assert_eq!(y.nulls, [1]);
    let u = d.get("u").unwrap();
    assert_eq!(u.values, [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY]);
    assert!(!u.integral);
    assert_eq!(d.get("n").unwrap().nulls, [0]);
}

#[test]
fn sizes_of_zero() {
    let d = json(r#"{"a": [], "b": [[], []], "c": [[[]]]}"#);
    assert_eq!(d.get("a").unwrap().dims, [0]);
    assert_eq!(d.get("b").unwrap().dims, [2, 0]);
    assert_eq!(d.get("c").unwrap().dims, [1, 1, 0]);
    assert!(d.get("a").unwrap().integral);
}

#[test]
fn errors_name_the_place() {
    for (text, parts) in [
        ("{\n\"x\": [[1, 2],\n [3]]}", ["line 3", "x[2] has length 1"]),
        (r#"{"x": [[1], 2]}"#, ["line 1", "x[2] is nested"]),
        (r#"{"x": [1, [2]]}"#, ["line 1", "x[2] is nested"]),
        (r#"{"x": [[], 2]}"#, ["line 1", "x[2] is nested"]),
        (r#"{"x": [[[1], [2]], [[3]]]}"#, ["line 1", "x[2] has length 1"]),
        (r#"{"x": [[1, "NaN"]]}"#, ["line 1", "x[1,2] is NaN"]),
        (r#"{"x": {"a": 1}}"#, ["line 1", "x is an object"]),
        (r#"{"x": [1, {}]}"#, ["line 1", "x[2] is an object"]),
        (r#"{"x": "red"}"#, ["line 1", "x is the text \"red\""]),
        (r#"{"x": 1, "x": 2}"#, ["line 1", "x is given twice"]),
        (r#"{"x": 1,}"#, ["line 1", "not JSON"]),
        (r#"{"x": NaN}"#, ["line 1", "not JSON"]),
        (r#"{"x": 1} 2"#, ["line 1", "trailing"]),
        ("[1]", ["line 1", "expected an object"]),
        (r#"{"x": 1e999}"#, ["line 1", "out of range"]),
        ("", ["line 1", "EOF"]),
    ] {
        let e = message(text);
        assert!(parts.iter().all(|p| e.contains(p)), "{text}: {e}");
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = format!("{{\"x\": {}", "[".repeat(100_000));
    assert!(message(&deep).contains("recursion limit"));
}

#[test]
fn csv_columns() {
    let d = DataFile::from_csv("y, x\n1,2.5\n,NA\n3,-1e2\n").unwrap();
    let y = d.get("y").unwrap();
    assert_eq!((y.dims.as_slice(), y.nulls.as_slice(), y.integral), (&[3][..], &[1][..], true));
    let x = d.get("x").unwrap();
    assert_eq!((x.values[0], x.values[2], x.integral), (2.5, -100.0, false));
    assert_eq!(DataFile::from_csv("a,b\n").unwrap().get("b").unwrap().dims, [0]);
}

#[test]
fn csv_errors_name_the_place() {
    for (text, part) in [
        ("a,b\n1,2\n3\n", "line 3, column 1: 1 of 2 fields"),
        ("a,b\n1,red\n", "line 2, column 2: b[1] is the text \"red\""),
        ("a\n1\nNaN\n", "line 3, column 1: a[2] is NaN"),
        ("a,a\n1,2\n", "line 1, column 2: a is given twice"),
        (",a\n1,2\n", "row.names"),
        ("", "empty"),
    ] {
        let e = DataFile::from_csv(text).expect_err(text).to_string();
        assert!(e.contains(part), "{text}: {e}");
    }
}

#[test]
fn load_names_the_file() {
    let dir = std::env::temp_dir();
    let missing = DataFile::load(&dir.join("thalweg-no-such-file.json")).unwrap_err();
    assert!(missing.to_string().contains("thalweg-no-such-file.json"));
    let other = DataFile::load(Path::new("data.xlsx")).unwrap_err();
    assert!(matches!(other, DataError::Format { .. }));
    let path = dir.join(format!("thalweg-data-{}.json", std::process::id()));
    std::fs::write(&path, "{\"x\": [1,\n {}]}").unwrap();
    let e = DataFile::load(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(e.contains("thalweg-data-") && e.contains("line 2") && e.contains("x[2]"), "{e}");
}

#[test]
fn written_numbers_are_short() {
    let mut d = DataFile::default();
    d.insert("n", Raw::scalar(3.0));
    d.insert("x", Raw::new(&[2, 2], vec![0.1, -0.0, 1e300, 2.0]));
    d.insert("q\"", Raw::new(&[2, 0], vec![]));
    let text = "{\n  \"n\": 3,\n  \"x\": [[0.1,-0.0],[1e300,2]],\n  \"q\\\"\": [[],[]]\n}\n";
    assert_eq!(d.to_json(), text);
    d.insert("n", Raw::scalar(4.0));
    assert_eq!(d.get("n"), Some(&Raw::scalar(4.0)));
    assert_eq!(d.keys().count(), 3);
}

#[test]
fn a_million_numbers() {
    let mut d = DataFile::default();
    let values: Vec<f64> = (0..1_000_000).map(|i| i as f64 * 0.37).collect();
    d.insert("x", Raw::new(&[1000, 1000], values));
    let back = json(&d.to_json());
    assert_eq!(back.get("x"), d.get("x"));
}

fn same(a: &Raw, b: &Raw) -> bool {
    let bits = |r: &Raw| r.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.dims == b.dims && bits(a) == bits(b) && a.nulls == b.nulls && a.integral == b.integral
}

prop_compose! {
    fn raw()(dims in proptest::collection::vec(1usize..4, 0..4))
        (values in proptest::collection::vec(
            prop_oneof![any::<f64>(), (-100i32..100).prop_map(f64::from), Just(f64::NAN)],
            dims.iter().product::<usize>()),
         dims in Just(dims)) -> Raw {
        // A NaN stands for a null, always with the same bits.
        let nulls: Vec<usize> = (0..values.len()).filter(|&i| values[i].is_nan()).collect();
        let values: Vec<f64> =
            values.into_iter().map(|v| if v.is_nan() { f64::NAN } else { v }).collect();
        let integral = values.iter().all(|v| v.is_nan() || is_whole(*v));
        Raw { dims, values, nulls, integral }
    }
}

proptest! {
    #[test]
    fn json_goes_back(entries in proptest::collection::hash_map(any::<String>(), raw(), 0..4)) {
        let mut d = DataFile::default();
        for (key, raw) in entries {
            d.insert(key, raw);
        }
        let back = DataFile::from_json(&d.to_json()).unwrap();
        prop_assert!(back.keys().eq(d.keys()));
        for key in d.keys() {
            prop_assert!(same(back.get(key).unwrap(), d.get(key).unwrap()));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = DataFile::from_json(&text);
        let _ = DataFile::from_csv(&text);
    }

    #[test]
    fn no_fragment_panics(text in r#"\{"a": [\[\]{},:"0-9eE.+\-null \n]*\}?"#) {
        let _ = DataFile::from_json(&text);
        let _ = DataFile::from_csv(&text);
    }

    // Consistency of what was read: counts, positions of nulls.
    #[test]
    fn arrays_are_consistent(text in r#"\{"a": \[([\[\],]|1|null,){0,12}\]\}"#) {
        if let Ok(d) = DataFile::from_json(&text) {
            let a = d.get("a").unwrap();
            prop_assert_eq!(a.dims.iter().product::<usize>(), a.values.len());
            prop_assert!(a.values.iter().enumerate().all(|(i, v)| v.is_nan() == a.nulls.contains(&i)));
        }
    }
}
