//! From text to words: comments, numbers, names, marks, and which newlines end a statement.

#[cfg(test)]
mod tests;

use super::diagnostic::Diagnostic;
use super::span::Span;
use super::token::{Keyword, Mark, Token, TokenKind};

/// The largest integer that a 64-bit float holds exactly with all its predecessors.
const MAX_INT: f64 = 9_007_199_254_740_992.0;

/// The words of a file; the last is `End`, or `Bad` where `error` says why the rest could not be read.
#[derive(Clone, Debug)]
pub struct Lexed {
    /// Words in order.
    pub tokens: Vec<Token>,
    /// Why reading stopped.
    pub error: Option<Diagnostic>,
}

/// Splits the source into words. A newline is kept only where it ends a statement.
pub fn lex(source: &str) -> Lexed {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new(), brackets: Vec::new() };
    let error = lexer.run().err();
    let (kind, span) = match &error {
        Some(diagnostic) => (TokenKind::Bad, diagnostic.span),
        None => (TokenKind::End, lexer.end_of_text()),
    };
    lexer.tokens.push(Token { kind, span });
    Lexed { tokens: lexer.tokens, error }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
    /// Open brackets; a newline is dropped while the innermost is `(` or `[`.
    brackets: Vec<Mark>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        if self.source.len() > u32::MAX as usize {
            return Err(Diagnostic::new(Span::default(), "a model file has at most 4 GiB"));
        }
        // A byte order mark is not part of the text.
        if self.source.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\n' => self.newline(),
                '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                '"' => self.string()?,
                c if c.is_whitespace() => self.at += c.len_utf8(),
                c if c.is_ascii_digit() => self.number()?,
                c if is_name_start(c) => self.name(),
                c => self.mark(c)?,
            }
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.source.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, kind: TokenKind, len: usize) {
        self.tokens.push(Token { kind, span: Span::new(self.at, self.at + len) });
        self.at += len;
    }

    /// The empty place after the last word, where something is missing if the file ends too early.
    fn end_of_text(&self) -> Span {
        let end = match self.tokens.iter().rev().find(|t| t.kind != TokenKind::Newline) {
            Some(token) => token.span.end as usize,
            None => self.source.len(),
        };
        Span::new(end, end)
    }

    fn newline(&mut self) {
        let inside = matches!(self.brackets.last(), Some(Mark::LParen | Mark::LBracket));
        let continued = match self.tokens.last() {
            Some(Token { kind: TokenKind::Mark(mark), .. }) => mark.continues_line(),
            Some(Token { kind: TokenKind::Newline, .. }) | None => true,
            Some(_) => false,
        };
        if inside || continued {
            self.at += 1;
        } else {
            self.push(TokenKind::Newline, 1);
        }
    }

    /// `"key"` on one line, without escapes.
    fn string(&mut self) -> Result<(), Diagnostic> {
        let body = &self.rest()[1..];
        match body.find(['"', '\n']) {
            Some(len) if body.as_bytes()[len] == b'"' => {
                self.push(TokenKind::Str, len + 2);
                Ok(())
            }
            _ => Err(Diagnostic::new(Span::new(self.at, self.at + 1), "this string has no end on its line")
                .label("opened here")
                .help("a string is written `\"key\"`, on one line")),
        }
    }

    fn name(&mut self) {
        let rest = self.rest();
        let len = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
        let kind = Keyword::of(&rest[..len]).map_or(TokenKind::Name, TokenKind::Keyword);
        self.push(kind, len);
    }

    fn digits(&self, from: usize) -> usize {
        (from..).take_while(|&i| self.byte(i).is_ascii_digit()).count()
    }

    /// digits [ "." digits ] [ ("e"|"E") [sign] digits ]: a point without digits after it is not part of the number,
    /// so that `2.*x` is `2 .* x`.
    fn number(&mut self) -> Result<(), Diagnostic> {
        let mut len = self.digits(0);
        let mut int = true;
        if self.byte(len) == b'.' && self.byte(len + 1).is_ascii_digit() {
            len += 1 + self.digits(len + 1);
            int = false;
        }
        if matches!(self.byte(len), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(len + 1), b'+' | b'-'));
            let digits = self.digits(len + 1 + sign);
            if digits > 0 {
                len += 1 + sign + digits;
                int = false;
            }
        }
        self.check_number_end(len)?;
        let text = &self.rest()[..len];
        let span = Span::new(self.at, self.at + len);
        let value: f64 = text.parse().unwrap_or(f64::INFINITY);
        if !value.is_finite() {
            return Err(Diagnostic::new(span, format!("the number `{}` is too large", shortened(text)))
                .help("the largest is about 1.8e308"));
        }
        if int && value > MAX_INT {
            return Err(Diagnostic::new(span, format!("the integer `{}` is too large", shortened(text)))
                .help("integers go up to 2^53; write a real with a point or an exponent, as in `1e20`"));
        }
        self.push(TokenKind::Number { value, int }, len);
        Ok(())
    }

    /// A letter or a lone point glued to a number is a slip, and says so better here than in the parser.
    fn check_number_end(&self, len: usize) -> Result<(), Diagnostic> {
        let number = shortened(&self.rest()[..len]);
        let tail = &self.rest()[len..];
        let glued = tail.find(|c| !is_name_part(c)).unwrap_or(tail.len());
        if glued > 0 {
            let name = &tail[..glued];
            let help = match name {
                _ if name.starts_with('_') => "digits are not grouped: write `1000` or `1e3`".to_string(),
                "e" | "E" => format!("an exponent needs digits, as in `{number}e3`"),
                _ => format!("a product is written `{number} * {}`", shortened(name)),
            };
            let span = Span::new(self.at, self.at + len + glued);
            return Err(Diagnostic::new(span, format!("`{number}{}` is not a number", shortened(name))).help(help));
        }
        if tail.starts_with("..") {
            let span = Span::new(self.at + len, self.at + len + 2);
            return Err(Diagnostic::new(span, "`..` is not an operator").help("a range is written `1:N`"));
        }
        if tail.starts_with('.') && !tail[1..].starts_with(['*', '/', '^']) {
            let span = Span::new(self.at, self.at + len + 1);
            return Err(Diagnostic::new(span, "expected digits after the decimal point")
                .help(format!("write `{number}` or `{number}.0`")));
        }
        Ok(())
    }

    fn mark(&mut self, c: char) -> Result<(), Diagnostic> {
        let rest = self.rest();
        if rest.starts_with("//") || rest.starts_with("/*") {
            return Err(Diagnostic::new(
                Span::new(self.at, self.at + 2),
                format!("`{}` is not a comment here", &rest[..2]),
            )
            .help("comments begin with `#` and go to the end of the line"));
        }
        let Some(mark) = Mark::at_start_of(rest) else {
            return Err(self.unknown(c));
        };
        match mark {
            Mark::LParen | Mark::LBracket | Mark::LBrace => self.brackets.push(mark),
            Mark::RParen | Mark::RBracket | Mark::RBrace
                if self.brackets.last().and_then(|open| open.closer()) == Some(mark) =>
            {
                self.brackets.pop();
            }
            _ => {}
        }
        self.push(TokenKind::Mark(mark), mark.text().len());
        Ok(())
    }

    /// A character that begins no word.
    fn unknown(&self, c: char) -> Diagnostic {
        let help = match c {
            '.' if self.byte(1).is_ascii_digit() => "a number begins with a digit: write `0` before the point",
            '.' if self.byte(1) == b'.' => "a range is written `1:N`",
            '.' => "names have no points and values no methods: use `_` in names, `f(x)` for calls",
            '&' => "and is written `&&`",
            '$' => "variables are written without `$`",
            '@' => "the matrix product is written `*`",
            '`' | '‘' | '’' | '“' | '”' => "strings are written `\"key\"`, after `from`",
            '−' | '–' | '—' => "minus is written `-`",
            '×' | '·' => "times is written `*`",
            '÷' => "division is written `/`",
            '≤' => "write `<=`",
            '≥' => "write `>=`",
            '≠' => "write `!=`",
            '∼' | '˜' => "write `~`",
            '²' => "write `^2`",
            '³' => "write `^3`",
            '√' => "write `sqrt(x)`",
            '∈' => "write `in`",
            _ => "outside comments a model file has names, numbers, operators and brackets",
        };
        let shown = if c.is_control() { format!("U+{:04X}", c as u32) } else { format!("`{c}`") };
        Diagnostic::new(Span::new(self.at, self.at + c.len_utf8()), format!("unknown character {shown}")).help(help)
    }
}

fn is_name_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_name_part(c: char) -> bool {
    is_name_start(c) || c.is_ascii_digit()
}

/// The text as it is quoted in a message.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 24;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_string(),
    }
}
