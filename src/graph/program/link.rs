//! From code to a program: buffers get addresses, operations get offsets or pointers.

use std::collections::HashMap;
use std::sync::Arc;

use super::code::{Base, Code, Cycle, Loc, Micro, Name, Step, Word};
use super::kernels::Kernel;
use super::number::Number;

/// A kernel call: operands are offsets from the workspace in numbers, or numbers of pointers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instr {
    pub kernel: Kernel,
    pub d: u32,
    pub a: u32,
    pub b: u32,
    pub c: u32,
    pub n: u32,
}

/// An address that is known when a run starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address {
    /// Numbers from the start of the workspace.
    Workspace(usize),
    Input(u32, usize),
    Output(u32, usize),
    Data(u32, usize),
    Table(u32, usize),
}

/// A loop over pointers, in this order: into the workspace and moving, elsewhere and moving, elsewhere
/// and fixed, into the workspace and fixed.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub trips: usize,
    /// Offsets of the pointers into the workspace that move.
    pub inner_moving: Vec<usize>,
    /// Pointers to elsewhere.
    pub outer: Vec<Address>,
    /// Offsets of the pointers into the workspace that stay.
    pub inner_fixed: Vec<usize>,
    /// Bytes by which each of the first pointers moves in every trip.
    pub bytes: Vec<isize>,
    pub ops: Vec<Instr>,
    /// The operations of the last trip.
    pub last: Vec<Instr>,
    /// Loops inside, each with the number of operations before it.
    pub inner: Vec<(usize, Loop)>,
    pub label: String,
}

/// A stretch of a run.
#[derive(Debug)]
pub(super) enum Stage {
    /// Calls on the workspace alone.
    Block(Vec<Instr>),
    /// A call with operands elsewhere: result, three operands.
    Call(Kernel, [Address; 4], usize),
    Loop(Loop),
}

/// A copy between an input or output and the workspace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    /// Which input or output.
    pub k: usize,
    /// Where in the workspace.
    pub offset: usize,
    /// Numbers.
    pub count: usize,
}

/// Linked code.
pub(super) struct Linked<T> {
    pub stages: Vec<Stage>,
    /// What the operations of each stage are, for people.
    pub names: Vec<Vec<Name>>,
    /// Inputs copied into the workspace.
    pub imports: Vec<Transfer>,
    /// Outputs copied out of it.
    pub exports: Vec<Transfer>,
    /// Numbers of workspace from a cache line on.
    pub scratch: usize,
    /// Numbers of pointers at its start.
    pub pointers: usize,
    pub pool: Box<[T]>,
    pub data: Vec<Arc<[T]>>,
    pub tables: Vec<Arc<[u32]>>,
}

/// Numbers of a cache line; as many are behind the last buffer, where whole vectors may read or write.
pub(super) const fn line<T>() -> usize {
    64 / size_of::<T>()
}

/// Numbers that take the room of so many pointers.
pub(super) const fn room<T>(pointers: usize) -> usize {
    pointers * size_of::<*const T>() / size_of::<T>()
}

