//! Where the values of a fused loop are: tiles, arrays before and after it, and arrays it writes over.

use super::code::Loc;
use super::emit::Emitter;
use super::fused::Fused;
use super::kernels::moves;
use super::lir::{Op, V};
use super::reading::Kind;
use super::schedule::{flows, reads_elements};

impl Emitter<'_> {
    /// True where the value of `v` must be there after the loop.
    pub(super) fn is_wanted_outside(&self, f: &Fused, v: V) -> bool {
        self.leaves(f, v) || self.part_of(v).is_some()
    }

    /// True where something outside the loop reads `v`.
    fn leaves(&self, f: &Fused, v: V) -> bool {
        self.lir.outputs.contains(&v)
            || self.readers[v.at()].iter().any(|r| !(f.pending.contains_key(r) && flows(self.lir, v, *r)))
    }

    /// Where the tile of an operand is, and how it is read.
    pub(super) fn fused_operand(&mut self, f: &mut Fused, a: V) -> (Loc, Kind) {
        if let Some(&at) = f.here.get(&a) {
            return (at, Kind::Vector);
        }
        let kind = self.kind(a, f.domain.n, f.domain.wide);
        let step = match kind {
            Kind::Vector => f.width(),
            Kind::Moving => f.elements,
            Kind::Row | Kind::Fixed => 0,
        };
        let at = self.value(a);
        f.sources.push(a);
        (if step > 0 { at.stepping(step as isize) } else { at }, kind)
    }

    /// An operand that a kernel must find with all its doubles: a row repeated over a tile before the
    /// loop starts, or one number after another repeated over the lanes.
    pub(super) fn written_out(&mut self, f: &mut Fused, a: V, from: Loc, kind: Kind) -> Loc {
        if let Some(&at) = f.ready.get(&a) {
            return at;
        }
        let width = f.width();
        let at = self.code.buffer(width);
        if kind == Kind::Row {
            self.push(moves::repeat_kernel(f.lanes), at, [from; 3], width);
        } else {
            f.plain(moves::expand_kernel(f.lanes), at, [from; 3]);
        }
        f.ready.insert(a, at);
        at
    }

    /// Where the tile of `v` goes: to its place outside if something there reads it.
    pub(super) fn fused_dest(&mut self, f: &mut Fused, v: V) -> Loc {
        let at = if self.is_wanted_outside(f, v) {
            if let Some(room) = self.used_up(f, v) {
                f.taken.insert(room.base);
                self.loc[v.at()] = Some(room);
                self.own[v.at()] = true;
            }
            self.dest(v).stepping(f.width() as isize)
        } else {
            f.tile()
        };
        f.here.insert(v, at);
        at
    }

    /// The buffer of an array that this loop reads element by element, has read, and that nothing reads
    /// afterwards: `v`, an elementwise formula, can take its place.
    fn used_up(&self, f: &Fused, v: V) -> Option<Loc> {
        let node = self.lir.node(v);
        if self.loc[v.at()].is_some()
            || self.part_of(v).is_some()
            || self.lir.outputs.contains(&v)
            || !matches!(node.op, Op::Map(_))
        {
            return None;
        }
        let free = |a: V| {
            let array = self.lir.node(a);
            let alike = array.n == node.n && array.wide == node.wide && self.own[a.at()];
            let read = |r: &V| f.emitted.contains(r) && reads_elements(self.lir, a, *r);
            alike && !self.lir.outputs.contains(&a) && self.readers[a.at()].iter().all(read)
        };
        // Another node may have its place in the same buffer: the carries of a loop and the array of them.
        let alone = |at: &Loc| self.loc.iter().flatten().filter(|other| other.base == at.base).count() == 1;
        let place = |a: &V| self.loc[a.at()].filter(|at| free(*a) && !f.taken.contains(&at.base) && alone(at));
        f.sources.iter().find_map(place)
    }
}
