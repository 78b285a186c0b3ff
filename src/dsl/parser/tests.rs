//! Precedence, newlines, depth and freedom from panics.

use super::{MAX_HEIGHT, parse};
use crate::dsl::ast::{Expr, ExprKind, LetKind, StmtKind, UnaryOp};
use crate::dsl::format::format;

/// The expression with every operator in parentheses.
fn shape(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Binary { op, left, right, .. } => format!("({} {op:?} {})", shape(left), shape(right)),
        ExprKind::Unary { op, arg } => format!("({op:?} {})", shape(arg)),
        ExprKind::Conditional { cond, then, otherwise } => {
            format!("({} ? {} : {})", shape(cond), shape(then), shape(otherwise))
        }
        ExprKind::Transpose(arg) => format!("({} ')", shape(arg)),
        _ => e.to_string(),
    }
}

fn expr(text: &str) -> Expr {
    let block = parse(&format!("let x = {text}")).unwrap_or_else(|d| panic!("{text}: {d}"));
    match block.stmts.into_iter().next().map(|s| s.kind) {
        Some(StmtKind::Let { kind: LetKind::Define { value, .. }, .. }) => value,
        other => panic!("{text}: {other:?}"),
    }
}

fn error(source: &str) -> String {
    parse(source).err().map(|d| d.to_string()).unwrap_or_default()
}

/// Value of an expression of numbers.
fn value(e: &Expr) -> f64 {
    match &e.kind {
        ExprKind::Number { value, .. } => *value,
        ExprKind::Unary { op: UnaryOp::Neg, arg } => -value(arg),
        ExprKind::Binary { op, left, right, .. } => {
            let (a, b) = (value(left), value(right));
            match infix_text(op) {
                '^' => a.powf(b),
                '-' => a - b,
                '/' => a / b,
                _ => a * b,
            }
        }
        _ => f64::NAN,
    }
}

fn infix_text(op: &crate::dsl::ast::BinaryOp) -> char {
    use crate::dsl::ast::BinaryOp::*;
    match op {
        Pow => '^',
        Sub => '-',
        Div => '/',
        _ => '*',
    }
}

#[test]
fn powers_bind_tighter_than_signs_and_to_the_right() {
    assert_eq!(value(&expr("-2^2")), -4.0);
    assert_eq!(value(&expr("2^3^2")), 512.0);
    assert_eq!(value(&expr("2^-1")), 0.5);
    assert_eq!(value(&expr("8 - 4 - 2")), 2.0);
    assert_eq!(value(&expr("16 / 4 / 2")), 2.0);
}

