//! Runs of a program on any number of particles: the code sees groups of its own width.

use super::link::{line, room};
use super::number::Real;
use super::run::{Run, copy};
use super::{Program, Slot};

/// What a run works on, at one place in the workspace.
struct Frame<T> {
    /// Pointers to the arguments: inputs, then outputs.
    arguments: Pointers<T>,
    /// Pointers to the particles of one group.
    group: Pointers<T>,
    /// Room for these, input by input, then output by output.
    room: *mut T,
    /// The workspace of the code.
    ws: *mut T,
}

struct Pointers<T> {
    inputs: *mut *const T,
    outputs: *mut *mut T,
}

impl<T> Clone for Pointers<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Pointers<T> {}

impl<T: Real> Program<T> {
    /// Numbers of workspace that a run needs, on any number of particles.
    pub fn scratch(&self) -> usize {
        line::<T>() + 2 * self.tables + self.group + self.code.scratch
    }

    /// Computes the outputs for [`Program::lanes`] particles. A value that differs by particle is stored
    /// `[count][lanes]`, one that does not `[count]`. The workspace may hold anything. Values that begin at
    /// a cache line are read and written fastest.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub fn run(&self, inputs: &[&[T]], outputs: &mut [&mut [T]], ws: &mut [T]) {
        self.run_many(self.lanes, inputs, outputs, ws);
    }

    /// Computes the outputs for `n` particles, stored `[count][n]` where they differ. A particle's values
    /// have the same bits whatever its place, its company and `n` are.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub fn run_many(&self, n: usize, inputs: &[&[T]], outputs: &mut [&mut [T]], ws: &mut [T]) {
        let mut right = inputs.len() == self.inputs.len() && outputs.len() == self.outputs.len();
        for (x, s) in inputs.iter().zip(&self.inputs) {
            right &= x.len() == s.size(n);
        }
        for (y, s) in outputs.iter().zip(&self.outputs) {
            right &= y.len() == s.size(n);
        }
        let frame = self.frame(right, ws);
        // SAFETY: the frame has room for a pointer for each argument; the sizes are right.
        unsafe {
            for (k, x) in inputs.iter().enumerate() {
                *frame.arguments.inputs.add(k) = x.as_ptr();
            }
            for (k, y) in outputs.iter_mut().enumerate() {
                *frame.arguments.outputs.add(k) = y.as_mut_ptr();
            }
            self.drive(n, &frame);
        }
    }

    /// [`Program::run_many`] on inputs that follow one another in `x`, a first output, and others that follow
    /// one another in `rest`: a density with its gradient.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub fn run_flat(&self, n: usize, x: &[T], first: &mut [T], rest: &mut [T], ws: &mut [T]) {
        let total = |slots: &[Slot]| slots.iter().map(|s| s.size(n)).sum::<usize>();
        let right = self.outputs.first().is_some_and(|s| first.len() == s.size(n))
            && x.len() == total(&self.inputs)
            && rest.len() == total(&self.outputs[1..]);
        let frame = self.frame(right, ws);
        // SAFETY: the frame has room for a pointer for each argument; the pieces cover the slices.
        unsafe {
            let mut at = x.as_ptr();
            for (k, s) in self.inputs.iter().enumerate() {
                *frame.arguments.inputs.add(k) = at;
                at = at.add(s.size(n));
            }
            *frame.arguments.outputs = first.as_mut_ptr();
            let mut at = rest.as_mut_ptr();
            for (k, s) in self.outputs.iter().enumerate().skip(1) {
                *frame.arguments.outputs.add(k) = at;
                at = at.add(s.size(n));
            }
            self.drive(n, &frame);
        }
    }

    /// Lays out the workspace.
    ///
    /// # Panics
    /// Where a size is wrong.
    fn frame(&self, right: bool, ws: &mut [T]) -> Frame<T> {
        assert!(right, "sizes of the arguments of a program");
        assert!(ws.len() >= self.scratch(), "size of the workspace of a program");
        // Numbers up to the next cache line.
        let start = (ws.as_ptr().addr() / size_of::<T>()).wrapping_neg() % line::<T>();
        // SAFETY: `scratch` counts all of this; the tables of pointers begin at cache lines.
        unsafe {
            let ws = ws.as_mut_ptr().add(start);
            let pointers =
                |at: *mut T| Pointers { inputs: at.cast(), outputs: at.add(room::<T>(self.inputs.len())).cast() };
            Frame {
                arguments: pointers(ws),
                group: pointers(ws.add(self.tables)),
                room: ws.add(2 * self.tables),
                ws: ws.add(2 * self.tables + self.group),
            }
        }
    }

    /// Runs the code on `n` particles.
    ///
    /// # Safety
    /// The arguments of the frame have the sizes for `n` particles.
    #[inline(always)]
    unsafe fn drive(&self, n: usize, frame: &Frame<T>) {
        // SAFETY: the caller's contract.
        unsafe {
            if n == self.own {
                self.start(frame.arguments, frame).all();
            } else {
                self.in_groups(n, frame);
            }
        }
    }

    /// One group of particles after another.
    ///
    /// # Safety
    /// As for [`Program::drive`].
    #[inline(never)]
    unsafe fn in_groups(&self, n: usize, frame: &Frame<T>) {
        // SAFETY: the room is large enough for each value with lanes; `first` is a particle.
        unsafe {
            self.point_to_group(frame);
            for first in (0..n).step_by(self.own) {
                self.read(frame, first, n);
                self.start(frame.group, frame).all();
                self.write(frame, first, n);
            }
        }
    }

    /// # Safety
    /// The pointers are valid for the sizes of the code's arguments.
    #[inline(always)]
    unsafe fn start(&self, p: Pointers<T>, frame: &Frame<T>) -> Run<'_, T> {
        // SAFETY: the caller's contract; the frame has the code's workspace at a cache line.
        unsafe { Run::start(&self.code, p.inputs, p.outputs, frame.ws) }
    }

    /// A run of one group on the arguments themselves, for timing.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub(super) fn prepare(&self, inputs: &[&[T]], outputs: &mut [&mut [T]], ws: &mut [T]) -> Run<'_, T> {
        self.run_many(self.own, inputs, outputs, ws);
        let frame = self.frame(true, ws);
        // SAFETY: the run has checked the sizes and left the pointers.
        unsafe { self.start(frame.arguments, &frame) }
    }

    /// Values with lanes are read and written in the group, others where they are.
    ///
    /// # Safety
    /// The frame is this program's.
    unsafe fn point_to_group(&self, frame: &Frame<T>) {
        let (from, to) = (frame.arguments, frame.group);
        let mut at = frame.room;
        // SAFETY: there is room for all of them.
        unsafe {
            for (k, s) in self.inputs.iter().enumerate() {
                *to.inputs.add(k) = if s.wide { at } else { *from.inputs.add(k) };
                at = at.add(s.in_group::<T>(self.own));
            }
            for (k, s) in self.outputs.iter().enumerate() {
                *to.outputs.add(k) = if s.wide { at } else { *from.outputs.add(k) };
                at = at.add(s.in_group::<T>(self.own));
            }
        }
    }

    /// Copies the particles from `first` on into the group; the last one stands for those behind the end.
    ///
    /// # Safety
    /// The sizes are right, `first < n`.
    unsafe fn read(&self, frame: &Frame<T>, first: usize, n: usize) {
        let some = self.own.min(n - first);
        for (k, s) in self.inputs.iter().enumerate().filter(|(_, s)| s.wide) {
            for j in 0..s.count {
                // SAFETY: element j of the particles is inside the input and inside the group.
                unsafe {
                    let from = (*frame.arguments.inputs.add(k)).add(j * n + first);
                    let to = (*frame.group.inputs.add(k)).cast_mut().add(j * self.own);
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
    unsafe fn write(&self, frame: &Frame<T>, first: usize, n: usize) {
        let some = self.own.min(n - first);
        for (k, s) in self.outputs.iter().enumerate().filter(|(_, s)| s.wide) {
            for j in 0..s.count {
                // SAFETY: element j of the particles is inside the output and inside the group.
                unsafe {
                    let to = (*frame.arguments.outputs.add(k)).add(j * n + first);
                    copy(to, (*frame.group.outputs.add(k)).add(j * self.own), some);
                }
            }
        }
    }
}
