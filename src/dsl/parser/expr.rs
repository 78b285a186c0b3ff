//! Expressions, from the loosest operator to the tightest.

use super::{Keyword, Mark, Parse, Parser, TokenKind};
use crate::dsl::ast::{BinaryOp, Call, Expr, ExprKind, Item, Slot, UnaryOp};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;

/// Suffixes of the density functions, whose first argument is set apart by `|`.
const DENSITIES: [&str; 4] = ["_lpdf", "_lpmf", "_lcdf", "_lccdf"];

/// Binding strength of `+` and `-`, the loosest operators that a bound may hold.
const SUM: u8 = 5;

/// The infix operators that associate to the left, with their strength; `||` is the loosest.
fn infix(mark: Mark) -> Option<(BinaryOp, u8)> {
    Some(match mark {
        Mark::Or => (BinaryOp::Or, 1),
        Mark::And => (BinaryOp::And, 2),
        Mark::Eq => (BinaryOp::Eq, 3),
        Mark::Ne => (BinaryOp::Ne, 3),
        Mark::Lt => (BinaryOp::Lt, 4),
        Mark::Le => (BinaryOp::Le, 4),
        Mark::Gt => (BinaryOp::Gt, 4),
        Mark::Ge => (BinaryOp::Ge, 4),
        Mark::Add => (BinaryOp::Add, SUM),
        Mark::Sub => (BinaryOp::Sub, SUM),
        Mark::Mul => (BinaryOp::Mul, 6),
        Mark::Div => (BinaryOp::Div, 6),
        Mark::EltMul => (BinaryOp::EltMul, 6),
        Mark::EltDiv => (BinaryOp::EltDiv, 6),
        Mark::Mod => (BinaryOp::Mod, 6),
        Mark::IntDiv => (BinaryOp::IntDiv, 6),
        _ => return None,
    })
}

