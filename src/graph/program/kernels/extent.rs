//! What a kernel call covers, and the names of joined operations.

/// Which operands are scalars, as a bit set: 1 for the first, 2 for the second, 4 for the third.
pub(in super::super) type Scalars = u8;

/// What a kernel's count says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Extent {
    /// One double.
    One,
    /// That many doubles; scalar operands have one.
    Many,
    /// Rows of lanes, packed by [`rows`].
    Rows,
}

/// The extent of `n` doubles.
pub(in super::super) fn extent(n: usize) -> Extent {
    if n == 1 { Extent::One } else { Extent::Many }
}

/// Most rows of one call.
pub(in super::super) const MOST_ROWS: usize = 0xffff;

/// The count of a call on `n` rows of `lanes` doubles. An operand whose bit is set in `moving` goes on by a
/// row (or, a scalar, by one double) from row to row; another one is the same for all rows.
pub(in super::super) fn rows(n: usize, lanes: usize, moving: Scalars) -> usize {
    debug_assert!(n <= MOST_ROWS && lanes.is_multiple_of(8));
    n | (lanes / 8) << 16 | (moving as usize) << 20
}

/// Two operations in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Joined {
    /// a * b + c
    MulAdd,
    /// a * b - c
    MulSub,
    /// c - a * b
    NegMulAdd,
    /// a * a + c; here and in all squares of one operand the second is not read.
    SquareAdd,
    /// (a + b) + c
    AddAdd,
    /// (a + b) - c
    AddSub,
    /// (a - b) + c
    SubAdd,
    /// (a - b) - c
    SubSub,
    /// c - (a + b)
    LessAdd,
    /// c - (a - b)
    LessSub,
    /// (a + b) * c
    AddMul,
    /// (a - b) * c
    SubMul,
    /// (a * b) * c
    MulMul,
    /// (a * a) * c
    SquareMul,
    /// (a - b) * (a - b); the third operand is not read.
    SubSquare,
    /// (a * b) * (a * b); the third operand is not read.
    MulSquare,
    /// -|a - b|, and 0 where both are the same infinity; the third operand is not read.
    LessDistance,
    /// max(a, b) + c
    MaxAdd,
    /// 1 - c where a is at least b, else c; for c between 0 and 1.
    LargerOf,
}