#[test]
fn precedence_follows_the_grammar() {
    for (text, tree) in [
        ("a || b && c", "(a Or (b And c))"),
        ("a == b < c", "(a Eq (b Lt c))"),
        ("a < b + c", "(a Lt (b Add c))"),
        ("a + b * c - d", "((a Add (b Mul c)) Sub d)"),
        ("a .* b %/% c", "((a EltMul b) IntDiv c)"),
        ("!a == b", "((Not a) Eq b)"),
        ("-a * b", "((Neg a) Mul b)"),
        ("a' * b'", "((a ') Mul (b '))"),
        ("a'^2", "((a ') Pow 2)"),
        ("2.*x", "(2 EltMul x)"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a || b ? c + 1 : d", "((a Or b) ? (c Add 1) : d)"),
        ("f(x) < lower", "(f(x) Lt lower)"),
    ] {
        assert_eq!(shape(&expr(text)), tree, "{text}");
    }
}

#[test]
fn spans_cover_first_to_last_word() {
    let source = "let x = (a + b) * c[1]";
    let block = parse(source).expect("a model");
    let StmtKind::Let { kind: LetKind::Define { value, .. }, .. } = &block.stmts[0].kind else {
        panic!("not a definition");
    };
    assert_eq!(&source[value.span.start as usize..value.span.end as usize], "(a + b) * c[1]");
    let ExprKind::Binary { left, op_span, .. } = &value.kind else { panic!("not a product") };
    assert_eq!(&source[left.span.start as usize..left.span.end as usize], "(a + b)");
    assert_eq!(&source[op_span.start as usize..op_span.end as usize], "*");
    let stmt = block.stmts[0].span;
    assert_eq!((stmt.start, stmt.end as usize), (0, source.len()));
}

#[test]
fn long_sums_of_products_fit() {
    let terms: Vec<String> = (0..200).map(|i| format!("a[{i}] * (b^2 + f(c))")).collect();
    assert_eq!(error(&format!("let x = {}", terms.join(" + "))), "");
    let list: Vec<String> = (0..5000).map(|i| i.to_string()).collect();
    assert_eq!(error(&format!("let x = [{}]", list.join(", "))), "");
    let lines: String = (0..5000).map(|i| format!("let x{i} = {i}\n")).collect();
    assert_eq!(error(&lines), "");
}

/// Half the usual stack of a thread, so that callers have room for their own frames.
const SMALL_STACK: usize = 1024 * 1024;

/// Every way of nesting, far beyond the limit, on a small stack.
#[test]
fn deep_nesting_is_an_error_and_never_an_overflow() {
    let deep = 20_000;
    let sources: Vec<String> = [
        ("let x = ", "(", "1", ")"),
        ("let x = ", "[", "1", "]"),
        ("let x = ", "f(", "1", ")"),
        ("let x = ", "x[", "1", "]"),
        ("let x = ", "-", "1", ""),
        ("let x = ", "!", "1", ""),
        ("let x = ", "2^", "1", ""),
        ("let x = ", "a ? b : ", "c", ""),
        ("let x = ", "a ? ", "c", " : b"),
        ("let x = ", "1 + ", "1", ""),
        ("let x = ", "1 + (1 * ", "1", ")"),
        ("let x = ", "", "a", "'"),
        ("let x = ", "", "a", "[1]"),
        ("latent x: ", "array[", "2", "] real"),
        ("data x: real", "<lower=", "1", ">"),
        ("", "if a {", "", "}"),
        ("", "plate i in 1:N {", "", "}"),
        ("", "if a {} else ", "{}", ""),
    ]
    .iter()
    .map(|(head, open, middle, close)| format!("{head}{}{middle}{}", open.repeat(deep), close.repeat(deep)))
    .collect();
    let run = std::thread::Builder::new().stack_size(SMALL_STACK).spawn(move || {
        for source in &sources {
            assert!(!error(source).is_empty());
        }
    });
    run.expect("a thread").join().expect("no overflow");
}

/// The deepest tree that is accepted can be printed and dropped on a small stack.
#[test]
fn the_deepest_accepted_tree_is_harmless() {
    let run = std::thread::Builder::new().stack_size(SMALL_STACK).spawn(|| {
        for (open, close) in [("(", ")"), ("-", ""), ("f(", ")"), ("1 + (1 * ", ")"), ("2 ^ ", "")] {
            let accepted = (1..MAX_HEIGHT)
                .map(|n| format!("let x = {}1{}", open.repeat(n), close.repeat(n)))
                .rev()
                .find_map(|source| parse(&source).ok());
            let block = accepted.expect("some depth is accepted");
            assert!(parse(&format(&block)).is_ok());
        }
    });
    run.expect("a thread").join().expect("no overflow");
}

#[test]
fn the_lexer_error_is_reported_only_when_it_comes_first() {
    assert!(error("let x = $").contains("without `$`"));
    assert!(error("let = 2 $").contains("a name after `let`"));
    assert!(error("let x = 2 $").contains("without `$`"));
}

#[test]
fn words_of_types_are_ordinary_names_elsewhere() {
    let source =
        "let real = 1\nlet array = [1]\nlet x = array[1] + real\nlatent lower ~ f(upper=1)\nlet from = encode(2)\n";
    assert_eq!(error(source), "");
}
