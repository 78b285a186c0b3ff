//! Cuts from a graph what some elements of it need, as a recipe with its leaves.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{Layout, Reads, layout};
use super::loops::{CutLoop, cut_loop, stepped};
use super::moved::{Need, Template};
use super::recipe::{Instr, Loop};
use crate::graph::{Graph, Index, Op, Var};

/// What an element of a node is to the one who cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Computed here.
    Own,
    /// Known at binding.
    Data,
    /// Computed elsewhere and shared.
    Shared,
    /// A coordinate of the row.
    Coordinate,
    /// An input of a loop's body.
    Input,
}

/// Says what elements are.
pub(super) trait Rule {
    fn class(&self, node: usize, element: usize) -> Class;

    /// Whether all elements of a node are [`Class::Shared`].
    fn is_shared(&self, _node: usize) -> bool {
        false
    }
}

/// A recipe and what its leaves read.
#[derive(Default)]
pub(super) struct Cut {
    pub recipe: Vec<Instr>,
    pub leaves: LeafReads,
}

/// What leaves read, in the order of the recipe.
#[derive(Debug, Default, PartialEq)]
pub(super) struct LeafReads {
    pub data: Vec<f64>,
    /// For each leaf, the node with its elements.
    pub shared: Vec<(u32, Reads)>,
    /// Node of the input and element.
    pub coordinates: Vec<(u32, u32)>,
}

/// The wanted elements of a node, and how they are made.
pub(super) struct Want {
    /// All elements, which are shared; then none is listed.
    whole: bool,
    own: Vec<u32>,
    pub leaves: Vec<u32>,
    class: Class,
    layout: Option<Layout>,
    cut_loop: Option<CutLoop>,
}

/// Elements of a node, by number.
pub(super) type Elements = (usize, Vec<u32>);

pub(super) struct Cutter<'a, R> {
    g: &'a Graph,
    rule: &'a R,
    pub wants: BTreeMap<usize, Want>,
    at: BTreeMap<usize, usize>,
    pub cut: Cut,
    /// Data of a body: one list for each leaf.
    pub chunks: Option<Vec<Vec<f64>>>,
}

/// Cuts out `seeds`; the last instruction of the recipe gives them, one after another. Beside it a template for rows
/// like this one, unless loops had to be cut.
pub(super) fn cut(g: &Graph, rule: &impl Rule, seeds: &[Elements]) -> (Cut, Option<Template>) {
    let mut c = Cutter::new(g, rule);
    c.collect(seeds);
    c.write();
    let parts: Vec<usize> = seeds.iter().map(|(node, elements)| c.pick(*node, elements)).collect();
    c.cut.recipe.push(Instr::Join(parts));
    let loops = c.wants.values().any(|w| w.cut_loop.is_some());
    let need = |(node, w): (usize, Want)| Need { node, whole: w.whole, own: w.own, leaves: w.leaves, class: w.class };
    let needs = || c.wants.into_iter().map(need).collect();
    let template = (!loops).then(|| Template { seeds: seeds.to_vec(), needs: needs() });
    (c.cut, template)
}

impl<'a, R: Rule> Cutter<'a, R> {
    pub fn new(g: &'a Graph, rule: &'a R) -> Self {
        Cutter { g, rule, wants: BTreeMap::new(), at: BTreeMap::new(), cut: Cut::default(), chunks: None }
    }

