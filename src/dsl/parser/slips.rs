//! Syntax errors at the beginning, in the head and at the end of statements, with habits from other languages in mind.

use super::hints::TYPES;
use super::{Keyword, Mark, Parse, Parser, TokenKind, shortened};
use crate::dsl::ast::{Ident, LatentKind, ReportKind, StmtKind};
use crate::dsl::diagnostic::{Diagnostic, did_you_mean};
use crate::dsl::span::Span;

/// What one writes instead of words that begin statements elsewhere.
const ELSEWHERE: [(&str, &str); 24] = [
    ("parameters", "there are no blocks: each unknown is declared by `latent name: type ~ law(…)`"),
    ("transformed", "there are no blocks: a deterministic value is `let name = e`"),
    ("model", "there are no blocks: a statement stands by itself, as in `observe y ~ normal(mu, sigma)`"),
    ("generated", "there are no blocks: a derived quantity is `report name = e`"),
    ("quantities", "there are no blocks: a derived quantity is `report name = e`"),
    ("functions", "there are no blocks: a function is `fn f(x: real) -> real { … }`"),
    ("function", "a function is `fn f(x: real) -> real { … }`"),
    ("def", "a function is `fn f(x: real) -> real { … }`"),
    ("var", "a deterministic value is `let name = e`, an unknown `latent name ~ law(…)`"),
    ("val", "a deterministic value is `let name = e`"),
    ("set", "a deterministic value is `let name = e`"),
    ("sample", "an unknown is `latent name ~ law(…)`"),
    ("draw", "an unknown is `latent name ~ law(…)`"),
    ("parameter", "an unknown is `latent name ~ law(…)`, a maximised value `param name: type`"),
    ("obs", "did you mean `observe`?"),
    ("elif", "write `else if`, after the `}`"),
    ("elseif", "write `else if`, after the `}`"),
    ("elsif", "write `else if`, after the `}`"),
    ("while", "a loop has a range known from the data: `for t in 1:T { … }`"),
    ("repeat", "a loop has a range known from the data: `for t in 1:T { … }`"),
    ("foreach", "a loop is `for t in 1:T { … }`"),
    ("print", "a quantity to be seen is `report name = e`"),
    ("reject", "impossible values are excluded by bounds: `real<lower=a, upper=b>`"),
    ("import", "a model is one file"),
];

/// The statements, for the message that lists them.
const STATEMENTS: &str = "statements begin with `data`, `const`, `param`, `latent`, `let`, `observe`, `report`, \
                          `factor`, `plate`, `for`, `if`, `fn` or `return`";

