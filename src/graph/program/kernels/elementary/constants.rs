//! Constants of the elementary functions, each as a whole vector.

use super::group::{Group, MOST};

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

/// All constants, each as a whole vector: the processor then reads them as operands of the arithmetic. Were
/// they known to the compiler it would repeat single doubles by instructions of their own, and fewer
/// elements would be under way at a time.
#[repr(C, align(64))]
struct Table([[f64; MOST]; 48]);

/// Places in the table.
pub(super) mod at {
    pub(in super::super) const EXP: usize = 0;
    pub(in super::super) const ATANH: usize = 11;
    pub(in super::super) const NEAR: usize = 22;
    pub(in super::super) const ONE: usize = 29;
    pub(in super::super) const TWO: usize = 30;
    pub(in super::super) const HALF: usize = 31;
    pub(in super::super) const MAGIC: usize = 32;
    pub(in super::super) const LOG2_E: usize = 33;
    pub(in super::super) const LN2_HIGH: usize = 34;
    pub(in super::super) const LN2_LOW: usize = 35;
    pub(in super::super) const SIGN: usize = 36;
    pub(in super::super) const BIAS: usize = 37;
    pub(in super::super) const TWENTY: usize = 38;
    pub(in super::super) const CARRY: usize = 39;
    pub(in super::super) const EXPONENT: usize = 40;
    pub(in super::super) const MANTISSA: usize = 41;
    pub(in super::super) const ROOT: usize = 42;
}

/// Bits of the square root of 1/2.
const ROOT: u64 = 0x3fe6_a09e_667f_3bcd;

static TABLE: Table = Table({
    let mut t = [[0.0; MOST]; 48];
    let mut k = 0;
    while k < 11 {
        t[at::EXP + k] = [EXP[k]; MOST];
        t[at::ATANH + k] = [ATANH[k]; MOST];
        if k < 7 {
            t[at::NEAR + k] = [ATANH_NEAR[k]; MOST];
        }
        k += 1;
    }
    t[at::ONE] = [1.0; MOST];
    t[at::TWO] = [2.0; MOST];
    t[at::HALF] = [0.5; MOST];
    // Adding this rounds to an integer that stands in the lowest bits.
    t[at::MAGIC] = [6_755_399_441_055_744.0; MOST];
    t[at::LOG2_E] = [std::f64::consts::LOG2_E; MOST];
    t[at::LN2_HIGH] = [LN2.0; MOST];
    t[at::LN2_LOW] = [LN2.1; MOST];
    t[at::SIGN] = [-0.0; MOST];
    t[at::BIAS] = [4_503_599_627_370_496.0 + 1023.0; MOST];
    t[at::TWENTY] = [20.0; MOST];
    t[at::CARRY] = [f64::from_bits(0x3ff0_0000_0000_0000 - ROOT); MOST];
    t[at::EXPONENT] = [f64::from_bits(0x4330_0000_0000_0000); MOST];
    t[at::MANTISSA] = [f64::from_bits(0x000f_ffff_ffff_ffff); MOST];
    t[at::ROOT] = [f64::from_bits(ROOT); MOST];
    t
});

/// The table, at an address that the compiler does not see through.
#[derive(Clone, Copy)]
pub(super) struct Constants(&'static Table);

impl Constants {
    /// The table as the compiler knows it, for calls too short to hide anything.
    pub(super) fn plain() -> Constants {
        Constants(&TABLE)
    }

    pub(super) fn hidden() -> Constants {
        Constants(std::hint::black_box(&TABLE))
    }

    /// # Safety
    /// The processor has the instruction set of the group.
    #[inline(always)]
    pub(super) unsafe fn get<G: Group>(self, k: usize) -> G {
        // SAFETY: the rows are aligned.
        unsafe { G::constant(&self.0.0[k]) }
    }
}
