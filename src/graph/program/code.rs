//! Code under construction: operations on places that are not yet at an address.

use std::collections::HashMap;
use std::sync::Arc;

use super::kernels::Kernel;
use super::lir::Map;
use crate::graph::shape::Index;

/// What an address counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base {
    /// A buffer of the workspace.
    Buffer(u32),
    /// Numbers copied into the workspace at the start.
    Pool,
    Input(u32),
    Output(u32),
    /// Data kept by the program.
    Data(u32),
    /// An index table kept by the program; offsets and steps count entries.
    Table(u32),
}

/// A place: so many numbers behind a base, and `step` further in every trip of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Loc {
    pub base: Base,
    pub off: usize,
    pub step: isize,
}

impl Loc {
    /// The place `count` further.
    pub fn plus(self, count: usize) -> Loc {
        Loc { off: self.off + count, ..self }
    }

    /// The same place at the first trip, moving by `step`.
    pub fn stepping(self, step: isize) -> Loc {
        Loc { step, ..self }
    }
}

/// What a kernel call is, for people.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Map(Map),
    Other(&'static str),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Map(Map::Unary(u)) => write!(f, "{u:?}"),
            Name::Map(Map::Binary(b)) => write!(f, "{b:?}"),
            Name::Map(Map::Ternary(t)) => write!(f, "{t:?}"),
            Name::Map(Map::Joined(j)) => write!(f, "{j:?}"),
            Name::Other(s) => f.write_str(s),
        }
    }
}

/// One kernel call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Micro {
    pub name: Name,
    pub kernel: Kernel,
    /// Kernel and count for the last trip of a loop, where they may differ.
    pub last: (Kernel, usize),
    pub d: Loc,
    pub a: Loc,
    pub b: Loc,
    pub c: Loc,
    pub n: usize,
}

/// A loop: `trips` times the operations, the last time with their last kernels.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    pub trips: usize,
    pub ops: Vec<Micro>,
    /// Loops inside, each with the number of operations before it. Nothing in them moves with this one.
    pub inner: Vec<(usize, Cycle)>,
    /// What it is, for people.
    pub label: String,
}

impl Cycle {
    /// All operations, those of inner loops too.
    pub fn each(&self, f: &mut impl FnMut(&Micro)) {
        self.ops.iter().for_each(&mut *f);
        for (_, inner) in &self.inner {
            inner.each(f);
        }
    }

    /// Most pointers in use at one time.
    pub fn pointers(&self) -> usize {
        let inner = self.inner.iter().map(|(_, c)| c.pointers()).max();
        4 * self.ops.len() + inner.unwrap_or(0)
    }
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Op(Micro),
    Cycle(Cycle),
}

/// What makes two tables the same.
#[derive(PartialEq, Eq, Hash)]
enum TableKey {
    /// One piece of memory.
    Shared(usize, usize),
    Rule(Index),
}

/// What the pool holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    Number(f64),
    /// A parameter of a kernel.
    Param(usize),
}

/// Steps in order with all they refer to.
pub(super) struct Code {
    pub steps: Vec<Step>,
    /// Inputs copied into the workspace before the steps: which, where to, how many.
    pub imports: Vec<(usize, Loc, usize)>,
    /// Outputs copied from the workspace after the steps: which, where from, how many.
    pub exports: Vec<(usize, Loc, usize)>,
    /// Numbers in each buffer.
    pub buffers: Vec<usize>,
    pub pool: Vec<Word>,
    /// Numbers of a vector: small data is padded to whole ones.
    vector: usize,
    pub data: Vec<Arc<[f64]>>,
    pub tables: Vec<Arc<[u32]>>,
    /// Data matrices in tiles, by their address, the rows of a tile, and whether they are in single precision.
    pub packed: HashMap<(usize, usize, bool), Loc>,
    /// Data whose addresses stand for it: it must not go while code is made.
    pub pinned: Vec<Arc<[f64]>>,
    known_tables: HashMap<TableKey, u32>,
    scalars: HashMap<u64, usize>,
    params: HashMap<Vec<usize>, usize>,
}

/// Data up to this many numbers is copied into the workspace, and so much in all.
const POOLED: (usize, usize) = (256, 4096);

impl Code {
    /// No code, for vectors of so many numbers.
    pub fn new(vector: usize) -> Code {
        Code {
            steps: vec![],
            imports: vec![],
            exports: vec![],
            buffers: vec![],
            pool: vec![],
            vector,
            data: vec![],
            tables: vec![],
            packed: HashMap::new(),
            pinned: vec![],
            known_tables: HashMap::new(),
            scalars: HashMap::new(),
            params: HashMap::new(),
        }
    }

    /// A new buffer.
    pub fn buffer(&mut self, count: usize) -> Loc {
        self.buffers.push(count);
        fixed(Base::Buffer(self.buffers.len() as u32 - 1))
    }

    /// Data, in the pool where it is small.
    pub fn data(&mut self, x: &Arc<[f64]>) -> Loc {
        if x.len() == 1 {
            let bits = x[0].to_bits();
            let off = *self.scalars.entry(bits).or_insert_with(|| {
                self.pool.push(Word::Number(x[0]));
                self.pool.len() - 1
            });
            return fixed(Base::Pool).plus(off);
        }
        if x.len() <= POOLED.0 && self.pool.len() + x.len() <= POOLED.1 {
            // Whole vectors may be read behind the end.
            let start = self.pool.len().next_multiple_of(self.vector);
            self.pool.resize(start, Word::Number(0.0));
            self.pool.extend(x.iter().map(|x| Word::Number(*x)));
            let end = self.pool.len().next_multiple_of(self.vector);
            self.pool.resize(end, Word::Number(0.0));
            return fixed(Base::Pool).plus(start);
        }
        self.large(x.clone())
    }

    /// Data that stays where it is.
    pub fn large(&mut self, x: Arc<[f64]>) -> Loc {
        self.data.push(x);
        fixed(Base::Data(self.data.len() as u32 - 1))
    }

    /// Parameters of a kernel.
    pub fn params(&mut self, x: &[usize]) -> Loc {
        let pool = &mut self.pool;
        let off = *self.params.entry(x.to_vec()).or_insert_with(|| {
            pool.extend(x.iter().map(|&k| Word::Param(k)));
            pool.len() - x.len()
        });
        fixed(Base::Pool).plus(off)
    }

    /// The table of an index map.
    pub fn table(&mut self, index: &Index) -> Loc {
        let key = match index {
            Index::Table(t) => TableKey::Shared(t.as_ptr() as usize, t.len()),
            _ => TableKey::Rule(index.clone()),
        };
        let tables = &mut self.tables;
        let k = *self.known_tables.entry(key).or_insert_with(|| {
            tables.push(match index {
                Index::Table(t) => t.clone(),
                _ => (0..index.len()).map(|j| index.at(j) as u32).collect(),
            });
            tables.len() as u32 - 1
        });
        fixed(Base::Table(k))
    }
}

fn fixed(base: Base) -> Loc {
    Loc { base, off: 0, step: 0 }
}

/// The k-th input.
pub(super) fn input(k: u32) -> Loc {
    fixed(Base::Input(k))
}

/// The k-th output.
pub(super) fn output(k: u32) -> Loc {
    fixed(Base::Output(k))
}
