//! `thalweg optimize`: posterior mode or maximum likelihood, with Laplace's standard errors.

use clap::Args;
use serde_json::{Value, json};

use super::common::{CliError, ModelArgs};
use super::points::number;
use crate::optimize::{Objective, OptimizeError, Optimum, Options, maximize};
use crate::report::table::columns;

/// Find the posterior mode, or the maximum of the likelihood
#[derive(Args)]
pub struct OptimizeArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Mode of the density on the unconstrained space, Jacobians included
    #[arg(long, conflicts_with = "mle")]
    pub jacobian: bool,
    /// Maximum likelihood: without priors and Jacobians
    #[arg(long)]
    pub mle: bool,
    /// Independent searches
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub starts: u32,
    /// Seed of the starting points
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Leave out the standard errors
    #[arg(long)]
    pub no_errors: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &OptimizeArgs) -> Result<(), CliError> {
    let posterior = args.model.bind()?;
    let objective = match (args.jacobian, args.mle) {
        (true, _) => Objective::Unconstrained,
        (_, true) => Objective::Likelihood,
        _ => Objective::Constrained,
    };
    let options = Options {
        objective,
        starts: args.starts as usize,
        seed: args.seed,
        standard_errors: !args.no_errors,
        ..Options::default()
    };
    let best = maximize(&posterior, &options)?;
    let names = posterior.value_names();
    if args.json {
        super::out(&format!("{}\n", report(&posterior.coordinate_names(), &names, &best, objective)));
        return Ok(());
    }
    let same = best.reached.iter().flatten().filter(|l| **l > best.log_density - 1e-3).count();
    let mut text = format!("{}: {:.6}\n{}", title(objective), best.log_density, rows(&names, &best));
    text += &format!("{same} of {} searches reached this maximum\n", best.reached.len());
    match &best.standard_errors {
        Err(e) if *e != OptimizeError::NotWanted => text += &format!("{e}\n"),
        _ => {}
    }
    super::out(&text);
    Ok(())
}

fn title(objective: Objective) -> &'static str {
    match objective {
        Objective::Constrained => "log density of the constrained values at its mode",
        Objective::Unconstrained => "log density of the unconstrained coordinates at its mode",
        Objective::Likelihood => "log likelihood at its maximum",
    }
}

fn rows(names: &[String], best: &Optimum) -> String {
    let errors = best.standard_errors.as_ref().ok();
    let row = |k: usize| {
        let mut row = vec![names[k].clone(), format!("{:.6}", best.values[k])];
        row.extend(errors.map(|e| format!("{:.6}", e[k])));
        row
    };
    let all: Vec<Vec<String>> = (0..names.len()).map(row).collect();
    let header = ["name", "estimate", "se"];
    columns(&header[..if errors.is_some() { 3 } else { 2 }], &all)
}

fn report(coordinates: &[String], names: &[String], best: &Optimum, objective: Objective) -> Value {
    let list = |v: &[f64]| v.iter().map(|x| number(*x)).collect::<Vec<_>>();
    let (errors, why) = match &best.standard_errors {
        Ok(e) => (Value::from(list(e)), Value::Null),
        Err(e) => (Value::Null, Value::from(e.to_string())),
    };
    json!({
        "objective": match objective {
            Objective::Constrained => "constrained",
            Objective::Unconstrained => "unconstrained",
            Objective::Likelihood => "likelihood",
        },
        "log_density": number(best.log_density),
        "names": names,
        "estimate": list(&best.values),
        "se": errors,
        "se_message": why,
        "coordinates": coordinates,
        "unconstrained": list(&best.x),
        "reached": best.reached.iter().map(|r| r.map_or(Value::Null, number)).collect::<Vec<_>>(),
    })
}
