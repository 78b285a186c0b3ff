//! The log density from its terms: plain terms are summed, discrete latents are eliminated.

use std::collections::BTreeMap;

use super::{Lower, Res};
use crate::dsl::diagnostic::Diagnostic;
use crate::graph::{Fold, Graph, Index, Op, Scan, Shape, Spread, Var};
use crate::model::level::{AxisId, NONE};
use crate::model::site::FactorKind;

/// States of one row beyond which elimination is refused.
pub const MAX_STATES: usize = 10_000;

/// The two log densities of a model.
pub struct Totals {
    /// With the Jacobians of the transforms: the density on R^d.
    pub lp: Var,
    /// Without them: the density of the constrained values.
    pub lp_nojac: Var,
}

/// A table over the states of discrete elements: `[rows, states of each axis…]`.
struct Table {
    value: Var,
    rows: usize,
    /// Site and element of each row, per axis.
    axes: Vec<(usize, Vec<u32>)>,
}

impl Lower<'_> {
    /// Sums all terms.
    pub fn totals(&mut self) -> Res<Totals> {
        let mut plain = self.g.scalar(0.0);
        let mut jacobian = self.g.scalar(0.0);
        let mut tables = vec![];
        for f in std::mem::take(&mut self.factors).iter() {
            if self.levels.axes_of(f.value.level).is_empty() {
                self.g.set_origin(f.span.start + 1);
                let t = self.total(&f.value);
                let sum = if f.kind == FactorKind::Jacobian { &mut jacobian } else { &mut plain };
                *sum = self.g.add(*sum, t);
            } else {
                tables.extend(self.tables(f)?);
            }
        }
        let eliminated = self.eliminate(tables)?;
        let lp_nojac = self.g.add(plain, eliminated);
        let lp = self.g.add(lp_nojac, jacobian);
        Ok(Totals { lp, lp_nojac })
    }

    /// A term as tables; elements of the event are summed. Rows that lack an element of an axis do not
    /// depend on it and go into a table of their own.
    fn tables(&mut self, f: &crate::model::site::Factor) -> Res<Vec<Table>> {
        let level = f.value.level;
        let base = self.levels.base_id(level);
        let rows = self.levels.base(level).len;
        let axes: Vec<AxisId> = self.levels.axes_of(level).to_vec();
        let states: Vec<usize> = axes.iter().map(|a| self.levels.axis(*a).states).collect();
        let joint: usize = states.iter().product();
        if joint > MAX_STATES {
            return Err(Diagnostic::new(f.span, format!("{joint} joint states of discrete latents per row, more than {MAX_STATES}")));
        }
        let count = f.value.count();
        let node = self.node(&f.value);
        let shape = Shape::new(&[rows * joint]);
        let value = self.g.fold_counts(Fold::Sum, node, (rows * joint, count, 1), shape);
        let mut elements: Vec<Vec<u32>> = vec![];
        for &a in &axes {
            let axis = self.levels.axis(a).clone();
            let up = self.levels.ancestor_rows(axis.base, base);
            elements.push((0..rows).map(|r| axis.elements[up.at(r)]).collect());
        }
        let mut groups: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
        for r in 0..rows {
            groups.entry(elements.iter().map(|e| e[r] != NONE).collect()).or_default().push(r);
        }
        let sites: Vec<usize> = axes.iter().map(|a| self.levels.axis(*a).site).collect();
        Ok(groups.into_iter().map(|(has, rows)| self.group(value, &sites, &elements, &states, &has, &rows)).collect())
    }

    /// The rows of a table that depend on the axes with `has`.
    fn group(&mut self, value: Var, sites: &[usize], elements: &[Vec<u32>], states: &[usize], has: &[bool], rows: &[usize]) -> Table {
        let joint: usize = states.iter().product();
        let kept: Vec<usize> = (0..has.len()).filter(|&k| has[k]).collect();
        let block: usize = kept.iter().map(|&k| states[k]).product();
        let mut table = Vec::with_capacity(rows.len() * block);
        for &r in rows {
            for j in 0..block {
                let (mut s, mut at) = (j, 0);
                for &k in kept.iter().rev() {
                    at += (s % states[k]) * states[k + 1..].iter().product::<usize>();
                    s /= states[k];
                }
                table.push((r * joint + at) as u32);
            }
        }
        let value = self.g.gather(value, Index::from_table(table), Shape::new(&[rows.len() * block]));
        let axes = kept.iter().map(|&k| (sites[k], rows.iter().map(|&r| elements[k][r]).collect())).collect();
        Table { value, rows: rows.len(), axes }
    }

    fn eliminate(&mut self, tables: Vec<Table>) -> Res<Var> {
        let mut total = self.g.scalar(0.0);
        let mut by_site: BTreeMap<usize, Vec<Table>> = BTreeMap::new();
        for t in tables {
            if t.axes.is_empty() {
                let part = self.g.sum(t.value);
                total = self.g.add(total, part);
                continue;
            }
            let site = t.axes[0].0;
            let span = self.discrete[site].span;
            let one = t.axes.iter().all(|a| a.0 == site);
            if !one || t.axes.len() > 2 {
                return Err(Diagnostic::new(span, "factors that join different discrete latents cannot be summed out yet")
                    .help("combine them into one latent with a state for each pair"));
            }
            by_site.entry(site).or_default().push(t);
        }
        for (site, tables) in by_site {
            let part = self.eliminate_site(site, tables)?;
            total = self.g.add(total, part);
        }
        Ok(total)
    }

    fn eliminate_site(&mut self, site: usize, tables: Vec<Table>) -> Res<Var> {
        let (n, k) = (self.discrete[site].filled.len(), self.discrete[site].states);
        let (pairs, unary): (Vec<_>, Vec<_>) = tables.into_iter().partition(|t| t.axes.len() == 2);
        let mut own = self.g.filled(0.0, Shape::new(&[n, k]));
        for t in &unary {
            let x = self.scattered(t, n, k);
            own = self.g.add(own, x);
        }
        if pairs.is_empty() {
            let rows = self.g.fold_counts(Fold::LogSumExp, own, (n, k, 1), Shape::new(&[n]));
            // Elements without a law have no factor: their row is log k, not 0.
            let filled = self.discrete[site].filled.clone();
            if filled.iter().all(|f| *f) {
                return Ok(self.g.sum(rows));
            }
            let table: Vec<u32> = (0..n as u32).filter(|i| filled[*i as usize]).collect();
            let len = table.len();
            let kept = self.g.gather(rows, Index::from_table(table), Shape::new(&[len]));
            return Ok(self.g.sum(kept));
        }
        self.chains(site, own, pairs, (n, k))
    }

    /// Sum of a unary table over its rows by element: `[n, k]`.
    fn scattered(&mut self, t: &Table, n: usize, k: usize) -> Var {
        let elements = &t.axes[0].1;
        let table = (0..t.rows * k).map(|j| elements[j / k] * k as u32 + (j % k) as u32);
        self.g.scatter_add(t.value, Index::from_table(table.collect()), Shape::new(&[n, k]))
    }

    /// Elements joined in pairs (earlier, later) along chains: the forward algorithm in log space
    /// (Rabiner 1989, section III.A), one scan per chain.
    fn chains(&mut self, site: usize, own: Var, pairs: Vec<Table>, (n, k): (usize, usize)) -> Res<Var> {
        let span = self.discrete[site].span;
        let refuse = || {
            Diagnostic::new(span, "this pattern of dependence between discrete latents cannot be summed out yet")
                .help("a chain z[t - 1] -> z[t] along a `for` can")
        };
        // For each element: the row that leads to it, as (previous, table, row, swapped).
        let mut from: Vec<Option<(u32, usize, usize, bool)>> = vec![None; n];
        let mut followed = vec![false; n];
        for (p, t) in pairs.iter().enumerate() {
            for r in 0..t.rows {
                let (a, b) = (t.axes[0].1[r], t.axes[1].1[r]);
                let (first, second, swapped) = if a < b { (a, b, false) } else { (b, a, true) };
                if a == b || from[second as usize].is_some() || std::mem::replace(&mut followed[first as usize], true) {
                    return Err(refuse());
                }
                from[second as usize] = Some((first, p, r, swapped));
            }
        }
        let mut total = self.g.scalar(0.0);
        let filled = self.discrete[site].filled.clone();
        for end in (0..n).filter(|&e| !followed[e] && filled[e]) {
            let mut chain = vec![(end as u32, None)];
            while let Some((previous, p, r, swapped)) = from[chain[chain.len() - 1].0 as usize] {
                let last = chain.len() - 1;
                chain[last].1 = Some((p, r, swapped));
                chain.push((previous, None));
            }
            chain.reverse();
            let z = self.forward(own, &pairs, &chain, k);
            total = self.g.add(total, z);
        }
        Ok(total)
    }

    fn forward(&mut self, own: Var, pairs: &[Table], chain: &[(u32, Option<(usize, usize, bool)>)], k: usize) -> Var {
        let steps = chain.len() - 1;
        let row = |e: u32| (0..k as u32).map(move |s| e * k as u32 + s);
        let first = Index::from_table(row(chain[0].0).collect());
        let start = self.g.gather(own, first, Shape::new(&[k]));
        if steps == 0 {
            return self.g.fold_all(Fold::LogSumExp, start);
        }
        let rest = Index::from_table(chain[1..].iter().flat_map(|c| row(c.0)).collect());
        let emission = self.g.gather(own, rest, Shape::new(&[steps, k]));
        let starts: Vec<usize> = pairs.iter().scan(0, |s, t| Some(std::mem::replace(s, *s + t.rows * k * k))).collect();
        let vars: Vec<Var> = pairs.iter().map(|t| t.value).collect();
        let length = pairs.iter().map(|t| t.rows * k * k).sum();
        let all = self.g.concat(&vars, Shape::new(&[length]));
        let mut table = Vec::with_capacity(steps * k * k);
        for c in &chain[1..] {
            let (p, r, swapped) = c.1.expect("every later element has a predecessor");
            for i in 0..k {
                for j in 0..k {
                    let at = if swapped { j * k + i } else { i * k + j };
                    table.push((starts[p] + r * k * k + at) as u32);
                }
            }
        }
        let block = k * k;
        let transition = self.g.gather(all, Index::from_table(table), Shape::new(&[steps, k, k]));
        let same = self.same_each_step(transition, steps, block);
        let (each, value) = match same {
            Some(once) => (true, self.g.reshape(once, Shape::new(&[k, k]))),
            None => (false, transition),
        };
        if self.may_vanish(value) {
            return self.forward_logs(start, transition, emission, k, steps);
        }
        self.forward_scaled(start, value, each, emission, k, steps)
    }

    /// The block that a repeated transition table repeats.
    fn same_each_step(&mut self, transition: Var, steps: usize, block: usize) -> Option<Var> {
        let Op::Gather(index) = &self.g.node(transition).op else { return None };
        let index = index.clone();
        if !(0..steps * block).all(|j| index.at(j) == index.at(j % block)) {
            return None;
        }
        let src = self.g.node(transition).args[0];
        let first = Index::from_table((0..block).map(|j| index.at(j) as u32).collect());
        Some(self.g.gather(src, first, Shape::new(&[block])))
    }

    /// True where a transition is known to be impossible: scaled probabilities could then lose all
    /// their mass to rounding, logs cannot.
    fn may_vanish(&self, transition: Var) -> bool {
        let mut seen = vec![transition];
        while let Some(v) = seen.pop() {
            let node = self.g.node(v);
            match &node.op {
                Op::Const(c) if c.iter().any(|x| *x == f64::NEG_INFINITY) => return true,
                Op::Gather(_) | Op::Concat | Op::Reshape => seen.extend(&node.args),
                _ => {}
            }
        }
        false
    }

    fn forward_logs(&mut self, start: Var, transition: Var, emission: Var, k: usize, steps: usize) -> Var {
        let (body, next) = forward_body(k);
        let scan = Scan { body, len: steps, xs: 2, next: vec![next], ys: vec![], reverse: false };
        let node = self.g.scan(scan, &[start], &[transition, emission], &[]);
        let last = self.g.proj(node, 0);
        self.g.fold_all(Fold::LogSumExp, last)
    }

    /// The forward algorithm on probabilities that are scaled to sum to 1 after each step (Rabiner 1989,
    /// section V.A); the log of the scales is summed.
    fn forward_scaled(&mut self, start: Var, transition: Var, each: bool, emission: Var, k: usize, steps: usize) -> Var {
        let g = &mut self.g;
        let first = g.fold_all(Fold::LogSumExp, start);
        let from = g.sub(start, first);
        let from = g.exp(from);
        let largest = g.fold(Fold::Max, emission, 1);
        let largest = g.stop_gradient(largest);
        let wide = g.broadcast_trailing(largest, Shape::new(&[steps, k]));
        let likely = g.sub(emission, wide);
        let likely = g.exp(likely);
        let probability = g.exp(transition);
        let (body, next, scale) = scaled_body(k, each);
        let scan = Scan { body, len: steps, xs: if each { 1 } else { 2 }, next: vec![next], ys: vec![scale], reverse: false };
        let node = match each {
            true => g.scan(scan, &[from], &[likely], &[probability]),
            false => g.scan(scan, &[from], &[likely, probability], &[]),
        };
        let scales = g.proj(node, 2);
        let logs = g.log(scales);
        let logs = g.sum(logs);
        let shift = g.sum(largest);
        let total = g.add(first, logs);
        g.add(total, shift)
    }
}

