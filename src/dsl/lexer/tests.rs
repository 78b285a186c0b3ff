//! Words, numbers, newlines and slips.

use super::*;

/// The words as text, newlines as `⏎`.
fn words(source: &str) -> String {
    let lexed = lex(source);
    assert_eq!(lexed.error, None);
    let text = |t: &Token| match t.kind {
        TokenKind::Newline => "⏎".to_string(),
        _ => source[t.span.start as usize..t.span.end as usize].to_string(),
    };
    lexed.tokens[..lexed.tokens.len() - 1].iter().map(text).collect::<Vec<_>>().join(" ")
}

fn error(source: &str) -> String {
    lex(source).error.map(|d| d.to_string()).unwrap_or_default()
}

#[test]
fn a_point_belongs_to_a_number_only_before_digits() {
    assert_eq!(words("2.*x 2.5*x 2./x 2.^x 1.0.*x"), "2 .* x 2.5 * x 2 ./ x 2 .^ x 1.0 .* x");
    assert_eq!(words("1e3 1.5E-3 2e+10"), "1e3 1.5E-3 2e+10");
}

#[test]
fn int_is_what_has_neither_point_nor_exponent() {
    let kinds: Vec<TokenKind> = lex("7 7.0 7e0").tokens.iter().map(|t| t.kind).collect();
    let number = |int| TokenKind::Number { value: 7.0, int };
    assert_eq!(kinds, [number(true), number(false), number(false), TokenKind::End]);
}

#[test]
fn longest_mark_wins() {
    assert_eq!(words("a%/%b a%b a<=b a->b a.^b x'"), "a %/% b a % b a <= b a -> b a .^ b x '");
}

#[test]
fn newlines_are_kept_only_where_a_statement_may_end() {
    assert_eq!(words("a\n\n\nb\n"), "a ⏎ b ⏎");
    assert_eq!(words("f(\na\n,\nb\n)\n[1,\n2\n]\nc"), "f ( a , b ) ⏎ [ 1 , 2 ] ⏎ c");
    assert_eq!(words("a +\nb ~\nc ?\nd :\ne"), "a + b ~ c ? d : e");
    assert_eq!(words("a <=\nb <\nc >\nd"), "a <= b < ⏎ c > ⏎ d");
    assert_eq!(words("{\na\n}\nb'\nc"), "{ a ⏎ } ⏎ b ' ⏎ c");
    assert_eq!(words("a + # why\n # and\nb # end\nc"), "a + b ⏎ c");
    assert_eq!(words("plate i in 1:N {\r\n x[\r\n1]\r\n}"), "plate i in 1 : N { x [ 1 ] ⏎ }");
}

#[test]
fn names_have_letters_of_any_script() {
    assert_eq!(words("\u{feff}μ_1 σ2 _x naïve"), "μ_1 σ2 _x naïve");
}

#[test]
fn slips_say_what_to_write() {
    assert!(error("let x = 2 // two").contains("comments begin with `#`"));
    assert!(error("2x").contains("`2 * x`"));
    assert!(error("2. + 1").contains("`2.0`"));
    assert!(error("1..N").contains("`1:N`"));
    assert!(error(".5").contains("`0` before the point"));
    assert!(error("1_000").contains("not grouped"));
    assert!(error("1e").contains("exponent needs digits"));
    assert!(error("1e999").contains("too large"));
    assert!(error("99999999999999999999").contains("2^53"));
    assert!(error("a − b").contains("minus is written `-`"));
    assert!(error("σ²").contains("`^2`"));
    assert!(error("from \"abc\nx").contains("no end"));
}
