//! Where a density or its gradient stops being a number: the operation, its row, its line.

use crate::base::rng::Stream;
use crate::dsl::ast::{Block, Expr, ExprKind, LatentKind, Stmt, StmtKind};
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::eval::evaluate;
use crate::graph::{Graph, Op, Var};
use crate::model::compiled::Compiled;
use crate::model::posterior::{ELSEWHERE, Model};

/// Points that are tried.
const TRIES: usize = 4;

/// The place in the model where the log density, or else its gradient, first stops being finite near the origin.
pub fn failure(model: &Model, compiled: &Compiled, seed: u64) -> Option<Diagnostic> {
    let mut rng = Stream::new(seed, "locate", 0);
    (0..TRIES).find_map(|_| {
        let x: Vec<f64> = (0..compiled.posterior.dim).map(|_| 4.0 * rng.uniform() - 2.0).collect();
        at_point(model, compiled, &x)
    })
}

/// The values of all nodes but loops, at one point.
struct Values<'a> {
    g: &'a Graph,
    nodes: Vec<Option<Vec<f64>>>,
}

impl Values<'_> {
    fn of(&self, v: Var) -> Option<&[f64]> {
        self.nodes[v.index()].as_deref()
    }

    /// The first element that is not finite.
    fn bad(&self, v: Var) -> Option<usize> {
        self.of(v)?.iter().position(|x| !x.is_finite())
    }

    /// Down from a bad node to one whose arguments are all finite.
    fn first_bad(&self, from: Var) -> Var {
        let mut at = from;
        while let Some(a) = self.g.node(at).args.iter().find(|a| self.bad(**a).is_some()) {
            at = *a;
        }
        at
    }
}

fn at_point(model: &Model, compiled: &Compiled, x: &[f64]) -> Option<Diagnostic> {
    let p = &compiled.posterior;
    let (g, grads) = compiled.differentiated();
    let mut rest = x;
    let mut inputs = vec![];
    for s in &p.sites {
        let (a, b) = rest.split_at(s.free);
        inputs.push(a);
        rest = b;
    }
    let mut ends = vec![p.lp];
    ends.extend(grads);
    let found = evaluate(g, &inputs, &ends);
    let k = found.iter().position(|v| v.iter().any(|x| !x.is_finite()))?;
    let last = ends[k].index();
    let vars: Vec<Var> =
        (0..=last).filter(|&i| !matches!(g.nodes()[i].op, Op::Scan(_))).map(|i| Var(i as u32)).collect();
    let mut nodes = vec![None; last + 1];
    for (v, value) in vars.iter().zip(evaluate(g, &inputs, &vars)) {
        nodes[v.index()] = Some(value);
    }
    let values = Values { g, nodes };
    let at = values.first_bad(ends[k]);
    let element = values.bad(at)?;
    let origin = g.node(at).origin;
    let stmt = statement(&model.tree, (origin & !ELSEWHERE).checked_sub(1)?)?;
    let number = values.of(at)?[element];
    let what = if k == 0 { "the log density" } else { "the gradient" };
    let line = stmt.span.start as usize..stmt.span.end as usize;
    let line =
        model.source.get(line).map_or(0, |t| t.lines().next().unwrap_or_default().trim_end_matches([' ', '{']).len());
    let span = Span::new(stmt.span.start as usize, stmt.span.start as usize + line);
    // Derivatives by what a statement reads have the shape of that, unless they are elementwise.
    let elementwise = matches!(g.node(at).op, Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::ScaleGrad);
    let place = match k == 0 || elementwise {
        true => place(compiled, origin, values.of(at)?.len(), element),
        false => String::new(),
    };
    let operation = operation(&values, at, element).map_or(number.to_string(), |o| format!("{o} is {number}"));
    Some(
        Diagnostic::new(span, format!("{operation} in {}{place}", about(stmt)))
            .label(format!("{what} is not finite because of this"))
            .help("keep arguments inside their domain: a bound on the latent (`real<lower=0>`), a proper law, or other initial values (--init)"),
    )
}

