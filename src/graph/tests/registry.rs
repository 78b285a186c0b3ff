//! Small graphs for every operation but loops: what each law of derivatives is checked on.

use crate::graph::op::{Binary, Fold, Ternary, Unary};
use crate::graph::{Graph, Index, Shape, Var};

type Build = Box<dyn Fn(&mut Graph, &[Var]) -> Var>;

/// A function of a few arrays, with a point at which it is smooth.
pub struct Case {
    pub name: String,
    pub inputs: Vec<(Shape, Vec<f64>)>,
    pub build: Build,
}

impl Case {
    pub fn new(
        name: impl Into<String>,
        inputs: Vec<(Shape, Vec<f64>)>,
        build: impl Fn(&mut Graph, &[Var]) -> Var + 'static,
    ) -> Case {
        Case { name: name.into(), inputs, build: Box::new(build) }
    }
}

/// `n` well spread numbers in (lo, hi), another sequence for each salt.
pub fn values(n: usize, salt: usize, lo: f64, hi: f64) -> Vec<f64> {
    let at = |k: usize| (0.3 + 0.618_034 * (k as f64 + 1.0) + 0.271 * salt as f64).fract();
    (0..n).map(|k| lo + (hi - lo) * at(k)).collect()
}

/// An input of the given sizes with values in (lo, hi).
pub fn array(dims: &[usize], salt: usize, lo: f64, hi: f64) -> (Shape, Vec<f64>) {
    let shape = Shape::new(dims);
    (shape, values(shape.count(), salt, lo, hi))
}

pub fn cases() -> Vec<Case> {
    let mut all = unary_cases();
    all.extend(binary_cases());
    all.extend(ternary_cases());
    all.extend(move_cases());
    all.extend(fold_cases());
    all.extend(matrix_cases());
    all
}

/// Every function of one number with an interval on which it is smooth.
pub const UNARY: &[(Unary, f64, f64)] = &[
    (Unary::Neg, -2.0, 2.0),
    (Unary::Abs, 0.1, 2.0),
    (Unary::Sign, 0.1, 2.0),
    (Unary::Exp, -2.0, 2.0),
    (Unary::Expm1, -2.0, 2.0),
    (Unary::Log, 0.2, 3.0),
    (Unary::Log1p, -0.7, 3.0),
    (Unary::Sqrt, 0.2, 3.0),
    (Unary::Square, -2.0, 2.0),
    (Unary::Recip, 0.3, 2.0),
    (Unary::Sin, -3.0, 3.0),
    (Unary::Cos, -3.0, 3.0),
    (Unary::Tan, -1.2, 1.2),
    (Unary::Asin, -0.8, 0.8),
    (Unary::Acos, -0.8, 0.8),
    (Unary::Atan, -3.0, 3.0),
    (Unary::Sinh, -2.0, 2.0),
    (Unary::Cosh, -2.0, 2.0),
    (Unary::Tanh, -2.0, 2.0),
    (Unary::Sigmoid, -3.0, 3.0),
    (Unary::Softplus, -3.0, 3.0),
    (Unary::Lgamma, 0.4, 5.0),
    (Unary::Digamma, 0.4, 5.0),
    (Unary::Trigamma, 0.5, 5.0),
    (Unary::Tetragamma, 0.6, 5.0),
    (Unary::Erf, -2.0, 2.0),
    (Unary::Erfc, -2.0, 2.0),
    (Unary::Phi, -2.5, 2.5),
    (Unary::LogPhi, -4.0, 2.0),
    (Unary::InvPhi, 0.1, 0.9),
    (Unary::LogBesselI0, -3.0, 5.0),
    (Unary::BesselRatio, -3.0, 5.0),
    (Unary::Floor, 0.1, 0.9),
    (Unary::Ceil, 0.1, 0.9),
    (Unary::Round, 0.1, 0.4),
    (Unary::Not, 0.1, 0.9),
];

fn unary_cases() -> Vec<Case> {
    UNARY
        .iter()
        .map(|&(op, lo, hi)| {
            let input = vec![array(&[5], 1, lo, hi)];
            Case::new(format!("{op:?}"), input, move |g, x| g.unary(op, x[0]))
        })
        .collect()
}

/// Every function of two numbers with intervals for both.
pub const BINARY: &[(Binary, f64, f64, f64, f64)] = &[
    (Binary::Add, -2.0, 2.0, -2.0, 2.0),
    (Binary::Sub, -2.0, 2.0, -2.0, 2.0),
    (Binary::Mul, -2.0, 2.0, -2.0, 2.0),
    (Binary::MulZero, 0.1, 2.0, -2.0, 2.0),
    (Binary::Div, -2.0, 2.0, 0.4, 2.0),
    (Binary::Pow, 0.4, 2.0, -2.0, 2.0),
    (Binary::Min, -2.0, 2.0, -1.9, 2.1),
    (Binary::Max, -2.0, 2.0, -1.9, 2.1),
    (Binary::Atan2, -2.0, 2.0, 0.4, 2.0),
    (Binary::Lt, -2.0, 2.0, -1.9, 2.1),
    (Binary::Le, -2.0, 2.0, -1.9, 2.1),
    (Binary::Eq, -2.0, 2.0, -1.9, 2.1),
    (Binary::Ne, -2.0, 2.0, -1.9, 2.1),
    (Binary::And, -2.0, 2.0, -1.9, 2.1),
    (Binary::Or, -2.0, 2.0, -1.9, 2.1),
    (Binary::Mod, 2.2, 2.6, 0.91, 0.99),
    (Binary::GammaP, 0.8, 3.0, 0.4, 4.0),
    (Binary::GammaPda, 0.8, 3.0, 0.4, 4.0),
    (Binary::LogAddExp, -2.0, 2.0, -1.9, 2.1),
    (Binary::ShareExp, -2.0, 2.0, -1.9, 2.1),
];

