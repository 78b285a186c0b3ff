//! The table of kernels: one loop per function and instruction set.

use std::mem::MaybeUninit;

use super::{Isa, scalar};

/// `unsafe fn(x, y, n)`: writes `y[i] = f(x[i])` for `i < n`.
///
/// # Safety
///
/// `x` is valid for reading and `y` for writing `n` values, and the two ranges are the same or disjoint.
pub type Unary = unsafe fn(*const f64, *mut f64, usize);

/// `unsafe fn(x, y, z, n)`: writes `z[i] = f(x[i], y[i])` for `i < n`.
///
/// # Safety
///
/// `x` and `y` are valid for reading and `z` for writing `n` values; the range of `z` is the same as that of
/// `x`, the same as that of `y`, or disjoint from it, for each of the two.
pub type Binary = unsafe fn(*const f64, *const f64, *mut f64, usize);

/// `unsafe fn(x, y, z, n)`: writes the two results of `f(x[i])` to `y[i]` and `z[i]` for `i < n`.
///
/// # Safety
///
/// `x` is valid for reading and `y` and `z` for writing `n` values; `y` and `z` are disjoint, and `x` is
/// the same as one of them or disjoint from both.
pub type Twofold = unsafe fn(*const f64, *mut f64, *mut f64, usize);

/// Elements treated at a time: what a kernel keeps on the stack.
const TILE: usize = 64;

/// Whether the lowest level has fused multiply-add as an instruction.
const BASELINE_FMA: bool = cfg!(target_arch = "aarch64") || cfg!(target_feature = "fma");

/// Elements the loops advance by: tiles are padded to a multiple, so that no element takes a slower path.
const STEP: usize = 4;

/// Values of a tile on the stack, not initialised: that would cost more than short calls do.
struct Tile(MaybeUninit<[f64; TILE]>);

impl Tile {
    #[inline(always)]
    fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// The values from `from` on, `n` of them (`1 <= n <= TILE`), padded with the last to a multiple of [`STEP`].
    ///
    /// # Safety
    ///
    /// `from` is valid for reading `n` values.
    #[inline(always)]
    unsafe fn load(&mut self, from: *const f64, n: usize) -> &[f64] {
        let to = self.0.as_mut_ptr().cast::<f64>();
        let padded = STEP * n.div_ceil(STEP);
        // SAFETY: the caller vouches for n values; the tile is on the stack, apart from them, and n <= TILE, which
        // is a multiple of STEP. All of the slice is written before it is made.
        unsafe {
            std::ptr::copy_nonoverlapping(from, to, n);
            for i in n..padded {
                *to.add(i) = *to.add(n - 1);
            }
            std::slice::from_raw_parts(to, padded)
        }
    }

    /// Space for values to be written by index.
    #[inline(always)]
    fn space(&mut self) -> *mut f64 {
        self.0.as_mut_ptr().cast()
    }
}

/// A function on one instruction set. A trait and not closures, because what is not inlined into the kernel is
/// compiled without the instruction set, and only methods can be told to be inlined always.
trait Function<X, Y> {
    /// The function, where `far` is false.
    fn f(x: X) -> Y;
    /// Where `slow` applies instead.
    fn far(x: X) -> bool;
    /// The function where `far` is true.
    fn slow(x: X) -> Y;
}

/// The loop of a unary kernel.
///
/// # Safety
///
/// As [`Unary`].
#[inline(always)]
unsafe fn map<F: Function<f64, f64>>((x, y, n): (*const f64, *mut f64, usize)) {
    if n == 1 {
        // SAFETY: one value is valid at both.
        unsafe { *y = if F::far(*x) { F::slow(*x) } else { F::f(*x) } };
        return;
    }
    let (mut input, mut output) = (Tile::new(), Tile::new());
    for start in (0..n).step_by(TILE) {
        let m = TILE.min(n - start);
        // SAFETY: start + m <= n, so that the ranges are inside those the caller vouches for.
        let a = unsafe { input.load(x.add(start), m) };
        let out = output.space();
        for i in 0..a.len() {
            // SAFETY: i < TILE.
            unsafe { *out.add(i) = F::f(a[i]) };
        }
        let mut any = false;
        for v in a {
            any |= F::far(*v);
        }
        if any {
            for i in (0..m).filter(|&i| F::far(a[i])) {
                // SAFETY: i < TILE.
                unsafe { *out.add(i) = F::slow(a[i]) };
            }
        }
        // SAFETY: m values were written at `out`, which is on the stack, apart from the caller's.
        unsafe { std::ptr::copy_nonoverlapping(out, y.add(start), m) };
    }
}

