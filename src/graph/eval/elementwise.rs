//! Reference values of functions of one, two and three numbers.

use super::special;
use crate::graph::op::{Binary, Ternary, Unary};

fn truth(b: bool) -> f64 {
    if b { 1.0 } else { 0.0 }
}

pub(super) fn unary(op: Unary, x: f64) -> f64 {
    match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign if x > 0.0 => 1.0,
        Unary::Sign if x < 0.0 => -1.0,
        Unary::Sign => x,
        Unary::Exp => x.exp(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Log => x.ln(),
        Unary::Log1p => x.ln_1p(),
        Unary::Sqrt => x.sqrt(),
        Unary::Square => x * x,
        Unary::Recip => 1.0 / x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tan => x.tan(),
        Unary::Asin => x.asin(),
        Unary::Acos => x.acos(),
        Unary::Atan => x.atan(),
        Unary::Sinh => x.sinh(),
        Unary::Cosh => x.cosh(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid if x >= 0.0 => 1.0 / (1.0 + (-x).exp()),
        Unary::Sigmoid => x.exp() / (1.0 + x.exp()),
        Unary::Softplus if x > 0.0 => x + (-x).exp().ln_1p(),
        Unary::Softplus => x.exp().ln_1p(),
        Unary::Lgamma => special::lgamma(x),
        Unary::Digamma => special::digamma(x),
        Unary::Trigamma => special::trigamma(x),
        Unary::Tetragamma => special::tetragamma(x),
        Unary::Erf => special::erf(x),
        Unary::Erfc => special::erfc(x),
        Unary::Phi => special::phi(x),
        Unary::LogPhi => special::log_phi(x),
        Unary::InvPhi => special::inv_phi(x),
        Unary::LogBesselI0 => special::log_bessel_i0(x),
        Unary::BesselRatio => special::bessel_ratio(x),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round(),
        Unary::Not => 1.0 - x,
    }
}

pub(super) fn binary(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::MulZero if a == 0.0 => 0.0,
        Binary::MulZero => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
        Binary::Atan2 => a.atan2(b),
        Binary::Lt => truth(a < b),
        Binary::Le => truth(a <= b),
        Binary::Eq => truth(a == b),
        Binary::Ne => truth(a != b),
        Binary::And => truth(a != 0.0 && b != 0.0),
        Binary::Or => truth(a != 0.0 || b != 0.0),
        Binary::Mod => a % b,
        Binary::GammaP => special::gamma_p(a, b),
        Binary::GammaPda => special::gamma_p_da(a, b),
        Binary::LogAddExp if a == b => a + std::f64::consts::LN_2,
        Binary::LogAddExp => a.max(b) + (-(a - b).abs()).exp().ln_1p(),
        Binary::ShareExp if a == b => 0.5,
        Binary::ShareExp => 1.0 / ((b - a).exp() + 1.0),
    }
}

pub(super) fn ternary(op: Ternary, a: f64, b: f64, c: f64) -> f64 {
    match op {
        Ternary::Select if a != 0.0 => b,
        Ternary::Select => c,
        Ternary::Fma => a.mul_add(b, c),
        Ternary::IncBeta => special::inc_beta(a, b, c),
        Ternary::IncBetaDa => special::inc_beta_da(a, b, c),
        Ternary::IncBetaDb => special::inc_beta_db(a, b, c),
    }
}
