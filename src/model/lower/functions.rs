//! Built-in functions: elementwise functions, reductions, shapes. Matrices are in `matrix`.

use super::reduce::{lchoose, reduce};
use super::{Lower, Res};
use crate::dsl::ast::Call;
use crate::dsl::diagnostic::Diagnostic;
use crate::graph::{Binary, Graph, Shape, Ternary, Unary, Var};
use crate::model::value::Val;

/// Every built-in function.
pub const NAMES: &[&str] = &[
    "abs",
    "acos",
    "acosh",
    "add_diag",
    "append",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "binomial_coefficient_log",
    "cbrt",
    "ceil",
    "cholesky_decompose",
    "choose",
    "cloglog",
    "columns",
    "cols",
    "cos",
    "cosh",
    "crossprod",
    "cumulative_sum",
    "determinant",
    "diag_matrix",
    "diag_post_multiply",
    "diag_pre_multiply",
    "diagonal",
    "digamma",
    "distance",
    "dot",
    "dot_product",
    "dot_self",
    "e",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "fma",
    "fmax",
    "fmin",
    "gp_exp_quad_cov",
    "head",
    "hypot",
    "identity_matrix",
    "inv",
    "inv_cloglog",
    "inv_logit",
    "inv_Phi",
    "inv_sqrt",
    "inv_square",
    "inverse",
    "inverse_spd",
    "lbeta",
    "lchoose",
    "ldexp_log2",
    "lgamma",
    "linspaced",
    "log",
    "log10",
    "log1m",
    "log1m_exp",
    "log1m_inv_logit",
    "log1p",
    "log1p_exp",
    "log2",
    "log_determinant",
    "log_diff_exp",
    "log_inv_logit",
    "log_mix",
    "log_softmax",
    "log_sum_exp",
    "logit",
    "max",
    "mdivide_left",
    "mdivide_left_spd",
    "mdivide_left_tri_low",
    "mean",
    "min",
    "multiply_log",
    "multiply_lower_tri_self_transpose",
    "num_elements",
    "outer",
    "Phi",
    "Phi_approx",
    "pi",
    "pow",
    "prod",
    "quad_form",
    "rep_array",
    "rep_matrix",
    "rep_vector",
    "reshape",
    "reverse",
    "round",
    "rows",
    "sd",
    "sin",
    "sinh",
    "size",
    "softmax",
    "sqrt",
    "sqrt2",
    "square",
    "squared_distance",
    "step",
    "sub_col",
    "sub_row",
    "sum",
    "tail",
    "tan",
    "tanh",
    "tcrossprod",
    "tgamma",
    "to_vector",
    "trace",
    "transpose",
    "trigamma",
    "trunc",
    "variance",
];

type One = fn(&mut Graph, Var) -> Var;
type Two = fn(&mut Graph, Var, Var) -> Var;

