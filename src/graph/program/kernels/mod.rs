//! Kernels: what a program runs, one signature for all, compiled for each instruction set.

#[macro_use]
mod macros;
pub(super) mod arith;
pub(super) mod dataset;
#[cfg(target_arch = "x86_64")]
mod elementary;
mod extent;
pub(super) mod fold;
mod formula;
pub(super) mod function;
mod layout;
mod logsum;
mod lu;
pub(super) mod matmul;
pub(super) mod moves;
pub(super) mod recur;
pub(super) mod rows;
mod simd;
mod single;
pub(super) mod square;
mod target;
mod triangular;

pub(super) use target::Target;

use super::number::Number;

/// A kernel: result, three operands, and a count whose meaning is the kernel's (mostly numbers). Operands are
/// handed over as pointers to doubles whatever the numbers are; kernels of single precision know better.
/// Operands that a kernel does not have are not read. The result may be one of the operands for
/// elementwise kernels only.
///
/// # Safety
/// What the kernel reads and writes by its own documentation is valid, and the processor has the
/// instruction set it was chosen for.
pub(super) type Kernel = unsafe fn(*mut f64, *const f64, *const f64, *const f64, usize);

/// The k-th parameter at `c`, stored as the bits of a number.
///
/// # Safety
/// `c` holds more than `k` parameters.
#[inline(always)]
unsafe fn param<T: Number>(c: *const T, k: usize) -> usize {
    // SAFETY: the caller's contract.
    unsafe { (*c.add(k)).param() }
}

#[cfg(any(test, target_arch = "x86_64"))]
use arith::Extent;
#[cfg(test)]
mod tests;
