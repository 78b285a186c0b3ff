//! The canonical text of a syntax tree.

use std::fmt::{self, Display, Formatter};

use super::ast::*;

/// Prints the tree: one statement a line, two spaces a level, as few parentheses as the grammar allows.
///
/// Parsing the text gives the tree back, places apart. Comments are not part of the tree.
pub fn format(block: &Block) -> String {
    let mut out = String::new();
    write_block(&mut out, block, 0);
    out
}

fn write_block(out: &mut String, block: &Block, level: usize) {
    for stmt in &block.stmts {
        out.push_str(&"  ".repeat(level));
        write_stmt(out, &stmt.kind, level);
        out.push('\n');
    }
}

fn write_body(out: &mut String, block: &Block, level: usize) {
    out.push_str(" {\n");
    write_block(out, block, level + 1);
    out.push_str(&"  ".repeat(level));
    out.push('}');
}

fn write_stmt(out: &mut String, kind: &StmtKind, level: usize) {
    match kind {
        StmtKind::Plate { index, range, encode, body } => {
            out.push_str(&format!("plate {} in {range}", index.name));
            if !encode.is_empty() {
                out.push_str(&format!(" encode({})", Joined(encode)));
            }
            write_body(out, body, level);
        }
        StmtKind::For { index, range, body } => {
            out.push_str(&format!("for {} in {range}", index.name));
            write_body(out, body, level);
        }
        StmtKind::If { cond, then, otherwise } => write_if(out, cond, then, otherwise.as_ref(), level),
        StmtKind::Fn { name, args, ret, body } => {
            out.push_str(&format!("fn {}({})", name.name, Joined(args)));
            if let Some(ret) = ret {
                out.push_str(&format!(" -> {ret}"));
            }
            write_body(out, body, level);
        }
        simple => out.push_str(&Simple(simple).to_string()),
    }
}

fn write_if(out: &mut String, cond: &Expr, then: &Block, otherwise: Option<&Block>, level: usize) {
    out.push_str(&format!("if {cond}"));
    write_body(out, then, level);
    let Some(otherwise) = otherwise else {
        return;
    };
    out.push_str(" else");
    match otherwise.stmts.as_slice() {
        [Stmt { kind: StmtKind::If { cond, then, otherwise }, .. }] => {
            out.push(' ');
            write_if(out, cond, then, otherwise.as_ref(), level);
        }
        _ => write_body(out, otherwise, level),
    }
}

/// A statement without a block.
struct Simple<'a>(&'a StmtKind);

impl Display for Simple<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            StmtKind::Data { name, ty, from, default } => {
                write!(f, "data {}: {ty}", name.name)?;
                if let Some(key) = from {
                    write!(f, " from \"{key}\"")?;
                }
                write!(f, "{}", After(" = ", default))
            }
            StmtKind::Const { name, ty, value } => {
                write!(f, "const {}{} = {value}", name.name, After(": ", ty))
            }
            StmtKind::Param { name, kind: ParamKind::Value { ty, init } } => {
                write!(f, "param {}: {ty}{}", name.name, After(" = ", init))
            }
            StmtKind::Param { name, kind: ParamKind::Network(call) } => write!(f, "param {} = {call}", name.name),
            StmtKind::Latent { name, kind } => match kind {
                LatentKind::Draw { ty, dist } => {
                    write!(f, "latent {}{} ~ {dist}", name.name, After(": ", ty))
                }
                LatentKind::Fill { index, dist } => {
                    write!(f, "latent {}[{}] ~ {dist}", name.name, Joined(index))
                }
                LatentKind::Declare { ty } => write!(f, "latent {}: {ty}", name.name),
            },
            StmtKind::Let { name, kind } => match kind {
                LetKind::Define { ty, value } => {
                    write!(f, "let {}{} = {value}", name.name, After(": ", ty))
                }
                LetKind::Fill { index, value } => {
                    write!(f, "let {}[{}] = {value}", name.name, Joined(index))
                }
                LetKind::Declare { ty } => write!(f, "let {}: {ty}", name.name),
            },
            StmtKind::Report { name, ty, value } => {
                write!(f, "report {}{}", name.name, After(": ", ty))?;
                match value {
                    ReportKind::Value(value) => write!(f, " = {value}"),
                    ReportKind::Draw(dist) => write!(f, " ~ {dist}"),
                }
            }
            StmtKind::Observe { target, dist } => write!(f, "observe {target} ~ {dist}"),
            StmtKind::Factor { value } => write!(f, "factor {value}"),
            StmtKind::Return { value } => write!(f, "return {value}"),
            StmtKind::Plate { .. } | StmtKind::For { .. } | StmtKind::If { .. } | StmtKind::Fn { .. } => Ok(()),
        }
    }
}

/// An optional part with the mark that leads it in.
struct After<'a, T>(&'static str, &'a Option<T>);

impl<T: Display> Display for After<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(part) => write!(f, "{}{part}", self.0),
            None => Ok(()),
        }
    }
}

/// Parts separated by commas.
struct Joined<'a, T>(&'a [T]);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            write!(f, "{}{part}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// Sizes separated by commas, empty ones left empty.
struct Dims<'a>(&'a [Option<Expr>]);