/// The loop of a binary kernel.
///
/// # Safety
///
/// As [`Binary`].
#[inline(always)]
unsafe fn zip<F: Function<(f64, f64), f64>>((x, y, z, n): (*const f64, *const f64, *mut f64, usize)) {
    if n == 1 {
        // SAFETY: one value is valid at all three.
        unsafe { *z = if F::far((*x, *y)) { F::slow((*x, *y)) } else { F::f((*x, *y)) } };
        return;
    }
    let (mut first, mut second, mut output) = (Tile::new(), Tile::new(), Tile::new());
    for start in (0..n).step_by(TILE) {
        let m = TILE.min(n - start);
        // SAFETY: start + m <= n, so that the ranges are inside those the caller vouches for.
        let (a, b) = unsafe { (first.load(x.add(start), m), second.load(y.add(start), m)) };
        let out = output.space();
        for i in 0..a.len() {
            // SAFETY: i < TILE.
            unsafe { *out.add(i) = F::f((a[i], b[i])) };
        }
        let mut any = false;
        for i in 0..a.len() {
            any |= F::far((a[i], b[i]));
        }
        if any {
            for i in (0..m).filter(|&i| F::far((a[i], b[i]))) {
                // SAFETY: i < TILE.
                unsafe { *out.add(i) = F::slow((a[i], b[i])) };
            }
        }
        // SAFETY: m values were written at `out`, which is on the stack, apart from the caller's.
        unsafe { std::ptr::copy_nonoverlapping(out, z.add(start), m) };
    }
}

/// The loop of a kernel with two results.
///
/// # Safety
///
/// As [`Twofold`].
#[inline(always)]
unsafe fn fork<F: Function<f64, (f64, f64)>>((x, y, z, n): (*const f64, *mut f64, *mut f64, usize)) {
    if n == 1 {
        // SAFETY: one value is valid at all three.
        unsafe { (*y, *z) = F::f(*x) };
        return;
    }
    let (mut input, mut first, mut second) = (Tile::new(), Tile::new(), Tile::new());
    for start in (0..n).step_by(TILE) {
        let m = TILE.min(n - start);
        // SAFETY: start + m <= n, so that the ranges are inside those the caller vouches for.
        let a = unsafe { input.load(x.add(start), m) };
        let (b, c) = (first.space(), second.space());
        for i in 0..a.len() {
            // SAFETY: i < TILE.
            unsafe { (*b.add(i), *c.add(i)) = F::f(a[i]) };
        }
        // SAFETY: m values were written at both, which are on the stack, apart from the caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(b, y.add(start), m);
            std::ptr::copy_nonoverlapping(c, z.add(start), m);
        }
    }
}

/// The body of a kernel: a type for the function, and the loop over it.
macro_rules! run {
    ($loop:ident, $args:expr, $x:ty, $y:ty, $f:expr, $far:expr, $slow:expr) => {{
        struct Here;
        impl Function<$x, $y> for Here {
            #[inline(always)]
            fn f(x: $x) -> $y {
                $f(x)
            }
            #[inline(always)]
            fn far(x: $x) -> bool {
                $far(x)
            }
            fn slow(x: $x) -> $y {
                $slow(x)
            }
        }
        // SAFETY: the contract of the kernel is that of the loop.
        unsafe { $loop::<Here>($args) }
    }};
}

/// `far` of the functions that hold everywhere.
#[inline(always)]
fn nowhere<X>(_: X) -> bool {
    false
}

