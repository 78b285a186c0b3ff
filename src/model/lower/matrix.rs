//! Built-in functions that build, move, multiply and factor arrays.

use super::reduce::sum_rows;
use super::{Lower, Res};
use crate::dsl::ast::Call;
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;
use crate::graph::{Fold, Graph, Index, Shape, Unary, Var};
use crate::model::level::ROOT;
use crate::model::value::Val;

/// Shape `[batch?, dims…]`.
fn batched(batch: Option<usize>, dims: &[usize]) -> Shape {
    match batch {
        Some(m) => Shape::new(&[&[m], dims].concat()),
        None => Shape::new(dims),
    }
}

impl Lower<'_> {
    /// `*`: scalar with anything, matrix × matrix, matrix × vector.
    pub fn product(&mut self, span: Span, a: &Val, b: &Val) -> Res<Val> {
        match (&a.dims[..], &b.dims[..]) {
            ([], _) | (_, []) => self.elementwise(span, &[a, b], a.int && b.int, &mut |g, v| g.mul(v[0], v[1])),
            ([m, k], [l]) if k == l => self.mat_vec(span, a, b, *m, *k),
            ([m, k], [l, n]) if k == l => {
                let dims = vec![*m, *n];
                self.structured(span, &[a, b], dims, &mut |g, v, _| g.matmul(v[0], v[1], false, false))
            }
            ([_], [_]) => Err(Diagnostic::new(span, "`*` of two vectors is ambiguous")
                .help("write `.*` for the elementwise product, `dot(a, b)` for the inner product")),
            (x, y) => Err(Diagnostic::new(span, format!("`*` of shapes {x:?} and {y:?}"))
                .label("a matrix product needs equal inner sizes")
                .help("write `.*` for the elementwise product")),
        }
    }

    fn mat_vec(&mut self, span: Span, a: &Val, x: &Val, m: usize, k: usize) -> Res<Val> {
        // One matrix for all rows: [rows, k] times its transpose is a single product.
        if a.level == ROOT && x.level != ROOT && (a.known().is_none() || x.known().is_none()) {
            let rows = self.levels.len(x.level);
            let matrix = self.node_or_step(a);
            if let Some(matrix) = matrix {
                let flat = self.node(x);
                let out = self.g.matmul(flat, matrix, false, true);
                let shape = self.shape(x.level, &[m]);
                debug_assert_eq!(shape.count(), rows * m);
                let home = super::super::value::Home::Var(self.g.reshape(out, shape));
                return Ok(Val { home, dims: vec![m], level: x.level, int: false });
            }
        }
        self.structured(span, &[a, x], vec![m], &mut |g, v, batch| {
            let column = g.reshape(v[1], batched(batch, &[k, 1]));
            let y = g.matmul(v[0], column, false, false);
            g.reshape(y, batched(batch, &[m]))
        })
    }

    /// The node of a root value in the model's graph, outside loops' bodies.
    fn node_or_step(&mut self, v: &Val) -> Option<Var> {
        (self.step.is_none()).then(|| self.node(v))
    }

    /// Functions of whole arrays.
    pub fn array_builtin(&mut self, c: &Call, name: &str, args: &[Val]) -> Res<Val> {
        let span = c.span;
        let shape_error = || {
            let found: Vec<String> = args.iter().map(|a| a.type_name()).collect();
            Diagnostic::new(span, format!("`{name}` does not take ({})", found.join(", ")))
                .help("docs/language.md lists what it takes")
        };
        match (name, args) {
            ("rep_vector", [x, _]) if x.is_scalar() => self.repeat(c, args, 1),
            ("rep_matrix", [x, _, _]) if x.is_scalar() => self.repeat(c, args, 2),
            ("rep_array", [_, ..]) if args.len() > 1 => self.repeat(c, args, args.len() - 1),
            ("identity_matrix", [_]) => {
                let n = self.int_arg(c, args, 0)?;
                self.room(span, ROOT, &[n, n])?;
                let data: Vec<f64> = (0..n * n).map(|j| (j % (n + 1) == 0) as u8 as f64).collect();
                Ok(Val::constant(data, vec![n, n]))
            }
            ("linspaced", [_, _, _]) => self.linspaced(c, args),
            ("to_vector", [x]) => self.reshaped(x, vec![x.count()]),
            ("reshape", [x, ..]) => {
                let dims = (1..args.len()).map(|k| self.int_arg(c, args, k)).collect::<Res<Vec<_>>>()?;
                if dims.len() > 4 || dims.iter().fold(1usize, |n, d| n.saturating_mul(*d)) != x.count() {
                    return Err(shape_error());
                }
                self.reshaped(x, dims)
            }
            ("dot" | "dot_product", [a, b]) if a.dims == b.dims => self.inner(span, a, b),
            ("squared_distance" | "distance", [a, b]) if a.dims == b.dims => {
                let d = self.elementwise(span, &[a, b], false, &mut |g, v| g.sub(v[0], v[1]))?;
                let s = self.inner(span, &d, &d)?;
                if name == "distance" {
                    return self.elementwise(span, &[&s], false, &mut |g, v| g.unary(Unary::Sqrt, v[0]));
                }
                Ok(s)
            }
            ("outer", [a, b]) if a.dims.len() == 1 && b.dims.len() == 1 => {
                let (m, n) = (a.dims[0], b.dims[0]);
                self.structured(span, &[a, b], vec![m, n], &mut |g, v, batch| {
                    let (x, y) = (g.reshape(v[0], batched(batch, &[m, 1])), g.reshape(v[1], batched(batch, &[1, n])));
                    g.matmul(x, y, false, false)
                })
            }
            ("append", [a, b]) => self.append(span, a, b),
            ("head", [x, _]) | ("tail", [x, _]) | ("reverse", [x]) if !x.is_scalar() => self.slice_of(c, name, args),
            ("transpose", [x]) if x.dims.len() == 2 => {
                let dims = vec![x.dims[1], x.dims[0]];
                self.structured(span, &[x], dims, &mut |g, v, _| g.transpose(v[0]))
            }
            ("cumulative_sum", [x]) if x.dims.len() == 1 => {
                self.structured(span, &[x], x.dims.clone(), &mut |g, v, _| g.cumsum(v[0], false))
            }
            ("softmax" | "log_softmax", [x]) if x.dims.len() == 1 => self.softmax(span, name == "softmax", x),
            _ => self.matrix_builtin(c, name, args)?.ok_or_else(shape_error),
        }
    }

    fn matrix_builtin(&mut self, c: &Call, name: &str, args: &[Val]) -> Res<Option<Val>> {
        let span = c.span;
        let square = |v: &Val| v.dims.len() == 2 && v.dims[0] == v.dims[1];
        let matrix = |v: &Val| v.dims.len() == 2;
        Ok(Some(match (name, args) {
            ("diagonal", [a]) if square(a) => {
                self.structured(span, &[a], vec![a.dims[0]], &mut |g, v, _| g.diagonal(v[0]))?
            }
            ("trace", [a]) if square(a) => {
                let n = a.dims[0];
                self.structured(span, &[a], vec![], &mut |g, v, batch| {
                    let d = g.diagonal(v[0]);
                    sum_rows(g, d, (batch.unwrap_or(1), n, batched(batch, &[])))
                })?
            }
            ("diag_matrix", [x]) if x.dims.len() == 1 => {
                let n = x.dims[0];
                self.structured(span, &[x], vec![n, n], &mut |g, v, batch| diag(g, v[0], batch, n))?
            }
            ("add_diag", [a, x]) if square(a) && (x.is_scalar() || x.dims == a.dims[..1]) => {
                let n = a.dims[0];
                let x = self.broadcast_event(x, &[n]);
                self.structured(span, &[a, &x], vec![n, n], &mut |g, v, batch| {
                    let d = diag(g, v[1], batch, n);
                    g.add(v[0], d)
                })?
            }
            ("diag_pre_multiply", [x, a]) if matrix(a) && x.dims == a.dims[..1] => {
                let dims = a.dims.clone();
                self.structured(span, &[x, a], dims, &mut |g, v, _| {
                    let full = g.shape(v[1]);
                    let x = g.broadcast_trailing(v[0], full);
                    g.mul(x, v[1])
                })?
            }
            ("diag_post_multiply", [a, x]) if matrix(a) && x.dims == a.dims[1..] => {
                let (dims, m, n) = (a.dims.clone(), a.dims[0], a.dims[1]);
                self.structured(span, &[a, x], dims, &mut |g, v, batch| {
                    let len = batch.unwrap_or(1) * m * n;
                    let full = g.shape(v[0]);
                    let table = (0..len).map(|j| ((j / (m * n)) * n + j % n) as u32).collect();
                    let x = g.gather(v[1], Index::from_table(table), full);
                    g.mul(v[0], x)
                })?
            }
            ("crossprod" | "tcrossprod", [a]) if matrix(a) => {
                let t = name == "tcrossprod";
                let n = if t { a.dims[0] } else { a.dims[1] };
                self.structured(span, &[a], vec![n, n], &mut |g, v, _| g.matmul(v[0], v[0], !t, t))?
            }
            ("multiply_lower_tri_self_transpose", [a]) if square(a) => {
                self.structured(span, &[a], a.dims.clone(), &mut |g, v, _| g.matmul(v[0], v[0], false, true))?
            }
            ("quad_form", [a, x]) if square(a) && x.dims == a.dims[..1] => {
                let y = self.product(span, a, x)?;
                self.inner(span, x, &y)?
            }
            ("cholesky_decompose", [a]) if square(a) => {
                self.structured(span, &[a], a.dims.clone(), &mut |g, v, _| g.cholesky(v[0]))?
            }
            ("log_determinant", [a]) if square(a) => {
                self.structured(span, &[a], vec![], &mut |g, v, _| g.log_abs_det(v[0]))?
            }
            ("determinant", [a]) if square(a) => self.structured(span, &[a], vec![], &mut |g, v, _| {
                let l = g.log_abs_det(v[0]);
                g.exp(l)
            })?,
            ("inverse" | "inverse_spd", [a]) if square(a) => {
                let n = a.dims[0];
                self.structured(span, &[a], vec![n, n], &mut |g, v, batch| {
                    let rows = batch.unwrap_or(1);
                    let eye: Vec<f64> = (0..rows * n * n).map(|j| (j % (n * n) % (n + 1) == 0) as u8 as f64).collect();
                    let eye = g.constant(eye, batched(batch, &[n, n]));
                    g.solve(v[0], eye, false)
                })?
            }
            ("mdivide_left" | "mdivide_left_spd" | "mdivide_left_tri_low", [a, b])
                if square(a) && b.dims.first() == a.dims.first() =>
            {
                self.left_divide(span, name == "mdivide_left_tri_low", a, b)?
            }
            ("gp_exp_quad_cov", [x, alpha, rho]) if x.dims.len() == 1 && alpha.is_scalar() && rho.is_scalar() => {
                self.exp_quad(span, x, alpha, rho)?
            }
            _ => return Ok(None),
        }))
    }

    fn left_divide(&mut self, span: Span, triangular: bool, a: &Val, b: &Val) -> Res<Val> {
        let (n, m) = (a.dims[0], b.dims.get(1).copied().unwrap_or(1));
        let dims = b.dims.clone();
        self.structured(span, &[a, b], dims.clone(), &mut |g, v, batch| {
            let rhs = g.reshape(v[1], batched(batch, &[n, m]));
            let x = if triangular { g.tri_solve(v[0], rhs, false) } else { g.solve(v[0], rhs, false) };
            g.reshape(x, batched(batch, &dims))
        })
    }

    /// Squared exponential kernel alpha² exp(-(x_i - x_j)² / (2 rho²)).
    fn exp_quad(&mut self, span: Span, x: &Val, alpha: &Val, rho: &Val) -> Res<Val> {
        let n = x.dims[0];
        let distance = self.structured(span, &[x], vec![n, n], &mut |g, v, batch| {
            let full = batched(batch, &[n, n]);
            let row = g.broadcast_trailing(v[0], full);
            let col = g.transpose(row);
            let d = g.sub(row, col);
            g.square(d)
        })?;
        self.elementwise(span, &[&distance, alpha, rho], false, &mut |g, v| {
            let r = g.square(v[2]);
            let h = g.scale(-2.0, r);
            let i = g.unary(Unary::Recip, h);
            let e = g.mul(v[0], i);
            let e = g.exp(e);
            let s = g.square(v[1]);
            g.mul(s, e)
        })
    }

    /// Sum of products over the event.
    pub fn inner(&mut self, span: Span, a: &Val, b: &Val) -> Res<Val> {
        let n = a.count();
        self.structured(span, &[a, b], vec![], &mut |g, v, batch| {
            let p = g.mul(v[0], v[1]);
            sum_rows(g, p, (batch.unwrap_or(1), n, batched(batch, &[])))
        })
    }

    fn broadcast_event(&mut self, v: &Val, dims: &[usize]) -> Val {
        let level = v.level;
        self.lift(v, level, dims)
    }

    fn reshaped(&mut self, x: &Val, dims: Vec<usize>) -> Res<Val> {
        let len = self.levels.len(x.level) * x.count();
        let same = Index::Stride { start: 0, stride: 1, len };
        Ok(self.gathered(x, &same, x.level, dims))
    }

    fn repeat(&mut self, c: &Call, args: &[Val], axes: usize) -> Res<Val> {
        let x = &args[0];
        let mut dims = (1..=axes).map(|k| self.int_arg(c, args, k)).collect::<Res<Vec<_>>>()?;
        dims.extend_from_slice(&x.dims);
        self.room(c.span, x.level, &dims)?;
        let times: usize = dims[..axes].iter().product();
        let count = x.count();
        let len = self.levels.len(x.level) * times * count;
        let table = (0..len).map(|j| {
            let (row, e) = (j / (times * count), j % count);
            (row * count + e) as u32
        });
        Ok(self.gathered(x, &Index::from_table(table.collect()), x.level, dims))
    }

    fn linspaced(&mut self, c: &Call, args: &[Val]) -> Res<Val> {
        let n = self.int_arg(c, args, 0)?;
        self.room(c.span, ROOT, &[n])?;
        let steps: Vec<f64> = (0..n).map(|k| k as f64 / (n.max(2) - 1) as f64).collect();
        let t = Val::constant(steps, vec![n]);
        self.elementwise(c.span, &[&args[1], &args[2], &t], false, &mut |g, v| {
            let d = g.sub(v[1], v[0]);
            let s = g.mul(d, v[2]);
            g.add(v[0], s)
        })
    }

    fn append(&mut self, span: Span, a: &Val, b: &Val) -> Res<Val> {
        let as_list = |v: &Val| if v.is_scalar() { vec![1] } else { v.dims.clone() };
        let (da, db) = (as_list(a), as_list(b));
        if da[1..] != db[1..] {
            return Err(Diagnostic::new(span, format!("`append` of shapes {da:?} and {db:?}")));
        }
        let (ca, cb) = (a.count(), b.count());
        let dims = [&[da[0] + db[0]], &da[1..]].concat();
        let out = self.structured(span, &[a, b], dims.clone(), &mut |g, v, batch| {
            let m = batch.unwrap_or(1);
            let full = batched(batch, &dims);
            let flat = g.concat(v, Shape::new(&[m * (ca + cb)]));
            let table = (0..m * (ca + cb)).map(|j| {
                let (r, e) = (j / (ca + cb), j % (ca + cb));
                (if e < ca { r * ca + e } else { m * ca + r * cb + e - ca }) as u32
            });
            g.gather(flat, Index::from_table(table.collect()), full)
        })?;
        Ok(Val { int: a.int && b.int, ..out })
    }

    fn slice_of(&mut self, c: &Call, name: &str, args: &[Val]) -> Res<Val> {
        let x = &args[0];
        let (n, inner) = (x.dims[0], x.dims[1..].iter().product::<usize>());
        let k = if name == "reverse" { n } else { self.int_arg(c, args, 1)? };
        if k > n {
            return Err(Diagnostic::new(c.span, format!("`{name}` of {k} elements from {n}")));
        }
        let source = |i: usize| match name {
            "head" => i,
            "tail" => n - k + i,
            _ => n - 1 - i,
        };
        let rows = self.levels.len(x.level);
        let table = (0..rows * k * inner).map(|j| {
            let (e, rest) = (j % inner, j / inner);
            ((rest / k * n + source(rest % k)) * inner + e) as u32
        });
        let dims = [&[k], &x.dims[1..]].concat();
        Ok(self.gathered(x, &Index::from_table(table.collect()), x.level, dims))
    }

    fn softmax(&mut self, span: Span, exponentiate: bool, x: &Val) -> Res<Val> {
        let n = x.count();
        self.structured(span, &[x], x.dims.clone(), &mut |g, v, batch| {
            let full = g.shape(v[0]);
            let l = g.fold_counts(Fold::LogSumExp, v[0], (batch.unwrap_or(1), n, 1), batched(batch, &[]));
            let l = if batch.is_some() { g.broadcast_trailing(l, full) } else { l };
            let d = g.sub(v[0], l);
            if exponentiate { g.exp(d) } else { d }
        })
    }
}

fn diag(g: &mut Graph, x: Var, batch: Option<usize>, n: usize) -> Var {
    let rows = batch.unwrap_or(1);
    let table = (0..rows * n).map(|j| (j / n * n * n + (j % n) * (n + 1)) as u32);
    g.scatter_add(x, Index::from_table(table.collect()), batched(batch, &[n, n]))
}
