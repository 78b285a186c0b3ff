//! Loops cut down to the elements that are wanted of their outputs.

use std::collections::{BTreeMap, BTreeSet};

use super::recipe::Instr;
use super::slice::{Class, Cutter, Elements, Rule};
use crate::graph::{Graph, Op, Scan, Var};

/// Everything in a loop's body is computed by it, but its inputs and its data.
struct Body<'g>(&'g Graph);

impl Rule for Body<'_> {
    fn class(&self, node: usize, _: usize) -> Class {
        match self.0.nodes()[node].op {
            Op::Input(_) => Class::Input,
            Op::Const(_) => Class::Data,
            _ => Class::Own,
        }
    }
}

/// A loop cut down to what is wanted of it.
pub(super) struct CutLoop {
    /// For each kept argument: number among the arguments, elements of one step.
    pub args: Vec<(usize, Vec<u32>)>,
    /// Data that the body reads.
    pub data: Vec<Vec<f64>>,
    /// Elements of each carry.
    pub carries: Vec<Vec<u32>>,
    /// Elements of each output.
    pub ys: Vec<Vec<u32>>,
    pub body: Vec<Instr>,
    pub next: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// Elements of an argument of a loop, from those of one step.
pub(super) fn stepped(s: &Scan, arg: usize, elements: &[u32]) -> Vec<u32> {
    let carries = s.next.len();
    if !(carries..carries + s.xs).contains(&arg) {
        return elements.to_vec();
    }
    let width = s.body.shape(s.body.inputs()[arg].var).count() as u32;
    (0..s.len as u32).flat_map(|t| elements.iter().map(move |e| t * width + e)).collect()
}

/// Cuts a loop down to the wanted elements of its outputs: carries grow until the body reads no others.
pub(super) fn cut_loop(s: &Scan, wanted: &BTreeMap<u32, Vec<u32>>) -> CutLoop {
    let n = s.next.len();
    let mut carries: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); n];
    let mut ys: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); s.ys.len()];
    for (k, elements) in wanted {
        let k = *k as usize;
        let (set, v) =
            if k < 2 * n { (&mut carries[k % n], s.next[k % n]) } else { (&mut ys[k - 2 * n], s.ys[k - 2 * n]) };
        let width = s.body.shape(v).count() as u32;
        set.extend(elements.iter().map(|e| if k < n { *e } else { e % width }));
    }
    let list = |s: &BTreeSet<u32>| s.iter().copied().collect::<Vec<_>>();
    let rule = Body(&s.body);
    loop {
        let mut seeds: Vec<Elements> = vec![];
        let inputs = s.body.inputs();
        seeds.extend(carries.iter().enumerate().map(|(c, e)| (inputs[c].var.index(), list(e))));
        seeds.extend(s.next.iter().zip(&carries).map(|(v, e)| (v.index(), list(e))));
        seeds.extend(s.ys.iter().zip(&ys).map(|(v, e)| (v.index(), list(e))));
        seeds.retain(|s| !s.1.is_empty());
        let mut c = Cutter::new(&s.body, &rule);
        c.collect(&seeds);
        let reads = |k: usize| c.wants.get(&inputs[k].var.index()).map_or(vec![], |w| w.leaves.clone());
        let grown: Vec<BTreeSet<u32>> = (0..n).map(|k| reads(k).into_iter().collect()).collect();
        if grown != carries {
            carries = grown;
            continue;
        }
        let args: Vec<(usize, Vec<u32>)> =
            (0..inputs.len()).map(|k| (k, reads(k))).filter(|a| !a.1.is_empty()).collect();
        c.chunks = Some(vec![]);
        c.write();
        let pairs = |c: &mut Cutter<Body>, vars: &[Var], sets: &[BTreeSet<u32>]| {
            let kept = vars.iter().zip(sets).filter(|s| !s.1.is_empty());
            kept.map(|(v, e)| c.pick(v.index(), &list(e))).collect::<Vec<_>>()
        };
        let next = pairs(&mut c, &s.next, &carries);
        let outputs = pairs(&mut c, &s.ys, &ys);
        let mut body = std::mem::take(&mut c.cut.recipe);
        for i in &mut body {
            if let Instr::Input(k) = i {
                *k = match args.iter().position(|a| a.0 == *k) {
                    Some(p) => p,
                    None => args.len() + *k - inputs.len(),
                };
            }
        }
        let data = c.chunks.take().unwrap_or_default();
        let carries = carries.iter().map(list).collect();
        return CutLoop { args, data, carries, ys: ys.iter().map(list).collect(), body, next, outputs };
    }
}
