//! Matrix products: small ones in registers, large ones by the `gemm` crate, and one per lane.

pub(in super::super) use super::layout::Layout;
use super::logsum::Room;
use super::simd::{Summing, Vector};
use super::{Kernel, Number, Target, param};
use crate::base::simd::Isa;

/// `R` rows by `W` vectors of the result, in registers over the whole inner axis.
#[inline(always)]
unsafe fn block<S: Vector, const R: usize, const W: usize>(
    p: &Layout,
    d: *mut S::Elem,
    l: *const S::Elem,
    r: *const S::Elem,
) {
    // SAFETY: the caller vouches for R rows and W vectors of columns.
    unsafe {
        let mut acc = [[S::all(0.0); W]; R];
        for k in 0..p.k {
            let mut right = [S::all(0.0); W];
            for w in 0..W {
                right[w] = S::load(r.add(k * p.r.0 + w * S::N));
            }
            for i in 0..R {
                let left = S::splat(*l.add(i * p.l.0 + k * p.l.1));
                for w in 0..W {
                    acc[i][w] = left.mul_add(right[w], acc[i][w]);
                }
            }
        }
        for i in 0..R {
            for w in 0..W {
                acc[i][w].store(d.add(i * p.d + w * S::N));
            }
        }
    }
}

/// All rows of `W` vectors of columns; the last six rows begin earlier and repeat rows that are there.
#[inline(always)]
unsafe fn columns<S: Vector, const W: usize>(p: &Layout, d: *mut S::Elem, l: *const S::Elem, r: *const S::Elem) {
    // SAFETY: rows below p.m and W vectors of columns, which the caller vouches for.
    unsafe {
        let mut i = 0;
        // Twelve rows by two vectors leave registers for the operands where there are 32, six where there are 16.
        if S::Half::N > 1 {
            while i + 12 <= p.m {
                block::<S, 12, W>(p, d.add(i * p.d), l.add(i * p.l.0), r);
                i += 12;
            }
        }
        if p.m >= 6 {
            while i < p.m {
                let start = i.min(p.m - 6);
                block::<S, 6, W>(p, d.add(start * p.d), l.add(start * p.l.0), r);
                i += 6;
            }
            return;
        }
        while i + 2 <= p.m {
            block::<S, 2, W>(p, d.add(i * p.d), l.add(i * p.l.0), r);
            i += 2;
        }
        if i < p.m {
            block::<S, 1, W>(p, d.add(i * p.d), l.add(i * p.l.0), r);
        }
    }
}

/// Rows from which copying a piece of the right factor pays: its rows, far apart, share few places of the first cache.
const PACKED: usize = 24;
/// Inner axis up to which a piece is copied, and numbers of two of the longest vectors.
const DEEPEST: usize = 192;
const WIDEST: usize = 32;

/// So many numbers, at places where a vector begins: one that lies in two lines of the cache takes twice as long.
#[repr(align(64))]
struct Line<T>([T; WIDEST]);

/// Copies `W` vectors of columns of the right factor, row behind row. Its columns or its rows are next to one another.
#[inline(always)]
unsafe fn pack<S: Vector, const W: usize>(p: &Layout, to: *mut S::Elem, r: *const S::Elem) {
    let width = W * S::N;
    debug_assert!(p.r.0 == 1 || p.r.1 == 1);
    // SAFETY: k rows of W vectors at both, which the caller vouches for.
    unsafe {
        if p.r.1 == 1 {
            for k in 0..p.k {
                for w in 0..W {
                    S::load(r.add(k * p.r.0 + w * S::N)).store(to.add(k * width + w * S::N));
                }
            }
            return;
        }
        // Rows next to one another: numbers of a column are neighbours.
        let whole = p.k - p.k % S::N;
        for k in (0..whole).step_by(S::N) {
            for w in 0..W {
                S::transpose(to.add(k * width + w * S::N), r.add(k + w * S::N * p.r.1), (p.r.1, width));
            }
        }
        for k in whole..p.k {
            for j in 0..width {
                *to.add(k * width + j) = *r.add(k + j * p.r.1);
            }
        }
    }
}

