//! The log density from its terms: plain terms are summed, discrete latents are eliminated.

use std::collections::{BTreeMap, HashMap};

use super::eliminate::{Net, Part};
use super::{Lower, Res};
use crate::dsl::diagnostic::Diagnostic;
use crate::graph::{Fold, Index, Shape, Var};
use crate::model::level::{AxisId, LevelId, NONE};
use crate::model::site::{Factor, FactorKind, Summed, Term};

/// States of one row beyond which elimination is refused.
pub const MAX_STATES: usize = 10_000;

/// The log densities of a model.
pub struct Totals {
    /// With the Jacobians of the transforms: the density on R^d.
    pub lp: Var,
    /// Without them: the density of the constrained values.
    pub lp_nojac: Var,
    /// What the data say: `observe`, `factor` and the sums over discrete latents.
    pub log_likelihood: Var,
    /// The statements behind them, in order.
    pub terms: Vec<Term>,
    /// What the terms with discrete latents have become.
    pub sums: Vec<Summed>,
}

/// What rows of a term that read their elements in the same pattern have in common: their axes in the order of
/// (site, element), and which of them are the element of the axis before once more.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    axes: Vec<(usize, bool)>,
}

impl Lower<'_> {
    /// Sums all terms.
    pub fn totals(&mut self) -> Res<Totals> {
        let mut plain = self.g.scalar(0.0);
        let mut jacobian = self.g.scalar(0.0);
        let mut likelihood = self.g.scalar(0.0);
        let (mut parts, mut terms, mut sums) = (vec![], vec![], vec![]);
        for f in std::mem::take(&mut self.factors).iter() {
            self.g.set_origin(f.span.start + 1);
            let states: usize =
                self.levels.axes_of(f.value.level).iter().map(|a| self.levels.axis(*a).states).product();
            let count = self.levels.base(f.value.level).len * f.value.count();
            let node = self.node(&f.value);
            terms.push(self.term(f, node, count, states));
            if self.levels.axes_of(f.value.level).is_empty() {
                let t = self.total(&f.value);
                if matches!(f.kind, FactorKind::Likelihood | FactorKind::Factor) {
                    likelihood = self.g.add(likelihood, t);
                }
                let sum = if f.kind == FactorKind::Jacobian { &mut jacobian } else { &mut plain };
                *sum = self.g.add(*sum, t);
            } else {
                self.tables(f, &mut parts, &mut sums, &mut plain)?;
            }
        }
        let net = Net::new(&mut self.g, &self.discrete, parts);
        let (eliminated, finished) = net.eliminate()?;
        sums.extend(finished);
        let lp_nojac = self.g.add(plain, eliminated);
        let lp = self.g.add(lp_nojac, jacobian);
        let log_likelihood = self.g.add(likelihood, eliminated);
        Ok(Totals { lp, lp_nojac, log_likelihood, terms, sums })
    }

    /// What is kept of a term beside its node.
    fn term(&self, f: &Factor, node: Var, count: usize, states: usize) -> Term {
        let (kind, span, about) = (f.kind, f.span, f.about.clone());
        let base = self.levels.base_id(f.value.level);
        Term { kind, span, about, node, count, states, base, discrete: self.elements_read(f.value.level) }
    }

    /// The discrete sites that a level enumerates, with the element that each of its rows reads.
    fn elements_read(&self, level: LevelId) -> Vec<(usize, Vec<u32>)> {
        let base = self.levels.base_id(level);
        let read = |a: &AxisId| {
            let axis = self.levels.axis(*a);
            let up = self.levels.ancestor_rows(axis.base, base);
            (axis.site, (0..up.len()).map(|r| axis.elements[up.at(r)]).collect())
        };
        self.levels.axes_of(level).iter().map(read).collect()
    }

    /// A term as tables over elements; numbers of one event are summed.
    pub fn tables(&mut self, f: &Factor, parts: &mut Vec<Part>, sums: &mut Vec<Summed>, plain: &mut Var) -> Res<()> {
        let level = f.value.level;
        let rows = self.levels.base(level).len;
        let axes: Vec<AxisId> = self.levels.axes_of(level).to_vec();
        let states: Vec<usize> = axes.iter().map(|a| self.levels.axis(*a).states).collect();
        let sites: Vec<usize> = axes.iter().map(|a| self.levels.axis(*a).site).collect();
        let joint: usize = states.iter().product();
        self.check_joint(f, &sites, joint)?;
        let elements: Vec<Vec<u32>> = self.elements_read(level).into_iter().map(|e| e.1).collect();
        let node = self.node(&f.value);
        let value =
            self.g.fold_counts(Fold::Sum, node, (rows * joint, f.value.count(), 1), Shape::new(&[rows * joint]));
        let mut groups: BTreeMap<Pattern, Vec<usize>> = BTreeMap::new();
        let mut found = Pattern::default();
        for r in 0..rows {
            found.read(&sites, &elements, r);
            match groups.get_mut(&found) {
                Some(group) => group.push(r),
                None => _ = groups.insert(found.clone(), vec![r]),
            }
        }
        for (pattern, rows) in groups {
            let pattern = pattern.axes();
            let scope: Vec<usize> = pattern.iter().map(|axes| sites[axes[0]]).collect();
            let sizes: Vec<usize> = pattern.iter().map(|axes| states[axes[0]]).collect();
            let offsets = offsets(&pattern, &states, &sizes);
            let table = rows.iter().flat_map(|r| offsets.iter().map(move |o| (r * joint + o) as u32)).collect();
            let part = self.g.gather(value, Index::from_table(table), Shape::new(&[rows.len() * offsets.len()]));
            if scope.is_empty() {
                let sum = self.g.sum(part);
                sums.push(Summed { node: part, elements: vec![], layers: part, members: vec![] });
                *plain = self.g.add(*plain, sum);
                continue;
            }
            let mut tuples = Vec::with_capacity(rows.len() * scope.len());
            for r in rows {
                tuples.extend(pattern.iter().map(|axes| elements[axes[0]][r]));
            }
            parts.push(coalesced(&mut self.g, scope, tuples, part));
        }
        Ok(())
    }

    fn check_joint(&self, f: &Factor, sites: &[usize], joint: usize) -> Res<()> {
        if joint <= MAX_STATES {
            return Ok(());
        }
        Err(Diagnostic::new(
            f.span,
            format!("{} meet here with {joint} joint states, more than {MAX_STATES}", self.site_names(sites)),
        )
        .label("all combinations of their states are summed")
        .help("bound the latents more tightly, or let fewer of them meet in one statement"))
    }

    fn site_names(&self, sites: &[usize]) -> String {
        names(&self.discrete, sites)
    }
}