/// alpha'_j = Σ_i alpha_i P_ij e_j / c with c the sum over j.
fn scaled_body(k: usize, each: bool) -> (Graph, Var, Var) {
    let mut g = Graph::new();
    let alpha = g.input("alpha", Shape::new(&[k]), Spread::Particle);
    let likely = g.input("likelihood", Shape::new(&[k]), Spread::Particle);
    let name = if each { "probability" } else { "probabilities" };
    let p = g.input(name, Shape::new(&[k, k]), Spread::Particle);
    let wide = g.broadcast_trailing(alpha, Shape::new(&[k, k]));
    let joint = g.mul(wide, p);
    let moved = g.fold(Fold::Sum, joint, 0);
    let mass = g.mul(moved, likely);
    let c = g.fold_all(Fold::Sum, mass);
    // Nothing is left: c is 0, its log -inf, and the next state stays 0 instead of NaN.
    let least = g.scalar(f64::MIN_POSITIVE);
    let divisor = g.binary(crate::graph::Binary::Max, c, least);
    let next = g.div(mass, divisor);
    (g, next, c)
}

/// alpha'_j = emission_j + log Σ_i exp(alpha_i + transition_ij)
fn forward_body(k: usize) -> (Graph, Var) {
    let mut g = Graph::new();
    let alpha = g.input("alpha", Shape::new(&[k]), Spread::Particle);
    let transition = g.input("transition", Shape::new(&[k, k]), Spread::Particle);
    let emission = g.input("emission", Shape::new(&[k]), Spread::Particle);
    let wide = g.broadcast_trailing(alpha, Shape::new(&[k, k]));
    let sum = g.add(wide, transition);
    let folded = g.fold(Fold::LogSumExp, sum, 0);
    let next = g.add(folded, emission);
    (g, next)
}