/// Elementwise functions of one argument.
fn one(name: &str) -> Option<One> {
    Some(match name {
        "abs" | "fabs" => |g, x| g.unary(Unary::Abs, x),
        "acos" => |g, x| g.unary(Unary::Acos, x),
        "asin" => |g, x| g.unary(Unary::Asin, x),
        "atan" => |g, x| g.unary(Unary::Atan, x),
        "asinh" => |g, x| {
            let s = g.square(x);
            let r = g.shift(s, 1.0);
            let r = g.unary(Unary::Sqrt, r);
            let t = g.add(x, r);
            g.log(t)
        },
        "acosh" => |g, x| {
            let s = g.square(x);
            let r = g.shift(s, -1.0);
            let r = g.unary(Unary::Sqrt, r);
            let t = g.add(x, r);
            g.log(t)
        },
        "atanh" => |g, x| {
            let n = g.neg(x);
            let (a, b) = (g.unary(Unary::Log1p, x), g.unary(Unary::Log1p, n));
            let d = g.sub(a, b);
            g.scale(0.5, d)
        },
        "cbrt" => |g, x| {
            let a = g.unary(Unary::Abs, x);
            let third = g.scalar(1.0 / 3.0);
            let p = g.binary(Binary::Pow, a, third);
            let s = g.unary(Unary::Sign, x);
            g.mul(s, p)
        },
        "ceil" => |g, x| g.unary(Unary::Ceil, x),
        "cos" => |g, x| g.unary(Unary::Cos, x),
        "cosh" => |g, x| g.unary(Unary::Cosh, x),
        "digamma" => |g, x| g.unary(Unary::Digamma, x),
        "erf" => |g, x| g.unary(Unary::Erf, x),
        "erfc" => |g, x| g.unary(Unary::Erfc, x),
        "exp" => |g, x| g.exp(x),
        "exp2" => |g, x| {
            let t = g.scale(std::f64::consts::LN_2, x);
            g.exp(t)
        },
        "expm1" => |g, x| g.unary(Unary::Expm1, x),
        "floor" => |g, x| g.unary(Unary::Floor, x),
        "inv" => |g, x| g.unary(Unary::Recip, x),
        "inv_cloglog" => |g, x| {
            let e = g.exp(x);
            let n = g.neg(e);
            let m = g.unary(Unary::Expm1, n);
            g.neg(m)
        },
        "cloglog" => |g, x| {
            let n = g.neg(x);
            let l = g.unary(Unary::Log1p, n);
            let n = g.neg(l);
            g.log(n)
        },
        "inv_logit" => |g, x| g.unary(Unary::Sigmoid, x),
        "inv_Phi" => |g, x| g.unary(Unary::InvPhi, x),
        "inv_sqrt" => |g, x| {
            let s = g.unary(Unary::Sqrt, x);
            g.unary(Unary::Recip, s)
        },
        "inv_square" => |g, x| {
            let s = g.square(x);
            g.unary(Unary::Recip, s)
        },
        "lgamma" => |g, x| g.unary(Unary::Lgamma, x),
        "log" => |g, x| g.log(x),
        "log10" => |g, x| {
            let l = g.log(x);
            g.scale(std::f64::consts::LOG10_E, l)
        },
        "log2" => |g, x| {
            let l = g.log(x);
            g.scale(std::f64::consts::LOG2_E, l)
        },
        "log1m" => |g, x| {
            let n = g.neg(x);
            g.unary(Unary::Log1p, n)
        },
        "log1m_exp" => |g, x| {
            let e = g.unary(Unary::Expm1, x);
            let n = g.neg(e);
            g.log(n)
        },
        "log1p" => |g, x| g.unary(Unary::Log1p, x),
        "log1p_exp" => |g, x| g.unary(Unary::Softplus, x),
        "log_inv_logit" => |g, x| {
            let n = g.neg(x);
            let s = g.unary(Unary::Softplus, n);
            g.neg(s)
        },
        "log1m_inv_logit" => |g, x| {
            let s = g.unary(Unary::Softplus, x);
            g.neg(s)
        },
        "logit" => |g, x| {
            let n = g.neg(x);
            let (a, b) = (g.log(x), g.unary(Unary::Log1p, n));
            g.sub(a, b)
        },
        "Phi" => |g, x| g.unary(Unary::Phi, x),
        // Bowling et al. 2009, equation 5.
        "Phi_approx" => |g, x| {
            let s = g.square(x);
            let c = g.scale(0.07056, s);
            let c = g.shift(c, 1.5976);
            let t = g.mul(c, x);
            g.unary(Unary::Sigmoid, t)
        },
        "round" => |g, x| g.unary(Unary::Round, x),
        "sin" => |g, x| g.unary(Unary::Sin, x),
        "sinh" => |g, x| g.unary(Unary::Sinh, x),
        "sqrt" => |g, x| g.unary(Unary::Sqrt, x),
        "square" => |g, x| g.square(x),
        "step" => |g, x| {
            let zero = g.scalar(0.0);
            g.binary(Binary::Le, zero, x)
        },
        "tan" => |g, x| g.unary(Unary::Tan, x),
        "tanh" => |g, x| g.unary(Unary::Tanh, x),
        "tgamma" => |g, x| {
            let l = g.unary(Unary::Lgamma, x);
            g.exp(l)
        },
        "trigamma" => |g, x| g.unary(Unary::Trigamma, x),
        "trunc" => |g, x| {
            let a = g.unary(Unary::Abs, x);
            let (f, s) = (g.unary(Unary::Floor, a), g.unary(Unary::Sign, x));
            g.mul(f, s)
        },
        _ => return None,
    })
}