/// The statement that begins at a place.
fn statement(b: &Block, start: u32) -> Option<&Stmt> {
    let inside = |b| statement(b, start);
    b.stmts.iter().filter(|s| s.span.start <= start && start < s.span.end).find_map(|s| {
        let deeper = match &s.kind {
            StmtKind::Plate { body, .. } | StmtKind::For { body, .. } => inside(body),
            StmtKind::If { then, otherwise, .. } => inside(then).or_else(|| otherwise.as_ref().and_then(inside)),
            _ => None,
        };
        deeper.or_else(|| (s.span.start == start).then_some(s))
    })
}

/// What a statement is about, for people.
fn about(s: &Stmt) -> String {
    let target = |e: &Expr| {
        let mut e = e;
        loop {
            match &e.kind {
                ExprKind::Name(n) => return format!("`{n}`"),
                ExprKind::Index { base, .. } => e = base,
                ExprKind::Call(c) if c.args.len() == 1 => e = &c.args[0].value,
                _ => return "data".to_string(),
            }
        }
    };
    match &s.kind {
        StmtKind::Latent { name, kind: LatentKind::Declare { .. } } => format!("the declaration of `{}`", name.name),
        StmtKind::Latent { name, .. } => format!("the law of `{}`", name.name),
        StmtKind::Let { name, .. } | StmtKind::Report { name, .. } => format!("`{}`", name.name),
        StmtKind::Observe { target: t, .. } => format!("the law of {}", target(t)),
        StmtKind::Factor { .. } => "a factor".to_string(),
        StmtKind::For { .. } => "a recurrence".to_string(),
        _ => "a statement".to_string(),
    }
}

/// The row of an element: ` at n = 3`; nothing where the operation is the same for all rows.
fn place(compiled: &Compiled, origin: u32, count: usize, element: usize) -> String {
    let Some(indices) = compiled.posterior.rows.get(&origin) else { return String::new() };
    let rows = indices.first().map_or(0, |i| i.1.len());
    if rows < 2 || count == 0 || !count.is_multiple_of(rows) {
        return String::new();
    }
    let row = element / (count / rows);
    let all: Vec<String> = indices.iter().map(|(name, values)| format!("{name} = {}", values[row])).collect();
    format!(", at {}", all.join(", "))
}

/// An operation with the numbers it was given: `log(-1.3)`, `0 / 0`.
fn operation(values: &Values<'_>, at: Var, element: usize) -> Option<String> {
    let node = values.g.node(at);
    let arg = |k: usize| {
        let v = values.of(*node.args.get(k)?)?;
        v.get(if v.len() == 1 { 0 } else { element }).map(|x| number(*x))
    };
    Some(match &node.op {
        Op::Unary(u) => format!("{}({})", format!("{u:?}").to_lowercase(), arg(0)?),
        Op::Binary(b) => {
            let (x, y) = (arg(0)?, arg(1)?);
            match format!("{b:?}").as_str() {
                "Add" => format!("{x} + {y}"),
                "Sub" => format!("{x} - {y}"),
                "Mul" => format!("{x} * {y}"),
                "Div" => format!("{x} / {y}"),
                "Pow" => format!("{x}^{y}"),
                other => format!("{}({x}, {y})", other.to_lowercase()),
            }
        }
        Op::Fold { fold, .. } => format!("{} over an array", format!("{fold:?}").to_lowercase()),
        Op::Cholesky => "the Cholesky factor of a matrix that is not positive definite".to_string(),
        Op::TriSolve { .. } | Op::Solve { .. } => "the solution of linear equations".to_string(),
        Op::LogAbsDet => "the log determinant of a singular matrix".to_string(),
        Op::MatMul { .. } => "a matrix product".to_string(),
        Op::Proj(_) => "a step of a recurrence".to_string(),
        Op::Const(_) => "a value of the data".to_string(),
        _ => return None,
    })
}

/// A number as short as people need it.
fn number(x: f64) -> String {
    match x.abs() {
        a if a == 0.0 || (1e-3..1e5).contains(&a) => format!("{}", (x * 1e4).round() / 1e4),
        _ => format!("{x:.3e}"),
    }
}
