//! Graph expressions with operators, so that a density reads like its formula.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::graph::eval::evaluate;
use crate::graph::{Binary, Graph, Shape, Ternary, Unary, Var};

/// A graph lent to expressions.
#[derive(Debug)]
pub(super) struct Sheet(RefCell<Graph>);

/// A node of the lent graph. Operators build nodes; arrays combine with scalars and equal shapes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expr<'s> {
    sheet: &'s Sheet,
    var: Var,
}

/// Builds `f(y, args)` on `g`.
pub(super) fn write(
    g: &mut Graph,
    y: Var,
    args: &[Var],
    f: impl for<'s> FnOnce(Expr<'s>, &[Expr<'s>]) -> Expr<'s>,
) -> Var {
    let sheet = Sheet(RefCell::new(std::mem::take(g)));
    let on = |var| Expr { sheet: &sheet, var };
    let args: Vec<Expr> = args.iter().map(|&a| on(a)).collect();
    let var = f(on(y), &args).var;
    *g = sheet.0.into_inner();
    var
}

impl<'s> Expr<'s> {
    fn with(self, f: impl FnOnce(&mut Graph) -> Var) -> Expr<'s> {
        let var = f(&mut self.sheet.0.borrow_mut());
        Expr { var, ..self }
    }

    /// The number `x` on the same graph.
    pub fn number(self, x: f64) -> Expr<'s> {
        self.with(|g| g.scalar(x))
    }

    fn shape(self) -> Shape {
        self.sheet.0.borrow().shape(self.var)
    }

    /// True for one number that serves the whole batch.
    pub fn is_scalar(self) -> bool {
        self.shape().is_scalar()
    }

    /// True where this is data and every element passes `test`.
    pub fn all_data(self, test: impl Fn(f64) -> bool) -> bool {
        let g = self.sheet.0.borrow();
        g.constant_value(self.var).is_some_and(|c| c.iter().all(|&x| test(x)))
    }

    /// Repeated to the common shape of `self` and `others`.
    pub fn spread_over(self, others: &[Expr<'s>]) -> Expr<'s> {
        let shape = others.iter().map(|o| o.shape()).find(|s| !s.is_scalar()).unwrap_or(Shape::SCALAR);
        if shape.is_scalar() || !self.is_scalar() {
            return self;
        }
        self.with(|g| g.fill_to(self.var, shape))
    }

    /// Elementwise function; data are evaluated here, so that what depends on data alone is a
    /// constant that sums take out.
    pub fn unary(self, op: Unary) -> Expr<'s> {
        self.with(|g| elementwise(g, &[self.var], |g, a| g.unary(op, a[0])))
    }

    /// Elementwise function of two; data are evaluated here.
    pub fn binary(self, op: Binary, b: Expr<'s>) -> Expr<'s> {
        let build = |g: &mut Graph, a: &[Var]| g.binary(op, a[0], a[1]);
        self.with(|g| elementwise(g, &[self.var, b.var], build))
    }

    /// Elementwise function of three.
    pub fn ternary(self, op: Ternary, b: Expr<'s>, c: Expr<'s>) -> Expr<'s> {
        let build = |g: &mut Graph, a: &[Var]| g.ternary(op, a[0], a[1], a[2]);
        self.with(|g| elementwise(g, &[self.var, b.var, c.var], build))
    }

    /// Truth value of `self < b`.
    pub fn lt(self, b: impl Term<'s>) -> Expr<'s> {
        self.binary(Binary::Lt, b.on(self))
    }

    /// Truth value of `self == b`.
    pub fn eq(self, b: impl Term<'s>) -> Expr<'s> {
        self.binary(Binary::Eq, b.on(self))
    }

    /// Larger of the two.
    pub fn max(self, b: impl Term<'s>) -> Expr<'s> {
        self.binary(Binary::Max, b.on(self))
    }

    /// `self != 0 ? a : b`.
    pub fn choose(self, a: impl Term<'s>, b: impl Term<'s>) -> Expr<'s> {
        let (a, b) = (a.on(self), b.on(self));
        self.ternary(Ternary::Select, a, b)
    }

    /// Regularised lower incomplete gamma P(self, x).
    pub fn gamma_p(self, x: Expr<'s>) -> Expr<'s> {
        self.binary(Binary::GammaP, x)
    }

    /// Regularised incomplete beta I_x(self, b).
    pub fn inc_beta(self, b: impl Term<'s>, x: Expr<'s>) -> Expr<'s> {
        self.ternary(Ternary::IncBeta, b.on(self), x)
    }

    /// `(self / scale)^2`. One scale for many values becomes a factor that a sum takes out.
    pub fn square_by(self, scale: Expr<'s>) -> Expr<'s> {
        if scale.is_scalar() && !self.is_scalar() {
            scale.square().recip() * self.square()
        } else {
            (self / scale).square()
        }
    }

    /// log(1 - exp(self)) for `self <= 0`, the branch at -log 2 (Mächler 2012, eq. 7).
    pub fn log1m_exp(self) -> Expr<'s> {
        let near = (-self.expm1()).log();
        let far = (-self.exp()).log1p();
        self.lt(-std::f64::consts::LN_2).choose(far, near)
    }

    /// log B(self, b).
    pub fn lbeta(self, b: Expr<'s>) -> Expr<'s> {
        self.lgamma() + b.lgamma() - (self + b).lgamma()
    }

    /// log of the binomial coefficient `self` over `k`.
    pub fn lchoose(self, k: Expr<'s>) -> Expr<'s> {
        (self + 1.0).lgamma() - (k + 1.0).lgamma() - (self - k + 1.0).lgamma()
    }

    /// log, with a floor far below every log density in place of -inf: 0 times it is 0.
    pub fn floored_log(self) -> Expr<'s> {
        self.log().max(LOG_FLOOR)
    }

    /// `self * log(p)` for counts `self`, 0 where `self` is 0 and p too.
    ///
    /// One log for many counts gets a floor far below every log density in place of -inf: the
    /// product stays a plain one, and a sum takes the log out of its loop.
    pub fn times_log(self, log_p: Expr<'s>) -> Expr<'s> {
        if self.all_data(|y| y == 0.0) {
            self.number(0.0)
        } else if self.all_data(|y| y != 0.0) {
            self * log_p
        } else if log_p.is_scalar() && !self.is_scalar() {
            self * log_p.max(LOG_FLOOR)
        } else {
            self.binary(Binary::MulZero, log_p)
        }
    }
}

/// Elementwise node, or data where the arguments are data.
fn elementwise(g: &mut Graph, args: &[Var], build: impl Fn(&mut Graph, &[Var]) -> Var) -> Var {
    let data: Vec<_> = args.iter().map_while(|&a| g.constant_value(a)).collect();
    if data.len() < args.len() {
        return build(g, args);
    }
    let mut alone = Graph::new();
    let copies: Vec<Var> = args.iter().zip(data).map(|(&a, d)| alone.constant(d.clone(), g.shape(a))).collect();
    let out = build(&mut alone, &copies);
    let value = evaluate(&alone, &[], &[out]).remove(0);
    g.constant(value, alone.shape(out))
}

/// Stands for log 0 in products with a count of 0.
const LOG_FLOOR: f64 = -1e300;

/// What an operator takes on either side: an expression or a number.
pub(super) trait Term<'s>: Copy {
    /// As an expression on the graph of `e`.
    fn on(self, e: Expr<'s>) -> Expr<'s>;
}

impl<'s> Term<'s> for Expr<'s> {
    fn on(self, _: Expr<'s>) -> Expr<'s> {
        self
    }
}

impl<'s> Term<'s> for f64 {
    fn on(self, e: Expr<'s>) -> Expr<'s> {
        e.number(self)
    }
}

macro_rules! operators {
    ($($trait:ident $fn:ident $op:ident;)*) => {$(
        impl<'s, T: Term<'s>> $trait<T> for Expr<'s> {
            type Output = Expr<'s>;
            fn $fn(self, b: T) -> Expr<'s> {
                self.binary(Binary::$op, b.on(self))
            }
        }
        impl<'s> $trait<Expr<'s>> for f64 {
            type Output = Expr<'s>;
            fn $fn(self, b: Expr<'s>) -> Expr<'s> {
                self.on(b).binary(Binary::$op, b)
            }
        }
    )*};
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

impl<'s> Neg for Expr<'s> {
    type Output = Expr<'s>;
    fn neg(self) -> Expr<'s> {
        self.unary(Unary::Neg)
    }
}

macro_rules! functions {
    ($($fn:ident $op:ident;)*) => {
        impl<'s> Expr<'s> {$(
            #[doc = concat!("Elementwise ", stringify!($op), ".")]
            pub fn $fn(self) -> Expr<'s> {
                self.unary(Unary::$op)
            }
        )*}
    };
}

functions! {
    abs Abs;
    sign Sign;
    exp Exp;
    expm1 Expm1;
    log Log;
    log1p Log1p;
    sqrt Sqrt;
    square Square;
    recip Recip;
    cos Cos;
    atan Atan;
    sigmoid Sigmoid;
    softplus Softplus;
    lgamma Lgamma;
    erf Erf;
    log_phi LogPhi;
    log_bessel_i0 LogBesselI0;
}