/// Columns in pieces of two vectors where there are as many, the rest in one: the last piece begins earlier and repeats columns
/// that are there.
#[inline(always)]
unsafe fn pieces<S: Vector>(p: &Layout, d: *mut S::Elem, l: *const S::Elem, r: *const S::Elem) {
    let mut start = 0;
    // SAFETY: the caller vouches for at least one vector of columns, and for an inner axis that fits into the room where the
    // right factor's columns are apart.
    unsafe {
        while start < p.n {
            if p.n - start > S::N && p.n >= 2 * S::N {
                let j = start.min(p.n - 2 * S::N);
                piece::<S, 2>(p, d.add(j), l, r.add(j * p.r.1));
                start += 2 * S::N;
            } else {
                let j = start.min(p.n - S::N);
                piece::<S, 1>(p, d.add(j), l, r.add(j * p.r.1));
                start += S::N;
            }
        }
    }
}

/// `W` vectors of columns.
#[inline(always)]
unsafe fn piece<S: Vector, const W: usize>(p: &Layout, d: *mut S::Elem, l: *const S::Elem, r: *const S::Elem) {
    let width = W * S::N;
    const { assert!(W * S::N <= WIDEST) };
    let mut room = Room::<Line<S::Elem>, DEEPEST>::new();
    // SAFETY: as for `pieces`, of which this is one.
    unsafe {
        if p.r.1 == 1 && (p.m < PACKED || p.k > DEEPEST) {
            columns::<S, W>(p, d, l, r);
            return;
        }
        let mut copy: *const S::Elem = r;
        if p.r != (width, 1) {
            let room = room.at().cast::<S::Elem>();
            pack::<S, W>(p, room, r);
            copy = room;
        }
        // Distances that are known when this is compiled cost no instructions in the inner loop.
        let r = (width, 1);
        match p.l {
            (row, 1) => columns::<S, W>(&Layout { l: (row, 1), r, ..*p }, d, l, copy),
            (1, column) => columns::<S, W>(&Layout { l: (1, column), r, ..*p }, d, l, copy),
            _ => columns::<S, W>(&Layout { r, ..*p }, d, l, copy),
        }
    }
}

kernel! { wide
    /// Products with the right factor's columns next to one another, or its rows where it is to be copied; the layout is
    /// at `c`.
    rows<S>(d, a, b, c, _n) {
        // SAFETY: the layout describes what is valid.
        unsafe {
            let p = Layout::read(c);
            for o in 0..p.outer {
                for i in 0..p.inner {
                    let (d, a, b) = p.at(o, i, (d, a, b));
                    if p.n >= S::N {
                        pieces::<S>(&p, d, a, b);
                    } else if p.n >= S::Half::N {
                        pieces::<S::Half>(&p, d, a, b);
                    } else {
                        pieces::<S::One>(&p, d, a, b);
                    }
                }
            }
        }
    }
}

/// `x . y` over `k` neighbours.
#[inline(always)]
unsafe fn dot<S: Summing>(x: *const S::Elem, y: *const S::Elem, k: usize) -> S::Elem {
    // SAFETY: the caller vouches for k doubles at both.
    unsafe {
        let mut acc = [S::all(0.0); 2];
        let mut i = 0;
        while i + 2 * S::N <= k {
            for w in 0..2 {
                let at = i + w * S::N;
                acc[w] = S::load(x.add(at)).mul_add(S::load(y.add(at)), acc[w]);
            }
            i += 2 * S::N;
        }
        if i + S::N <= k {
            acc[0] = S::load(x.add(i)).mul_add(S::load(y.add(i)), acc[0]);
            i += S::N;
        }
        let mut rest = S::Elem::default();
        while i < k {
            rest += *x.add(i) * *y.add(i);
            i += 1;
        }
        acc[0].add(acc[1]).total() + rest
    }
}

kernel! {
    /// Products of a left factor by rows and a right factor by columns; the layout is at `c`.
    dots<S>(d, a, b, c, _n) {
        // SAFETY: the layout describes what is valid.
        unsafe {
            let p = Layout::read(c);
            for o in 0..p.outer {
                for i in 0..p.inner {
                    let (d, a, b) = p.at(o, i, (d, a, b));
                    for i in 0..p.m {
                        for j in 0..p.n {
                            *d.add(i * p.d + j) = dot::<S>(a.add(i * p.l.0), b.add(j * p.r.1), p.k);
                        }
                    }
                }
            }
        }
    }
}

