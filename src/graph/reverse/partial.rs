//! Partial derivatives of the elementwise operations, shared by reverse and forward mode.

use crate::graph::Graph;
use crate::graph::op::{Binary, Node, Op, Ternary, Unary, Var};

/// The derivative of a node in one argument, as an action on a (co)tangent.
pub(in crate::graph) enum Partial {
    /// No dependence.
    Zero,
    /// Product of factors, with a sign; the empty product is the identity.
    Product { negative: bool, factors: Vec<Var> },
    /// Identity where `cond` is nonzero (or is zero, with `holds` false), else 0.
    Where { cond: Var, holds: bool },
    /// Product that is 0 wherever the (co)tangent is 0.
    ZeroOfTangent(Var),
    /// Product that is 0 wherever the factor is 0.
    ZeroOfFactor(Var),
}

const IDENTITY: Partial = Partial::Product { negative: false, factors: Vec::new() };

fn times(factor: Var) -> Partial {
    Partial::Product { negative: false, factors: vec![factor] }
}

fn minus(factors: Vec<Var>) -> Partial {
    Partial::Product { negative: true, factors }
}

/// Whether the derivative in argument `k` can differ from 0.
pub(in crate::graph) fn passes(op: &Op, k: usize) -> bool {
    match op {
        Op::Unary(Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round) => false,
        Op::Binary(Binary::Lt | Binary::Le | Binary::Eq | Binary::Ne | Binary::And | Binary::Or) => false,
        Op::Ternary(Ternary::Select) => k > 0,
        Op::StopGradient => false,
        Op::ScaleGrad => k == 0,
        _ => true,
    }
}

/// The derivative of the elementwise node `y` in its argument `k`.
pub(in crate::graph) fn partial(g: &mut Graph, y: Var, node: &Node, k: usize) -> Partial {
    if !passes(&node.op, k) {
        return Partial::Zero;
    }
    let a = &node.args;
    match node.op {
        Op::Unary(u) => unary(g, u, a[0], y),
        Op::Binary(b) => binary(g, b, (a[0], a[1]), y, k),
        Op::Ternary(t) => ternary(g, t, (a[0], a[1], a[2]), k),
        Op::ScaleGrad => times(a[1]),
        _ => unreachable!("elementwise operations only"),
    }
}

/// `v` times the partial derivative. With `guarded`, a zero of `v` wins over inf and NaN.
pub(in crate::graph) fn apply(g: &mut Graph, v: Var, partial: &Partial, guarded: bool) -> Var {
    match partial {
        Partial::Zero => g.scalar(0.0),
        Partial::Product { negative, factors } => {
            let p = product(g, v, factors, guarded);
            if *negative { g.neg(p) } else { p }
        }
        Partial::Where { cond, holds } => {
            let zero = g.scalar(0.0);
            let (a, b) = if *holds { (v, zero) } else { (zero, v) };
            g.select(*cond, a, b)
        }
        Partial::ZeroOfTangent(f) => mul_zero(g, v, *f),
        Partial::ZeroOfFactor(f) if guarded => {
            let zero = g.scalar(0.0);
            let dead = g.binary(Binary::Eq, v, zero);
            let p = mul_zero(g, *f, v);
            g.select(dead, zero, p)
        }
        Partial::ZeroOfFactor(f) => mul_zero(g, *f, v),
    }
}

fn product(g: &mut Graph, v: Var, factors: &[Var], guarded: bool) -> Var {
    let Some((&first, rest)) = factors.split_first() else {
        return v;
    };
    // A scalar (co)tangent stays outside, so that sums can take it out.
    let scalar_outside = g.shape(v).is_scalar() && factors.iter().any(|f| !g.shape(*f).is_scalar());
    if guarded || scalar_outside {
        let local = rest.iter().fold(first, |p, f| g.mul(p, *f));
        return if guarded { mul_zero(g, v, local) } else { g.mul(v, local) };
    }
    factors.iter().fold(v, |p, f| g.mul(p, *f))
}