impl Parser<'_> {
    /// No statement begins with the word here.
    pub(super) fn not_a_statement(&self) -> Diagnostic {
        let here = self.here();
        match self.peek() {
            TokenKind::Mark(mark @ (Mark::RParen | Mark::RBracket)) => {
                Diagnostic::new(here, format!("this `{}` closes nothing", mark.text()))
                    .label("no bracket is open here")
                    .help("remove it, or find the bracket that is missing before it")
            }
            TokenKind::Mark(mark) if self.at > 0 && (mark.is_infix() || mark == Mark::Not) => {
                let text = mark.text();
                Diagnostic::new(here, format!("a line cannot begin with the operator `{text}`"))
                    .label("the line above was complete")
                    .help(format!("end the line above with `{text}`, or put the whole expression into parentheses"))
            }
            TokenKind::Keyword(Keyword::Else) => Diagnostic::new(here, "this `else` follows no `if`")
                .label("not expected here")
                .help("`else` stands after the `}` of an `if`"),
            TokenKind::Mark(Mark::LBrace) => {
                self.expected("a statement").help("a block belongs to a `plate`, `for`, `if`, `else` or `fn`")
            }
            TokenKind::Name => self.name_first(),
            _ => self.expected("a statement").help(STATEMENTS),
        }
    }

    /// A statement that begins with a name: the declaring word is missing, misspelt or foreign.
    fn name_first(&self) -> Diagnostic {
        let name = self.text(self.here());
        let short = shortened(name);
        let after = if self.is_mark(1, Mark::LBracket) { self.after_brackets() } else { 1 };
        let target = shortened(self.text(self.here().to(self.token(after - 1).span)));
        let mark = match self.token(after).kind {
            TokenKind::Mark(mark) => Some(mark),
            _ => None,
        };
        let d = self.expected("a statement").label("no statement begins like this");
        let assigned = |p: &Self, n: usize| p.is_mark(after + n, Mark::Assign);
        if name == "target" && mark == Some(Mark::Add) {
            return d.help(
                "`factor e` adds a log factor; a likelihood is `observe y ~ law(…)`, a prior `latent x ~ law(…)`",
            );
        }
        if mark == Some(Mark::Assign) || (mark == Some(Mark::Colon) && assigned(self, 1)) {
            return d.help(format!("a deterministic value is defined by `let {target} = …`"));
        }
        if mark == Some(Mark::Lt) && self.is_mark(after + 1, Mark::Sub) {
            return d.help(format!("`<-` is not an assignment: write `let {target} = …`"));
        }
        if mark.is_some_and(|m| m.is_infix()) && assigned(self, 1) {
            return d.help("a value never changes: give the new one a name of its own with `let`");
        }
        if mark == Some(Mark::Tilde) {
            return d.help(format!(
                "write `latent {target} ~ …` where it is unknown, `observe {target} ~ …` where it is known"
            ));
        }
        if let Some((_, help)) = ELSEWHERE.iter().find(|(word, _)| *word == name) {
            return d.help(*help);
        }
        if TYPES.contains(&name) {
            let (x, ty) = self.type_then_name();
            let help =
                format!("name first, then type: `data {x}: {ty}`, `latent {x}: {ty} ~ law(…)`, `let {x}: {ty} = e`");
            return d.help(help);
        }
        if let Some(near) = did_you_mean(name, Keyword::ALL.iter().map(|k| k.text())) {
            return d.help(format!("did you mean `{near}`?"));
        }
        match mark {
            Some(Mark::Colon) => d.help(format!("say what `{short}` is: `data {short}: …`, `latent {short}: …`")),
            Some(Mark::LParen) => d.help(format!(
                "a value is kept by `report x = {short}(…)`, a log density added by `factor {short}(…)`"
            )),
            _ => d.help(STATEMENTS),
        }
    }

    /// How many words the name here and its `[…]` take.
    fn after_brackets(&self) -> usize {
        let mut depth = 0usize;
        for ahead in 1..self.tokens.len() - self.at {
            match self.token(ahead).kind {
                TokenKind::Mark(Mark::LBracket) => depth += 1,
                TokenKind::Mark(Mark::RBracket) if depth == 1 => return ahead + 1,
                TokenKind::Mark(Mark::RBracket) => depth -= 1,
                _ => {}
            }
        }
        1
    }

    /// Name and type of a declaration that has them the other way round, from here to the end of the statement.
    fn type_then_name(&self) -> (String, String) {
        let mut angles = 0i32;
        let mut end = 1;
        loop {
            match self.token(end).kind {
                TokenKind::Mark(Mark::Lt) => angles += 1,
                TokenKind::Mark(Mark::Gt) => angles -= 1,
                TokenKind::Mark(Mark::Assign) if angles > 0 => {}
                TokenKind::Mark(Mark::Assign | Mark::Tilde | Mark::Semicolon) => break,
                TokenKind::Newline | TokenKind::End | TokenKind::Bad | TokenKind::Keyword(_) => {
                    break;
                }
                _ => {}
            }
            end += 1;
        }
        let text = |from, to| shortened(self.text(self.token(from).span.to(self.token(to).span)));
        match self.token(end - 1).kind {
            TokenKind::Name if end > 1 => (text(end - 1, end - 1), text(0, end - 2)),
            _ => ("x".to_string(), text(0, 0)),
        }
    }

    /// The name after the word that declares it.
    pub(super) fn declared(&mut self, word: &str) -> Parse<Ident> {
        if self.is_mark(0, Mark::LBrace) {
            let help = "there are no blocks: each datum is declared by `data name: type`";
            return Err(self.expected(&format!("a name after `{word}`")).help(help));
        }
        let typed = self.peek() == TokenKind::Name && TYPES.contains(&self.text(self.here()));
        let bracket = matches!(word, "data" | "const" | "param") && self.is_mark(1, Mark::LBracket);
        if typed && (bracket || self.is_mark(1, Mark::Lt) || self.token(1).kind == TokenKind::Name) {
            let (name, ty) = self.type_then_name();
            return Err(self
                .expected(&format!("a name after `{word}`"))
                .label("this is a type")
                .help(format!("name first, then type: `{word} {name}: {ty}`")));
        }
        self.name(&format!("a name after `{word}`"))
    }

    /// `data x` or `param x` without `: type`.
    pub(super) fn missing_type(&self, word: &str, name: &Ident) -> Diagnostic {
        let name = shortened(&name.name);
        let d = self.expected(&format!("`:` and the type of `{name}`"));
        match self.peek() {
            TokenKind::Mark(Mark::Comma) => d.help(format!("one name each: `{word} {name}: int`")),
            TokenKind::Mark(Mark::LBracket) => d.help(format!("sizes belong to the type: `{word} {name}: vector[n]`")),
            TokenKind::Mark(Mark::Tilde) if word == "data" => {
                d.help(format!("declare `data {name}: type`, then `observe {name} ~ law(…)`"))
            }
            _ => d.help(format!("write `{word} {name}: real`, `{word} {name}: vector[n]` and so on")),
        }
    }

    pub(super) fn missing_key(&self) -> Diagnostic {
        self.expected("a string after `from`").help("the key of the data file stands in double quotes: `from \"key\"`")
    }

    pub(super) fn not_a_network(&self, name: &Ident) -> Diagnostic {
        let name = shortened(&name.name);
        self.expected(&format!("a network after `param {name} =`")).help(format!(
            "a value needs its type, `param {name}: real = 0`; a network is `mlp(in, [hidden], out, tanh)`"
        ))
    }

    /// The `~` of `latent`.
    pub(super) fn expect_tilde(&mut self, name: &Ident) -> Parse<()> {
        if self.eat(Mark::Tilde) {
            return Ok(());
        }
        let name = shortened(&name.name);
        let d = self.expected(&format!("`~` and the law of `{name}`"));
        Err(match self.peek() {
            TokenKind::Mark(Mark::Assign) => d.help("a deterministic value is a `let`, a maximised one a `param`"),
            TokenKind::Mark(Mark::Comma) => d.help("one name each: every `latent` has a statement of its own"),
            TokenKind::Mark(Mark::Lt) => d.help(format!("bounds belong to a type: `latent {name}: real<lower=0> ~ …`")),
            _ if d.help.is_some() => d,
            _ => d.help(format!("write `latent {name} ~ normal(0, 1)` with the law you mean")),
        })
    }

    /// The `=` of `let`.
    pub(super) fn expect_assign(&mut self, name: &Ident) -> Parse<()> {
        if self.eat(Mark::Assign) {
            return Ok(());
        }
        let name = shortened(&name.name);
        let d = self.expected(&format!("`=` and the value of `{name}`"));
        Err(match self.peek() {
            TokenKind::Mark(Mark::Tilde) => d.help(format!("an unknown with a law is `latent {name} ~ …`")),
            TokenKind::Mark(Mark::Eq) => d.help("a definition has one `=`"),
            TokenKind::Mark(Mark::LParen) => {
                d.help(format!("a function is declared by `fn {name}(x: real) -> real {{ … }}`"))
            }
            TokenKind::Mark(Mark::Comma) => d.help("one name each: every `let` has a statement of its own"),
            _ if d.help.is_some() => d,
            _ => d.help(format!("write `let {name} = …`, or `let {name}: type` to fill its elements later")),
        })
    }

    pub(super) fn bare_report(&self, name: &Ident) -> Diagnostic {
        let name = shortened(&name.name);
        self.expected("`=` or `~`")
            .help(format!("write `report {name} = e` for a value, `report {name} ~ law(…)` for a draw"))
    }

    /// `observe e` without its law.
    pub(super) fn missing_law(&self, target: Span) -> Diagnostic {
        let d = self.expected("`~` and the law of the observed value");
        let text = self.text(target);
        match d.help {
            Some(_) => d,
            None if text.contains('\n') => d.help("write `observe y ~ law(…)`"),
            None => d.help(format!("write `observe {} ~ law(…)`", shortened(text))),
        }
    }

    /// Something follows a statement that is complete.
    pub(super) fn expected_end(&self, before: &StmtKind) -> Diagnostic {
        let d = self.expected("the end of the statement");
        if d.help.is_some() {
            return d;
        }
        let law = matches!(
            before,
            StmtKind::Observe { .. }
                | StmtKind::Latent { kind: LatentKind::Draw { .. } | LatentKind::Fill { .. }, .. }
                | StmtKind::Report { value: ReportKind::Draw(_), .. }
        );
        match self.peek() {
            TokenKind::Mark(Mark::RParen | Mark::RBracket) => d.help("no bracket is open here"),
            TokenKind::Name if law => self.law_suffix(d),
            TokenKind::Mark(_) if law => {
                d.help("a law stands alone after `~`: shift and scale with its arguments, or with a `let`")
            }
            TokenKind::Mark(Mark::Lt) => d.help("the bounds of a type stand before its size: `vector<lower=0>[n]`"),
            TokenKind::Mark(Mark::Assign) => d.help("equality is written `==`"),
            TokenKind::Mark(Mark::Tilde) => d.help("only `latent`, `observe` and `report` are followed by `~`"),
            TokenKind::Keyword(_) => d.help("statements are separated by a new line or `;`"),
            TokenKind::Name | TokenKind::Number { .. } | TokenKind::Mark(Mark::LParen) => {
                d.help("an operator is missing before it, or a new line")
            }
            _ => d.help("a new line or `;` ends a statement"),
        }
    }

    /// A name after a law.
    fn law_suffix(&self, d: Diagnostic) -> Diagnostic {
        match self.text(self.here()) {
            "T" => d.help("a truncated law is written `normal(0, 1)<lower=a, upper=b>`"),
            word if word.contains("center") || word.contains("centr") => d.help("did you mean `noncentred`?"),
            _ => d.help("after a law stand only its bounds `<lower=a, upper=b>` and `noncentred`"),
        }
    }
}
