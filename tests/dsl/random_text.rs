//! No text makes the front end panic, whatever it holds.

use std::path::Path;

use proptest::prelude::*;
use thalweg::dsl::parser::parse;

use crate::golden::models_in;

/// Parses; a message must be printable and lie inside the text, an accepted model must survive printing.
fn exercise(source: &str) {
    match parse(source) {
        Ok(_) => crate::assert_round_trip("random", source),
        Err(d) => {
            assert!(d.span.start <= d.span.end && d.span.end as usize <= source.len(), "{d:?}");
            assert!(!d.message.is_empty());
            assert!(d.help.is_some(), "no likely fix\n{}", d.render("random", source));
            assert!(d.render("random.thal", source).contains("random.thal:"));
        }
    }
}

/// Words of the language and pieces that are nearly words.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "data",
        "const",
        "param",
        "latent",
        "observe",
        "plate",
        "for",
        "let",
        "report",
        "factor",
        "fn",
        "if",
        "else",
        "in",
        "return",
        "int",
        "real",
        "array",
        "vector",
        "matrix",
        "simplex",
        "from",
        "encode",
        "lower",
        "upper",
        "noncentred",
        "normal",
        "f",
        "x",
        "y",
        "N",
        "target",
        "T",
        "parameters",
        "model",
        "0",
        "1",
        "2.5",
        "1e-3",
        "2.",
        ".5",
        "1..2",
        "3x",
        "\"key\"",
        "\"",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "<=",
        ">=",
        "==",
        "!=",
        "=",
        "~",
        "->",
        "<-",
        "+=",
        ",",
        ":",
        ";",
        "?",
        "|",
        "||",
        "&&",
        "&",
        "!",
        "+",
        "-",
        "*",
        "/",
        ".*",
        "./",
        "%",
        "%/%",
        "^",
        ".^",
        "'",
        "#",
        "//",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\t",
        "é",
        "²",
        "$",
    ])
}

proptest! {
    #[test]
    fn any_characters(source in any::<String>()) {
        exercise(&source);
    }

    #[test]
    fn any_words(words in prop::collection::vec((word(), any::<bool>()), 0..40)) {
        let source: String = words.iter().map(|(w, space)| if *space { format!("{w} ") } else { w.to_string() }).collect();
        exercise(&source);
    }

    /// Statements that are right up to one word.
    #[test]
    fn accepted_models_with_a_word_put_in_or_cut(
        choice in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        cut in 0usize..6,
        put in word(),
    ) {
        let models = models_in(Path::new("tests/dsl/ok"));
        let chars: Vec<char> = models[choice.index(models.len())].1.chars().collect();
        let start = at.index(chars.len() + 1);
        let end = (start + cut).min(chars.len());
        let source: String = chars[..start].iter().copied().chain(put.chars()).chain(chars[end..].iter().copied()).collect();
        exercise(&source);
    }
}
