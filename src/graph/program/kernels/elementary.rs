//! Exponentials and logarithms on AVX2 with fused multiply-add: what most densities spend their time on.
//!
//! The series are those of `base::simd::scalar`, with fewer steps for ordinary arguments; elements outside
//! their range take the functions there. An element's result does not depend on its place or company.
//! Errors are below 3 units in the last place.

use std::arch::x86_64::*;

use crate::base::simd::scalar;

/// `ln 2` in two parts, the first with 20 zero bits at its end.
const LN2: (f64, f64) = (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10);

/// `(e^r - 1 - r) / r²` for `|r| <= ln(2)/2`, relative error `2^-58`.
const EXP: [f64; 11] = [
    0.5,
    0.1666666666666667,
    0.041666666666666616,
    0.008333333333326153,
    0.001388888888891799,
    0.00019841269874765153,
    2.4801587245716903e-05,
    2.7557255461782194e-06,
    2.755734960392068e-07,
    2.510519422227151e-08,
    2.0889390886249168e-09,
];

/// `2 atanh(s)/s - 2` over `s²`, in powers of `s²` for `|s| <= 1/3`, relative error `2^-58`.
const ATANH: [f64; 11] = [
    0.6666666666666666,
    0.39999999999999514,
    0.28571428571602453,
    0.22222222197963998,
    0.18181819913987624,
    0.15384543424461963,
    0.13335189720034604,
    0.11734138297724586,
    0.10846257876196311,
    0.0748756189799817,
    0.1563884133862516,
];

/// The same for `|s| <= 0.1716`.
const ATANH_NEAR: [f64; 7] = [
    0.666666666666667,
    0.39999999999899116,
    0.28571428626132106,
    0.22222211111592052,
    0.18182890677893374,
    0.15331673745263524,
    0.14617002504766258,
];

/// Vectors treated together. One is best on processors measured so far: the compiler gives more of them
/// too few registers.
const W: usize = 1;

/// `W` vectors of four doubles.
#[derive(Clone, Copy)]
struct Group([__m256d; W]);

/// A method that applies an instruction to each vector, other arguments being groups.
macro_rules! each {
    ($name:ident($($arg:ident),*) = |$x:ident| $body:expr) => {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn $name(self, $($arg: Group),*) -> Group {
            let mut out = self.0;
            for w in 0..W {
                let $x = self.0[w];
                $(let $arg = $arg.0[w];)*
                out[w] = $body;
            }
            Group(out)
        }
    };
}

impl Group {
    each!(add(b) = |x| _mm256_add_pd(x, b));
    each!(sub(b) = |x| _mm256_sub_pd(x, b));
    each!(mul(b) = |x| _mm256_mul_pd(x, b));
    each!(div(b) = |x| _mm256_div_pd(x, b));
    each!(min(b) = |x| _mm256_min_pd(x, b));
    // `b` where x is not larger.
    each!(max(b) = |x| _mm256_max_pd(x, b));
    // x b + c
    each!(fma(b, c) = |x| _mm256_fmadd_pd(x, b, c));
    // c - x b
    each!(fnma(b, c) = |x| _mm256_fnmadd_pd(x, b, c));
    each!(or(b) = |x| _mm256_or_pd(x, b));
    each!(and(b) = |x| _mm256_and_pd(x, b));
    // Bits of `b` that x does not have.
    each!(mask_out(b) = |x| _mm256_andnot_pd(x, b));
    each!(less(b) = |x| _mm256_cmp_pd::<_CMP_LT_OQ>(x, b));
    each!(equal(b) = |x| _mm256_cmp_pd::<_CMP_EQ_OQ>(x, b));
    // True also where one is NaN.
    each!(not_at_most(b) = |x| _mm256_cmp_pd::<_CMP_NLE_UQ>(x, b));
    each!(not_at_least(b) = |x| _mm256_cmp_pd::<_CMP_NGE_UQ>(x, b));
    // `a` where the sign bit of x is set, else `b`.
    each!(choose(a, b) = |x| _mm256_blendv_pd(b, a, x));
    // Sum of the bit patterns.
    each!(
        add_bits(b) = |x| {
            _mm256_castsi256_pd(_mm256_add_epi64(
                _mm256_castpd_si256(x),
                _mm256_castpd_si256(b),
            ))
        }
    );
    // The lowest bits as an exponent field.
    each!(to_exponent() = |x| _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(x))));
    // The exponent field as the lowest bits.
    each!(
        from_exponent() = |x| _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(x)))
    );

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn all(x: f64) -> Group {
        Group([_mm256_set1_pd(x); W])
    }

    /// True where any sign bit is set.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn any(self) -> bool {
        let mut any = self.0[0];
        for w in 1..W {
            any = _mm256_or_pd(any, self.0[w]);
        }
        _mm256_movemask_pd(any) != 0
    }

    /// # Safety
    /// A whole group is valid at `p`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load(p: *const f64) -> Group {
        let mut out = [_mm256_setzero_pd(); W];
        for (w, x) in out.iter_mut().enumerate() {
            // SAFETY: the caller's contract.
            *x = unsafe { _mm256_loadu_pd(p.add(4 * w)) };
        }
        Group(out)
    }

    /// # Safety
    /// A whole group is valid at `p`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn store(self, p: *mut f64) {
        for (w, x) in self.0.iter().enumerate() {
            // SAFETY: the caller's contract.
            unsafe { _mm256_storeu_pd(p.add(4 * w), *x) };
        }
    }
}

