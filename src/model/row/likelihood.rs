//! Log likelihood by row (rule R39): what leave-one-out compares.

use std::collections::{HashMap, HashSet};

use crate::dsl::diagnostic::Diagnostic;
use crate::graph::prune::prune;
use crate::graph::{Graph, Index, Shape, Var};
use crate::model::lower::element;
use crate::model::posterior::Posterior;
use crate::model::separable::{Coupled, GLOBAL, Plate};
use crate::model::site::{DataUse, FactorKind, Term};

/// What the density of a piece is conditional on, beside the latents with coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Nothing that another piece observes, or what it observes has no order: for leave-one-out.
    LeaveOneOut,
    /// What the steps before observe, p(y_t | y_<t): for leave-future-out.
    LeaveFutureOut,
}

/// The log likelihood in pieces.
#[derive(Clone, Debug)]
pub struct Pointwise {
    /// The graph; its inputs are those of the posterior's.
    pub graph: Graph,
    /// The pieces, `[n]`.
    pub node: Var,
    /// What each of them is: `j[3]` for a row of the plate over `j`, `t[3]` for a step of the loop over `t` whose discrete
    /// latents are summed out, `y[3]` for any other value observed outside plates.
    pub names: Vec<String>,
    /// What each of them is conditional on.
    pub schemes: Vec<Scheme>,
}

/// Pieces while they are collected.
pub(super) struct Pieces {
    g: Graph,
    sum: Vec<Var>,
    pub names: Vec<String>,
    pub schemes: Vec<Scheme>,
    /// Pieces of the steps of loops, by base and row.
    pub steps: HashMap<(usize, usize), u32>,
    /// First piece of each outermost plate, by its place in the list of plates.
    plates: Vec<Option<usize>>,
    /// Elements of nodes with the piece they belong to.
    pub parts: Vec<(Var, Vec<(u32, u32)>)>,
}

impl Posterior {
    /// The log density of the observed data, conditional on all latents with coordinates: one number for each row of
    /// an outermost plate, the sum over the `observe`s in it; outside plates one for each value observed (for each
    /// event of a law of vectors). Discrete latents are summed out within the row.
    ///
    /// Discrete latents outside plates, such as the states of a chain, are summed out in time: a step of their loop has
    /// log p(y_t | y_<t), which [`Pointwise::schemes`] tells. Values that a loop reads again, as in an autoregression, are
    /// conditional on those before them, too. Sums without pieces of either kind are refused with their line.
    pub fn pointwise(&self) -> Result<Pointwise, Coupled> {
        let mut p = Pieces {
            g: self.graph.clone(),
            sum: vec![],
            names: vec![],
            schemes: vec![],
            steps: HashMap::new(),
            plates: vec![None; self.plates.len()],
            parts: vec![],
        };
        for (at, t) in self.terms.iter().enumerate() {
            if t.kind == FactorKind::Likelihood && t.discrete.is_empty() {
                self.plain(&mut p, at, t);
            }
        }
        if !self.sums.is_empty() {
            self.summed(&mut p)?;
        }
        let n = p.names.len();
        let shape = Shape::new(&[n]);
        for (v, hits) in std::mem::take(&mut p.parts) {
            let take = Index::from_table(hits.iter().map(|h| h.0).collect());
            let to = Index::from_table(hits.iter().map(|h| h.1).collect());
            let part = p.g.gather(v, take, Shape::new(&[hits.len()]));
            let part = p.g.scatter_add(part, to, shape);
            p.sum.push(part);
        }
        let zero = p.g.filled(0.0, shape);
        let all = p.sum.iter().fold(zero, |a, b| p.g.add(a, *b));
        let (graph, outputs) = prune(&p.g, &[all]);
        Ok(Pointwise { graph, node: outputs[0], names: p.names, schemes: p.schemes })
    }

    /// The outermost plate of a term.
    pub(super) fn outermost(&self, term: usize) -> Option<usize> {
        self.plates.iter().position(|p| p.terms.iter().any(|t| t.at == term))
    }