/// Product that is 0 wherever `a` is 0; a plain product where that can be seen to be the same.
pub(in crate::graph) fn mul_zero(g: &mut Graph, a: Var, b: Var) -> Var {
    let finite = g.constant_scalar(b).is_some_and(f64::is_finite);
    if finite || g.constant_scalar(a).is_some() {
        return g.mul(a, b);
    }
    g.binary(Binary::MulZero, a, b)
}

fn unary(g: &mut Graph, op: Unary, x: Var, y: Var) -> Partial {
    use std::f64::consts::{FRAC_2_SQRT_PI, PI};
    let factor = match op {
        Unary::Neg | Unary::Not => return minus(vec![]),
        Unary::Abs => g.unary(Unary::Sign, x),
        Unary::Exp => y,
        Unary::Expm1 => g.shift(y, 1.0),
        Unary::Log => g.unary(Unary::Recip, x),
        Unary::Log1p => {
            let d = g.shift(x, 1.0);
            g.unary(Unary::Recip, d)
        }
        Unary::Sqrt => {
            let r = g.unary(Unary::Recip, y);
            g.scale(0.5, r)
        }
        Unary::Square => g.scale(2.0, x),
        Unary::Recip => return minus(vec![g.square(y)]),
        Unary::Sin => g.unary(Unary::Cos, x),
        Unary::Cos => return minus(vec![g.unary(Unary::Sin, x)]),
        Unary::Tan => {
            let s = g.square(y);
            g.shift(s, 1.0)
        }
        Unary::Asin => root_of_complement(g, x),
        Unary::Acos => return minus(vec![root_of_complement(g, x)]),
        Unary::Atan => {
            let s = g.square(x);
            let d = g.shift(s, 1.0);
            g.unary(Unary::Recip, d)
        }
        Unary::Sinh => g.unary(Unary::Cosh, x),
        Unary::Cosh => g.unary(Unary::Sinh, x),
        Unary::Tanh => {
            let s = g.square(y);
            one_minus(g, s)
        }
        Unary::Sigmoid => {
            let q = one_minus(g, y);
            g.mul(y, q)
        }
        Unary::Softplus => g.unary(Unary::Sigmoid, x),
        Unary::Lgamma => g.unary(Unary::Digamma, x),
        Unary::Digamma => g.unary(Unary::Trigamma, x),
        Unary::Trigamma => g.unary(Unary::Tetragamma, x),
        Unary::Tetragamma => difference(g, x, |g, x| g.unary(Unary::Tetragamma, x)),
        Unary::Erf => gaussian(g, x, 1.0, FRAC_2_SQRT_PI),
        Unary::Erfc => return minus(vec![gaussian(g, x, 1.0, FRAC_2_SQRT_PI)]),
        Unary::Phi => gaussian(g, x, 0.5, 1.0 / (2.0 * PI).sqrt()),
        Unary::LogPhi => {
            let s = g.square(x);
            let s = g.scale(-0.5, s);
            let d = g.sub(s, y);
            let d = g.shift(d, -0.5 * (2.0 * PI).ln());
            g.exp(d)
        }
        Unary::InvPhi => gaussian(g, y, -0.5, (2.0 * PI).sqrt()),
        Unary::LogBesselI0 => g.unary(Unary::BesselRatio, x),
        Unary::BesselRatio => bessel_ratio_slope(g, x, y),
        Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round => return Partial::Zero,
    };
    times(factor)
}

fn one_minus(g: &mut Graph, x: Var) -> Var {
    let one = g.scalar(1.0);
    g.sub(one, x)
}

/// 1 / sqrt(1 - x^2)
fn root_of_complement(g: &mut Graph, x: Var) -> Var {
    let s = g.square(x);
    let c = one_minus(g, s);
    let r = g.unary(Unary::Sqrt, c);
    g.unary(Unary::Recip, r)
}

