//! `thalweg check`: what a model is, and whether its density and gradient are right.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::common::{CliError, ModelArgs};
use super::{bench, points};
use crate::dsl::ast::{Block, Ident, LatentKind, StmtKind, Type};
use crate::dsl::span::Span;
use crate::graph::Graph;
use crate::model::compiled::Compiled;
use crate::model::posterior::{Model, Posterior};
use crate::model::site::{FactorKind, NoteKind, Site};

/// Describe a model, and check its density and gradient
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Compare gradients with finite differences at random points
    #[arg(long)]
    pub gradient: bool,
    /// Seed of the random points
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Show the factorisation and what the executor does
    #[arg(long)]
    pub plan: bool,
    /// Evaluate at unconstrained points: {"points": [[…], …]}
    #[arg(long, value_name = "FILE", conflicts_with = "bench")]
    pub at: Option<PathBuf>,
    /// Time the density and its gradient
    #[arg(long)]
    pub bench: bool,
    /// Print JSON (with --at or --bench)
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &CheckArgs) -> Result<(), CliError> {
    if args.json && args.at.is_none() && !args.bench {
        return Err(CliError::Other("--json goes with --at or --bench".into()));
    }
    if args.bench {
        return bench::run(&args.model, args.json);
    }
    let model = args.model.load()?;
    let data = args.model.load_data()?;
    let missing = needs(&model, data.keys().next().is_none());
    if !missing.is_empty() && args.model.data.is_none() {
        return unbound(args, &model, &missing);
    }
    let posterior = model.bind_with(&data, &args.model.settings(0)?)?;
    if let Some(path) = &args.at {
        return points::at(&Compiled::new(posterior), path, args.json);
    }
    print!("{}", describe(&model, &posterior, data.keys().collect()));
    if args.plan {
        print!("\n{}", plan(&model, &posterior));
    }
    if args.gradient {
        println!();
        return points::gradient(&Compiled::new(posterior), args.seed);
    }
    Ok(())
}

/// A datum that a model asks for.
struct Need<'m> {
    key: &'m str,
    name: &'m Ident,
    ty: &'m Type,
}

/// The data statements without a default, where there is no data file.
fn needs(model: &Model, no_data: bool) -> Vec<Need<'_>> {
    let all = model.tree.stmts.iter().filter_map(|s| match &s.kind {
        StmtKind::Data { name, ty, from, default: None } => {
            Some(Need { key: from.as_deref().unwrap_or(&name.name), name, ty })
        }
        _ => None,
    });
    if no_data { all.collect() } else { vec![] }
}

/// What can be said without data.
fn unbound(args: &CheckArgs, model: &Model, needs: &[Need]) -> Result<(), CliError> {
    if args.at.is_some() || args.gradient || args.plan {
        return Err(CliError::Other(format!("{} needs data for this; give --data FILE", model.file)));
    }
    println!("{}: the syntax is right. It needs data:", model.file);
    let rows = needs
        .iter()
        .map(|n| vec![n.key.to_string(), text(model, n.ty.span).to_string(), place(&model.source, n.name.span)]);
    print!("{}", table(&["name", "type", "line"], &rows.collect::<Vec<_>>()));
    println!("Names, shapes and laws are checked with data: give --data FILE");
    Ok(())
}

