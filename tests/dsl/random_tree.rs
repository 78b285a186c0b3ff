//! Random syntax trees: the printed tree parses back to itself.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use thalweg::dsl::ast::*;
use thalweg::dsl::format::format;
use thalweg::dsl::parser::parse;
use thalweg::dsl::span::Span;

use crate::skeleton;

fn here() -> Span {
    Span::default()
}

fn ident() -> impl Strategy<Value = Ident> {
    let name = prop::sample::select(vec![
        "x",
        "y",
        "mu",
        "N",
        "f",
        "_a1",
        "σ",
        "normal",
        "lower",
        "upper",
        "from",
        "encode",
        "noncentred",
        "real",
        "array",
        "T",
    ]);
    name.prop_map(|name| Ident { name: name.to_string(), span: here() })
}

fn boxed(e: Expr) -> Box<Expr> {
    Box::new(e)
}

fn at(kind: ExprKind) -> Expr {
    Expr { kind, span: here() }
}

fn number() -> impl Strategy<Value = ExprKind> {
    let int = (0u64..=1 << 53).prop_map(|n| ExprKind::Number { value: n as f64, int: true });
    let small = (0u64..10).prop_map(|n| ExprKind::Number { value: n as f64, int: true });
    let real = (0u64..f64::MAX.to_bits()).prop_map(|b| ExprKind::Number { value: f64::from_bits(b), int: false });
    prop_oneof![small, int, real]
}

fn binary_op() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::*;
    prop::sample::select(vec![
        Add, Sub, Mul, Div, EltMul, EltDiv, Mod, IntDiv, Pow, EltPow, Eq, Ne, Lt, Le, Gt, Ge, And, Or,
    ])
}

fn item(e: impl Strategy<Value = Expr>) -> impl Strategy<Value = Item> {
    (option::weighted(0.2, ident()), e).prop_map(|(name, value)| Item { name, value })
}

/// A call; one with a bar has a density's name.
fn call(e: impl Strategy<Value = Expr> + Clone) -> impl Strategy<Value = Call> {
    let plain = (ident(), vec(item(e.clone()), 0..4)).prop_map(|(name, args)| (name, args, None));
    let density = (prop::sample::select(vec!["normal_lpdf", "poisson_lpmf", "f_lcdf", "f_lccdf"]), vec(item(e), 2..4))
        .prop_map(|(name, args)| (Ident { name: name.to_string(), span: here() }, args, Some(1)));
    prop_oneof![4 => plain, 1 => density].prop_map(|(name, args, bar)| Call { name, args, bar, span: here() })
}

fn bounds(e: impl Strategy<Value = Expr> + Clone) -> impl Strategy<Value = Bounds> {
    let side = || option::of(e.clone().prop_map(Box::new));
    (side(), side()).prop_map(|(lower, upper)| Bounds { lower, upper, span: here() })
}

fn range(e: impl Strategy<Value = Expr> + Clone) -> impl Strategy<Value = Range> {
    (e.clone(), e).prop_map(|(from, to)| Range { from, to })
}

fn slots(e: impl Strategy<Value = Expr> + Clone) -> impl Strategy<Value = Vec<Slot>> {
    let slice =
        (option::of(e.clone()), option::of(e.clone())).prop_map(|(from, to)| Slot::Slice { from, to, span: here() });
    vec(prop_oneof![e.prop_map(Slot::At), slice], 1..3)
}

fn expr() -> impl Strategy<Value = Expr> + Clone {
    let leaf = prop_oneof![number(), ident().prop_map(|i| ExprKind::Name(i.name))].prop_map(at);
    let tree = leaf.prop_recursive(4, 24, 3, |e| {
        let conditional = (e.clone(), e.clone(), e.clone()).prop_map(|(c, t, o)| ExprKind::Conditional {
            cond: boxed(c),
            then: boxed(t),
            otherwise: boxed(o),
        });
        let binary = (binary_op(), e.clone(), e.clone()).prop_map(|(op, left, right)| ExprKind::Binary {
            op,
            op_span: here(),
            left: boxed(left),
            right: boxed(right),
        });
        let unary = (prop::sample::select(vec![UnaryOp::Neg, UnaryOp::Plus, UnaryOp::Not]), e.clone())
            .prop_map(|(op, arg)| ExprKind::Unary { op, arg: boxed(arg) });
        let truncated = (call(e.clone()), bounds(e.clone()))
            .prop_filter("a suffix has a bound", |(_, bounds)| !bounds.is_empty())
            .prop_map(|(law, bounds)| ExprKind::Truncated { law, bounds });
        let comprehension = (e.clone(), ident(), range(e.clone())).prop_map(|(body, index, range)| {
            ExprKind::Comprehension { body: boxed(body), index, range: Box::new(range) }
        });
        let index =
            (e.clone(), slots(e.clone())).prop_map(|(base, slots)| ExprKind::Index { base: boxed(base), slots });
        prop_oneof![
            4 => binary,
            2 => unary,
            2 => conditional,
            2 => index,
            2 => call(e.clone()).prop_map(ExprKind::Call),
            1 => truncated,
            1 => vec(e.clone(), 0..4).prop_map(ExprKind::List),
            1 => comprehension,
            1 => e.prop_map(|arg| ExprKind::Transpose(boxed(arg))),
        ]
        .prop_map(at)
    });
    tree.boxed()
}

