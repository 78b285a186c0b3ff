//! Products of tiles of a data matrix, stored column by column, with vectors.

use super::arith::unpack;
use super::param;
use super::simd::{Pair, Vector};

/// The vector `k` numbers behind `x`; where the data is narrow, the numbers there are of single precision.
#[inline(always)]
unsafe fn data<S: Vector, const NARROW: bool>(x: *const S::Elem, k: usize) -> S {
    // SAFETY: the caller vouches for a vector of such numbers.
    unsafe { if NARROW { S::load_narrow(x.cast::<f32>().add(k)) } else { S::load(x.add(k)) } }
}

/// The pair of vectors there, likewise.
#[inline(always)]
unsafe fn data_pair<S: Pair, const NARROW: bool>(x: *const S::Elem, k: usize) -> S {
    // SAFETY: the caller vouches for two vectors of such numbers.
    unsafe { if NARROW { S::load_narrow(x.cast::<f32>().add(k)) } else { S::load(x.add(k)) } }
}

/// `n` rows of `x b` in `W` vectors, the last of which ends with row n and may repeat rows of the one before.
#[inline(always)]
unsafe fn product<S: Vector, const W: usize, const NARROW: bool>(
    d: *mut S::Elem,
    x: *const S::Elem,
    b: *const S::Elem,
    (columns, e): (usize, usize),
    n: usize,
) {
    let last = n - S::N;
    // SAFETY: the caller vouches for n rows in each column, at least a vector.
    unsafe {
        let mut acc = [S::all(0.0); W];
        for k in 0..columns {
            let f = S::splat(*b.add(k));
            for w in 0..W {
                let at = if w + 1 == W { last } else { w * S::N };
                acc[w] = data::<S, NARROW>(x, k * e + at).mul_add(f, acc[w]);
            }
        }
        for w in 0..W {
            let at = if w + 1 == W { last } else { w * S::N };
            acc[w].store(d.add(at));
        }
    }
}

/// Vectors of rows that stay in registers: of 16, one holds the number that multiplies, one what is loaded.
const MOST: usize = 13;

/// `d = x b` for `n` rows of a tile of so many columns and rows, at least a vector of them: in equal blocks, so that none is so
/// short that every product waits for the one before. The last block may repeat rows of the one before.
#[inline(always)]
unsafe fn blocks<S: Vector, const NARROW: bool>(
    d: *mut S::Elem,
    x: *const S::Elem,
    b: *const S::Elem,
    p: (usize, usize),
    n: usize,
) {
    let vectors = n.div_ceil(S::N);
    let size = vectors.div_ceil(vectors.div_ceil(MOST));
    let rows = n.min(size * S::N);
    let mut start = 0;
    while start < n {
        let i = start.min(n - rows);
        // SAFETY: the caller vouches for the tile, of which rows i to i + rows are part.
        unsafe {
            let d = d.add(i);
            let x: *const S::Elem = if NARROW { x.cast::<f32>().add(i).cast() } else { x.add(i) };
            macro_rules! of {
                ($($w:literal)*) => {
                    match size {
                        $($w => product::<S, $w, NARROW>(d, x, b, p, rows),)*
                        _ => product::<S, MOST, NARROW>(d, x, b, p, rows),
                    }
                };
            }
            of!(1 2 3 4 5 6 7 8 9 10 11 12);
        }
        start += rows;
    }
}

/// `d = x b` for `n` rows of a tile of so many columns and rows.
#[inline(always)]
unsafe fn all_rows<S: Vector, const NARROW: bool>(
    d: *mut S::Elem,
    x: *const S::Elem,
    b: *const S::Elem,
    p: (usize, usize),
    n: usize,
) {
    // SAFETY: the caller vouches for the tile.
    unsafe {
        if n >= S::N {
            blocks::<S, NARROW>(d, x, b, p, n);
        } else if n >= S::Half::N {
            blocks::<S::Half, NARROW>(d, x, b, p, n);
        } else {
            blocks::<S::One, NARROW>(d, x, b, p, n);
        }
    }
}