/// `line:column` of a span, counted from 1.
pub fn place(source: &str, span: Span) -> String {
    let at = (span.start as usize).min(source.len());
    let before = String::from_utf8_lossy(&source.as_bytes()[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{line}:{column}")
}

fn text(model: &Model, span: Span) -> &str {
    model.source.get(span.start as usize..span.end as usize).unwrap_or("")
}

/// Columns aligned on the left, two spaces between them, indented by two.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let count = |s: &str| s.chars().count();
    let width = |k: usize| rows.iter().map(|r| count(&r[k])).chain([count(header[k])]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    let header: Vec<String> = header.iter().map(|h| h.to_string()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(c, w)| format!("{c}{}", " ".repeat(w - count(c)))).collect();
        let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
    out
}

/// The report on a bound model.
fn describe(model: &Model, p: &Posterior, keys: Vec<&str>) -> String {
    let mut out = format!("{}: {} unconstrained coordinates\n", model.file, p.dim);
    let rows: Vec<Vec<String>> = p.sites.iter().map(|s| site(model, s)).collect();
    if !rows.is_empty() {
        out += "latents\n";
        out += &table(&["name", "law", "shape", "coordinates", "support"], &rows);
    }
    let discrete = summed(p);
    if !discrete.is_empty() {
        let _ = writeln!(out, "summed out: {}", list(&discrete));
    }
    let used: Vec<&str> = keys.into_iter().filter(|k| !p.unused.iter().any(|u| u == k)).collect();
    let _ = writeln!(out, "data: {}", list(&used));
    let reports: Vec<&str> = p.reports.iter().map(|(n, _)| n.as_str()).collect();
    let _ = writeln!(out, "reports: {}", list(&reports));
    standing(&mut out, model, p);
    for note in &p.notes {
        let kind = match note.kind {
            NoteKind::Info => "note",
            NoteKind::Warning => "warning",
            NoteKind::UpToConstant | NoteKind::NoSimulator => continue,
        };
        let _ = writeln!(out, "{kind}: {}: {}", place(&model.source, note.span), note.text);
    }
    for key in &p.unused {
        let _ = writeln!(out, "note: the data file's `{key}` is not used");
    }
    for s in uninformed(p) {
        let at = place(&model.source, s.span);
        let _ = writeln!(
            out,
            "warning: {at}: no factor but its own prior reads `{}`: the data say nothing about it",
            s.name
        );
    }
    out
}

fn list(names: &[&str]) -> String {
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

/// What holds of the whole density, with the lines that end it.
fn standing(out: &mut String, model: &Model, p: &Posterior) {
    let mut say = |kind: NoteKind, good: &str, bad: &str| {
        let lines: Vec<_> = p.notes.iter().filter(|n| n.kind == kind).collect();
        let _ = writeln!(out, "{}", if lines.is_empty() { good } else { bad });
        for n in lines {
            let _ = writeln!(out, "  {}: {}", place(&model.source, n.span), n.text);
        }
    };
    say(
        NoteKind::UpToConstant,
        "density: normalised (the evidence is defined)",
        "density: known up to a constant (no evidence), because of",
    );
    say(NoteKind::NoSimulator, "simulation: possible", "simulation: not possible, because of");
}

fn site(model: &Model, s: &Site) -> Vec<String> {
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
    vec![s.name.clone(), law, shape, s.free.to_string(), s.constraint.clone()]
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

/// The terms of the density, and what the executor makes of it.
fn plan(model: &Model, p: &Posterior) -> String {
    let rows: Vec<Vec<String>> = p
        .terms
        .iter()
        .map(|t| {
            let states = if t.states == 1 { String::new() } else { format!("{} states summed out", t.states) };
            vec![kind(t.kind).to_string(), t.about.clone(), t.count.to_string(), place(&model.source, t.span), states]
        })
        .collect();
    let compiled = Compiled::new(p.clone());
    let mut out = "factors\n".to_string();
    out += &table(&["kind", "of", "terms", "line", ""], &rows);
    let _ = writeln!(out, "graph: {} nodes, {} with the gradient", p.graph.nodes().len(), compiled.nodes());
    for (name, program) in [("one point", compiled.gradient_program()), ("a batch of points", compiled.lane_program())]
    {
        let _ = write!(out, "density and gradient at {name}: {}", program.describe());
    }
    out
}

fn kind(k: FactorKind) -> &'static str {
    match k {
        FactorKind::Prior => "prior",
        FactorKind::Likelihood => "likelihood",
        FactorKind::Jacobian => "jacobian",
        FactorKind::Factor => "factor",
    }
}