fn binary_cases() -> Vec<Case> {
    let mut all = vec![];
    for &(op, la, ha, lb, hb) in BINARY {
        for (a, b) in [(&[4][..], &[4][..]), (&[], &[4]), (&[4], &[]), (&[], &[])] {
            let inputs = vec![array(a, 1, la, ha), array(b, 2, lb, hb)];
            let name = format!("{op:?} {a:?} {b:?}");
            all.push(Case::new(name, inputs, move |g, x| g.binary(op, x[0], x[1])));
        }
        if op != Binary::Mod {
            let inputs = vec![array(&[4], 1, la.max(lb), ha.min(hb))];
            let name = format!("{op:?} of one");
            all.push(Case::new(name, inputs, move |g, x| g.binary(op, x[0], x[0])));
        }
    }
    all
}

fn ternary_cases() -> Vec<Case> {
    let mut all = vec![];
    let intervals = |op| match op {
        Ternary::Select => [(0.2, 1.0), (-2.0, 2.0), (-2.0, 2.0)],
        Ternary::Fma => [(-2.0, 2.0); 3],
        _ => [(0.8, 3.0), (0.8, 3.0), (0.2, 0.8)],
    };
    for op in [Ternary::Select, Ternary::Fma, Ternary::IncBeta, Ternary::IncBetaDa, Ternary::IncBetaDb] {
        for scalars in 0..8 {
            let inputs: Vec<_> = (0..3)
                .map(|k| {
                    let (lo, hi) = intervals(op)[k];
                    let dims: &[usize] = if scalars >> k & 1 == 1 { &[] } else { &[4] };
                    array(dims, k, lo, hi)
                })
                .collect();
            all.push(Case::new(format!("{op:?} scalars {scalars:03b}"), inputs, move |g, x| {
                // Both branches are taken somewhere.
                let half = g.scalar(0.6);
                let a = if op == Ternary::Select { g.binary(Binary::Lt, x[0], half) } else { x[0] };
                g.ternary(op, a, x[1], x[2])
            }));
        }
    }
    all
}

fn move_cases() -> Vec<Case> {
    let vector = |n| vec![array(&[n], 1, -2.0, 2.0)];
    let gather = |name: &str, n: usize, index: Index| {
        let (name, len) = (format!("gather {name}"), index.len());
        Case::new(name, vec![array(&[n], 1, -2.0, 2.0)], move |g, x| g.gather(x[0], index.clone(), Shape::new(&[len])))
    };
    let stride = |start, stride, len| Index::Stride { start, stride, len };
    let table = |t: &[u32]| Index::Table(t.into());
    vec![
        Case::new("reshape", vec![array(&[2, 3], 1, -2.0, 2.0)], |g, x| g.reshape(x[0], Shape::new(&[3, 2]))),
        gather("slice", 6, stride(2, 1, 3)),
        gather("backwards", 6, stride(5, -2, 3)),
        gather("one element often", 6, stride(2, 0, 4)),
        gather("repeat", 3, Index::Repeat { each: 2, len: 6 }),
        gather("ragged repeat", 3, Index::Repeat { each: 2, len: 5 }),
        gather("part repeat", 5, Index::Repeat { each: 2, len: 6 }),
        gather("tile", 3, Index::Tile { period: 3, len: 9 }),
        gather("ragged tile", 3, Index::Tile { period: 3, len: 8 }),
        gather("table", 5, table(&[3, 3, 0, 4, 3, 1])),
        gather("permutation", 5, table(&[3, 1, 0, 4, 2])),
        gather("part", 5, table(&[3, 1, 0])),
        Case::new("broadcast", vec![array(&[], 1, -2.0, 2.0)], |g, x| g.broadcast(x[0], Shape::new(&[2, 3]))),
        Case::new("slices of one vector", vector(7), |g, x| {
            let part =
                |g: &mut Graph, start, len| g.gather(x[0], Index::Stride { start, stride: 1, len }, Shape::new(&[len]));
            let (a, b, c) = (part(g, 0, 3), part(g, 3, 3), part(g, 2, 3));
            let p = g.mul(a, b);
            let q = g.mul(p, c);
            let last = g.gather(x[0], Index::Stride { start: 6, stride: 1, len: 1 }, Shape::SCALAR);
            g.mul(q, last)
        }),
        Case::new("sum of a gather", vector(4), |g, x| {
            let r = g.gather(x[0], Index::Table([0, 2, 2, 1].into()), Shape::new(&[4]));
            let s = g.fold_all(Fold::Sum, r);
            g.square(s)
        }),
        Case::new("scatter_add", vector(5), |g, x| {
            let index = Index::Table([1, 0, 1, 3, 1].into());
            g.scatter_add(x[0], index, Shape::new(&[4]))
        }),
        Case::new(
            "concat",
            vec![array(&[3], 1, -2.0, 2.0), array(&[], 2, -2.0, 2.0), array(&[2], 3, -2.0, 2.0)],
            |g, x| g.concat(&[x[0], x[1], x[0], x[2]], Shape::new(&[9])),
        ),
        Case::new("stop_gradient", vector(3), |g, x| {
            let s = g.stop_gradient(x[0]);
            let z = g.mul(s, x[0]);
            let d = g.sub(z, z);
            g.add(d, x[0])
        }),
        Case::new("transpose", vec![array(&[2, 3, 2], 1, -2.0, 2.0)], |g, x| g.transpose(x[0])),
    ]
}