kernel! { wide
    /// `d = x b` for n rows of a tile at `a`; parameters columns, rows of a tile.
    rows<S>(d, a, b, c, n) {
        // SAFETY: the parameters describe what is valid.
        unsafe { all_rows::<S, false>(d, a, b, (param(c, 0), param(c, 1)), n) }
    }
}

kernel! { wide
    /// [`rows`] with a tile in single precision.
    rows_narrow<S>(d, a, b, c, n) {
        // SAFETY: the parameters describe what is valid.
        unsafe { all_rows::<S, true>(d, a, b, (param(c, 0), param(c, 1)), n) }
    }
}

/// Adds the products of `P` columns, from the k-th on, with `r` to their accumulators of a vector.
#[inline(always)]
unsafe fn against<S: Pair, const P: usize, const NARROW: bool>(
    d: *mut S::Elem,
    x: *const S::Elem,
    r: *const S::Elem,
    (k, e, n): (usize, usize, usize),
) {
    let part = S::Part::N;
    // SAFETY: the caller vouches for n rows of P columns.
    unsafe {
        let d = d.add(part * k);
        let mut acc = [S::with_zero(S::Part::all(0.0)); P];
        for p in 0..P {
            acc[p] = S::with_zero(S::Part::load(d.add(part * p)));
        }
        let mut i = 0;
        while i + 2 * part <= n {
            let y = S::load(r.add(i));
            for p in 0..P {
                acc[p] = data_pair::<S, NARROW>(x, (k + p) * e + i).mul_add(y, acc[p]);
            }
            i += 2 * part;
        }
        let odd = i + part <= n;
        for p in 0..P {
            let [mut low, high] = acc[p].parts();
            if odd {
                low = data::<S::Part, NARROW>(x, (k + p) * e + i).mul_add(S::Part::load(r.add(i)), low);
            }
            low.add(high).store(d.add(part * p));
        }
        i += if odd { part } else { 0 };
        while i < n {
            let y = <S::Part as Vector>::One::load(r.add(i));
            for p in 0..P {
                let to = d.add(part * p);
                let x = data::<<S::Part as Vector>::One, NARROW>(x, (k + p) * e + i);
                x.mul_add(y, <S::Part as Vector>::One::load(to)).store(to);
            }
            i += 1;
        }
    }
}

/// Adds `xᵀ r` over `n` rows of a tile of so many columns and rows to the accumulators at `d`.
#[inline(always)]
unsafe fn all_columns<S: Vector, const NARROW: bool>(
    d: *mut S::Elem,
    x: *const S::Elem,
    r: *const S::Elem,
    (columns, e): (usize, usize),
    n: usize,
) {
    // SAFETY: the caller vouches for the tile.
    unsafe {
        let mut k = 0;
        // As many columns as there are registers for, and as are needed to hide how long a product takes.
        if S::Half::N > 1 {
            while k + 8 <= columns {
                against::<S::Pair, 8, NARROW>(d, x, r, (k, e, n));
                k += 8;
            }
        }
        while k + 4 <= columns {
            against::<S::Pair, 4, NARROW>(d, x, r, (k, e, n));
            k += 4;
        }
        while k < columns {
            against::<S::Pair, 1, NARROW>(d, x, r, (k, e, n));
            k += 1;
        }
    }
}

kernel! { wide
    /// Adds `xᵀ b` over n rows of a tile at `a` to the accumulators at `d`; parameters columns, rows of a
    /// tile.
    columns<S>(d, a, b, c, n) {
        // SAFETY: the parameters describe what is valid.
        unsafe { all_columns::<S, false>(d, a, b, (param(c, 0), param(c, 1)), n) }
    }
}

kernel! { wide
    /// [`columns`] with a tile in single precision.
    columns_narrow<S>(d, a, b, c, n) {
        // SAFETY: the parameters describe what is valid.
        unsafe { all_columns::<S, true>(d, a, b, (param(c, 0), param(c, 1)), n) }
    }
}