    /// What has to be known, from the seeds backward.
    pub fn collect(&mut self, seeds: &[Elements]) {
        let mut pending: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        let mut whole: BTreeSet<usize> = BTreeSet::new();
        let mut loops: BTreeMap<usize, BTreeMap<u32, Vec<u32>>> = BTreeMap::new();
        for (node, elements) in seeds {
            pending.entry(*node).or_default().extend(elements);
        }
        while let Some((i, mut elements)) = pending.pop_last() {
            elements.sort_unstable();
            elements.dedup();
            let node = &self.g.nodes()[i];
            if whole.contains(&i) {
                let (own, leaves) = (vec![], vec![]);
                let want = Want { whole: true, own, leaves, class: Class::Shared, layout: None, cut_loop: None };
                self.wants.insert(i, want);
                continue;
            }
            if let Op::Scan(s) = &node.op {
                let cut = cut_loop(s, &loops.remove(&i).unwrap_or_default());
                for (a, elements) in &cut.args {
                    let steps = stepped(s, *a, elements);
                    pending.entry(node.args[*a].index()).or_default().extend(steps);
                }
                let (own, leaves) = (vec![], vec![]);
                let want = Want { whole: false, own, leaves, class: Class::Own, layout: None, cut_loop: Some(cut) };
                self.wants.insert(i, want);
                continue;
            }
            let class = |j: &u32| self.rule.class(i, *j as usize);
            let (own, leaves): (Vec<u32>, Vec<u32>) = elements.iter().partition(|j| class(j) == Class::Own);
            let leaf = leaves.first().map_or(Class::Own, class);
            let mut laid = None;
            if let (Op::Proj(k), false) = (&node.op, own.is_empty()) {
                let at = node.args[0].index();
                loops.entry(at).or_default().entry(*k).or_default().extend(&own);
                pending.entry(at).or_default();
            } else if !own.is_empty() {
                let l = layout(self.g, node, &own);
                for (a, elements) in &l.reads {
                    let to = pending.entry(a.index()).or_default();
                    match elements {
                        Reads::These(list) => to.extend(list),
                        Reads::All if self.rule.is_shared(a.index()) => drop(whole.insert(a.index())),
                        Reads::All => to.extend(0..self.g.shape(*a).count() as u32),
                    }
                }
                laid = Some(l);
            }
            self.wants.insert(i, Want { whole: false, own, leaves, class: leaf, layout: laid, cut_loop: None });
        }
    }

    /// Writes the instructions, arguments first.
    pub fn write(&mut self) {
        let wants = std::mem::take(&mut self.wants);
        let order: Vec<usize> = wants.keys().copied().collect();
        self.wants = wants;
        for i in order {
            let mut parts = vec![];
            if let Some(own) = self.write_own(i) {
                parts.push(own);
            }
            if let Some(leaf) = self.write_leaves(i) {
                parts.push(leaf);
            }
            let at = match parts.as_slice() {
                [one] => *one,
                _ => self.push(Instr::Join(parts)),
            };
            self.at.insert(i, at);
        }
    }

    fn push(&mut self, i: Instr) -> usize {
        self.cut.recipe.push(i);
        self.cut.recipe.len() - 1
    }

    fn write_own(&mut self, i: usize) -> Option<usize> {
        let want = self.wants.get_mut(&i)?;
        if let Some(l) = want.cut_loop.take() {
            return Some(self.write_loop(i, l));
        }
        if want.own.is_empty() {
            return None;
        }
        if let Op::Proj(k) = self.g.nodes()[i].op {
            let own = want.own.clone();
            return Some(self.write_output(i, k as usize, &own));
        }
        let (l, count) = (want.layout.take()?, want.own.len());
        let args: Vec<usize> = l.reads.iter().map(|(a, elements)| self.pick_reads(*a, elements)).collect();
        let made = l.make.write(&args, &mut self.cut.recipe, count);
        Some(match l.pick {
            Some(p) => self.push(Instr::Take(made, Index::from_table(p))),
            None => made,
        })
    }

    fn write_leaves(&mut self, i: usize) -> Option<usize> {
        let want = &self.wants[&i];
        if want.whole {
            self.cut.leaves.shared.push((i as u32, Reads::All));
            let n = self.g.nodes()[i].shape.count();
            return Some(self.push(Instr::Shared(n)));
        }
        if want.leaves.is_empty() {
            return None;
        }
        let (leaves, class, node) = (want.leaves.clone(), want.class, &self.g.nodes()[i]);
        let named = || leaves.iter().map(|j| (i as u32, *j));
        let instr = match (class, &node.op) {
            (Class::Data, Op::Const(c)) => {
                let data: Vec<f64> = leaves.iter().map(|j| c[*j as usize]).collect();
                match &mut self.chunks {
                    Some(chunks) => {
                        chunks.push(data);
                        Instr::Input(self.g.inputs().len() + chunks.len() - 1)
                    }
                    None => {
                        self.cut.leaves.data.extend(data);
                        Instr::Data(leaves.len())
                    }
                }
            }
            (Class::Coordinate, _) => {
                self.cut.leaves.coordinates.extend(named());
                Instr::Coordinates(leaves.len())
            }
            (Class::Input, Op::Input(k)) => Instr::Input(*k as usize),
            _ => {
                self.cut.leaves.shared.push((i as u32, Reads::These(leaves.clone())));
                Instr::Shared(leaves.len())
            }
        };
        Some(self.push(instr))
    }

