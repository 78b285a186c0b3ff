//! Kernels that move numbers: gathers, scatters, repetitions between lanes and elements.

use super::{Kernel, Number, Target};
use crate::graph::shape::Index;

/// `d[i] = a[index[i]]` for elements of `L` lanes; `b` points to the index table, `n` counts doubles.
unsafe fn gather<T: Number, const L: usize>(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let (d, a) = (d.cast::<T>(), a.cast::<T>());
    let index = b.cast::<u32>();
    for e in 0..n / L {
        // SAFETY: the plan checked the table against the source; n / L entries and elements are valid.
        unsafe {
            let from = a.add(*index.add(e) as usize * L).cast::<[T; L]>();
            d.add(e * L).cast::<[T; L]>().write(from.read());
        }
    }
}

/// Gather at one lane, eight elements at a time: they are read in any order, and written at once.
unsafe fn gather_each<T: Number>(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let (d, a) = (d.cast::<T>(), a.cast::<T>());
    let index = b.cast::<u32>();
    let mut i = 0;
    while i + 8 <= n {
        // SAFETY: eight entries and elements from i on are valid; the plan checked the table. A load of two entries is half
        // as many loads.
        unsafe {
            let pairs = index.add(i).cast::<[u64; 4]>().read_unaligned();
            let mut out = [T::default(); 8];
            for (j, pair) in pairs.into_iter().enumerate() {
                let [first, second] = if cfg!(target_endian = "little") { [0, 32] } else { [32, 0] };
                out[2 * j] = *a.add((pair >> first) as u32 as usize);
                out[2 * j + 1] = *a.add((pair >> second) as u32 as usize);
            }
            d.add(i).cast::<[T; 8]>().write(out);
        }
        i += 8;
    }
    while i < n {
        // SAFETY: entry and element i are valid.
        unsafe { *d.add(i) = *a.add(*index.add(i) as usize) };
        i += 1;
    }
}

/// `d[index[i]] += a[i]` for elements of `L` lanes; `b` points to the index table, `n` counts doubles.
unsafe fn scatter<T: Number, const L: usize>(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let (d, a) = (d.cast::<T>(), a.cast::<T>());
    let index = b.cast::<u32>();
    for e in 0..n / L {
        // SAFETY: the plan checked the table against the target; n / L entries and elements are valid.
        unsafe {
            let to = d.add(*index.add(e) as usize * L).cast::<[T; L]>();
            let (mut sum, x) = (to.read(), a.add(e * L).cast::<[T; L]>().read());
            for l in 0..L {
                sum[l] += x[l];
            }
            to.write(sum);
        }
    }
}

/// Gather at one lane: four neighbours or four times the same element are found and moved at once.
unsafe fn gather_one<T: Number>(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let (d, a) = (d.cast::<T>(), a.cast::<T>());
    let index = b.cast::<u32>();
    let mut i = 0;
    while i + 4 <= n {
        // SAFETY: four entries and elements from i on are valid; the plan checked the table.
        unsafe {
            let k = index.add(i).cast::<[u32; 4]>().read_unaligned();
            let to = d.add(i).cast::<[T; 4]>();
            if k == [k[0]; 4] {
                to.write([*a.add(k[0] as usize); 4]);
            } else if follows(k) {
                to.write(a.add(k[0] as usize).cast::<[T; 4]>().read());
            } else {
                to.write(k.map(|k| *a.add(k as usize)));
            }
        }
        i += 4;
    }
    while i < n {
        // SAFETY: entry and element i are valid.
        unsafe { *d.add(i) = *a.add(*index.add(i) as usize) };
        i += 1;
    }
}

/// Four positions one after another.
#[inline(always)]
fn follows(k: [u32; 4]) -> bool {
    let after = |i| k[0].wrapping_add(i);
    k == [k[0], after(1), after(2), after(3)]
}

/// Scatter at one lane: neighbours with one target are summed before they are added to it, four at a
/// time, and four neighbouring targets are treated at once.
unsafe fn scatter_one<T: Number>(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let (d, a) = (d.cast::<T>(), a.cast::<T>());
    let index = b.cast::<u32>();
    let four = |i: usize| {
        // SAFETY: called for i + 4 <= n only.
        unsafe { index.add(i).cast::<[u32; 4]>().read_unaligned() }
    };
    let mut i = 0;
    while i < n {
        // SAFETY: entries and elements below n are valid; the plan checked the table against the target.
        unsafe {
            let target = *index.add(i);
            if i + 4 <= n && follows(four(i)) {
                let to = d.add(target as usize).cast::<[T; 4]>();
                let (mut sum, x) = (to.read(), a.add(i).cast::<[T; 4]>().read());
                for k in 0..4 {
                    sum[k] += x[k];
                }
                to.write(sum);
                i += 4;
                continue;
            }
            let mut parts = [T::default(); 4];
            while i + 4 <= n && four(i) == [target; 4] {
                let x = a.add(i).cast::<[T; 4]>().read();
                for k in 0..4 {
                    parts[k] += x[k];
                }
                i += 4;
            }
            let mut sum = (parts[0] + parts[2]) + (parts[1] + parts[3]);
            while i < n && *index.add(i) == target {
                sum += *a.add(i);
                i += 1;
            }
            *d.add(target as usize) += sum;
        }
    }
}