/// scale * exp(-rate x^2)
fn gaussian(g: &mut Graph, x: Var, rate: f64, scale: f64) -> Var {
    let s = g.square(x);
    let s = g.scale(-rate, s);
    let e = g.exp(s);
    g.scale(scale, e)
}

/// With r = I_1(x) / I_0(x): r' = 1 - r / x - r^2, and 1/2 at 0.
fn bessel_ratio_slope(g: &mut Graph, x: Var, r: Var) -> Var {
    let (zero, one, half) = (g.scalar(0.0), g.scalar(1.0), g.scalar(0.5));
    let at_zero = g.binary(Binary::Eq, x, zero);
    let safe = g.select(at_zero, one, x);
    let q = g.div(r, safe);
    let q = g.select(at_zero, half, q);
    let s = g.square(r);
    let rest = g.add(q, s);
    g.sub(one, rest)
}

/// Derivative of `f` at `x` by the central difference of fourth order, for the few functions whose
/// derivative is no operation (second derivatives in shape parameters): relative error about 1e-10.
/// The step follows the scale on which functions of a gamma or beta shape vary.
fn difference(g: &mut Graph, x: Var, f: impl Fn(&mut Graph, Var) -> Var) -> Var {
    let size = g.unary(Unary::Abs, x);
    let root = g.unary(Unary::Sqrt, size);
    let spread = g.shift(root, 1.0);
    let h = g.div(size, spread);
    let h = g.scale(1.0 / 256.0, h);
    let h = g.stop_gradient(h);
    let mut slope = |k: f64| {
        let step = g.scale(k, h);
        let (up, down) = (g.add(x, step), g.sub(x, step));
        let (up, down) = (f(g, up), f(g, down));
        g.sub(up, down)
    };
    let (near, far) = (slope(1.0), slope(2.0));
    let near = g.scale(8.0, near);
    let d = g.sub(near, far);
    let width = g.scale(12.0, h);
    g.div(d, width)
}

fn binary(g: &mut Graph, op: Binary, (a, b): (Var, Var), y: Var, k: usize) -> Partial {
    let other = if k == 0 { b } else { a };
    match op {
        Binary::Add => IDENTITY,
        Binary::Sub if k == 0 => IDENTITY,
        Binary::Sub => minus(vec![]),
        Binary::Mul => times(other),
        Binary::MulZero if k == 0 => Partial::ZeroOfTangent(b),
        Binary::MulZero => Partial::ZeroOfFactor(a),
        Binary::Div => {
            let r = g.unary(Unary::Recip, b);
            if k == 0 { times(r) } else { minus(vec![r, y]) }
        }
        Binary::Pow if k == 0 => {
            let less = g.shift(b, -1.0);
            let p = g.binary(Binary::Pow, a, less);
            times(g.mul(b, p))
        }
        // 0^b stays 0: the logarithm does not count there.
        Binary::Pow => {
            let l = g.log(a);
            times(mul_zero(g, y, l))
        }
        Binary::Min => Partial::Where { cond: g.binary(Binary::Le, a, b), holds: k == 0 },
        Binary::Max => Partial::Where { cond: g.binary(Binary::Le, b, a), holds: k == 0 },
        Binary::Atan2 => {
            let (sa, sb) = (g.square(a), g.square(b));
            let r2 = g.add(sa, sb);
            let d = g.div(other, r2);
            if k == 0 { times(d) } else { minus(vec![d]) }
        }
        // a - b trunc(a / b)
        Binary::Mod if k == 0 => IDENTITY,
        Binary::Mod => {
            let whole = g.sub(a, y);
            let q = g.div(whole, b);
            minus(vec![g.unary(Unary::Round, q)])
        }
        Binary::GammaP if k == 0 => times(g.binary(Binary::GammaPda, a, b)),
        Binary::GammaP => times(gamma_density(g, a, b)),
        Binary::GammaPda if k == 0 => times(difference(g, a, |g, a| g.binary(Binary::GammaPda, a, b))),
        Binary::GammaPda => {
            let (l, psi) = (g.log(b), g.unary(Unary::Digamma, a));
            let score = g.sub(l, psi);
            times(mul_density(g, (a, b), score))
        }
        Binary::LogAddExp if k == 0 => times(g.binary(Binary::ShareExp, a, b)),
        Binary::LogAddExp => times(g.binary(Binary::ShareExp, b, a)),
        Binary::ShareExp => {
            let factors = vec![y, g.binary(Binary::ShareExp, b, a)];
            if k == 0 { Partial::Product { negative: false, factors } } else { minus(factors) }
        }
        Binary::Lt | Binary::Le | Binary::Eq | Binary::Ne | Binary::And | Binary::Or => Partial::Zero,
    }
}