fn fold_cases() -> Vec<Case> {
    let mut all = vec![];
    for fold in [Fold::Sum, Fold::Max, Fold::LogSumExp] {
        for axis in 0..3 {
            let input = vec![array(&[2, 3, 4], 1, -2.0, 2.0)];
            let name = format!("{fold:?} of axis {axis}");
            all.push(Case::new(name, input, move |g, x| g.fold(fold, x[0], axis)));
        }
        let input = vec![array(&[5], 1, -2.0, 2.0)];
        let name = format!("{fold:?} of all");
        all.push(Case::new(name, input, move |g, x| g.fold_all(fold, x[0])));
    }
    for reverse in [false, true] {
        let input = vec![array(&[2, 4], 1, -2.0, 2.0)];
        let name = format!("cumsum {reverse}");
        all.push(Case::new(name, input, move |g, x| g.cumsum(x[0], reverse)));
        let input = vec![array(&[4], 1, -2.0, 2.0)];
        let name = format!("sum of cumsum {reverse}");
        all.push(Case::new(name, input, move |g, x| {
            let c = g.cumsum(x[0], reverse);
            g.fold_all(Fold::Sum, c)
        }));
    }
    all
}

/// A positive definite matrix (or a batch) made from any: `A Aᵀ + 2 I`.
pub fn definite(g: &mut Graph, a: Var) -> Var {
    let shape = g.shape(a);
    let n = shape.dims()[shape.rank() - 1];
    let p = g.matmul(a, a, false, true);
    let eye = (0..shape.count()).map(|k| if k / n % n == k % n { 2.0 } else { 0.0 });
    let eye = g.constant(eye.collect::<Vec<_>>(), shape);
    g.add(p, eye)
}

fn matrix_cases() -> Vec<Case> {
    let mut all = vec![];
    for flags in 0..8 {
        let (ta, tb, batch) = (flags & 1 == 1, flags & 2 == 2, flags & 4 == 4);
        let dims = |t: bool, r, c| {
            let (r, c) = if t { (c, r) } else { (r, c) };
            if batch { vec![2, r, c] } else { vec![r, c] }
        };
        let a = array(&dims(ta, 2, 3), 1, -2.0, 2.0);
        let b = array(&dims(tb, 3, 4), 2, -2.0, 2.0);
        let name = format!("matmul {ta} {tb} batch {batch}");
        all.push(Case::new(name, vec![a, b], move |g, x| g.matmul(x[0], x[1], ta, tb)));
    }
    for batch in [&[][..], &[2]] {
        let square = || array(&[batch, &[3, 3]].concat(), 1, -1.0, 1.0);
        let right = || array(&[batch, &[3, 2]].concat(), 2, -2.0, 2.0);
        all.push(Case::new(format!("cholesky {batch:?}"), vec![square()], |g, x| {
            let d = definite(g, x[0]);
            g.cholesky(d)
        }));
        all.push(Case::new(format!("log_abs_det {batch:?}"), vec![square()], |g, x| {
            let d = definite(g, x[0]);
            let d = g.add(d, x[0]);
            g.log_abs_det(d)
        }));
        for t in [false, true] {
            let inputs = vec![square(), right()];
            all.push(Case::new(format!("tri_solve {t} {batch:?}"), inputs, move |g, x| {
                let d = definite(g, x[0]);
                g.tri_solve(d, x[1], t)
            }));
            let inputs = vec![square(), right()];
            all.push(Case::new(format!("solve {t} {batch:?}"), inputs, move |g, x| {
                let d = definite(g, x[0]);
                let d = g.add(d, x[0]);
                g.solve(d, x[1], t)
            }));
        }
    }
    let raw = vec![array(&[3, 3], 1, 0.0, 0.3)];
    all.push(Case::new("cholesky of any matrix", raw, |g, x| {
        let eye = g.constant([2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0], Shape::new(&[3, 3]));
        let a = g.add(x[0], eye);
        g.cholesky(a)
    }));
    all
}
