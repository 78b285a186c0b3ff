//! Any bytes as a file of draws: a message with a place, or columns of one length whose names form arrays.

#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg::io::parse_stan_csv;
use thalweg::workflow::layout::Elements;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = parse_stan_csv(bytes, "chain_1.csv".as_ref()) else { return };
    let rows = file.columns[0].len();
    assert!(file.columns.iter().all(|c| c.len() == rows));
    if let Ok(arrays) = Elements::group(&file.names)
        && rows > 0
    {
        let row: Vec<f64> = file.columns.iter().map(|c| c[0]).collect();
        arrays.iter().for_each(|a| drop(a.collect(&row)));
    }
});