/// Gives every buffer its place.
pub(super) fn link<T: Number>(code: Code) -> Linked<T> {
    let pointers = code
        .steps
        .iter()
        .map(|s| match s {
            Step::Cycle(c) => c.pointers(),
            Step::Op(_) => 0,
        })
        .max()
        .unwrap_or(0);
    let pointers = room::<T>(pointers).next_multiple_of(line::<T>());
    let start = pointers + code.pool.len().next_multiple_of(line::<T>());
    let (offsets, end) = allocate::<T>(&code, start);
    let inside = |loc: Loc| match loc.base {
        Base::Buffer(k) => offsets[k as usize] + loc.off,
        _ => pointers + loc.off,
    };
    let transfer = |&(k, loc, count): &(usize, Loc, usize)| Transfer { k, offset: inside(loc), count };
    let imports = code.imports.iter().map(transfer).collect();
    let exports = code.exports.iter().map(transfer).collect();
    let address = |loc: Loc| match loc.base {
        Base::Buffer(k) => Address::Workspace(offsets[k as usize] + loc.off),
        Base::Pool => Address::Workspace(pointers + loc.off),
        Base::Input(k) => Address::Input(k, loc.off),
        Base::Output(k) => Address::Output(k, loc.off),
        Base::Data(k) => Address::Data(k, loc.off),
        Base::Table(k) => Address::Table(k, loc.off),
    };
    let (mut stages, mut names): (Vec<Stage>, Vec<Vec<Name>>) = (vec![], vec![]);
    for step in &code.steps {
        match step {
            Step::Op(op) => {
                push_op(&mut stages, op, address);
                names.resize(stages.len(), vec![]);
                names[stages.len() - 1].push(op.name);
            }
            Step::Cycle(c) => {
                stages.push(Stage::Loop(link_cycle::<T>(c, &address)));
                names.push(c.ops.iter().map(|op| op.name).collect());
            }
        }
    }
    Linked {
        stages,
        names,
        imports,
        exports,
        scratch: (end + line::<T>()).next_multiple_of(line::<T>()),
        pointers,
        pool: code.pool.into_iter().map(word).collect(),
        data: code.data.iter().map(T::data).collect(),
        tables: code.tables,
    }
}

fn word<T: Number>(word: Word) -> T {
    match word {
        Word::Number(x) => T::from_f64(x),
        Word::Param(k) => T::of_param(k),
    }
}

fn push_op(stages: &mut Vec<Stage>, op: &Micro, address: impl Fn(Loc) -> Address) {
    let at = [op.d, op.a, op.b, op.c].map(&address);
    let offset = |x: Address| match x {
        Address::Workspace(k) => Some(k as u32),
        _ => None,
    };
    let [Some(d), Some(a), Some(b), Some(c)] = at.map(offset) else {
        stages.push(Stage::Call(op.kernel, at, op.n));
        return;
    };
    let (kernel, n) = (op.kernel, op.n as u32);
    let instr = Instr { kernel, d, a, b, c, n };
    match stages.last_mut() {
        Some(Stage::Block(ops)) => ops.push(instr),
        _ => stages.push(Stage::Block(vec![instr])),
    }
}