impl Display for Dims<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, size) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match size {
                Some(size) => write!(f, "{comma}{}{size}", if i > 0 { " " } else { "" })?,
                None => f.write_str(comma)?,
            }
        }
        Ok(())
    }
}

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.array.is_empty() {
            write!(f, "array[{}] ", Dims(&self.array))?;
        }
        match &self.base {
            BaseType::Int => write!(f, "int{}", self.bounds),
            BaseType::Real => write!(f, "real{}", self.bounds),
            BaseType::Named { name, dims } => {
                write!(f, "{}{}[{}]", name.name, self.bounds, Dims(dims))
            }
        }
    }
}

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let lower = self.lower.as_ref().map(|e| format!("lower={}", At(e, SUM)));
        let upper = self.upper.as_ref().map(|e| format!("upper={}", At(e, SUM)));
        let written: Vec<String> = lower.into_iter().chain(upper).collect();
        if written.is_empty() { Ok(()) } else { write!(f, "<{}>", written.join(", ")) }
    }
}

impl Display for Range {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", At(&self.from, OR), At(&self.to, OR))
    }
}

impl Display for Dist {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.law, self.bounds, if self.noncentred { " noncentred" } else { "" })
    }
}

impl Display for Arg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name.name, self.ty)
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name.name)?;
        for (i, item) in self.args.iter().enumerate() {
            let before = match i {
                0 => "",
                _ if self.bar == Some(i) => " | ",
                _ => ", ",
            };
            write!(f, "{before}{item}")?;
        }
        f.write_str(")")
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}={}", name.name, self.value),
            None => write!(f, "{}", self.value),
        }
    }
}

impl Display for Slot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Slot::At(e) => write!(f, "{e}"),
            Slot::Slice { from, to, .. } => {
                let end = |e: &Option<Expr>| e.as_ref().map_or(String::new(), |e| At(e, OR).to_string());
                write!(f, "{}:{}", end(from), end(to))
            }
        }
    }
}

/// Levels of the grammar, loosest first: conditional, or, and, equal, compare, sum, product, unary, postfix.
const CONDITIONAL: u8 = 0;
const OR: u8 = 1;
const SUM: u8 = 5;
const UNARY: u8 = 7;
const POSTFIX: u8 = 8;

/// Spelling and level of an infix operator.
fn infix(op: BinaryOp) -> (&'static str, u8) {
    match op {
        BinaryOp::Or => ("||", OR),
        BinaryOp::And => ("&&", 2),
        BinaryOp::Eq => ("==", 3),
        BinaryOp::Ne => ("!=", 3),
        BinaryOp::Lt => ("<", 4),
        BinaryOp::Le => ("<=", 4),
        BinaryOp::Gt => (">", 4),
        BinaryOp::Ge => (">=", 4),
        BinaryOp::Add => ("+", SUM),
        BinaryOp::Sub => ("-", SUM),
        BinaryOp::Mul => ("*", 6),
        BinaryOp::Div => ("/", 6),
        BinaryOp::EltMul => (".*", 6),
        BinaryOp::EltDiv => ("./", 6),
        BinaryOp::Mod => ("%", 6),
        BinaryOp::IntDiv => ("%/%", 6),
        // A power stands where a unary does; its own sides are handled where it is written.
        BinaryOp::Pow => ("^", UNARY),
        BinaryOp::EltPow => (".^", UNARY),
    }
}

fn level(e: &Expr) -> u8 {
    match &e.kind {
        ExprKind::Conditional { .. } => CONDITIONAL,
        ExprKind::Binary { op, .. } => infix(*op).1,
        ExprKind::Unary { .. } => UNARY,
        _ => POSTFIX,
    }
}

/// An expression at a place that takes at least this level; parentheses where it is looser.
struct At<'a>(&'a Expr, u8);

impl Display for At<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if level(self.0) < self.1 { write!(f, "({})", self.0) } else { write!(f, "{}", self.0) }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number { value, int: true } => write!(f, "{value:.0}"),
            ExprKind::Number { value, int: false } => write!(f, "{value:?}"),
            ExprKind::Name(name) => f.write_str(name),
            ExprKind::Call(call) => write!(f, "{call}"),
            ExprKind::Truncated { law, bounds } => write!(f, "{law}{bounds}"),
            ExprKind::List(items) => write!(f, "[{}]", Joined(items)),
            ExprKind::Comprehension { body, index, range } => {
                write!(f, "[{body} for {} in {range}]", index.name)
            }
            ExprKind::Index { base, slots } => {
                write!(f, "{}[{}]", At(base, POSTFIX), Joined(slots))
            }
            ExprKind::Transpose(arg) => write!(f, "{}'", At(arg, POSTFIX)),
            ExprKind::Unary { op, arg } => {
                let sign = match op {
                    UnaryOp::Neg => "-",
                    UnaryOp::Plus => "+",
                    UnaryOp::Not => "!",
                };
                write!(f, "{sign}{}", At(arg, UNARY))
            }
            ExprKind::Binary { op: op @ (BinaryOp::Pow | BinaryOp::EltPow), left, right, .. } => {
                write!(f, "{} {} {}", At(left, POSTFIX), infix(*op).0, At(right, UNARY))
            }
            ExprKind::Binary { op, left, right, .. } => {
                let (text, own) = infix(*op);
                write!(f, "{} {text} {}", At(left, own), At(right, own + 1))
            }
            ExprKind::Conditional { cond, then, otherwise } => write!(f, "{} ? {then} : {otherwise}", At(cond, OR)),
        }
    }
}