/// `d[index[i]] += a[i]` in single precision, for doubles at `d`; the table at `b`.
pub(in super::super) unsafe fn scatter_to_doubles(d: *mut f64, a: *const f64, b: *const f64, _: *const f64, n: usize) {
    let (a, index) = (a.cast::<f32>(), b.cast::<u32>());
    for i in 0..n {
        // SAFETY: the plan checked the table against the target; n entries and numbers are valid.
        unsafe { *d.add(*index.add(i) as usize) += f64::from(*a.add(i)) };
    }
}

/// `d[e * L + l] = a[e]`
unsafe fn expand<T: Number, const L: usize>(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, n: usize) {
    let (d, a) = (d.cast::<T>(), a.cast::<T>());
    for e in 0..n / L {
        // SAFETY: n / L elements are valid.
        unsafe { d.add(e * L).cast::<[T; L]>().write([*a.add(e); L]) };
    }
}

/// `d[e * L + l] = a[l]`
unsafe fn repeat<T: Number, const L: usize>(d: *mut f64, a: *const f64, _: *const f64, _: *const f64, n: usize) {
    let (d, a) = (d.cast::<T>(), a.cast::<T>());
    // SAFETY: L doubles at `a` and n at `d` are valid.
    unsafe {
        let x = a.cast::<[T; L]>().read();
        for e in 0..n / L {
            d.add(e * L).cast::<[T; L]>().write(x);
        }
    }
}

/// The instance of a kernel for a number of lanes; only doubles have them.
macro_rules! by_lanes {
    ($lanes:expr, $kernel:ident) => {
        match $lanes {
            1 => $kernel::<f64, 1>,
            8 => $kernel::<f64, 8>,
            16 => $kernel::<f64, 16>,
            32 => $kernel::<f64, 32>,
            _ => $kernel::<f64, 64>,
        }
    };
}

/// `d[i] = a[index[i]]`, the table at `b`.
pub(in super::super) fn gather_kernel(target: Target, lanes: usize, index: &Index) -> Kernel {
    match (target.single, lanes) {
        (true, _) if in_fours(index) => gather_one::<f32>,
        (true, _) => gather_each::<f32>,
        (false, 1) if in_fours(index) => gather_one::<f64>,
        (false, 1) => gather_each::<f64>,
        (false, _) => by_lanes!(lanes, gather),
    }
}

/// `d[index[i]] += a[i]`, the table at `b`.
pub(in super::super) fn scatter_kernel(target: Target, lanes: usize, index: &Index) -> Kernel {
    match (target.single, lanes == 1 && is_regular(index)) {
        (true, true) => scatter_one::<f32>,
        (true, false) => scatter::<f32, 1>,
        (false, true) => scatter_one::<f64>,
        (false, false) => by_lanes!(lanes, scatter),
    }
}

/// True where most of a table's groups of four are equal or follow one another: a branch that goes this way and that costs more
/// than it saves.
fn in_fours(index: &Index) -> bool {
    let Index::Table(t) = index else { return is_regular(index) };
    let (groups, _) = t.as_chunks::<4>();
    let found = groups.iter().filter(|k| **k == [k[0]; 4] || follows(**k)).count();
    found > 0 && 4 * found >= 3 * groups.len()
}

/// True where half of a table's neighbours are equal or follow one another.
fn is_regular(index: &Index) -> bool {
    match index {
        Index::Stride { stride, .. } => *stride == 0 || *stride == 1,
        Index::Repeat { each, .. } => *each >= 4,
        Index::Tile { period, .. } => *period >= 4,
        Index::Table(t) => {
            let near = t.windows(2).filter(|w| w[1] == w[0] || w[1] == w[0] + 1);
            2 * near.count() >= t.len()
        }
    }
}

/// `d[e][l] = a[e]`
pub(in super::super) fn expand_kernel(lanes: usize) -> Kernel {
    by_lanes!(lanes, expand)
}

/// `d[e][l] = a[l]`
pub(in super::super) fn repeat_kernel(lanes: usize) -> Kernel {
    by_lanes!(lanes, repeat)
}
