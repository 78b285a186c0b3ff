//! Numbers that carry derivatives, and continued fractions of them.

use std::ops::{Add, Div, Mul};

/// A value with its derivatives with respect to `N` parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dual<const N: usize> {
    pub(super) value: f64,
    pub(super) grad: [f64; N],
}

impl<const N: usize> Dual<N> {
    /// A number that depends on nothing.
    pub(super) fn constant(value: f64) -> Self {
        Self { value, grad: [0.0; N] }
    }

    /// Value `v(value, other.value)` with the partial derivatives `p` and `q`.
    fn chain(self, other: Self, value: f64, p: f64, q: f64) -> Self {
        let mut grad = self.grad;
        for (g, h) in grad.iter_mut().zip(other.grad) {
            *g = p * *g + q * h;
        }
        Self { value, grad }
    }

    /// The same number, or a tiny one where it is zero (Lentz's device).
    fn nonzero(self) -> Self {
        if self.value == 0.0 { Self { value: 1e-300, ..self } } else { self }
    }
}

impl<const N: usize> Add for Dual<N> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.chain(other, self.value + other.value, 1.0, 1.0)
    }
}

impl<const N: usize> Mul for Dual<N> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.chain(other, self.value * other.value, other.value, self.value)
    }
}

impl<const N: usize> Div for Dual<N> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let (value, p) = (self.value / other.value, 1.0 / other.value);
        self.chain(other, value, p, -value * p)
    }
}

/// `b_0 + a_1/(b_1 + a_2/(b_2 + ...))` with `term(k) = (a_k, b_k)`, by Lentz's algorithm as modified by Thompson & Barnett
/// (1986), until neither the value nor a logarithmic derivative changes, `limit` terms at most.
pub(super) fn continued_fraction<const N: usize>(
    b0: Dual<N>,
    limit: usize,
    term: impl Fn(f64) -> (Dual<N>, Dual<N>),
) -> Dual<N> {
    let one = Dual::constant(1.0);
    let mut y = b0.nonzero();
    let (mut c, mut d) = (y, Dual::constant(0.0));
    for k in 1..=limit {
        let (a, b) = term(k as f64);
        d = one / (b + a * d).nonzero();
        c = (b + a / c).nonzero();
        let factor = c * d;
        y = y * factor;
        let steady = |(g, total): (f64, f64)| g.abs() <= 1e-16 * (1.0 + (total / y.value).abs());
        if (factor.value - 1.0).abs() <= 2.3e-16 && factor.grad.into_iter().zip(y.grad).all(steady) {
            break;
        }
    }
    y
}

/// Terms enough for the fractions and series here, whose need grows with the square root of the parameters.
pub(super) fn enough_terms(largest: f64) -> usize {
    500 + (12.0 * largest.max(0.0).sqrt()).min(1e7) as usize
}

/// A probability through the logarithm of itself or of its complement, whichever is computed directly.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probability {
    Log(f64),
    LogComplement(f64),
}

impl Probability {
    pub(super) fn complement(self) -> Self {
        match self {
            Self::Log(l) => Self::LogComplement(l),
            Self::LogComplement(l) => Self::Log(l),
        }
    }

    pub(super) fn value(self) -> f64 {
        match self {
            Self::Log(l) => l.exp(),
            Self::LogComplement(l) => -l.exp_m1(),
        }
    }

    pub(super) fn log(self) -> f64 {
        match self {
            Self::Log(l) => l,
            // Rounding may leave the logarithm of a number just above 1.
            Self::LogComplement(l) => super::logs::log1m_exp(l.min(0.0)),
        }
    }
}
