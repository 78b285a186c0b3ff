//! A bound model in words: its latents, data, reports, standing, and remarks with their lines.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::dsl::ast::{Block, LatentKind, StmtKind};
use crate::dsl::span::Span;
use crate::graph::Graph;
use crate::model::posterior::{Model, Posterior};
use crate::model::site::{FactorKind, NoteKind, Site};
use crate::report::table::columns;

/// A latent with coordinates.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// Name.
    pub name: String,
    /// Its laws, as written.
    pub law: String,
    /// Shape of its value.
    pub shape: String,
    /// Number of unconstrained coordinates.
    pub coordinates: usize,
    /// Where its value lies.
    pub support: String,
}

/// A remark on the model or its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Remark {
    /// Whether it warns.
    pub warning: bool,
    /// `line:column` in the model, where the remark is about a place.
    pub place: Option<String>,
    /// What there is to say.
    pub text: String,
}

/// What a bound model is.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The model's file.
    pub file: String,
    /// Number of unconstrained coordinates.
    pub dim: usize,
    /// Latents with coordinates.
    pub latents: Vec<Latent>,
    /// Discrete latents that are summed out.
    pub summed: Vec<String>,
    /// Keys of the data file that are used.
    pub data: Vec<String>,
    /// Names of the reports.
    pub reports: Vec<String>,
    /// Lines because of which the density is known only up to a constant.
    pub up_to_constant: Vec<Remark>,
    /// Lines because of which the model cannot be simulated.
    pub no_simulator: Vec<Remark>,
    /// Everything else worth knowing.
    pub remarks: Vec<Remark>,
}

impl Description {
    /// Describes a posterior; `keys` are the names in its data file.
    pub fn new<'k>(model: &Model, p: &Posterior, keys: impl Iterator<Item = &'k str>) -> Description {
        let used = keys.filter(|k| !p.unused.iter().any(|u| u == k));
        Description {
            file: model.file.clone(),
            dim: p.dim,
            latents: p.sites.iter().map(|s| latent(model, s)).collect(),
            summed: summed(p).into_iter().map(String::from).collect(),
            data: used.map(String::from).collect(),
            reports: p.reports.iter().map(|(n, _)| n.clone()).collect(),
            up_to_constant: notes(model, p, NoteKind::UpToConstant),
            no_simulator: notes(model, p, NoteKind::NoSimulator),
            remarks: remarks(model, p),
        }
    }

    /// The description as text, a line or a table for each part.
    pub fn text(&self) -> String {
        let mut out = format!("{}: {} unconstrained coordinates\n", self.file, self.dim);
        let row = |l: &Latent| {
            vec![l.name.clone(), l.law.clone(), l.shape.clone(), l.coordinates.to_string(), l.support.clone()]
        };
        let rows: Vec<Vec<String>> = self.latents.iter().map(row).collect();
        if !rows.is_empty() {
            out += "latents\n";
            out += &columns(&["name", "law", "shape", "coordinates", "support"], &rows);
        }
        // Writing to a string cannot fail.
        if !self.summed.is_empty() {
            let _ = writeln!(out, "summed out: {}", list(&self.summed));
        }
        let _ = writeln!(out, "data: {}", list(&self.data));
        let _ = writeln!(out, "reports: {}", list(&self.reports));
        let mut say = |lines: &[Remark], good: &str, bad: &str| {
            let _ = writeln!(out, "{}", if lines.is_empty() { good } else { bad });
            lines.iter().for_each(|r| out += &format!("  {}\n", r.placed()));
        };
        say(
            &self.up_to_constant,
            "density: normalised (the evidence is defined)",
            "density: known up to a constant (no evidence), because of",
        );
        say(&self.no_simulator, "simulation: possible", "simulation: not possible, because of");
        self.remarks.iter().for_each(|r| out += &format!("{r}\n"));
        out
    }

    /// The description as JSON.
    pub fn json(&self) -> Value {
        let latent = |l: &Latent| json!({ "name": l.name, "law": l.law, "shape": l.shape, "coordinates": l.coordinates, "support": l.support });
        let texts = |remarks: &[Remark]| remarks.iter().map(|r| r.to_string()).collect::<Vec<_>>();
        json!({
            "model": self.file,
            "coordinates": self.dim,
            "latents": self.latents.iter().map(latent).collect::<Vec<_>>(),
            "summed_out": self.summed,
            "data": self.data,
            "reports": self.reports,
            "normalised": self.up_to_constant.is_empty(),
            "simulation": self.no_simulator.is_empty(),
            "remarks": texts(&self.remarks),
        })
    }
}

