//! Splits one loop into array operations and the loops that remain.

use super::affine::Affine;
use super::body::Body;
use super::{hoist, terms};
use crate::graph::Graph;
use crate::graph::op::{Op, Scan, Var};
use crate::graph::vmap::{self, Value};

/// Largest number of elements of a stack that exists only because of the split.
const LARGEST_STACK: usize = 1 << 20;

/// Computes the `used` outputs of a loop (in the order of `Proj`) on `args`.
pub(super) fn run(g: &mut Graph, scan: &Scan, args: &[Var], used: &[bool]) -> Vec<Option<Var>> {
    let inner = with_hoisted_body(scan);
    let scan = inner.as_ref().unwrap_or(scan);
    if scan.len == 0 {
        return unsplit(g, scan, args, used);
    }
    let scan = &terms::reordered(scan);
    let mut split = Split::new(g, scan, args, used);
    split.solve();
    split.outputs()
}

fn unsplit(g: &mut Graph, scan: &Scan, args: &[Var], used: &[bool]) -> Vec<Option<Var>> {
    let copy = Scan { body: scan.body.clone(), next: scan.next.clone(), ys: scan.ys.clone(), ..*scan };
    let at = g.push_tidy_scan(copy, args);
    let read = |(k, on): (usize, &bool)| on.then(|| g.proj(at, k));
    used.iter().enumerate().map(read).collect()
}

/// The loop with the loops of its body split.
fn with_hoisted_body(scan: &Scan) -> Option<Scan> {
    let nested = |n: &crate::graph::Node| matches!(n.op, Op::Scan(_));
    if !scan.body.nodes().iter().any(nested) {
        return None;
    }
    let roots = [&scan.next[..], &scan.ys].concat();
    let (body, mut next) = hoist(&scan.body, &roots);
    let ys = next.split_off(scan.next.len());
    Some(Scan { body, len: scan.len, xs: scan.xs, next, ys, reverse: scan.reverse })
}

/// The state of a split: which nodes of the body are known outside the loop.
pub(super) struct Split<'a> {
    pub g: &'a mut Graph,
    pub scan: &'a Scan,
    pub args: &'a [Var],
    /// Outputs that are read, in the order of `Proj`.
    pub used: &'a [bool],
    /// Outer value of each node of the body, where it is known.
    pub values: Vec<Option<Value>>,
    /// Final carries, where they are known.
    pub finals: Vec<Option<Var>>,
}

impl<'a> Split<'a> {
    fn new(g: &'a mut Graph, scan: &'a Scan, args: &'a [Var], used: &'a [bool]) -> Self {
        let n = scan.next.len();
        let mut values = vec![None; scan.body.nodes().len()];
        for (k, input) in scan.body.inputs().iter().enumerate().skip(n) {
            values[input.var.index()] =
                Some(if k < n + scan.xs { Value::stack(args[k]) } else { Value::fixed(args[k]) });
        }
        Split { g, scan, args, used, values, finals: vec![None; n] }
    }

    pub fn value(&self, v: Var) -> Option<Value> {
        self.values[v.index()]
    }

    /// Input of the k-th carry in the body.
    pub fn carry(&self, k: usize) -> Var {
        self.scan.body.inputs()[k].var
    }

    pub fn open_carries(&self) -> Vec<usize> {
        (0..self.finals.len()).filter(|&k| self.finals[k].is_none()).collect()
    }

    /// Nodes not known yet that `roots` depend on.
    pub fn open(&self, roots: impl Iterator<Item = Var>) -> Vec<bool> {
        let nodes = self.scan.body.nodes();
        let mut open = vec![false; nodes.len()];
        for r in roots {
            open[r.index()] = self.value(r).is_none();
        }
        for i in (0..nodes.len()).rev() {
            if open[i] {
                for a in &nodes[i].args {
                    open[a.index()] |= self.value(*a).is_none();
                }
            }
        }
        open
    }

    /// Everything that is still to be computed.
    fn wanted(&self) -> Vec<bool> {
        let next = self.open_carries().into_iter().map(|k| self.scan.next[k]);
        self.open(next.chain(self.scan.ys.iter().copied()))
    }

