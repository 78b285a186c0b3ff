//! Any text as a model with a little data: a message, or a graph that obeys its rules.

#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg::graph::check::check;
use thalweg::model::data::{DataFile, Raw};
use thalweg::model::posterior::Model;

fuzz_target!(|source: &str| {
    let mut data = DataFile::default();
    for size in ["n", "N", "J", "K"] {
        data.insert(size, Raw::scalar(3.0));
    }
    for name in ["x", "y", "sigma"] {
        data.insert(name, Raw::new(&[3], vec![1.0, 2.0, 3.0]));
    }
    match Model::from_text("m.thal", source).and_then(|m| m.bind(&data)) {
        Ok(p) => check(&p.graph).expect("a graph that obeys its rules"),
        Err(e) => assert!(e.to_string().starts_with("error: ")),
    }
});
