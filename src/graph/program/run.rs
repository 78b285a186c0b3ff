//! Runs linked code.

use super::link::{Address, Instr, LINE, Linked, Loop, Stage};

/// Everything an address can count from.
struct Run<'a> {
    code: &'a Linked,
    ws: *mut f64,
    inputs: &'a [&'a [f64]],
    outputs: *mut &'a mut [f64],
}

impl Run<'_> {
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
    let start = ws.as_ptr().align_offset(LINE * size_of::<f64>()).min(LINE);
    // SAFETY: the workspace has LINE doubles more than are used behind its aligned start.
    let ws = unsafe { ws.as_mut_ptr().add(start) };
    // SAFETY: the pool's place follows the pointers' inside the workspace.
    unsafe {
        std::ptr::copy_nonoverlapping(code.pool.as_ptr(), ws.add(code.pointers), code.pool.len());
    }
    let run = Run {
        code,
        ws,
        inputs,
        outputs: outputs.as_mut_ptr().cast(),
    };
    for stage in &code.stages {
        // SAFETY: operands are inside their buffers by the plan, inputs and outputs by the caller.
        unsafe {
            match stage {
                Stage::Block(ops) => block(ops, ws),
                Stage::Call(kernel, [d, a, b, c], n) => {
                    kernel(run.at(*d), run.at(*a), run.at(*b), run.at(*c), *n)
                }
                Stage::Loop(l) => cycle(l, &run),
            }
        }
    }
}

/// Calls on the workspace alone.
#[inline(always)]
unsafe fn block(ops: &[Instr], ws: *mut f64) {
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

/// A loop: its pointers are at the start of the workspace.
unsafe fn cycle(l: &Loop, run: &Run) {
    let pointers = run.ws.cast::<*mut f64>();
    // SAFETY: the workspace begins with room for the pointers of every loop; what they point to is valid
    // for each trip by the plan. Behind the last trip they are not used.
    unsafe {
        for (i, port) in l.ports.iter().enumerate() {
            *pointers.add(i) = run.at(port.address);
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
        for _ in 1..l.trips {
            l.ops.iter().for_each(call);
            for i in 0..l.moving {
                let p = pointers.add(i);
                *p = (*p).wrapping_byte_offset(l.ports[i].bytes);
            }
        }
        l.last.iter().for_each(call);
    }
}
