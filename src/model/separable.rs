//! Plates and what lies in their rows; which of them are separable (rule R37).

use super::level::BaseId;
use super::posterior::Posterior;
use super::row::encode::Encode;
use super::row::labels::{Tags, forward, join};
use super::site::Term;
use crate::dsl::diagnostic::Diagnostic;
use crate::dsl::span::Span;

/// In [`Tags`]: touches no row.
pub const GLOBAL: u32 = 0;
/// In [`Tags`]: touches several rows. Row r is `r + 1`.
pub const SEVERAL: u32 = u32::MAX;

/// Something that lies in a plate, by its place in the posterior's list of such things.
#[derive(Clone, Debug)]
pub struct Inside {
    /// Its place.
    pub at: usize,
    /// Row of the plate for each of its parts: coordinates of a site, elements of a discrete latent, rows of a term.
    pub rows: Vec<u32>,
}

/// A plate of a bound model, outside loops. The rows of a plate in a plate are those of all its outer rows.
#[derive(Clone, Debug)]
pub struct Plate {
    /// Its index variable.
    pub name: String,
    /// Place of the index variable.
    pub span: Span,
    /// Its base.
    pub base: BaseId,
    /// Number of rows.
    pub rows: usize,
    /// What an encoder of its rows reads, where the plate says so.
    pub encode: Option<Encode>,
    /// Latents with coordinates declared in it.
    pub sites: Vec<Inside>,
    /// Discrete latents declared in it; by place in [`Posterior::discrete`].
    pub discrete: Vec<Inside>,
    /// Terms of statements in it.
    pub terms: Vec<Inside>,
}

/// Why a plate is not separable.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", diagnostic.message)]
pub struct Coupled {
    /// The factor, and what it reads.
    pub diagnostic: Diagnostic,
}

/// To which row each addend of the log density belongs: tags of each plain term, and of each sum over discrete
/// latents. Terms that read discrete latents have none of their own.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Rows that each element of each node of the graph depends on.
    pub labels: Vec<Tags>,
    /// For each term without discrete latents, one tag per element.
    pub terms: Vec<Option<Tags>>,
    /// For each of [`Posterior::sums`], one tag per element.
    pub sums: Vec<Tags>,
}

impl Posterior {
    /// The plate with this index variable, or with a latent of this name. Of plates that share an index variable, the
    /// first with latents.
    pub fn plate(&self, name: &str) -> Option<&Plate> {
        let holds = |p: &&Plate| {
            p.sites.iter().any(|s| self.sites[s.at].name == name)
                || p.discrete.iter().any(|d| self.discrete[d.at].0 == name)
        };
        let named = || self.plates.iter().filter(|p| p.name == name);
        let inner = self.plates.iter().rev().find(holds);
        named().find(|p| !p.sites.is_empty() || !p.discrete.is_empty()).or(named().next()).or(inner)
    }

    /// Names of the latents of a plate's block.
    pub fn block(&self, plate: &Plate) -> Vec<&str> {
        let sites = plate.sites.iter().map(|s| self.sites[s.at].name.as_str());
        sites.chain(plate.discrete.iter().map(|d| self.discrete[d.at].0.as_str())).collect()
    }

    /// Assigns every addend of the log density to a row of the plate or to none.
    ///
    /// The block of a row is its latents with all inside it. An addend belongs to the row whose block it reads; one
    /// that reads no block belongs to the row its statement is in. Dependence is followed element by element through
    /// the graph, so lets and gathers count for what they read. An addend that reads two blocks is an error.
    pub fn assign(&self, plate: &Plate) -> Result<Assignment, Coupled> {
        let labels = forward(&self.graph, &self.input_tags(plate));
        let mut components = Components::new(self, plate);
        let mut terms = vec![];
        for (at, t) in self.terms.iter().enumerate() {
            let inside = plate.terms.iter().find(|i| i.at == at);
            let n = self.graph.shape(t.node).count();
            let per_row = inside.map_or(1, |i| (n / i.rows.len().max(1)).max(1));
            let own = |j: usize| inside.map_or(GLOBAL, |i| i.rows[j / per_row] + 1);
            let tags = &labels[t.node.index()];
            if (0..n).any(|j| tags.at(j) == SEVERAL) {
                return Err(self.coupled(plate, t));
            }
            if t.discrete.is_empty() {
                let settle = |j: usize| if tags.at(j) == GLOBAL { own(j) } else { tags.at(j) };
                terms.push(Some(Tags::new((0..n).map(settle).collect())));
                continue;
            }
            terms.push(None);
            let rows = t.discrete[0].1.len();
            for r in 0..rows {
                let width = n / rows.max(1);
                let reads = (0..width).fold(GLOBAL, |a, k| join(a, tags.at(r * width + k)));
                if !components.touch(t, r, reads, if width > 0 { own(r * width) } else { GLOBAL }) {
                    return Err(self.coupled(plate, t));
                }
            }
        }
        let mut sums = vec![];
        for s in &self.sums {
            let tags = &labels[s.node.index()];
            let n = self.graph.shape(s.node).count();
            let mut out = Vec::with_capacity(n);
            for j in 0..n {
                let tag = match s.elements.get(j) {
                    Some(&e) => join(tags.at(j), components.tag(e)),
                    None => tags.at(j),
                };
                if tag == SEVERAL {
                    return Err(self.joined(plate, s.elements.get(j).map(|e| e.0)));
                }
                out.push(tag);
            }
            sums.push(Tags::new(out));
        }
        Ok(Assignment { labels, terms, sums })
    }

