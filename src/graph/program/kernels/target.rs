//! What kernels are made for: an instruction set and a kind of number.

use crate::base::simd::Isa;

/// What a kernel is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Target {
    pub isa: Isa,
    /// Single precision.
    pub single: bool,
}

impl Target {
    /// Instruction set of the kernels: the baseline where the processor lacks the one asked for.
    pub fn level(self) -> Isa {
        self.isa.supported()
    }

    /// Numbers of a vector that sums are kept in, on every level.
    pub fn vector(self) -> usize {
        if self.single { 8 } else { 4 }
    }

    /// Numbers that take the place of a double.
    pub fn per_double(self) -> usize {
        if self.single { 2 } else { 1 }
    }
}