    fn plain(&self, p: &mut Pieces, at: usize, t: &Term) {
        let n = self.graph.shape(t.node).count();
        let hits = match self.outermost(at) {
            Some(plate) => {
                let first = p.plate(plate, &self.plates[plate]);
                let inside = self.plates[plate].terms.iter().find(|i| i.at == at).map(|i| &i.rows);
                let rows = inside.map_or(&[][..], |r| r);
                let width = (n / rows.len().max(1)).max(1);
                (0..n).map(|j| (j as u32, first + rows[j / width])).collect()
            }
            None => {
                let first = p.names.len() as u32;
                p.names.extend((0..n).map(|j| self.event_name(at, t, j, n)));
                p.schemes.resize(p.names.len(), self.scheme(at));
                (0..n as u32).map(|j| (j, first + j)).collect()
            }
        };
        p.parts.push((t.node, hits));
    }

    /// Whether what a term outside plates observes is read again.
    fn scheme(&self, at: usize) -> Scheme {
        let own: Vec<&DataUse> = self.uses.iter().filter(|u| u.term == Some(at)).collect();
        let observed: HashSet<(usize, u32)> =
            own.iter().flat_map(|u| u.elements.iter().map(|e| (u.data, *e))).collect();
        let read = |u: &DataUse| u.term.is_none() && u.elements.iter().any(|e| observed.contains(&(u.data, *e)));
        match self.uses.iter().any(read) {
            true => Scheme::LeaveFutureOut,
            false => Scheme::LeaveOneOut,
        }
    }

    /// The data element of a scalar event, or the number of the event.
    fn event_name(&self, at: usize, t: &Term, j: usize, n: usize) -> String {
        match self.uses.iter().find(|u| u.term == Some(at)) {
            Some(u) if u.elements.len() == n => {
                let d = &self.data[u.data];
                element(&d.name, &d.dims, u.elements[j] as usize)
            }
            _ => element(&t.about, &[n], j),
        }
    }

    /// Sums over discrete latents, each within one row, or in time.
    fn summed(&self, p: &mut Pieces) -> Result<(), Coupled> {
        let observed = |(_, t): &(usize, &Term)| t.kind == FactorKind::Likelihood && !t.discrete.is_empty();
        let Some((at, term)) = self.terms.iter().enumerate().find(observed) else { return Ok(()) };
        let refuse = |what: &str| Coupled {
            diagnostic: Diagnostic::new(
                term.span,
                format!("the log likelihood of `{}` has no value by row: {what}", term.about),
            )
            .help("the pieces of a sum over discrete latents are known within a row of a plate, and along a chain"),
        };
        let prior = |t: &Term| t.kind == FactorKind::Prior && self.sites.iter().any(|s| s.name == t.about);
        if self.terms.iter().any(|t| !t.discrete.is_empty() && prior(t)) {
            return Err(refuse("the law of a latent depends on the discrete latents that are summed out with it"));
        }
        let in_plate = |d: usize| self.plates.iter().any(|p| p.discrete.iter().any(|i| i.at == d));
        let Some(plate) = self.outermost(at).filter(|_| term.discrete.iter().any(|d| in_plate(d.0))) else {
            return match self.terms.iter().any(|t| !t.discrete.is_empty() && t.kind == FactorKind::Factor) {
                true => Err(refuse("a `factor` reads the discrete latents")),
                false => self.in_time(p).map_err(refuse),
            };
        };
        let outermost = |(k, t): (usize, &Term)| t.discrete.is_empty() || self.outermost(k) == Some(plate);
        if !self.terms.iter().enumerate().all(outermost) {
            return Err(refuse("a discrete latent is read outside the plate"));
        }
        let assigned = self.assign(&self.plates[plate])?;
        let first = p.plate(plate, &self.plates[plate]);
        for (s, tags) in self.sums.iter().zip(&assigned.sums) {
            let n = self.graph.shape(s.node).count();
            if (0..n).any(|j| tags.at(j) == GLOBAL) {
                return Err(refuse("a sum belongs to no row"));
            }
            let hits = (0..n).map(|j| (j as u32, first + tags.at(j) - 1)).collect();
            p.parts.push((s.node, hits));
        }
        Ok(())
    }
}

impl Pieces {
    /// First piece of a plate.
    pub fn plate(&mut self, at: usize, plate: &Plate) -> u32 {
        let next = self.names.len();
        let first = *self.plates[at].get_or_insert(next);
        if first == next {
            self.names.extend((0..plate.rows).map(|r| element(&plate.name, &[plate.rows], r)));
            self.schemes.resize(self.names.len(), Scheme::LeaveOneOut);
        }
        first as u32
    }
}