fn link_cycle<T>(cycle: &Cycle, address: &impl Fn(Loc) -> Address) -> Loop {
    let mut locs: Vec<Loc> = vec![];
    let mut seen = std::collections::HashSet::new();
    for loc in cycle.ops.iter().flat_map(|op| [op.d, op.a, op.b, op.c]) {
        if seen.insert(loc) {
            locs.push(loc);
        }
    }
    let inside = |l: &Loc| matches!(l.base, Base::Buffer(_) | Base::Pool);
    locs.sort_by_key(|l| match (l.step != 0, inside(l)) {
        (true, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (false, true) => 3,
    });
    let number: HashMap<Loc, u32> = locs.iter().zip(0..).map(|(l, i)| (*l, i)).collect();
    let offsets = |moving: bool| -> Vec<usize> {
        locs.iter()
            .filter(|l| inside(l) && (l.step != 0) == moving)
            .filter_map(|l| match address(*l) {
                Address::Workspace(off) => Some(off),
                _ => None,
            })
            .collect()
    };
    let outer = locs.iter().filter(|l| !inside(l)).map(|l| address(*l));
    let outer: Vec<Address> = outer.collect();
    let bytes = locs
        .iter()
        .filter(|l| l.step != 0)
        .map(|l| l.step * if matches!(l.base, Base::Table(_)) { size_of::<u32>() } else { size_of::<T>() } as isize)
        .collect();
    let ops: Vec<Instr> = cycle
        .ops
        .iter()
        .map(|op| Instr {
            kernel: op.kernel,
            d: number[&op.d],
            a: number[&op.a],
            b: number[&op.b],
            c: number[&op.c],
            n: op.n as u32,
        })
        .collect();
    let last =
        ops.iter().zip(&cycle.ops).map(|(i, op)| Instr { kernel: op.last.0, n: op.last.1 as u32, ..*i }).collect();
    Loop {
        trips: cycle.trips,
        last,
        inner_moving: offsets(true),
        outer,
        inner_fixed: offsets(false),
        bytes,
        ops,
        inner: cycle.inner.iter().map(|(at, c)| (*at, link_cycle::<T>(c, address))).collect(),
        label: cycle.label.clone(),
    }
}

/// First and last step at which each buffer is touched.
fn intervals(code: &Code) -> Vec<(usize, usize)> {
    let mut live = vec![(usize::MAX, 0); code.buffers.len()];
    for (i, step) in code.steps.iter().enumerate() {
        let mut touch = |op: &Micro| {
            for loc in [op.d, op.a, op.b, op.c] {
                if let Base::Buffer(k) = loc.base {
                    let l = &mut live[k as usize];
                    *l = (l.0.min(i), l.1.max(i));
                }
            }
        };
        match step {
            Step::Op(op) => touch(op),
            Step::Cycle(c) => c.each(&mut touch),
        }
    }
    for (_, loc, _) in &code.imports {
        if let Base::Buffer(k) = loc.base {
            live[k as usize].0 = 0;
        }
    }
    for (_, loc, _) in &code.exports {
        if let Base::Buffer(k) = loc.base {
            live[k as usize].1 = code.steps.len();
        }
    }
    live
}

/// Offsets of the buffers from `start`, and the end: two that are live at one step never overlap.
fn allocate<T>(code: &Code, start: usize) -> (Vec<usize>, usize) {
    let live = intervals(code);
    let mut order: Vec<usize> = (0..live.len()).filter(|&k| live[k].0 <= live[k].1).collect();
    order.sort_by_key(|&k| live[k].0);
    let mut ends: Vec<usize> = order.clone();
    ends.sort_by_key(|&k| live[k].1);
    let (mut offsets, mut heap) = (vec![start; live.len()], Heap::new(start));
    let mut done = 0;
    for &k in &order {
        while live[ends[done]].1 < live[k].0 {
            heap.free(offsets[ends[done]], size::<T>(code, ends[done]));
            done += 1;
        }
        let (len, align) = size::<T>(code, k);
        offsets[k] = heap.take(len, align);
    }
    (offsets, heap.end)
}

/// Numbers and alignment of a buffer: whole vectors fit into what is longer than one number.
fn size<T>(code: &Code, k: usize) -> (usize, usize) {
    let line = line::<T>();
    match code.buffers[k] {
        0 | 1 => (1, 1),
        n if n <= line / 2 => (line / 2, line / 2),
        n => (n.next_multiple_of(line), line),
    }
}

/// Free pieces of the workspace below `end`, by offset.
struct Heap {
    free: std::collections::BTreeMap<usize, usize>,
    end: usize,
}

impl Heap {
    fn new(start: usize) -> Heap {
        Heap { free: Default::default(), end: start }
    }

    /// The smallest free piece that is large enough; else room at the end.
    fn take(&mut self, len: usize, align: usize) -> usize {
        let fits = |at: usize, size: usize| at.next_multiple_of(align) + len <= at + size;
        let best = self
            .free
            .iter()
            .filter(|&(&at, &size)| fits(at, size))
            .min_by_key(|&(_, &size)| size)
            .map(|(&at, &size)| (at, size));
        let (at, size) = match best {
            Some(piece) => {
                self.free.remove(&piece.0);
                piece
            }
            None => {
                let at = self.end;
                let size = at.next_multiple_of(align) + len - at;
                self.end += size;
                (at, size)
            }
        };
        let place = at.next_multiple_of(align);
        if place > at {
            self.free.insert(at, place - at);
        }
        if at + size > place + len {
            self.free.insert(place + len, at + size - place - len);
        }
        place
    }

    fn free(&mut self, mut at: usize, (mut len, _): (usize, usize)) {
        if let Some((&before, &size)) = self.free.range(..at).next_back()
            && before + size == at
        {
            self.free.remove(&before);
            at = before;
            len += size;
        }
        if let Some(&size) = self.free.get(&(at + len)) {
            self.free.remove(&(at + len));
            len += size;
        }
        self.free.insert(at, len);
    }
}
