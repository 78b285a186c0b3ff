//! `thalweg check`: what a model is, and whether its density and gradient are right.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::common::{CliError, ModelArgs};
use super::{bench, plates, points};
use crate::dsl::ast::{Ident, StmtKind, Type};
use crate::model::compiled::Compiled;
use crate::model::posterior::{Model, Posterior};
use crate::model::site::FactorKind;
use crate::report::table::columns;
use crate::workflow::describe::{Description, place, text};
use crate::workflow::gradient::{Extent, GradientTest};

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
    /// Print JSON
    #[arg(long, conflicts_with = "plan")]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &CheckArgs) -> Result<(), CliError> {
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
    let description = Description::new(&model, &posterior, data.keys());
    if args.json {
        return as_json(args, &description, posterior);
    }
    super::out(&description.text());
    if args.plan {
        super::out(&format!("\n{}", plan(&model, &posterior)));
    }
    if args.gradient {
        let test = GradientTest::new(&Compiled::new(posterior), args.seed, Extent::ALL)?;
        let points = test.points;
        super::out(&format!("\ngradient against finite differences, {points} points, worst first\n{}", test.table()));
        return judge(&test);
    }
    Ok(())
}

fn as_json(args: &CheckArgs, description: &Description, posterior: Posterior) -> Result<(), CliError> {
    let mut json = description.json();
    let test =
        args.gradient.then(|| GradientTest::new(&Compiled::new(posterior), args.seed, Extent::ALL)).transpose()?;
    if let Some(test) = &test {
        json["gradient"] = test.json();
    }
    super::out(&format!("{json:#}\n"));
    match test {
        Some(test) if test.failed() > 0 => Err(CliError::Gradient(test.sentence())),
        _ => Ok(()),
    }
}

/// Says whether the gradient is right.
fn judge(test: &GradientTest) -> Result<(), CliError> {
    if test.failed() > 0 {
        return Err(CliError::Gradient(test.sentence()));
    }
    super::out(&format!("{}\n", test.sentence()));
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
        return Err(CliError::NeedsData { model: model.file.clone() });
    }
    let rows = needs
        .iter()
        .map(|n| vec![n.key.to_string(), text(model, n.ty.span).to_string(), place(&model.source, n.name.span)]);
    let rows = columns(&["name", "type", "line"], &rows.collect::<Vec<_>>());
    let next = "Names, shapes and laws are checked with data: give --data FILE";
    super::out(&format!("{}: the syntax is right. It needs data:\n{rows}{next}\n", model.file));
    Ok(())
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
    out += &columns(&["kind", "of", "terms", "line", ""], &rows);
    out += &plates::plates(model, p);
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
