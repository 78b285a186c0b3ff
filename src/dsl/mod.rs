//! The model language as text: places, lexer, parser, tree, diagnostics. Knows no mathematics.

pub mod ast;
pub mod diagnostic;
pub mod format;
pub mod lexer;
pub mod parser;
pub mod span;
pub mod suggest;
pub mod token;
