//! Syntax errors inside expressions, types and laws: what was expected, what was found, and the likely fix.

use super::{Keyword, Mark, Parser, TokenKind, shortened};
use crate::dsl::ast::{Expr, Ident};
use crate::dsl::diagnostic::{Diagnostic, did_you_mean};
use crate::dsl::span::Span;

/// Kinds of value, for hints only; the meaning of a type name is decided later.
pub(super) const TYPES: [&str; 16] = [
    "int",
    "real",
    "array",
    "vector",
    "row_vector",
    "matrix",
    "simplex",
    "ordered",
    "positive_ordered",
    "unit_vector",
    "corr_matrix",
    "cov_matrix",
    "cholesky_factor_corr",
    "cholesky_factor_cov",
    "complex",
    "tuple",
];

impl Parser<'_> {
    /// The word here as a message names it.
    fn found(&self) -> String {
        let token = self.token(0);
        let text = shortened(self.text(token.span));
        match token.kind {
            TokenKind::Newline => "the end of the line".to_string(),
            TokenKind::End | TokenKind::Bad => "the end of the file".to_string(),
            TokenKind::Keyword(_) => format!("the reserved word `{text}`"),
            TokenKind::Str => format!("the string {text}"),
            _ => format!("`{text}`"),
        }
    }

    /// "expected …, found …" at the word here.
    pub(super) fn expected(&self, what: &str) -> Diagnostic {
        let found = self.found();
        let label = match self.peek() {
            TokenKind::Newline => "the line ends here".to_string(),
            TokenKind::End => "the file ends here".to_string(),
            _ => "not expected here".to_string(),
        };
        let d = Diagnostic::new(self.here(), format!("expected {what}, found {found}")).label(label);
        self.with_open_bracket(d)
    }

    /// Points at the innermost bracket where it is likely to have been left open.
    fn with_open_bracket(&self, d: Diagnostic) -> Diagnostic {
        let Some(&(mark, span)) = self.open.last() else {
            return d;
        };
        let closer = mark.closer().unwrap_or(mark).text();
        let left_open = match self.peek() {
            TokenKind::End => true,
            TokenKind::Mark(found @ (Mark::RParen | Mark::RBracket | Mark::RBrace)) => found.text() != closer,
            _ if mark == Mark::LBrace => false,
            TokenKind::Mark(Mark::Assign) if !self.at_line_start() => {
                return d.help("equality is written `==`");
            }
            TokenKind::Mark(Mark::Tilde | Mark::LBrace) => true,
            _ => self.at_line_start(),
        };
        match left_open {
            true => {
                d.note(span, format!("this `{}` is still open", mark.text())).help(format!("close it with `{closer}`"))
            }
            false => d,
        }
    }

    /// The word that closes the innermost bracket is not here; nor is what else could stand before it.
    pub(super) fn expected_close(&self, before: &str, closer: &str) -> Diagnostic {
        let d = self.expected(&format!("{before}`{closer}`"));
        let value = match self.peek() {
            TokenKind::Name | TokenKind::Number { .. } | TokenKind::Str => true,
            TokenKind::Mark(mark) => matches!(mark, Mark::LParen | Mark::LBracket | Mark::Not),
            _ => false,
        };
        match value && d.help.is_none() && closer != "}" {
            true => d.help("a comma or an operator is missing before it"),
            false if d.help.is_none() => d.help(format!("close the bracket with `{closer}`")),
            false => d,
        }
    }

    pub(super) fn expected_expr(&self) -> Diagnostic {
        let d = self.expected("an expression");
        if d.help.is_some() {
            return d;
        }
        if self.at_line_start() {
            return d.help("the line above is not complete");
        }
        let before = if self.at > 0 { self.tokens[self.at - 1].kind } else { TokenKind::Newline };
        match self.peek() {
            TokenKind::Newline if matches!(before, TokenKind::Mark(Mark::Lt | Mark::Gt)) => {
                d.help("`<` and `>` do not continue a line: put what follows on this line")
            }
            TokenKind::Keyword(Keyword::If) => d.help("a conditional value is written `condition ? a : b`"),
            TokenKind::Keyword(Keyword::For) => d.help("a list made by a loop is written `[e for i in a:b]`"),
            TokenKind::Keyword(Keyword::Fn) => d.help("functions have names: declare `fn f(x: real) -> real { … }`"),
            TokenKind::Keyword(_) => d.help("reserved words cannot be names of values"),
            TokenKind::Str => d.help("strings stand only after `from`"),
            TokenKind::Mark(Mark::Assign) => d.help("equality is written `==`"),
            TokenKind::Mark(Mark::Tilde) => d.help("`~` stands between a name or an observed value and its law"),
            TokenKind::Mark(Mark::LBrace) => d.help("lists are written with brackets, `[a, b]`"),
            TokenKind::Mark(Mark::RBracket) if before == TokenKind::Mark(Mark::LBracket) => {
                d.help("an index is `y[1]`, a slice `y[2:3]`; all elements are `y[:]`")
            }
            TokenKind::Mark(Mark::Mul) if before == TokenKind::Mark(Mark::Mul) => d.help("a power is written `a ^ b`"),
            TokenKind::Mark(mark) if mark.is_infix() => d.help("an operand is missing before it"),
            _ => d.help("a value is missing here"),
        }
    }

    pub(super) fn trailing_comma(&self) -> Diagnostic {
        self.expected("another value after the comma").help("remove the comma")
    }

    pub(super) fn bounds_without_call(&self, base: Span) -> Diagnostic {
        Diagnostic::new(self.here(), "bounds follow a law with its arguments, or a type")
            .label("not expected here")
            .note(base, "this is neither")
            .help("a truncated law is written `normal(0, 1)<lower=a, upper=b>`")
    }

    pub(super) fn expected_type(&self) -> Diagnostic {
        let element = self.at > 0 && self.tokens[self.at - 1].kind == TokenKind::Mark(Mark::RBracket);
        let d = self.expected(if element { "the type of the elements" } else { "a type" });
        match d.help {
            Some(_) => d,
            None if element => d.help("write `array[n] real`, `array[n] int`, `array[n] vector[k]` and so on"),
            None => {
                d.help("types are `int`, `real`, `vector[n]`, `matrix[r, c]`, `array[n] int`, `simplex[k]` and so on")
            }
        }
    }

    /// A type name without the `[sizes]` it needs.
    pub(super) fn missing_size(&self, name: &Ident) -> Diagnostic {
        let word = name.name.as_str();
        let d = self.expected(&format!("`[` and the size of `{}`", shortened(word)));
        match word {
            "float" | "double" | "num" | "number" | "numeric" | "scalar" => d.help("the type is called `real`"),
            "bool" | "boolean" => d.help("a truth value is `int<lower=0, upper=1>`"),
            "integer" | "nat" | "natural" | "count" => d.help("the type is called `int`"),
            "matrix" => d.help("a matrix has two sizes: `matrix[r, c]`"),
            "array" => d.help("an array is written `array[n] real`"),
            _ => match did_you_mean(word, TYPES.into_iter()) {
                Some(near) => d.help(format!("did you mean `{near}`?")),
                None => d.help(format!("write `{}[n]`", shortened(word))),
            },
        }
    }

    pub(super) fn not_a_bound(&self) -> Diagnostic {
        let d = self.expected("`lower=` or `upper=`");
        match self.peek() {
            TokenKind::Name => match self.text(self.here()) {
                "offset" | "multiplier" => d.help("write `noncentred` after a location-scale law"),
                "min" | "from" | "ge" | "gt" => d.help("did you mean `lower`?"),
                "max" | "to" | "le" | "lt" => d.help("did you mean `upper`?"),
                word => match did_you_mean(word, ["lower", "upper"].into_iter()) {
                    Some(near) => d.help(format!("did you mean `{near}`?")),
                    None => d.help("bounds are written `<lower=a, upper=b>`"),
                },
            },
            _ => d.help("bounds are written `<lower=a, upper=b>`"),
        }
    }

    /// After `in` stands one value and no `:`.
    pub(super) fn not_a_range(&self, from: &Expr) -> Diagnostic {
        let d = self.expected("`:` and the last index");
        let text = self.text(from.span);
        match self.peek() {
            TokenKind::Mark(Mark::Question) => d.help("put a conditional bound of a range into parentheses"),
            _ if text.contains('\n') || text.starts_with("range(") || text.starts_with("seq") => {
                d.help("a range is written `1:N`")
            }
            _ => d.help(format!("a range has two ends: `1:{}`", shortened(text))),
        }
    }

    pub(super) fn missing_in(&self) -> Diagnostic {
        let d = self.expected("`in` and a range");
        match self.peek() {
            TokenKind::Mark(Mark::Comma) => d.help("one index each: nest a second plate or loop inside the first"),
            TokenKind::Mark(Mark::LBrace) => d.help("name an index and its range: `n in 1:N`"),
            TokenKind::Mark(Mark::Assign | Mark::Colon) => d.help("write `in` here: `i in 1:N`"),
            _ => d.help("write an index, `in` and a range: `i in 1:N`"),
        }
    }

    /// After `~` stands something else than `law(…)`.
    pub(super) fn not_a_law(&self) -> Diagnostic {
        if self.peek() == TokenKind::Name {
            let law = shortened(self.text(self.here()));
            let end = self.here().end as usize;
            return Diagnostic::new(Span::new(end, end), format!("expected `(` and the arguments of the law `{law}`"))
                .label("arguments are missing")
                .help(format!(
                    "write `{law}(…)`, with empty parentheses where there are none; a fixed value is a `let`"
                ));
        }
        self.expected("a law").help("after `~` stands a law with its arguments, as in `normal(0, 1)`")
    }

    /// A header without its block.
    pub(super) fn missing_block(&self, after: &str) -> Diagnostic {
        let d = self.expected(&format!("`{{`{after}"));
        match self.peek() {
            TokenKind::Newline => d.help("put the `{` on this line"),
            TokenKind::Mark(Mark::Assign) => d.help("equality is written `==`"),
            TokenKind::Mark(Mark::Colon) => d.help("a block is written `{ … }`, and a range has no step"),
            TokenKind::Mark(Mark::Question) => d.help("put the conditional into parentheses"),
            _ if d.help.is_some() => d,
            _ => d.help("a block is written `{ … }`, even around one statement"),
        }
    }
}