/// All constants, each as a whole vector: the processor then reads them as operands of the arithmetic. Were
/// they known to the compiler it would repeat single doubles by instructions of their own, and fewer
/// elements would be under way at a time.
#[repr(C, align(32))]
struct Table([[f64; 4]; 48]);

/// Places in the table.
mod at {
    pub const EXP: usize = 0;
    pub const ATANH: usize = 11;
    pub const NEAR: usize = 22;
    pub const ONE: usize = 29;
    pub const TWO: usize = 30;
    pub const HALF: usize = 31;
    pub const MAGIC: usize = 32;
    pub const LOG2_E: usize = 33;
    pub const LN2_HIGH: usize = 34;
    pub const LN2_LOW: usize = 35;
    pub const SIGN: usize = 36;
    pub const BIAS: usize = 37;
    pub const TWENTY: usize = 38;
    pub const CARRY: usize = 39;
    pub const EXPONENT: usize = 40;
    pub const MANTISSA: usize = 41;
    pub const ROOT: usize = 42;
}

/// Bits of the square root of 1/2.
const ROOT: u64 = 0x3fe6_a09e_667f_3bcd;

static TABLE: Table = Table({
    let mut t = [[0.0; 4]; 48];
    let mut k = 0;
    while k < 11 {
        t[at::EXP + k] = [EXP[k]; 4];
        t[at::ATANH + k] = [ATANH[k]; 4];
        if k < 7 {
            t[at::NEAR + k] = [ATANH_NEAR[k]; 4];
        }
        k += 1;
    }
    t[at::ONE] = [1.0; 4];
    t[at::TWO] = [2.0; 4];
    t[at::HALF] = [0.5; 4];
    // Adding this rounds to an integer that stands in the lowest bits.
    t[at::MAGIC] = [6_755_399_441_055_744.0; 4];
    t[at::LOG2_E] = [std::f64::consts::LOG2_E; 4];
    t[at::LN2_HIGH] = [LN2.0; 4];
    t[at::LN2_LOW] = [LN2.1; 4];
    t[at::SIGN] = [-0.0; 4];
    t[at::BIAS] = [4_503_599_627_370_496.0 + 1023.0; 4];
    t[at::TWENTY] = [20.0; 4];
    t[at::CARRY] = [f64::from_bits(0x3ff0_0000_0000_0000 - ROOT); 4];
    t[at::EXPONENT] = [f64::from_bits(0x4330_0000_0000_0000); 4];
    t[at::MANTISSA] = [f64::from_bits(0x000f_ffff_ffff_ffff); 4];
    t[at::ROOT] = [f64::from_bits(ROOT); 4];
    t
});

