//! From words to the syntax tree: a recursive descent over the grammar of `docs/language.md`.

mod expr;
mod hints;
mod slips;
mod stmt;
#[cfg(test)]
mod tests;
mod types;

use super::ast;
use super::diagnostic::Diagnostic;
use super::lexer::{lex, shortened};
use super::span::Span;
use super::token::{Keyword, Mark, Token, TokenKind};

/// The greatest number of blocks, brackets and signs inside one another: what the parser itself recurses over.
pub const MAX_NESTING: usize = 100;

/// The greatest height of the tree, operators side by side included.
///
/// Every later pass walks the tree recursively, so the bound keeps them, and the drop of the tree, within a small stack.
pub const MAX_HEIGHT: usize = 256;

/// Parses a model file.
///
/// The error is the first in the order of the text.
pub fn parse(source: &str) -> Result<ast::Block, Diagnostic> {
    let lexed = lex(source);
    let mut parser = Parser { source, tokens: lexed.tokens, at: 0, depth: 0, height: 0, open: Vec::new() };
    let tree = parser.file();
    // What stopped the lexer is also what the parser stumbles over, if nothing before it was wrong.
    match lexed.error {
        Some(error) if parser.peek() == TokenKind::Bad => Err(error),
        _ => tree,
    }
}

type Parse<T> = Result<T, Diagnostic>;

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    at: usize,
    /// Nested constructs that are being parsed.
    depth: usize,
    /// Height of the tallest tree finished inside the innermost construct.
    height: usize,
    /// Brackets that are open here.
    open: Vec<(Mark, Span)>,
}

impl Parser<'_> {
    /// The word `ahead` places further; the last one repeats for ever.
    fn token(&self, ahead: usize) -> Token {
        self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> TokenKind {
        self.token(0).kind
    }

    fn here(&self) -> Span {
        self.token(0).span
    }

    /// The end of the last word read.
    fn last_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    /// True where the word here is not on the line of the word before it.
    fn at_line_start(&self) -> bool {
        let end = if self.at == 0 { 0 } else { self.last_span().end as usize };
        self.source[end..self.here().start as usize].contains('\n')
    }

    fn text(&self, span: Span) -> &str {
        &self.source[span.start as usize..span.end as usize]
    }

    fn next(&mut self) -> Token {
        let token = self.token(0);
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn is_mark(&self, ahead: usize, mark: Mark) -> bool {
        self.token(ahead).kind == TokenKind::Mark(mark)
    }

    fn is_keyword(&self, ahead: usize, keyword: Keyword) -> bool {
        self.token(ahead).kind == TokenKind::Keyword(keyword)
    }

    /// True for a word that is not reserved but means something at certain places, such as `lower`.
    fn is_word(&self, ahead: usize, word: &str) -> bool {
        let token = self.token(ahead);
        token.kind == TokenKind::Name && self.text(token.span) == word
    }

    fn eat(&mut self, mark: Mark) -> bool {
        let found = self.is_mark(0, mark);
        if found {
            self.next();
        }
        found
    }

    /// Reads the opening bracket that the caller has seen and remembers it until `close`.
    fn open(&mut self, mark: Mark) -> Span {
        let span = self.next().span;
        self.open.push((mark, span));
        span
    }

    /// Reads the bracket that closes the innermost open one; `before` says what else could stand here.
    fn close(&mut self, before: &str) -> Parse<Span> {
        let Some(&(mark, _)) = self.open.last() else {
            return Ok(self.here());
        };
        let closer = mark.closer().unwrap_or(mark);
        if !self.is_mark(0, closer) {
            return Err(self.expected_close(before, closer.text()));
        }
        self.open.pop();
        Ok(self.next().span)
    }

    fn name(&mut self, what: &str) -> Parse<ast::Ident> {
        match self.peek() {
            TokenKind::Name => {
                let span = self.next().span;
                Ok(ast::Ident { name: self.text(span).to_string(), span })
            }
            TokenKind::Keyword(keyword) => {
                let word = keyword.text();
                Err(Diagnostic::new(self.here(), format!("expected {what}, found the reserved word `{word}`"))
                    .label("reserved")
                    .help(format!("choose another name; a data key of this name is read with `from \"{word}\"`")))
            }
            _ => Err(self.expected(what).help("a name begins with a letter or `_`")),
        }
    }

    /// Parses a construct that may contain itself, one level further down.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        self.depth += 1;
        self.check_height()?;
        let result = self.beside(|p| {
            let result = parse(p)?;
            p.grow()?;
            Ok(result)
        })?;
        self.depth -= 1;
        Ok(result)
    }

    /// Measures a subtree apart from its elder siblings, so that growing it does not grow them.
    fn beside<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        let siblings = std::mem::take(&mut self.height);
        let result = parse(self)?;
        self.height = self.height.max(siblings);
        Ok(result)
    }

    /// Notes that a node was put on top of what the innermost construct holds so far.
    fn grow(&mut self) -> Parse<()> {
        self.height += 1;
        self.check_height()
    }

    fn check_height(&self) -> Parse<()> {
        let (limit, what) = match self.depth > MAX_NESTING {
            true => (MAX_NESTING, "levels are nested here"),
            false if self.depth + self.height > MAX_HEIGHT => (MAX_HEIGHT, "operators are chained here"),
            false => return Ok(()),
        };
        Err(Diagnostic::new(self.here(), format!("more than {limit} {what}"))
            .label("too many here")
            .help("give parts of it a name with `let`; a long sum is `sum([a, b, …])`"))
    }
}
