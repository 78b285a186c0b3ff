//! Any text as JSON data: a message with a place, or data that can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg::model::data::DataFile;

fuzz_target!(|text: &str| match DataFile::from_json(text) {
    Ok(file) => {
        let again = DataFile::from_json(&file.to_json()).expect("written data can be read");
        file.keys().for_each(|k| assert_eq!(file.get(k).map(|r| &r.dims), again.get(k).map(|r| &r.dims)));
    }
    Err(e) => assert!(e.to_string().contains("line ")),
});
