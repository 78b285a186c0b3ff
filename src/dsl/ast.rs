//! The syntax tree of a model file: a plain mirror of the grammar in `docs/language.md`.

use super::span::Span;

/// A name with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    /// Spelling.
    pub name: String,
    /// Place of the name.
    pub span: Span,
}

/// `{ … }`, or the whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Statements in program order.
    pub stmts: Vec<Stmt>,
}

/// A statement with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it says.
    pub kind: StmtKind,
    /// From the first token to the last.
    pub span: Span,
}

/// The statements of the language.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `data name: type [from "key"] [= default]`
    Data { name: Ident, ty: Type, from: Option<String>, default: Option<Expr> },
    /// `const name[: type] = value`
    Const { name: Ident, ty: Option<Type>, value: Expr },
    /// `param name: type [= init]` or `param name = mlp(…)`
    Param { name: Ident, kind: ParamKind },
    /// `latent …`
    Latent { name: Ident, kind: LatentKind },
    /// `let …`
    Let { name: Ident, kind: LetKind },
    /// `report name[: type] = expr` or `report name[: type] ~ dist`
    Report { name: Ident, ty: Option<Type>, value: ReportKind },
    /// `observe target ~ dist`
    Observe { target: Expr, dist: Dist },
    /// `factor expr`
    Factor { value: Expr },
    /// `plate index in range [encode(…)] { … }`
    Plate { index: Ident, range: Range, encode: Vec<Expr>, body: Block },
    /// `for index in range { … }`
    For { index: Ident, range: Range, body: Block },
    /// `if cond { … } [else …]`; `else if` is an else block of one `If`
    If { cond: Expr, then: Block, otherwise: Option<Block> },
    /// `fn name(args) [-> type] { … }`
    Fn { name: Ident, args: Vec<Arg>, ret: Option<Type>, body: Block },
    /// `return expr`
    Return { value: Expr },
}

/// The two forms of `param`.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamKind {
    /// A typed value with an optional initial value.
    Value { ty: Type, init: Option<Expr> },
    /// A network: `mlp(in, [hidden…], out, act)`.
    Network(Call),
}

/// The three forms of `latent`.
#[derive(Clone, Debug, PartialEq)]
pub enum LatentKind {
    /// `latent x[: type] ~ dist`
    Draw { ty: Option<Type>, dist: Dist },
    /// `latent x[index] ~ dist`
    Fill { index: Vec<Slot>, dist: Dist },
    /// `latent x: type`
    Declare { ty: Type },
}

/// The three forms of `let`.
#[derive(Clone, Debug, PartialEq)]
pub enum LetKind {
    /// `let x[: type] = expr`
    Define { ty: Option<Type>, value: Expr },
    /// `let x[index] = expr`
    Fill { index: Vec<Slot>, value: Expr },
    /// `let x: type`
    Declare { ty: Type },
}

/// The two forms of `report`.
#[derive(Clone, Debug, PartialEq)]
pub enum ReportKind {
    /// `= expr`
    Value(Expr),
    /// `~ dist`
    Draw(Dist),
}

/// Argument of a user function.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// Name inside the function.
    pub name: Ident,
    /// Declared type; dimensions may be empty (`vector[]`).
    pub ty: Type,
}

/// `from : to`, both included.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// First index.
    pub from: Expr,
    /// Last index.
    pub to: Expr,
}

/// `array[dims] … base`.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// Dimensions of every enclosing `array[…]`, outermost first; `None` where left empty.
    pub array: Vec<Option<Expr>>,
    /// `int`, `real`, or a named container (`vector`, `matrix`, `simplex`, …).
    pub base: BaseType,
    /// Bounds in `<…>`.
    pub bounds: Bounds,
    /// Place of the type.
    pub span: Span,
}

/// The innermost part of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum BaseType {
    /// `int`
    Int,
    /// `real`
    Real,
    /// `vector[n]`, `matrix[r, c]`, `simplex[k]`, …
    Named { name: Ident, dims: Vec<Option<Expr>> },
}

/// `<lower = a, upper = b>`; both `None` where absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Lower bound.
    pub lower: Option<Box<Expr>>,
    /// Upper bound.
    pub upper: Option<Box<Expr>>,
    /// Place of `<…>`; empty where absent.
    pub span: Span,
}

impl Bounds {
    /// True where neither bound is written.
    pub fn is_empty(&self) -> bool {
        self.lower.is_none() && self.upper.is_none()
    }
}

/// `law(args)[<bounds>] [noncentred]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dist {
    /// The law and its arguments.
    pub law: Call,
    /// Truncation suffix.
    pub bounds: Bounds,
    /// `noncentred` follows.
    pub noncentred: bool,
    /// Place of the whole.
    pub span: Span,
}

/// `name(item, … | item, …)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Name of the law, function or network.
    pub name: Ident,
    /// Arguments in order.
    pub args: Vec<Item>,
    /// Index of the argument that follows `|`, where there is a bar.
    pub bar: Option<usize>,
    /// Place of the whole call.
    pub span: Span,
}

/// An argument, perhaps named (`lower = 0`).
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// `name =`
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// An expression with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// From the first token to the last.
    pub span: Span,
}

/// The expressions of the language.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number; `int` where it is written without point and exponent.
    Number { value: f64, int: bool },
    /// A name.
    Name(String),
    /// `f(…)`, also a law as an element of `mixture`.
    Call(Call),
    /// `law(…)<lower = …>` inside `mixture` or `censored`.
    Truncated { law: Call, bounds: Bounds },
    /// `[a, b, …]`
    List(Vec<Expr>),
    /// `[body for index in range]`
    Comprehension { body: Box<Expr>, index: Ident, range: Box<Range> },
    /// `base[slots]`
    Index { base: Box<Expr>, slots: Vec<Slot> },
    /// `x'`
    Transpose(Box<Expr>),
    /// Prefix operator.
    Unary { op: UnaryOp, arg: Box<Expr> },
    /// Infix operator.
    Binary { op: BinaryOp, op_span: Span, left: Box<Expr>, right: Box<Expr> },
    /// `cond ? then : otherwise`
    Conditional { cond: Box<Expr>, then: Box<Expr>, otherwise: Box<Expr> },
}

/// One place between the brackets of an index.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// An integer or an integer array.
    At(Expr),
    /// `a:b`, `a:`, `:b`, `:`.
    Slice {
        /// First index; 1 where absent.
        from: Option<Expr>,
        /// Last index; the size where absent.
        to: Option<Expr>,
        /// Place of the slot.
        span: Span,
    },
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `+`
    Plus,
    /// `!`
    Not,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `.*`
    EltMul,
    /// `./`
    EltDiv,
    /// `%`
    Mod,
    /// `%/%`
    IntDiv,
    /// `^`
    Pow,
    /// `.^`
    EltPow,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `&&`
    And,
    /// `||`
    Or,
}
