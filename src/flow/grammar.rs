//! The text form of a flow: blocks with options, read into calls with their places.

use thiserror::Error;

/// What is wrong with the text of a flow. Columns count characters from 1.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FlowError {
    /// The text does not have the form of a flow.
    #[error("flow, column {at}: found {found}, expected {expected}")]
    Syntax {
        /// Column.
        at: usize,
        /// What is there.
        found: String,
        /// What could be there.
        expected: String,
    },
    /// No such block.
    #[error("flow, column {at}: unknown flow `{name}`; choose one of {choices}")]
    Block {
        /// Column.
        at: usize,
        /// The name.
        name: String,
        /// All names.
        choices: String,
    },
    /// No such option.
    #[error("flow, column {at}: `{block}` has no option `{name}`; it takes {choices}")]
    Option {
        /// Column.
        at: usize,
        /// The block.
        block: String,
        /// The name, or the value that has none.
        name: String,
        /// Its options.
        choices: String,
    },
    /// An option that is given twice.
    #[error("flow, column {at}: `{name}` is given twice; keep one of them")]
    Twice {
        /// Column.
        at: usize,
        /// The option.
        name: String,
    },
    /// A value that the option cannot have.
    #[error("flow, column {at}: `{name}` of `{block}` is {found}; expected {expected}")]
    Value {
        /// Column.
        at: usize,
        /// The block.
        block: String,
        /// The option.
        name: String,
        /// The value.
        found: String,
        /// The values it can have.
        expected: String,
    },
    /// There is nothing to transform.
    #[error("a flow needs at least 1 coordinate; the target has none, so there is nothing to transform")]
    NoCoordinates,
}

/// A value of an option.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Word(String),
    List(Vec<f64>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Number(x) => write!(f, "{x}"),
            Value::Word(w) => write!(f, "`{w}`"),
            Value::List(l) => write!(f, "{l:?}"),
        }
    }
}

/// `name = value`, or a value alone.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub at: usize,
    pub name: Option<String>,
    pub value: Value,
}

/// `name(argument, …)`, or the name alone.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub at: usize,
    pub name: String,
    pub arguments: Vec<Argument>,
}

/// `call -> call -> …`
pub(super) fn read(text: &str) -> Result<Vec<Call>, FlowError> {
    let mut reader = Reader { text: text.chars().collect(), at: 0 };
    let mut calls = vec![reader.call()?];
    while !reader.at_end() {
        reader.symbol('-', "`->` and another flow, or the end")?;
        if reader.text.get(reader.at) != Some(&'>') {
            return Err(reader.unexpected("`>` after `-`"));
        }
        reader.at += 1;
        calls.push(reader.call()?);
    }
    Ok(calls)
}

struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    fn skip(&mut self) {
        while self.text.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.text.get(self.at).copied()
    }

    fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Column of what comes next.
    fn column(&mut self) -> usize {
        self.skip();
        self.at + 1
    }

    fn unexpected(&mut self, expected: &str) -> FlowError {
        let found = self.peek().map_or("the end".to_string(), |c| format!("`{c}`"));
        FlowError::Syntax { at: self.column(), found, expected: expected.to_string() }
    }

    fn symbol(&mut self, c: char, expected: &str) -> Result<(), FlowError> {
        if self.peek() != Some(c) {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn accept(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        self.at += usize::from(there);
        there
    }

    /// The longest run of characters that belong together.
    fn run(&mut self, belongs: impl Fn(char) -> bool) -> String {
        self.skip();
        let rest = &self.text[self.at..];
        let run: String = rest.iter().take_while(|c| belongs(**c)).collect();
        self.at += run.chars().count();
        run
    }

    fn word(&mut self, expected: &str) -> Result<String, FlowError> {
        match self.peek() {
            Some(c) if c.is_ascii_alphabetic() => Ok(self.run(|c| c.is_ascii_alphanumeric() || c == '_')),
            _ => Err(self.unexpected(expected)),
        }
    }

    fn number(&mut self, expected: &str) -> Result<f64, FlowError> {
        let (at, start) = (self.column(), self.at);
        let run = self.run(|c| c.is_ascii_alphanumeric() || ".+-".contains(c));
        match run.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(x),
            _ if run.is_empty() => Err(self.unexpected(expected)),
            _ => {
                self.at = start;
                Err(FlowError::Syntax { at, found: format!("`{run}`"), expected: expected.to_string() })
            }
        }
    }

    fn call(&mut self) -> Result<Call, FlowError> {
        let at = self.column();
        let name = self.word("the name of a flow, like realnvp")?;
        let mut arguments = Vec::new();
        if self.accept('(') && !self.accept(')') {
            loop {
                arguments.push(self.argument()?);
                if self.accept(')') {
                    break;
                }
                self.symbol(',', "`,` and another option, or `)`")?;
            }
        }
        Ok(Call { at, name, arguments })
    }

    fn argument(&mut self) -> Result<Argument, FlowError> {
        let at = self.column();
        if self.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
            let word = self.word("an option")?;
            if !self.accept('=') {
                return Ok(Argument { at, name: None, value: Value::Word(word) });
            }
            let at = self.column();
            let value = self.value()?;
            return Ok(Argument { at, name: Some(word), value });
        }
        Ok(Argument { at, name: None, value: self.value()? })
    }

    fn value(&mut self) -> Result<Value, FlowError> {
        const EXPECTED: &str = "a number, a word, or a list of numbers in [ ]";
        if self.accept('[') {
            let mut list = Vec::new();
            while !self.accept(']') {
                if !list.is_empty() {
                    self.symbol(',', "`,` and another number, or `]`")?;
                }
                list.push(self.number("a number, or `]`")?);
            }
            return Ok(Value::List(list));
        }
        match self.peek() {
            Some(c) if c.is_ascii_alphabetic() => Ok(Value::Word(self.word(EXPECTED)?)),
            _ => Ok(Value::Number(self.number(EXPECTED)?)),
        }
    }
}
