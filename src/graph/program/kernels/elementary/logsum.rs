//! log-sum-exp of at most four columns, without leaving the registers.

use super::constants::{Constants, at};
use super::function::{exp_of, log_of};
use super::group::{Four, Group};

/// `d[i] = log sum_k exp(a[k * stride + i])` for `i < w`, `w` at most four: m + log sum exp(x - m) with m the
/// largest, m itself where it is infinite or NaN.
#[target_feature(enable = "avx2,fma")]
pub(in super::super) unsafe fn log_sum_exp_short(d: *mut f64, a: *const f64, (n, stride, w): (usize, usize, usize)) {
    let c = Constants::hidden();
    // SAFETY: the caller vouches for n rows of w doubles and for w results.
    unsafe {
        let row = |k: usize| {
            let row = a.add(k * stride);
            if w == Four::N { Four::load(row) } else { Four::first(row, w) }
        };
        let mut m = Four::all(f64::NEG_INFINITY);
        for k in 0..n {
            let x = row(k);
            // Larger, or NaN: once there is one it stays.
            m = Four::choose(Four::either(m.less(x), x.not_at_most(x)), x, m);
        }
        let mut sum = Four::all(0.0);
        for k in 0..n {
            // What is so far below the largest adds nothing.
            let x = row(k).sub(m).max(Four::all(-700.0));
            sum = sum.add(exp_of(c, x));
        }
        let y = m.add(log_of(c, sum));
        // Not ordinary: infinite or NaN.
        let odd = c.get::<Four>(at::SIGN).mask_out(m).not_at_most(Four::all(f64::MAX));
        let y = Four::choose(odd, m, y);
        if w == Four::N { y.store(d) } else { y.store_first(d, w) }
    }
}
