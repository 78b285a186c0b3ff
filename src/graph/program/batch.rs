//! Runs of a program on any number of particles: the code sees groups of its own width.

use super::link::LINE;
use super::run::{Run, copy};
use super::{Program, Slot};

/// What a run works on, at one place in the workspace.
struct Frame {
    /// Pointers to inputs, then to outputs.
    inputs: *mut *const f64,
    outputs: *mut *mut f64,
    /// Room for the particles of one group, input by input, then output by output.
    group: *mut f64,
    /// The workspace of the code.
    ws: *mut f64,
}

impl Program {
    /// Doubles of workspace that a run needs, on any number of particles.
    pub fn scratch(&self) -> usize {
        LINE + self.tables + self.group + self.code.scratch
    }

    /// Computes the outputs for [`Program::lanes`] particles. A value that differs by particle is stored
    /// `[count][lanes]`, one that does not `[count]`. The workspace may hold anything. Values that begin at
    /// a cache line are read and written fastest.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub fn run(&self, inputs: &[&[f64]], outputs: &mut [&mut [f64]], ws: &mut [f64]) {
        self.run_many(self.lanes, inputs, outputs, ws);
    }

    /// Computes the outputs for `n` particles, stored `[count][n]` where they differ. A particle's values
    /// have the same bits whatever its place, its company and `n` are.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub fn run_many(&self, n: usize, inputs: &[&[f64]], outputs: &mut [&mut [f64]], ws: &mut [f64]) {
        self.check(n, inputs, outputs, ws);
        let frame = self.frame(inputs, outputs, ws);
        if n == self.own {
            // SAFETY: the sizes are right, and the frame holds a pointer for each argument.
            unsafe { self.start(&frame).all() };
        } else {
            self.in_groups(n, inputs, outputs, &frame);
        }
    }

    /// One group of particles after another.
    #[inline(never)]
    fn in_groups(&self, n: usize, inputs: &[&[f64]], outputs: &mut [&mut [f64]], frame: &Frame) {
        // SAFETY: the group has room for each value with lanes.
        unsafe { self.point_to_group(frame) };
        for first in (0..n).step_by(self.own) {
            // SAFETY: `first` is a particle; the sizes are right.
            unsafe {
                self.read(frame, inputs, first, n);
                self.start(frame).all();
                self.write(frame, outputs, first, n);
            }
        }
    }

    /// # Panics
    /// Where an argument has the wrong size.
    pub(super) fn check(&self, n: usize, inputs: &[&[f64]], outputs: &[&mut [f64]], ws: &[f64]) {
        let size = |s: &Slot| s.count * if s.wide { n } else { 1 };
        let right = inputs.iter().map(|x| x.len()).eq(self.inputs.iter().map(size));
        assert!(right, "sizes of the inputs of a program");
        let right = outputs.iter().map(|y| y.len()).eq(self.outputs.iter().map(size));
        assert!(right, "sizes of the outputs of a program");
        assert!(ws.len() >= self.scratch(), "size of the workspace of a program");
    }

    /// Lays out the workspace, the pointers going to the arguments themselves.
    fn frame(&self, inputs: &[&[f64]], outputs: &mut [&mut [f64]], ws: &mut [f64]) -> Frame {
        // Doubles up to the next cache line.
        let start = (ws.as_ptr().addr() / size_of::<f64>()).wrapping_neg() % LINE;
        // SAFETY: `scratch` counts all of this, and the check has compared it with the workspace; doubles and
        // pointers have the same size and alignment.
        unsafe {
            let ws = ws.as_mut_ptr().add(start);
            let frame = Frame {
                inputs: ws.cast(),
                outputs: ws.add(inputs.len()).cast(),
                group: ws.add(self.tables),
                ws: ws.add(self.tables + self.group),
            };
            for (k, x) in inputs.iter().enumerate() {
                *frame.inputs.add(k) = x.as_ptr();
            }
            for (k, y) in outputs.iter_mut().enumerate() {
                *frame.outputs.add(k) = y.as_mut_ptr();
            }
            frame
        }
    }

    /// # Safety
    /// The frame's pointers are valid for the sizes of the code's arguments.
    unsafe fn start(&self, frame: &Frame) -> Run<'_> {
        // SAFETY: the caller's contract; the frame has the code's workspace at a cache line.
        unsafe { Run::start(&self.code, frame.inputs, frame.outputs, frame.ws) }
    }

    /// A run of one group on the arguments themselves, for timing.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub(super) fn prepare(&self, inputs: &[&[f64]], outputs: &mut [&mut [f64]], ws: &mut [f64]) -> Run<'_> {
        self.check(self.own, inputs, outputs, ws);
        // SAFETY: the sizes are right.
        unsafe { self.start(&self.frame(inputs, outputs, ws)) }
    }

    /// Values with lanes are read and written in the group.
    ///
    /// # Safety
    /// The frame is this program's.
    unsafe fn point_to_group(&self, frame: &Frame) {
        let mut at = frame.group;
        // SAFETY: the group has room for all of them.
        unsafe {
            for (k, s) in self.inputs.iter().enumerate().filter(|(_, s)| s.wide) {
                *frame.inputs.add(k) = at;
                at = at.add(s.in_group(self.own));
            }
            for (k, s) in self.outputs.iter().enumerate().filter(|(_, s)| s.wide) {
                *frame.outputs.add(k) = at;
                at = at.add(s.in_group(self.own));
            }
        }
    }

    /// Copies the particles from `first` on into the group; the last one stands for those behind the end.
    ///
    /// # Safety
    /// The sizes are right, `first < n`.
    unsafe fn read(&self, frame: &Frame, inputs: &[&[f64]], first: usize, n: usize) {
        let some = self.own.min(n - first);
        for (k, s) in self.inputs.iter().enumerate().filter(|(_, s)| s.wide) {
            for j in 0..s.count {
                // SAFETY: element j of the particles is inside the input and inside the group.
                unsafe {
                    let from = inputs[k].as_ptr().add(j * n + first);
                    let to = (*frame.inputs.add(k)).cast_mut().add(j * self.own);
                    copy(to, from, some);
                    for l in some..self.own {
                        *to.add(l) = *from.add(some - 1);
                    }
                }
            }
        }
    }

    /// Copies the results of the group to the particles from `first` on.
    ///
    /// # Safety
    /// As for [`Program::read`].
    unsafe fn write(&self, frame: &Frame, outputs: &mut [&mut [f64]], first: usize, n: usize) {
        let some = self.own.min(n - first);
        for (k, s) in self.outputs.iter().enumerate().filter(|(_, s)| s.wide) {
            for j in 0..s.count {
                // SAFETY: element j of the particles is inside the output and inside the group.
                unsafe {
                    let to = outputs[k].as_mut_ptr().add(j * n + first);
                    copy(to, (*frame.outputs.add(k)).add(j * self.own), some);
                }
            }
        }
    }
}