/// Sizes; some are empty where they may be.
fn sizes(at_least: usize, unsized_too: bool) -> BoxedStrategy<Vec<Option<Expr>>> {
    match unsized_too {
        true => vec(option::of(expr()), at_least..3).boxed(),
        false => vec(expr().prop_map(Some), at_least..3).boxed(),
    }
}

fn ty(unsized_too: bool) -> impl Strategy<Value = Type> {
    let named = prop::sample::select(vec!["vector", "matrix", "simplex", "cholesky_factor_corr", "x"]);
    let named = (named, sizes(1, unsized_too))
        .prop_map(|(name, dims)| BaseType::Named { name: Ident { name: name.to_string(), span: here() }, dims });
    let base = prop_oneof![Just(BaseType::Int), Just(BaseType::Real), named];
    (sizes(0, unsized_too), base, bounds(expr())).prop_map(|(array, base, bounds)| Type {
        array,
        base,
        bounds,
        span: here(),
    })
}

fn dist() -> impl Strategy<Value = Dist> {
    (call(expr()), bounds(expr()), any::<bool>()).prop_map(|(law, bounds, noncentred)| Dist {
        law,
        bounds,
        noncentred,
        span: here(),
    })
}

fn key() -> impl Strategy<Value = String> {
    "[a-z .é\\\\']{0,6}"
}

/// Statements without a block.
fn simple() -> impl Strategy<Value = StmtKind> {
    let some_ty = || option::of(ty(false));
    let latent = prop_oneof![
        (some_ty(), dist()).prop_map(|(ty, dist)| LatentKind::Draw { ty, dist }),
        (slots(expr()), dist()).prop_map(|(index, dist)| LatentKind::Fill { index, dist }),
        ty(false).prop_map(|ty| LatentKind::Declare { ty }),
    ];
    let define = prop_oneof![
        (some_ty(), expr()).prop_map(|(ty, value)| LetKind::Define { ty, value }),
        (slots(expr()), expr()).prop_map(|(index, value)| LetKind::Fill { index, value }),
        ty(false).prop_map(|ty| LetKind::Declare { ty }),
    ];
    let param = prop_oneof![
        (ty(false), option::of(expr())).prop_map(|(ty, init)| ParamKind::Value { ty, init }),
        call(expr()).prop_map(ParamKind::Network),
    ];
    let report = prop_oneof![expr().prop_map(ReportKind::Value), dist().prop_map(ReportKind::Draw)];
    prop_oneof![
        (ident(), ty(false), option::of(key()), option::of(expr()))
            .prop_map(|(name, ty, from, default)| StmtKind::Data { name, ty, from, default }),
        (ident(), some_ty(), expr()).prop_map(|(name, ty, value)| StmtKind::Const { name, ty, value }),
        (ident(), param).prop_map(|(name, kind)| StmtKind::Param { name, kind }),
        (ident(), latent).prop_map(|(name, kind)| StmtKind::Latent { name, kind }),
        (ident(), define).prop_map(|(name, kind)| StmtKind::Let { name, kind }),
        (ident(), some_ty(), report).prop_map(|(name, ty, value)| StmtKind::Report { name, ty, value }),
        (expr(), dist()).prop_map(|(target, dist)| StmtKind::Observe { target, dist }),
        expr().prop_map(|value| StmtKind::Factor { value }),
        expr().prop_map(|value| StmtKind::Return { value }),
    ]
}

fn block_of(stmt: impl Strategy<Value = StmtKind>) -> impl Strategy<Value = Block> {
    vec(stmt.prop_map(|kind| Stmt { kind, span: here() }), 0..3).prop_map(|stmts| Block { stmts })
}

fn block() -> impl Strategy<Value = Block> {
    let stmt = simple().boxed().prop_recursive(3, 12, 3, |s| {
        let arg = (ident(), ty(true)).prop_map(|(name, ty)| Arg { name, ty });
        prop_oneof![
            simple(),
            (ident(), range(expr()), vec(expr(), 0..3), block_of(s.clone()))
                .prop_map(|(index, range, encode, body)| StmtKind::Plate { index, range, encode, body }),
            (ident(), range(expr()), block_of(s.clone())).prop_map(|(index, range, body)| StmtKind::For {
                index,
                range,
                body
            }),
            (expr(), block_of(s.clone()), option::of(block_of(s.clone())))
                .prop_map(|(cond, then, otherwise)| StmtKind::If { cond, then, otherwise }),
            (ident(), vec(arg, 0..3), option::of(ty(true)), block_of(s))
                .prop_map(|(name, args, ret, body)| StmtKind::Fn { name, args, ret, body }),
        ]
    });
    block_of(stmt)
}

proptest! {
    #[test]
    fn printing_and_parsing_gives_the_tree_back(tree in block()) {
        let printed = format(&tree);
        let parsed = parse(&printed).unwrap_or_else(|d| panic!("\n{}", d.render("printed", &printed)));
        prop_assert_eq!(skeleton(&parsed), skeleton(&tree), "printed as\n{}", printed);
    }
}
