//! Statements and blocks.

use super::types::Dims;
use super::{Keyword, Mark, Parse, Parser, TokenKind};
use crate::dsl::ast::{Block, Expr, LatentKind, LetKind, ParamKind, ReportKind, Stmt, StmtKind, Type};
use crate::dsl::diagnostic::Diagnostic;

impl Parser<'_> {
    /// file = { sep } [ stmt { sep { sep } stmt } ] { sep }, to the end of the text
    pub(super) fn file(&mut self) -> Parse<Block> {
        let block = self.stmts()?;
        if self.is_mark(0, Mark::RBrace) {
            return Err(Diagnostic::new(self.here(), "this `}` closes nothing")
                .label("no block is open here")
                .help("remove it, or find the block whose `{` is missing"));
        }
        Ok(block)
    }

    /// Statements up to the `}` or the end of the text.
    fn stmts(&mut self) -> Parse<Block> {
        let mut stmts = Vec::new();
        loop {
            while self.at_sep() {
                self.next();
            }
            if matches!(self.peek(), TokenKind::End | TokenKind::Mark(Mark::RBrace)) {
                return Ok(Block { stmts });
            }
            stmts.push(self.stmt()?);
            let ended = matches!(self.peek(), TokenKind::End | TokenKind::Mark(Mark::RBrace));
            if !ended && !self.at_sep() {
                return Err(self.expected_end(&stmts[stmts.len() - 1].kind));
            }
        }
    }

    fn at_sep(&self) -> bool {
        matches!(self.peek(), TokenKind::Newline | TokenKind::Mark(Mark::Semicolon))
    }

    /// block = "{" file "}"
    fn block(&mut self, after: &str) -> Parse<Block> {
        if !self.is_mark(0, Mark::LBrace) {
            return Err(self.missing_block(after));
        }
        self.open(Mark::LBrace);
        let block = self.nested(|p| p.stmts())?;
        self.close("a statement or ")?;
        Ok(block)
    }

    fn stmt(&mut self) -> Parse<Stmt> {
        let TokenKind::Keyword(keyword) = self.peek() else {
            return Err(self.not_a_statement());
        };
        let start = self.here();
        self.next();
        let kind = match keyword {
            Keyword::Data => self.data(),
            Keyword::Const => self.constant(),
            Keyword::Param => self.param(),
            Keyword::Latent => self.latent(),
            Keyword::Let => self.definition(),
            Keyword::Report => self.report(),
            Keyword::Observe => self.observe(),
            Keyword::Factor => Ok(StmtKind::Factor { value: self.expr()? }),
            Keyword::Plate => self.plate(),
            Keyword::For => self.for_loop(),
            Keyword::If => self.branch(),
            Keyword::Fn => self.function(),
            Keyword::Return => Ok(StmtKind::Return { value: self.expr()? }),
            Keyword::Else | Keyword::In => {
                self.at -= 1;
                Err(self.not_a_statement())
            }
        }?;
        Ok(Stmt { kind, span: start.to(self.last_span()) })
    }

    /// [ ":" type ]
    fn annotation(&mut self) -> Parse<Option<Type>> {
        match self.eat(Mark::Colon) {
            true => self.ty(Dims::Sized).map(Some),
            false => Ok(None),
        }
    }

    /// [ "=" expr ]
    fn initial(&mut self) -> Parse<Option<Expr>> {
        match self.eat(Mark::Assign) {
            true => self.expr().map(Some),
            false => Ok(None),
        }
    }

    /// data = "data" NAME ":" type [ "from" STRING ] [ "=" expr ]
    fn data(&mut self) -> Parse<StmtKind> {
        let name = self.declared("data")?;
        if !self.is_mark(0, Mark::Colon) {
            return Err(self.missing_type("data", &name));
        }
        self.next();
        let ty = self.ty(Dims::Sized)?;
        let mut from = None;
        if self.is_word(0, "from") {
            self.next();
            if self.peek() != TokenKind::Str {
                return Err(self.missing_key());
            }
            let span = self.next().span;
            from = Some(self.text(span).trim_matches('"').to_string());
        }
        Ok(StmtKind::Data { name, ty, from, default: self.initial()? })
    }

    /// const = "const" NAME [ ":" type ] "=" expr
    fn constant(&mut self) -> Parse<StmtKind> {
        let name = self.declared("const")?;
        let ty = self.annotation()?;
        if !self.is_mark(0, Mark::Assign) {
            let d = self.expected("`=` and the value of the constant");
            return Err(d.help("a value that comes with the data is a `data` statement"));
        }
        self.next();
        Ok(StmtKind::Const { name, ty, value: self.expr()? })
    }

    /// param = "param" NAME ( ":" type [ "=" expr ] | "=" call )
    fn param(&mut self) -> Parse<StmtKind> {
        let name = self.declared("param")?;
        if let Some(ty) = self.annotation()? {
            return Ok(StmtKind::Param { name, kind: ParamKind::Value { ty, init: self.initial()? } });
        }
        if !self.is_mark(0, Mark::Assign) {
            return Err(self.missing_type("param", &name));
        }
        self.next();
        if self.peek() != TokenKind::Name || !self.is_mark(1, Mark::LParen) {
            return Err(self.not_a_network(&name));
        }
        let call = self.nested(|p| p.call())?;
        Ok(StmtKind::Param { name, kind: ParamKind::Network(call) })
    }

    /// latent = "latent" NAME ( [ ":" type ] "~" dist | index "~" dist | ":" type )
    fn latent(&mut self) -> Parse<StmtKind> {
        let name = self.declared("latent")?;
        let kind = if self.is_mark(0, Mark::LBracket) {
            let index = self.index()?;
            self.expect_tilde(&name)?;
            LatentKind::Fill { index, dist: self.dist()? }
        } else {
            let ty = self.annotation()?;
            match ty {
                Some(ty) if !self.is_mark(0, Mark::Tilde) && !self.is_mark(0, Mark::Assign) => {
                    LatentKind::Declare { ty }
                }
                ty => {
                    self.expect_tilde(&name)?;
                    LatentKind::Draw { ty, dist: self.dist()? }
                }
            }
        };
        Ok(StmtKind::Latent { name, kind })
    }

    /// let = "let" NAME ( [ ":" type ] "=" expr | index "=" expr | ":" type )
    fn definition(&mut self) -> Parse<StmtKind> {
        let name = self.declared("let")?;
        let kind = if self.is_mark(0, Mark::LBracket) {
            let index = self.index()?;
            self.expect_assign(&name)?;
            LetKind::Fill { index, value: self.expr()? }
        } else {
            let ty = self.annotation()?;
            match ty {
                Some(ty) if !self.is_mark(0, Mark::Tilde) && !self.is_mark(0, Mark::Assign) => LetKind::Declare { ty },
                ty => {
                    self.expect_assign(&name)?;
                    LetKind::Define { ty, value: self.expr()? }
                }
            }
        };
        Ok(StmtKind::Let { name, kind })
    }

    /// report = "report" NAME [ ":" type ] ( "=" expr | "~" dist )
    fn report(&mut self) -> Parse<StmtKind> {
        let name = self.declared("report")?;
        let ty = self.annotation()?;
        let value = if self.eat(Mark::Tilde) {
            ReportKind::Draw(self.dist()?)
        } else if self.eat(Mark::Assign) {
            ReportKind::Value(self.expr()?)
        } else {
            return Err(self.bare_report(&name));
        };
        Ok(StmtKind::Report { name, ty, value })
    }

    /// observe = "observe" expr "~" dist
    fn observe(&mut self) -> Parse<StmtKind> {
        let target = self.expr()?;
        if !self.is_mark(0, Mark::Tilde) {
            return Err(self.missing_law(target.span));
        }
        self.next();
        Ok(StmtKind::Observe { target, dist: self.dist()? })
    }

    /// plate = "plate" NAME "in" range [ "encode" "(" expr { "," expr } ")" ] block
    fn plate(&mut self) -> Parse<StmtKind> {
        let index = self.name("the name of an index after `plate`")?;
        let range = self.in_range()?;
        let mut encode = Vec::new();
        if self.is_word(0, "encode") {
            self.next();
            if !self.is_mark(0, Mark::LParen) {
                return Err(self.expected("`(` after `encode`").help("write `encode(e, …)`"));
            }
            self.open(Mark::LParen);
            encode.push(self.expr()?);
            while self.eat(Mark::Comma) {
                encode.push(self.expr()?);
            }
            self.close("`,` or ")?;
        }
        let body = self.block(" after the range of the plate")?;
        Ok(StmtKind::Plate { index, range, encode, body })
    }

    /// for = "for" NAME "in" range block
    fn for_loop(&mut self) -> Parse<StmtKind> {
        if self.is_mark(0, Mark::LParen) {
            return Err(self.expected("the name of an index").help("a loop is written `for t in 1:T { … }`"));
        }
        let index = self.name("the name of an index after `for`")?;
        let range = self.in_range()?;
        let body = self.block(" after the range of the loop")?;
        Ok(StmtKind::For { index, range, body })
    }

    /// if = "if" expr block [ { NEWLINE } "else" ( if | block ) ]
    fn branch(&mut self) -> Parse<StmtKind> {
        let cond = self.expr()?;
        if let TokenKind::Mark(Mark::Assign) | TokenKind::Keyword(Keyword::In) = self.peek() {
            return Err(self.expected("`{` after the condition").help("a condition compares, as in `a == b`"));
        }
        let then = self.block(" after the condition")?;
        let newlines = (0..).take_while(|&i| self.token(i).kind == TokenKind::Newline).count();
        if !self.is_keyword(newlines, Keyword::Else) {
            return Ok(StmtKind::If { cond, then, otherwise: None });
        }
        self.at += newlines + 1;
        let otherwise = match self.is_keyword(0, Keyword::If) {
            true => Block { stmts: vec![self.nested(|p| p.stmt())?] },
            false => self.block(" after `else`")?,
        };
        Ok(StmtKind::If { cond, then, otherwise: Some(otherwise) })
    }

    /// fn = "fn" NAME "(" [ arg { "," arg } ] ")" [ "->" type ] block
    fn function(&mut self) -> Parse<StmtKind> {
        let name = self.name("the name of the function after `fn`")?;
        if !self.is_mark(0, Mark::LParen) {
            let d = self.expected("`(` and the arguments of the function");
            return Err(d.help("a function is written `fn f(x: real) -> real { … }`"));
        }
        self.open(Mark::LParen);
        let mut args = Vec::new();
        if !self.is_mark(0, Mark::RParen) {
            args.push(self.arg()?);
            while self.eat(Mark::Comma) {
                args.push(self.arg()?);
            }
        }
        self.close("`,` or ")?;
        let ret = match self.eat(Mark::Arrow) {
            true => Some(self.ty(Dims::Unsized)?),
            false => None,
        };
        if self.is_mark(0, Mark::Assign) {
            return Err(self.expected("`{` and the body of the function").help("a body is written `{ return e }`"));
        }
        let body = self.block(" and the body of the function")?;
        Ok(StmtKind::Fn { name, args, ret, body })
    }
}