/// "`a` and `b`"
pub fn names(discrete: &[crate::model::site::Discrete], sites: &[usize]) -> String {
    let mut names: Vec<String> = sites.iter().map(|s| format!("`{}`", discrete[*s].name)).collect();
    names.dedup();
    names.join(" and ")
}

impl Pattern {
    /// The pattern of one row.
    fn read(&mut self, sites: &[usize], elements: &[Vec<u32>], row: usize) {
        let element = |k: usize| (sites[k], elements[k][row]);
        self.axes.clear();
        self.axes.extend((0..sites.len()).filter(|&k| elements[k][row] != NONE).map(|k| (k, false)));
        self.axes.sort_unstable_by_key(|a| (element(a.0), a.0));
        for j in 1..self.axes.len() {
            self.axes[j].1 = element(self.axes[j - 1].0) == element(self.axes[j].0);
        }
    }

    /// Axes by the element they read.
    fn axes(&self) -> Vec<Vec<usize>> {
        let mut out: Vec<Vec<usize>> = vec![];
        for &(axis, again) in &self.axes {
            match out.last_mut().filter(|_| again) {
                Some(last) => last.push(axis),
                None => out.push(vec![axis]),
            }
        }
        out
    }
}

/// For each joint state of a pattern: its place in a row of the term. Axes without an element stay at 0.
fn offsets(pattern: &[Vec<usize>], states: &[usize], sizes: &[usize]) -> Vec<usize> {
    let strides: Vec<usize> = (0..states.len()).map(|k| states[k + 1..].iter().product()).collect();
    let joint: usize = sizes.iter().product();
    let at = |mut j: usize| {
        let mut place = 0;
        for (axes, size) in pattern.iter().zip(sizes).rev() {
            place += (j % size) * axes.iter().map(|&k| strides[k]).sum::<usize>();
            j /= size;
        }
        place
    };
    (0..joint).map(at).collect()
}

/// A part in which every tuple of elements occurs once: equal ones are summed.
pub fn coalesced(g: &mut crate::graph::Graph, sites: Vec<usize>, tuples: Vec<u32>, value: Var) -> Part {
    let arity = sites.len();
    let rows = tuples.len() / arity;
    let block = g.shape(value).count() / rows.max(1);
    if tuples.chunks(arity).is_sorted_by(|a, b| a < b) {
        return Part::new(sites, tuples, value, block);
    }
    let mut known: HashMap<&[u32], u32> = HashMap::with_capacity(rows);
    let mut unique: Vec<u32> = vec![];
    let mut target = Vec::with_capacity(rows);
    for t in tuples.chunks(arity) {
        let next = known.len() as u32;
        let at = *known.entry(t).or_insert(next);
        if at == next {
            unique.extend(t);
        }
        target.push(at);
    }
    let count = known.len();
    if count == rows {
        return Part::new(sites, tuples, value, block);
    }
    let table = target.iter().flat_map(|t| (0..block as u32).map(move |j| t * block as u32 + j)).collect();
    let sum = g.scatter_add(value, Index::from_table(table), Shape::new(&[count * block]));
    Part::new(sites, unique, sum, block)
}