    fn solve(&mut self) {
        loop {
            self.resolve();
            if !self.wanted().contains(&true) && self.open_carries().is_empty() {
                return;
            }
            match self.first_group() {
                Some(group) => self.recur(&group),
                None => self.emit_map(),
            }
        }
    }

    /// Computes what can be computed as stacks, until nothing more can.
    fn resolve(&mut self) {
        loop {
            let mut progress = false;
            let wanted = self.wanted();
            for (i, on) in wanted.iter().enumerate() {
                if *on && self.values[i].is_none() {
                    self.values[i] = self.as_stack(i);
                    progress |= self.values[i].is_some();
                }
            }
            for k in self.open_carries() {
                progress |= self.known_carry(k);
            }
            if !progress {
                return;
            }
        }
    }

    fn as_stack(&mut self, i: usize) -> Option<Value> {
        let node = &self.scan.body.nodes()[i];
        if matches!(node.op, Op::Input(_)) {
            return None;
        }
        let args: Option<Vec<Value>> = node.args.iter().map(|a| self.value(*a)).collect();
        let args = args?;
        let len = self.scan.len;
        if args.iter().any(|a| a.stacked) && !self.can_leave(i) {
            return None;
        }
        let kept = self.g.origin();
        self.g.set_origin(node.origin);
        let value = vmap::apply(self.g, &node.op, node.shape, &args, len);
        self.g.set_origin(kept);
        value
    }

    /// Carries that depend on each other and on no other open one.
    fn first_group(&self) -> Option<Vec<usize>> {
        let carries = self.open_carries();
        let direct: Vec<Vec<usize>> = carries
            .iter()
            .map(|&k| {
                let open = self.open(std::iter::once(self.scan.next[k]));
                let on = |j: &usize| open[self.carry(*j).index()];
                carries.iter().copied().filter(on).collect()
            })
            .collect();
        let place = |k: usize| carries.iter().position(|c| *c == k);
        let reach = |k: usize| {
            let mut seen = direct[place(k).unwrap_or(0)].clone();
            let mut at = 0;
            while at < seen.len() {
                for j in &direct[place(seen[at]).unwrap_or(0)] {
                    if !seen.contains(j) {
                        seen.push(*j);
                    }
                }
                at += 1;
            }
            seen.sort_unstable();
            if seen.is_empty() { vec![k] } else { seen }
        };
        carries.iter().map(|&k| reach(k)).min_by_key(Vec::len)
    }

    /// Runs the recurrence of a group of carries.
    fn recur(&mut self, group: &[usize]) {
        if let [k] = *group
            && let Some(form) = Affine::of_carry(self, k)
        {
            let adds = self.g.constant_scalar(form.a.var) == Some(1.0);
            if adds && !self.is_traced(k) {
                self.emit_total(k, form.b);
            } else {
                self.emit_affine(k, form);
            }
            return;
        }
        self.emit_loop(group);
    }

    /// A loop over the carries of a group with what their recurrence needs; values of it that are read
    /// elsewhere are its per-step outputs.
    fn emit_loop(&mut self, group: &[usize]) {
        let nodes = self.scan.body.nodes();
        let mut core = self.open(group.iter().map(|&k| self.scan.next[k]));
        let others: Vec<Var> = self
            .open_carries()
            .into_iter()
            .filter(|k| !group.contains(k))
            .map(|k| self.scan.next[k])
            .chain(self.scan.ys.iter().copied())
            .collect();
        let wanted = self.open(others.iter().copied());
        let mut read = vec![false; nodes.len()];
        for v in &others {
            read[v.index()] = true;
        }
        for (i, node) in nodes.iter().enumerate() {
            if !wanted[i] || core[i] {
                continue;
            }
            // What reads a value that cannot leave the loop comes along.
            let bound = |a: &Var| core[a.index()] && !self.can_leave(a.index());
            let inside = |a: &Var| core[a.index()] || self.value(*a).is_some();
            core[i] = node.args.iter().any(bound) && node.args.iter().all(inside);
            if !core[i] {
                node.args.iter().for_each(|a| read[a.index()] = true);
            }
        }
        for i in (0..nodes.len()).rev() {
            // A reshape costs nothing outside: what it reads is exported.
            let free = matches!(nodes[i].op, Op::Reshape) && {
                let a = nodes[i].args[0];
                core[a.index()] && self.can_leave(a.index())
            };
            if core[i] && read[i] && free {
                read[i] = false;
                read[nodes[i].args[0].index()] = true;
            }
        }
        let exported: Vec<usize> = (0..nodes.len())
            .filter(|&i| core[i] && wanted[i] && read[i])
            .filter(|&i| !matches!(nodes[i].op, Op::Input(_)) && self.can_leave(i))
            .collect();
        self.emit_part(group, &core, &exported);
    }

