//! Runs linked code.

use super::link::{Address, Instr, Linked, Loop, Stage};
use super::number::Real;

/// Everything an address can count from.
pub(super) struct Run<'a, T> {
    code: &'a Linked<T>,
    ws: *mut T,
    inputs: *const *const T,
    outputs: *const *mut T,
}

impl<'a, T: Real> Run<'a, T> {
    /// Fills the pool of the workspace and copies small inputs.
    ///
    /// # Safety
    /// The workspace has at least `code.scratch` numbers from a cache line on; there is a pointer for each
    /// input and output, of the sizes the code was compiled for.
    pub unsafe fn start(
        code: &'a Linked<T>,
        inputs: *const *const T,
        outputs: *const *mut T,
        ws: *mut T,
    ) -> Run<'a, T> {
        // SAFETY: the caller's contract; the plan keeps the offsets inside the workspace.
        unsafe {
            copy(ws.add(code.pointers), code.pool.as_ptr(), code.pool.len());
            for e in &code.imports {
                copy(ws.add(e.offset), *inputs.add(e.k), e.count);
            }
        }
        Run { code, ws, inputs, outputs }
    }

    /// All stages, then the copies of small outputs.
    ///
    /// # Safety
    /// As for [`Run::start`].
    pub unsafe fn all(&self) {
        for stage in &self.code.stages {
            // SAFETY: operands are inside their buffers by the plan.
            unsafe { self.stage(stage) }
        }
        for e in &self.code.exports {
            // SAFETY: the output has as many numbers as the value at the offset.
            unsafe { copy(*self.outputs.add(e.k), self.ws.add(e.offset), e.count) };
        }
    }

    /// The aligned start of the workspace.
    pub fn workspace(&self) -> *mut T {
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
                Stage::Call(kernel, [d, a, b, c], n) => kernel(self.at(*d), self.at(*a), self.at(*b), self.at(*c), *n),
                Stage::Loop(l) => cycle(l, self, self.ws.cast()),
            }
        }
    }

    /// The pointer of an address.
    ///
    /// # Safety
    /// The offset is inside what it counts from, which the plan and the caller of [`Run::start`] see to.
    #[inline(always)]
    unsafe fn at(&self, address: Address) -> *mut f64 {
        // SAFETY: the caller's contract; inputs, data and tables are only read.
        let p: *mut T = unsafe {
            match address {
                Address::Workspace(off) => self.ws.add(off),
                Address::Input(k, off) => (*self.inputs.add(k as usize)).add(off).cast_mut(),
                Address::Output(k, off) => (*self.outputs.add(k as usize)).add(off),
                Address::Data(k, off) => self.code.data.get_unchecked(k as usize).as_ptr().add(off).cast_mut(),
                Address::Table(k, off) => {
                    let table = self.code.tables.get_unchecked(k as usize);
                    table.as_ptr().add(off).cast_mut().cast()
                }
            }
        };
        p.cast()
    }
}

/// Calls on the workspace alone.
#[inline(always)]
pub(super) unsafe fn block<T>(ops: &[Instr], ws: *mut T) {
    for op in ops {
        // SAFETY: the plan keeps all offsets inside the workspace.
        unsafe {
            (op.kernel)(
                ws.add(op.d as usize).cast(),
                ws.add(op.a as usize).cast(),
                ws.add(op.b as usize).cast(),
                ws.add(op.c as usize).cast(),
                op.n as usize,
            )
        }
    }
}

/// A loop; its pointers are kept at `pointers`.
unsafe fn cycle<T: Real>(l: &Loop, run: &Run<T>, pointers: *mut *mut f64) {
    // SAFETY: the workspace begins with room for the pointers of every loop; what they point to is valid
    // for each trip by the plan. Behind the last trip they are not used.
    unsafe {
        let mut next = pointers;
        for &off in &l.inner_moving {
            *next = run.ws.add(off).cast();
            next = next.add(1);
        }
        for &address in &l.outer {
            *next = run.at(address);
            next = next.add(1);
        }
        for &off in &l.inner_fixed {
            *next = run.ws.add(off).cast();
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

/// Copies numbers; few without a call.
#[inline(always)]
pub(super) unsafe fn copy<T: Copy>(to: *mut T, from: *const T, n: usize) {
    // SAFETY: the caller vouches for n numbers at both, which do not overlap.
    unsafe {
        if n > 64 {
            std::ptr::copy_nonoverlapping(from, to, n);
            return;
        }
        let mut i = 0;
        while i + 4 <= n {
            to.add(i).cast::<[T; 4]>().write(from.add(i).cast::<[T; 4]>().read());
            // Without this the compiler makes the loop a call again.
            std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
            i += 4;
        }
        while i < n {
            *to.add(i) = *from.add(i);
            std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
            i += 1;
        }
    }
}