/// The table, at an address that the compiler does not see through.
#[derive(Clone, Copy)]
struct Constants(&'static Table);

impl Constants {
    fn hidden() -> Constants {
        Constants(std::hint::black_box(&TABLE))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn get(self, k: usize) -> Group {
        // SAFETY: four doubles, aligned.
        Group([unsafe { _mm256_load_pd(self.0.0[k].as_ptr()) }; W])
    }
}

/// Polynomial of degree 10, coefficients from `k` on, by Estrin's scheme: few steps wait for one another.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn estrin(c: Constants, k: usize, x: Group) -> Group {
    let pair = |i: usize| c.get(k + i + 1).fma(x, c.get(k + i));
    let z = x.mul(x);
    let w = z.mul(z);
    let high = c.get(k + 10).fma(z, pair(8));
    let middle = pair(6).fma(z, pair(4));
    let low = pair(2).fma(z, pair(0));
    high.fma(w, middle).fma(w, low)
}

/// `(t, q)` with `e^x = 2^n (1 + q)`, the lowest bits of `t` being `n`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn reduced(c: Constants, x: Group) -> (Group, Group) {
    let magic = c.get(at::MAGIC);
    let t = x.fma(c.get(at::LOG2_E), magic);
    let n = t.sub(magic);
    let r = n.fnma(c.get(at::LN2_HIGH), x);
    let r = n.fnma(c.get(at::LN2_LOW), r);
    (t, r.mul(r).fma(estrin(c, at::EXP, r), r))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn exp_of(c: Constants, x: Group) -> Group {
    let (t, q) = reduced(c, x);
    q.add(c.get(at::ONE)).add_bits(t.to_exponent())
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn expm1_of(c: Constants, x: Group) -> Group {
    let (t, q) = reduced(c, x);
    let unit = c.get(at::ONE).add_bits(t.to_exponent());
    unit.fma(q, unit.sub(c.get(at::ONE)))
}

/// `tanh x = t / (t + 2)` with `t = e^2x - 1`, by the magnitude; 1 from 20 on.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn tanh_of(c: Constants, x: Group) -> Group {
    let sign = c.get(at::SIGN);
    let a = sign.mask_out(x).min(c.get(at::TWENTY));
    let t = expm1_of(c, a.add(a));
    t.div(t.add(c.get(at::TWO))).or(x.and(sign))
}

/// `(k, f)` with `x = 2^k (1 + f)`, `1 + f` in `[sqrt(1/2), sqrt 2)`, for normal `x > 0`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn split(c: Constants, x: Group) -> (Group, Group) {
    // The mantissa carries into the exponent exactly when it is at least sqrt 2.
    let carried = x.add_bits(c.get(at::CARRY));
    let k = carried
        .from_exponent()
        .or(c.get(at::EXPONENT))
        .sub(c.get(at::BIAS));
    let m = carried.and(c.get(at::MANTISSA)).add_bits(c.get(at::ROOT));
    (k, m.sub(c.get(at::ONE)))
}

/// `k ln 2 + log(1 + f) + low` given `s = f / (2 + f)`:
/// `log(1 + f) = f - f²/2 + s (f²/2 + R)`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn assemble(c: Constants, k: Group, f: Group, s: Group, low: Group) -> Group {
    let near = |i: usize| c.get(at::NEAR + i);
    let half = f.mul(c.get(at::HALF)).mul(f);
    let low = k.fma(c.get(at::LN2_LOW), low);
    let z = s.mul(s);
    let w = z.mul(z);
    let even = near(5).fma(w, near(3)).fma(w, near(1));
    let odd = near(6).fma(w, near(4)).fma(w, near(2)).fma(w, near(0));
    let r = even.fma(w, odd.mul(z));
    let low = s.fma(half.add(r), low);
    k.fma(c.get(at::LN2_HIGH), f.sub(half.sub(low)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn log_of(c: Constants, x: Group) -> Group {
    let (k, f) = split(c, x);
    let s = f.div(f.add(c.get(at::TWO)));
    assemble(c, k, f, s, Group::all(0.0))
}

/// `log u` for `u = 1 + x` rounded, corrected by what the rounding lost, over `u`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn log1p_of(c: Constants, x: Group) -> Group {
    let one = c.get(at::ONE);
    let u = x.add(one);
    let small = x.sub(u.sub(one));
    let large = one.sub(u.sub(x));
    let low = x.less(one).choose(small, large).div(u);
    let (k, scaled) = split(c, u);
    let exact = k.equal(Group::all(0.0));
    let f = exact.choose(x, scaled);
    let s = f.div(f.add(c.get(at::TWO)));
    assemble(c, k, f, s, exact.mask_out(low))
}

/// `2 atanh s` for `|s| <= 1/3`
#[inline]
#[target_feature(enable = "avx2,fma")]
fn twice_atanh(c: Constants, s: Group) -> Group {
    let z = s.mul(s);
    s.mul(z).fma(estrin(c, at::ATANH, z), s.add(s))
}

/// `e^-|x|`
#[inline]
#[target_feature(enable = "avx2,fma")]
fn falling(c: Constants, x: Group) -> Group {
    exp_of(c, x.or(c.get(at::SIGN)))
}

/// From `e = e^-|x|`: `max(x, 0) + 2 atanh(e / (2 + e))`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn softplus_from(c: Constants, x: Group, e: Group) -> Group {
    let s = e.div(e.add(c.get(at::TWO)));
    x.max(Group::all(0.0)).add(twice_atanh(c, s))
}

