//! Types, bounds, ranges and laws with their suffixes.

use super::{Keyword, Mark, Parse, Parser, TokenKind};
use crate::dsl::ast::{Arg, BaseType, Bounds, Dist, Expr, Range, Type};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;

/// Whether dimensions may be left empty, as in `vector[]`.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Dims {
    /// Every dimension is written.
    Sized,
    /// Arguments and results of functions take any size.
    Unsized,
}

impl Parser<'_> {
    /// type = "array" "[" dims "]" type | base
    pub(super) fn ty(&mut self, dims: Dims) -> Parse<Type> {
        let start = self.here();
        let mut array = Vec::new();
        while self.is_word(0, "array") {
            self.next();
            if !self.is_mark(0, Mark::LBracket) {
                let d = self.expected("`[` and the sizes of the array");
                return Err(d.help("an array is written `array[n] real`"));
            }
            array.extend(self.dims(dims)?);
        }
        let (base, bounds) = self.base(dims)?;
        Ok(Type { array, base, bounds, span: start.to(self.last_span()) })
    }

    /// base = ("int" | "real") [bounds] | NAME [bounds] "[" dims "]"
    fn base(&mut self, dims: Dims) -> Parse<(BaseType, Bounds)> {
        if self.peek() != TokenKind::Name {
            return Err(self.expected_type());
        }
        let name = self.name("a type")?;
        let bounds = self.bounds()?;
        let base = match name.name.as_str() {
            "int" => BaseType::Int,
            "real" => BaseType::Real,
            _ => {
                if !self.is_mark(0, Mark::LBracket) {
                    return Err(self.missing_size(&name));
                }
                let dims = self.dims(dims)?;
                return Ok((BaseType::Named { name, dims }, bounds));
            }
        };
        if self.is_mark(0, Mark::LBracket) {
            let word = &name.name;
            return Err(Diagnostic::new(self.here(), format!("`{word}` is one number and takes no size"))
                .label("unexpected `[`")
                .help(format!("an array is written `array[n] {word}`, a vector of reals `vector[n]`")));
        }
        Ok((base, bounds))
    }

    /// "[" dims "]"
    fn dims(&mut self, dims: Dims) -> Parse<Vec<Option<Expr>>> {
        self.open(Mark::LBracket);
        let mut sizes = Vec::new();
        loop {
            let empty = self.is_mark(0, Mark::Comma) || self.is_mark(0, Mark::RBracket);
            if empty && dims == Dims::Sized {
                return Err(self
                    .expected("a size")
                    .help("only the arguments and the result of a `fn` may leave sizes empty"));
            }
            sizes.push(if empty { None } else { Some(self.expr()?) });
            if !self.eat(Mark::Comma) {
                break;
            }
        }
        self.close("`,` or ")?;
        Ok(sizes)
    }

    /// [ "<" bound { "," bound } ">" ], where bound = ("lower" | "upper") "=" sum
    pub(super) fn bounds(&mut self) -> Parse<Bounds> {
        let mut bounds = Bounds::default();
        if !self.is_mark(0, Mark::Lt) {
            return Ok(bounds);
        }
        let start = self.next().span;
        loop {
            self.bound(&mut bounds)?;
            if !self.eat(Mark::Comma) {
                break;
            }
        }
        if !self.is_mark(0, Mark::Gt) {
            return Err(self.unclosed_bounds(start));
        }
        bounds.span = start.to(self.next().span);
        Ok(bounds)
    }

    fn bound(&mut self, bounds: &mut Bounds) -> Parse<()> {
        let lower = self.is_word(0, "lower");
        if !lower && !self.is_word(0, "upper") {
            return Err(self.not_a_bound());
        }
        let word = self.next().span;
        let place = if lower { &bounds.lower } else { &bounds.upper };
        if place.is_some() {
            return Err(Diagnostic::new(word, format!("`{}` is given twice", self.text(word)))
                .label("second time")
                .help("write each bound once; the tighter of two is `fmax(a, b)` or `fmin(a, b)`"));
        }
        if !self.eat(Mark::Assign) {
            let d = self.expected("`=` after the name of a bound");
            return Err(d.help("bounds are written `<lower=a, upper=b>`"));
        }
        let value = Some(Box::new(self.sum()?));
        *(if lower { &mut bounds.lower } else { &mut bounds.upper }) = value;
        Ok(())
    }

    /// True where `<lower =` or `<upper =` follows, which no comparison can be.
    pub(super) fn at_bounds(&self) -> bool {
        self.is_mark(0, Mark::Lt)
            && (self.is_word(1, "lower") || self.is_word(1, "upper"))
            && self.is_mark(2, Mark::Assign)
    }

    /// range = or ":" or
    pub(super) fn range(&mut self) -> Parse<Range> {
        let from = self.disjunction()?;
        if !self.is_mark(0, Mark::Colon) {
            return Err(self.not_a_range(&from));
        }
        self.next();
        let to = self.disjunction()?;
        if self.is_mark(0, Mark::Question) {
            return Err(self.expected("`{`").help("put a conditional bound of a range into parentheses"));
        }
        Ok(Range { from, to })
    }

    /// "in" range
    pub(super) fn in_range(&mut self) -> Parse<Range> {
        if !self.is_keyword(0, Keyword::In) {
            return Err(self.missing_in());
        }
        self.next();
        self.range()
    }

    /// dist = call [bounds] ["noncentred"]
    pub(super) fn dist(&mut self) -> Parse<Dist> {
        if self.peek() != TokenKind::Name || !self.is_mark(1, Mark::LParen) {
            return Err(self.not_a_law());
        }
        let law = self.nested(|p| p.call())?;
        let bounds = self.bounds()?;
        let noncentred = self.is_word(0, "noncentred");
        if noncentred {
            self.next();
        }
        let span = law.span.to(self.last_span());
        Ok(Dist { law, bounds, noncentred, span })
    }

    /// arg = NAME ":" type
    pub(super) fn arg(&mut self) -> Parse<Arg> {
        let name = self.name("the name of an argument")?;
        if self.peek() == TokenKind::Name {
            let (first, second) = (name.name, self.text(self.here()));
            return Err(self.expected("`:`").help(format!("the type follows the name: `{second}: {first}`")));
        }
        if !self.is_mark(0, Mark::Colon) {
            let d = self.expected("`:` and the type of the argument");
            return Err(d.help(format!("write `{0}: real`, `{0}: vector[]` and so on", name.name)));
        }
        self.next();
        let ty = self.ty(Dims::Unsized)?;
        Ok(Arg { name, ty })
    }

    fn unclosed_bounds(&self, start: Span) -> Diagnostic {
        let d = self.expected("`,` or `>`");
        if d.help.is_none() {
            let help = match self.peek() {
                TokenKind::Mark(Mark::Ge) => "put a space between `>` and `=`",
                TokenKind::Mark(Mark::Lt | Mark::Le | Mark::Eq | Mark::Ne | Mark::And | Mark::Or | Mark::Question) => {
                    "a comparison or a conditional inside `<…>` needs parentheses"
                }
                _ => "bounds are written `<lower=a>`, `<upper=b>` or `<lower=a, upper=b>`",
            };
            return d.help(help).note(start, "the bounds begin here");
        }
        d
    }
}
