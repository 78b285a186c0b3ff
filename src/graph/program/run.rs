//! Runs linked code.

use super::link::{Address, Instr, LINE, Linked, Loop, Stage};

/// Everything an address can count from.
pub(super) struct Run<'a> {
    code: &'a Linked,
    ws: *mut f64,
    inputs: &'a [&'a [f64]],
    outputs: *mut &'a mut [f64],
}

impl<'a> Run<'a> {
    /// Aligns the workspace and fills its pool.
    ///
    /// # Safety
    /// The workspace has at least `code.scratch` doubles.
    pub unsafe fn start(
        code: &'a Linked,
        inputs: &'a [&'a [f64]],
        outputs: &'a mut [&mut [f64]],
        ws: &mut [f64],
    ) -> Run<'a> {
        let start = ws.as_ptr().align_offset(LINE * size_of::<f64>()).min(LINE);
        let pool = &code.pool;
        // SAFETY: the workspace has LINE doubles more than are used behind its aligned start, and the
        // pool's place follows the pointers' inside it.
        let ws = unsafe {
            let ws = ws.as_mut_ptr().add(start);
            copy(ws.add(code.pointers), pool.as_ptr(), pool.len());
            for &(k, off) in &code.imports {
                let x = inputs.get_unchecked(k);
                copy(ws.add(off), x.as_ptr(), x.len());
            }
            ws
        };
        Run {
            code,
            ws,
            inputs,
            outputs: outputs.as_mut_ptr().cast(),
        }
    }

    /// The aligned start of the workspace.
    pub fn workspace(&self) -> *mut f64 {
        self.ws
    }

    /// Runs one stage.
    ///
    /// # Safety
    /// Inputs and outputs have the sizes the code was compiled for.
    #[inline(always)]
    pub unsafe fn stage(&self, stage: &Stage) {
        // SAFETY: operands are inside their buffers by the plan, inputs and outputs by the caller.
        unsafe {
            match stage {
                Stage::Block(ops) => block(ops, self.ws),
                Stage::Call(kernel, [d, a, b, c], n) => {
                    kernel(self.at(*d), self.at(*a), self.at(*b), self.at(*c), *n)
                }
                Stage::Loop(l) => cycle(l, self, self.ws.cast()),
            }
        }
    }

    /// The pointer of an address.
    ///
    /// # Safety
    /// The offset is inside what it counts from, which the plan and the checks of [`execute`] see to.
    #[inline(always)]
    unsafe fn at(&self, address: Address) -> *mut f64 {
        // SAFETY: the caller's contract; inputs, data and tables are only read.
        unsafe {
            match address {
                Address::Workspace(off) => self.ws.add(off),
                Address::Input(k, off) => self
                    .inputs
                    .get_unchecked(k as usize)
                    .as_ptr()
                    .add(off)
                    .cast_mut(),
                Address::Output(k, off) => (*self.outputs.add(k as usize)).as_mut_ptr().add(off),
                Address::Data(k, off) => self
                    .code
                    .data
                    .get_unchecked(k as usize)
                    .as_ptr()
                    .add(off)
                    .cast_mut(),
                Address::Table(k, off) => {
                    let table = self.code.tables.get_unchecked(k as usize);
                    table.as_ptr().add(off).cast_mut().cast()
                }
            }
        }
    }
}

/// Runs the code once.
///
/// # Safety
/// Inputs and outputs have the sizes the code was compiled for, and `ws` at least `code.scratch`.
pub(super) unsafe fn execute(
    code: &Linked,
    inputs: &[&[f64]],
    outputs: &mut [&mut [f64]],
    ws: &mut [f64],
) {
    // SAFETY: the caller's contract.
    let run = unsafe { Run::start(code, inputs, outputs, ws) };
    for stage in &code.stages {
        // SAFETY: operands are inside their buffers by the plan, inputs and outputs by the caller.
        unsafe { run.stage(stage) }
    }
    for &(k, off) in &code.exports {
        // SAFETY: the output's size is that of the value at the offset.
        unsafe {
            let y = &mut *run.outputs.add(k);
            copy(y.as_mut_ptr(), run.ws.add(off), y.len());
        }
    }
}

/// Calls on the workspace alone.
#[inline(always)]
pub(super) unsafe fn block(ops: &[Instr], ws: *mut f64) {
    for op in ops {
        // SAFETY: the plan keeps all offsets inside the workspace.
        unsafe {
            (op.kernel)(
                ws.add(op.d as usize),
                ws.add(op.a as usize),
                ws.add(op.b as usize),
                ws.add(op.c as usize),
                op.n as usize,
            )
        }
    }
}

/// A loop; its pointers are kept at `pointers`.
unsafe fn cycle(l: &Loop, run: &Run, pointers: *mut *mut f64) {
    // SAFETY: the workspace begins with room for the pointers of every loop; what they point to is valid
    // for each trip by the plan. Behind the last trip they are not used.
    unsafe {
        let mut next = pointers;
        for &off in &l.inner_moving {
            *next = run.ws.add(off);
            next = next.add(1);
        }
        for &address in &l.outer {
            *next = run.at(address);
            next = next.add(1);
        }
        for &off in &l.inner_fixed {
            *next = run.ws.add(off);
            next = next.add(1);
        }
        let call = |op: &Instr| {
            (op.kernel)(
                *pointers.add(op.d as usize),
                *pointers.add(op.a as usize),
                *pointers.add(op.b as usize),
                *pointers.add(op.c as usize),
                op.n as usize,
            )
        };
        let body = |ops: &[Instr]| {
            let mut done = 0;
            for (at, inner) in &l.inner {
                ops[done..*at].iter().for_each(call);
                done = *at;
                cycle(inner, run, next);
            }
            ops[done..].iter().for_each(call);
        };
        for _ in 1..l.trips {
            body(&l.ops);
            for (i, &bytes) in l.bytes.iter().enumerate() {
                let p = pointers.add(i);
                *p = (*p).wrapping_byte_offset(bytes);
            }
        }
        body(&l.last);
    }
}

/// Copies a few doubles.
#[inline(always)]
unsafe fn copy(to: *mut f64, from: *const f64, n: usize) {
    // SAFETY: the caller vouches for n doubles at both, which do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(from, to, n) }
}
