//! The words of the language: what the lexer makes and the parser reads.

use super::span::Span;

/// A word with its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is.
    pub span: Span,
}

/// The kinds of word. Spellings of names and strings are read from the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TokenKind {
    /// A number; `int` where it is written without point and exponent.
    Number {
        /// Its value, finite and not negative.
        value: f64,
        /// Written without point and exponent.
        int: bool,
    },
    /// A name that is not reserved.
    Name,
    /// `"key"`, quotes included.
    Str,
    /// A reserved word.
    Keyword(Keyword),
    /// An operator, a bracket or another mark.
    Mark(Mark),
    /// The end of a statement's line.
    Newline,
    /// The end of the file.
    End,
    /// The place where the lexer gave up; its diagnostic says why.
    Bad,
}

/// Declares an enum of fixed spellings with `ALL` and `text`.
macro_rules! spellings {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $(#[$item_doc])* $variant,)*
        }

        impl $name {
            /// Every one of them, longest spellings before their prefixes.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The spelling.
            pub fn text(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }
        }
    };
}

spellings! {
    /// The reserved words.
    Keyword {
        Data = "data",
        Const = "const",
        Param = "param",
        Latent = "latent",
        Observe = "observe",
        Plate = "plate",
        For = "for",
        Let = "let",
        Report = "report",
        Factor = "factor",
        Fn = "fn",
        If = "if",
        Else = "else",
        In = "in",
        Return = "return",
    }
}

spellings! {
    /// Operators, brackets and separators.
    Mark {
        IntDiv = "%/%",
        Arrow = "->",
        EltMul = ".*",
        EltDiv = "./",
        EltPow = ".^",
        Eq = "==",
        Ne = "!=",
        Le = "<=",
        Ge = ">=",
        And = "&&",
        Or = "||",
        Add = "+",
        Sub = "-",
        Mul = "*",
        Div = "/",
        Mod = "%",
        Pow = "^",
        Not = "!",
        Lt = "<",
        Gt = ">",
        Assign = "=",
        Tilde = "~",
        Comma = ",",
        Colon = ":",
        Question = "?",
        Bar = "|",
        Quote = "'",
        Semicolon = ";",
        LParen = "(",
        RParen = ")",
        LBracket = "[",
        RBracket = "]",
        LBrace = "{",
        RBrace = "}",
    }
}

impl Keyword {
    /// The reserved word of this spelling.
    pub fn of(text: &str) -> Option<Keyword> {
        Keyword::ALL.iter().copied().find(|k| k.text() == text)
    }
}

impl Mark {
    /// The longest mark that `rest` begins with.
    pub fn at_start_of(rest: &str) -> Option<Mark> {
        Mark::ALL.iter().copied().find(|m| rest.starts_with(m.text()))
    }

    /// True where a statement cannot end after this mark, so that a newline there is dropped.
    ///
    /// `<` and `>` are not among them: a line may end in the `>` that closes a constraint.
    pub fn continues_line(self) -> bool {
        use Mark::*;
        !matches!(self, Lt | Gt | Quote | Semicolon | RParen | RBracket | RBrace)
    }

    /// True for the operators that stand between two operands, `?` and `:` included.
    pub fn is_infix(self) -> bool {
        use Mark::*;
        matches!(
            self,
            IntDiv | EltMul | EltDiv | EltPow | Eq | Ne | Le | Ge | And | Or | Add | Sub | Mul | Div | Mod | Pow
        ) || matches!(self, Lt | Gt | Question | Colon | Bar)
    }

    /// The bracket that closes this one.
    pub fn closer(self) -> Option<Mark> {
        match self {
            Mark::LParen => Some(Mark::RParen),
            Mark::LBracket => Some(Mark::RBracket),
            Mark::LBrace => Some(Mark::RBrace),
            _ => None,
        }
    }
}
