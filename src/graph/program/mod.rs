//! The executor: a graph compiled to kernel calls over planned buffers and fused loops.

mod algebra;
mod batch;
mod code;
mod dataset;
mod emit;
mod emit_map;
mod fused;
mod join;
mod kernels;
mod link;
mod lir;
mod lower;
mod number;
mod peephole;
mod product;
mod reading;
mod report;
mod run;
mod runs;
mod scan;
mod schedule;
mod tiles;

use code::Code;
use emit::Emitter;
use kernels::Target;
use link::{Linked, line, room};
use lir::Lir;
pub use number::Real;
pub use report::Timing;

use super::Graph;
use super::hoist::hoist;
use super::op::{Spread, Var};
use crate::base::simd::Isa;

/// How to compile a graph.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Particles treated at once, innermost in memory: 1, 8, 16, 32 or 64.
    pub lanes: usize,
    /// Instruction set of the kernels; it decides the last bits of results.
    pub isa: Isa,
}

/// Doubles of workspace from which fewer lanes are better than a cache overrun.
const CACHE: usize = 1 << 16;
/// Fewest lanes of a program for which more were asked.
const FEWEST: usize = 8;

/// Size of an input or output.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Elements.
    count: usize,
    /// One value per particle.
    wide: bool,
}

impl Slot {
    /// Numbers for `n` particles.
    fn size(&self, n: usize) -> usize {
        self.count * if self.wide { n } else { 1 }
    }

    /// Numbers among the arguments of a group of particles.
    fn in_group<T>(&self, particles: usize) -> usize {
        if self.wide { (self.count * particles).next_multiple_of(line::<T>()) } else { 0 }
    }
}

/// A compiled graph. It is the same for all threads; each brings a workspace of its own.
///
/// `T` is the kind of its numbers: inputs, outputs, workspace, and all values between. A program in single
/// precision (`Program<f32>`) is for graphs of batches ([`mod@crate::graph::batch`]), as in the training of
/// networks: it has one lane. It computes every operation; elementary functions have errors below 4 units in the
/// last place, rarer functions are those of doubles, rounded, and sums are added up in double precision.
pub struct Program<T: Real = f64> {
    code: Linked<T>,
    /// Particles of one run.
    lanes: usize,
    /// Particles that the code treats at once: all lanes, fewer where many would leave the cache, or one.
    own: usize,
    inputs: Vec<Slot>,
    outputs: Vec<Slot>,
    /// Numbers in the room of the pointers to arguments, and of the arguments of one group of particles.
    tables: usize,
    group: usize,
}

impl<T: Real> Program<T> {
    /// Compiles what `outputs` need. Values that depend on constants alone are computed now. Where large
    /// matrices differ by particle, the code treats one particle after another whatever the lanes.
    ///
    /// # Panics
    /// Where `options.lanes` is none of 1, 8, 16, 32, 64, or not 1 in single precision.
    pub fn compile(g: &Graph, outputs: &[Var], options: &Options) -> Program<T> {
        let lanes = options.lanes;
        assert!([1, 8, 16, 32, 64].contains(&lanes), "a program has 1, 8, 16, 32 or 64 lanes, not {lanes}");
        assert!(lanes == 1 || !T::SINGLE, "a program in single precision has one lane, not {lanes}");
        let target = Target { isa: options.isa, single: T::SINGLE };
        let (hoisted, wanted) = hoist(g, outputs);
        let lower = |lanes| peephole::rewrite(lower::lower(&hoisted, &wanted, lanes, T::SINGLE), T::SINGLE);
        let wide = |v: &Var| g.node(*v).spread != Spread::Shared;
        let compile = |own: usize, lir: &Lir| {
            let groups = schedule::schedule(lir, own, lower::SMALL);
            let mut code = Code::new(target.vector());
            let expected: Vec<bool> = outputs.iter().map(|v| own > 1 && wide(v)).collect();
            Emitter::new(lir, own, target, &mut code).program(&groups, &expected);
            link::link(code)
        };
        let mut own = lanes;
        let mut lir = lower(own);
        if own > 1 && schedule::has_large_matrices(&lir) {
            own = 1;
            lir = lower(own);
        }
        let mut code = compile(own, &lir);
        while own > FEWEST && code.scratch > CACHE {
            own /= 2;
            code = compile(own, &lower(own));
        }
        let slot = |v: &Var| Slot { count: g.shape(*v).count(), wide: wide(v) };
        let inputs: Vec<Slot> = g.inputs().iter().map(|i| slot(&i.var)).collect();
        let outputs: Vec<Slot> = outputs.iter().map(slot).collect();
        let all = inputs.iter().chain(&outputs);
        Program {
            code,
            lanes,
            own,
            tables: room::<T>(inputs.len() + outputs.len()).next_multiple_of(line::<T>()),
            group: all.map(|s| s.in_group::<T>(own)).sum(),
            inputs,
            outputs,
        }
    }

    /// Particles of one run.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Particles that the code treats at once: all lanes, fewer where many would leave the cache, or one.
    pub fn width(&self) -> usize {
        self.own
    }
}

#[cfg(test)]
mod tests;
