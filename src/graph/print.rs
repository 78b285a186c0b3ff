//! Readable listings of graphs: one node a line, bodies of loops indented.

use std::fmt::{self, Display, Formatter};

use super::Graph;
use super::op::{Node, Op, Var};
use super::shape::Index;

/// Name of an operation with its parameters, as listings show it.
pub(super) fn op_name(op: &Op) -> String {
    match op {
        Op::Input(_) => "input".into(),
        Op::Const(c) => match c[..] {
            [x] => format!("{x:?}"),
            _ => format!("const {}", short(&c[..])),
        },
        Op::Unary(u) => format!("{u:?}").to_lowercase(),
        Op::Binary(b) => format!("{b:?}").to_lowercase(),
        Op::Ternary(t) => format!("{t:?}").to_lowercase(),
        Op::Reshape => "reshape".into(),
        Op::Gather(i) => format!("gather[{}]", index(i)),
        Op::ScatterAdd(i) => format!("scatter_add[{}]", index(i)),
        Op::Concat => "concat".into(),
        Op::Fold { fold, outer, n, inner } => format!("{}[{outer}, {n}, {inner}]", format!("{fold:?}").to_lowercase()),
        Op::CumSum { reverse: false } => "cumsum".into(),
        Op::CumSum { reverse: true } => "cumsum[backwards]".into(),
        Op::MatMul { ta, tb } => format!("matmul{}", transposed(*ta, *tb)),
        Op::Cholesky => "cholesky".into(),
        Op::TriSolve { transposed: t } => format!("tri_solve{}", transposed(*t, false)),
        Op::Solve { transposed: t } => format!("solve{}", transposed(*t, false)),
        Op::LogAbsDet => "log_abs_det".into(),
        Op::Scan(s) => format!("scan[{} steps{}]", s.len, if s.reverse { ", backwards" } else { "" }),
        Op::Proj(k) => format!("output {k} of"),
        Op::StopGradient => "stop_gradient".into(),
        Op::ScaleGrad => "scale_grad".into(),
    }
}

fn transposed(left: bool, right: bool) -> &'static str {
    match (left, right) {
        (false, false) => "",
        (true, false) => "[transposed]",
        (false, true) => "[, transposed]",
        (true, true) => "[transposed, transposed]",
    }
}

fn short<T: Display>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(4).map(T::to_string).collect();
    let more = if items.len() > 4 { format!(", … {} in all", items.len()) } else { String::new() };
    format!("[{}{more}]", shown.join(", "))
}

fn index(i: &Index) -> String {
    match i {
        Index::Stride { start, stride, len } => format!("{start} by {stride}, {len}"),
        Index::Repeat { each, .. } => format!("each {each} times"),
        Index::Tile { period, len } => format!("{} times", len / (*period).max(1)),
        Index::Table(t) => short(&t[..]),
    }
}

fn list(vars: &[Var]) -> String {
    let names: Vec<String> = vars.iter().map(|v| format!("%{}", v.index())).collect();
    names.join(", ")
}

fn write_node(g: &Graph, i: usize, node: &Node, indent: usize, f: &mut Formatter<'_>) -> fmt::Result {
    let pad = " ".repeat(indent);
    let name = match &node.op {
        Op::Input(k) => format!("input {:?}", g.inputs()[*k as usize].name),
        op => op_name(op),
    };
    let args = if node.args.is_empty() { String::new() } else { format!(" ({})", list(&node.args)) };
    let spread = format!("{:?}", node.spread).to_lowercase();
    writeln!(f, "{pad}%{i} = {name}{args} : {:?} {spread}", node.shape)?;
    if let Op::Scan(s) = &node.op {
        write_nodes(&s.body, indent + 4, f)?;
        let slices = format!("{} carries, {} slices", s.next.len(), s.xs);
        writeln!(f, "{pad}    {slices}; next ({}); outputs ({})", list(&s.next), list(&s.ys))?;
    }
    Ok(())
}

fn write_nodes(g: &Graph, indent: usize, f: &mut Formatter<'_>) -> fmt::Result {
    for (i, node) in g.nodes().iter().enumerate() {
        write_node(g, i, node, indent, f)?;
    }
    Ok(())
}

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_nodes(self, 0, f)
    }
}