/// Elementwise functions of two arguments.
fn two(name: &str) -> Option<Two> {
    Some(match name {
        "atan2" => |g, a, b| g.binary(Binary::Atan2, a, b),
        "pow" => |g, a, b| g.binary(Binary::Pow, a, b),
        "fmax" => |g, a, b| g.binary(Binary::Max, a, b),
        "fmin" => |g, a, b| g.binary(Binary::Min, a, b),
        "hypot" => |g, a, b| {
            let (a, b) = (g.square(a), g.square(b));
            let s = g.add(a, b);
            g.unary(Unary::Sqrt, s)
        },
        "lbeta" => |g, a, b| {
            let s = g.add(a, b);
            let (la, lb) = (g.unary(Unary::Lgamma, a), g.unary(Unary::Lgamma, b));
            let (top, ls) = (g.add(la, lb), g.unary(Unary::Lgamma, s));
            g.sub(top, ls)
        },
        "lchoose" | "binomial_coefficient_log" => lchoose,
        "choose" => |g, n, k| {
            let l = lchoose(g, n, k);
            let c = g.exp(l);
            g.unary(Unary::Round, c)
        },
        "multiply_log" => |g, a, b| {
            let l = g.log(b);
            let p = g.mul(a, l);
            let zero = g.scalar(0.0);
            let both = g.binary(Binary::Eq, a, zero);
            g.select(both, zero, p)
        },
        "log_sum_exp" => Graph::log_add_exp,
        "log_diff_exp" => |g, a, b| {
            let d = g.sub(b, a);
            let e = g.unary(Unary::Expm1, d);
            let n = g.neg(e);
            let l = g.log(n);
            g.add(a, l)
        },
        _ => return None,
    })
}

impl Lower<'_> {
    /// A built-in function on evaluated arguments.
    pub fn builtin(&mut self, c: &Call, args: &[Val]) -> Res<Val> {
        let name = c.name.name.as_str();
        if let (Some(f), [x]) = (one(name), args) {
            let int = x.int && matches!(name, "abs" | "square" | "step")
                || matches!(name, "floor" | "ceil" | "round" | "trunc" | "step") && x.known().is_some();
            return self.elementwise(c.span, &[x], int, &mut |g, v| f(g, v[0]));
        }
        if let (Some(f), [a, b]) = (two(name), args) {
            let int = matches!(name, "choose" | "fmin" | "fmax") && a.int && b.int;
            return self.elementwise(c.span, &[a, b], int, &mut |g, v| f(g, v[0], v[1]));
        }
        match (name, args) {
            ("pi", []) => Ok(Val::number(std::f64::consts::PI)),
            ("e", []) => Ok(Val::number(std::f64::consts::E)),
            ("sqrt2", []) => Ok(Val::number(std::f64::consts::SQRT_2)),
            ("fma", [x, y, z]) => {
                self.elementwise(c.span, &[x, y, z], false, &mut |g, v| g.ternary(Ternary::Fma, v[0], v[1], v[2]))
            }
            ("log_mix", [p, a, b]) => self.elementwise(c.span, &[p, a, b], false, &mut |g, v| {
                let n = g.neg(v[0]);
                let (lp, lq) = (g.log(v[0]), g.unary(Unary::Log1p, n));
                let (x, y) = (g.add(lp, v[1]), g.add(lq, v[2]));
                g.log_add_exp(x, y)
            }),
            ("sum" | "prod" | "mean" | "sd" | "variance" | "max" | "min" | "log_sum_exp" | "dot_self", [x]) => {
                self.reduction(c, name, x)
            }
            ("max" | "min", [a, b]) => {
                let op = if name == "max" { Binary::Max } else { Binary::Min };
                self.elementwise(c.span, &[a, b], a.int && b.int, &mut |g, v| g.binary(op, v[0], v[1]))
            }
            ("size" | "num_elements" | "rows" | "cols" | "columns", [x]) => self.size(c, name, x),
            _ => self.array_builtin(c, name, args),
        }
    }

    fn size(&self, c: &Call, name: &str, x: &Val) -> Res<Val> {
        let n = match (name, &x.dims[..]) {
            ("num_elements", d) => d.iter().product(),
            ("cols" | "columns", [_, n]) => *n,
            ("size" | "rows", [n, ..]) => *n,
            ("size", []) => 1,
            _ => return Err(Diagnostic::new(c.span, format!("`{name}` of {}", x.type_name()))),
        };
        Ok(Val::integer(n))
    }

    /// Reductions over all elements of an event.
    fn reduction(&mut self, c: &Call, name: &str, x: &Val) -> Res<Val> {
        let n = x.count();
        if n == 0 && !matches!(name, "sum" | "prod" | "dot_self") {
            return Err(Diagnostic::new(c.span, format!("`{name}` of nothing")));
        }
        let name = name.to_string();
        let out = self.structured(c.span, &[x], vec![], &mut |g, v, batch| {
            let rows = batch.unwrap_or(1);
            let shape = batch.map_or(Shape::SCALAR, |m| Shape::new(&[m]));
            reduce(g, &name, v[0], (rows, n, shape))
        })?;
        let int = x.int && matches!(name.as_str(), "sum" | "prod" | "max" | "min");
        Ok(Val { int, ..out })
    }
}