    /// Whether a node of the loop can become a stack: rank 4 has no room for the axis of steps, a loop
    /// is no array, and large stacks cost more than they save (where nobody asked for them).
    fn can_leave(&self, i: usize) -> bool {
        let node = &self.scan.body.nodes()[i];
        if matches!(node.op, Op::Input(_)) {
            return true;
        }
        let room = node.shape.rank() < 4 && !matches!(node.op, Op::Scan(_));
        let asked = self.scan.ys.iter().any(|y| y.index() == i);
        room && (asked || self.scan.len * node.shape.count() <= LARGEST_STACK)
    }

    /// A loop without carries over what has no form on stacks.
    fn emit_map(&mut self) {
        let roots: Vec<usize> = self.scan.ys.iter().map(|y| y.index()).filter(|&i| self.values[i].is_none()).collect();
        let core = self.wanted();
        self.emit_part(&[], &core, &roots);
    }

    fn emit_part(&mut self, group: &[usize], core: &[bool], exported: &[usize]) {
        let nodes = self.scan.body.nodes();
        let mut body = Body::new(self.g, self.args);
        let mut map: Vec<Option<Var>> = vec![None; nodes.len()];
        for &k in group {
            map[self.carry(k).index()] = Some(body.carry(self.g, self.args[k]));
        }
        let mut border: Vec<Var> = (0..nodes.len())
            .filter(|&i| core[i])
            .flat_map(|i| nodes[i].args.iter().copied())
            .chain(group.iter().map(|&k| self.scan.next[k]))
            .filter(|a| self.value(*a).is_some())
            .collect();
        border.sort_unstable();
        border.dedup();
        let outside: Vec<Value> = border.iter().filter_map(|v| self.value(*v)).collect();
        for (v, input) in border.iter().zip(body.reads(self.g, &outside)) {
            map[v.index()] = Some(input);
        }
        let find = |map: &[Option<Var>], v: Var| map[v.index()].expect("arguments come first");
        for i in (0..nodes.len()).filter(|&i| core[i]) {
            if !matches!(nodes[i].op, Op::Input(_)) {
                let args = nodes[i].args.iter().map(|a| find(&map, *a)).collect();
                map[i] = Some(body.graph.emit_like(&nodes[i], args));
            }
        }
        let next = group.iter().map(|&k| find(&map, self.scan.next[k]));
        let next = next.collect();
        let ys = exported.iter().map(|&i| find(&map, Var(i as u32)));
        let ys = ys.collect();
        let at = body.finish(self.g, self.scan, next, ys);
        let m = group.len();
        for (j, &k) in group.iter().enumerate() {
            let (last, trace) = (self.g.proj(at, j), self.g.proj(at, m + j));
            self.set_carry(k, Value::stack(trace), last);
        }
        for (j, &i) in exported.iter().enumerate() {
            self.values[i] = Some(Value::stack(self.g.proj(at, 2 * m + j)));
        }
    }

    fn outputs(&mut self) -> Vec<Option<Var>> {
        let (n, len) = (self.scan.next.len(), self.scan.len);
        (0..self.used.len())
            .map(|k| {
                if !self.used[k] {
                    return None;
                }
                if k < n {
                    return self.finals[k];
                }
                let v = if k < 2 * n { self.carry(k - n) } else { self.scan.ys[k - 2 * n] };
                let value = self.value(v).expect("everything is known");
                Some(value.full(self.g, len))
            })
            .collect()
    }
}