impl Remark {
    /// Place and text.
    pub fn placed(&self) -> String {
        self.place.iter().map(|p| format!("{p}: ")).chain([self.text.clone()]).collect()
    }
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", if self.warning { "warning" } else { "note" }, self.placed())
    }
}

/// `line:column` of a span, counted from 1.
pub fn place(source: &str, span: Span) -> String {
    let at = (span.start as usize).min(source.len());
    let before = String::from_utf8_lossy(&source.as_bytes()[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{line}:{column}")
}

fn notes(model: &Model, p: &Posterior, kind: NoteKind) -> Vec<Remark> {
    let of_kind = p.notes.iter().filter(|n| n.kind == kind);
    let remark = |n: &crate::model::site::Note| Remark {
        warning: kind == NoteKind::Warning,
        place: Some(place(&model.source, n.span)),
        text: n.text.clone(),
    };
    of_kind.map(remark).collect()
}

fn remarks(model: &Model, p: &Posterior) -> Vec<Remark> {
    let mut out = notes(model, p, NoteKind::Info);
    out.extend(notes(model, p, NoteKind::Warning));
    let unused =
        |k: &String| Remark { warning: false, place: None, text: format!("the data file's `{k}` is not used") };
    out.extend(p.unused.iter().map(unused));
    out.extend(uninformed(p).into_iter().map(|s| Remark {
        warning: true,
        place: Some(place(&model.source, s.span)),
        text: format!("no factor but its own prior reads `{}`: the data say nothing about it", s.name),
    }));
    out
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}

/// Names of the discrete latents.
fn summed(p: &Posterior) -> Vec<&str> {
    let mut names: Vec<&str> = vec![];
    for t in p.terms.iter().filter(|t| t.kind == FactorKind::Prior && t.states > 1) {
        if !names.contains(&t.about.as_str()) && p.sites.iter().all(|s| s.name != t.about) {
            names.push(&t.about);
        }
    }
    names
}

/// The text of a span.
pub fn text(model: &Model, span: Span) -> &str {
    model.source.get(span.start as usize..span.end as usize).unwrap_or("")
}

fn latent(model: &Model, s: &Site) -> Latent {
    let laws = laws(&model.tree, &s.name);
    let law = match laws.as_slice() {
        [] => s.law.clone(),
        laws => laws.iter().map(|l| squeeze(text(model, *l))).collect::<Vec<_>>().join("; "),
    };
    let shape = match (&s.filled, s.dims.as_slice()) {
        (Some(e), dims) => format!("{dims:?}, {} filled", e.len()),
        (None, []) => "scalar".to_string(),
        (None, dims) => format!("{dims:?}"),
    };
    Latent { name: s.name.clone(), law, shape, coordinates: s.free, support: s.constraint.clone() }
}

/// Text on one line, cut where it is long.
fn squeeze(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The laws that the statements of a block give to a latent.
fn laws(block: &Block, latent: &str) -> Vec<Span> {
    let mut found = vec![];
    for s in &block.stmts {
        match &s.kind {
            StmtKind::Latent { name, kind } if name.name == latent => match kind {
                LatentKind::Draw { dist, .. } | LatentKind::Fill { dist, .. } => found.push(dist.span),
                LatentKind::Declare { .. } => {}
            },
            StmtKind::Plate { body, .. } | StmtKind::For { body, .. } => found.extend(laws(body, latent)),
            StmtKind::If { then, otherwise, .. } => {
                found.extend(laws(then, latent));
                found.extend(otherwise.iter().flat_map(|b| laws(b, latent)));
            }
            _ => {}
        }
    }
    found
}

/// Latents whose coordinates no term reads but their own prior and Jacobian.
fn uninformed(p: &Posterior) -> Vec<&Site> {
    let reads = |s: &Site| {
        let on = dependents(&p.graph, s);
        let own = |kind, about: &str| matches!(kind, FactorKind::Prior | FactorKind::Jacobian) && about == s.name;
        p.terms.iter().any(|t| on[t.node.index()] && !own(t.kind, &t.about))
    };
    p.sites.iter().filter(|s| s.free > 0 && !reads(s)).collect()
}

/// Nodes that depend on a site.
fn dependents(g: &Graph, s: &Site) -> Vec<bool> {
    let mut on = vec![false; g.nodes().len()];
    on[s.input.index()] = true;
    for (i, node) in g.nodes().iter().enumerate() {
        on[i] |= node.args.iter().any(|a| on[a.index()]);
    }
    on
}
