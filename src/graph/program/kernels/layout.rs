//! Sizes and distances of matrix products, as parameters of their kernels.

use super::{Number, param};

/// Sizes and distances of a product: `outer x inner` products `d += l r` of `m x k` by `k x n`; row and
/// column distances of each matrix, then what each outer and inner product moves them by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in super::super) struct Layout {
    pub outer: usize,
    pub inner: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Row distance of the result, whose columns are neighbours.
    pub d: usize,
    pub l: (usize, usize),
    pub r: (usize, usize),
    /// Moves by outer product: result, left, right; then by inner product.
    pub by_outer: (usize, usize, usize),
    pub by_inner: (usize, usize, usize),
}

impl Layout {
    /// The numbers in the order in which the kernels read them.
    pub fn params(&self) -> [usize; 16] {
        [
            self.outer,
            self.inner,
            self.m,
            self.n,
            self.k,
            self.d,
            self.l.0,
            self.l.1,
            self.r.0,
            self.r.1,
            self.by_outer.0,
            self.by_outer.1,
            self.by_outer.2,
            self.by_inner.0,
            self.by_inner.1,
            self.by_inner.2,
        ]
    }

    /// # Safety
    /// `c` points to the numbers of [`Layout::params`].
    #[inline(always)]
    pub(super) unsafe fn read<T: Number>(c: *const T) -> Layout {
        // SAFETY: the caller's contract.
        let p = |k: usize| unsafe { param(c, k) };
        Layout {
            outer: p(0),
            inner: p(1),
            m: p(2),
            n: p(3),
            k: p(4),
            d: p(5),
            l: (p(6), p(7)),
            r: (p(8), p(9)),
            by_outer: (p(10), p(11), p(12)),
            by_inner: (p(13), p(14), p(15)),
        }
    }

    /// The three matrices of a product. (Loops over products are written out: a closure that the compiler does not inline
    /// would be compiled without the instruction set of its kernel.)
    ///
    /// # Safety
    /// The layout describes what is valid.
    #[inline(always)]
    pub(super) unsafe fn at<T>(
        &self,
        o: usize,
        i: usize,
        (d, a, b): (*mut T, *const T, *const T),
    ) -> (*mut T, *const T, *const T) {
        // SAFETY: the caller's contract.
        unsafe {
            (
                d.add(o * self.by_outer.0 + i * self.by_inner.0),
                a.add(o * self.by_outer.1 + i * self.by_inner.1),
                b.add(o * self.by_outer.2 + i * self.by_inner.2),
            )
        }
    }
}