/// Any distances, one number at a time.
unsafe fn strided<T: Number>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, _: usize) {
    // SAFETY: the layout describes what is valid.
    unsafe {
        let p = Layout::read(c.cast::<T>());
        for (o, i) in (0..p.outer).flat_map(|o| (0..p.inner).map(move |i| (o, i))) {
            let (d, a, b) = p.at(o, i, (d.cast::<T>(), a.cast::<T>(), b.cast::<T>()));
            for i in 0..p.m {
                for j in 0..p.n {
                    let mut s = T::default();
                    for k in 0..p.k {
                        s += *a.add(i * p.l.0 + k * p.l.1) * *b.add(k * p.r.0 + j * p.r.1);
                    }
                    *d.add(i * p.d + j) = s;
                }
            }
        }
    }
}

/// By the `gemm` crate, on this thread.
unsafe fn large<T: Number>(d: *mut f64, a: *const f64, b: *const f64, c: *const f64, _: usize) {
    // SAFETY: the layout describes what is valid, and the result overlaps no factor.
    unsafe {
        let p = Layout::read(c.cast::<T>());
        for (o, i) in (0..p.outer).flat_map(|o| (0..p.inner).map(move |i| (o, i))) {
            let (d, a, b) = p.at(o, i, (d.cast::<T>(), a.cast::<T>(), b.cast::<T>()));
            gemm::gemm(
                p.m,
                p.n,
                p.k,
                d,
                1,
                p.d as isize,
                false,
                a,
                p.l.1 as isize,
                p.l.0 as isize,
                b,
                p.r.1 as isize,
                p.r.0 as isize,
                T::default(),
                T::from_f64(1.0),
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

kernel! {
    /// Products of factors that both have lanes: `count` lanes innermost, distances in elements;
    /// the layout and then `count` are at `c`.
    lanes<S>(d, a, b, c, _n) {
        // SAFETY: the layout describes what is valid.
        unsafe {
            let (p, w) = (Layout::read(c), param(c, 16));
            for o in 0..p.outer {
                let (d, a, b) = (
                    d.add(o * p.by_outer.0 * w),
                    a.add(o * p.by_outer.1 * w),
                    b.add(o * p.by_outer.2 * w),
                );
                for i in 0..p.m {
                    for j in 0..p.n {
                        let mut l = 0;
                        while l < w {
                            let mut acc = [S::all(0.0); 2];
                            for k in 0..p.k {
                                let x = a.add((i * p.l.0 + k * p.l.1) * w + l);
                                let y = b.add((k * p.r.0 + j * p.r.1) * w + l);
                                acc[0] = S::load(x).mul_add(S::load(y), acc[0]);
                                let (x, y) = (x.add(S::N), y.add(S::N));
                                acc[1] = S::load(x).mul_add(S::load(y), acc[1]);
                            }
                            let to = d.add((i * p.d + j) * w + l);
                            acc[0].store(to);
                            acc[1].store(to.add(S::N));
                            l += 2 * S::N;
                        }
                    }
                }
            }
        }
    }
}

/// Doubles of the right factor up to which the rows kernel beats the `gemm` crate.
const UNPACKED: usize = 65_536;

/// The kernel for a layout of plain doubles.
pub(in super::super) fn choose(p: &Layout, target: Target) -> Kernel {
    let flat = p.m < 16 || p.n < 16;
    let deep = p.k > DEEPEST || p.k * p.n > UNPACKED;
    let near = p.r.1 == 1 || (p.r.0 == 1 && p.m >= PACKED);
    if target.isa != Isa::Baseline && !flat && (deep || !near) {
        return if target.single { large::<f32> } else { large::<f64> };
    }
    match (p.l.1, p.r.0, p.r.1) {
        (_, _, 1) if p.n > 1 || p.l.1 != 1 || p.r.0 != 1 => rows(target),
        (_, 1, _) if !flat && !deep && near => rows(target),
        (1, 1, _) => dots(target),
        _ if target.single => strided::<f32>,
        _ => strided::<f64>,
    }
}
