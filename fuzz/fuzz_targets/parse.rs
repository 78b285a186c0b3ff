//! Any text: a message that can be printed, or a tree that survives printing and parsing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg::dsl::format::format;
use thalweg::dsl::parser::parse;

fuzz_target!(|source: &str| {
    match parse(source) {
        Ok(tree) => {
            let printed = format(&tree);
            match parse(&printed) {
                Ok(again) => assert_eq!(format(&again), printed),
                Err(d) => panic!("{}", d.render("printed", &printed)),
            }
        }
        Err(d) => {
            assert!(d.span.start <= d.span.end && d.span.end as usize <= source.len());
            assert!(d.help.is_some());
            assert!(!d.render("input", source).is_empty());
        }
    }
});
