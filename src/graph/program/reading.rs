//! How operations read their operands, what kernels they call, and what people call them.

use super::code::Name;
use super::kernels::arith::{Extent, extent};
use super::kernels::{Kernel, Target, arith, function};
use super::lir::{Map, Op, Square};
use crate::base::simd::Isa;

/// What people call an operation.
pub(super) fn name(op: &Op) -> Name {
    Name::Other(match op {
        Op::Map(map) => return Name::Map(*map),
        Op::Input(_) | Op::Const(_) | Op::Slice(_) | Op::Proj(_) => "view",
        Op::Fill => "fill",
        Op::Gather(_) => "gather",
        Op::Assemble { .. } => "assemble",
        Op::Deposit { add: true, .. } => "scatter-add",
        Op::Deposit { add: false, .. } => "store",
        Op::Sum => "sum",
        Op::Dot => "dot",
        Op::Fold { .. } => "fold",
        Op::CumSum { .. } => "running sum",
        Op::MatMul(_) => "matrix product",
        Op::DataRows { .. } => "data rows",
        Op::DataColumns { .. } => "data columns",
        Op::Square { kind, .. } => match kind {
            Square::Cholesky => "cholesky",
            Square::TriSolve(_) => "triangular solve",
            Square::Solve(_) => "solve",
            Square::LogAbsDet => "log determinant",
        },
        Op::Scan(_) => "loop",
    })
}

/// How an operation reads an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All numbers, one after another.
    Vector,
    /// The same lanes for every element.
    Row,
    /// One number for every element, for all lanes.
    Moving,
    /// One number.
    Fixed,
}

/// How an operation reads all its operands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Operands read as one number at a time.
    pub scalars: arith::Scalars,
    /// Operands that go on from element to element.
    pub moving: arith::Scalars,
    by_rows: bool,
}

impl Reading {
    pub fn add(&mut self, k: usize, kind: Kind) {
        let scalar = matches!(kind, Kind::Moving | Kind::Fixed);
        let moving = matches!(kind, Kind::Moving | Kind::Vector);
        self.scalars |= (scalar as u8) << k;
        self.moving |= (moving as u8) << k;
        self.by_rows |= matches!(kind, Kind::Row | Kind::Moving);
    }

    /// Extent and count of a call on `n` elements of `lanes` numbers.
    pub fn count(&self, n: usize, lanes: usize) -> (Extent, usize) {
        if self.by_rows { (Extent::Rows, arith::rows(n, lanes, self.moving)) } else { (extent(n * lanes), n * lanes) }
    }
}

/// True where a formula has kernels for rows of lanes.
pub(super) fn is_arithmetic(map: Map) -> bool {
    let any = Target { isa: Isa::Baseline, single: false };
    match map {
        Map::Unary(u) => arith::unary(u, any, Extent::Many).is_some(),
        Map::Binary(b) => arith::binary(b, any, Extent::Many, 0).is_some(),
        Map::Ternary(t) => arith::ternary(t, any, Extent::Many, 0).is_some(),
        Map::Joined(_) => true,
    }
}

/// The kernel of an elementwise formula.
pub(super) fn map_kernel(map: Map, target: Target, n: Extent, scalars: arith::Scalars) -> Kernel {
    match map {
        Map::Unary(u) => arith::unary(u, target, n).unwrap_or_else(|| function::unary(u, target, n)),
        Map::Binary(b) => arith::binary(b, target, n, scalars).unwrap_or_else(|| function::binary(b, target, scalars)),
        Map::Ternary(t) => {
            arith::ternary(t, target, n, scalars).unwrap_or_else(|| function::ternary(t, target, scalars))
        }
        Map::Joined(j) => arith::joined(j, target, n, scalars),
    }
}