/// From `e = e^-|x|`: `1 / (1 + e)`, or `e / (1 + e)` below zero.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn sigmoid_from(c: Constants, x: Group, e: Group) -> Group {
    let one = c.get(at::ONE);
    x.choose(e, one).div(e.add(one))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn softplus_of(c: Constants, x: Group) -> Group {
    softplus_from(c, x, falling(c, x))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn sigmoid_of(c: Constants, x: Group) -> Group {
    sigmoid_from(c, x, falling(c, x))
}

/// Sign bits set where a magnitude is above the limit, or is NaN.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn beyond(x: Group, limit: f64) -> Group {
    Group::all(-0.0).mask_out(x).not_at_most(Group::all(limit))
}

/// Sign bits set where `x` is not between the limits.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn outside(x: Group, low: f64, high: f64) -> Group {
    x.not_at_least(Group::all(low))
        .or(x.not_at_most(Group::all(high)))
}

/// Doubles of a group.
const ALL: usize = 4 * W;

/// Results of which some have to be computed one by one.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn patched(y: Group, x: Group, far: Group, slow: fn(f64) -> f64) -> Group {
    if far.any() { patch(y, x, far, slow) } else { y }
}

#[cold]
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn patch(y: Group, x: Group, far: Group, slow: fn(f64) -> f64) -> Group {
    let (mut out, mut from, mut bad) = ([0.0; ALL], [0.0; ALL], [0.0f64; ALL]);
    // SAFETY: the arrays hold a group.
    unsafe {
        y.store(out.as_mut_ptr());
        x.store(from.as_mut_ptr());
        far.store(bad.as_mut_ptr());
    }
    for i in (0..ALL).filter(|&i| bad[i].is_sign_negative()) {
        out[i] = slow(from[i]);
    }
    // SAFETY: as above.
    unsafe { Group::load(out.as_ptr()) }
}

/// The last doubles of a slice, ones behind them.
///
/// # Safety
/// `n < ALL` doubles are valid.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn first(a: *const f64, n: usize) -> Group {
    let mut x = [_mm256_set1_pd(1.0); W];
    for (w, x) in x.iter_mut().enumerate() {
        let m = mask(n, w);
        // SAFETY: doubles behind the mask are not read.
        let v = unsafe { _mm256_maskload_pd(a.add(4 * w), m) };
        *x = _mm256_blendv_pd(*x, v, _mm256_castsi256_pd(m));
    }
    Group(x)
}

/// Writes the first `n < ALL` doubles.
///
/// # Safety
/// They are valid.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_first(d: *mut f64, y: Group, n: usize) {
    for (w, y) in y.0.iter().enumerate() {
        // SAFETY: doubles behind the mask are not written.
        unsafe { _mm256_maskstore_pd(d.add(4 * w), mask(n, w), *y) };
    }
}

/// Bits set in those of the w-th four doubles that are among the first `n`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mask(n: usize, w: usize) -> __m256i {
    let place = _mm256_add_epi64(
        _mm256_set_epi64x(3, 2, 1, 0),
        _mm256_set1_epi64x(4 * w as i64),
    );
    _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), place)
}

/// Groups of which it is known beforehand that all are ordinary.
const RUN: usize = 8;

