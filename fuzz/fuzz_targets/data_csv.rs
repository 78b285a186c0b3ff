//! Any text as CSV data: a message with a place, or columns of one length.

#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg::model::data::DataFile;

fuzz_target!(|text: &str| match DataFile::from_csv(text) {
    Ok(file) => {
        let rows: Vec<_> = file.keys().filter_map(|k| file.get(k)).map(|r| r.values.len()).collect();
        assert!(rows.windows(2).all(|w| w[0] == w[1]));
    }
    Err(e) => assert!(e.to_string().contains("line ")),
});
