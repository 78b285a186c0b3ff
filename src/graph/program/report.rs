//! What a program is and where its time goes, for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use super::Program;
use super::link::{Linked, Loop, Stage};
use super::number::Real;
use super::run;

/// Time of one operation.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The stage it belongs to, as [`Program::describe`] numbers them.
    pub stage: usize,
    /// What it is.
    pub name: String,
    /// Nanoseconds in one run.
    pub nanoseconds: f64,
}

impl<T: Real> Program<T> {
    /// The stages in order, with their operations and the memory of the whole.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "{} lanes, {} at a time, workspace {} bytes, data {} bytes\n",
            self.lanes,
            self.own,
            size_of::<T>() * self.scratch(),
            size_of::<T>() * self.code.data.iter().map(|d| d.len()).sum::<usize>(),
        );
        for (k, stage) in self.code.stages.iter().enumerate() {
            let title = match stage {
                Stage::Block(ops) => format!("sequence of {}", ops.len()),
                Stage::Call(..) => "call".to_string(),
                Stage::Loop(l) => format!("loop: {} trips, {}", l.trips, l.label),
            };
            let _ = writeln!(text, "{k:3} {title}: {}", names(&self.code, k));
        }
        text
    }

    /// Times every operation on its own, many times over; the sum is near the time of a run. Takes
    /// [`Program::width`] particles.
    ///
    /// # Panics
    /// Where an argument has the wrong size.
    pub fn profile(&self, inputs: &[&[T]], outputs: &mut [&mut [T]], ws: &mut [T]) -> Vec<Timing> {
        let run = self.prepare(inputs, outputs, ws);
        // SAFETY: `prepare` has checked the sizes.
        unsafe { run.all() };
        let mut timings = vec![];
        for (k, stage) in self.code.stages.iter().enumerate() {
            let mut add = |name: String, f: &mut dyn FnMut()| {
                timings.push(Timing { stage: k, name, nanoseconds: time(f) });
            };
            let label = |i: usize| self.code.names[k][i].to_string();
            match stage {
                Stage::Block(ops) => {
                    for (i, op) in ops.iter().enumerate() {
                        // SAFETY: as in a run; repeated, an operation reads and writes the same places.
                        add(label(i), &mut || unsafe { run::block(&[*op], run.workspace()) });
                    }
                }
                Stage::Call(..) => {
                    // SAFETY: as in a run.
                    add(label(0), &mut || unsafe { run.stage(stage) });
                }
                Stage::Loop(l) if !l.inner.is_empty() => {
                    // SAFETY: as in a run.
                    add("loops".to_string(), &mut || unsafe { run.stage(stage) });
                }
                Stage::Loop(l) => {
                    for i in 0..l.ops.len() {
                        let alone = Stage::Loop(only(l, i));
                        // SAFETY: as in a run.
                        add(label(i), &mut || unsafe { run.stage(&alone) });
                    }
                }
            }
        }
        timings
    }
}

/// A loop with one of its operations.
fn only(l: &Loop, i: usize) -> Loop {
    Loop { ops: vec![l.ops[i]], last: vec![l.last[i]], ..l.clone() }
}

/// The operations of a stage, each with how often it occurs.
fn names(code: &Linked<impl Sized>, k: usize) -> String {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for name in &code.names[k] {
        *count.entry(name.to_string()).or_default() += 1;
    }
    let parts: Vec<String> =
        count.into_iter().map(|(name, n)| if n > 1 { format!("{n} {name}") } else { name }).collect();
    parts.join(", ")
}

/// Smallest nanoseconds of a call over a few batches.
fn time(f: &mut dyn FnMut()) -> f64 {
    let batch = |calls: u32, f: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    };
    let first = batch(1, f);
    let calls = (20_000.0 / first.max(1.0)).clamp(1.0, 5000.0) as u32;
    (0..10).map(|_| batch(calls, f)).fold(first, f64::min)
}