    fn pick_reads(&mut self, v: Var, elements: &Reads) -> usize {
        let at = v.index();
        match elements {
            Reads::These(list) => self.pick(at, list),
            Reads::All if self.wants[&at].whole => self.at[&at],
            Reads::All => self.pick(at, &(0..self.g.shape(v).count() as u32).collect::<Vec<_>>()),
        }
    }

    /// Elements of a node, in the given order.
    pub fn pick(&mut self, node: usize, elements: &[u32]) -> usize {
        let (want, at) = (&self.wants[&node], self.at[&node]);
        let place = |j: &u32| match want.own.binary_search(j) {
            _ if want.whole => *j,
            Ok(p) => p as u32,
            Err(_) => (want.own.len() + want.leaves.partition_point(|l| l < j)) as u32,
        };
        let index = Index::from_table(elements.iter().map(place).collect());
        let all = if want.whole { self.g.nodes()[node].shape.count() } else { want.own.len() + want.leaves.len() };
        if index.is_identity(all) {
            return at;
        }
        self.push(Instr::Take(at, index))
    }

    fn write_loop(&mut self, i: usize, l: CutLoop) -> usize {
        let node = &self.g.nodes()[i];
        let Op::Scan(s) = &node.op else { unreachable!("only loops are cut as loops") };
        let mut args: Vec<usize> =
            l.args.iter().map(|(a, e)| self.pick(node.args[*a].index(), &stepped(s, *a, e))).collect();
        for chunk in &l.data {
            self.cut.leaves.data.extend(chunk);
            args.push(self.push(Instr::Data(chunk.len())));
        }
        let carries = s.next.len();
        let xs = l.args.iter().filter(|a| (carries..carries + s.xs).contains(&a.0)).count();
        let sizes = l.args.iter().map(|a| a.1.len()).chain(l.data.iter().map(|c| c.len())).collect();
        let made = Loop {
            len: s.len,
            reverse: s.reverse,
            args,
            sizes,
            xs,
            body: l.body.clone(),
            next: l.next.clone(),
            ys: l.outputs.clone(),
        };
        let at = self.push(Instr::Scan(Box::new(made)));
        self.wants.get_mut(&i).expect("wanted").cut_loop = Some(l);
        at
    }

    /// Elements of output `k` of a loop.
    fn write_output(&mut self, i: usize, k: usize, own: &[u32]) -> usize {
        let scan = self.g.nodes()[i].args[0].index();
        let at = self.at[&scan];
        let Op::Scan(s) = &self.g.nodes()[scan].op else { unreachable!("Proj reads a loop") };
        let l = self.wants[&scan].cut_loop.as_ref().expect("the loop was cut");
        let carries = s.next.len();
        let kept = |c: usize| l.carries[..c].iter().filter(|c| !c.is_empty()).count();
        let all = kept(carries);
        let (number, elements, width, stacked) = if k < 2 * carries {
            let c = k % carries;
            (kept(c) + if k < carries { 0 } else { all }, &l.carries[c], s.body.shape(s.next[c]).count(), k >= carries)
        } else {
            let y = k - 2 * carries;
            let before = l.ys[..y].iter().filter(|y| !y.is_empty()).count();
            (2 * all + before, &l.ys[y], s.body.shape(s.ys[y]).count(), true)
        };
        let place = |j: &u32| {
            let (t, e) = if stacked { (*j as usize / width, *j % width as u32) } else { (0, *j) };
            (t * elements.len() + elements.partition_point(|x| *x < e)) as u32
        };
        let index = Index::from_table(own.iter().map(place).collect());
        let p = self.push(Instr::Proj(at, number));
        self.push(Instr::Take(p, index))
    }
}