/// A kernel from a function of a group, a test for those it is not for, and the function for these.
macro_rules! elementary {
    ($(#[$doc:meta])* $name:ident, $fast:expr, $far:expr, $slow:expr) => {
        $(#[$doc])*
        #[target_feature(enable = "avx2,fma")]
        pub(super) unsafe fn $name(
            d: *mut f64,
            a: *const f64,
            _: *const f64,
            _: *const f64,
            n: usize,
        ) {
            let c = Constants::hidden();
            let whole = n / ALL * ALL;
            // SAFETY: groups below `whole` and then the rest, which the caller vouches for at both.
            unsafe {
                for start in (0..whole).step_by(RUN * ALL) {
                    let end = whole.min(start + RUN * ALL);
                    let mut any = Group::all(0.0);
                    for i in (start..end).step_by(ALL) {
                        any = any.or($far(Group::load(a.add(i))));
                    }
                    if !any.any() {
                        for i in (start..end).step_by(ALL) {
                            $fast(c, Group::load(a.add(i))).store(d.add(i));
                        }
                    } else {
                        for i in (start..end).step_by(ALL) {
                            let x = Group::load(a.add(i));
                            patched($fast(c, x), x, $far(x), $slow).store(d.add(i));
                        }
                    }
                }
                if whole < n {
                    let x = first(a.add(whole), n - whole);
                    let y = patched($fast(c, x), x, $far(x), $slow);
                    store_first(d.add(whole), y, n - whole);
                }
            }
        }
    };
}

/// Exponents from here on need care with overflow and underflow.
const STEEP: f64 = 708.0;

elementary!(
    /// `d = e^a`
    exp, exp_of, |x| beyond(x, STEEP), scalar::exp::<true>
);
elementary!(
    /// `d = e^a - 1`
    expm1, expm1_of, |x| beyond(x, STEEP), scalar::expm1::<true>
);
elementary!(
    /// `d = tanh a`
    tanh, tanh_of, |x| beyond(x, f64::INFINITY), scalar::tanh::<true>
);
elementary!(
    /// `d = log a`
    log, log_of, |x| outside(x, f64::MIN_POSITIVE, f64::MAX), scalar::log::<true>
);
elementary!(
    /// `d = log(1 + a)`
    log1p, log1p_of, |x| outside(x, -1.0 + f64::EPSILON, 1e300), scalar::log1p::<true>
);
elementary!(
    /// `d = log(1 + e^a)`
    softplus, softplus_of, |x| beyond(x, STEEP), scalar::softplus::<true>
);
elementary!(
    /// `d = 1 / (1 + e^-a)`
    sigmoid, sigmoid_of, |x| beyond(x, STEEP), scalar::sigmoid::<true>
);

/// `d` = softplus, `c` = sigmoid of `a`
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn softplus_sigmoid(
    d: *mut f64,
    a: *const f64,
    _: *const f64,
    c: *const f64,
    n: usize,
) {
    let (t, c) = (Constants::hidden(), c.cast_mut());
    let whole = n / ALL * ALL;
    // SAFETY: the caller vouches for n doubles at all three.
    unsafe {
        for start in (0..whole).step_by(RUN * ALL) {
            let end = whole.min(start + RUN * ALL);
            let mut any = Group::all(0.0);
            for i in (start..end).step_by(ALL) {
                any = any.or(beyond(Group::load(a.add(i)), STEEP));
            }
            let far = any.any();
            for i in (start..end).step_by(ALL) {
                let x = Group::load(a.add(i));
                let (y, z) = if far { patched_pair(t, x) } else { pair(t, x) };
                y.store(d.add(i));
                z.store(c.add(i));
            }
        }
        if whole < n {
            let (y, z) = patched_pair(t, first(a.add(whole), n - whole));
            store_first(d.add(whole), y, n - whole);
            store_first(c.add(whole), z, n - whole);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn pair(c: Constants, x: Group) -> (Group, Group) {
    let e = falling(c, x);
    (softplus_from(c, x, e), sigmoid_from(c, x, e))
}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn patched_pair(c: Constants, x: Group) -> (Group, Group) {
    let (y, z) = pair(c, x);
    let far = beyond(x, STEEP);
    (
        patched(y, x, far, scalar::softplus::<true>),
        patched(z, x, far, scalar::sigmoid::<true>),
    )
}