    fn input_tags(&self, plate: &Plate) -> Vec<Tags> {
        let tags = |input: &crate::graph::build::Input| {
            let site = self.sites.iter().position(|s| s.input == input.var);
            let inside = plate.sites.iter().find(|i| Some(i.at) == site);
            inside.map_or(Tags::all(GLOBAL), |i| Tags::new(i.rows.iter().map(|r| r + 1).collect()))
        };
        self.graph.inputs().iter().map(tags).collect()
    }

    /// Latents of the block that a term reads.
    fn read_by(&self, plate: &Plate, t: &Term) -> Vec<&str> {
        let reads = |i: &&Inside| {
            let mut on = vec![false; t.node.index() + 1];
            let input = self.sites[i.at].input.index();
            for (k, node) in self.graph.nodes()[..=t.node.index()].iter().enumerate() {
                on[k] = k == input || node.args.iter().any(|a| on[a.index()]);
            }
            on[t.node.index()]
        };
        let sites = plate.sites.iter().filter(reads).map(|i| self.sites[i.at].name.as_str());
        let discrete = plate.discrete.iter().filter(|i| t.discrete.iter().any(|d| d.0 == i.at));
        sites.chain(discrete.map(|i| self.discrete[i.at].0.as_str())).collect()
    }

    fn coupled(&self, plate: &Plate, t: &Term) -> Coupled {
        let names: Vec<String> = self.read_by(plate, t).iter().map(|n| format!("`{n}`")).collect();
        let message = format!(
            "the plate over `{}` is not separable: one factor reads {} of several of its rows",
            plate.name,
            names.join(", ")
        );
        let diagnostic = Diagnostic::new(t.span, message)
            .label(format!("this factor of `{}`", t.about))
            .note(plate.span, "the plate")
            .help("minibatches, amortization and bounds by row exist for plates whose factors read one row each");
        Coupled { diagnostic }
    }

    fn joined(&self, plate: &Plate, site: Option<usize>) -> Coupled {
        let (name, span) =
            site.map_or(("a discrete latent", plate.span), |s| (&self.discrete[s].0, self.discrete[s].1));
        let message =
            format!("the plate over `{}` is not separable: summing out `{name}` joins several of its rows", plate.name);
        Coupled { diagnostic: Diagnostic::new(span, message).label("summed out").note(plate.span, "the plate") }
    }
}

/// Groups of discrete elements that meet in terms, with the rows that each group touches.
struct Components {
    parent: std::collections::HashMap<(usize, u32), (usize, u32)>,
    tags: std::collections::HashMap<(usize, u32), u32>,
    /// Rows of the block's elements, by discrete site.
    block: std::collections::HashMap<usize, Vec<u32>>,
}

impl Components {
    fn new(_: &Posterior, plate: &Plate) -> Self {
        let block = plate.discrete.iter().map(|i| (i.at, i.rows.clone())).collect();
        Components { parent: Default::default(), tags: Default::default(), block }
    }

    fn root(&mut self, mut e: (usize, u32)) -> (usize, u32) {
        while let Some(&p) = self.parent.get(&e).filter(|p| **p != e) {
            let up = self.parent.get(&p).copied().unwrap_or(p);
            self.parent.insert(e, up);
            e = p;
        }
        e
    }

    fn tag(&mut self, e: (usize, u32)) -> u32 {
        let root = self.root(e);
        self.tags.get(&root).copied().unwrap_or(GLOBAL)
    }

    /// A row of a term meets its elements; false where it reads two blocks.
    fn touch(&mut self, t: &Term, row: usize, reads: u32, own: u32) -> bool {
        let elements: Vec<(usize, u32)> =
            t.discrete.iter().map(|(s, e)| (*s, e[row])).filter(|e| e.1 != super::level::NONE).collect();
        let block = |e: &(usize, u32)| self.block.get(&e.0).map_or(GLOBAL, |rows| rows[e.1 as usize] + 1);
        let mut tag = elements.iter().fold(reads, |a, e| join(a, block(e)));
        if tag == SEVERAL {
            return false;
        }
        if tag == GLOBAL {
            tag = own;
        }
        let Some(first) = elements.first().map(|e| self.root(*e)) else { return true };
        for e in &elements {
            let root = self.root(*e);
            tag = join(tag, self.tags.get(&root).copied().unwrap_or(GLOBAL));
            self.parent.insert(root, first);
        }
        self.tags.insert(first, tag);
        true
    }
}