kernel! {
    /// `d[k]` = the sum of the k-th accumulator at `a`, for n of them.
    finish<S>(d, a, _b, _c, n) {
        for k in 0..n {
            // SAFETY: the caller vouches for n accumulators of a vector.
            unsafe {
                *d.add(k) = S::load(a.add(S::N * k)).total();
            }
        }
    }
}

/// `R` rows by two vectors of lanes of `x b`.
#[inline(always)]
unsafe fn product_lanes<S: Vector, const R: usize>(
    d: *mut S::Elem,
    x: *const S::Elem,
    b: *const S::Elem,
    (columns, e, lanes): (usize, usize, usize),
) {
    // SAFETY: the caller vouches for R rows and two vectors of lanes.
    unsafe {
        let mut acc = [[S::all(0.0); 2]; R];
        for k in 0..columns {
            let y = b.add(k * lanes);
            let y = [S::load(y), S::load(y.add(S::N))];
            for i in 0..R {
                let f = S::splat(*x.add(k * e + i));
                for w in 0..2 {
                    acc[i][w] = f.mul_add(y[w], acc[i][w]);
                }
            }
        }
        for i in 0..R {
            for w in 0..2 {
                acc[i][w].store(d.add(i * lanes + w * S::N));
            }
        }
    }
}

kernel! {
    /// `d = x b` with lanes, for rows as `arith::rows` packs them; parameters columns, rows of a tile.
    rows_lanes<S>(d, a, b, c, n) {
        // SAFETY: the parameters describe what is valid; lanes are whole pairs of vectors.
        unsafe {
            let (count, lanes, _) = unpack(n);
            let p = (param(c, 0), param(c, 1), lanes);
            for l in (0..lanes).step_by(2 * S::N) {
                let (d, b) = (d.add(l), b.add(l));
                let mut i = 0;
                while i + 4 <= count {
                    product_lanes::<S, 4>(d.add(i * lanes), a.add(i), b, p);
                    i += 4;
                }
                while i < count {
                    product_lanes::<S, 1>(d.add(i * lanes), a.add(i), b, p);
                    i += 1;
                }
            }
        }
    }
}

/// Adds `P` columns by two vectors of lanes of `xᵀ r` to `d`.
#[inline(always)]
unsafe fn against_lanes<S: Vector, const P: usize>(
    d: *mut S::Elem,
    x: *const S::Elem,
    r: *const S::Elem,
    (count, e, lanes): (usize, usize, usize),
) {
    // SAFETY: the caller vouches for P columns and two vectors of lanes of `count` rows.
    unsafe {
        let mut acc: [[S; 2]; P] = std::array::from_fn(|p| {
            let at = d.add(p * lanes);
            [S::load(at), S::load(at.add(S::N))]
        });
        for i in 0..count {
            let y = r.add(i * lanes);
            let y = [S::load(y), S::load(y.add(S::N))];
            for p in 0..P {
                let f = S::splat(*x.add(p * e + i));
                for w in 0..2 {
                    acc[p][w] = f.mul_add(y[w], acc[p][w]);
                }
            }
        }
        for p in 0..P {
            for w in 0..2 {
                acc[p][w].store(d.add(p * lanes + w * S::N));
            }
        }
    }
}

kernel! {
    /// Adds `xᵀ b` with lanes to `d`, for rows as `arith::rows` packs them; parameters columns, rows of a
    /// tile.
    columns_lanes<S>(d, a, b, c, n) {
        // SAFETY: the parameters describe what is valid; lanes are whole pairs of vectors.
        unsafe {
            let (count, lanes, _) = unpack(n);
            let (columns, e) = (param(c, 0), param(c, 1));
            for l in (0..lanes).step_by(2 * S::N) {
                let (d, b) = (d.add(l), b.add(l));
                let mut k = 0;
                while k + 4 <= columns {
                    let p = (count, e, lanes);
                    against_lanes::<S, 4>(d.add(k * lanes), a.add(k * e), b, p);
                    k += 4;
                }
                while k < columns {
                    let p = (count, e, lanes);
                    against_lanes::<S, 1>(d.add(k * lanes), a.add(k * e), b, p);
                    k += 1;
                }
            }
        }
    }
}
