//! Log likelihood by row (rule R39): what leave-one-out compares.

use crate::dsl::diagnostic::Diagnostic;
use crate::graph::prune::prune;
use crate::graph::{Graph, Index, Shape, Var};
use crate::model::lower::element;
use crate::model::posterior::Posterior;
use crate::model::separable::{Coupled, GLOBAL, Plate};
use crate::model::site::{FactorKind, Term};

/// The log likelihood in pieces.
#[derive(Clone, Debug)]
pub struct Pointwise {
    /// The graph; its inputs are those of the posterior's.
    pub graph: Graph,
    /// The pieces, `[n]`.
    pub node: Var,
    /// What each of them is: `j[3]` for a row of the plate over `j`, `y[3]` for a value observed outside plates.
    pub names: Vec<String>,
}

/// Pieces while they are collected.
struct Pieces {
    g: Graph,
    sum: Vec<Var>,
    names: Vec<String>,
    /// First piece of each outermost plate, by its place in the list of plates.
    plates: Vec<Option<usize>>,
    /// Elements of nodes with the piece they belong to.
    parts: Vec<(Var, Vec<(u32, u32)>)>,
}

impl Posterior {
    /// The log density of the observed data, conditional on all latents with coordinates: one number for each row of
    /// an outermost plate, the sum over the `observe`s in it; outside plates one for each value observed (for each
    /// event of a law of vectors). Discrete latents are summed out within the row.
    ///
    /// A sum over discrete latents that belong to no row of a plate, such as the states of a chain, has no pieces of
    /// this kind and is refused with its line.
    pub fn pointwise(&self) -> Result<Pointwise, Coupled> {
        let mut p = Pieces {
            g: self.graph.clone(),
            sum: vec![],
            names: vec![],
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
        Ok(Pointwise { graph, node: outputs[0], names: p.names })
    }

    /// The outermost plate of a term.
    fn outermost(&self, term: usize) -> Option<usize> {
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
                (0..n as u32).map(|j| (j, first + j)).collect()
            }
        };
        p.parts.push((t.node, hits));
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

    /// Sums over discrete latents, each within one row.
    fn summed(&self, p: &mut Pieces) -> Result<(), Coupled> {
        let observed = |(_, t): &(usize, &Term)| t.kind == FactorKind::Likelihood && !t.discrete.is_empty();
        let Some((at, term)) = self.terms.iter().enumerate().find(observed) else { return Ok(()) };
        let refuse = |what: &str| Coupled {
            diagnostic: Diagnostic::new(
                term.span,
                format!("the log likelihood of `{}` has no value by row: {what}", term.about),
            )
            .help("the pieces of a sum over discrete latents are known where it stays within a row of a plate"),
        };
        let plate = self.outermost(at).ok_or_else(|| refuse("its discrete latents are in no plate"))?;
        let prior = |t: &Term| t.kind == FactorKind::Prior && self.sites.iter().any(|s| s.name == t.about);
        if self.terms.iter().any(|t| !t.discrete.is_empty() && prior(t)) {
            return Err(refuse("the law of a latent depends on the discrete latents that are summed out with it"));
        }
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
    fn plate(&mut self, at: usize, plate: &Plate) -> u32 {
        let next = self.names.len();
        let first = *self.plates[at].get_or_insert(next);
        if first == next {
            self.names.extend((0..plate.rows).map(|r| element(&plate.name, &[plate.rows], r)));
        }
        first as u32
    }
}
