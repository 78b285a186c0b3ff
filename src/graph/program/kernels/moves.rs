//! Kernels that move numbers: gathers, scatters, repetitions between lanes and elements.

use super::Kernel;

/// `d[i] = a[index[i]]` for elements of `L` lanes; `b` points to the index table, `n` counts doubles.
unsafe fn gather<const L: usize>(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let index = b.cast::<u32>();
    for e in 0..n / L {
        // SAFETY: the plan checked the table against the source; n / L entries and elements are valid.
        unsafe {
            let from = a.add(*index.add(e) as usize * L).cast::<[f64; L]>();
            d.add(e * L).cast::<[f64; L]>().write(from.read());
        }
    }
}

/// `d[index[i]] += a[i]` for elements of `L` lanes; `b` points to the index table, `n` counts doubles.
unsafe fn scatter<const L: usize>(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let index = b.cast::<u32>();
    for e in 0..n / L {
        // SAFETY: the plan checked the table against the target; n / L entries and elements are valid.
        unsafe {
            let to = d.add(*index.add(e) as usize * L).cast::<[f64; L]>();
            let (mut sum, x) = (to.read(), a.add(e * L).cast::<[f64; L]>().read());
            for l in 0..L {
                sum[l] += x[l];
            }
            to.write(sum);
        }
    }
}

/// Scatter at one lane: neighbours with one target are summed before they are added to it.
unsafe fn scatter_runs(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let index = b.cast::<u32>();
    let mut i = 0;
    while i < n {
        // SAFETY: i < n entries and elements are valid; the plan checked the table against the target.
        unsafe {
            let target = *index.add(i);
            let mut sum = *a.add(i);
            i += 1;
            while i < n && *index.add(i) == target {
                sum += *a.add(i);
                i += 1;
            }
            *d.add(target as usize) += sum;
        }
    }
}

/// `d[e * L + l] = a[e]`
unsafe fn expand<const L: usize>(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, n: usize) {
    for e in 0..n / L {
        // SAFETY: n / L elements are valid.
        unsafe { d.add(e * L).cast::<[f64; L]>().write([*a.add(e); L]) };
    }
}

/// `d[e * L + l] = a[l]`
unsafe fn repeat<const L: usize>(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, n: usize) {
    // SAFETY: L doubles at `a` and n at `d` are valid.
    unsafe {
        let x = a.cast::<[f64; L]>().read();
        for e in 0..n / L {
            d.add(e * L).cast::<[f64; L]>().write(x);
        }
    }
}

/// The instance of a kernel for a number of lanes.
macro_rules! by_lanes {
    ($lanes:expr, $kernel:ident) => {
        match $lanes {
            1 => $kernel::<1>,
            8 => $kernel::<8>,
            16 => $kernel::<16>,
            32 => $kernel::<32>,
            _ => $kernel::<64>,
        }
    };
}

/// `d[i] = a[index[i]]`, the table at `b`.
pub(in super::super) fn gather_kernel(lanes: usize) -> Kernel {
    by_lanes!(lanes, gather)
}

/// `d[index[i]] += a[i]`, the table at `b`; `runs` where neighbours often share a target.
pub(in super::super) fn scatter_kernel(lanes: usize, runs: bool) -> Kernel {
    if lanes == 1 && runs {
        return scatter_runs;
    }
    by_lanes!(lanes, scatter)
}

/// `d[e][l] = a[e]`
pub(in super::super) fn expand_kernel(lanes: usize) -> Kernel {
    by_lanes!(lanes, expand)
}

/// `d[e][l] = a[l]`
pub(in super::super) fn repeat_kernel(lanes: usize) -> Kernel {
    by_lanes!(lanes, repeat)
}
