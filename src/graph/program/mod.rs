//! The executor: a graph compiled to kernel calls over planned buffers and fused loops.

mod algebra;
mod code;
mod dataset;
mod emit;
mod fused;
mod join;
mod kernels;
mod link;
mod lir;
mod lower;
mod peephole;
mod product;
mod report;
mod run;
mod scan;
mod schedule;

use code::Code;
use emit::Emitter;
use link::Linked;

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

/// A compiled graph. It is the same for all threads; each brings a workspace of its own.
pub struct Program {
    code: Linked,
    lanes: usize,
    /// Doubles of each input and output.
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

impl Program {
    /// Compiles what `outputs` need. Values that depend on constants alone are computed now.
    ///
    /// # Panics
    /// Where `options.lanes` is none of 1, 8, 16, 32, 64.
    pub fn compile(g: &Graph, outputs: &[Var], options: &Options) -> Program {
        let lanes = options.lanes;
        assert!(
            [1, 8, 16, 32, 64].contains(&lanes),
            "a program has 1, 8, 16, 32 or 64 lanes, not {lanes}"
        );
        let (hoisted, wanted) = hoist(g, outputs);
        let lir = peephole::rewrite(lower::lower(&hoisted, &wanted, lanes), lanes);
        let groups = schedule::schedule(&lir, lanes, lower::SMALL);
        let mut code = Code::default();
        let wide = |v: &Var| lanes > 1 && g.node(*v).spread != Spread::Shared;
        let expected: Vec<bool> = outputs.iter().map(wide).collect();
        Emitter::new(&lir, lanes, options.isa, &mut code).program(&groups, &expected);
        let count = |v: Var| g.shape(v).count() * if wide(&v) { lanes } else { 1 };
        Program {
            code: link::link(code),
            lanes,
            inputs: g.inputs().iter().map(|i| count(i.var)).collect(),
            outputs: outputs.iter().map(|v| count(*v)).collect(),
        }
    }

    /// Particles of one run.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Doubles of workspace that [`Program::run`] needs.
    pub fn scratch(&self) -> usize {
        self.code.scratch
    }

    /// Computes the outputs for `lanes` particles. A value that differs by particle is stored
    /// `[count][lanes]`, one that does not `[count]`. The workspace may hold anything.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub fn run(&self, inputs: &[&[f64]], outputs: &mut [&mut [f64]], ws: &mut [f64]) {
        assert!(
            inputs
                .iter()
                .map(|x| x.len())
                .eq(self.inputs.iter().copied()),
            "sizes of inputs"
        );
        assert!(
            outputs
                .iter()
                .map(|x| x.len())
                .eq(self.outputs.iter().copied()),
            "sizes of outputs"
        );
        assert!(ws.len() >= self.code.scratch, "size of the workspace");
        // SAFETY: the sizes are right.
        unsafe { run::execute(&self.code, inputs, outputs, ws) }
    }
}

#[cfg(test)]
mod tests;