impl Parser<'_> {
    /// expr = or [ "?" expr ":" expr ]
    pub(super) fn expr(&mut self) -> Parse<Expr> {
        self.nested(|p| {
            let cond = p.infix(1)?;
            p.conditional(cond)
        })
    }

    /// The rest of a conditional, where `?` follows.
    fn conditional(&mut self, cond: Expr) -> Parse<Expr> {
        if !self.eat(Mark::Question) {
            return Ok(cond);
        }
        let then = self.expr()?;
        if !self.is_mark(0, Mark::Colon) {
            let d = self.expected("`:` and the value for a false condition");
            return Err(d.help("a conditional has three parts: `condition ? a : b`"));
        }
        self.next();
        let otherwise = self.expr()?;
        let span = cond.span.to(otherwise.span);
        let (cond, then, otherwise) = (Box::new(cond), Box::new(then), Box::new(otherwise));
        Ok(Expr { kind: ExprKind::Conditional { cond, then, otherwise }, span })
    }

    /// or: everything but a conditional
    pub(super) fn disjunction(&mut self) -> Parse<Expr> {
        self.nested(|p| p.infix(1))
    }

    /// sum: neither a comparison nor a conditional
    pub(super) fn sum(&mut self) -> Parse<Expr> {
        self.nested(|p| p.infix(SUM))
    }

    /// Operators of at least this strength, from the left.
    fn infix(&mut self, strength: u8) -> Parse<Expr> {
        let mut left = self.unary()?;
        while let TokenKind::Mark(mark) = self.peek() {
            let Some((op, own)) = infix(mark).filter(|(_, own)| *own >= strength) else {
                break;
            };
            let op_span = self.next().span;
            let right = self.beside(|p| p.infix(own + 1))?;
            left = self.binary(op, op_span, left, right)?;
        }
        Ok(left)
    }

    fn binary(&mut self, op: BinaryOp, op_span: Span, left: Expr, right: Expr) -> Parse<Expr> {
        self.grow()?;
        let span = left.span.to(right.span);
        Ok(Expr { kind: ExprKind::Binary { op, op_span, left: Box::new(left), right: Box::new(right) }, span })
    }

    /// unary = ( "-" | "+" | "!" ) unary | power
    fn unary(&mut self) -> Parse<Expr> {
        let op = match self.peek() {
            TokenKind::Mark(Mark::Sub) => UnaryOp::Neg,
            TokenKind::Mark(Mark::Add) => UnaryOp::Plus,
            TokenKind::Mark(Mark::Not) => UnaryOp::Not,
            _ => return self.power(),
        };
        let start = self.next().span;
        let arg = self.nested(|p| p.unary())?;
        let span = start.to(arg.span);
        Ok(Expr { kind: ExprKind::Unary { op, arg: Box::new(arg) }, span })
    }

    /// power = postfix [ ( "^" | ".^" ) unary ]
    fn power(&mut self) -> Parse<Expr> {
        let left = self.postfix()?;
        let op = match self.peek() {
            TokenKind::Mark(Mark::Pow) => BinaryOp::Pow,
            TokenKind::Mark(Mark::EltPow) => BinaryOp::EltPow,
            _ => return Ok(left),
        };
        let op_span = self.next().span;
        let right = self.nested(|p| p.unary())?;
        self.binary(op, op_span, left, right)
    }

    /// postfix = primary { index | "'" | bounds }
    fn postfix(&mut self) -> Parse<Expr> {
        let mut base = self.primary()?;
        loop {
            let start = base.span;
            let kind = if self.is_mark(0, Mark::LBracket) {
                let slots = self.index()?;
                ExprKind::Index { base: Box::new(base), slots }
            } else if self.eat(Mark::Quote) {
                ExprKind::Transpose(Box::new(base))
            } else if self.at_bounds() {
                match base.kind {
                    ExprKind::Call(law) => ExprKind::Truncated { law, bounds: self.bounds()? },
                    _ => return Err(self.bounds_without_call(start)),
                }
            } else {
                return Ok(base);
            };
            self.grow()?;
            base = Expr { kind, span: start.to(self.last_span()) };
        }
    }

    /// index = "[" slot { "," slot } "]"
    pub(super) fn index(&mut self) -> Parse<Vec<Slot>> {
        self.open(Mark::LBracket);
        let mut slots = vec![self.slot()?];
        while self.eat(Mark::Comma) {
            slots.push(self.slot()?);
        }
        self.close("`,` or ")?;
        Ok(slots)
    }

    /// slot = expr | [or] ":" [or]
    fn slot(&mut self) -> Parse<Slot> {
        let start = self.here();
        let from = match self.is_mark(0, Mark::Colon) {
            true => None,
            false => Some(self.disjunction()?),
        };
        if let Some(cond) = from {
            if !self.is_mark(0, Mark::Colon) {
                let value = self.nested(|p| p.conditional(cond))?;
                if self.is_mark(0, Mark::Colon) {
                    let d = self.expected("`,` or `]`");
                    return Err(d.help("a conditional at the end of a slice needs parentheses"));
                }
                return Ok(Slot::At(value));
            }
            self.next();
            let to = self.slice_end()?;
            return Ok(Slot::Slice { from: Some(cond), to, span: start.to(self.last_span()) });
        }
        self.next();
        let to = self.slice_end()?;
        Ok(Slot::Slice { from: None, to, span: start.to(self.last_span()) })
    }

    fn slice_end(&mut self) -> Parse<Option<Expr>> {
        if self.is_mark(0, Mark::Comma) || self.is_mark(0, Mark::RBracket) {
            return Ok(None);
        }
        self.disjunction().map(Some)
    }

    /// primary = NUMBER | NAME | call | "(" expr ")" | list
    fn primary(&mut self) -> Parse<Expr> {
        let span = self.here();
        match self.peek() {
            TokenKind::Number { value, int } => {
                self.next();
                Ok(self.leaf(ExprKind::Number { value, int }, span))
            }
            TokenKind::Name if self.is_mark(1, Mark::LParen) => {
                let call = self.nested(|p| p.call())?;
                let span = call.span;
                Ok(Expr { kind: ExprKind::Call(call), span })
            }
            TokenKind::Name => {
                self.next();
                let name = self.text(span).to_string();
                Ok(self.leaf(ExprKind::Name(name), span))
            }
            TokenKind::Mark(Mark::LParen) => {
                self.open(Mark::LParen);
                let inside = self.expr()?;
                if self.is_mark(0, Mark::Comma) {
                    return Err(self.expected("`)`").help("a list is written `[a, b]`"));
                }
                let end = self.close("")?;
                Ok(Expr { kind: inside.kind, span: span.to(end) })
            }
            TokenKind::Mark(Mark::LBracket) => self.list(),
            _ => Err(self.expected_expr()),
        }
    }

    fn leaf(&mut self, kind: ExprKind, span: Span) -> Expr {
        self.height = self.height.max(1);
        Expr { kind, span }
    }

    /// list = "[" [ expr { "," expr } ] "]" | "[" expr "for" NAME "in" range "]"
    fn list(&mut self) -> Parse<Expr> {
        let start = self.open(Mark::LBracket);
        let mut items = Vec::new();
        if !self.is_mark(0, Mark::RBracket) {
            items.push(self.expr()?);
            if self.is_keyword(0, Keyword::For) {
                return self.comprehension(start, items);
            }
            while self.eat(Mark::Comma) {
                if self.is_mark(0, Mark::RBracket) {
                    return Err(self.trailing_comma());
                }
                items.push(self.expr()?);
            }
        }
        let end = self.close("`,` or ")?;
        Ok(Expr { kind: ExprKind::List(items), span: start.to(end) })
    }

    fn comprehension(&mut self, start: Span, body: Vec<Expr>) -> Parse<Expr> {
        self.next();
        let index = self.name("the name of an index")?;
        let range = Box::new(self.in_range()?);
        let end = self.close("")?;
        let body = body.into_iter().next().map(Box::new);
        match body {
            Some(body) => Ok(Expr { kind: ExprKind::Comprehension { body, index, range }, span: start.to(end) }),
            None => Err(self.expected_expr()),
        }
    }

    /// call = NAME "(" [ item { ( "," | "|" ) item } ] ")"
    pub(super) fn call(&mut self) -> Parse<Call> {
        let name = self.name("the name of a function")?;
        self.open(Mark::LParen);
        let mut args = Vec::new();
        let mut bar = None;
        if !self.is_mark(0, Mark::RParen) {
            args.push(self.item()?);
            loop {
                if self.is_mark(0, Mark::Bar) {
                    self.check_bar(&name.name, args.len())?;
                    bar = Some(args.len());
                } else if !self.is_mark(0, Mark::Comma) {
                    break;
                }
                self.next();
                if self.is_mark(0, Mark::RParen) {
                    return Err(self.trailing_comma());
                }
                args.push(self.item()?);
            }
        }
        let end = self.close("`,` or ")?;
        let span = name.span.to(end);
        Ok(Call { name, args, bar, span })
    }

    /// item = [ NAME "=" ] expr
    fn item(&mut self) -> Parse<Item> {
        let named = self.peek() == TokenKind::Name && self.is_mark(1, Mark::Assign);
        let name = match named {
            true => {
                let name = self.name("the name of an argument")?;
                self.next();
                Some(name)
            }
            false => None,
        };
        Ok(Item { name, value: self.expr()? })
    }

    /// `|` stands once, after the first argument of a density function.
    fn check_bar(&self, function: &str, before: usize) -> Parse<()> {
        let here = self.here();
        if !DENSITIES.iter().any(|suffix| function.ends_with(suffix)) {
            return Err(Diagnostic::new(here, format!("`|` cannot stand in a call of `{function}`"))
                .label("unexpected `|`")
                .help("`|` sets the first argument of `law_lpdf`, `_lpmf`, `_lcdf` and `_lccdf` apart; or is `||`"));
        }
        if before != 1 {
            return Err(Diagnostic::new(here, "`|` stands once, after the first argument")
                .label("unexpected `|`")
                .help(format!("write `{function}(y | a, b)`")));
        }
        Ok(())
    }
}