/// The power of std, for the pairs that the kernel leaves out.
fn powf((x, y): (f64, f64)) -> f64 {
    x.powf(y)
}

/// Writes the table, a static of it for each level and a safe wrapper for each function.
macro_rules! table {
    (
        unary { $($(#[$udoc:meta])* $u:ident = $uf:expr, $ufma:expr, $far:expr, $slow:expr;)* }
        binary { $($(#[$bdoc:meta])* $b:ident = $bf:expr, $bfma:expr, $bfar:expr, $bslow:expr;)* }
        twofold { $($(#[$tdoc:meta])* $t:ident = $tf:expr, $tfma:expr;)* }
    ) => {
        /// Pointers to the kernels of one instruction set, for callers that choose once.
        #[derive(Debug)]
        pub struct Kernels {
            $($(#[$udoc])* pub $u: Unary,)*
            $($(#[$bdoc])* pub $b: Binary,)*
            $($(#[$tdoc])* pub $t: Twofold,)*
        }

        /// Kernels for every processor of the target.
        mod baseline {
            use super::*;
            $(pub(super) unsafe fn $u(x: *const f64, y: *mut f64, n: usize) {
                run!(map, (x, y, n), f64, f64, $uf, $far, $slow)
            })*
            $(pub(super) unsafe fn $b(x: *const f64, y: *const f64, z: *mut f64, n: usize) {
                run!(zip, (x, y, z, n), (f64, f64), f64, $bf, $bfar, $bslow)
            })*
            $(pub(super) unsafe fn $t(x: *const f64, y: *mut f64, z: *mut f64, n: usize) {
                run!(fork, (x, y, z, n), f64, (f64, f64), $tf, nowhere, $tf)
            })*
            pub(super) static TABLE: Kernels = Kernels { $($u,)* $($b,)* $($t,)* };
        }

        /// Kernels for processors with AVX2 and fused multiply-add.
        #[cfg(target_arch = "x86_64")]
        mod avx2 {
            use super::*;
            $(#[target_feature(enable = "avx2,fma")]
            pub(super) unsafe fn $u(x: *const f64, y: *mut f64, n: usize) {
                run!(map, (x, y, n), f64, f64, $ufma, $far, $slow)
            })*
            $(#[target_feature(enable = "avx2,fma")]
            pub(super) unsafe fn $b(x: *const f64, y: *const f64, z: *mut f64, n: usize) {
                run!(zip, (x, y, z, n), (f64, f64), f64, $bfma, $bfar, $bslow)
            })*
            $(#[target_feature(enable = "avx2,fma")]
            pub(super) unsafe fn $t(x: *const f64, y: *mut f64, z: *mut f64, n: usize) {
                run!(fork, (x, y, z, n), f64, (f64, f64), $tfma, nowhere, $tfma)
            })*
            pub(super) static TABLE: Kernels = Kernels { $($u,)* $($b,)* $($t,)* };
        }

        $($(#[$udoc])*
        /// `x` and `out` have the same length.
        pub fn $u(isa: Isa, x: &[f64], out: &mut [f64]) {
            assert_eq!(x.len(), out.len());
            // SAFETY: the lengths agree, and slices of which one is mutable are disjoint.
            unsafe { (kernels(isa).$u)(x.as_ptr(), out.as_mut_ptr(), x.len()) }
        })*
        $($(#[$bdoc])*
        /// All three slices have the same length.
        pub fn $b(isa: Isa, x: &[f64], y: &[f64], out: &mut [f64]) {
            assert!(x.len() == y.len() && y.len() == out.len());
            // SAFETY: the lengths agree, and the mutable slice is disjoint from the others.
            unsafe { (kernels(isa).$b)(x.as_ptr(), y.as_ptr(), out.as_mut_ptr(), x.len()) }
        })*
        $($(#[$tdoc])*
        /// All three slices have the same length.
        pub fn $t(isa: Isa, x: &[f64], first: &mut [f64], second: &mut [f64]) {
            assert!(x.len() == first.len() && first.len() == second.len());
            // SAFETY: the lengths agree, and the mutable slices are disjoint from the others.
            unsafe { (kernels(isa).$t)(x.as_ptr(), first.as_mut_ptr(), second.as_mut_ptr(), x.len()) }
        })*
    };
}

/// The kernels of a level; those of the baseline where the machine does not support it.
pub fn kernels(isa: Isa) -> &'static Kernels {
    match isa.supported() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma | Isa::Avx512 => &avx2::TABLE,
        _ => &baseline::TABLE,
    }
}

table! {
    unary {
        /// `e^x`, 1 ulp.
        exp = scalar::exp::<BASELINE_FMA>, scalar::exp::<true>, nowhere, std::convert::identity;
        /// `log x`, 1 ulp; NaN below zero.
        log = scalar::log::<BASELINE_FMA>, scalar::log::<true>, nowhere, std::convert::identity;
        /// `log(1 + x)`, 1.5 ulp.
        log1p = scalar::log1p::<BASELINE_FMA>, scalar::log1p::<true>, nowhere, std::convert::identity;
        /// `e^x - 1`, 2 ulp.
        expm1 = scalar::expm1::<BASELINE_FMA>, scalar::expm1::<true>, nowhere, std::convert::identity;
        /// `tanh x`, 3 ulp.
        tanh = scalar::tanh::<BASELINE_FMA>, scalar::tanh::<true>, nowhere, std::convert::identity;
        /// `1 / (1 + e^-x)`, 3 ulp.
        sigmoid = scalar::sigmoid::<BASELINE_FMA>, scalar::sigmoid::<true>, nowhere, std::convert::identity;
        /// `log(1 + e^x)`, 3 ulp.
        softplus = scalar::softplus::<BASELINE_FMA>, scalar::softplus::<true>, nowhere, std::convert::identity;
        /// `sin x`, 1 ulp.
        sin = scalar::sin::<BASELINE_FMA>, scalar::sin::<true>, scalar::beyond_reduction, f64::sin;
        /// `cos x`, 1 ulp.
        cos = scalar::cos::<BASELINE_FMA>, scalar::cos::<true>, scalar::beyond_reduction, f64::cos;
        /// `atan x`, 2 ulp.
        atan = scalar::atan::<BASELINE_FMA>, scalar::atan::<true>, nowhere, std::convert::identity;
        /// Square root, correctly rounded.
        sqrt = f64::sqrt, f64::sqrt, nowhere, std::convert::identity;
        /// `1 / x`, correctly rounded.
        recip = f64::recip, f64::recip, nowhere, std::convert::identity;
        /// `log |Gamma(x)|`, 6 ulp for `x > 0`.
        lgamma = scalar::lgamma::<BASELINE_FMA>, scalar::lgamma::<true>, scalar::not_positive, scalar::lgamma_reflected;
        /// `d log Gamma(x) / dx`, 6 ulp for `x > 0`.
        digamma = scalar::digamma::<BASELINE_FMA>, scalar::digamma::<true>, scalar::not_positive, scalar::digamma_reflected;
        /// `erf x`, 2.5 ulp.
        erf = scalar::erf::<BASELINE_FMA>, scalar::erf::<true>, nowhere, std::convert::identity;
        /// `erfc x`, 4 ulp.
        erfc = scalar::erfc::<BASELINE_FMA>, scalar::erfc::<true>, nowhere, std::convert::identity;
        /// Standard normal distribution function, 4 ulp.
        normal_cdf = scalar::normal_cdf::<BASELINE_FMA>, scalar::normal_cdf::<true>, nowhere, std::convert::identity;
    }
    binary {
        /// `x^y`, 1.5 ulp.
        pow = scalar::pow::<BASELINE_FMA>, scalar::pow::<true>, scalar::not_plain, powf;
    }
    twofold {
        /// `log(1 + e^x)` and its derivative `1 / (1 + e^-x)`, 3 ulp each.
        softplus_sigmoid = scalar::softplus_sigmoid::<BASELINE_FMA>, scalar::softplus_sigmoid::<true>;
    }
}
