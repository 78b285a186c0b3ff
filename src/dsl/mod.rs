//! The model language as text: places, lexer, parser, tree, diagnostics. Knows no mathematics.

pub mod ast;
pub mod span;
