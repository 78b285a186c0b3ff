//! Products of tiles of a data matrix, stored column by column, with vectors.

use super::arith::unpack;
use super::param;
use super::simd::Vector;

/// `W` vectors of rows of `x b`.
#[inline(always)]
unsafe fn product<S: Vector, const W: usize>(
    d: *mut S::Elem,
    x: *const S::Elem,
    b: *const S::Elem,
    columns: usize,
    e: usize,
) {
    // SAFETY: the caller vouches for W vectors of rows in each column.
    unsafe {
        let mut acc = [S::all(0.0); W];
        for k in 0..columns {
            let f = S::splat(*b.add(k));
            for w in 0..W {
                acc[w] = S::load(x.add(k * e + w * S::N)).mul_add(f, acc[w]);
            }
        }
        for w in 0..W {
            acc[w].store(d.add(w * S::N));
        }
    }
}

kernel! {
    /// `d = x b` for n rows of a tile at `a`; parameters columns, rows of a tile.
    rows<S>(d, a, b, c, n) {
        // SAFETY: the parameters describe what is valid.
        unsafe {
            let (columns, e) = (param(c, 0), param(c, 1));
            let mut i = 0;
            while i + 8 * S::N <= n {
                product::<S, 8>(d.add(i), a.add(i), b, columns, e);
                i += 8 * S::N;
            }
            while i + S::N <= n {
                product::<S, 1>(d.add(i), a.add(i), b, columns, e);
                i += S::N;
            }
            while i < n {
                product::<S::One, 1>(d.add(i), a.add(i), b, columns, e);
                i += 1;
            }
        }
    }
}

/// Adds the products of `P` columns with `r` to their accumulators of a vector.
#[inline(always)]
unsafe fn against<S: Vector, const P: usize>(
    d: *mut S::Elem,
    x: *const S::Elem,
    r: *const S::Elem,
    e: usize,
    n: usize,
) {
    // SAFETY: the caller vouches for n rows of P columns.
    unsafe {
        let mut acc: [[S; 2]; P] = std::array::from_fn(|p| [S::load(d.add(S::N * p)), S::all(0.0)]);
        let mut i = 0;
        while i + 2 * S::N <= n {
            for w in 0..2 {
                let y = S::load(r.add(i + w * S::N));
                for p in 0..P {
                    acc[p][w] = S::load(x.add(p * e + i + w * S::N)).mul_add(y, acc[p][w]);
                }
            }
            i += 2 * S::N;
        }
        if i + S::N <= n {
            let y = S::load(r.add(i));
            for p in 0..P {
                acc[p][0] = S::load(x.add(p * e + i)).mul_add(y, acc[p][0]);
            }
            i += S::N;
        }
        for p in 0..P {
            acc[p][0].add(acc[p][1]).store(d.add(S::N * p));
        }
        while i < n {
            let y = S::One::load(r.add(i));
            for p in 0..P {
                let to = d.add(S::N * p);
                let v = S::One::load(x.add(p * e + i)).mul_add(y, S::One::load(to));
                v.store(to);
            }
            i += 1;
        }
    }
}

kernel! {
    /// Adds `xᵀ b` over n rows of a tile at `a` to the accumulators at `d`; parameters columns, rows of a
    /// tile.
    columns<S>(d, a, b, c, n) {
        // SAFETY: the parameters describe what is valid.
        unsafe {
            let (columns, e) = (param(c, 0), param(c, 1));
            let mut k = 0;
            while k + 4 <= columns {
                against::<S, 4>(d.add(S::N * k), a.add(k * e), b, e, n);
                k += 4;
            }
            while k < columns {
                against::<S, 1>(d.add(S::N * k), a.add(k * e), b, e, n);
                k += 1;
            }
        }
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
