//! Linear recurrences, at the latency of one multiply-add per step.

use super::{param, simd::Vector};

kernel! {
    /// `d[t + 1] = a[t] * d[t] + b[t]` for `t < len` (or `d[t - 1]` from the end), rows of `count` doubles.
    /// Parameters: len, count, the rows' distances in `a` and `b` (0 for one row that all steps read), and 1
    /// where it runs from the end. `d` points to the row that the first step receives.
    linear<S>(d, a, b, c, _n) {
        // SAFETY: the counts describe what is valid.
        unsafe {
            let (len, count) = (param(c, 0), param(c, 1));
            let (da, db, reverse) = (param(c, 2), param(c, 3), param(c, 4) != 0);
            let row = |t: usize| if reverse { len - 1 - t } else { t };
            let to = |t: usize| {
                if reverse {
                    d.sub((t + 1) * count)
                } else {
                    d.add((t + 1) * count)
                }
            };
            let mut i = 0;
            while i + S::N <= count {
                let mut x = S::load(d.add(i));
                for t in 0..len {
                    let (f, g) = (a.add(row(t) * da + i), b.add(row(t) * db + i));
                    x = S::load(f).mul_add(x, S::load(g));
                    x.store(to(t).add(i));
                }
                i += S::N;
            }
            while i < count {
                let mut x = S::One::load(d.add(i));
                for t in 0..len {
                    let (f, g) = (a.add(row(t) * da + i), b.add(row(t) * db + i));
                    x = S::One::load(f).mul_add(x, S::One::load(g));
                    x.store(to(t).add(i));
                }
                i += 1;
            }
        }
    }
}