/// Gamma(a, 1) density at x.
fn gamma_density(g: &mut Graph, a: Var, x: Var) -> Var {
    let (less, l) = (g.shift(a, -1.0), g.log(x));
    let power = mul_zero(g, less, l);
    let norm = g.unary(Unary::Lgamma, a);
    let rest = g.add(x, norm);
    let log = g.sub(power, rest);
    g.exp(log)
}

fn mul_density(g: &mut Graph, (a, x): (Var, Var), score: Var) -> Var {
    let d = gamma_density(g, a, x);
    g.mul(d, score)
}

fn ternary(g: &mut Graph, op: Ternary, (a, b, c): (Var, Var, Var), k: usize) -> Partial {
    match (op, k) {
        (Ternary::Select, _) => Partial::Where { cond: a, holds: k == 1 },
        (Ternary::Fma, 0) => times(b),
        (Ternary::Fma, 1) => times(a),
        (Ternary::Fma, _) => IDENTITY,
        (Ternary::IncBeta, 0) => times(g.ternary(Ternary::IncBetaDa, a, b, c)),
        (Ternary::IncBeta, 1) => times(g.ternary(Ternary::IncBetaDb, a, b, c)),
        (Ternary::IncBeta, _) => times(beta_density(g, a, b, c)),
        (Ternary::IncBetaDa | Ternary::IncBetaDb, 0) => times(difference(g, a, |g, a| g.ternary(op, a, b, c))),
        (Ternary::IncBetaDa | Ternary::IncBetaDb, 1) => times(difference(g, b, |g, b| g.ternary(op, a, b, c))),
        (Ternary::IncBetaDa, _) => {
            let l = g.log(c);
            times(beta_score(g, (a, b, c), a, l))
        }
        (Ternary::IncBetaDb, _) => {
            let l = log_complement(g, c);
            times(beta_score(g, (a, b, c), b, l))
        }
    }
}

fn log_complement(g: &mut Graph, x: Var) -> Var {
    let n = g.neg(x);
    g.unary(Unary::Log1p, n)
}

/// Beta(a, b) density at x.
fn beta_density(g: &mut Graph, a: Var, b: Var, x: Var) -> Var {
    let (la, lb) = (g.unary(Unary::Lgamma, a), g.unary(Unary::Lgamma, b));
    let total = g.add(a, b);
    let lt = g.unary(Unary::Lgamma, total);
    let (pa, pb) = (g.shift(a, -1.0), g.shift(b, -1.0));
    let (l, lc) = (g.log(x), log_complement(g, x));
    let (pa, pb) = (mul_zero(g, pa, l), mul_zero(g, pb, lc));
    let powers = g.add(pa, pb);
    let norm = g.add(la, lb);
    let norm = g.sub(norm, lt);
    let log = g.sub(powers, norm);
    g.exp(log)
}

/// Density times the derivative of its log in the shape `of`, `log` being that shape's statistic.
fn beta_score(g: &mut Graph, (a, b, x): (Var, Var, Var), of: Var, log: Var) -> Var {
    let total = g.add(a, b);
    let (psi, psi_total) = (g.unary(Unary::Digamma, of), g.unary(Unary::Digamma, total));
    let s = g.sub(log, psi);
    let s = g.add(s, psi_total);
    let d = beta_density(g, a, b, x);
    g.mul(d, s)
}
